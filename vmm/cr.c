/* SPDX-License-Identifier: MIT */
/* Control registers between the guest and the VMCS. */
#include "cr.h"

#include "core.h"
#include "efer.h"
#include "machine.h"
#include "paging.h"
#include "panic.h"
#include "vmcs.h"
#include "vmx/guest_cr.h"

/* Access rights of segments, table 25-2. */
#define AR_TYPE 15u
#define AR_TYPE_TSS16_BUSY 3
#define AR_L BIT(13)

void control_regs_init(struct machine *m)
{
	struct vmx_cr_policy *p = &m->cr_policy;

	*p = (struct vmx_cr_policy){
		.unrestricted = m->vmx.word[WORD_CPU2] & CPU2_UNRESTRICTED_GUEST,
		.own_tables = m->controls.own_tables,
		.cr0_guest_owned = m->controls.cr0_guest_owned,
		/* A bit that the guest's CPUID does not have stays the host's, so that setting it
		 * is #GP. */
		.cr4_guest_owned = m->controls.cr4_guest_owned & m->cpuid.cr4_allowed,
		.identity_cr3 = PC_IDENTITY_MAP,
	};
	if (p->own_tables) {
		p->cr0_guest_owned &= ~X86_CR0_TRANSLATION;
		p->cr4_guest_owned &= ~X86_CR4_TRANSLATION;
	} else if (!p->unrestricted) {
		hpa_t hpa;

		vmx_identity_map(heap_need(PAGE_SIZE, &hpa, "identity map"));
		paging_map_rom(m, GPA(PC_IDENTITY_MAP), hpa);
	}
}

void vcpu_control_regs(struct vcpu *v, struct control_regs *r)
{
	*r = (struct control_regs){
		.cr0 = vcpu_cr0(v), .cr3 = vcpu_cr3(v), .cr4 = vcpu_cr4(v), .efer = v->shadow.efer};
}

void vcpu_cr_limits(struct vcpu *v, struct cr_limits *l)
{
	const struct cpuid_policy *p = &v->machine->cpuid;

	*l = (struct cr_limits){
		.cr4_allowed = p->cr4_allowed,
		.efer_allowed = p->efer_allowed,
		.maxphyaddr = p->maxphyaddr,
		.cs_l = vmcs_read32(GUEST_CS_AR_BYTES) & AR_L,
		.tss16 = (vmcs_read32(GUEST_TR_AR_BYTES) & AR_TYPE) == AR_TYPE_TSS16_BUSY,
	};
}

bool vcpu_load_pdptes(struct vcpu *v, u64 cr3)
{
	const struct machine *m = v->machine;
	u64 pdpte[4];

	if (!guest_load_pdptes(&m->pc.mem, cr3, m->cpuid.maxphyaddr, pdpte))
		return false;
	/* Under EPT they are fields of the VMCS; those do not exist without. */
	for (unsigned i = 0; i < 4; i++) {
		if (m->controls.own_tables)
			v->walk.pdpte[i] = pdpte[i];
		else
			vmcs_write64(GUEST_PDPTE0 + 2 * i, pdpte[i]);
	}
	return true;
}

/** v->walk has what the guest goes on with. */
static void load_own_tables(struct vcpu *v)
{
	struct paging *p = v->machine->paging;

	vmcs_writel(GUEST_CR3, p->ops->load(p, v->index, &v->walk).v);
}

/** Page faults exit; those with P=0 in the error code only where the mode or exit+=
 *  wants it (SDM volume 3, section 25.6.3 "Exception Bitmap"). */
static void filter_page_faults(const struct vcpu *v)
{
	const struct paging *p = v->machine->paging;
	bool all = v->machine->exits.exceptions_on & BIT(PF_VECTOR);
	u32 bits = !all && p->ops->silent(p, v->index) ? PFERR_PRESENT : 0;

	vmcs_write32(PAGE_FAULT_ERROR_CODE_MASK, bits);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MATCH, bits);
}

void vcpu_load_cr3(struct vcpu *v, bool keep)
{
	struct paging *p = v->machine->paging;

	v->walk.cr3 = v->shadow.cr3;
	/* On the way of every switch of address spaces: a VMWRITE without checks. */
	vmwrite_sure(GUEST_CR3, p->ops->load_cr3(p, v->index, &v->walk, keep).v);
}

void vcpu_load_control_regs(struct vcpu *v, const struct control_regs *r)
{
	const struct machine *m = v->machine;
	const u32 cr3_exits = CPU1_CR3_LOAD_EXITING | CPU1_CR3_STORE_EXITING;
	struct vmx_control_regs f;
	const char *broken;

	vmx_control_regs(&m->cr_policy, r, &f);
	broken = vmx_control_regs_broken(&f, m->cr_policy.unrestricted, &core.caps);
	if (broken)
		panic("cr0 %llx cr4 %llx efer %llx break a rule of VM entry: %s",
		      (unsigned long long)f.cr0, (unsigned long long)f.cr4,
		      (unsigned long long)f.efer, broken);
	v->shadow = *r;
	v->keeps_cr3 = f.keeps_cr3;
	v->cr4_guest_owned = ~f.cr4_mask;
	vmcs_writel(GUEST_CR0, f.cr0);
	if (m->controls.own_tables) {
		v->walk.cr0 = r->cr0;
		v->walk.cr3 = r->cr3;
		v->walk.cr4 = r->cr4;
		v->walk.efer = r->efer;
		load_own_tables(v);
		filter_page_faults(v);
	} else {
		vmcs_writel(GUEST_CR3, f.cr3);
	}
	vmcs_writel(GUEST_CR4, f.cr4);
	efer_load(v, &f);
	vmcs_writel(CR0_READ_SHADOW, r->cr0);
	vmcs_writel(CR4_READ_SHADOW, r->cr4);
	vmcs_writel(CR0_GUEST_HOST_MASK, f.cr0_mask);
	vmcs_writel(CR4_GUEST_HOST_MASK, f.cr4_mask);
	vmcs_write32(VM_ENTRY_CONTROLS,
		     m->vmx.word[WORD_ENTRY] | (f.ia32e ? (u32)ENTRY_IA32E_MODE_GUEST : 0));
	/* Some processors insist on exits for CR3: those bits stay. */
	vcpu_set_cpu1(v, cr3_exits & ~m->vmx.word[WORD_CPU1], !f.keeps_cr3);
}
