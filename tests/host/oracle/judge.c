/* SPDX-License-Identifier: MIT */
/*
 * Is an outcome that a fresh walk does not give explained by what a processor may have kept?
 *
 * The architecture (SDM volume 3, section 4.10 "Caching Translation Information") lets a processor
 * read the entries of a path at any moments it likes, in order, and keep the result until it is
 * invalidated. So an outcome is right if there are moments t4 <= t3 <= t2 <= t1 such that the entry
 * of each level, as it was at its moment, composes to it, and
 *
 *  - each entry was present, without reserved bits, and accessed: nothing else is cached; for a
 *    write that sets no dirty flag now, the leaf was dirty;
 *  - the paging-structure caches were not invalidated between t4 and t1: by INVLPG, of whatever
 *    address, or a page fault at this one;
 *  - the TLB was not invalidated after t1: by INVLPG of an address in the same page (that of the
 *    leaf: a processor that cached it in pieces must find them all), or a page fault at this one;
 *  - everything is after the last load(), which promises more than the architecture: translations
 *    of other address spaces and global ones are fresh as well.
 *
 * The earliest moment possible is always the best for an entry, as it leaves most to those below.
 * Where memory and holes are is not cached by the guest's leave, and is as of now.
 */
#include "oracle.h"

/** Entries tried for one outcome; more, and it is let pass (and counted). */
#define MAX_STEPS 20000

struct search {
	struct oracle *o;
	const struct vcpu *v;
	const struct access *x;
	const struct outcome *seen;
	u64 end;	/* the structure caches were invalidated again then */
	bool fold;	/* SMAP and PKRU.AD of folded pages do not count */
	unsigned steps; /* left */
};

#define NEVER_YET (~0ull)

static bool structure_caches_invalidated(const struct search *s, const struct invalidation *i)
{
	return !i->fault || (i->gva & PAGE_MASK) == (s->x->gva & PAGE_MASK);
}

/** When the TLB last lost a translation of `size` bytes for the address. */
static u64 tlb_invalidated(const struct search *s, u64 size)
{
	u64 last = s->v->loaded;

	for (unsigned i = 0; i < s->v->nr_invalidated; i++) {
		const struct invalidation *e = &s->v->invalidated[i];
		u64 page = e->fault ? PAGE_SIZE : size;

		if (!((e->gva ^ s->x->gva) & ~(page - 1)))
			last = e->time;
	}
	return last;
}

static bool explains(struct search *s, unsigned level, u64 entry, const struct rights *rights)
{
	const struct arch *a = &s->v->arch;
	struct outcome land;
	u32 pferr = 0;

	if (!arch_allows(a, s->x, rights, entry, &pferr) &&
	    !(s->fold && arch_fold_allows(a, s->x, rights, s->o->keys)))
		return s->seen->kind == OUTCOME_FAULT && s->seen->pferr == pferr;
	if (s->seen->kind == OUTCOME_ALLOWED && s->x->kind & WALK_WRITE && !(entry & PTE_D))
		return false;
	land = memory_land_typed(s->o, arch_page(a, level, entry, s->x->gva), level, entry);
	return land.kind == s->seen->kind && land.at == s->seen->at && land.type == s->seen->type;
}

static bool descend(struct search *s, unsigned level, u64 table, u64 since, struct rights rights);

/** The entry was `entry` in [from, to). */
static bool consider(struct search *s, unsigned level, u64 entry, u64 from, u64 to, u64 since,
		     struct rights rights)
{
	u64 moment = MAX(from, since);

	if (moment >= to || moment >= s->end || !(entry & PTE_A))
		return false;
	switch (arch_step(&s->v->arch, level, entry, &rights)) {
	case STEP_TABLE:
		return descend(s, level - 1, arch_table(&s->v->arch, entry), moment, rights);
	case STEP_PAGE:
		moment = MAX(moment, tlb_invalidated(s, BIT(s->v->arch.level[level].shift)));
		return moment < to && moment < s->end && explains(s, level, entry, &rights);
	default:
		return false;
	}
}

static bool descend(struct search *s, unsigned level, u64 table, u64 since, struct rights rights)
{
	const struct arch *a = &s->v->arch;
	u64 at = arch_entry_at(a, level, table, s->x->gva), to = NEVER_YET;
	u64 quad = memory_quad(s->o, at);
	const struct change *c;

	if (!gmem_ptr(&s->o->gm, GPA(at), a->bytes))
		return s->seen->kind == OUTCOME_LOST && s->seen->at == at;
	if (memory_in_hole(s->o, at))
		return true;
	for (c = memory_last_change(s->o, at); to > since; c = memory_previous(s->o, c)) {
		u64 entry = a->bytes == 4 ? (u32)(quad >> 8 * (at & 4)) : quad;

		if (!s->steps--) {
			s->o->figures.undecided++;
			return true;
		}
		if (consider(s, level, entry, c ? c->time : 0, to, since, rights))
			return true;
		if (!c)
			break;
		to = c->time;
		quad = c->old;
	}
	return false;
}

/** Each time between two invalidations of the structure caches by itself. */
static bool any_epoch(struct search *s)
{
	const struct vcpu *v = s->v;
	u64 since = v->loaded, table;

	if (!arch_root(&v->arch, v->r.cr3, v->r.pdpte, s->x->gva, &table))
		return false;
	for (unsigned i = 0; i <= v->nr_invalidated; i++) {
		const struct invalidation *e = &v->invalidated[i];

		if (i < v->nr_invalidated && !structure_caches_invalidated(s, e))
			continue;
		s->end = i < v->nr_invalidated ? e->time : NEVER_YET;
		if (descend(s, v->arch.top, table, since, (struct rights){true, true, false}))
			return true;
		since = s->end;
	}
	return false;
}

bool judge(struct oracle *o, const struct vcpu *v, const struct access *x,
	   const struct outcome *seen, bool *folded)
{
	struct search s = {.o = o, .v = v, .x = x, .seen = seen, .steps = MAX_STEPS};

	*folded = false;
	if (v->arch.mode == ARCH_OFF)
		return false;
	if (any_epoch(&s))
		return true;
	if (v->arch.wp || seen->kind != OUTCOME_ALLOWED)
		return false;
	*folded = s.fold = true;
	return any_epoch(&s);
}
