/* SPDX-License-Identifier: MIT */
/* What the guest does: one operation at a time, chosen at random. */
#include "oracle.h"

static struct paging *mmu(struct oracle *o)
{
	return o->mmu;
}

static void remember(struct oracle *o, struct vcpu *v, u64 gva)
{
	v->recent[pick(o, NR_RECENT)] = gva;
}

u64 guest_gva(struct oracle *o, struct vcpu *v)
{
	u64 gva = v->recent[pick(o, NR_RECENT)];

	if (pick(o, 10) < 7)
		return one_in(o, 4) ? gva ^ PAGE_SIZE : gva;
	gva = tables_gva(o, v);
	remember(o, v, gva);
	return gva;
}

struct access guest_access(struct oracle *o, struct vcpu *v, u64 gva)
{
	static const u32 kinds[] = {WALK_READ, WALK_READ, WALK_WRITE, WALK_WRITE, WALK_FETCH};
	struct access x = {
		.gva = gva,
		.kind = kinds[pick(o, ARRAY_SIZE(kinds))],
		.ac = one_in(o, 2),
	};

	if (v->r.cr4 & X86_CR4_PKE && one_in(o, 2))
		x.pkru = (u32)pick64(o) & (one_in(o, 2) ? (u32)pick64(o) : ~0u);
	if (one_in(o, 2)) {
		x.kind |= WALK_USER;
		x.cpl = 3;
	} else if (x.kind != WALK_FETCH && one_in(o, 8)) {
		x.kind |= WALK_IMPLICIT;
		x.cpl = one_in(o, 3) ? 0 : 3;
	}
	return x;
}

/** What the guest stores at `gva`: where it might be a table, something like an entry. */
static u64 some_data(struct oracle *o, const struct vcpu *v, u64 gva)
{
	if (gva & 7 || v->arch.mode == ARCH_OFF)
		return pick64(o);
	if (v->arch.bytes == 4)
		return tables_entry(o, v, 1 + pick(o, 2)) | tables_entry(o, v, 1 + pick(o, 2))
								    << 32;
	return tables_entry(o, v, 1 + pick(o, v->arch.top));
}

static void access_at(struct oracle *o, struct vcpu *v, u64 gva)
{
	static const unsigned lengths[] = {1, 2, 4, 8};
	struct access x = guest_access(o, v, gva);
	u64 data = x.kind & WALK_WRITE ? some_data(o, v, x.gva) : 0;

	trace(o, v, "access %llx: kind %llx pkru %llx", x.gva, x.kind | (x.ac ? 256 : 0), x.pkru);
	oracle_access(o, v, &x, data, one_in(o, 8) ? lengths[pick(o, 3)] : 8);
}

static void op_access(struct oracle *o, struct vcpu *v)
{
	access_at(o, v, guest_gva(o, v));
}

static void op_invlpg(struct oracle *o, struct vcpu *v)
{
	spaces_invlpg(o, v, guest_gva(o, v));
}

static void op_invpcid(struct oracle *o, struct vcpu *v)
{
	u16 pcid = v->r.cr4 & X86_CR4_PCIDE ? history_pcids[pick(o, NR_PCIDS)] : 0;

	spaces_invpcid(o, v, pcid, guest_gva(o, v));
}

/** One bit of the control registers, those that choose the mode aside. */
static void op_control(struct oracle *o, struct vcpu *v)
{
	static const u64 cr4_bits[] = {X86_CR4_PGE, X86_CR4_SMEP, X86_CR4_SMAP, X86_CR4_PKE,
				       X86_CR4_PSE};

	switch (pick(o, 8)) {
	case 0:
	case 1:
		v->r.cr0 ^= X86_CR0_WP;
		break;
	case 2:
		v->r.efer ^= EFER_NX;
		break;
	case 3:
		/* CR4.PCIDE can be set in 64-bit mode with PCID 0 only, and cleared any time. */
		if (v->arch.mode == ARCH_4LEVEL && !(v->r.cr3 & 0xfff))
			v->r.cr4 ^= X86_CR4_PCIDE;
		break;
	default:
		v->r.cr4 ^= cr4_bits[pick(o, ARRAY_SIZE(cr4_bits))];
	}
	spaces_load(o, v);
}

/** One step of a visit by the space `home`, where `p` is the path of `gva`. */
static void visit_step(struct oracle *o, struct vcpu *v, u64 home, u64 gva, const struct path *p)
{
	u64 at = pick(o, 3) ? gva : guest_gva(o, v);

	switch (pick(o, 12)) {
	case 0:
	case 1:
		modify_path(o, v, p);
		break;
	case 2:
		modify_and_back(o, v, p);
		break;
	case 3:
		op_modify(o, v);
		break;
	case 4:
		op_copy(o, v);
		access_at(o, v, at);
		break;
	case 5:
		spaces_invlpg(o, v, at);
		break;
	case 6:
		spaces_invpcid(o, v, home & 0xfff, at);
		break;
	case 7:
		op_control(o, v);
		break;
	default:
		access_at(o, v, at);
	}
}

/** To another address space for a moment, and back: as a kernel does at each system call that keeps
 *  its user's page tables apart. */
