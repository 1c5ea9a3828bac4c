/* SPDX-License-Identifier: MIT */
/*
 * A fault on an entry that is not present may be delivered without an exit only while every table
 * on its way is in sync and write-protected. So where page faults with P=0 do not exit, for each
 * shadow entry that is 0 the guest's is not present either, and neither the shadow tables nor a TLB
 * let any vcpu write to the tables that lead there, or to it.
 */
#include "oracle.h"

#define MAX_TABLES 64u

/** The guest's tables on the ways to entries that are 0. */
struct silent_tables {
	u64 gpa[MAX_TABLES];
	unsigned nr;
};

struct visit {
	struct oracle *o;
	struct vcpu *v;
	struct silent_tables *tables;
	void (*entry)(const struct visit *t, unsigned level, u64 gva, u64 entry,
		      const struct rights *rights);
};

static void visit_table(const struct visit *t, u64 table, unsigned level, u64 gva,
			struct rights above)
{
	const struct arch *hw = &t->v->hw;
	const u64 *entries = memory_pool_entry(t->o, table);

	for (unsigned i = 0; i < 512; i++) {
		u64 at = gva + ((u64)i << hw->level[level].shift);
		struct rights rights = above;

		if (level == 4 && i >= 256)
			at |= 0xffffull << 48;
		if (arch_step(hw, level, entries[i], &rights) == STEP_TABLE)
			visit_table(t, arch_table(hw, entries[i]), level - 1, at, rights);
		else
			t->entry(t, level, at, entries[i], &rights);
	}
}

static void visit_all(const struct visit *t)
{
	const struct vcpu *v = t->v;
	u64 table;

	for (u64 i = 0; i < (v->hw.mode == ARCH_PAE ? 4 : 1); i++) {
		if (arch_root(&v->hw, v->hw_cr3.v, v->hw_pdpte, i << 30, &table))
			visit_table(t, table, v->hw.top, i << 30,
				    (struct rights){true, true, false});
	}
}

static bool is_silent_table(const struct silent_tables *tables, u64 gpa, u64 size)
{
	for (unsigned i = 0; i < tables->nr; i++) {
		if (tables->gpa[i] - gpa < size)
			return true;
	}
	return false;
}

static void check_zero(const struct visit *t, unsigned level, u64 gva, u64 entry,
		       const struct rights *rights)
{
	struct silent_tables *tables = t->tables;
	struct access x = {.gva = gva};
	struct outcome fresh;
	struct path p;

	(void)rights;
	if (entry)
		return;
	t->o->figures.zeros++;
	fresh = fresh_walk(t->o, t->v, &x, &p);
	if (fresh.kind != OUTCOME_FAULT || p.entry[p.depth - 1].level != level ||
	    p.entry[p.depth - 1].value & PTE_P) {
		trace_walks(t->o, t->v, &x);
		oracle_fail(t->o, t->v, "a fault at %llx would not exit", (unsigned long long)gva);
	}
	for (unsigned i = 0; i < p.depth; i++) {
		u64 gpa = p.entry[i].gpa & PAGE_MASK;

		if (!is_silent_table(tables, gpa, PAGE_SIZE) && tables->nr < MAX_TABLES)
			tables->gpa[tables->nr++] = gpa;
	}
}

static void check_writable(const struct visit *t, u64 gva, u64 hpa, u64 size)
{
	u64 gpa;

	if (memory_gpa_of(t->o, hpa, &gpa) && is_silent_table(t->tables, gpa, size))
		oracle_fail(t->o, t->v,
			    "by %llx the guest can write to the tables at %llx, where faults do "
			    "not exit",
			    (unsigned long long)gva, (unsigned long long)gpa);
}

static void check_leaf(const struct visit *t, unsigned level, u64 gva, u64 entry,
		       const struct rights *rights)
{
	struct rights unused = {true, true, false};

	if (rights->writable && arch_step(&t->v->hw, level, entry, &unused) == STEP_PAGE)
		check_writable(t, gva, arch_page(&t->v->hw, level, entry, 0),
			       BIT(t->v->hw.level[level].shift));
}

void silence_check(struct oracle *o, struct vcpu *v)
{
	struct silent_tables tables = {.nr = 0};
	struct visit zeros = {o, v, &tables, check_zero};

	if (!v->silent)
		return;
	visit_all(&zeros);
	for (unsigned i = 0; i < o->nr_vcpus && tables.nr; i++) {
		struct vcpu *w = &o->vcpu[i];
		struct visit leaves = {o, w, &tables, check_leaf};

		visit_all(&leaves);
		for (unsigned n = 0; n < TLB_SIZE; n++) {
			const struct cached *c = &w->tlb[n];

			if (c->size && c->rights.writable && c->leaf & PTE_D)
				check_writable(&leaves, c->gva, c->hpa, c->size);
		}
	}
}
