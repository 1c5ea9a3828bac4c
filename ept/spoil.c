/* SPDX-License-Identifier: MIT */
/* What the exit zoo does to one entry, and back: include/zoo_events.def. */
#include "ept.h"

static u64 spoiled(u64 entry, enum paging_spoil how)
{
	switch (how) {
	case PAGING_MISCONFIGURED: /* SDM volume 3, section 29.3.3.1 "EPT Misconfigurations" */
		return entry & ~EPT_R;
	case PAGING_CLEAN:
		return entry & ~EPT_DIRTY;
	case PAGING_SUBPAGES: /* section 29.3.4 "Sub-Page Write Permissions" */
		return (entry & ~EPT_W) | EPT_SUBPAGES;
	case PAGING_WHOLE:
		break;
	}
	return entry;
}

/** What is not guest memory at present has no permissions, or no entry. A large page is split, as
 *  for a hole, and merged again afterwards: an entry of sub-pages is one of a small page, and the
 * fewer accesses are hit, the better. */
bool ept_spoil(struct paging *p, gpa_t gpa, enum paging_spoil how)
{
	struct ept *e = (struct ept *)p;
	u64 *entry;

	if (how == PAGING_WHOLE) {
		entry = ept_entry(e, gpa);
		if (!e->spoiled || !entry)
			return false;
		/* The flags that it got meanwhile are its own, too. */
		*entry = e->spoiled | (*entry & (EPT_ACCESSED | EPT_DIRTY));
		e->spoiled = 0;
		return ept_set_hole(p, gpa, false);
	}
	if (e->spoiled || !ept_make_small(e, gpa))
		return false;
	entry = ept_entry(e, gpa);
	if (!entry || (*entry & EPT_RWX) != EPT_RWX)
		return false;
	e->spoiled = *entry;
	*entry = spoiled(*entry, how);
	e->env.invalidate(e->env.ctx);
	return true;
}
