/* SPDX-License-Identifier: MIT */
/* Process-context identifiers: what MOV to CR3 and INVPCID forget of which address space (SDM
 * volume 3, section 4.10.1 "Process-Context Identifiers (PCIDs)", 4.10.4.1 "Operations that
 * Invalidate TLBs and Paging-Structure Caches"). */
#include "paging.h"

#define USER ACCESS_USER
#define CR3_NO_FLUSH BIT(63)

/** Two address spaces, whose windows are at one address: their PML4s and frames. */
static struct pair {
	struct world w;
	u64 root[2], slot[2], frame[2], other[2];
} pair;

static void pair_build(void)
{
	struct world second;

	arena_reset();
	world_build(&pair.w, MODE_64);
	world_build(&second, MODE_64);
	pair.root[0] = pair.w.root | 1;
	pair.root[1] = second.root | 2;
	pair.slot[0] = pair.w.slot[1];
	pair.slot[1] = second.slot[1];
	for (unsigned i = 0; i < 2; i++) {
		pair.frame[i] = *(const u64 *)pair.slot[i] & PTE_ADDRESS;
		pair.other[i] = frame_new();
	}
	steps_begin(&pair.w);
	step_cr(STEP_CR4, pair.w.c.cr4 | X86_CR4_PCIDE | X86_CR4_PGE);
}

void test_pcid(void)
{
	u64 window;

	if (!has.pcid) {
		print("pcid: this processor has none\n");
		return;
	}
	pair_build();
	window = pair.w.window;
	for (unsigned i = 0; i < 12; i++) {
		u64 keep = i & 2 ? CR3_NO_FLUSH : 0;
		unsigned at = i & 1;

		step_check();
		step_cr(STEP_CR3, pair.root[at] | keep);
		step_works(ACCESS_READ, window, pair.frame[at]);
		step_works(ACCESS_WRITE | USER, window, pair.frame[at]);
	}
	/* Changed behind its back: known still or not, until the PCID is forgotten. */
	for (unsigned i = 0; i < 4; i++) {
		u64 *now = i & 1 ? pair.other : pair.frame, *then = i & 1 ? pair.frame : pair.other;

		step_check();
		step_cr(STEP_CR3, pair.root[0] | CR3_NO_FLUSH);
		step_works(ACCESS_READ, window, now[0]);
		step_cr(STEP_CR3, pair.root[1] | CR3_NO_FLUSH);
		step_works(ACCESS_READ, window, pair.frame[1]);
		step_store(pair.slot[0], then[0] | OPEN);
		step_cr(STEP_CR3, pair.root[0] | CR3_NO_FLUSH);
		step_reads_either(ACCESS_READ, window, now[0], then[0]);
		if (i & 2)
			step_invlpg(window);
		else
			step_cr(STEP_CR3, pair.root[0]);
		step_works(ACCESS_READ, window, then[0]);
		step_cr(STEP_CR3, pair.root[1] | CR3_NO_FLUSH);
		step_works(ACCESS_READ, window, pair.frame[1]);
	}
	/* One PCID for another PML4: MOV to CR3 without bit 63 forgets the old one's. */
	step_check();
	step_cr(STEP_CR3, (pair.root[0] & PTE_ADDRESS) | 3);
	step_works(ACCESS_READ, window, pair.frame[0]);
	step_cr(STEP_CR3, (pair.root[1] & PTE_ADDRESS) | 3);
	step_works(ACCESS_READ, window, pair.frame[1]);
	step_cr(STEP_CR3, pair.w.root);
	step_cr(STEP_CR4, pair.w.c.cr4);
	step_works(ACCESS_READ, window, pair.frame[0]);
	steps_run();
	say_count("pcid");
}

