/* SPDX-License-Identifier: MIT */
/* What may be remembered of page tables, and what makes the processor forget (SDM volume 3, section
 * 4.10 "Caching Translation Information"). */
#include "paging.h"

#define USER ACCESS_USER

/** The levels whose entries are in memory and looked up at each walk. */
static unsigned top_level(const struct world *w)
{
	return w->c.mode == MODE_PAE ? 2 : mode_info[w->c.mode].levels;
}

/** Entries that are not present, or have reserved bits set, are not remembered: what takes their
 * place counts at once (4.10.2.1 "Page Numbers, Page Frames, and Page Offsets", 4.10.4.3). */
static void present_at_once(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]);

	for (unsigned level = 1; level <= top_level(w); level++) {
		u64 entry = entry_read(w->c.mode, w->slot[level]);

		for (unsigned i = 0; i < 3; i++) {
			u32 who = i & 1 ? USER : 0;
			u64 error = i & 1 ? PF_U : 0;

			step_check();
			step_store(w->slot[level], i == 2 ? entry & ~PTE_P : 0);
			step_invlpg(w->window);
			step_faults(ACCESS_READ | who, w->window, error);
			step_faults(ACCESS_WRITE | who, w->window, error | PF_W);
			step_faults(ACCESS_READ | who, w->window, error);
			step_store(w->slot[level], entry);
			step_works(ACCESS_READ | who, w->window, frame);
			step_works(ACCESS_WRITE | who, w->window, frame);
		}
		if (w->c.mode == MODE_32 || has.maxphyaddr >= 52)
			continue;
		step_check();
		step_store(w->slot[level], entry | BIT(51));
		step_invlpg(w->window);
		step_faults(ACCESS_READ, w->window, PF_P | PF_RSVD);
		step_faults(ACCESS_WRITE | USER, w->window, PF_P | PF_RSVD | PF_W | PF_U);
		step_store(w->slot[level], entry);
		step_works(ACCESS_READ, w->window, frame);
	}
}

void test_present_at_once(void)
{
	for_paged_modes(present_at_once);
	say_count("present-at-once");
}

/** More rights without INVLPG: one page fault at most. */
static void more_rights(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]);

	for (unsigned level = 1; level <= top_level(w); level++) {
		u64 entry = entry_read(w->c.mode, w->slot[level]);

		step_check();
		step_store(w->slot[level], entry & ~PTE_W);
		step_invlpg(w->window);
		step_works(ACCESS_READ | USER, w->window, frame);
		step_faults(ACCESS_WRITE | USER, w->window, PF_P | PF_W | PF_U);
		step_store(w->slot[level], entry);
		step_gains(ACCESS_WRITE | USER, w->window, frame, PF_P | PF_W | PF_U);
		step_check();
		step_store(w->slot[level], entry & ~PTE_U);
		step_invlpg(w->window);
		step_works(ACCESS_READ, w->window, frame);
		step_faults(ACCESS_READ | USER, w->window, PF_P | PF_U);
		step_store(w->slot[level], entry);
		step_gains(ACCESS_READ | USER, w->window, frame, PF_P | PF_U);
		if (!(w->c.efer & EFER_NX))
			continue;
		step_check();
		step_store(w->slot[level], entry | PTE_NX);
		step_invlpg(w->window);
		step_works(ACCESS_READ, w->window, frame);
		step_faults(ACCESS_FETCH | USER, w->window, PF_P | PF_I | PF_U);
		step_store(w->slot[level], entry);
		step_gains(ACCESS_FETCH | USER, w->window, frame, PF_P | PF_I | PF_U);
	}
}

void test_more_rights(void)
{
	for_paged_modes(more_rights);
	say_count("more-rights");
}

