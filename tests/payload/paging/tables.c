/* SPDX-License-Identifier: MIT */
/* Unusual page tables: tables that map themselves, serve two levels, are shared, split, joined,
 * used as data; one frame at two addresses; and more tables than anybody keeps copies of. */
#include "paging.h"

#define USER ACCESS_USER

/** The page so many behind the window's. */
static u64 neighbour(const struct world *w, int pages)
{
	return w->window + (s64)pages * (s64)PAGE_SIZE;
}

static void self_map(struct world *w)
{
	u64 table = w->slot[1] & PAGE_MASK, self = neighbour(w, 1), other = frame_new();
	u64 self_slot = w->slot[1] + entry_bytes(w), frame = leads_to(w, w->slot[1]);
	u64 full = OPEN | PTE_D;

	world_map(w, self, table | full, 1);
	step_works(ACCESS_READ, w->window, frame);
	/* The window's entry, written through the page that maps its table. */
	for (unsigned i = 0; i < 3; i++) {
		u32 who = i & 1 ? USER : 0;

		step_check();
		step_write(ACCESS_WRITE | who, shown(self, w->slot[1]), 0);
		step_invlpg(w->window);
		step_faults(ACCESS_READ | USER, w->window, PF_U);
		step_write(ACCESS_WRITE | who, shown(self, w->slot[1]), other | OPEN);
		step_works(ACCESS_READ | USER, w->window, other); /* nothing was there to forget */
		step_load(w->slot[1], other | OPEN, 0);
		step_write(ACCESS_WRITE | who, shown(self, w->slot[1]), frame | OPEN);
		step_invlpg(w->window);
		step_works(ACCESS_WRITE, w->window, frame);
		step_reads(ACCESS_READ | who, shown(self, w->slot[1]), frame | OPEN | PTE_D, 0);
	}
	/* The entry that maps the page which is written: the write takes away its own right ... */
	step_check();
	step_write(ACCESS_WRITE, shown(self, self_slot), (table | full) & ~PTE_W);
	step_invlpg(self);
	step_faults(ACCESS_WRITE, shown(self, self_slot), PF_P | PF_W);
	step_faults(ACCESS_WRITE | USER, shown(self, self_slot), PF_P | PF_W | PF_U);
	step_reads(ACCESS_READ, shown(self, self_slot), (table | full) & ~PTE_W, 0);
	/* ... and gets it back from elsewhere. */
	step_store(self_slot, table | full);
	step_gains(ACCESS_WRITE, shown(self, self_slot) & PAGE_MASK, table, PF_P | PF_W);
	step_store(table, 0);
	/* Through its own page it makes that page another one. */
	step_check();
	step_write(ACCESS_WRITE | USER, shown(self, self_slot), other | OPEN);
	step_invlpg(self);
	step_works(ACCESS_READ | USER, shown(self, self_slot), shown(other, self_slot));
	step_load(self_slot, other | OPEN, 0);
}

void test_self_map(void)
{
	for_paged_modes(self_map);
	say_count("self-map");
}

static void self_map_read_only(struct world *w)
{
	u64 table = w->slot[1] & PAGE_MASK, self = neighbour(w, 1), other = frame_new();
	u64 self_slot = w->slot[1] + entry_bytes(w);
	u64 entry = table | PTE_P | PTE_U;

	world_map(w, self, entry, 1);
	step_faults(ACCESS_WRITE, shown(self, w->slot[1]), PF_P | PF_W);
	step_faults(ACCESS_WRITE | USER, shown(self, w->slot[1]), PF_P | PF_W | PF_U);
	step_load(self_slot, entry, 0);
	/* The walk sets A in the entry before it is read. */
	step_reads(ACCESS_READ | USER, shown(self, self_slot), entry | PTE_A, 0);
	step_store(w->slot[1], other | OPEN);
	step_reads(ACCESS_READ | USER, shown(self, w->slot[1]), other | OPEN, 0);
	/* Without CR0.WP the supervisor writes all the same: D, and what it wrote. */
	step_check();
	step_cr(STEP_CR0, w->c.cr0 & ~X86_CR0_WP);
	step_write(ACCESS_WRITE, shown(self, w->slot[1]), 0);
	step_load(self_slot, entry | PTE_A | PTE_D, 0);
	step_load(w->slot[1], 0, 0);
	step_invlpg(w->window);
	step_faults(ACCESS_READ, w->window, 0);
	step_faults(ACCESS_WRITE | USER, shown(self, w->slot[1]), PF_P | PF_W | PF_U);
	step_write(ACCESS_WRITE, shown(self, w->slot[1]), other | OPEN);
	step_works(ACCESS_READ, w->window, other);
	step_cr(STEP_CR0, w->c.cr0);
	step_faults(ACCESS_WRITE, shown(self, w->slot[1]), PF_P | PF_W);
	step_reads(ACCESS_READ, shown(self, w->slot[1]), other | OPEN, 0);
}

