/* SPDX-License-Identifier: MIT */
/* Control and debug registers (SDM volume 3, sections 2.5 "Control Registers" and table 28-3). */
#include "event.h"
#include "insn.h"
#include "lib/mem.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "vmxon.h"

/* Exit qualification for control-register accesses, table 28-3. */
#define QUAL_CR(q) ((q)&15)
#define QUAL_TYPE(q) ((q) >> 4 & 3)
#define QUAL_REG(q) ((q) >> 8 & 15)
#define QUAL_LMSW_SOURCE(q) ((q) >> 16 & 0xffff)

#define AR_TYPE_TSS16_BUSY 3

enum { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

/** PAE paging without IA-32e mode: the processor holds four PDPTEs, loaded when the mode begins or
 *  CR3 changes; under EPT they are VMCS fields. False: a reserved bit is set, #GP. */
static bool load_pdptes(struct vcpu *v)
{
	u64 pdpte[4];

	if (!guest_load_pdptes(&v->machine->pc.mem, vcpu_cr3(v), v->machine->cpuid.maxphyaddr,
			       pdpte))
		return false;
	for (unsigned i = 0; i < 4; i++)
		vmcs_write64(GUEST_PDPTE0 + 2 * i, pdpte[i]);
	return true;
}

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LMA);
}

static bool cr0_valid(struct vcpu *v, u64 cr0, u64 efer)
{
	u64 cr4 = vcpu_cr4(v);

	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_PG) && !(cr0 & X86_CR0_PE))
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	if ((cr0 & X86_CR0_PG) && (efer & EFER_LME) && !(cr4 & X86_CR4_PAE))
		return false;
	/* Leaving IA-32e mode needs a 32-bit code segment and PCIDs off. */
	if (!(cr0 & X86_CR0_PG) && (efer & EFER_LMA) &&
	    ((cr4 & X86_CR4_PCIDE) || vcpu_code_bits() == 64))
		return false;
	/* Entering it needs CS.L clear, and no 16-bit TSS. */
	return !((cr0 & X86_CR0_PG) && (efer & EFER_LME) && !(efer & EFER_LMA) &&
		 ((vmcs_read32(GUEST_CS_AR_BYTES) & BIT(13)) ||
		  (vmcs_read32(GUEST_TR_AR_BYTES) & 15) == AR_TYPE_TSS16_BUSY));
}

/** IA-32e mode begins and ends with CR0.PG while EFER.LME is set. */
static void set_long_mode(u64 efer, bool on)
{
	u32 entry = vmcs_read32(VM_ENTRY_CONTROLS);

	vmcs_write64(GUEST_IA32_EFER, on ? efer | EFER_LMA : efer & ~EFER_LMA);
	vmcs_write32(VM_ENTRY_CONTROLS,
		     on ? entry | ENTRY_IA32E_MODE_GUEST : entry & ~(u32)ENTRY_IA32E_MODE_GUEST);
}

static enum exit_action set_cr0(struct vcpu *v, u64 cr0)
{
	u64 old = vcpu_cr0(v), efer = vmcs_read64(GUEST_IA32_EFER);
	bool long_mode = (cr0 & X86_CR0_PG) && (efer & EFER_LME);