static void op_visit(struct oracle *o, struct vcpu *v)
{
	u64 home = v->r.cr3, gva = guest_gva(o, v);
	struct access x = {.gva = gva};
	struct path p;

	if (!(v->r.cr4 & X86_CR4_PCIDE))
		return;
	access_at(o, v, gva);
	fresh_walk(o, v, &x, &p);
	if (one_in(o, 2)) /* the same tables */
		spaces_cr3(o, v, (home & PAGE_MASK) | history_pcids[pick(o, NR_PCIDS)], pick(o, 8));
	else
		spaces_switch(o, v);
	for (unsigned n = 1 + pick(o, 4); n && p.depth; n--)
		visit_step(o, v, home, gva, &p);
	spaces_cr3(o, v, home, pick(o, 8));
	if (one_in(o, 4))
		leaves_check(o, v);
	access_at(o, v, gva);
}

static void op_hole(struct oracle *o, struct vcpu *v)
{
	unsigned i = pick(o, NR_HOLES);
	bool hole = o->hole[i] == ~0ull;
	u64 gpa = hole ? tables_data_page(o) & PAGE_MASK : o->hole[i];

	o->stopped = true;
	if (hole && (memory_in_hole(o, gpa) || !gmem_slot(&o->gm, GPA(gpa))))
		return;
	trace(o, v, "hole at %llx: %llu", gpa, hole, 0);
	o->hole[i] = hole ? gpa : ~0ull;
	ept_ops.set_hole(o->ept, GPA(gpa), hole);
	if (!mmu(o)->ops->set_hole(mmu(o), GPA(gpa), hole))
		oracle_fail(o, v, "set_hole() says that the pool is used up");
	hw_enter(o, v);
}

static void op_overlay(struct oracle *o, struct vcpu *v)
{
	hpa_t hpa = HPA(o->overlay ? 0 : OVERLAY_HPA);

	o->stopped = true;
	trace(o, v, "overlay: %llx", hpa.v, 0, 0);
	if (!mmu(o)->ops->overlay(mmu(o), GPA(OVERLAY_GPA), hpa) ||
	    !ept_ops.overlay(o->ept, GPA(OVERLAY_GPA), hpa))
		oracle_fail(o, v, "overlay() is refused");
	o->overlay = !o->overlay;
	hw_invalidate(o); /* the caller does */
	hw_enter(o, v);
}

static void op_memtypes(struct oracle *o, struct vcpu *v)
{
	static const u64 pats[] = {0x0007040600070406, 0x0407050600070106, 0x0606060606060606};

	o->stopped = true;
	trace(o, v, "memtypes", 0, 0, 0);
	o->pat = pats[pick(o, ARRAY_SIZE(pats))];
	mmu(o)->ops->memtypes(mmu(o), o->pat);
	hw_enter(o, v);
}

static void op_speculate(struct oracle *o, struct vcpu *v)
{
	hw_speculate(o, v, guest_gva(o, v));
}

static void op_leaves(struct oracle *o, struct vcpu *v)
{
	leaves_check(o, v);
}

static void op_mode(struct oracle *o, struct vcpu *v)
{
	bool build = o->building;

	o->building = true;
	world_mode(o, v);
	arch_init(&v->arch, &v->r);
	if (o->nr_vcpus == 1 && v->arch.mode != ARCH_OFF && one_in(o, 2)) {
		tables_fill(o, v);
		mmu(o)->ops->wrote(mmu(o), GPA(TABLES_GPA), sizeof(o->copy));
	}
	v->r.cr3 = tables_root(o, v);
	o->building = build;
	spaces_load(o, v);
	for (unsigned i = 0; i < NR_RECENT; i++)
		v->recent[i] = tables_gva(o, v);
	o->figures.mode_changes++;
}

static const struct {
	void (*run)(struct oracle *o, struct vcpu *v);
	unsigned weight;
} operations[] = {
	{op_access, 1250}, {op_modify, 300}, {op_invlpg, 100},	 {spaces_switch, 60},
	{op_copy, 30},	   {op_split, 16},   {op_speculate, 80}, {op_control, 20},
	{op_recycle, 6},   {op_hole, 6},     {op_overlay, 2},	 {spaces_flush, 4},
	{op_memtypes, 1},  {op_rights, 12},  {op_leaves, 3},	 {op_mode, 1},
	{op_visit, 100},   {op_invpcid, 20}, {op_grow, 16},
};

void guest_operation(struct oracle *o)
{
	struct vcpu *v = &o->vcpu[pick(o, o->nr_vcpus)];
	unsigned sum = 0, what;

	for (unsigned i = 0; i < ARRAY_SIZE(operations); i++)
		sum += operations[i].weight;
	what = pick(o, sum);
	o->running = v;
	o->stopped = false;
	for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
		if (what < operations[i].weight) {
			operations[i].run(o, v);
			break;
		}
		what -= operations[i].weight;
	}
	o->stopped = true;
	/* Before the log is full, or a vcpu's history. */
	if (o->nr_changes > MAX_CHANGES - 4096) {
		for (unsigned i = 0; i < o->nr_vcpus; i++)
			spaces_load(o, &o->vcpu[i]);
		memory_forget_changes(o);
	}
	for (unsigned i = 0; i < o->nr_vcpus; i++) {
		if (history_long(&o->vcpu[i]))
			spaces_load(o, &o->vcpu[i]);
	}
	if (o->figures.operations % 64 == 0)
		memory_check(o);
}
