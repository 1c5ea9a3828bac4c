/* SPDX-License-Identifier: MIT */
/* Exit reason 0, but for #DB: machine checks, NMIs of the host's, and exceptions that exit+= asks
 * for. */
#include "exits.h"

#define ALL "exit+=exceptions=all"

static void machine_check(void)
{
	*processor_msr(MSR_IA32_MCG_STATUS) = 4;
	*processor_msr(MSR_IA32_MC0_CTL + 1) = BIT(63) | 0xbeef;
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(INJECT(MC_VECTOR)));
	expect_panic("machine check while the guest ran: MCG_STATUS 4");
	assert_true(said("machine-check bank 0: status 800000000000beef"));
}

/** The host's handler gets it, and its IRET lets the next one come. The guest sees nothing. */
static void physical_nmi(void)
{
	for (unsigned i = 1; i <= 3; i++) {
		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI,
		      .intr_info = VALID(NMI_VECTOR | INTR_TYPE_NMI));
		EXPECT(.advance = 0);
		assert_int_equal(core.cpu.nmis, i);
		assert_int_equal(vcpu->stats.exceptions[NMI_VECTOR], i);
	}
}

/** It came while the guest's handler of an NMI ran, and does not end that. */
static void physical_nmi_while_the_guest_handles_one(void)
{
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI);
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(NMI_VECTOR | INTR_TYPE_NMI));
	EXPECT(.advance = 0);
}

/** Section 28.3.3: RF is saved as the fault would have pushed it, 1; injection pushes it as it is.
 */
static void faults_without_error_code(void)
{
	static const u8 vectors[] = {DE_VECTOR, BR_VECTOR, UD_VECTOR, NM_VECTOR,
				     MF_VECTOR, XM_VECTOR, 20,	      31};

	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(INJECT(vectors[i])));
		EXPECT(.inject = INJECT(vectors[i]));
		assert_int_equal(vcpu->stats.exceptions[vectors[i]], 1);
	}
}

static void faults_with_error_code(void)
{
	static const u8 vectors[] = {TS_VECTOR, NP_VECTOR, SS_VECTOR, GP_VECTOR};

	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI,
		      .intr_info = VALID(INJECT_ERROR(vectors[i])), .intr_error = 0x1230 + i);
		EXPECT(.inject = INJECT_ERROR(vectors[i]), .error = 0x1230 + i);
	}
	/* #AC always exits; its error code is 0. */
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(INJECT_ERROR(AC_VECTOR)));
	EXPECT(.inject = INJECT_ERROR(AC_VECTOR));
}

/** In real mode there are no error codes. */
static void faults_in_real_mode(void)
{
	guest_mode(GUEST_REAL, 0);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(INJECT(GP_VECTOR)));
	EXPECT(.inject = INJECT(GP_VECTOR));
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(INJECT(AC_VECTOR)));
	EXPECT(.inject = INJECT(AC_VECTOR));
}

/** Section 28.2.4: one that exits by itself comes without IDT-vectoring information, and bit 12 of
 * its interruption information means nothing. */
static void double_fault(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI,
	      .intr_info = VALID(INJECT_ERROR(DF_VECTOR)) | (u32)INTR_INFO_NMI_UNBLOCK);
	EXPECT(.inject = INJECT_ERROR(DF_VECTOR));
}

/** The qualification is what CR2 would have become. */
static void page_fault(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .qual = 0xffff800012345678,
	      .intr_info = VALID(INJECT_ERROR(PF_VECTOR)), .intr_error = 0x17);
	EXPECT(.inject = INJECT_ERROR(PF_VECTOR), .error = 0x17, .live = true);
	assert_int_equal(cpu.live.cr2, 0xffff800012345678);
}

/** An IRET that faults has unblocked NMIs, and the guest's handler runs with that. */
static void fault_of_iret(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .qual = 0x1000,
	      .intr_info = VALID(INJECT_ERROR(PF_VECTOR)) | (u32)INTR_INFO_NMI_UNBLOCK,
	      .intr_error = 2);
	EXPECT(.inject = INJECT_ERROR(PF_VECTOR), .error = 2, .live = true);
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI,
	      .intr_info = VALID(INJECT_ERROR(GP_VECTOR)) | (u32)INTR_INFO_NMI_UNBLOCK);
	EXPECT(.inject = INJECT_ERROR(GP_VECTOR));
}

/** INT3 and INTO: traps of an instruction, whose length goes along; RF is pushed as it is. INT3 may
 *  have prefixes, and a length of up to 15 then. */
