/* SPDX-License-Identifier: MIT */
/* Handlers of VM exits, one a row of exit_reasons.def (or shared by several). */
#ifndef TV_RUN_H
#define TV_RUN_H

#include "vcpu.h"

#define EXIT_REASON(nr, name, handler, word, bit, cause)                                           \
	enum exit_action handle_##handler(struct vcpu *v); /* rows may repeat it */
#include "exit_reasons.def"
#undef EXIT_REASON

/** What the SDM does not define: a number, or what is beside it in an exit's reason. Like
 *  everything that cannot be, it ends the guest, whose state nobody knows then; not the hypervisor.
 */
enum exit_action handle_undefined(struct vcpu *v);

/** The same for an exit with a number that cannot come, by its name, and why. */
enum exit_action stop_impossible(struct vcpu *v, const char *why);

/** The end of both sentences. */
#define FAULT_BELOW                                                                                \
	"a fault of this processor, or of the hypervisor that Tallyvisor runs under, if it does; " \
	"please report it"

/** Called by entry.asm at every VM exit: counts it, handles it, and makes the next entry ready.
 * True: enter again. */
bool vmx_exited(struct vcpu *v);

/** Of exit reason 0 there is one more, for #PF: vmm/exits_pf.c. */
enum exit_action handle_page_fault(struct vcpu *v);

/** An exit between instructions: has the guest halted by itself (exit-=hlt), with nothing to wake
 * it? Then the run is over, as where HLT exits. */
enum exit_action stop_if_halted(struct vcpu *v);

/** End the run because the guest did what is not emulated here: a sentence, the vcpu, the last
 *  exits. */
enum exit_action stop_unsupported(struct vcpu *v, const char *f, ...)
	__attribute__((format(printf, 2, 3)));

/** After the outcome is known: registers and the last exits for people. */
void print_diagnosis(struct vcpu *v);

#endif
