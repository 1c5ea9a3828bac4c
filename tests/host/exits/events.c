/* SPDX-License-Identifier: MIT */
/* What is injected at the next entry, and what has to wait: interrupts, NMIs, windows, thresholds.
 */
#include "exits.h"

/* Without virtual-interrupt delivery, injected by vmm/event.c; and with less of APIC
 * virtualization. */
#define INJECTED "features-=vid"
#define NO_TPR_SHADOW "features-=tpr-shadow"
#define VECTOR 0x61

/** Something that asks for a look at what is pending. */
static void look(void)
{
	RAISE(.reason = EXIT_REASON_INTERRUPT_WINDOW);
}

static struct lapic *apic(void)
{
	return &machine->pc.lapic[0];
}

static void enable_apic(void)
{
	pc_mmio_write(&machine->pc, 0, GPA(0xfee000f0), 4, 0x1ff);
}

/** A fixed interrupt to itself. */
static void send(u8 vector)
{
	enable_apic();
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00300), 4, 0x44000u | vector);
}

static bool window(void)
{
	return field(CPU_BASED_VM_EXEC_CONTROL) & CPU1_INTERRUPT_WINDOW;
}

static bool nmi_window(void)
{
	return field(CPU_BASED_VM_EXEC_CONTROL) & CPU1_NMI_WINDOW;
}

static void interrupt_at_once(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	send(VECTOR);
	look();
	EXPECT(.inject = VECTOR | INTR_TYPE_EXTERNAL);
	assert_false(window());
	assert_int_equal(lapic_highest_isr(apic()), VECTOR);
}

/** Disabled, in a shadow, or with a trap due: it waits for the window. */
static void interrupt_has_to_wait(void)
{
	send(VECTOR);
	look();
	EXPECT(.fields = {CPU_BASED_VM_EXEC_CONTROL});
	assert_true(window());
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_STI);
	look();
	EXPECT(.advance = 0);
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_MOV_SS);
	look();
	EXPECT(.advance = 0);
	assert_true(window());
	set_field(GUEST_INTERRUPTIBILITY_INFO, 0);
	set_field(GUEST_PENDING_DBG_EXCEPTIONS, PENDING_DBG_BS);
	look();
	EXPECT(.advance = 0);
	assert_int_equal(lapic_highest_irr(apic()), VECTOR);
	set_field(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	/* NMIs that are blocked are no matter of interrupts'. */
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI);
	look();
	EXPECT(.inject = VECTOR | INTR_TYPE_EXTERNAL, .fields = {CPU_BASED_VM_EXEC_CONTROL});
	assert_false(window());
}

/** The end of a shadow is the end of its instruction. */
static void interrupt_after_the_shadow(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_STI);
	send(VECTOR);
	RAISE(.reason = EXIT_REASON_WBINVD, .insn_len = 2);
	EXPECT(.advance = 2, .inject = VECTOR | INTR_TYPE_EXTERNAL,
	       .blocking_off = INTERRUPTIBILITY_STI);
}

/** One event an entry: what is due besides gets a window. */
static void exception_first(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	send(VECTOR);
	RAISE(.reason = EXIT_REASON_RDPMC, .insn_len = 2);
	EXPECT(.inject = INJECT_ERROR(GP_VECTOR), .rflags_on = X86_EFLAGS_RF,
	       .fields = {CPU_BASED_VM_EXEC_CONTROL});
	assert_true(window());
	look();
	EXPECT(.inject = VECTOR | INTR_TYPE_EXTERNAL, .fields = {CPU_BASED_VM_EXEC_CONTROL});
}

/** A timer fires when the event for this entry is chosen already: it has to wait, or its interrupt
 * would take the other's place and be lost, or that one. */
static void timer_after_the_choice(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	enable_apic();
	pc_mmio_write(&machine->pc, 0, GPA(0xfee003e0), 4, 0xb);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00320), 4, VECTOR);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00380), 4, 1);
	/* The exit's own RDTSC, that of vmx_exited(), of settle() before it looks for events; and
	 * then it is time. */
	vcpu->deadline = cpu.tsc + 3 * SIM_TSC_STEP + 1;
	RAISE(.reason = EXIT_REASON_RDPMC, .insn_len = 2);
	EXPECT(.inject = INJECT_ERROR(GP_VECTOR), .rflags_on = X86_EFLAGS_RF,
	       .fields = {CPU_BASED_VM_EXEC_CONTROL});
	assert_true(window());
	assert_int_equal(lapic_highest_irr(apic()), VECTOR);
	look();
	EXPECT(.inject = VECTOR | INTR_TYPE_EXTERNAL, .fields = {CPU_BASED_VM_EXEC_CONTROL});
}

