/* SPDX-License-Identifier: MIT */
/* Event injection: what the guest must see next, and when it can. */
#include "event.h"

#include "apicv.h"
#include "guest/dr.h"
#include "guest/insn.h"
#include "insn.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "vmxon.h"

static void queue(struct vcpu *v, u32 info, u32 error, u32 insn_len)
{
	v->event_info = info | (u32)INTR_INFO_VALID;
	v->event_error = error;
	v->event_insn_len = insn_len;
	v->requests |= REQ_EVENT;
}

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum fault_class fault_class(u8 vector)
{
	switch (vector) {
	case PF_VECTOR:
		return PAGE_FAULT;
	case DE_VECTOR:
	case TS_VECTOR:
	case NP_VECTOR:
	case SS_VECTOR:
	case GP_VECTOR:
		return CONTRIBUTORY;
	default:
		return BENIGN;
	}
}

/** The vector of the hardware exception whose delivery the exit cut short, or -1. */
static int cut_exception(struct vcpu *v)
{
	u32 info = vcpu_idt_vectoring(v);

	if (!(info & INTR_INFO_VALID) || (info & INTR_INFO_TYPE_MASK) != INTR_TYPE_HARD_EXCEPTION)
		return -1;
	return info & INTR_INFO_VECTOR_MASK;
}

/** The processor pushes RF=1 with a fault, so that an instruction breakpoint on the faulting
 *  instruction does not fire again; an injected one pushes what the VMCS holds (SDM volume 3,
 *  section 18.3.1.1 "Instruction-Breakpoint Exception Condition"). */
static void set_resume_flag(struct vcpu *v, u8 vector)
{
	if (vector == DB_VECTOR || vector == BP_VECTOR || vector == OF_VECTOR)
		return;
	vcpu_set_rflags(v, vcpu_rflags(v) | X86_EFLAGS_RF);
}

static void exception(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
	int first = cut_exception(v);

	if (first == DF_VECTOR && fault_class(vector) != BENIGN) {
		handle_triple_fault(v);
		return;
	}
	if (first >= 0 &&
	    ((fault_class((u8)first) == CONTRIBUTORY && fault_class(vector) == CONTRIBUTORY) ||
	     (fault_class((u8)first) == PAGE_FAULT && fault_class(vector) != BENIGN))) {
		vector = DF_VECTOR;
		has_error = true;
		error = 0;
	}
	set_resume_flag(v, vector);
	/* Section 27.2.1.3: real mode knows no error codes. */
	has_error = has_error && (vcpu_cr0(v) & X86_CR0_PE);
	queue(v, vector | INTR_TYPE_HARD_EXCEPTION | (has_error ? INTR_INFO_ERROR_CODE : 0), error,
	      0);
}

void event_exception(struct vcpu *v, u8 vector)
{
	exception(v, vector, false, 0);
}

void event_exception_error(struct vcpu *v, u8 vector, u32 error)
{
	exception(v, vector, true, error);
}

void event_debug(struct vcpu *v, u64 causes)
{
	/* DR6 is in no VMCS field: like CR2, the guest's value lives in the register. */
	struct debug_state s = {
		.dr6 = read_dr6(),
		.dr7 = vmcs_readl(GUEST_DR7),
		.debugctl = vmcs_read64(GUEST_IA32_DEBUGCTL),
	};

	debug_state_raise(&s, causes);
	write_dr6(s.dr6);
	vmcs_writel(GUEST_DR7, s.dr7);
	vmcs_write64(GUEST_IA32_DEBUGCTL, s.debugctl);
	vcpu_pend_blocked_step(v); /* now that BTF is 0 */
	event_exception(v, DB_VECTOR);
}

void event_software_exception(struct vcpu *v, u32 info)
{
	queue(v, info & (INTR_INFO_TYPE_MASK | INTR_INFO_VECTOR_MASK), 0,
	      vmcs_read32(VM_EXIT_INSTRUCTION_LEN));
}

enum exit_action event_gp(struct vcpu *v)
{
	event_exception_error(v, GP_VECTOR, 0);
	return EXIT_RETRY;
}

enum exit_action event_ud(struct vcpu *v)
{
	event_exception(v, UD_VECTOR);
	return EXIT_RETRY;
}

