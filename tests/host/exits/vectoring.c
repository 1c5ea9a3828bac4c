/* SPDX-License-Identifier: MIT */
/*
 * Exits that come while an event is delivered (SDM volume 3, section 28.2.4 "Information for VM
 * Exits During Event Delivery"): the event is delivered again, or makes a double fault of an
 * exception, or ends in a triple fault. And IRETs that an exit cut short.
 */
#include "exits.h"

#define EXCEPTIONS "exit+=exceptions=all"

/** The delivery wrote to a page for which the log has no room; nothing else is in the way. */
static void cut_short(u32 info, u32 error, u32 len)
{
	RAISE(.reason = EXIT_REASON_PML_FULL, .idt_info = VALID(info), .idt_error = error,
	      .insn_len = len);
}

static void replayed_external_interrupt(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	cut_short(0x77 | INTR_TYPE_EXTERNAL, 0, 0);
	EXPECT(.inject = 0x77 | INTR_TYPE_EXTERNAL);
}

/** Blocking by NMI is for the handler, which has not begun. */
static void replayed_nmi(void)
{
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI);
	cut_short(NMI_VECTOR | INTR_TYPE_NMI, 0, 0);
	EXPECT(.inject = NMI_VECTOR | INTR_TYPE_NMI, .blocking_off = INTERRUPTIBILITY_NMI);
}

/** What is undefined of the information (bits 12 and up) must not go into the entry's. */
static void replayed_exceptions(void)
{
	cut_short(INJECT(UD_VECTOR), 0, 0);
	EXPECT(.inject = INJECT(UD_VECTOR));
	cut_short(INJECT_ERROR(GP_VECTOR) | (u32)INTR_INFO_NMI_UNBLOCK, 0x18, 0);
	EXPECT(.inject = INJECT_ERROR(GP_VECTOR), .error = 0x18);
	cut_short(INJECT_ERROR(DF_VECTOR), 0, 0);
	EXPECT(.inject = INJECT_ERROR(DF_VECTOR));
	/* CR2 is as the page fault left it. */
	cpu.live.cr2 = 0x123000;
	cut_short(INJECT_ERROR(PF_VECTOR), 6, 0);
	EXPECT(.inject = INJECT_ERROR(PF_VECTOR), .error = 6);
}

static void replayed_instructions(void)
{
	cut_short(0x80 | INTR_TYPE_SOFT_INTERRUPT, 0, 2);
	EXPECT(.inject = 0x80 | INTR_TYPE_SOFT_INTERRUPT, .length = 2);
	cut_short(BP_VECTOR | INTR_TYPE_SOFT_EXCEPTION, 0, 1);
	EXPECT(.inject = BP_VECTOR | INTR_TYPE_SOFT_EXCEPTION, .length = 1);
	cut_short(OF_VECTOR | INTR_TYPE_SOFT_EXCEPTION, 0, 3);
	EXPECT(.inject = OF_VECTOR | INTR_TYPE_SOFT_EXCEPTION, .length = 3);
	cut_short(DB_VECTOR | INTR_TYPE_PRIV_SW_EXCEPTION, 0, 1);
	EXPECT(.inject = DB_VECTOR | INTR_TYPE_PRIV_SW_EXCEPTION, .length = 1);
}

/** The entry that injects such an event would fail, which is the hypervisor's end: it must be the
 * guest's. */
static void instructions_of_impossible_length(void)
{
	static const u32 events[] = {0x80 | INTR_TYPE_SOFT_INTERRUPT,
				     BP_VECTOR | INTR_TYPE_SOFT_EXCEPTION,
				     DB_VECTOR | INTR_TYPE_PRIV_SW_EXCEPTION};

	for (u32 i = 0; i < ARRAY_SIZE(events); i++) {
		cut_short(events[i], 0, 16); /* no instruction is longer than 15 */
		expect_stop(OUTCOME_UNSUPPORTED, "raises, and says that this has 16 bytes");
	}
}

