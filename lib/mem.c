/* SPDX-License-Identifier: MIT */
/*
 * The functions of <string.h> for the freestanding core. GCC also calls the first four of its own
 * accord (for structure copies and the like), under exactly these names.
 *
 * GCC must not turn a loop here into a call of the very function it defines: the core's build
 * passes -fno-tree-loop-distribute-patterns for this file.
 */
#include "mem.h"

#include "types.h"

/* REP MOVS and STOS: short code, and with ERMS as fast as anything that keeps off SSE. By eight
 * bytes, because on an emulator each step is an instruction, and an aligned word of a guest's is
 * written at once. The ABI has DF clear on every call. Also where `d` lies just before `s`: each
 * word is read before anything at or above it is written. */
static void copy_forward(void *d, const void *s, size_t n)
{
	size_t words = n / 8, rest = n % 8;

	__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(rest) : : "memory");
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	copy_forward(dst, src, n);
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	size_t words = n / 8, rest = n % 8;
	void *d = dst;

	__asm__ volatile("rep stosq"
			 : "+D"(d), "+c"(words)
			 : "a"((u8)c * 0x0101010101010101ull)
			 : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(rest) : "a"(c) : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	u8 *d = dst;
	const u8 *s = src;

	/* Forwards is wrong only where dst lies inside (src, src + n). Compared as integers:
	 * the two need not belong to one object. */
	if ((uintptr_t)d - (uintptr_t)s >= n) {
		copy_forward(d, s, n);
		return dst;
	}
	while (n--)
		d[n] = s[n];
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return (size_t)(p - s);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++)
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}
