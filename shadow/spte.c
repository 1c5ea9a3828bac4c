/* SPDX-License-Identifier: MIT */
/* Shadow entries: what is in them, and the lists they are on. */
#include "entry.h"

void spte_drop(struct shadow *s, u32 ref)
{
	struct shadow_page *sp = page_of_ref(s, ref);
	u64 spte = s->spt[ref];

	if (spte_present(spte))
		spte_remove(s, ref,
			    spte_is_leaf(spte, sp->role.level)
				    ? frames_list(s, spte, sp->role.level)
				    : &child_of(s, spte)->parents);
}

void spte_drop_list(struct shadow *s, u32 *list)
{
	while (*list & HEAD_REF_MASK)
		spte_drop(s, *list & HEAD_REF_MASK);
}

/** Memory types as numbered in SHADOW_PAT. */
static unsigned pat_index_of(u8 type)
{
	switch (type) {
	case MEMTYPE_WB:
		return 0;
	case MEMTYPE_WC:
		return 1;
	case MEMTYPE_WT:
		return 4;
	case MEMTYPE_WP:
		return 5;
	default: /* UC, and UC- where no MTRR may change it */
		return 3;
	}
}

#define PAT_UC_MINUS 7

/** SDM volume 3, table 12-7 "Effective Page-Level Memory Types for Pentium III and More Recent
 *  Processor Families". */
static u8 effective_type(u8 mtrr, u8 pat)
{
	if (pat == MEMTYPE_UC || pat == MEMTYPE_WC)
		return pat;
	if (pat == PAT_UC_MINUS)
		return mtrr == MEMTYPE_WC || mtrr == MEMTYPE_WP ? MEMTYPE_WC : MEMTYPE_UC;
	switch (mtrr) {
	case MEMTYPE_WB:
		return pat;
	case MEMTYPE_WT:
		return pat == MEMTYPE_WP ? MEMTYPE_WP : MEMTYPE_WT;
	case MEMTYPE_WP:
		return pat == MEMTYPE_WT ? MEMTYPE_WT : MEMTYPE_WP;
	case MEMTYPE_WC:
		return pat == MEMTYPE_WB ? MEMTYPE_WC : MEMTYPE_UC;
	default:
		return MEMTYPE_UC;
	}
}

void spte_init_types(struct shadow *s)
{
	for (unsigned mtrr = 0; mtrr < 8; mtrr++) {
		for (unsigned i = 0; i <= ROLE_NO_PAT; i++) {
			u8 pat = i == ROLE_NO_PAT ? MEMTYPE_WB : s->pat >> (8 * i) & 7;
			unsigned n = pat_index_of(effective_type((u8)mtrr, pat));

			s->type_bits[mtrr][i] = (n & 1 ? PTE_PWT : 0) | (n & 2 ? PTE_PCD : 0) |
						(n & 4 ? SPTE_PAT_4K : 0);
		}
	}
}

unsigned guest_pat_index(u64 entry, bool large)
{
	return (entry & PTE_PWT ? 1 : 0) | (entry & PTE_PCD ? 2 : 0) |
	       (entry & (large ? SPTE_PAT_LARGE : SPTE_PAT_4K) ? 4 : 0);
}

u64 role_entry(union role role)
{
	return PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | (role.global ? PTE_G : 0) |
	       (u64)role.pkey << 59;
}

/** The rights of a leaf where CR0.WP is 0. The entries above it allow everything: the path's rights
 * are all here. What the supervisor may only read, it may write: pages that are not the user's, for
 * good; a page that the user may read, or that its protection key makes read-only, as long as the
 * user keeps away ("folded": then it is the supervisor's alone, who under SMEP still must not
 * execute there). */
static u64 rights_without_wp(union role role, u64 bits, u64 entry, enum fold fold)
{
	if (!(role.access & ACCESS_U))
		bits &= ~PTE_U;
	if (!(role.access & ACCESS_X))
		bits |= PTE_NX;
	if (!(role.access & ACCESS_W))
		bits &= ~PTE_W;
	if (!(entry & PTE_D) || (bits & PTE_W && fold != FOLD_KEY))
		return bits;
	if (!(bits & PTE_U))
		return bits | PTE_W | PTE_D;
	if (fold == FOLD_NOTHING)
		return bits;
	return (bits & ~PTE_U) | PTE_W | PTE_D | (role.smep ? PTE_NX : 0);
}

u64 compose_leaf(union role role, unsigned level, u64 entry, const u64 *types, enum fold fold)
{
	bool large = level > 1;
	u64 memtype = types[role.direct ? role.pat : guest_pat_index(entry, large)];
	u64 bits = leaf_rights(entry);

	if (large && memtype & SPTE_PAT_4K)
		memtype = (memtype & ~SPTE_PAT_4K) | SPTE_PAT_LARGE;
	if (role.wp0)
		bits = rights_without_wp(role, bits, entry, fold);
	return bits | memtype | (large ? PTE_PS : 0);
}

u64 compose_link(union role parent, u64 entry, bool leaf)
{
	u64 bits = PTE_P | PTE_A;

	if (parent.direct)
		return bits | PTE_W | PTE_U;
	/* The dirty flag of a large page that is mapped in small ones is kept here. */
	if ((parent.wp0 || (entry & PTE_W)) && (!leaf || (entry & PTE_D)))
		bits |= PTE_W;
	return bits | (parent.wp0 ? PTE_U : entry & (PTE_U | PTE_NX));
}

u64 entry_frame(const struct shadow_page *sp, unsigned index, u64 entry, bool leaf)
{
	/* PSE-36: bits 20:13 are address bits 39:32 (table 4-4). */
	if (sp->role.direct)
		return sp->gfn + index * level_frames(sp->role.level);
	if (sp->role.mode == MODE_32BIT && sp->role.level == 2 && leaf)
		return (entry >> 22 & 0x3ff) << 10 | (entry >> 13 & 0xff) << 20 |
		       (u64)(index & 1) << 9;
	if (leaf)
		return (entry & SPTE_ADDR_MASK) >> PAGE_SHIFT & ~(level_frames(sp->role.level) - 1);
	return (entry & SPTE_ADDR_MASK) >> PAGE_SHIFT;
}