static void software_exceptions(void)
{
	static const struct {
		u8 vector;
		u32 len;
	} insn[] = {{BP_VECTOR, 1}, {BP_VECTOR, 2}, {BP_VECTOR, 15}, {OF_VECTOR, 1}};

	for (unsigned i = 0; i < ARRAY_SIZE(insn); i++) {
		u32 info = insn[i].vector | INTR_TYPE_SOFT_EXCEPTION;

		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(info),
		      .insn_len = insn[i].len);
		EXPECT(.inject = info, .length = insn[i].len);
		assert_int_equal(field(VM_ENTRY_INSTRUCTION_LEN), insn[i].len);
	}
}

/** Section 27.3.1.5: with TF in a shadow, VM entry wants a single step to be pending. */
static void stepping_in_a_shadow(void)
{
	static const u32 shadow[] = {INTERRUPTIBILITY_STI, INTERRUPTIBILITY_MOV_SS};

	for (unsigned i = 0; i < ARRAY_SIZE(shadow); i++) {
		set_field(GUEST_PENDING_DBG_EXCEPTIONS, 0);
		set_field(GUEST_RFLAGS,
			  X86_EFLAGS_FIXED | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_RF);
		set_field(GUEST_INTERRUPTIBILITY_INFO, shadow[i]);
		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI,
		      .intr_info = VALID(INJECT_ERROR(GP_VECTOR)));
		EXPECT(.inject = INJECT_ERROR(GP_VECTOR), .pending_on = PENDING_DBG_BS);
		/* With IA32_DEBUGCTL.BTF it must not be: only branches trap then. */
		set_field(GUEST_PENDING_DBG_EXCEPTIONS, 0);
		set_field(GUEST_IA32_DEBUGCTL, DEBUGCTL_BTF);
		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI,
		      .intr_info = VALID(INJECT_ERROR(GP_VECTOR)));
		EXPECT(.inject = INJECT_ERROR(GP_VECTOR));
		set_field(GUEST_IA32_DEBUGCTL, 0);
	}
}

/** With all exceptions, page faults exit whatever their error code. */
static void exception_bitmap(void)
{
	assert_int_equal(field(EXCEPTION_BITMAP) & BIT(PF_VECTOR), BIT(PF_VECTOR));
	assert_int_equal(field(PAGE_FAULT_ERROR_CODE_MASK), 0);
	assert_int_equal(field(PAGE_FAULT_ERROR_CODE_MATCH), 0);
}

static void external_interrupt(void)
{
	unsigned eois = cpu.eois;

	RAISE(.reason = EXIT_REASON_EXTERNAL_INTERRUPT,
	      .intr_info = VALID(HOST_TIMER_VECTOR | INTR_TYPE_EXTERNAL));
	EXPECT(.advance = 0);
	assert_int_equal(cpu.eois, eois + 1);
	assert_int_equal(core.cpu.stray_interrupts, 0);
	RAISE(.reason = EXIT_REASON_EXTERNAL_INTERRUPT,
	      .intr_info = VALID(0x33 | INTR_TYPE_EXTERNAL));
	EXPECT(.advance = 0);
	assert_int_equal(cpu.eois, eois + 2);
	assert_int_equal(core.cpu.stray_interrupts, 1);
	/* No EOI belongs to a spurious one. */
	RAISE(.reason = EXIT_REASON_EXTERNAL_INTERRUPT,
	      .intr_info = VALID(HOST_SPURIOUS_VECTOR | INTR_TYPE_EXTERNAL));
	EXPECT(.advance = 0);
	assert_int_equal(cpu.eois, eois + 2);
	assert_int_equal(core.cpu.stray_interrupts, 1);
	assert_int_equal(*tally_count(&vcpu->detail.tally[TALLY_INTERRUPT], 0x33), 1);
}

const struct exit_test tests_exceptions[] = {
	EXIT_TEST(machine_check, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(physical_nmi, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(physical_nmi_while_the_guest_handles_one, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(faults_without_error_code, ALL, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(faults_with_error_code, ALL, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(faults_in_real_mode, ALL, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(double_fault, ALL, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(page_fault, ALL, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(fault_of_iret, ALL, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(software_exceptions, ALL, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(stepping_in_a_shadow, ALL, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(exception_bitmap, ALL),
	EXIT_TEST(external_interrupt, "", EXIT_REASON_EXTERNAL_INTERRUPT),
	{0},
};
