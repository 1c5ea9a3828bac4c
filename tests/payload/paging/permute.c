/* SPDX-License-Identifier: MIT */
/*
 * All combinations of an entry's bits on one level, the others being open, with all combinations of
 * the control bits, by all kinds of access; and random ones of all levels at once.
 */
#include "paging.h"

/* Bits that decide nothing: PWT, PCD, G, and what is software's. */
#define NOISE_32 (PTE_PWT | PTE_PCD | PTE_G | BIT(9) | BIT(10) | BIT(11))
#define NOISE_64 (NOISE_32 | BIT(52) | BIT(58))

/** Of an entry that says "not present" one combination in three is enough. */
#define FEWER_ABSENT 3

#define RANDOM_CHECKS 400 /* with each combination of the control bits */
#define THOROUGH 25

/** The bits of a level's entries that are varied. */
struct variable {
	u64 bit[10];
	unsigned nr;
};

static void vary(struct variable *v, u64 bit)
{
	if (bit)
		v->bit[v->nr++] = bit;
}

static struct variable variables(const struct controls *c, unsigned level)
{
	struct variable v = {.nr = 0};

	vary(&v, PTE_P);
	vary(&v, PTE_W);
	vary(&v, PTE_U);
	vary(&v, PTE_A);
	if (level <= 3)
		vary(&v, PTE_D);
	if (level > 1)
		vary(&v, PTE_PS);
	if (level == 2 || level == 3)
		vary(&v, c->mode == MODE_32 ? PDE_4M_RESERVED : PTE_LARGE_RESERVED);
	if (c->mode == MODE_32)
		return v;
	if (has.nx)
		vary(&v, PTE_NX);
	if (c->mode == MODE_PAE)
		vary(&v, BIT(62)); /* reserved, but ignored in 64-bit mode */
	else if (has.maxphyaddr < 52)
		vary(&v, BIT(51));
	return v;
}

static u64 combination(const struct variable *v, u64 number)
{
	u64 bits = 0;

	for (unsigned i = 0; i < v->nr; i++) {
		if (number & BIT(i))
			bits |= v->bit[i];
	}
	return bits;
}

/** What an entry with these bits points to: the next table, or a frame of its size. */
static u64 target(const struct controls *c, unsigned level, u64 bits, u64 open)
{
	if (level == 1 || !entry_is_leaf(c, level, bits))
		return open & PTE_ADDRESS;
	if (level == 3)
		return FRAME_1G;
	return c->mode == MODE_32 ? FRAME_4M : FRAME_2M;
}

/** Bits that make a difference for the entry of a page only. */
static bool pointless(const struct controls *c, unsigned level, u64 bits)
{
	u64 of_pages = level == 1	    ? 0
		       : c->mode == MODE_32 ? PTE_D | PDE_4M_RESERVED
					    : PTE_D | PTE_LARGE_RESERVED;

	return bits & of_pages && !entry_is_leaf(c, level, bits);
}

/** The highest level that is in memory: PAE paging has its PDPTEs in registers. */
static unsigned top_level(enum paging_mode mode)
{
	return mode == MODE_PAE ? 2 : mode_info[mode].levels;
}

/** One access with these entries. */
static void check_access(const struct world *w, const u64 *entry, u32 access)
{
	unsigned top = top_level(w->c.mode);
	u64 addr = w->window + 8 * (access & ACCESS_KIND);
	struct verdict v;

	predict(&w->c, entry, addr, access, &v);
	step_check();
	for (unsigned level = top; level; level--)
		step_store(w->slot[level], entry[level]);
	step_invlpg(addr);
	if (v.fault)
		step_faults(access, addr, v.error);
	else
		step_works(access, addr, v.phys);
	for (unsigned level = top; level; level--)
		step_load(w->slot[level], v.after[level], v.may[level]);
	if (!steps_room())
		steps_run();
}

static void check_accesses(const struct world *w, const u64 *entry)
{
	/* SMAP is nothing to the user. */
	bool smap = w->c.cr4 & X86_CR4_SMAP;

	for (u32 kind = 0; kind < NR_ACCESS_KINDS; kind++) {
		check_access(w, entry, kind);
		check_access(w, entry, kind | (smap ? ACCESS_AC : ACCESS_USER));
	}
}

static void permute_level(const struct world *w, const u64 *open, unsigned level)
{
	struct variable v = variables(&w->c, level);
	u64 entry[MAX_LEVELS + 1];

	for (unsigned i = 1; i <= MAX_LEVELS; i++)
		entry[i] = open[i];
	for (u64 number = 0; number < BIT(v.nr); number++) {
		u64 bits = combination(&v, number);

		if (pointless(&w->c, level, bits) ||
		    (!(bits & PTE_P) && (number >> 1) % FEWER_ABSENT))
			continue;
		entry[level] = bits | target(&w->c, level, bits, open[level]);
		check_accesses(w, entry);
	}
}

