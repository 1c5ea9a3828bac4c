/* SPDX-License-Identifier: MIT */
/* From table to table: the pages below a page. */
#include "entry.h"

void role_regs(const struct shadow *s, union role role, struct walk_regs *r)
{
	*r = (struct walk_regs){
		.cr0 = X86_CR0_PE | X86_CR0_PG,
		.cr4 = (role.mode == MODE_32BIT ? 0 : X86_CR4_PAE) | (role.pse ? X86_CR4_PSE : 0),
		.efer = (role.nxe ? EFER_NX : 0) | (role.mode == MODE_4LEVEL ? EFER_LMA : 0),
		.maxphyaddr = s->maxphyaddr,
		.has_1g = s->has_1g,
	};
}

union role child_role(const struct shadow_page *sp, unsigned index, u64 entry, bool leaf)
{
	union role role = sp->role;

	role.level = sp->role.level - 1;
	role.quadrant = 0;
	if (role.wp0) {
		if (!sp->role.direct)
			role.access &= (entry & PTE_W ? ACCESS_W : 0) |
				       (entry & PTE_U ? ACCESS_U : 0) |
				       (entry & PTE_NX ? 0 : ACCESS_X);
	}
	if (sp->role.direct)
		return role;
	if (!leaf) {
		if (role.mode == MODE_32BIT)
			role.quadrant = index & 1;
		return role;
	}
	role.direct = 1;
	role.mode = 0;
	role.nxe = 0;
	role.pse = 0;
	role.pat = guest_pat_index(entry, true);
	role.global = !!(entry & PTE_G);
	role.pkey = sp->role.mode == MODE_4LEVEL ? entry >> 59 & 15 : 0;
	return role;
}

const void *guest_table(struct shadow *s, u64 gfn, union role role)
{
	const u8 *page = gmem_ptr(s->gm, GPA(gfn << PAGE_SHIFT), PAGE_SIZE);
	/* A quarter of a directory has 256 entries of 4 bytes, half a page table 512. */
	unsigned part = role.level == 2 ? PAGE_SIZE / 4 : PAGE_SIZE / 2;

	return page ? page + role.quadrant * part : NULL;
}

static void fill_direct(struct shadow *s, struct shadow_page *sp)
{
	u64 entry = role_entry(sp->role);

	for (unsigned i = 0; i < SHADOW_ENTRIES; i++) {
		struct target t;
		u64 spte;

		if (!frames_find(s, sp->gfn + i, &t))
			continue;
		spte = t.hpa | compose_leaf(sp->role, 1, entry, frames_types(s, &t, sp->gfn + i),
					    FOLD_NOTHING);
		if (*t.list & HEAD_PROTECTED)
			spte &= ~PTE_W;
		spte_install(s, ref_of(sp, i), spte, 0, t.list);
	}
}

/** One entry of a new root. */
static bool prefill_link(struct shadow *s, struct shadow_page *sp, unsigned index, u64 entry,
			 u64 reserved)
{
	struct shadow_page *child;

	if ((entry & (PTE_P | PTE_A | PTE_PS)) != (PTE_P | PTE_A) || entry & reserved)
		return false;
	child = page_find(s, entry_frame(sp, index, entry, false),
			  child_role(sp, index, entry, false));
	if (!child)
		return false;
	spte_install(s, ref_of(sp, index),
		     page_hpa(s, child) | compose_link(sp->role, entry, false), entry,
		     &child->parents);
	adopt(s, child, sp->owner);
	sync_page(s, child);
	count(s, SHADOW_PREFETCHES);
	return true;
}

void prefill_root(struct shadow *s, struct shadow_page *sp)
{
	struct walk_regs r;
	bool linked = false;
	u64 reserved;

	if (sp->role.direct)
		return;
	role_regs(s, sp->role, &r);
	reserved = guest_reserved_bits(&r, sp->role.level, false);
	for (unsigned i = 0; i < SHADOW_ENTRIES; i++)
		linked |= prefill_link(s, sp, i, read_guest_entry(sp, i), reserved);
	/* What the children lead to may be stale in ways that nothing under this page could see. */
	if (!linked)
		return;
	note_linked(s);
	unwatch_reached(s);
	sync_lists(s, sp->owner, UNSYNC_UPPER);
	sync_lists(s, sp->owner, UNSYNC_LEAF);
}

/** A page from the cache gets a new parent. Until now its guest tables could not be reached this
 *  way, and no processor can have stale translations of them. */
static void freshen(struct shadow *s, struct shadow_page *sp)
{
	sp->referenced = true;
	note_linked(s);
	/* A second way to what is watched: perhaps not all of it is write-protected. */
	unwatch_reached(s);
	sync_page(s, sp);
	if (sp->role.level == 1 || sp->role.direct)
		return;
	sync_lists(s, sp->owner, UNSYNC_UPPER);
	sync_lists(s, sp->owner, UNSYNC_LEAF);
}

struct shadow_page *link_child(struct shadow *s, u32 ref, u64 entry, bool leaf)
{
	struct shadow_page *sp = page_of_ref(s, ref), *child;
	unsigned index = ref % SHADOW_ENTRIES;
	union role role = child_role(sp, index, entry, leaf);
	u64 gfn = entry_frame(sp, index, entry, leaf), spte = s->spt[ref];
	bool new = false;

	if (spte_present(spte) && !spte_is_leaf(spte, sp->role.level) && s->snap[ref] == entry) {
		child = child_of(s, spte);
		if (child->gfn == gfn && child->role.word == role.word)
			return child;
	}
	spte_drop(s, ref);
	child = page_find(s, gfn, role);
	if (!child) {
		child = page_create(s, gfn, role, role.direct ? NULL : guest_table(s, gfn, role));
		new = true;
		if (leaf)
			count(s, SHADOW_SPLITS);
	}
	spte_install(s, ref, page_hpa(s, child) | compose_link(sp->role, entry, leaf), entry,
		     &child->parents);
	adopt(s, child, sp->owner);
	if (!new)
		freshen(s, child);
	else if (role.direct && role.level == 1)
		fill_direct(s, child);
	return child;
}
