/* SPDX-License-Identifier: MIT */
/* Changes of the control bits under entries that stay as they are, and a mixture of everything:
 * random accesses, entries and control registers, with the invalidations that the architecture asks
 * for. */
#include "paging.h"

#define USER ACCESS_USER

void for_paged_modes(void (*fn)(struct world *w))
{
	static const enum paging_mode modes[] = {MODE_64, MODE_PAE, MODE_32};
	struct world w;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		arena_reset();
		world_build(&w, modes[i]);
		w.c.cr0 |= X86_CR0_WP;
		w.c.cr4 |= modes[i] == MODE_32 ? X86_CR4_PSE : 0;
		w.c.efer = has.nx && modes[i] != MODE_32 ? EFER_NX : 0;
		steps_begin(&w);
		fn(&w);
		steps_run();
	}
}

/** CR0.WP goes and comes, over user pages and the supervisor's, read-only both; SMEP with it. */
static void write_protect(struct world *w)
{
	enum paging_mode mode = w->c.mode;
	u64 frame = entry_read(mode, w->slot[1]) & PTE_ADDRESS;
	u64 supervisor = w->window + PAGE_SIZE, open = w->c.cr0 & ~X86_CR0_WP;

	world_map(w, w->window, frame | PTE_P | PTE_U, 1);
	world_map(w, supervisor, frame | PTE_P, 1);
	for (unsigned i = 0; i < 3; i++) {
		step_check();
		step_works(ACCESS_READ | USER, w->window, frame);
		step_faults(ACCESS_WRITE, w->window, PF_P | PF_W);
		step_faults(ACCESS_WRITE, supervisor, PF_P | PF_W);
		step_cr(STEP_CR0, open);
		step_works(ACCESS_WRITE, w->window, frame);
		/* Though the supervisor has written, the user has no more rights than before, and
		 * no less. */
		step_works(ACCESS_READ | USER, w->window, frame);
		step_works(ACCESS_FETCH | USER, w->window, frame);
		step_faults(ACCESS_WRITE | USER, w->window, PF_P | PF_W | PF_U);
		step_works(ACCESS_WRITE, w->window, frame);
		step_works(ACCESS_FETCH, w->window, frame);
		step_works(ACCESS_WRITE, supervisor, frame);
		step_faults(ACCESS_READ | USER, supervisor, PF_P | PF_U);
		step_load(w->slot[1], frame | PTE_P | PTE_U | PTE_A | PTE_D, 0);
		step_cr(STEP_CR0, w->c.cr0);
		step_faults(ACCESS_WRITE, w->window, PF_P | PF_W);
		step_faults(ACCESS_WRITE, supervisor, PF_P | PF_W);
		if (!has.smep)
			continue;
		step_check();
		step_cr(STEP_CR0, open);
		step_cr(STEP_CR4, w->c.cr4 | X86_CR4_SMEP);
		step_works(ACCESS_WRITE, w->window, frame);
		step_faults(ACCESS_FETCH, w->window, PF_P | PF_I);
		step_works(ACCESS_FETCH | USER, w->window, frame);
		step_works(ACCESS_WRITE, w->window, frame);
		step_works(ACCESS_FETCH, supervisor, frame);
		step_cr(STEP_CR4, w->c.cr4);
		step_works(ACCESS_FETCH, w->window, frame);
		step_cr(STEP_CR0, w->c.cr0);
	}
}

void test_write_protect(void)
{
	for_paged_modes(write_protect);
	say_count("write-protect");
}

