/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's exit counters as a program in the guest reads them (docs/cpuid-leaves.md), and
 * the difference between two readings with the reader's own exits taken out.
 */
#ifndef TV_BENCH_COUNTERS_H
#define TV_BENCH_COUNTERS_H

#include "exit_stats.h"

/** The time-stamp counter, when all earlier instructions have completed. */
static inline u64 read_tsc(void)
{
	u32 low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

/** One CPUID. */
struct cpuid_regs counters_cpuid(u32 leaf, u32 subleaf);

/** Whether there is anything to read: CPUID leaf 0x40000000 bears Tallyvisor's signature. */
bool counters_present(void);

/** Take a snapshot and read all of it that is not 0. Returns how many CPUIDs that took. Ends the
 *  program where the reasons do not add up to the hypervisor's total: it knows more of them. */
unsigned counters_read(struct exit_snapshot *s);

/** What reading the counters once has cost. */
struct own_cost {
	unsigned cpuids;
	u64 cycles; /* of all of them */
};

/**
 * What happened between two readings, less what reading the first one cost.
 *
 * @own   the CPUIDs with which the first was read
 * @cost  of another reading, with nothing before the next one
 */
void counters_between(struct exit_stats *dst, const struct exit_snapshot *before,
		      const struct exit_snapshot *after, unsigned own, const struct own_cost *cost);

#endif