/** A host's interrupt, a timer or an NMI in the middle: the same. */
static void replayed_after_other_exits(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	RAISE(.reason = EXIT_REASON_EXTERNAL_INTERRUPT,
	      .intr_info = VALID(HOST_TIMER_VECTOR | INTR_TYPE_EXTERNAL),
	      .idt_info = VALID(0x41 | INTR_TYPE_EXTERNAL));
	EXPECT(.inject = 0x41 | INTR_TYPE_EXTERNAL);
	RAISE(.reason = EXIT_REASON_PML_FULL, .idt_info = VALID(INJECT_ERROR(NP_VECTOR)),
	      .idt_error = 0x20);
	EXPECT(.inject = INJECT_ERROR(NP_VECTOR), .error = 0x20, .fields = {GUEST_PML_INDEX});
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(NMI_VECTOR | INTR_TYPE_NMI),
	      .idt_info = VALID(INJECT(NM_VECTOR)));
	EXPECT(.inject = INJECT(NM_VECTOR));
}

enum class { BENIGN, CONTRIBUTORY, PAGE };

/** Table 6-4 "Interrupt and Exception Classes". */
static enum class class_of(u8 vector) {
	switch (vector){
		case 0 : case 10 : case 11 : case 12 : case 13 : return CONTRIBUTORY;
		case 14 : return PAGE;
		default : return BENIGN;
	}
}

/** Table 6-5 "Conditions for Generating a Double Fault". */
static bool doubles(u8 first, u8 second)
{
	static const bool table[3][3] = {
		[CONTRIBUTORY] = {[CONTRIBUTORY] = true},
		[PAGE] = {[CONTRIBUTORY] = true, [PAGE] = true},
	};

	return table[class_of(first)][class_of(second)];
}

static u32 info_of(u8 vector)
{
	const u32 with_error = 0x27d00; /* 8, 10 to 14, 17 */

	return with_error & BIT(vector) ? INJECT_ERROR(vector) : INJECT(vector);
}

/** Each exception that can exit, while each was delivered. */
static void double_faults(void)
{
	static const u8 vectors[] = {0, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19};

	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(vectors); j++) {
			u32 second = info_of(vectors[j]);

			RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .qual = 0x7000,
			      .intr_info = VALID(second), .intr_error = 0x40,
			      .idt_info = VALID(info_of(vectors[i])), .idt_error = 0x50);
			if (doubles(vectors[i], vectors[j]))
				EXPECT(.inject = INJECT_ERROR(DF_VECTOR), .error = 0, .live = true);
			else
				EXPECT(.inject = second, .error = 0x40, .live = true);
		}
	}
}

/** An exception while an interrupt, an NMI or an INT n was delivered is no double fault. */
static void exceptions_in_other_events(void)
{
	static const u32 first[] = {
		0x77 | INTR_TYPE_EXTERNAL,
		NMI_VECTOR | INTR_TYPE_NMI,
		0x0e | INTR_TYPE_SOFT_INTERRUPT,
		BP_VECTOR | INTR_TYPE_SOFT_EXCEPTION,
		DB_VECTOR | INTR_TYPE_PRIV_SW_EXCEPTION,
	};

	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI,
		      .intr_info = VALID(INJECT_ERROR(GP_VECTOR)), .intr_error = 0x3b,
		      .idt_info = VALID(first[i]), .insn_len = 2);
		EXPECT(.inject = INJECT_ERROR(GP_VECTOR), .error = 0x3b);
	}
}

/** Section 6.15, interrupt 8: a contributory exception or a page fault while #DF is delivered. */
static void triple_faults(void)
{
	static const u8 deadly[] = {0, 10, 11, 12, 13, 14};
	static const u8 harmless[] = {5, 6, 7, 16, 17, 19};

	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++) {
		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(info_of(harmless[i])),
		      .idt_info = VALID(INJECT_ERROR(DF_VECTOR)));
		EXPECT(.inject = info_of(harmless[i]), .live = true);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(deadly); i++) {
		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(info_of(deadly[i])),
		      .idt_info = VALID(INJECT_ERROR(DF_VECTOR)));
		expect_stop(OUTCOME_TRIPLE_FAULT, "the guest took a triple fault");
	}
}

/** Section 28.2.3: bit 12 says that an IRET had unblocked NMIs, which it has to do again. Where an
 * event was being delivered, the bit means nothing. An IRET with a device for a stack ends the
 * guest. */
