/* SPDX-License-Identifier: MIT */
/* What reproducible=1 does to clock rates and command lines. */
#include "lib/reproducible.h"

#include "lib/mem.h"

#define MHZ 1000000ull

u64 reproducible_hz(u64 hz)
{
	return MAX((hz + MHZ / 2) / MHZ, 1) * MHZ;
}

bool cmdline_prepend(char *line, size_t size, const char *words)
{
	size_t n = strlen(words), old = strlen(line) + 1;
	size_t gap = old > 1 ? n + 1 : n; /* no blank at the end */

	if (gap + old > size)
		return false;
	memmove(line + gap, line, old);
	memcpy(line, words, n);
	if (gap > n)
		line[n] = ' ';
	return true;
}
