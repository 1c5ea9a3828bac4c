/* SPDX-License-Identifier: MIT */
/* Conversions between clocks: 64-bit multiply and divide with a 128-bit product. */
#ifndef TV_MULDIV_H
#define TV_MULDIV_H

#include "types.h"

/** a * b / c, rounded down, without overflow in between; saturates at ~0. c must not be 0. */
static inline u64 mul_div_u64(u64 a, u64 b, u64 c)
{
	u64 hi, lo, q, r;

	__asm__("mulq %3" : "=a"(lo), "=d"(hi) : "0"(a), "rm"(b) : "cc");
	if (hi >= c)
		return ~0ull;
	__asm__("divq %4" : "=a"(q), "=d"(r) : "0"(lo), "1"(hi), "rm"(c) : "cc");
	return q;
}

/** a * b / c, rounded up. */
static inline u64 mul_div_up_u64(u64 a, u64 b, u64 c)
{
	u64 q = mul_div_u64(a, b, c);

	return q != ~0ull && q * c != a * b ? q + 1 : q;
}

#endif
