/* SPDX-License-Identifier: MIT */
/*
 * Page tables that grow, and the guest's faults in them.
 *
 * A page fault on an entry that is not present costs the guest two exits: one that is reflected,
 * and one to fill the entry after the guest made it. In a page table that is watched it costs one.
 * The table is write-protected, and so are all above it; its entries that are not present in the
 * guest's table are not present here either, and the processor delivers the fault to the guest
 * without an exit, because the error code has P=0 (SDM volume 3, section 25.6.3 "Exception
 * Bitmap"). Everywhere else what is not known has a reserved bit: that is P=1, and an exit. The
 * guest's write of the new entry exits, is emulated, and the entry is made at the same time.
 *
 * That is good for a table that grows, and bad for one that is taken down: a few writes to entries
 * that were present, and it is left alone again.
 */
#include "entry.h"

/** Parents of a page that are worth looking at. */
#define FEW_PARENTS 4u

/** Faults of the guest's until a table is watched. */
#define WATCH_AFTER 12

/** Entries that may be rewritten until it is not any more. */
#define REWRITES_MAX 2

void unwatch(struct shadow *s, struct shadow_page *sp)
{
	u64 *spt = &s->spt[ref_of(sp, 0)];

	if (!sp->watched)
		return;
	for (unsigned i = 0; i < SHADOW_ENTRIES; i++) {
		if (!spt[i])
			__atomic_store_n(&spt[i], s->unknown, __ATOMIC_RELEASE);
	}
	sp->watched = false;
	sp->grown = 0;
	for (u32 i = 0;; i++) {
		if (s->watched[i] == sp->number) {
			s->watched[i] = s->watched[--s->nr_watched];
			return;
		}
	}
}

void unwatch_all(struct shadow *s)
{
	while (s->nr_watched)
		unwatch(s, &s->page[s->watched[0]]);
}

static struct shadow_page *parent_of(struct shadow *s, const struct shadow_page *sp)
{
	u32 ref = sp->parents & HEAD_REF_MASK;

	return ref && !s->link[ref].next ? page_of_ref(s, ref) : NULL;
}

void unwatch_reached(struct shadow *s)
{
	for (u32 i = s->nr_watched; i--;) {
		struct shadow_page *table = &s->page[s->watched[i]], *sp = table;

		while (sp && sp->in_sync && sp->role.level < 4)
			sp = parent_of(s, sp);
		if (!sp || !sp->in_sync)
			unwatch(s, table);
	}
}

/** What led to a table of a process that is gone leads to it no more, once somebody looks; and the
 * frame is a table again, perhaps. Few parents are looked at. */
static void forget_dead_parents(struct shadow *s, const struct shadow_page *sp)
{
	u32 parent[FEW_PARENTS];
	unsigned nr = 0;

	for (u32 ref = sp->parents & HEAD_REF_MASK; ref; ref = s->link[ref].next) {
		if (nr == FEW_PARENTS)
			return;
		parent[nr++] = ref;
	}
	for (unsigned i = 0; i < nr; i++)
		sync_page(s, page_of_ref(s, parent[i]));
}

/** The only page that leads to `sp`; NULL: there are several, or none. */
static struct shadow_page *only_parent(struct shadow *s, const struct shadow_page *sp)
{
	forget_dead_parents(s, sp);
	return parent_of(s, sp);
}

/** Does one way only lead to `sp`, from this root; and, if that matters, is all of it in sync? */
static bool one_way(struct shadow *s, const struct shadow_page *sp, const struct shadow_page *root,
		    bool in_sync)
{
	while (sp && sp != root && (sp->in_sync || !in_sync))
		sp = only_parent(s, sp);
	return sp == root && (sp->in_sync || !in_sync);
}

/** Write-protect what leads to `gva`, from the root down. */
static void protect_way(struct shadow *s, struct shadow_page *sp, u64 gva)
{
	for (;;) {
		u64 spte;

		sync_and_protect(s, sp);
		spte = s->spt[ref_of(sp, level_index(gva, sp->role.level))];
		if (sp->role.level == 1 || (spte & (PTE_A | PTE_PS)) != PTE_A)
			return;
		sp = child_of(s, spte);
		if (sp->role.direct)
			return;
	}
}

/** What is known not to be present. */
static void fill_absent(struct shadow *s, const struct shadow_page *sp)
{
	u32 first = ref_of(sp, 0);

	for (unsigned i = 0; i < SHADOW_ENTRIES; i++) {
		if (s->spt[first + i] == s->unknown && !(read_guest_entry(sp, i) & PTE_P))
			__atomic_store_n(&s->spt[first + i], 0, __ATOMIC_RELEASE);
	}
}

/** A table that is in use in another role, too, would have to be watched in all of them. One that
 * only was, is not any more. */
static bool only_role(struct shadow *s, const struct shadow_page *sp)
{
	struct shadow_page *next;

	for (struct shadow_page *other = page_first(s, sp->gfn); other; other = next) {
		next = page_next(s, other);
		if (other == sp)
			continue;
		forget_dead_parents(s, other);
		if (other->parents & HEAD_REF_MASK || other->pins)
			return false;
		page_zap(s, other);
	}
	return true;
}

void watch_growth(struct shadow *s, struct shadow_vcpu *vc, struct shadow_page *sp, u64 gva)
{
	struct shadow_page *root = &s->page[vc->root[0]];

	if (sp->watched || ++sp->grown < WATCH_AFTER || s->narrow ||
	    s->nr_watched == SHADOW_WATCHED)
		return;
	sp->grown = 0;
	if (!only_role(s, sp) || !one_way(s, sp, root, false))
		return;
	protect_way(s, root, gva);
	if (!one_way(s, sp, root, true))
		return;
	fill_absent(s, sp);
	sp->watched = true;
	sp->rewritten = 0;
	s->watched[s->nr_watched++] = sp->number;
	count(s, SHADOW_WATCHES);
}

bool watch_emulates(struct shadow *s, u64 gfn)
{
	const struct shadow_page *sp = page_first(s, gfn);

	return sp && sp->watched && !page_next(s, sp);
}

bool watch_wrote(struct shadow *s, gpa_t gpa, u64 len)
{
	unsigned index = (gpa.v & ~PAGE_MASK) / sizeof(u64);
	struct shadow_page *sp = page_first(s, gpa.v >> PAGE_SHIFT);
	u64 entry;
	u32 ref;

	if (!watch_emulates(s, gpa.v >> PAGE_SHIFT) || gpa.v % sizeof(u64) + len > sizeof(u64))
		return false;
	ref = ref_of(sp, index);
	entry = read_guest_entry(sp, index);
	if (spte_present(s->spt[ref])) {
		if (++sp->rewritten == REWRITES_MAX)
			return false;
		spte_drop_small(s, ref);
	}
	if (!prefetch(s, sp, ref, entry))
		__atomic_store_n(&s->spt[ref], entry & PTE_P ? s->unknown : 0, __ATOMIC_RELEASE);
	return true;
}
