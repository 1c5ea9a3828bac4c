/* SPDX-License-Identifier: MIT */
/* VM exits before and after: leaf 0x4ffffffd, docs/cpuid-leaves.md. */
#include "payload.h"

#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_EXITS 0x4ffffffdu
#define SIGNATURE_EBX 0x6c6c6154u /* "Tall" */

static u32 before[NR_EXIT_REASONS];

static bool counting(void)
{
	return cpuid(LEAF_HYPERVISOR, 0).ebx == SIGNATURE_EBX;
}

static void read_counts(u32 n[NR_EXIT_REASONS])
{
	for (u32 i = 0; i < NR_EXIT_REASONS; i++)
		n[i] = cpuid(LEAF_EXITS, i).eax;
}

void exits_begin(void)
{
	read_counts(before);
}

void exits_end(struct exit_counts *got)
{
	read_counts(got->n);
	for (u32 i = 0; i < NR_EXIT_REASONS; i++)
		got->n[i] -= before[i];
	/* Between the two readings of CPUID's own count lies a whole round of reading. */
	got->n[EXIT_REASON_CPUID] -= NR_EXIT_REASONS;
	got->n[NO_EXIT] = 0;
}

void exits_check(const char *what, const struct exit_counts *want)
{
	struct exit_counts got;

	exits_end(&got);
	if (!counting())
		return;
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		const char *name = exit_reason_name(i);

		check(got.n[i] == want->n[i], "%s: %u exits %u %s, not %u", what, got.n[i], i,
		      name ? name : "(undefined)", want->n[i]);
	}
}
