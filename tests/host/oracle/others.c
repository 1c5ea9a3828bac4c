/* SPDX-License-Identifier: MIT */
/*
 * What other vcpus do while the MMU works for one: they are in the guest, and store something until
 * they are told to forget what they have cached.
 */
#include "oracle.h"

/** Where another vcpu has the entry of a path, by preference that of the page table. */
static u64 window_of_path(struct oracle *o, const struct vcpu *v, const struct path *p)
{
	unsigned i = one_in(o, 2) ? p->depth - 1 : pick(o, p->depth);
	u64 gpa = p->entry[i].gpa & ~7ull;

	return tables_window(v, gpa - TABLES_GPA < sizeof(o->copy) ? gpa : TABLES_GPA);
}

/** Where another vcpu might store: at the entries that the MMU works with, or where it can by what
 *  it has cached. */
static u64 storable_gva(struct oracle *o, const struct vcpu *v)
{
	const struct cached *c = &v->tlb[pick(o, TLB_SIZE)];
	u64 gpa = TABLES_GPA + pick(o, TABLE_PAGES) * PAGE_SIZE + pick(o, 8) * 8;

	if (o->pending && o->pending->path.depth && one_in(o, 2))
		return window_of_path(o, v, &o->pending->path);
	switch (pick(o, 4)) {
	case 0:
		return v->recent[pick(o, NR_RECENT)] & ~7ull;
	case 1:
		return tables_window(v, gpa);
	default:
		return c->gva + (c->size > PAGE_SIZE ? gpa % c->size : gpa % PAGE_SIZE);
	}
}

void other_vcpus_prepare(struct oracle *o, const struct path *p)
{
	struct access x = {.kind = WALK_WRITE};
	struct outcome seen;

	for (unsigned i = 0; i < o->nr_vcpus && p->depth; i++) {
		if (&o->vcpu[i] == o->running || pick(o, 4))
			continue;
		x.gva = window_of_path(o, &o->vcpu[i], p);
		hw_access(o, &o->vcpu[i], &x, &seen);
	}
}

/** A store by another vcpu. Nothing is done where it would exit, for then it waits. */
static void store_meanwhile(struct oracle *o, struct vcpu *v)
{
	struct access x = {.gva = storable_gva(o, v), .kind = WALK_WRITE};
	struct outcome seen, fresh;
	struct path p;
	bool folded;
	u64 data, gpa;

	if (hw_access(o, v, &x, &seen) != HW_DONE || !memory_gpa_of(o, seen.at, &gpa))
		return;
	fresh = fresh_walk(o, v, &x, &p);
	if (!(same_outcome(&fresh, &seen) && flags_set(o, v, &x, &p)) &&
	    !judge(o, v, &x, &seen, &folded)) {
		trace_walks(o, v, &x);
		oracle_fail(o, v, "meanwhile, a store to %llx", (unsigned long long)x.gva);
	}
	data = v->arch.mode == ARCH_OFF ? 0 : tables_entry(o, v, 1 + pick(o, v->arch.top));
	trace(o, v, "  meanwhile: store %llx at %llx, gva %llx", data, gpa, x.gva);
	memory_store(o, gpa, &data, 8);
	o->figures.meanwhile++;
}

static void keep_earlier(struct pending *a, const struct outcome *out)
{
	a->earlier[a->nr_earlier++ % ARRAY_SIZE(a->earlier)] = *out;
}

void other_vcpus_store(struct oracle *o)
{
	struct pending *a = o->pending;
	u64 before = o->figures.meanwhile;

	/* What the MMU has written so far comes before that. */
	if (a)
		access_check_flags(o, o->running, a);
	for (unsigned i = 0; i < o->nr_vcpus && !o->stopped; i++) {
		for (unsigned n = pick(o, 4); &o->vcpu[i] != o->running && n; n--)
			store_meanwhile(o, &o->vcpu[i]);
	}
	if (!a || o->figures.meanwhile == before)
		return;
	keep_earlier(a, &a->fresh);
	keep_earlier(a, &a->looks);
	access_begin(o, o->running, a->x, a);
}