static void iret_cut_short(void)
{
	const u64 qual =
		EPT_VIOLATION_READ | EPT_VIOLATION_GVA_VALID | EPT_VIOLATION_GVA_TRANSLATED;
	const u64 unblocked = EPT_VIOLATION_NMI_UNBLOCK;

	CODE_BYTES(0x48, 0xcf); /* IRETQ */
	RAISE(.reason = EXIT_REASON_EPT_VIOLATION, .gpa = NO_MEMORY, .gla = NO_MEMORY,
	      .qual = qual | unblocked);
	expect_stop(OUTCOME_UNSUPPORTED, "by an instruction that is not emulated: 48 cf");
	assert_int_equal(field(GUEST_INTERRUPTIBILITY_INFO), INTERRUPTIBILITY_NMI);
	set_field(GUEST_INTERRUPTIBILITY_INFO, 0);
	RAISE(.reason = EXIT_REASON_EPT_VIOLATION, .gpa = NO_MEMORY, .gla = NO_MEMORY,
	      .qual = qual);
	expect_stop(OUTCOME_UNSUPPORTED, "by an instruction that is not emulated: 48 cf");
	assert_int_equal(field(GUEST_INTERRUPTIBILITY_INFO), 0);
	RAISE(.reason = EXIT_REASON_PML_FULL, .qual = unblocked,
	      .idt_info = VALID(INJECT(UD_VECTOR)));
	EXPECT(.inject = INJECT(UD_VECTOR));
}

/** The same for a full page-modification log. */
static void iret_cut_short_by_log(void)
{
	const u64 logged = DATA;

	set_field(GUEST_PML_INDEX, 0xffff);
	for (unsigned i = 0; i < 512; i++)
		vcpu->pml[i] = logged + i * PAGE_SIZE;
	RAISE(.reason = EXIT_REASON_PML_FULL, .qual = EPT_VIOLATION_NMI_UNBLOCK);
	EXPECT(.blocking_on = INTERRUPTIBILITY_NMI, .fields = {GUEST_PML_INDEX});
	assert_int_equal(field(GUEST_PML_INDEX), 511);
	assert_int_equal(machine->dirty.nr, 512);
	assert_int_equal(machine->dirty.gfn[511], (logged >> PAGE_SHIFT) + 511);
}

/** An event that cannot be delivered, for its stack or its gate is no memory. */
static void delivered_to_nowhere(void)
{
	RAISE(.reason = EXIT_REASON_EPT_VIOLATION, .gpa = NO_MEMORY, .gla = NO_MEMORY,
	      .qual = EPT_VIOLATION_WRITE | EPT_VIOLATION_GVA_VALID | EPT_VIOLATION_GVA_TRANSLATED,
	      .idt_info = VALID(INJECT(UD_VECTOR)));
	expect_stop(OUTCOME_UNSUPPORTED, "an event was delivered through 0x1200000, where no "
					 "memory is");
}

const struct exit_test tests_vectoring[] = {
	EXIT_TEST(replayed_external_interrupt, "dirty=1", EXIT_REASON_PML_FULL),
	EXIT_TEST(replayed_nmi, "dirty=1", EXIT_REASON_PML_FULL),
	EXIT_TEST(replayed_exceptions, "dirty=1", EXIT_REASON_PML_FULL),
	EXIT_TEST(replayed_instructions, "dirty=1", EXIT_REASON_PML_FULL),
	EXIT_TEST(instructions_of_impossible_length, "dirty=1", EXIT_REASON_PML_FULL),
	EXIT_TEST(replayed_after_other_exits, "dirty=1", EXIT_REASON_PML_FULL),
	EXIT_TEST(double_faults, EXCEPTIONS, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(exceptions_in_other_events, EXCEPTIONS, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(triple_faults, EXCEPTIONS, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(iret_cut_short, "dirty=1", EXIT_REASON_EPT_VIOLATION),
	EXIT_TEST(iret_cut_short_by_log, "dirty=1", EXIT_REASON_PML_FULL),
	EXIT_TEST(delivered_to_nowhere, "", EXIT_REASON_EPT_VIOLATION),
	{0},
};
