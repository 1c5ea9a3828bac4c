/* SPDX-License-Identifier: MIT */
/*
 * What the processor does of the local APIC's work by itself (SDM volume 3, chapter 30 "APIC
 * Virtualization and Virtual Interrupts"). Every piece is optional: what is missing exits, and is
 * emulated by guest/lapic.
 *
 *   TPR shadow                   CR8 and the TPR without exits
 *   virtualize APIC accesses     an access to the registers is an exit of its own, or none
 *   virtualize x2APIC mode       the same for the MSRs
 *   APIC-register virtualization reads without exits, writes exit when they are done
 *   virtual-interrupt delivery   EOI and self-IPIs without exits; no interrupt windows
 */
#ifndef TV_APICV_H
#define TV_APICV_H

#include "vcpu.h"

/** Make the virtual-APIC page and, once, the machine's APIC-access page known to the VMCS; the
 *  controls are those in m->vmx. */
void apicv_init(struct vcpu *v);

/** The mode or the place of the vcpu's local APIC (IA32_APIC_BASE) may have changed: adapt
 * controls, MSR bitmap and paging. */
void apicv_mode_changed(struct vcpu *v);

/** Before an entry, with virtual-interrupt delivery: tell the processor the highest vectors pending
 *  and in service (-1: none), and which EOIs the devices want to hear of. */
void apicv_sync(struct vcpu *v, int irr, int isr);

/** Before an entry, with a TPR shadow only: an exit when the guest lowers its TPR enough for what
 *  waits. */
void apicv_set_tpr_threshold(struct vcpu *v);

#endif