void test_self_map_read_only(void)
{
	for_paged_modes(self_map_read_only);
	say_count("self-map-read-only");
}

/** The page directory as one of its own page tables: its pages are the window's tables. */
static void recursive(struct world *w)
{
	enum paging_mode mode = w->c.mode;
	u64 directory = w->slot[2] & PAGE_MASK, table = w->slot[1] & PAGE_MASK;
	unsigned shift = level_shift(mode, 2), index = 200;
	u64 base = (w->window & ~((BIT(mode_info[mode].index_bits) - 1) << shift) &
		    ~(BIT(shift) - 1)) |
		   (u64)index << shift;
	u64 table_at = base + (w->slot[2] & ~PAGE_MASK) / entry_bytes(w) * PAGE_SIZE;
	u64 self_at = base + index * PAGE_SIZE;
	u64 other = frame_new(), frame = leads_to(w, w->slot[1]), second = page_new();

	world_map(w, base, directory | OPEN | PTE_D, 2);
	entry_write(mode, second | (w->slot[1] & ~PAGE_MASK), other | OPEN);
	step_works(ACCESS_READ, w->window, frame);
	step_reads(ACCESS_READ | USER, shown(table_at, w->slot[1]), frame | OPEN, 0);
	step_write(ACCESS_WRITE | USER, shown(table_at, w->slot[1]), other | OPEN);
	step_load(w->slot[2], table | OPEN | PTE_D, 0); /* it was the last entry of that walk */
	step_invlpg(w->window);
	step_works(ACCESS_READ | USER, w->window, other);
	step_write(ACCESS_WRITE, shown(table_at, w->slot[1]), 0);
	step_invlpg(w->window);
	step_faults(ACCESS_READ | USER, w->window, PF_U);
	/* And the directory by itself: another table for the window. */
	step_check();
	step_reads(ACCESS_READ | USER, shown(self_at, w->slot[2]), table | OPEN | PTE_D, 0);
	step_write(ACCESS_WRITE | USER, shown(self_at, w->slot[2]), second | OPEN);
	step_invlpg(w->window);
	step_invlpg(table_at);
	step_works(ACCESS_WRITE | USER, w->window, other);
	step_reads(ACCESS_READ | USER, shown(table_at, w->slot[1]), other | OPEN | PTE_D, 0);
	step_write(ACCESS_WRITE | USER, shown(self_at, w->slot[2]), 0);
	step_invlpg(w->window);
	step_invlpg(table_at);
	step_faults(ACCESS_WRITE | USER, w->window, PF_W | PF_U);
	step_faults(ACCESS_READ | USER, table_at, PF_U);
}

void test_recursive(void)
{
	for_paged_modes(recursive);
	say_count("recursive");
}

#define RECURSIVE 0x55ull

/** In 64-bit mode the PML4 as the table of each level. */
void test_recursive_root(void)
{
	u64 all = RECURSIVE << 12 | RECURSIVE << 21 | RECURSIVE << 30 | RECURSIVE << 39;
	struct world w;
	u64 upper, frame, second;

	arena_reset();
	world_build(&w, MODE_64);
	frame = leads_to(&w, w.slot[1]);
	upper = leads_to(&w, w.slot[4]);
	second = page_new(); /* another PDPT */
	entry_write(MODE_64, w.root + RECURSIVE * 8, w.root | PTE_P | PTE_W | PTE_U);
	entry_write(MODE_64, second | (w.slot[3] & ~PAGE_MASK), leads_to(&w, w.slot[3]) | PTE_P);
	steps_begin(&w);
	step_works(ACCESS_READ | USER, w.window, frame);
	step_reads(ACCESS_READ, shown(all, w.slot[4]), upper | OPEN, 0);
	step_load(w.root + RECURSIVE * 8, w.root | OPEN, 0);
	step_write(ACCESS_WRITE, shown(all, w.slot[4]), second | PTE_P | PTE_U);
	step_load(w.root + RECURSIVE * 8, w.root | OPEN | PTE_D, 0);
	step_invlpg(w.window);
	step_faults(ACCESS_READ | USER, w.window, PF_P | PF_U); /* the PDPTE is the supervisor's */
	step_works(ACCESS_READ, w.window, frame);
	step_load(w.slot[4], second | PTE_P | PTE_U | PTE_A, 0);
	step_write(ACCESS_WRITE | USER, shown(all, w.slot[4]), upper | OPEN);
	step_invlpg(w.window);
	step_works(ACCESS_READ | USER, w.window, frame);
	/* Each level's table of the window, by one, two and three turns through the PML4. */
	for (unsigned level = 1; level < 4; level++) {
		u64 addr = 0;

		for (unsigned i = 0; i < level; i++) /* RECURSIVE in the upper indexes */
			addr |= RECURSIVE << (39 - 9 * i);
		for (unsigned at = 4; at > level; at--) /* then the window's, moved down */
			addr |= (w.window >> level_shift(MODE_64, at) & 511)
				<< (level_shift(MODE_64, at) - 9 * level);
		step_reads(ACCESS_READ | USER, shown(addr, w.slot[level]),
			   entry_read(MODE_64, w.slot[level]), PTE_D);
	}
	steps_run();
	say_count("recursive-root");
}

