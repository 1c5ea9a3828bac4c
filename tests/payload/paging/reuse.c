/* SPDX-License-Identifier: MIT */
/* Tables that change what they are: large pages split and joined, tables recycled as data, and more
 * tables than anybody keeps copies of. */
#include "paging.h"

#define USER ACCESS_USER

/** The large page of `level` at the window becomes small ones of the level below, and back. */
static void split_and_join_at(struct world *w, unsigned level, u64 large)
{
	enum paging_mode mode = w->c.mode;
	u64 size = BIT(level_shift(mode, level)), step = BIT(level_shift(mode, level - 1));
	u64 start = ALIGN_DOWN(w->window, size), table = page_new(), other = frame_new();
	u64 in_frame = large + (w->window - start);
	u64 small = level == 2 ? 0 : PTE_PS; /* pages of 2 MiB are large, too */
	u64 slot = table + (w->window - start) / step * entry_bytes(w);
	u64 beside = w->window ^ PAGE_SIZE, flags = PTE_P | PTE_W | PTE_U;

	frame_mark(ALIGN_DOWN(in_frame, PAGE_SIZE));
	frame_mark(ALIGN_DOWN(in_frame, PAGE_SIZE) ^ PAGE_SIZE);
	for (u64 i = 0; i < size / step; i++)
		entry_write(mode, table + i * entry_bytes(w), (large + i * step) | flags | small);
	for (unsigned i = 0; i < 3; i++) {
		step_check();
		step_store(w->slot[level], large | flags | PTE_PS);
		if (i)
			step_cr(STEP_CR3, w->root);
		else
			step_invlpg(w->window);
		step_works(ACCESS_READ | USER, w->window, in_frame);
		step_load(w->slot[level], large | flags | PTE_PS | PTE_A, 0);
		step_works(ACCESS_WRITE, beside, in_frame ^ PAGE_SIZE);
		step_load(w->slot[level], large | flags | PTE_PS | PTE_A | PTE_D, 0);
		/* Split: all is where it was ... */
		step_store(w->slot[level], table | flags);
		step_invlpg(w->window);
		step_works(ACCESS_WRITE | USER, w->window, in_frame);
		step_works(ACCESS_READ | USER, beside, in_frame ^ PAGE_SIZE);
		step_load(slot, ALIGN_DOWN(in_frame, step) | flags | small | PTE_A | PTE_D, 0);
		if (level > 2)
			continue;
		/* ... until one small page goes elsewhere, and is written by nobody but us. */
		step_store(slot, other | PTE_P | PTE_U);
		step_invlpg(w->window);
		step_works(ACCESS_READ | USER, w->window, other);
		step_faults(ACCESS_WRITE, w->window, PF_P | PF_W);
		step_works(ACCESS_READ | USER, beside, in_frame ^ PAGE_SIZE);
		step_store(slot, in_frame | flags | small);
		step_invlpg(w->window);
		step_invlpg(beside);
	}
	/* Joined without W: the small pages' right to write is gone after the flush. */
	step_check();
	step_works(ACCESS_WRITE, w->window, in_frame);
	step_store(w->slot[level], large | PTE_P | PTE_U | PTE_PS);
	step_cr(STEP_CR3, w->root);
	step_faults(ACCESS_WRITE, w->window, PF_P | PF_W);
	step_faults(ACCESS_WRITE | USER, beside, PF_P | PF_W | PF_U);
	step_works(ACCESS_READ | USER, beside, in_frame ^ PAGE_SIZE);
}

static void split_and_join(struct world *w)
{
	split_and_join_at(w, 2, w->c.mode == MODE_32 ? FRAME_4M : FRAME_2M);
}

void test_split_and_join(void)
{
	for_paged_modes(split_and_join);
	say_count("split-and-join");
}

void test_split_1g(void)
{
	struct world w;

	if (!has.gib_pages) {
		print("split-1g: this processor has no pages of 1 GiB\n");
		return;
	}
	arena_reset();
	world_build(&w, MODE_64);
	w.c.cr0 |= X86_CR0_WP;
	steps_begin(&w);
	split_and_join_at(&w, 3, FRAME_1G);
	steps_run();
	say_count("split-1g");
}

/** A page is a table, then data that looks like one, then a table again. */
static void recycled(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), old = w->slot[1] & PAGE_MASK, other = frame_new();
	u64 table = page_new(), bytes = entry_bytes(w);
	u64 slot = table | (w->slot[1] & ~PAGE_MASK);

	entry_write(w->c.mode, slot, old | OPEN);
	step_works(ACCESS_WRITE, w->window, frame);
	for (unsigned round = 0; round < 3; round++) {
		u64 next = round & 1 ? frame : other;

		/* Its entry in the directory goes, and it is the page that the window shows. */
		step_check();
		step_store(w->slot[2], table | OPEN);
		step_invlpg(w->window);
		for (u64 at = 0; at < PAGE_SIZE; at += 64 * bytes)
			step_write(ACCESS_WRITE | USER, w->window - (w->window & ~PAGE_MASK) + at,
				   other | OPEN);
		step_write(ACCESS_WRITE | USER, shown(w->window, w->slot[1]), next | OPEN);
		step_reads(ACCESS_READ, shown(w->window, w->slot[1]), next | OPEN, 0);
		step_load(slot, old | OPEN | PTE_D, 0);
		/* And a table again, with what it holds now. */
		step_store(w->slot[2], old | OPEN);
		step_invlpg(w->window);
		step_works(ACCESS_WRITE | USER, w->window, next);
		step_load(w->slot[1], next | OPEN | PTE_D, 0);
	}
	/* A directory of the same page, as far as the levels allow: its entries are tables then. */
	step_check();
	step_store(w->slot[2], old | OPEN);
	step_store(w->slot[1], old | OPEN);
	step_invlpg(w->window);
	step_reads(ACCESS_READ | USER, shown(w->window, w->slot[1]), old | OPEN, 0);
}

void test_recycled(void)
{
	for_paged_modes(recycled);
	say_count("recycled");
}

#define MANY 1500u /* tables, each with its own page behind: more than a pool of 4 MiB holds */
#define ROOTS 40u

/** Page tables without end: each address needs one of its own, and each root all that lead to it.
 */
void test_endless(void)
{
	unsigned many = option("thorough") ? 3 * MANY : MANY;
	struct world w;
	u64 frame, step = BIT(level_shift(MODE_64, 2));

	arena_reset();
	world_build(&w, MODE_64);
	frame = w.slot[1] & PAGE_MASK; /* all show the window's page table */
	steps_begin(&w);
	for (unsigned i = 1; i < many; i++)
		world_map(&w, w.window + i * step, frame | PTE_P | PTE_U, 1);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 1; i < many; i++) {
			u64 addr = w.window + i * 7919 % many * step;

			if (addr == w.window)
				continue;
			step_check();
			step_reads(ACCESS_READ | USER, shown(addr, w.slot[1]),
				   entry_read(MODE_64, w.slot[1]), 0);
			step_faults(ACCESS_WRITE | USER, addr, PF_P | PF_W | PF_U);
			step_load(world_slot(&w, addr, 1), frame | PTE_P | PTE_U | PTE_A, 0);
			if (!steps_room())
				steps_run();
		}
	}
	steps_run();
	for (unsigned i = 0; i < ROOTS; i++) {
		world_build(&w, MODE_64);
		steps_begin(&w);
		frame = leads_to(&w, w.slot[1]);
		step_works(ACCESS_WRITE | USER, w.window, frame);
		step_works(ACCESS_FETCH | USER, w.window, frame);
		steps_run();
	}
	say_count("endless");
}
