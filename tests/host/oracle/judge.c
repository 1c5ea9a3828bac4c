/* SPDX-License-Identifier: MIT */
/*
 * Is an outcome that a fresh walk does not give explained by what a processor may have kept?
 *
 * The architecture (SDM volume 3, section 4.10 "Caching Translation Information") lets a processor
 * read the entries of a path at any moments it likes while their PCID is in use, in order, and keep
 * the result until it is invalidated. So an outcome is right if there are moments t4 <= t3 <= t2 <=
 * t1 such that the entry of each level, as it was at its moment, composes to it, and
 *
 *  - the PCID was in use at each of them, and at the first with that root;
 *  - each entry was present, without reserved bits, and accessed: nothing else is cached; for a
 *    write that sets no dirty flag now, the leaf was dirty;
 *  - between the moments of one level and the next, the paging-structure caches kept the first:
 *    they lose all by INVLPG and INVPCID of the PCID, and what they would use for an address by
 *    INVPCID of the address, and by a page fault at it;
 *  - the TLB was not invalidated after t1: by INVLPG of an address in the same page (that of the
 *    leaf: a processor that cached it in pieces must find them all), a page fault at this one, or
 *    INVPCID, which spares global translations;
 *  - everything is after the last load() or flush(), which promise more than the architecture: that
 *    global translations, and those of all PCIDs, are fresh as well; load_cr3() promises it for its
 *    PCID.
 *
 * A global translation may have been read while another PCID was in use, by that one's rules.
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
	const struct history *h; /* of the PCID that the moments are sought in */
	u64 fresh;		 /* the present PCID's history begins then */
	bool other;		 /* ... which is another one */
	bool fold;		 /* SMAP and PKRU.AD of folded pages do not count */
	unsigned steps;		 /* left */
};

#define NEVER (~0ull)

/** Since when, in each epoch, the processor may have what was read so far: to the epoch's end, for
 *  the next one begins where something may be lost. */
struct held {
	u64 since[MAX_EPOCHS];
};

static u64 end_of(const struct history *h, unsigned i)
{
	return i + 1 < h->nr ? h->epoch[i + 1].from : NEVER;
}

static bool same_page(const struct search *s, const struct epoch *e, u64 size)
{
	return !((e->gva ^ s->x->gva) & ~(size - 1));
}

/** Does an entry of `level` that leads to a table stay in the paging-structure caches? */
static bool table_stays(const struct search *s, const struct epoch *e, unsigned level)
{
	switch (e->forgets) {
	case FORGETS_INVLPG:
	case FORGETS_CONTEXT:
		return false;
	case FORGETS_FAULT:
	case FORGETS_ADDRESS:
		return !same_page(s, e, BIT(s->v->arch.level[level].shift));
	default:
		return true;
	}
}

static bool is_global(const struct search *s, u64 leaf)
{
	return leaf & PTE_G && s->v->r.cr4 & X86_CR4_PGE;
}

/** Does the translation by `leaf` stay in the TLB? */
static bool translation_stays(const struct search *s, const struct epoch *e, unsigned level,
			      u64 leaf)
{
	u64 size = BIT(s->v->arch.level[level].shift);

	switch (e->forgets) {
	case FORGETS_INVLPG:
		return !same_page(s, e, size);
	case FORGETS_FAULT:
		return !same_page(s, e, PAGE_SIZE);
	case FORGETS_GLOBAL:
		return !is_global(s, leaf) || !same_page(s, e, size);
	case FORGETS_ADDRESS:
		return is_global(s, leaf) || !same_page(s, e, size);
	case FORGETS_CONTEXT:
		return is_global(s, leaf);
	default:
		return true;
	}
}

/** Who has what is `above` reads `entry`, which has that value in [from, to), and keeps it. False:
 * never. */
