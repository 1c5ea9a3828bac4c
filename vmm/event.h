/* SPDX-License-Identifier: MIT */
/* Events into the guest: exceptions, NMIs, interrupts (SDM volume 3, section 27.6). */
#ifndef TV_EVENT_H
#define TV_EVENT_H

#include "vcpu.h"

/** Queue an exception for the next entry; combined with one that was being delivered as
 *  table 6-5 "Conditions for Generating a Double Fault" says. */
void event_exception(struct vcpu *v, u8 vector);
void event_exception_error(struct vcpu *v, u8 vector, u32 error);

/** #DB, with what it changes in DR6, DR7 and IA32_DEBUGCTL; `causes` as for debug_state_raise(). */
void event_debug(struct vcpu *v, u64 causes);

/** Queue the exception of INT3, INTO or INT1, whose exit has `info` as its interruption
 *  information, for the instruction of this exit. */
void event_software_exception(struct vcpu *v, u32 info);

/** #GP(0) and #UD, the usual ones; for `return event_gp(v);` in handlers. */
enum exit_action event_gp(struct vcpu *v);
enum exit_action event_ud(struct vcpu *v);

/** #PF: sets CR2. */
void event_page_fault(struct vcpu *v, gva_t gva, u32 error);

/** #PF of an access that was made in the guest's name, where the guest's tables forbid it. Like one
 *  of the processor's own it makes it forget what is cached of `gva`, which is canonical (SDM
 * volume 3, section 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches"). */
void event_emulated_page_fault(struct vcpu *v, gva_t gva, u32 error);

/** After an exit: put back what the exit cut short (IDT-vectoring information), unless the handler
 *  queued something that takes its place. */
void event_replay(struct vcpu *v);

/** Before an entry: choose what to inject and which windows to ask for; writes the VMCS. */
void event_prepare_entry(struct vcpu *v);

#endif
