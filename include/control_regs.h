/* SPDX-License-Identifier: MIT */
/* The registers that choose a processor's mode and how it translates addresses, as its software
 * sees them. */
#ifndef TV_CONTROL_REGS_H
#define TV_CONTROL_REGS_H

#include "types.h"
#include "x86.h"

struct control_regs {
	u64 cr0, cr3, cr4, efer;
};

/** PAE paging outside IA-32e mode: the processor holds four PDPTE registers (SDM volume 3, section
 *  4.4.1 "PDPTE Registers"). */
static inline bool pae_paging(const struct control_regs *r)
{
	return (r->cr0 & X86_CR0_PG) && (r->cr4 & X86_CR4_PAE) && !(r->efer & EFER_LMA);
}

#endif