static void accessed_dirty(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), clean = frame | PTE_P | PTE_W | PTE_U;
	u64 other = frame_new();

	for (unsigned i = 0; i < 4; i++) {
		u32 who = i & 1 ? USER : 0;

		step_check();
		for (unsigned level = top_level(w); level; level--)
			step_store(w->slot[level],
				   entry_read(w->c.mode, w->slot[level]) & ~(PTE_A | PTE_D));
		step_invlpg(w->window);
		step_works(ACCESS_READ | who, w->window, frame);
		for (unsigned level = top_level(w); level > 1; level--)
			step_load(w->slot[level], entry_read(w->c.mode, w->slot[level]), 0);
		step_load(w->slot[1], clean | PTE_A, 0);
		step_works(ACCESS_FETCH | who, w->window, frame);
		step_load(w->slot[1], clean | PTE_A, 0);
		/* The first write sets D, though the page is known already. */
		step_works(ACCESS_WRITE | who, w->window, frame);
		step_load(w->slot[1], clean | PTE_A | PTE_D, 0);
		/* D alone is cleared, then A alone. */
		step_store(w->slot[1], clean | PTE_A);
		step_invlpg(w->window);
		step_works(ACCESS_READ | who, w->window, frame);
		step_load(w->slot[1], clean | PTE_A, 0);
		step_works(ACCESS_WRITE | who, w->window, frame);
		step_load(w->slot[1], clean | PTE_A | PTE_D, 0);
		step_store(w->slot[1], clean | PTE_D);
		step_invlpg(w->window);
		step_works(ACCESS_WRITE | who, w->window, frame);
		step_load(w->slot[1], clean | PTE_A | PTE_D, 0);
		/* A clean page takes the place of a dirty one. */
		step_store(w->slot[1], other | PTE_P | PTE_W | PTE_U);
		step_invlpg(w->window);
		step_works(ACCESS_READ | who, w->window, other);
		step_load(w->slot[1], other | PTE_P | PTE_W | PTE_U | PTE_A, 0);
		step_works(ACCESS_WRITE | who, w->window, other);
		step_load(w->slot[1], other | OPEN | PTE_D, 0);
		step_store(w->slot[1], clean);
		step_invlpg(w->window);
	}
}

void test_accessed_dirty(void)
{
	for_paged_modes(accessed_dirty);
	say_count("accessed-dirty");
}

/** MOV to CR3 of the value that is there forgets what is not global. */
static void same_cr3(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), other = frame_new();
	u64 frames[2] = {frame, other};

	for (unsigned i = 0; i < 6; i++) {
		step_check();
		step_works(ACCESS_READ | (i & 2 ? USER : 0), w->window, frames[i & 1]);
		step_store(w->slot[1], frames[~i & 1] | OPEN);
		step_reads_either(ACCESS_READ, w->window, frame, other);
		step_cr(STEP_CR3, w->root);
	}
	step_works(ACCESS_READ, w->window, frame);
	step_store(w->slot[2], 0);
	step_cr(STEP_CR3, w->root);
	step_faults(ACCESS_READ, w->window, 0);
}

void test_same_cr3(void)
{
	for_paged_modes(same_cr3);
	say_count("same-cr3");
}

static void global(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), other = frame_new();
	u64 at[2] = {frame, other};

	if (!has.pge)
		return;
	/* Without CR4.PGE the bit says nothing. */
	step_store(w->slot[1], frame | OPEN | PTE_G);
	step_invlpg(w->window);
	step_works(ACCESS_READ, w->window, frame);
	step_store(w->slot[1], other | OPEN | PTE_G);
	step_cr(STEP_CR3, w->root);
	step_works(ACCESS_READ, w->window, other);
	step_store(w->slot[1], frame | OPEN | PTE_G);
	step_cr(STEP_CR4, w->c.cr4 | X86_CR4_PGE);
	for (unsigned i = 0; i < 6; i++) {
		step_check();
		step_works(ACCESS_READ, w->window, at[i & 1]);
		step_works(ACCESS_WRITE | USER, w->window, at[i & 1]);
		step_store(w->slot[1], at[~i & 1] | OPEN | PTE_G);
		step_cr(STEP_CR3, w->root);
		step_reads_either(ACCESS_READ, w->window, frame, other);
		switch (i % 3) { /* each of these forgets it */
		case 0:
			step_invlpg(w->window);
			break;
		case 1:
			step_cr(STEP_CR4, w->c.cr4);
			step_cr(STEP_CR4, w->c.cr4 | X86_CR4_PGE);
			break;
		case 2:
			step_cr(STEP_CR4, w->c.cr4);
			step_works(ACCESS_READ, w->window, at[~i & 1]);
			step_cr(STEP_CR4, w->c.cr4 | X86_CR4_PGE);
		}
	}
	/* It was global, and is no more: MOV to CR3 is enough from the next time on. */
	step_store(w->slot[1], frame | OPEN);
	step_invlpg(w->window);
	step_works(ACCESS_READ, w->window, frame);
	step_store(w->slot[1], 0);
	step_cr(STEP_CR3, w->root);
	step_faults(ACCESS_READ, w->window, 0);
	step_cr(STEP_CR4, w->c.cr4);
}

