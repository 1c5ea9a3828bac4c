/* SPDX-License-Identifier: MIT */
/* The guest modifies its page tables: through the window, mostly, and not always as it should. */
#include "oracle.h"

/** An instruction of the guest's that the hypervisor emulates stores there. */
static void emulated_store(struct oracle *o, struct vcpu *v, u64 gpa, u64 data, unsigned len)
{
	trace(o, v, "emulated store: %llx at %llx, %llu bytes", data, gpa, len);
	memory_store(o, gpa, &data, len);
	o->mmu->ops->wrote(o->mmu, GPA(gpa), len);
	o->figures.emulated_stores++;
	hw_enter(o, v);
}

/** The guest modifies a table: through the window mostly. */
static void modify(struct oracle *o, struct vcpu *v, u64 gpa, u64 data, unsigned len)
{
	struct access x = {.gva = tables_window(v, gpa), .kind = WALK_WRITE};

	if (gpa - TABLES_GPA < sizeof(o->copy) && pick(o, 5)) {
		trace(o, v, "store %llx at %llx, gva %llx", data, gpa, x.gva);
		if (oracle_access(o, v, &x, data, len).kind == OUTCOME_ALLOWED || one_in(o, 2))
			return;
	}
	if (gmem_ptr(&o->gm, GPA(gpa), len))
		emulated_store(o, v, gpa, data, len);
}

/** What may follow a modification: the invalidation that it needs, less, or nothing. */
static void follow_up(struct oracle *o, struct vcpu *v, u64 gva)
{
	u32 what = pick(o, 10);
	struct access x;

	if (what < 5)
		spaces_invlpg(o, v, gva);
	else if (what == 5)
		spaces_cr3(o, v, v->r.cr3, one_in(o, 3));
	if (pick(o, 10) < 6) {
		x = guest_access(o, v, gva);
		trace(o, v, "access %llx: kind %llx pkru %llx", x.gva, x.kind | (x.ac ? 256 : 0),
		      x.pkru);
		oracle_access(o, v, &x, pick64(o), 8);
	}
}

void modify_path(struct oracle *o, struct vcpu *v, const struct path *p)
{
	u64 entry;
	unsigned i;

	i = one_in(o, 2) ? p->depth - 1 : pick(o, p->depth);
	if (!p->complete && pick(o, 4)) { /* mend what leads nowhere, or tables wear out */
		i = p->depth - 1;
		entry = tables_entry(o, v, p->entry[i].level) | PTE_P;
	} else {
		entry = tables_mutate(o, v, p->entry[i].level, p->entry[i].value);
	}
	modify(o, v, p->entry[i].gpa, entry, v->arch.bytes);
}

void modify_and_back(struct oracle *o, struct vcpu *v, const struct path *p)
{
	unsigned i = one_in(o, 2) ? p->depth - 1 : pick(o, p->depth);
	u64 was = p->entry[i].value;
	u64 now = one_in(o, 2) ? was ^ PTE_W : tables_mutate(o, v, p->entry[i].level, was);

	modify(o, v, p->entry[i].gpa, now, v->arch.bytes);
	follow_up(o, v, guest_gva(o, v));
	modify(o, v, p->entry[i].gpa, was, v->arch.bytes);
}

/** Change an entry on the path of an address. */
void op_modify(struct oracle *o, struct vcpu *v)
{
	u64 gva = guest_gva(o, v);
	struct access x = {.gva = gva};
	struct path p;

	fresh_walk(o, v, &x, &p);
	if (!p.depth)
		return;
	modify_path(o, v, &p);
	follow_up(o, v, gva);
}

/** Rights of an upper entry go and come back, and meanwhile the leaf changes: each with the
 *  invalidation that it needs, or without. */
void op_rights(struct oracle *o, struct vcpu *v)
{
	static const u64 flags[] = {PTE_W, PTE_W, PTE_U};
	u64 gva = guest_gva(o, v), flag = flags[pick(o, ARRAY_SIZE(flags))];
	struct access x = {.gva = gva};
	struct path p;
	unsigned i;

	fresh_walk(o, v, &x, &p);
	if (!p.complete || p.depth < 2)
		return;
	i = pick(o, p.depth - 1);
	modify(o, v, p.entry[i].gpa, p.entry[i].value ^ flag, v->arch.bytes);
	follow_up(o, v, gva);
	modify(o, v, p.entry[p.depth - 1].gpa,
	       tables_mutate(o, v, p.entry[p.depth - 1].level, p.entry[p.depth - 1].value),
	       v->arch.bytes);
	if (one_in(o, 2))
		follow_up(o, v, guest_gva(o, v));
	modify(o, v, p.entry[i].gpa, p.entry[i].value, v->arch.bytes);
	spaces_invlpg(o, v, guest_gva(o, v));
	follow_up(o, v, gva);
}

