/* SPDX-License-Identifier: MIT */
/*
 * Every leaf of the shadow tables, judged as if it were accessed now: the processor may have cached
 * any of them, and may use what it cached. So nothing wrong has to wait for an access that meets
 * it.
 */
#include "oracle.h"
#include "shadow_counters.h"

static void judge_access(struct oracle *o, struct vcpu *v, const struct access *x,
			 const struct outcome *seen)
{
	char was[OUTCOME_TEXT], is[OUTCOME_TEXT];
	struct outcome fresh;
	bool folded, flags = true;
	struct path p;

	fresh = fresh_walk(o, v, x, &p);
	for (unsigned i = 0; i < p.depth; i++) {
		u64 must = PTE_A | (i == p.depth - 1 && x->kind & WALK_WRITE ? PTE_D : 0);

		flags &= (p.entry[i].value & must) == must;
	}
	if (fresh.kind == OUTCOME_ALLOWED && fresh.at == seen->at && fresh.type == seen->type &&
	    flags)
		return;
	if (judge(o, v, x, seen, &folded))
		return;
	trace_walks(o, v, x);
	oracle_fail(o, v, "the shadow tables give a %s%s at %llx: %s; fresh: %s",
		    x->kind & WALK_USER ? "user's " : "supervisor's ",
		    x->kind & WALK_WRITE   ? "write"
		    : x->kind & WALK_FETCH ? "fetch"
					   : "read",
		    (unsigned long long)x->gva, outcome_text(seen, is), outcome_text(&fresh, was));
}

static void check_leaf(struct oracle *o, struct vcpu *v, u64 gva, unsigned level, u64 entry,
		       const struct rights *rights)
{
	static const u32 kinds[] = {WALK_READ, WALK_WRITE, WALK_FETCH};
	u64 size = BIT(v->hw.level[level].shift);

	if (size > PAGE_SIZE)
		gva += (u64)pick(o, size >> PAGE_SHIFT) << PAGE_SHIFT;
	gva += pick(o, PAGE_SIZE / 8) * 8;
	o->figures.leaves++;
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(kinds); i++) {
		bool user = i & 1;
		struct access x = {
			.gva = gva,
			.kind = kinds[i / 2] | (user ? WALK_USER : 0),
			.ac = one_in(o, 2),
			.cpl = user ? 3 : 0,
		};
		struct outcome seen = {
			.kind = OUTCOME_ALLOWED,
			.at = arch_page(&v->hw, level, entry, gva),
		};
		u32 pferr;

		seen.type = memory_shadow_type(o, seen.at, level, entry);
		if (arch_allows(&v->hw, &x, rights, entry, &pferr))
			judge_access(o, v, &x, &seen);
	}
}

static void visit(struct oracle *o, struct vcpu *v, u64 table, unsigned level, u64 gva,
		  struct rights above)
{
	const u64 *entries = memory_pool_entry(o, table);

	if (!entries)
		oracle_fail(o, v, "a shadow table at %llx is outside of the pool",
			    (unsigned long long)table);
	for (unsigned i = 0; i < 512; i++) {
		u64 at = gva + ((u64)i << v->hw.level[level].shift);
		struct rights rights = above;

		if (!entries[i])
			continue;
		if (level == 4 && i >= 256)
			at |= 0xffffull << 48;
		hw_check_entry(o, v, level, entries[i]);
		switch (arch_step(&v->hw, level, entries[i], &rights)) {
		case STEP_TABLE:
			visit(o, v, arch_table(&v->hw, entries[i]), level - 1, at, rights);
			break;
		case STEP_PAGE:
			check_leaf(o, v, at, level, entries[i], &rights);
			break;
		default:
			break;
		}
	}
}

/** "faults" is the sum of what became of them; only a lost table, which ends a guest, is no row. */
static void check_counters(struct oracle *o, const struct vcpu *v)
{
	const u64 *c = o->mmu->ops->counters(o->mmu);
	u64 sum = c[SHADOW_FILLS] + c[SHADOW_REFLECTED] + c[SHADOW_MMIO] + c[SHADOW_WRITE_PROTECT] +
		  c[SHADOW_EMULATED] + c[SHADOW_SPURIOUS] + o->lost;

	if (sum != c[SHADOW_FAULTS])
		oracle_fail(o, v, "%llu page faults were counted, and %llu outcomes",
			    (unsigned long long)c[SHADOW_FAULTS], (unsigned long long)sum);
}

void leaves_check(struct oracle *o, struct vcpu *v)
{
	bool pae = v->hw.mode == ARCH_PAE;
	u64 bad, table;

	for (u64 i = 0; i < (pae ? 4 : 1); i++) {
		if (arch_root(&v->hw, v->hw_cr3.v, v->hw_pdpte, i << 30, &table))
			visit(o, v, table, v->hw.top, i << 30, (struct rights){true, true, false});
	}
	silence_check(o, v);
	check_counters(o, v);
	bad = o->mmu->ops->audit(o->mmu, &o->gm);
	if (bad)
		oracle_fail(o, v, "audit() finds %llu bad leaves", (unsigned long long)bad);
}
