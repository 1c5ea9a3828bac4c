/* SPDX-License-Identifier: MIT */
/* What the guest does with its address spaces: loads of CR3, INVLPG, INVPCID. */
#include "guest/invpcid.h"
#include "oracle.h"

#define CR3_PCID 0xfffull

static unsigned number(const struct oracle *o, const struct vcpu *v)
{
	return (unsigned)(v - o->vcpu);
}

/** PAE: where MOV to CR3 would be #GP, the guest takes another; or it has nothing mapped. */
static void load_pdptes(struct oracle *o, struct vcpu *v)
{
	for (unsigned i = 0; v->arch.mode == ARCH_PAE; i++) {
		if (guest_load_pdptes(&o->gm, v->r.cr3, v->r.maxphyaddr, v->r.pdpte))
			break;
		memset(v->r.pdpte, 0, sizeof(v->r.pdpte));
		if (i == 4)
			break;
		v->r.cr3 = tables_root(o, v);
	}
}

void spaces_load(struct oracle *o, struct vcpu *v)
{
	u64 cr3 = v->r.cr3;

	arch_init(&v->arch, &v->r);
	load_pdptes(o, v);
	trace(o, v, "load: cr3 %llx, was %llx; cr4 %llx", v->r.cr3, cr3, v->r.cr4);
	history_fresh(o, v);
	o->keys |= v->arch.pke;
	hw_load(o, v, o->mmu->ops->load(o->mmu, number(o, v), &v->r));
	v->silent = o->mmu->ops->silent(o->mmu, number(o, v));
	o->figures.loads++;
}

void spaces_cr3(struct oracle *o, struct vcpu *v, u64 cr3, bool keep)
{
	unsigned was = history_present(v);

	if (!(v->r.cr4 & X86_CR4_PCIDE))
		keep = false;
	v->r.cr3 = cr3;
	load_pdptes(o, v);
	trace(o, v, "cr3 %llx, keep %llu", v->r.cr3, keep, 0);
	history_cr3(o, v, was, keep);
	hw_load(o, v, o->mmu->ops->load_cr3(o->mmu, number(o, v), &v->r, keep));
	if (v->silent != o->mmu->ops->silent(o->mmu, number(o, v)))
		oracle_fail(o, v, "silent() has changed in the same mode");
	o->figures.loads++;
	o->figures.kept += keep;
}

/** A PCID mostly comes back with the same tables. */
static u64 some_space(struct oracle *o, struct vcpu *v)
{
	unsigned i = pick(o, NR_PCIDS);

	if (!v->root[i] || one_in(o, 8))
		v->root[i] = tables_root(o, v);
	return v->root[i] | history_pcids[i];
}

void spaces_switch(struct oracle *o, struct vcpu *v)
{
	u64 cr3 = v->r.cr3;

	if (v->r.cr4 & X86_CR4_PCIDE) {
		cr3 = some_space(o, v);
	} else if (v->arch.mode == ARCH_OFF || pick(o, 4)) {
		cr3 = tables_root(o, v);
		if (v->arch.mode != ARCH_PAE && one_in(o, 8))
			cr3 |= PTE_PCD;
	}
	spaces_cr3(o, v, cr3, pick(o, 6));
}

void spaces_invlpg(struct oracle *o, struct vcpu *v, u64 gva)
{
	trace(o, v, "invlpg %llx", gva, 0, 0);
	history_invlpg(o, v, gva);
	o->mmu->ops->invlpg(o->mmu, number(o, v), &v->r, GVA(gva));
	hw_enter(o, v);
	o->figures.invalidations++;
}

void spaces_flush(struct oracle *o, struct vcpu *v)
{
	trace(o, v, "flush", 0, 0, 0);
	history_fresh(o, v);
	o->mmu->ops->flush(o->mmu, number(o, v));
	hw_enter(o, v);
}

/** As the hypervisor hands it on (vmm/exits_tlb.c). */
void spaces_invpcid(struct oracle *o, struct vcpu *v, u16 pcid, u64 gva)
{
	unsigned type = one_in(o, 16) ? INVPCID_ALL + pick(o, 2) : pick(o, 2);
	bool present = pcid == (v->r.cr4 & X86_CR4_PCIDE ? v->r.cr3 & CR3_PCID : 0);
	gva_t at = GVA(gva);

	trace(o, v, "invpcid type %llu of %llx: %llx", type, pcid, gva);
	if (present && type == INVPCID_ADDRESS) {
		spaces_invlpg(o, v, gva);
	} else if (present || type > INVPCID_CONTEXT) {
		spaces_flush(o, v);
	} else {
		history_invpcid(o, v, pcid, type == INVPCID_ADDRESS ? &gva : NULL);
		o->mmu->ops->invpcid(o->mmu, number(o, v), pcid,
				     type == INVPCID_ADDRESS ? &at : NULL);
		hw_enter(o, v);
	}
	o->figures.invpcids++;
}