/** Two entries of the directory with one table behind them, and different rights. */
static void shared_table(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), table = w->slot[1] & PAGE_MASK, other = frame_new();
	u64 second = w->window + BIT(level_shift(w->c.mode, 2));
	u64 third = second + BIT(level_shift(w->c.mode, 2));

	world_map(w, second, table | PTE_P | PTE_U, 2);
	world_map(w, third, table | PTE_P | PTE_W, 2);
	for (unsigned i = 0; i < 2; i++) {
		u64 now = i ? other : frame;

		step_works(ACCESS_WRITE | USER, w->window, now);
		step_works(ACCESS_READ | USER, second, now);
		step_faults(ACCESS_WRITE | USER, second, PF_P | PF_W | PF_U);
		step_faults(ACCESS_WRITE, second, PF_P | PF_W);
		step_works(ACCESS_WRITE, third, now);
		step_faults(ACCESS_READ | USER, third, PF_P | PF_U);
		step_works(ACCESS_FETCH, third, now);
		step_store(w->slot[1], other | OPEN);
		step_invlpg(w->window);
		step_invlpg(second);
		step_invlpg(third);
	}
	step_load(w->slot[1], other | OPEN, 0);
	step_works(ACCESS_WRITE, third, other);
	step_load(w->slot[1], other | OPEN | PTE_D, 0);
	/* Nothing at all behind any of them. */
	step_check();
	step_store(w->slot[1], 0);
	step_invlpg(third);
	step_invlpg(second);
	step_invlpg(w->window);
	step_faults(ACCESS_READ, third, 0);
	step_faults(ACCESS_READ, second, 0);
	step_faults(ACCESS_READ, w->window, 0);
}

void test_shared_table(void)
{
	for_paged_modes(shared_table);
	say_count("shared-table");
}

/** One frame at four addresses, each with other rights. */
static void aliases(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), other = frame_new();
	u64 user_ro = neighbour(w, 1), supervisor = neighbour(w, 2), ro = neighbour(w, 3);

	world_map(w, user_ro, frame | PTE_P | PTE_U, 1);
	world_map(w, supervisor, frame | PTE_P | PTE_W, 1);
	world_map(w, ro, frame | PTE_P, 1);
	for (unsigned i = 0; i < 2; i++) {
		step_works(ACCESS_WRITE | USER, w->window, frame);
		step_works(ACCESS_READ | USER, user_ro, frame);
		step_faults(ACCESS_WRITE | USER, user_ro, PF_P | PF_W | PF_U);
		step_works(ACCESS_WRITE, supervisor, frame);
		step_faults(ACCESS_READ | USER, supervisor, PF_P | PF_U);
		step_faults(ACCESS_WRITE, ro, PF_P | PF_W);
		step_works(ACCESS_READ, ro, frame);
	}
	/* What is written at one address is read at the others. */
	step_write(ACCESS_WRITE | USER, w->window, 0x1234567);
	step_reads(ACCESS_READ | USER, user_ro, 0x1234567, 0);
	step_reads(ACCESS_READ, supervisor, 0x1234567, 0);
	step_reads(ACCESS_READ, ro, 0x1234567, 0);
	step_store(frame, mark(frame));
	/* Flags are each entry's own. */
	step_load(w->slot[1], frame | OPEN | PTE_D, 0);
	step_load(w->slot[1] + entry_bytes(w), frame | PTE_P | PTE_U | PTE_A, 0);
	step_load(w->slot[1] + 2 * entry_bytes(w), frame | PTE_P | PTE_W | PTE_A | PTE_D, 0);
	step_load(w->slot[1] + 3 * entry_bytes(w), frame | PTE_P | PTE_A, 0);
	/* One of them moves on. */
	step_check();
	step_store(w->slot[1] + entry_bytes(w), other | PTE_P | PTE_U);
	step_invlpg(user_ro);
	step_works(ACCESS_READ | USER, user_ro, other);
	step_works(ACCESS_READ | USER, w->window, frame);
}

void test_aliases(void)
{
	for_paged_modes(aliases);
	say_count("aliases");
}
