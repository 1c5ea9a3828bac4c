/* SPDX-License-Identifier: MIT */
/* Exits that are not about one instruction: exceptions, interrupts, windows, timers, failures. */
#include "console.h"
#include "core.h"
#include "event.h"
#include "exit_reasons.h"
#include "insn.h"
#include "machine.h"
#include "mce.h"
#include "panic.h"
#include "run.h"
#include "vmcs.h"
#include "zoo_calls.h"

#define ENTRY_FAILED(nr) ((u32)EXIT_REASON_ENTRY_FAILURE | (nr))

/** #DB exits before DR6, DR7 and IA32_DEBUGCTL change; the qualification says why (section 28.2.1).
 */
static enum exit_action reflect_debug(struct vcpu *v, u32 info)
{
	if ((info & INTR_INFO_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION) { /* INT1 */
		vcpu_pend_blocked_step(v);
		event_software_exception(v, info);
		return EXIT_RETRY; /* INT1 leaves DR6 and DR7 alone */
	}
	event_debug(v, vcpu_qual(v));
	return EXIT_RETRY;
}

/** An exception that exit+= asked for: the guest's own, and as if it had not exited. */
static enum exit_action reflect(struct vcpu *v, u32 info)
{
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	vcpu_pend_blocked_step(v);
	if ((info & INTR_INFO_TYPE_MASK) == INTR_TYPE_SOFT_EXCEPTION) /* INT3, INTO */
		event_software_exception(v, info);
	else if (vector == PF_VECTOR) /* the qualification is what CR2 would have been */
		event_page_fault(v, GVA(vcpu_qual(v)), vmcs_read32(VM_EXIT_INTR_ERROR_CODE));
	else if (info & INTR_INFO_ERROR_CODE)
		event_exception_error(v, vector, vmcs_read32(VM_EXIT_INTR_ERROR_CODE));
	else
		event_exception(v, vector);
	return EXIT_RETRY;
}

/** A vector whose bit in the exception bitmap is 1, or an NMI of the machine's. Always: #DB and
 *  #AC, whose delivery can go on for ever without an exit, and #MC, which is the machine's. On
 *  page tables of the hypervisor's also #PF: handle_page_fault(). The others exit where
 *  exit+=exceptions asks for it. What is the guest's it gets as if there had been no exit. The
 *  exit comes before CR2, DR6, DR7 and IA32_DEBUGCTL change (section 28.1), so that this is
 *  done here. */
enum exit_action handle_exception_nmi(struct vcpu *v)
{
	u32 info = vmcs_read32(VM_EXIT_INTR_INFO);
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	v->stats.exceptions[vector % NR_EXCEPTIONS]++;
	if ((info & INTR_INFO_TYPE_MASK) == INTR_TYPE_NMI) {
		/* A physical NMI: the host's. What trap() does for one that arrives outside the
		 * guest; NMIs stay blocked until an IRET, which this makes. */
		raise_nmi();
		return EXIT_RETRY;
	}
	switch (vector) {
	case PF_VECTOR:
		return v->machine->controls.own_tables ? handle_page_fault(v) : reflect(v, info);
	case DB_VECTOR:
		return reflect_debug(v, info);
	case MC_VECTOR:
		panic_machine_check("while the guest ran");
	default:
		return reflect(v, info);
	}
}

/** An interrupt of the machine's, acknowledged by the exit: the vector is in the VM-exit
 *  interruption information. Only the host's own timer is expected, where there is no
 *  VMX-preemption timer; others are counted as stray. The guest's interrupts are made by its
 *  devices in software, and injected. */
enum exit_action handle_external_interrupt(struct vcpu *v)
{
	u8 vector = vmcs_read32(VM_EXIT_INTR_INFO) & INTR_INFO_VECTOR_MASK;