/** CR4.PSE decides what a bit of a PDE means. */
static void pse(struct world *w)
{
	u64 frame = entry_read(MODE_32, w->slot[1]) & PTE_ADDRESS;
	u64 table = w->slot[1] & PAGE_MASK;
	u64 large = table & ~(MIB(4) - 1), in_large = large + (w->window & (MIB(4) - 1));

	if (w->c.mode != MODE_32)
		return;
	frame_mark(ALIGN_DOWN(in_large, PAGE_SIZE));
	step_cr(STEP_CR4, w->c.cr4 & ~X86_CR4_PSE);
	step_store(w->slot[2], table | OPEN | PTE_PS);
	step_cr(STEP_CR3, w->root);
	for (unsigned i = 0; i < 4; i++) {
		step_check();
		step_works(ACCESS_WRITE | USER, w->window, frame);
		step_load(w->slot[2], table | OPEN | PTE_PS, 0);
		step_cr(STEP_CR4, w->c.cr4);
		step_store(w->slot[2], large | OPEN | PTE_PS);
		step_works(ACCESS_WRITE | USER, w->window, in_large);
		step_load(w->slot[2], large | OPEN | PTE_PS | PTE_D, 0);
		step_store(w->slot[2], table | OPEN | PTE_PS);
		step_cr(STEP_CR4, w->c.cr4 & ~X86_CR4_PSE);
	}
}

void test_pse(void)
{
	for_paged_modes(pse);
	say_count("pse");
}

#define TABLES 8u
#define PER_TABLE 3u /* pages of each that are looked at */
#define PAGES (TABLES * PER_TABLE)
#define STEPS_DEFAULT 4000u
#define THOROUGH 25u

/** The tables as they have to be after the steps so far. Entries that lead to tables have A set
 * always, so that nothing is left to the processor. */
static struct mixture {
	struct world w;
	struct controls c;
	u64 upper[MAX_LEVELS + 1], frame[4], large;
	u64 slot[PAGES], entry[PAGES]; /* of page tables */
	/* The directory: its entries, and the number of the table that each leads to. */
	u64 directory_slot[TABLES], directory[TABLES], table[TABLES];
	unsigned leads_to[TABLES];
} mix;

static u64 random_state;

static u64 random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state >> 11;
}

/** The address of a page by an entry of the directory. */
static u64 mix_addr(unsigned directory, unsigned page)
{
	return mix.w.window + (directory + 1) * BIT(level_shift(mix.c.mode, 2)) + page * PAGE_SIZE;
}

static void mixture_build(enum paging_mode mode)
{
	arena_reset();
	world_build(&mix.w, mode);
	mix.w.c.efer = has.nx && mode != MODE_32 ? EFER_NX : 0;
	mix.w.c.cr4 |= mode == MODE_32 ? X86_CR4_PSE : 0;
	mix.c = mix.w.c;
	mix.large = mode == MODE_32 ? FRAME_4M : FRAME_2M;
	random_state = 0x9e3779b97f4a7c15 + mode;
	for (unsigned i = 0; i < ARRAY_SIZE(mix.frame); i++)
		mix.frame[i] = frame_new();
	for (unsigned i = 0; i < PER_TABLE; i++)
		frame_mark(mix.large + (WINDOW_PTE + i) * PAGE_SIZE);
	for (unsigned i = 0; i < PAGES; i++) {
		unsigned table = i / PER_TABLE;
		u64 addr = mix_addr(table, i % PER_TABLE);

		mix.entry[i] = mix.frame[i % ARRAY_SIZE(mix.frame)] | OPEN;
		world_map(&mix.w, addr, mix.entry[i], 1);
		mix.slot[i] = world_slot(&mix.w, addr, 1);
		mix.table[table] = mix.slot[i] & PAGE_MASK;
		mix.directory_slot[table] = world_slot(&mix.w, addr, 2);
		mix.directory[table] = mix.table[table] | OPEN;
		mix.leads_to[table] = table;
	}
	for (unsigned level = 3; level <= mode_info[mode].levels; level++)
		mix.upper[level] = entry_read(mode, mix.w.slot[level]);
	steps_begin(&mix.w);
}

static void mix_access(unsigned directory, unsigned page)
{
	unsigned i = mix.leads_to[directory] * PER_TABLE + page;
	u64 entry[MAX_LEVELS + 1] = {0, mix.entry[i], mix.directory[directory], mix.upper[3],
				     mix.upper[4]};
	u32 access = (u32)(random_bits() % NR_ACCESS_KINDS) | (random_bits() & 1 ? USER : 0);
	u64 addr = mix_addr(directory, page) + random_bits() % 512 * 8;
	struct verdict v;

	if (mix.c.cr4 & X86_CR4_SMAP && random_bits() & 1)
		access |= ACCESS_AC;
	predict(&mix.c, entry, addr, access, &v);
	if (v.fault)
		step_faults(access, addr, v.error);
	else
		step_works(access, addr, v.phys);
	mix.entry[i] = v.after[1];
	mix.directory[directory] = v.after[2];
	step_load(mix.slot[i], mix.entry[i], 0);
	step_load(mix.directory_slot[directory], mix.directory[directory], 0);
}