static void nmi_at_once(void)
{
	guest_nmi();
	RAISE(.reason = EXIT_REASON_NMI_WINDOW);
	EXPECT(.inject = NMI_VECTOR | INTR_TYPE_NMI);
	assert_false(nmi_window());
	assert_false(apic()->nmi_pending);
	/* RFLAGS.IF does not matter, but MOV SS's shadow, a handler, or a trap does. */
	static const u32 blocking[] = {INTERRUPTIBILITY_MOV_SS, INTERRUPTIBILITY_NMI};

	guest_nmi();
	for (unsigned i = 0; i < ARRAY_SIZE(blocking); i++) {
		set_field(GUEST_INTERRUPTIBILITY_INFO, blocking[i]);
		RAISE(.reason = EXIT_REASON_NMI_WINDOW);
		EXPECT(.fields = {CPU_BASED_VM_EXEC_CONTROL});
		assert_true(nmi_window());
		assert_true(apic()->nmi_pending);
	}
	set_field(GUEST_INTERRUPTIBILITY_INFO, 0);
	set_field(GUEST_PENDING_DBG_EXCEPTIONS, PENDING_DBG_BS);
	RAISE(.reason = EXIT_REASON_NMI_WINDOW);
	EXPECT(.advance = 0, .fields = {CPU_BASED_VM_EXEC_CONTROL});
	assert_true(nmi_window());
}

/** Section 26.2: a processor may open the NMI window in the shadow of STI, and would, at every
 * entry, before the instruction that ends it. The interrupt window waits for that. */
static void nmi_behind_sti(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_STI);
	guest_nmi();
	RAISE(.reason = EXIT_REASON_NMI_WINDOW);
	EXPECT(.fields = {CPU_BASED_VM_EXEC_CONTROL});
	assert_false(nmi_window());
	assert_true(window());
	set_field(GUEST_INTERRUPTIBILITY_INFO, 0);
	look();
	EXPECT(.inject = NMI_VECTOR | INTR_TYPE_NMI, .fields = {CPU_BASED_VM_EXEC_CONTROL});
	assert_false(window());
}

/** An NMI comes before an interrupt. */
static void nmi_and_interrupt(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	send(VECTOR);
	guest_nmi();
	look();
	EXPECT(.inject = NMI_VECTOR | INTR_TYPE_NMI, .fields = {CPU_BASED_VM_EXEC_CONTROL});
	assert_true(window());
	assert_false(nmi_window());
}

static void event_that_waits_behind_an_nmi(void)
{
	guest_nmi();
	RAISE(.reason = EXIT_REASON_VMCALL, .insn_len = 3);
	EXPECT(.inject = INJECT(UD_VECTOR), .rflags_on = X86_EFLAGS_RF,
	       .fields = {CPU_BASED_VM_EXEC_CONTROL});
	assert_true(nmi_window());
}

/** Section 30.1.2: the threshold is the priority of what waits, where the TPR holds it back; VM
 * entry refuses one above the TPR (section 27.2.1.1). */
static void tpr_threshold(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	enable_apic();
	lapic_set_cr8(apic(), 0x8);
	send(VECTOR);
	RAISE(.reason = EXIT_REASON_TPR_BELOW_THRESHOLD);
	EXPECT(.fields = {TPR_THRESHOLD});
	assert_int_equal(field(TPR_THRESHOLD), VECTOR >> 4);
	assert_false(window());
	lapic_set_cr8(apic(), 0x5);
	RAISE(.reason = EXIT_REASON_TPR_BELOW_THRESHOLD);
	EXPECT(.inject = VECTOR | INTR_TYPE_EXTERNAL, .fields = {TPR_THRESHOLD});
	assert_int_equal(field(TPR_THRESHOLD), 0);
}

/** With virtual-interrupt delivery the processor is told what is pending, and injects by itself. */
static void virtual_delivery(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	send(VECTOR);
	look();
	EXPECT(.fields = {GUEST_INTR_STATUS});
	assert_int_equal(field(GUEST_INTR_STATUS), VECTOR);
	assert_false(window());
}

/** INIT sends a PC's only processor to its firmware. */
static void init_of_the_guest(void)
{
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00300), 4, 0x4500);
	look();
	expect_stop(OUTCOME_RESET, "");
}

const struct exit_test tests_events[] = {
	EXIT_TEST(interrupt_at_once, INJECTED, EXIT_REASON_INTERRUPT_WINDOW),
	EXIT_TEST(interrupt_has_to_wait, INJECTED, EXIT_REASON_INTERRUPT_WINDOW),
	EXIT_TEST(interrupt_has_to_wait, NO_TPR_SHADOW, EXIT_REASON_INTERRUPT_WINDOW),
	EXIT_TEST(interrupt_after_the_shadow, INJECTED, EXIT_REASON_WBINVD),
	EXIT_TEST(exception_first, INJECTED, EXIT_REASON_RDPMC, EXIT_REASON_INTERRUPT_WINDOW),
	EXIT_TEST(timer_after_the_choice, INJECTED, EXIT_REASON_RDPMC),
	EXIT_TEST(nmi_at_once, INJECTED, EXIT_REASON_NMI_WINDOW),
	EXIT_TEST(nmi_at_once, "", EXIT_REASON_NMI_WINDOW),
	EXIT_TEST(nmi_behind_sti, INJECTED, EXIT_REASON_NMI_WINDOW),
	EXIT_TEST(nmi_behind_sti, "", EXIT_REASON_NMI_WINDOW),
	EXIT_TEST(nmi_and_interrupt, INJECTED, EXIT_REASON_INTERRUPT_WINDOW),
	EXIT_TEST(event_that_waits_behind_an_nmi, "", EXIT_REASON_VMCALL),
	EXIT_TEST(tpr_threshold, INJECTED, EXIT_REASON_TPR_BELOW_THRESHOLD),
	EXIT_TEST(virtual_delivery, "", EXIT_REASON_INTERRUPT_WINDOW),
	EXIT_TEST(init_of_the_guest, ""),
	{0},
};