	exit_detail_tally(&v->detail, TALLY_INTERRUPT, vector);
	host_interrupt(vector);
	/* The host's timer counts by another clock than the deadline's, at a rate that was
	 * measured: it may have been too early, and fires only once. */
	v->requests |= REQ_DEADLINE;
	return stop_if_halted(v);
}

/** An exception while #DF was delivered. A PC would reset; so the run ends with a diagnosis, or
 *  the guest starts anew with on_reset=restart; or, with zoo=1, goes on where it said. */
enum exit_action handle_triple_fault(struct vcpu *v)
{
	if (zoo_resume(v))
		return EXIT_RETRY;
	klog("the guest took a triple fault: an exception while a double fault was delivered");
	machine_end(v->machine, OUTCOME_TRIPLE_FAULT);
	print_diagnosis(v);
	return EXIT_STOP;
}

/** Another processor's INIT, or a chip set's: never the guest's own, whose INITs its local APIC's
 *  model takes. Nothing sends one, since this program owns the machine, and so the run ends, unless
 * a guest with zoo=1 has ordered it. */
enum exit_action handle_init_signal(struct vcpu *v)
{
	if (zoo_ordered(v, ZOO_EVENT_INIT))
		return EXIT_RETRY;
	return stop_unsupported(v, "the physical processor received an INIT signal");
}

/** A start-up IPI in the wait-for-SIPI state. This program starts no vcpu in that state: guests'
 *  start-up IPIs are the business of their local APICs' model. */
enum exit_action handle_sipi(struct vcpu *v)
{
	return stop_unsupported(v, "a start-up IPI arrived, but no vcpu waits for one");
}

/** The guest can take now what waited for it: an interrupt with RFLAGS.IF = 1 and no blocking by
 *  STI or MOV SS (7), an NMI after the IRET of the one before (8), or an interrupt that the task
 *  priority held back (43). The control is on only while something waits, and the entry behind
 *  this exit injects it. */
enum exit_action handle_event_window(struct vcpu *v)
{
	v->requests |= REQ_EVENT;
	return EXIT_RETRY;
}

/** The time of some device of the guest's, or a look at the console, is due: settle() in
 *  vmm/run.c sees to it before the next entry. The timer counts at the TSC's rate divided by a
 *  power of 2 that IA32_VMX_MISC tells, while the guest runs. */
enum exit_action handle_preemption_timer(struct vcpu *v)
{
	return stop_if_halted(v); /* settle() finds the deadline reached */
}

/** Section 27.8 "VM-Entry Failures During or After Loading Guest State": what the qualification
 *  tells of invalid guest state. */
static const char *guest_state_detail(u64 qual)
{
	switch (qual) {
	case 2:
		return ": the PDPTEs cannot be loaded";
	case 3:
		return ": an NMI is injected while STI blocks events";
	case 4:
		return ": the VMCS link pointer";
	default:
		return "";
	}
}

static enum exit_action entry_failed(struct vcpu *v)
{
	machine_end(v->machine, OUTCOME_ENTRY_FAILURE);
	print_diagnosis(v);
	return EXIT_STOP;
}

/** Has the guest ordered this failure? Another one, as of a machine check, may have come before. */
static bool failed_as_ordered(const struct vcpu *v)
{
	switch (vcpu_exit_reason(v)) {
	case ENTRY_FAILED(EXIT_REASON_ENTRY_FAIL_GUEST_STATE):
		return zoo_ordered(v, ZOO_EVENT_GUEST_STATE);
	case ENTRY_FAILED(EXIT_REASON_ENTRY_FAIL_MSR_LOADING):
		return zoo_ordered(v, ZOO_EVENT_MSR_LOADING);
	default:
		return false;
	}
}

/** Bit 31 of the exit reason is 1: the guest never ran. The checks on the guest state or the
 *  loading of MSRs failed, which is a fault of this program and ends the run by name; or a machine
 *  check came, which ends it all (section 27.8). Without bit 31, or with any other, there is no
 *  such exit. With zoo=1 a guest can order a failure: then the entry is made again, as it should
 *  be. */
enum exit_action handle_entry_failure(struct vcpu *v)
{
	const u64 qual = vcpu_qual(v);

	if (failed_as_ordered(v)) {
		zoo_entry_failed(v);
		return EXIT_RETRY;
	}
	switch (vcpu_exit_reason(v)) {
	case ENTRY_FAILED(EXIT_REASON_ENTRY_FAIL_GUEST_STATE):
		klog("VM entry failed with exit reason 33, invalid guest state%s (qualification "
		     "%llu)",
		     guest_state_detail(qual), (unsigned long long)qual);
		return entry_failed(v);
	case ENTRY_FAILED(EXIT_REASON_ENTRY_FAIL_MSR_LOADING):
		klog("VM entry failed with exit reason 34, MSR loading: entry %llu of the area, "
		     "counted from 1",
		     (unsigned long long)qual);
		return entry_failed(v);
	case ENTRY_FAILED(EXIT_REASON_ENTRY_FAIL_MACHINE_CHECK):
		/* Nobody else hears of it: section 27.9. */
		panic_machine_check("during a VM entry");
	default:
		return handle_undefined(v);
	}
}

enum exit_action stop_impossible(struct vcpu *v, const char *why)
{
	u32 nr = vcpu_exit_reason(v);

	return stop_unsupported(v, "VM exit %u (%s), %s: " FAULT_BELOW, nr, exit_reason_name(nr),
				why);
}

/** The control for this exit is 0 (vmm/vmcs_setup.c checked it), and without it the instruction
 *  is #UD, or runs without an exit. Should it come all the same, the run ends, unless a guest with
 *  zoo=1 has ordered it for one entry. */
enum exit_action handle_impossible(struct vcpu *v)
{
	const u32 reason = vcpu_exit_reason(v);

	if (reason == EXIT_REASON_VMFUNC && zoo_ordered(v, ZOO_EVENT_VMFUNC))
		return event_ud(v); /* like every instruction that CPUID hides */
	if (reason == EXIT_REASON_SPP_EVENT && zoo_ordered(v, ZOO_EVENT_SPP)) {
		vcpu_undo_nmi_unblocking(v, vcpu_qual(v));
		return EXIT_RETRY; /* the page is writable again */
	}
	return stop_impossible(v, "although its control is 0");
}

/** Exits of the dual-monitor treatment of SMM, which this program never activates. Should one
 *  come all the same, the run ends. */
enum exit_action handle_smm_only(struct vcpu *v)
{
	return stop_impossible(v, "which only a monitor in SMM can get");
}
