/* SPDX-License-Identifier: MIT */
/* The rules of CR0, CR3, CR4 and IA32_EFER. */
#include "guest/cr.h"

#define CR3_NO_FLUSH BIT(63)
#define CR3_PCID 0xfffull

/** IA-32e mode begins with paging while EFER.LME is set (section 10.8.5.1), and ends with it. */
static bool may_switch_paging(const struct control_regs *r, bool on, const struct cr_limits *l)
{
	if (on)
		return !(r->efer & EFER_LME) || ((r->cr4 & X86_CR4_PAE) && !l->cs_l && !l->tss16);
	return !(r->efer & EFER_LMA) || (!(r->cr4 & X86_CR4_PCIDE) && !l->cs_l);
}

bool cr0_write(struct control_regs *r, u64 value, const struct cr_limits *l, u32 *effects)
{
	struct control_regs new = *r;
	u64 changed;

	if (value >> 32)
		return false;
	/* Reserved bits of the lower half are ignored; ET is fixed to 1. */
	new.cr0 = (value & X86_CR0_DEFINED) | X86_CR0_ET;
	changed = new.cr0 ^ r->cr0;
	if ((new.cr0 &X86_CR0_PG) && !(new.cr0 &X86_CR0_PE))
		return false;
	if ((new.cr0 &X86_CR0_NW) && !(new.cr0 &X86_CR0_CD))
		return false;
	*effects = 0;
	if (changed & X86_CR0_PG) {
		bool on = new.cr0 &X86_CR0_PG;

		if (!may_switch_paging(r, on, l))
			return false;
		new.efer = on && (r->efer & EFER_LME) ? r->efer | EFER_LMA : r->efer & ~EFER_LMA;
		*effects = CR_FLUSH_GLOBAL;
	}
	if (pae_paging(&new) && (changed & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)))
		*effects |= CR_LOAD_PDPTES;
	*r = new;
	return true;
}

bool cr3_write(struct control_regs *r, u64 value, const struct cr_limits *l, u32 *effects)
{
	bool pcids = r->cr4 & X86_CR4_PCIDE;
	u64 no_flush = pcids ? value & CR3_NO_FLUSH : 0;

	value &= ~no_flush; /* it reads as 0 */
	if (l->maxphyaddr < 64 && value >> l->maxphyaddr)
		return false;
	r->cr3 = value;
	*effects = no_flush ? 0 : CR_FLUSH;
	if (pae_paging(r))
		*effects |= CR_LOAD_PDPTES;
	return true;
}

bool cr4_write(struct control_regs *r, u64 value, const struct cr_limits *l, u32 *effects)
{
	/* Section 4.10.4.1 "Operations that Invalidate TLBs ..."; where it has a lesser effect for
	 * one of them, this one is allowed. */
	const u64 flush = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP | X86_CR4_SMAP;
	const u64 pdptes = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP;
	u64 changed = value ^ r->cr4, old = r->cr4;

	if (value & ~l->cr4_allowed)
		return false;
	if (!(value & X86_CR4_PAE) && (r->efer & EFER_LMA))
		return false;
	if ((value & changed & X86_CR4_PCIDE) && (!(r->efer & EFER_LMA) || (r->cr3 & CR3_PCID)))
		return false;
	r->cr4 = value;
	*effects = 0;
	if ((changed & flush) || (changed & old & X86_CR4_PCIDE))
		*effects = CR_FLUSH_GLOBAL;
	if (pae_paging(r) && (changed & pdptes))
		*effects |= CR_LOAD_PDPTES;
	return true;
}

bool efer_write(struct control_regs *r, u64 value, const struct cr_limits *l)
{
	/* LMA is the processor's own: a write to it is ignored. */
	value &= ~EFER_LMA;
	if (value & ~l->efer_allowed)
		return false;
	if (((value ^ r->efer) & EFER_LME) && (r->cr0 & X86_CR0_PG))
		return false;
	r->efer = value | (r->efer & EFER_LMA);
	return true;
}