void test_global(void)
{
	for_paged_modes(global);
	say_count("global");
}

/** INVLPG of what is not mapped, was never mapped, or is no address at all. */
static void invlpg_anywhere(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), addr = 0;

	for (unsigned i = 0; i < 200; i++) {
		addr = addr * 6364136223846793005ull + 1442695040888963407ull;
		step_invlpg(addr);
	}
	step_works(ACCESS_READ | USER, w->window, frame);
	step_invlpg(0);
	step_invlpg(~0ull);
	step_invlpg(BIT(47)); /* in 64-bit mode not canonical: like a NOP */
	step_invlpg(w->window + BIT(39));
	step_invlpg(w->window + PAGE_SIZE);
	step_works(ACCESS_WRITE | USER, w->window, frame);
}

void test_invlpg_anywhere(void)
{
	for_paged_modes(invlpg_anywhere);
	say_count("invlpg-anywhere");
}

/** The PDPTEs of PAE paging are registers, loaded by MOV to CR3, and to CR0 and CR4 where they
 * change certain bits (4.4.1 "PDPTE Registers"). */
void test_pdptes(void)
{
	static const u64 cr4_loads[] = {X86_CR4_PGE, X86_CR4_PSE, X86_CR4_SMEP};
	u64 slot, entry, frame, reserved[] = {BIT(1), BIT(2), BIT(5), BIT(8), BIT(62)};
	struct world w;

	arena_reset();
	world_build(&w, MODE_PAE);
	slot = w.slot[3];
	entry = entry_read(MODE_PAE, slot);
	frame = leads_to(&w, w.slot[1]);
	steps_begin(&w);
	step_store(slot, 0);
	step_works(ACCESS_READ | USER, w.window, frame);
	step_invlpg(w.window);
	step_works(ACCESS_WRITE | USER, w.window, frame);
	step_cr(STEP_CR3, w.root);
	step_faults(ACCESS_READ | USER, w.window, PF_U);
	step_store(slot, entry);
	step_invlpg(w.window);
	step_faults(ACCESS_READ | USER, w.window, PF_U);
	for (unsigned i = 0; i < ARRAY_SIZE(cr4_loads); i++) {
		if ((cr4_loads[i] == X86_CR4_SMEP && !has.smep) ||
		    (cr4_loads[i] == X86_CR4_PGE && !has.pge))
			continue;
		step_check();
		step_cr(STEP_CR4, w.c.cr4 | cr4_loads[i]);
		step_works(ACCESS_READ | USER, w.window, frame);
		step_store(slot, 0);
		step_invlpg(w.window);
		step_works(ACCESS_READ | USER, w.window, frame);
		step_cr(STEP_CR4, w.c.cr4);
		step_faults(ACCESS_READ | USER, w.window, PF_U);
		step_store(slot, entry);
	}
	step_check();
	step_cr(STEP_CR0, w.c.cr0 | X86_CR0_CD);
	step_cr(STEP_CR0, w.c.cr0);
	step_works(ACCESS_READ | USER, w.window, frame);
	/* Reserved bits in one that is present: #GP, and all is as it was. */
	for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++) {
		step_check();
		step_store(slot, entry | reserved[i]);
		step_cr_faults(STEP_CR3, w.root, GP_VECTOR);
		step_works(ACCESS_READ | USER, w.window, frame);
		step_store(slot, (entry | reserved[i]) & ~PTE_P);
		step_cr(STEP_CR3, w.root);
		step_faults(ACCESS_READ, w.window, 0);
		step_store(slot, entry);
		step_cr(STEP_CR3, w.root);
		step_works(ACCESS_READ, w.window, frame);
	}
	/* Accessed and dirty are not for them. */
	step_load(slot, entry, 0);
	steps_run();
	say_count("pdptes");
}
