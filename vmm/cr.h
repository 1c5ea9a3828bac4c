/* SPDX-License-Identifier: MIT */
/* A guest's control registers in the VMCS. */
#ifndef TV_VMM_CR_H
#define TV_VMM_CR_H

#include "control_regs.h"
#include "guest/cr.h"

struct machine;
struct vcpu;

/** Once the controls and the guest's CPUID are chosen: what they mean for control registers, and
 *  the identity map where the guest needs one. */
void control_regs_init(struct machine *m);

/** The registers as the guest reads them now. */
void vcpu_control_regs(struct vcpu *v, struct control_regs *r);

/** What decides, besides them, whether a write is taken. */
void vcpu_cr_limits(struct vcpu *v, struct cr_limits *l);

/** Let the guest go on with these. They are a state that can be run (vmx_can_run()). This is the
 *  only place that writes CR0, CR3, CR4, EFER and "IA-32e mode guest" of a guest, but for
 *  vcpu_load_cr3(); cached translations are the caller's to flush, unless the processor walks page
 *  tables of the hypervisor's. */
void vcpu_load_control_regs(struct vcpu *v, const struct control_regs *r);

/** Load the PDPTE registers by CR3. False: a reserved bit is set, #GP; they are as before. They
 * take effect with vcpu_load_control_regs() or vcpu_load_cr3(). */
bool vcpu_load_pdptes(struct vcpu *v, u64 cr3);

/** On page tables of the hypervisor's: CR3 alone (v->shadow has it), or PDPTE registers, have
 * changed, or were written again; `keep`: with bit 63, so that the PCID's translations may stay. */
void vcpu_load_cr3(struct vcpu *v, bool keep);

#endif
