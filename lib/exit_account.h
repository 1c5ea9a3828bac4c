/* SPDX-License-Identifier: MIT */
/* Charging an exit's cycles: on the way of every exit, where each instruction counts. */
#ifndef TV_EXIT_ACCOUNT_H
#define TV_EXIT_ACCOUNT_H

#include "exit_detail.h"

/** The bucket of so many cycles: the number of the highest bit that is 1. */
static inline u64 cycle_bucket(u64 cycles)
{
	u64 bucket = 0;

	/* BSR of 0 leaves its destination as it was: AMD says so, Intel's processors do it, Linux
	 * counts on it. The compiler does not, and would take an instruction more. */
	__asm__("bsrq %1, %0" : "+r"(bucket) : "r"(cycles) : "cc");
	return bucket;
}

/** An exit of reason `nr` took so many cycles. */
static inline void exit_detail_cycles(struct exit_detail *d, u32 nr, u64 cycles)
{
	d->cycles[nr][cycle_bucket(cycles)]++;
	if (__builtin_expect(cycles < d->least[nr], 0))
		d->least[nr] = cycles;
	if (__builtin_expect(cycles > d->most[nr], 0))
		d->most[nr] = cycles;
}

#endif
