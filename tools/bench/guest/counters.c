/* SPDX-License-Identifier: MIT */
/* Reading the exit counters through CPUID leaves 0x40000002 and 0x40000003. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"

struct cpuid_regs counters_cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "0"(leaf), "2"(subleaf));
	return r;
}

bool counters_present(void)
{
	struct cpuid_regs r = counters_cpuid(TV_CPUID_SIGNATURE, 0);

	return !memcmp(&r.ebx, TV_SIGNATURE, 12) && r.eax >= TV_CPUID_READ;
}

/** EBX:EAX and EDX:ECX of leaf TV_CPUID_READ. */
static void read_pair(u32 subleaf, u64 *first, u64 *second)
{
	struct cpuid_regs r = counters_cpuid(TV_CPUID_READ, subleaf);

	*first = (u64)r.ebx << 32 | r.eax;
	*second = (u64)r.edx << 32 | r.ecx;
}

unsigned counters_read(struct exit_snapshot *s)
{
	struct cpuid_regs r;
	u64 count, cycles;
	u32 used[3];
	unsigned read = 0;

	memset(s, 0, sizeof(*s));
	s->seq = counters_cpuid(TV_CPUID_SNAPSHOT, TV_SNAPSHOT_TAKE).eax;
	r = counters_cpuid(TV_CPUID_READ, TV_READ_USED);
	used[0] = r.eax;
	used[1] = r.ebx;
	used[2] = r.ecx;
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		if (!exit_reason_name(nr) || !(used[nr / 32] >> nr % 32 & 1))
			continue;
		read_pair(nr, &s->stats.count[nr], &s->stats.cycles[nr]);
		read++;
	}
	read_pair(TV_READ_TIME, &s->stats.idle_cycles, &s->ticks);
	read_pair(TV_READ_TOTAL, &count, &cycles);
	if (exit_stats_totals(&s->stats).count != count) {
		printf("bench: failed: the hypervisor counts reasons that this program does not "
		       "know\n");
		exit(EXIT_FAILURE);
	}
	return read + 4;
}

void counters_between(struct exit_stats *dst, const struct exit_snapshot *before,
		      const struct exit_snapshot *after, unsigned own, const struct own_cost *cost)
{
	u64 cycles = cost->cycles + (own - cost->cpuids) * (cost->cycles / cost->cpuids);
	u64 *left = &dst->cycles[EXIT_REASON_CPUID];

	exit_stats_sub(dst, &after->stats, &before->stats);
	dst->count[EXIT_REASON_CPUID] -= own;
	/* Our own did not take exactly as long the other time: what is left must not be less than
	 * nothing. */
	*left = dst->count[EXIT_REASON_CPUID] && *left > cycles ? *left - cycles : 0;
}
