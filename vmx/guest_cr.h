/* SPDX-License-Identifier: MIT */
/*
 * From the control registers as a guest sees them to those that its processor runs with in VMX
 * non-root operation, and the rules by which VM entry judges the latter. Pure: vmm/ writes the
 * result into the VMCS, tests try every state.
 *
 * Without the control "unrestricted guest", CR0.PE and CR0.PG are 1 in VMX non-root operation. A
 * guest that has switched paging off then runs with 32-bit paging, on a page directory of the
 * hypervisor's which maps every linear address below 4 GiB to the same guest-physical one.
 *
 * On page tables of the hypervisor's own (paging_controls.own_tables) the processor's paging is
 * always on, with the formats and the protection that those tables are made for, whatever the
 * guest's is.
 */
#ifndef TV_VMX_GUEST_CR_H
#define TV_VMX_GUEST_CR_H

#include "control_regs.h"
#include "vmx/caps.h"

/** What does not change while a guest runs. */
struct vmx_cr_policy {
	bool unrestricted;   /* "unrestricted guest" is 1 */
	u64 cr0_guest_owned; /* bits that the guest may change without an exit */
	u64 cr4_guest_owned;
	u64 identity_cr3; /* gpa of the identity map's page directory; used where !unrestricted */
	bool own_tables;  /* the processor never walks the guest's page tables */
};

/** Fields of the VMCS; the read shadows are the guest's own values. */
struct vmx_control_regs {
	u64 cr0, cr3, cr4, efer;
	u64 cr0_mask, cr4_mask; /* guest/host masks: 1 is the host's */
	bool ia32e;		/* VM-entry control "IA-32e mode guest" */
	bool keeps_cr3;		/* `cr3` is the guest's own; else its accesses to CR3 have to exit,
				 * and with own tables `cr3` is for the caller to fill in */
};

/** Can the processor run a guest in this state at all? In real mode (CR0.PE=0) only an
 *  unrestricted one. */
static inline bool vmx_can_run(const struct vmx_cr_policy *p, const struct control_regs *guest)
{
	return p->unrestricted || (guest->cr0 & X86_CR0_PE);
}

/** Bits of CR0 and CR4 that decide how a linear address is translated, or what is cached of that.
 */
#define X86_CR0_TRANSLATION (X86_CR0_PE | X86_CR0_WP | X86_CR0_PG)
#define X86_CR4_TRANSLATION                                                                        \
	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_LA57 | X86_CR4_PCIDE | X86_CR4_SMEP |   \
	 X86_CR4_SMAP | X86_CR4_PKE)

/** The fields for a guest in a state that can be run. */
void vmx_control_regs(const struct vmx_cr_policy *p, const struct control_regs *guest,
		      struct vmx_control_regs *out);

/** The rule of SDM volume 3, section 27.3.1.1 "Checks on Guest Control Registers, Debug Registers,
 *  and MSRs" that these fields break, or NULL: VM entry takes them. */
const char *vmx_control_regs_broken(const struct vmx_control_regs *f, bool unrestricted,
				    const struct vmx_caps *caps);

/** Fill a page (1,024 entries) with the identity map's page directory: 4 MiB pages that may be
 *  read, written and executed at every privilege level. The accessed and dirty flags are set, so
 *  that the processor has nothing to write there. */
void vmx_identity_map(u32 *directory);

#endif
