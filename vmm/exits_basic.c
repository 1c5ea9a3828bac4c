/* SPDX-License-Identifier: MIT */
/* Exits that are not about one instruction: exceptions, interrupts, windows, timers, failures. */
#include "console.h"
#include "core.h"
#include "event.h"
#include "exit_reasons.h"
#include "guest/dr.h"
#include "insn.h"
#include "machine.h"
#include "mce.h"
#include "panic.h"
#include "run.h"
#include "vmcs.h"

/** Section 27.3.1.5: with TF set and blocking by STI or MOV SS, BS must be pending, although the
 * exit did not record it; the next entry would fail (Xen's XSA-308). */
static void pend_blocked_step(struct vcpu *v)
{
	if ((vcpu_rflags(v) & X86_EFLAGS_TF) && (vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) &
						 (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)))
		vcpu_pend_single_step();
}

/** #DB exits before DR6 and DR7.GD change; the qualification says how (section 28.2.1). */
static enum exit_action reflect_debug(struct vcpu *v, u32 info)
{
	pend_blocked_step(v);
	if ((info & INTR_INFO_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION) { /* INT1 */
		event_software_exception(v, info);
		return EXIT_RETRY; /* INT1 leaves DR6 and DR7 alone */
	}
	write_dr6((read_dr6() & ~0xfull) | DR6_ONES | vcpu_qual(v));
	vmcs_writel(GUEST_DR7, vmcs_readl(GUEST_DR7) & ~DR7_GD);
	event_exception(v, DB_VECTOR);
	return EXIT_RETRY;
}

/** An exception that exit+= asked for: the guest's own, and as if it had not exited. */
static enum exit_action reflect(struct vcpu *v, u32 info)
{
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	pend_blocked_step(v);
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

enum exit_action handle_exception_nmi(struct vcpu *v)
{
	u32 info = vmcs_read32(VM_EXIT_INTR_INFO);
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	v->stats.exceptions[vector % NR_EXCEPTIONS]++;
	if ((info & INTR_INFO_TYPE_MASK) == INTR_TYPE_NMI) {
		/* A physical NMI: the host's. What trap() does for one that arrives outside the
		 * guest; NMIs stay blocked until an IRET, which this makes. */
		__asm__ volatile("int $2" ::: "memory");
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

enum exit_action handle_triple_fault(struct vcpu *v)
{
	klog("the guest took a triple fault: an exception while a double fault was delivered");
	machine_end(v->machine, OUTCOME_TRIPLE_FAULT);
	print_diagnosis(v);
	return EXIT_STOP;
}

enum exit_action handle_init_signal(struct vcpu *v)
{
	return stop_unsupported(v, "the physical processor received an INIT signal");
}

enum exit_action handle_sipi(struct vcpu *v)
{
	return stop_unsupported(v, "a start-up IPI arrived, but no vcpu waits for one");
}

/** The guest can take now what waited for it. */
enum exit_action handle_event_window(struct vcpu *v)
{
	v->requests |= REQ_EVENT;
	return EXIT_RETRY;
}

enum exit_action handle_preemption_timer(struct vcpu *v)
{
	return stop_if_halted(v); /* settle() finds the deadline reached */
}

enum exit_action handle_entry_failure(struct vcpu *v)
{
	u32 nr = vcpu_exit_reason(v) & EXIT_REASON_BASIC_MASK;
	const char *cause = exit_reason_cause(nr);

	klog("VM entry failed with exit reason 0x%08x: %s (qualification %llu)",
	     vcpu_exit_reason(v), cause ? cause : "?", (unsigned long long)vcpu_qual(v));
	machine_end(v->machine, OUTCOME_ENTRY_FAILURE);
	print_diagnosis(v);
	return EXIT_STOP;
}

/** The control for this exit is 0 (vmcs_setup.c checked it), or the event cannot occur outside SMM.
 */
enum exit_action handle_impossible(struct vcpu *v)
{
	panic("impossible VM exit %u (%s): its control is off", vcpu_exit_reason(v),
	      exit_reason_name(vcpu_exit_reason(v) & EXIT_REASON_BASIC_MASK));
}

/** Exits of the dual-monitor treatment of SMM, which this hypervisor never activates. */
enum exit_action handle_smm_only(struct vcpu *v)
{
	panic("VM exit %u (%s), which only an SMM monitor can get", vcpu_exit_reason(v),
	      exit_reason_name(vcpu_exit_reason(v) & EXIT_REASON_BASIC_MASK));
}
