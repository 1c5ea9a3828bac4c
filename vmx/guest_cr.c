/* SPDX-License-Identifier: MIT */
/* Control registers in VMX non-root operation. */
#include "vmx/guest_cr.h"

#define PAGE_4M_SHIFT 22
#define NR_4M_PAGES 1024

/** CR4 bits that mean something else, or something at all, once CR0.PG is 1. The page directory of
 *  the identity map needs PSE and no PAE; SMEP and SMAP would forbid its user pages. (PKE acts in
 *  IA-32e mode only, PGE on global pages, and PCIDE is 0 outside IA-32e mode.) */
#define CR4_PAGING (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP)

/** Paging is off for the guest, and on for the processor. */
static void use_identity_map(const struct vmx_cr_policy *p, struct vmx_control_regs *out)
{
	out->keeps_cr3 = false;
	out->cr0 |= X86_CR0_PG;
	out->cr3 = p->identity_cr3;
	out->cr4 = (out->cr4 & ~CR4_PAGING) | X86_CR4_PSE;
	/* With paging on, LME would be IA-32e mode. */
	out->efer &= ~EFER_LME;
	out->cr4_mask |= CR4_PAGING;
}

/** PAE paging or, in IA-32e mode, 4-level paging, in which a supervisor obeys W and NX is a bit. */
static void use_own_tables(const struct control_regs *guest, struct vmx_control_regs *out)
{
	out->keeps_cr3 = false;
	out->cr0 |= X86_CR0_PG | X86_CR0_WP;
	out->cr3 = 0;
	out->cr4 = (out->cr4 | X86_CR4_PAE) & ~X86_CR4_PCIDE;
	/* With paging off nothing is a user's page, nor has it a key. */
	if (!(guest->cr0 & X86_CR0_PG))
		out->cr4 &= ~(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE);
	out->efer |= EFER_NX;
	if (!out->ia32e)
		out->efer &= ~EFER_LME;
	out->cr0_mask |= X86_CR0_TRANSLATION;
	out->cr4_mask |= X86_CR4_TRANSLATION;
}

void vmx_control_regs(const struct vmx_cr_policy *p, const struct control_regs *guest,
		      struct vmx_control_regs *out)
{
	*out = (struct vmx_control_regs){
		/* Caching stays on whatever the guest writes to CD and NW: memory is coherent, and
		 * the cache is shared with the host. NE is fixed to 1 in VMX operation. */
		.cr0 = (guest->cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | X86_CR0_NE,
		.cr3 = guest->cr3,
		/* VMXE is fixed to 1 in VMX operation, and machine checks are the host's. */
		.cr4 = guest->cr4 | X86_CR4_VMXE | X86_CR4_MCE,
		.efer = guest->efer,
		.cr0_mask = ~p->cr0_guest_owned,
		.cr4_mask = ~p->cr4_guest_owned,
		.ia32e = guest->efer & EFER_LMA,
		.keeps_cr3 = true,
	};
	if (p->own_tables)
		use_own_tables(guest, out);
	else if (!p->unrestricted && !(guest->cr0 & X86_CR0_PG))
		use_identity_map(p, out);
}

static bool fixed(u64 value, u64 fixed0, u64 fixed1)
{
	return (value & fixed0) == fixed0 && !(value & ~fixed1);
}

const char *vmx_control_regs_broken(const struct vmx_control_regs *f, bool unrestricted,
				    const struct vmx_caps *caps)
{
	const u64 mode = X86_CR0_PE | X86_CR0_PG;
	bool paging = f->cr0 & X86_CR0_PG, lme = f->efer & EFER_LME, lma = f->efer & EFER_LMA;

	if (!fixed(f->cr0, caps->cr0_fixed0 & ~(unrestricted ? mode : 0), caps->cr0_fixed1))
		return "CR0 has a bit that is fixed to the other value";
	if (!unrestricted && (f->cr0 & mode) != mode)
		return "CR0.PE and CR0.PG are 1 without \"unrestricted guest\"";
	if (paging && !(f->cr0 & X86_CR0_PE))
		return "CR0.PE is 1 where CR0.PG is";
	if (!fixed(f->cr4, caps->cr4_fixed0, caps->cr4_fixed1))
		return "CR4 has a bit that is fixed to the other value";
	if (f->ia32e && !(paging && (f->cr4 & X86_CR4_PAE)))
		return "CR0.PG and CR4.PAE are 1 in IA-32e mode";
	if (!f->ia32e && (f->cr4 & X86_CR4_PCIDE))
		return "CR4.PCIDE is 0 outside IA-32e mode";
	if (lma != f->ia32e)
		return "EFER.LMA is as \"IA-32e mode guest\" says";
	if (paging && lma != lme)
		return "EFER.LMA is EFER.LME where CR0.PG is 1";
	return NULL;
}

void vmx_identity_map(u32 *directory)
{
	for (u32 i = 0; i < NR_4M_PAGES; i++)
		directory[i] =
			(u32)(i << PAGE_4M_SHIFT | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | PTE_PS);
}