static u64 random_rights(void)
{
	u64 nx = mix.c.efer & EFER_NX ? PTE_NX : 0;

	/* Each missing once in four or eight times. */
	return (random_bits() & 7 ? PTE_P : 0) | (random_bits() & 3 ? PTE_W : 0) |
	       (random_bits() & 3 ? PTE_U : 0) | (random_bits() & 7 ? 0 : nx);
}

static u64 random_flags(void)
{
	return random_bits() & (PTE_A | PTE_D | PTE_G | PTE_PCD);
}

/** Another entry in a page table, which several entries of the directory may lead to: INVLPG, if
 * need be. */
static void mix_entry(unsigned i)
{
	u64 old = mix.entry[i];

	mix.entry[i] =
		mix.frame[random_bits() % ARRAY_SIZE(mix.frame)] | random_rights() | random_flags();
	step_store(mix.slot[i], mix.entry[i]);
	for (unsigned n = 0; n < TABLES && old & PTE_P; n++) {
		if (mix.leads_to[n] == i / PER_TABLE)
			step_invlpg(mix_addr(n, i % PER_TABLE));
	}
}

/** Another table or a large page, and other rights: INVLPG of all pages there. */
static void mix_directory(unsigned directory)
{
	u64 new;

	if (random_bits() & 3) {
		mix.leads_to[directory] = (unsigned)(random_bits() % TABLES);
		new = mix.table[mix.leads_to[directory]] | random_rights() | PTE_A;
	} else {
		new = mix.large | random_rights() | random_flags() | PTE_PS;
	}
	mix.directory[directory] = new;
	step_store(mix.directory_slot[directory], new);
	for (unsigned page = 0; page < PER_TABLE; page++)
		step_invlpg(mix_addr(directory, page));
}

/** SMAP without CR0.WP is the case folded-smap. */
static void mix_control(void)
{
	bool wp = mix.c.cr0 & X86_CR0_WP, smap = mix.c.cr4 & X86_CR4_SMAP;
	u64 cr4 = 0;

	switch (random_bits() % 4) {
	case 0:
		step_cr(STEP_CR3, mix.w.root);
		return;
	case 1:
		if (smap)
			return;
		mix.c.cr0 ^= X86_CR0_WP;
		step_cr(STEP_CR0, mix.c.cr0);
		return;
	case 2:
		cr4 = has.smep ? X86_CR4_SMEP : 0;
		break;
	case 3:
		cr4 = has.smap && wp && random_bits() & 1 ? X86_CR4_SMAP
		      : has.pge				  ? X86_CR4_PGE
							  : 0;
		break;
	}
	mix.c.cr4 ^= cr4;
	step_cr(STEP_CR4, mix.c.cr4);
}

static void mixture_in(enum paging_mode mode)
{
	unsigned n = STEPS_DEFAULT * (option("thorough") ? THOROUGH : 1);

	mixture_build(mode);
	while (n--) {
		unsigned i = (unsigned)(random_bits() % PAGES), what = random_bits() & 31;

		if (what == 0)
			mix_control();
		else if (what == 1)
			mix_directory(i % TABLES);
		else if (what < 8)
			mix_entry(i);
		else
			mix_access(i / PER_TABLE, i % PER_TABLE);
		/* The list ends with its world: the next one begins in the first state again. */
		if (!steps_room()) {
			steps_run();
			mix.w.c = mix.c;
			steps_begin(&mix.w);
		}
	}
	steps_run();
}

void test_mixture(void)
{
	mixture_in(MODE_64);
	mixture_in(MODE_PAE);
	mixture_in(MODE_32);
	say_count("mixture");
}