static bool hold(const struct search *s, unsigned level, u64 entry, bool leaf, u64 from, u64 to,
		 const struct held *above, struct held *out)
{
	bool ever = false;

	for (unsigned i = 0; i < s->h->nr; i++) {
		const struct epoch *e = &s->h->epoch[i];
		u64 moment = MAX(above->since[i], from);

		out->since[i] = NEVER;
		if (i && out->since[i - 1] != NEVER &&
		    (leaf ? translation_stays(s, e, level, entry) : table_stays(s, e, level)))
			out->since[i] = e->from;
		else if (e->in_use && moment < MIN(to, end_of(s->h, i)))
			out->since[i] = moment;
		ever |= out->since[i] != NEVER;
	}
	return ever;
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

static bool descend(struct search *s, unsigned level, u64 table, const struct held *above,
		    struct rights rights);

/** The entry was `entry` in [from, to). */
static bool consider(struct search *s, unsigned level, u64 entry, u64 from, u64 to,
		     const struct held *above, struct rights rights)
{
	struct held here;

	if (!(entry & PTE_A))
		return false;
	switch (arch_step(&s->v->arch, level, entry, &rights)) {
	case STEP_TABLE:
		return hold(s, level, entry, false, from, to, above, &here) &&
		       descend(s, level - 1, arch_table(&s->v->arch, entry), &here, rights);
	case STEP_PAGE:
		if (s->other && !is_global(s, entry))
			return false;
		return hold(s, level, entry, true, MAX(from, s->fresh), to, above, &here) &&
		       here.since[s->h->nr - 1] != NEVER && explains(s, level, entry, &rights);
	default:
		return false;
	}
}

/** The first moment of all. */
static u64 beginning(const struct search *s, const struct held *held)
{
	unsigned i = 0;

	while (i < s->h->nr && held->since[i] == NEVER)
		i++;
	return i < s->h->nr ? held->since[i] : NEVER;
}

static bool descend(struct search *s, unsigned level, u64 table, const struct held *above,
		    struct rights rights)
{
	const struct arch *a = &s->v->arch;
	u64 at = arch_entry_at(a, level, table, s->x->gva), to = NEVER;
	u64 quad = memory_quad(s->o, at), since = beginning(s, above);
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
		if (consider(s, level, entry, c ? c->time : 0, to, above, rights))
			return true;
		if (!c)
			break;
		to = c->time;
		quad = c->old;
	}
	return false;
}

/** From the root that epoch `first` is the first one to have. */
static bool from_root(struct search *s, unsigned first)
{
	const struct vcpu *v = s->v;
	struct held held;
	u64 table, other;

	if (!s->h->epoch[first].in_use ||
	    !arch_root(&v->arch, s->h->epoch[first].cr3, v->r.pdpte, s->x->gva, &table))
		return false;
	for (unsigned i = 0; i < s->h->nr; i++) {
		const struct epoch *e = &s->h->epoch[i];
		bool same = e->in_use &&
			    arch_root(&v->arch, e->cr3, v->r.pdpte, s->x->gva, &other) &&
			    other == table;

		if (same && i < first)
			return false;
		held.since[i] = same ? e->from : NEVER;
	}
	return descend(s, v->arch.top, table, &held, (struct rights){true, true, false});
}

static bool any_root(struct search *s, const struct history *h, const struct history *present)
{
	s->h = h;
	s->other = h != present;
	s->fresh = present->epoch[0].from;
	for (unsigned i = 0; i < h->nr; i++) {
		if (from_root(s, i))
			return true;
	}
	return false;
}

static bool any_pcid(struct search *s)
{
	const struct history *present = &s->v->history[history_present(s->v)];

	if (any_root(s, present, present))
		return true;
	for (unsigned i = 0; i < NR_PCIDS && s->v->r.cr4 & X86_CR4_PGE; i++) {
		if (&s->v->history[i] != present && any_root(s, &s->v->history[i], present))
			return true;
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
	if (any_pcid(&s))
		return true;
	if (v->arch.wp || seen->kind != OUTCOME_ALLOWED)
		return false;
	*folded = s.fold = true;
	return any_pcid(&s);
}
