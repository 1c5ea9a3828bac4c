/* SPDX-License-Identifier: MIT */
/* The version of Tallyvisor: in the banner, in the log, and in CPUID leaf 0x40000001. */
#ifndef TV_VERSION_H
#define TV_VERSION_H

#define TV_VERSION_MAJOR 0
#define TV_VERSION_MINOR 1
#define TV_VERSION_PATCH 0

#define TV_VERSION (TV_VERSION_MAJOR << 16 | TV_VERSION_MINOR << 8 | TV_VERSION_PATCH)

#define TV_TEXT_(x) #x
#define TV_TEXT(x) TV_TEXT_(x)
#define TV_VERSION_STRING                                                                          \
	TV_TEXT(TV_VERSION_MAJOR) "." TV_TEXT(TV_VERSION_MINOR) "." TV_TEXT(TV_VERSION_PATCH)

#endif
