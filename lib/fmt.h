/* SPDX-License-Identifier: MIT */
/* Text formatting for a freestanding program. */
#ifndef TV_FMT_H
#define TV_FMT_H

#include <stdarg.h>

#include "types.h"

/**
 * As vsnprintf: %d %i %u %x %X %c %s %p %% with the flags - and 0, a width (or *), a precision for
 * strings (or .*), and the lengths hh h l ll z. No floating point. Always terminates (size > 0);
 * returns the length the whole text would have.
 */
int fmt_vsnprintf(char *buf, size_t size, const char *f, va_list ap);
int fmt_snprintf(char *buf, size_t size, const char *f, ...) __attribute__((format(printf, 3, 4)));

#endif
