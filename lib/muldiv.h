/* SPDX-License-Identifier: MIT */
/* Conversions between clocks: 64-bit multiply and divide with a 128-bit product. */
#ifndef TV_MULDIV_H
#define TV_MULDIV_H

#include "types.h"

/** mul_div_u64() by elementary means, for programs of 32 bits (those that run in a guest). */
static inline u64 mul_div_u64_by_bits(u64 a, u64 b, u64 c)
{
	u64 rest, q = 0;
	u64 low = (u64)(u32)a * (u32)b;
	u64 middle = (a >> 32) * (u32)b + (low >> 32); /* cannot overflow */
	u64 middle2 = (u64)(u32)a * (b >> 32) + (u32)middle;
	u64 hi = (a >> 32) * (b >> 32) + (middle >> 32) + (middle2 >> 32);
	u64 lo = middle2 << 32 | (u32)low;

	if (hi >= c)
		return ~0ull;
	rest = hi;
	for (unsigned i = 64; i--;) {
		bool carry = rest >> 63;

		rest = rest << 1 | (lo >> i & 1);
		q <<= 1;
		if (carry || rest >= c) {
			rest -= c;
			q |= 1;
		}
	}
	return q;
}

/** a * b / c, rounded down, without overflow in between; saturates at ~0. c must not be 0. */
static inline u64 mul_div_u64(u64 a, u64 b, u64 c)
{
#ifdef __x86_64__
	u64 hi, lo, q, r;

	__asm__("mulq %3" : "=a"(lo), "=d"(hi) : "0"(a), "rm"(b) : "cc");
	if (hi >= c)
		return ~0ull;
	__asm__("divq %4" : "=a"(q), "=d"(r) : "0"(lo), "1"(hi), "rm"(c) : "cc");
	return q;
#else
	return mul_div_u64_by_bits(a, b, c);
#endif
}

/** a * b / c, rounded up. */
static inline u64 mul_div_up_u64(u64 a, u64 b, u64 c)
{
	u64 q = mul_div_u64(a, b, c);

	return q != ~0ull && q * c != a * b ? q + 1 : q;
}

#endif