void test_pcid_faults(void)
{
	u64 cr4;

	if (!has.pcid) {
		print("pcid-faults: this processor has no PCIDs\n");
		return;
	}
	pair_build();
	cr4 = pair.w.c.cr4;
	step_cr(STEP_CR4, cr4);
	step_cr_faults(STEP_CR3, pair.w.root | CR3_NO_FLUSH, GP_VECTOR);
	step_cr(STEP_CR3, pair.w.root | 0x18); /* PWT and PCD; with PCIDE it would be a PCID */
	step_cr_faults(STEP_CR4, cr4 | X86_CR4_PCIDE, GP_VECTOR);
	step_cr(STEP_CR3, pair.w.root);
	step_cr(STEP_CR4, cr4 | X86_CR4_PCIDE);
	step_cr(STEP_CR3, pair.root[0]);
	step_cr_faults(STEP_CR3, pair.root[1] | BIT(60), GP_VECTOR);
	step_works(ACCESS_READ, pair.w.window, pair.frame[0]);
	step_cr_faults(STEP_CR0, pair.w.c.cr0 & ~X86_CR0_PG, GP_VECTOR);
	step_cr(STEP_CR3, pair.w.root);
	step_cr(STEP_CR4, cr4);
	steps_run();
	say_count("pcid-faults");
}

enum invpcid_type { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_ALL_NON_GLOBAL };

/** In space 1 space 0's page moves, and is forgotten by INVPCID: seen on return. */
static void invpcid_forgets(enum invpcid_type type, u64 pcid, u64 addr, bool is_global)
{
	u64 window = pair.w.window, flags = OPEN | (is_global ? PTE_G : 0);

	step_check();
	step_store(pair.slot[0], pair.frame[0] | flags);
	step_store(pair.slot[1], pair.frame[1] | OPEN);
	step_invpcid(INVPCID_ALL, 0, 0, NO_VECTOR);
	step_cr(STEP_CR3, pair.root[0] | CR3_NO_FLUSH);
	step_works(ACCESS_READ | USER, window, pair.frame[0]);
	if (!is_global) {
		step_cr(STEP_CR3, pair.root[1] | CR3_NO_FLUSH);
		step_works(ACCESS_READ | USER, window, pair.frame[1]);
	}
	step_store(pair.slot[0], pair.other[0] | flags);
	step_invpcid(type, pcid, addr, NO_VECTOR);
	step_cr(STEP_CR3, pair.root[0] | CR3_NO_FLUSH);
	step_works(ACCESS_READ | USER, window, pair.other[0]);
	if (!is_global) {
		step_cr(STEP_CR3, pair.root[1] | CR3_NO_FLUSH);
		step_works(ACCESS_READ | USER, window, pair.frame[1]);
	}
}

void test_invpcid(void)
{
	u64 window, cr4;

	if (!has.pcid || !has.invpcid) {
		print("invpcid: this processor has none\n");
		return;
	}
	pair_build();
	window = pair.w.window;
	cr4 = pair.w.c.cr4 | X86_CR4_PGE;
	invpcid_forgets(INVPCID_ADDRESS, 1, window, false);
	invpcid_forgets(INVPCID_CONTEXT, 1, 0, false);
	invpcid_forgets(INVPCID_ALL, 0, 0, false);
	invpcid_forgets(INVPCID_ALL_NON_GLOBAL, 0, 0, false);
	invpcid_forgets(INVPCID_ALL, 0, 0, true);
	/* Types and descriptors that are not defined. */
	step_check();
	step_invpcid(4, 0, 0, GP_VECTOR);
	step_invpcid(INVPCID_ADDRESS, BIT(12), window, GP_VECTOR);
	step_invpcid(INVPCID_CONTEXT, BIT(63), 0, GP_VECTOR);
	step_invpcid(INVPCID_ADDRESS, 1, BIT(47), GP_VECTOR);
	/* Without CR4.PCIDE there is PCID 0, and no other. */
	step_check();
	step_cr(STEP_CR3, pair.w.root);
	step_cr(STEP_CR4, cr4);
	step_invpcid(INVPCID_ADDRESS, 1, window, GP_VECTOR);
	step_invpcid(INVPCID_CONTEXT, 1, 0, GP_VECTOR);
	for (u64 type = INVPCID_ADDRESS; type <= INVPCID_ALL_NON_GLOBAL; type++) {
		step_check();
		step_store(pair.slot[0], pair.frame[0] | OPEN);
		step_cr(STEP_CR3, pair.w.root);
		step_works(ACCESS_READ | USER, window, pair.frame[0]);
		step_store(pair.slot[0], pair.other[0] | OPEN);
		step_invpcid(type, 0, type == INVPCID_ADDRESS ? window : 0, NO_VECTOR);
		step_works(ACCESS_READ | USER, window, pair.other[0]);
	}
	steps_run();
	say_count("invpcid");
}