	/* Reserved bits of the lower half are ignored; ET is fixed to 1. */
	cr0 = (cr0 & (X86_CR0_DEFINED | ~0xffffffffull)) | X86_CR0_ET;
	if (!cr0_valid(v, cr0, efer))
		return event_gp(v);
	if (~cr0 & (X86_CR0_PE | X86_CR0_PG) &&
	    !(v->machine->vmx.word[WORD_CPU2] & CPU2_UNRESTRICTED_GUEST))
		return stop_unsupported(v,
					"it switched %s off, which needs \"unrestricted guest\", "
					"and this processor does not have it",
					cr0 & X86_CR0_PE ? "paging" : "protected mode");
	if (pae_paging(cr0, vcpu_cr4(v), long_mode ? EFER_LMA : 0) &&
	    (old ^ cr0) & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW) && !load_pdptes(v))
		return event_gp(v);
	if ((old ^ cr0) & X86_CR0_PG && efer & EFER_LME)
		set_long_mode(efer, long_mode);
	/* Section 29.4.3.3: with a VPID, an emulated write flushes nothing by itself. */
	if ((old ^ cr0) & X86_CR0_PG)
		vmx_flush_linear(v->machine);
	v->cr0_shadow = cr0;
	vmcs_writel(CR0_READ_SHADOW, cr0);
	/* Caching stays on whatever the guest writes to CD and NW: memory is coherent, and the
	 * cache is shared with the host. NE is fixed to 1 in VMX operation. */
	vmcs_writel(GUEST_CR0, (cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | X86_CR0_NE);
	return EXIT_ADVANCE;
}

static enum exit_action set_cr4(struct vcpu *v, u64 cr4)
{
	u64 old = vcpu_cr4(v), cr0 = vcpu_cr0(v), efer = vmcs_read64(GUEST_IA32_EFER);
	u64 flush_bits = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP | X86_CR4_SMAP;
	u64 pdpte_bits = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP;

	if (cr4 & ~v->machine->cpuid.cr4_allowed)
		return event_gp(v);
	if (!(cr4 & X86_CR4_PAE) && (efer & EFER_LMA))
		return event_gp(v);
	if ((cr4 & ~old & X86_CR4_PCIDE) && (!(efer & EFER_LMA) || (vcpu_cr3(v) & 0xfff)))
		return event_gp(v);
	if (pae_paging(cr0, cr4, efer) && ((old ^ cr4) & pdpte_bits) && !load_pdptes(v))
		return event_gp(v);
	if (((old ^ cr4) & flush_bits) || (old & ~cr4 & X86_CR4_PCIDE))
		vmx_flush_linear(v->machine);
	v->cr4_shadow = cr4;
	vmcs_writel(CR4_READ_SHADOW, cr4);
	/* VMXE is fixed to 1 in VMX operation, and machine checks are the host's. */
	vmcs_writel(GUEST_CR4, cr4 | X86_CR4_VMXE | X86_CR4_MCE);
	return EXIT_ADVANCE;
}

static enum exit_action set_cr8(struct vcpu *v, u64 value)
{
	if (value >> 4)
		return event_gp(v);
	lapic_set_cr8(&v->machine->pc.lapic[v->index], value);
	v->requests |= REQ_EVENT;
	return EXIT_ADVANCE;
}

static enum exit_action mov_to_cr(struct vcpu *v, unsigned cr, u64 value)
{
	switch (cr) {
	case 0:
		return set_cr0(v, value);
	case 4:
		return set_cr4(v, value);
	case 8:
		return set_cr8(v, value);
	default:
		return stop_unsupported(v, "exit for MOV to CR%u, which nobody asked for", cr);
	}
}

enum exit_action handle_cr_access(struct vcpu *v)
{
	u64 qual = vcpu_qual(v);
	unsigned cr = QUAL_CR(qual), reg = QUAL_REG(qual);

	switch (QUAL_TYPE(qual)) {
	case CR_MOV_TO: {
		u64 value = vcpu_reg(v, reg);

		return mov_to_cr(v, cr, vcpu_code_bits() == 64 ? value : (u32)value);
	}
	case CR_MOV_FROM:
		if (cr != 8)
			return stop_unsupported(v, "exit for MOV from CR%u, which nobody asked for",
						cr);
		vcpu_set_reg(v, reg, lapic_get_cr8(&v->machine->pc.lapic[v->index]));
		return EXIT_ADVANCE;
	case CR_CLTS:
		return set_cr0(v, vcpu_cr0(v) & ~X86_CR0_TS);
	default: /* LMSW writes bits 3:0 and cannot clear PE */
		return set_cr0(v, (vcpu_cr0(v) & ~0xeull) | (QUAL_LMSW_SOURCE(qual) & 15));
	}
}
