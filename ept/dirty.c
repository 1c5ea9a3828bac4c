/* SPDX-License-Identifier: MIT */
/*
 * Which pages the guest wrote: the dirty flags of the EPT entries (SDM volume 3, section 29.3.5
 * "Accessed and Dirty Flags for EPT"). A second flag, in a bit that the processor ignores, says
 * that a page was ever found dirty, so that pages are counted once.
 */
#include "ept.h"

/** Bits 56:52 of an entry that maps a page are ignored (table 29-7). */
#define EPT_EVER_DIRTY BIT(52)

struct visit {
	struct ept *e;
	struct paging_dirty *d;
	bool clear;
};

static void look_at(struct visit *v, gpa_t gpa)
{
	u64 *entry = ept_entry(v->e, gpa);

	if (!entry || !(*entry & EPT_DIRTY))
		return;
	if (v->e->overlay && gpa.v == v->e->overlay_gpa.v)
		return; /* the APIC-access page is not the guest's memory */
	v->d->pages++;
	if (!(*entry & EPT_EVER_DIRTY))
		v->e->ever_dirty++;
	*entry |= EPT_EVER_DIRTY;
	if (v->clear)
		*entry &= ~EPT_DIRTY;
}

static void look_at_leaf(void *ctx, gpa_t gpa, u64 entry, u64 size)
{
	(void)size; /* 4 KiB: ept_create() saw to that */
	if (entry & EPT_DIRTY)
		look_at(ctx, gpa);
}

void ept_dirty(struct paging *p, const u32 *gfn, u64 nr, bool clear, struct paging_dirty *d)
{
	struct visit v = {.e = (struct ept *)p, .d = d, .clear = clear};

	d->pages = 0;
	if (gfn) {
		for (u64 i = 0; i < nr; i++)
			look_at(&v, GPA((u64)gfn[i] << PAGE_SHIFT));
	} else {
		ept_for_each_leaf(v.e, look_at_leaf, &v);
	}
	d->ever = v.e->ever_dirty;
	/* What the processor keeps of an entry says that its page is dirty: it would not set the
	 * flag again. */
	if (clear && d->pages)
		v.e->env.invalidate(v.e->env.ctx);
}
