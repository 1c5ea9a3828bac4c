/* SPDX-License-Identifier: MIT */
/*
 * IA32_EFER between guest and host: by fields of the VMCS where the processor has the controls,
 * else by the MSR-load areas of VM entry and VM exit (SDM volume 3, sections 27.4 "Loading MSRs"
 * and 28.6). Nothing is saved at an exit: a guest changes EFER by exits only.
 */
#ifndef TV_EFER_H
#define TV_EFER_H

#include "types.h"

struct vcpu;
struct vmx_control_regs;

/** Host state of a new VMCS. */
void efer_init(struct vcpu *v);

/** The guest goes on with f->efer. */
void efer_load(struct vcpu *v, const struct vmx_control_regs *f);

/** What the processor has in EFER while the guest runs. */
u64 efer_of_guest(const struct vcpu *v);

#endif