static u64 random_state = 0x2545f4914f6cdd1d;

static u64 random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void random_entries(const struct world *w, const u64 *open, u64 *entry)
{
	u64 noise = w->c.mode == MODE_64 ? NOISE_64 : NOISE_32;

	for (unsigned level = 1; level <= MAX_LEVELS; level++)
		entry[level] = open[level];
	for (unsigned level = 1; level <= top_level(w->c.mode); level++) {
		struct variable v = variables(&w->c, level);
		u64 bits = OPEN;

		/* Each bit is turned once in eight times, so that many accesses work. */
		bits ^= combination(&v, random_bits() & random_bits() & random_bits());
		if (pointless(&w->c, level, bits))
			bits &= ~(PTE_D | PDE_4M_RESERVED | PTE_LARGE_RESERVED);
		entry[level] =
			bits | (random_bits() & noise) | target(&w->c, level, bits, open[level]);
	}
}

static void check_random(const struct world *w, const u64 *open)
{
	unsigned n = RANDOM_CHECKS * (option("thorough") ? THOROUGH : 1);
	u64 entry[MAX_LEVELS + 1];

	while (n--) {
		random_entries(w, open, entry);
		check_accesses(w, entry);
	}
}

static void permute_all(const struct world *w, const u64 *open)
{
	for (unsigned level = 1; level <= top_level(w->c.mode); level++)
		permute_level(w, open, level);
}

typedef void check_fn(const struct world *w, const u64 *open);

/** All combinations of the control bits, in one world. */
static void with_all_controls(enum paging_mode mode, check_fn *fn)
{
	u64 open[MAX_LEVELS + 1] = {0}, cr4;
	struct world w;

	arena_reset();
	world_build(&w, mode);
	cr4 = w.c.cr4;
	frame_mark(FRAME_1G + ((u64)WINDOW_PDE << 21) + WINDOW_PTE * PAGE_SIZE);
	frame_mark(FRAME_2M + WINDOW_PTE * PAGE_SIZE);
	frame_mark(FRAME_4M + WINDOW_PTE * PAGE_SIZE);
	for (unsigned level = 1; level <= mode_info[mode].levels; level++)
		open[level] = entry_read(mode, w.slot[level]);
	for (unsigned i = 0; i < BIT(5); i++) {
		bool nx = i & BIT(3);

		/* SMAP and NX have nothing to do with each other: once is enough. */
		if ((i & BIT(1) && !has.smep) ||
		    (i & BIT(2) && (!has.smap || (has.nx && mode != MODE_32 && !nx))) ||
		    (nx && (!has.nx || mode == MODE_32)) || (i & BIT(4) && mode != MODE_32))
			continue;
		w.c.cr0 = (w.c.cr0 & ~X86_CR0_WP) | (i & BIT(0) ? X86_CR0_WP : 0);
		w.c.cr4 = cr4 | (i & BIT(1) ? X86_CR4_SMEP : 0) | (i & BIT(2) ? X86_CR4_SMAP : 0) |
			  (i & BIT(4) ? X86_CR4_PSE : 0);
		w.c.efer = nx ? EFER_NX : 0;
		steps_begin(&w);
		fn(&w, open);
		steps_run();
	}
}

void test_permute_64(void)
{
	with_all_controls(MODE_64, permute_all);
	say_count("permute-64");
}

void test_permute_pae(void)
{
	with_all_controls(MODE_PAE, permute_all);
	say_count("permute-pae");
}

void test_permute_32(void)
{
	with_all_controls(MODE_32, permute_all);
	say_count("permute-32");
}

void test_random_64(void)
{
	with_all_controls(MODE_64, check_random);
	say_count("random-64");
}

void test_random_pae(void)
{
	with_all_controls(MODE_PAE, check_random);
	say_count("random-pae");
}

void test_random_32(void)
{
	with_all_controls(MODE_32, check_random);
	say_count("random-32");
}

void test_off(void)
{
	struct world w;

	arena_reset();
	world_build(&w, MODE_OFF);
	steps_begin(&w);
	for (u32 kind = 0; kind < NR_ACCESS_KINDS; kind++) {
		step_works(kind, w.window + 8 * kind, w.window + 8 * kind);
		step_works(kind | ACCESS_USER, w.window + 8 * kind, w.window + 8 * kind);
	}
	steps_run();
	say_count("off");
}