/** Turn a large page into a table that maps the same, or the other way round. */
void op_split(struct oracle *o, struct vcpu *v)
{
	u64 gva = guest_gva(o, v), table, step, frame;
	struct access x = {.gva = gva};
	unsigned i, count;
	struct path p;

	fresh_walk(o, v, &x, &p);
	if (!p.complete || v->arch.mode == ARCH_OFF)
		return;
	i = p.depth - 1;
	if (p.entry[i].level == 1) { /* join: the page of the first entry's frame */
		u64 large = p.entry[i].value & ~(v->arch.frame & (BIT(22) - 1));

		if (i == 0)
			return;
		modify(o, v, p.entry[i - 1].gpa, large | PTE_PS, v->arch.bytes);
		follow_up(o, v, gva);
		return;
	}
	table = tables_root(o, v) - (v->arch.mode == ARCH_PAE ? 0 : PAGE_SIZE);
	table &= PAGE_MASK;
	step = BIT(v->arch.level[p.entry[i].level - 1].shift);
	frame = arch_page(&v->arch, p.entry[i].level, p.entry[i].value, 0);
	count = v->arch.level[p.entry[i].level - 1].index_mask + 1;
	for (unsigned n = 0; n < 24; n++) {
		unsigned at = n < 16 ? n : count - 24 + n;
		u64 piece = (frame + at * step) | (p.entry[i].value & 0xf7f) |
			    (p.entry[i].value & PTE_NX) | (p.entry[i].level > 2 ? PTE_PS : 0);

		modify(o, v, table + at * v->arch.bytes, piece, v->arch.bytes);
	}
	modify(o, v, p.entry[i].gpa, table | (p.entry[i].value & 0x67), v->arch.bytes);
	follow_up(o, v, gva);
}

/** Copy an entry to another place, of the same table or another. */
void op_copy(struct oracle *o, struct vcpu *v)
{
	struct access from = {.gva = guest_gva(o, v)}, to = {.gva = guest_gva(o, v)};
	struct path p, q;
	unsigned i;

	fresh_walk(o, v, &from, &p);
	fresh_walk(o, v, &to, &q);
	if (!p.depth || !q.depth)
		return;
	i = MIN(p.depth, q.depth) - 1;
	if (one_in(o, 2))
		i = pick(o, i + 1);
	modify(o, v, q.entry[i].gpa, p.entry[i].value, v->arch.bytes);
	follow_up(o, v, to.gva);
}

/** A page of tables gets a new life: filled anew, or cleared. */
void op_recycle(struct oracle *o, struct vcpu *v)
{
	unsigned page = pick(o, TABLE_FREE_PAGES);
	u64 gpa = TABLES_GPA + page * PAGE_SIZE;
	unsigned level = 1 + pick(o, MAX(v->arch.top, 1u)), bytes = MAX(v->arch.bytes, 4u);

	for (unsigned i = 0; i < 8; i++) {
		u64 entry = one_in(o, 2) ? 0 : tables_entry(o, v, level);

		modify(o, v, gpa + i * bytes, entry, bytes);
	}
	if (one_in(o, 2))
		spaces_cr3(o, v, v->r.cr3, false);
}

/** There is another way to the page table at the end of `p`, and somebody goes there. */
static void another_way(struct oracle *o, struct vcpu *v, const struct path *p, unsigned index)
{
	struct access x = {.gva = (guest_gva(o, v) & ~0x1ff000ull) | (u64)index << 12};
	struct path other;

	fresh_walk(o, v, &x, &other);
	if (other.depth < 3)
		return;
	modify(o, v, other.entry[2].gpa, p->entry[2].value, 8);
	spaces_invlpg(o, v, x.gva);
	oracle_access(o, v, &x, 0, 8);
	if (one_in(o, 2))
		leaves_check(o, v);
}

/** A page table grows as a process does: a fault on each entry, which is then made, and once more
 *  the access. Now and then something else happens to it. */
void op_grow(struct oracle *o, struct vcpu *v)
{
	u64 gva = pick(o, 8) ? tables_growing() : guest_gva(o, v), table, cr3;
	unsigned first = pick(o, 512);
	struct access x = {.gva = gva};
	struct path p;

	if (v->arch.mode != ARCH_4LEVEL)
		return;
	fresh_walk(o, v, &x, &p);
	for (unsigned n = 0; n < 4 && p.depth < 4; n++) {
		spaces_switch(o, v);
		fresh_walk(o, v, &x, &p);
	}
	if (p.depth < 4)
		return;
	table = p.entry[p.depth - 1].gpa & PAGE_MASK;
	cr3 = v->r.cr3;
	for (unsigned n = 0; n < 28; n++) {
		unsigned index = (first + n) % 512;
		u64 entry = tables_entry(o, v, 1) | PTE_P | PTE_A | PTE_W;

		x.gva = (gva & ~0x1ff000ull) | (u64)index << 12;
		x.kind = pick(o, 4) ? WALK_WRITE : WALK_READ;
		if (one_in(o, 2)) {
			x.kind |= WALK_USER;
			x.cpl = 3;
		} else {
			x.cpl = 0;
		}
		v->recent[pick(o, NR_RECENT)] = x.gva;
		trace(o, v, "grow %llx: table %llx", x.gva, table, 0);
		oracle_access(o, v, &x, pick64(o), 8);
		if (pick(o, 8))
			modify(o, v, table + index * 8, entry, 8);
		if (one_in(o, 2))
			oracle_access(o, v, &x, pick64(o), 8);
		if (one_in(o, 12))
			modify(o, v, table + (index - pick(o, 4)) % 512 * 8, 0, 8);
		if (one_in(o, 40))
			modify_path(o, v, &p);
		if (one_in(o, 40))
			op_copy(o, v);
		if (one_in(o, 24))
			spaces_cr3(o, v, one_in(o, 2) ? cr3 : v->r.cr3, one_in(o, 2));
		if (one_in(o, 60))
			spaces_switch(o, v);
		if (one_in(o, 30))
			another_way(o, v, &p, index);
		if (one_in(o, 30))
			leaves_check(o, v);
	}
}