/** The type of an event that an instruction raises on purpose, INT n, INT1, INT3 or INTO. */
static bool is_software(u32 type)
{
	return type == INTR_TYPE_SOFT_INTERRUPT || type == INTR_TYPE_PRIV_SW_EXCEPTION ||
	       type == INTR_TYPE_SOFT_EXCEPTION;
}

/** With any other, the entry that injects such an event fails (SDM volume 3, section 27.2.1.3). */
static bool possible_length(u32 insn_len)
{
	return insn_len && insn_len <= INSN_MAX_LEN;
}

void event_replay(struct vcpu *v)
{
	u32 info = vcpu_idt_vectoring(v);
	u32 type = info & INTR_INFO_TYPE_MASK;

	if (!(info & INTR_INFO_VALID) || v->event_info)
		return;
	if (is_software(type) && !possible_length(vmcs_read32(VM_EXIT_INSTRUCTION_LEN))) {
		stop_unsupported(
			v,
			"an exit cut short the delivery of event 0x%08x, which an "
			"instruction raises, and says that this has %u bytes: " FAULT_BELOW,
			info, vmcs_read32(VM_EXIT_INSTRUCTION_LEN));
		return;
	}
	/* Section 28.2.4: bit 12 is undefined here; the NMI that was being delivered blocks NMIs
	 * only once it is delivered. */
	if (type == INTR_TYPE_NMI)
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO,
			     vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & ~(u32)INTERRUPTIBILITY_NMI);
	/* What is saved of RF is what the fault would have pushed, 1 (section 28.3.3), and would be
	 * pushed now by the event. A fault pushes 1 anyhow; what comes between instructions pushes
	 * 0, but for an interrupt of a repeated string instruction, which is not known of here. */
	if (type != INTR_TYPE_HARD_EXCEPTION && vcpu_exit_reason(v) == EXIT_REASON_EXCEPTION_NMI)
		vcpu_set_rflags(v, vcpu_rflags(v) & ~X86_EFLAGS_RF);
	info &= (u32)INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_INFO_TYPE_MASK |
		INTR_INFO_VECTOR_MASK;
	queue(v, info, info & INTR_INFO_ERROR_CODE ? vmcs_read32(IDT_VECTORING_ERROR_CODE) : 0,
	      vmcs_read32(VM_EXIT_INSTRUCTION_LEN));
}

static void inject(struct vcpu *v, u32 info, u32 error, u32 insn_len)
{
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, info);
	if (info & INTR_INFO_ERROR_CODE)
		vmcs_write32(VM_ENTRY_EXCEPTION_ERROR_CODE, error);
	if (is_software(info & INTR_INFO_TYPE_MASK))
		vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, insn_len);
	v->done |= INJECTING;
}

void event_page_fault(struct vcpu *v, gva_t gva, u32 error)
{
	/* CR2 is in no VMCS field: the guest's value lives in the register itself, since the host
	 * takes no page fault that it survives. */
	write_cr2(gva.v);
	/* Mostly there is nothing else to be injected, and no delivery was cut short. */
	if (!v->event_info && !(v->done & INJECTING) &&
	    !(vcpu_idt_vectoring(v) & INTR_INFO_VALID)) {
		set_resume_flag(v, PF_VECTOR);
		inject(v,
		       PF_VECTOR | INTR_TYPE_HARD_EXCEPTION | INTR_INFO_ERROR_CODE |
			       (u32)INTR_INFO_VALID,
		       error, 0);
	} else {
		event_exception_error(v, PF_VECTOR, error);
	}
}

void event_emulated_page_fault(struct vcpu *v, gva_t gva, u32 error)
{
	struct machine *m = v->machine;

	if (m->controls.own_tables)
		m->paging->ops->invlpg(m->paging, v->index, vcpu_own_walk_regs(v), gva);
	else
		vmx_flush_address(m, gva);
	event_page_fault(v, gva, error);
}

/** Section 27.7.3: an injected interrupt would swallow a single-step trap that is due. To be asked
 * last: under KVM, this VMREAD is a VM exit. */
static bool trap_due(void)
{
	return vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS) != 0;
}

/** Could the guest take an external interrupt now? */
static bool irq_allowed(struct vcpu *v)
{
	return (vcpu_rflags(v) & X86_EFLAGS_IF) &&
	       !(vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) &
		 (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) &&
	       !trap_due();
}

