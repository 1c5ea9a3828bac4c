/* SPDX-License-Identifier: MIT */
/* The crash= option: see the panic screen of a machine before it is needed. */
#ifndef TV_CRASH_H
#define TV_CRASH_H

#include "types.h"

/** Crash in the given way (enum crash_kind); CRASH_NOT returns. */
void crash_on_purpose(u32 kind);

#endif
