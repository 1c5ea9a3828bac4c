/* SPDX-License-Identifier: MIT */
/*
 * Holes: single pages that lose their memory for as long as a device covers them, and get it back.
 * Large pages are split for that, and put together again afterwards, so that a guest that moves a
 * device through all of its memory needs two tables for it and not thousands.
 */
#include "ept.h"

#include "lib/mem.h"

u64 *ept_take_table(struct ept *e, hpa_t *hpa)
{
	u64 *table;

	if (!e->spare.v)
		return e->env.alloc_page(e->env.ctx, hpa);
	*hpa = e->spare;
	table = e->env.page_ptr(e->env.ctx, *hpa);
	e->spare = HPA(table[0]);
	return memset(table, 0, PAGE_SIZE);
}

void ept_give_table(struct ept *e, u64 entry)
{
	u64 *table = ept_entry_table(e, entry);

	table[0] = e->spare.v;
	e->spare = HPA(entry & EPT_ADDR_MASK);
}

/** Replace the large page of `entry`, at `level`, by a table that maps the same. */
static bool split(struct ept *e, u64 *entry, unsigned level)
{
	u64 leaf = level == 2 ? *entry & ~EPT_LARGE : *entry;
	hpa_t hpa;
	u64 *table = ept_take_table(e, &hpa);

	if (!table)
		return false;
	for (unsigned i = 0; i < EPT_ENTRIES; i++)
		table[i] = leaf + i * ept_level_size(level - 1);
	*entry = hpa.v | EPT_RWX | EPT_SPLIT;
	return true;
}

/** Undo split(), unless there is a hole left underneath. */
static bool merge(struct ept *e, u64 *entry, unsigned level)
{
	u64 *table = ept_entry_table(e, *entry), leaf = table[0] | EPT_LARGE;

	for (unsigned i = 0; i < EPT_ENTRIES; i++) {
		if (!(table[i] & EPT_RWX) || !ept_is_leaf(table[i], level - 1))
			return false;
	}
	ept_give_table(e, *entry);
	*entry = leaf;
	return true;
}

bool ept_make_small(struct ept *e, gpa_t gpa)
{
	u64 *table = e->env.page_ptr(e->env.ctx, e->root);

	for (unsigned l = EPT_LEVELS; l > 1; l--) {
		u64 *entry = &table[ept_level_index(gpa, l)];

		if (!*entry || (ept_is_leaf(*entry, l) && !split(e, entry, l)))
			return false;
		table = ept_entry_table(e, *entry);
	}
	return true;
}

bool ept_set_hole(struct paging *p, gpa_t gpa, bool hole)
{
	struct ept *e = (struct ept *)p;
	u64 *table = e->env.page_ptr(e->env.ctx, e->root);
	u64 *entry, *path[EPT_LEVELS + 1];

	for (unsigned l = EPT_LEVELS; l > 1; l--) {
		entry = path[l] = &table[ept_level_index(gpa, l)];
		if (!*entry || (ept_is_leaf(*entry, l) && !hole))
			return true;
		if (ept_is_leaf(*entry, l) && !split(e, entry, l))
			return false;
		table = ept_entry_table(e, *entry);
	}
	entry = &table[ept_level_index(gpa, 1)];
	if (!*entry)
		return true;
	/* What the entry holds besides its permissions is ignored without them, and waits there. */
	*entry = hole ? *entry & ~EPT_RWX : *entry | EPT_RWX;
	for (unsigned l = 2; !hole && l < EPT_LEVELS; l++) {
		if (!(*path[l] & EPT_SPLIT) || !merge(e, path[l], l))
			break;
	}
	e->env.invalidate(e->env.ctx);
	return true;
}