static bool nmi_allowed(void)
{
	return !(vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) &
		 (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI)) &&
	       !trap_due();
}

static void inject_interrupt(struct vcpu *v, u8 vector)
{
	inject(v, vector | INTR_TYPE_EXTERNAL | (u32)INTR_INFO_VALID, 0, 0);
}

enum nmi_try {
	NMI_TAKEN, /* it has this entry's slot */
	NMI_WAITS, /* for its window */
	NMI_WAITS_FOR_STI,
};

/** An NMI is pending: inject it or wait for the window. That of NMIs need not wait for the end of
 *  the shadow of STI (section 26.2 "Other Causes of VM Exits"), so that it would open again and
 *  again before the guest's next instruction. That of interrupts does, and STI has enabled those.
 */
static enum nmi_try try_nmi(struct vcpu *v, struct lapic *apic, bool slot_free)
{
	if (slot_free && nmi_allowed()) {
		apic->nmi_pending = false;
		inject(v, NMI_VECTOR | INTR_TYPE_NMI | (u32)INTR_INFO_VALID, 0, 0);
		return NMI_TAKEN;
	}
	if (slot_free && (vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_STI))
		return NMI_WAITS_FOR_STI;
	vcpu_set_cpu1(v, CPU1_NMI_WINDOW, true);
	return NMI_WAITS;
}

/** The interrupt that is due, if it can be taken; the window for one that cannot. */
static void prepare_interrupt(struct vcpu *v, bool slot_free)
{
	struct pc *pc = &v->machine->pc;
	int vector = pc_pending_irq(pc, v->index);

	if (vector >= 0 && slot_free && irq_allowed(v)) {
		inject_interrupt(v, pc_ack_irq(pc, v->index));
		vector = pc_pending_irq(pc, v->index);
	}
	vcpu_set_cpu1(v, CPU1_INTERRUPT_WINDOW, vector >= 0);
	if (v->cpu1 & CPU1_TPR_SHADOW)
		apicv_set_tpr_threshold(v);
}

/** The same where the processor delivers what the local APIC has, and only the 8259 pair's
 * interrupts are injected. While an interrupt window is asked for, the processor delivers nothing
 * (SDM volume 3, section 30.2.1 "Evaluation of Pending Virtual Interrupts"). */
static void prepare_virtual_interrupt(struct vcpu *v, bool slot_free)
{
	struct pc *pc = &v->machine->pc;
	struct lapic *apic = &pc->lapic[v->index];
	int irr = lapic_highest_irr(apic), isr = lapic_highest_isr(apic);
	bool window = pc_extint_pending(pc, v->index);

	if (window && slot_free && irq_allowed(v)) {
		inject_interrupt(v, pc_ack_extint(pc));
		window = pc_extint_pending(pc, v->index);
	}
	vcpu_set_cpu1(v, CPU1_INTERRUPT_WINDOW, window);
	apicv_sync(v, irr, isr);
}

void event_prepare_entry(struct vcpu *v)
{
	struct pc *pc = &v->machine->pc;
	struct lapic *apic = &pc->lapic[v->index];
	enum nmi_try nmi = NMI_WAITS;
	/* A timer may fire after an event was chosen for this entry: the next one must wait. */
	bool slot_free = !(v->done & INJECTING);

	v->requests &= ~REQ_EVENT;
	if (apic->init_pending) {
		/* INIT sends the boot processor to its reset vector, where the firmware would start
		 * the machine anew. */
		machine_end(v->machine, OUTCOME_RESET);
		return;
	}
	if (v->event_info && slot_free) {
		inject(v, v->event_info, v->event_error, v->event_insn_len);
		v->event_info = 0;
		slot_free = false;
	}
	vcpu_set_cpu1(v, CPU1_NMI_WINDOW, false);
	if (apic->nmi_pending) {
		nmi = try_nmi(v, apic, slot_free);
		slot_free = slot_free && nmi != NMI_TAKEN;
	}

	if (apic->virtual_delivery)
		prepare_virtual_interrupt(v, slot_free);
	else
		prepare_interrupt(v, slot_free);
	if (nmi == NMI_WAITS_FOR_STI)
		vcpu_set_cpu1(v, CPU1_INTERRUPT_WINDOW, true);
}
