/* SPDX-License-Identifier: MIT */
/* Exit reasons that cannot come: undefined numbers, bits beside a number, exits whose control is 0,
 * and those of SMM. Each ends the guest with a word about it, and harms nobody else. */
#include "exits.h"

#define A_FAULT "a fault of this processor, or of the hypervisor that Tallyvisor runs under"

static void stops(u32 reason, const char *text)
{
	RAISE(.reason = reason, .insn_len = 3);
	expect_stop(OUTCOME_UNSUPPORTED, text);
	assert_true(said(A_FAULT));
	assert_true(said("the last ")); /* exits, as every diagnosis has them */
}

static void numbers_that_are_not_defined(void)
{
	static const u32 nr[] = {35, 38, 42, 71, 82, 83, 86, 99, 255, 256, 0x8000, 0xffff};
	char text[64];

	for (unsigned i = 0; i < ARRAY_SIZE(nr); i++) {
		snprintf(text, sizeof(text), "VM exit with reason 0x%08x, which the SDM does not",
			 nr[i]);
		stops(nr[i], text);
	}
}

/** A serial line, on which nothing waits. */
static void listen(void)
{
	core.console.port = SIM_UART;
	core.console.present = true;
	core.console.tail = core.console.head;
}

/** A trace ends with how many there were of each reason, and this one has no name. */
static void trace_of_no_name(void)
{
	vcpu->trace.on = true;
	stops(35, "VM exit with reason 0x00000023");
	listen();
	trace_end(machine);
	assert_non_null(strstr(cpu.sent, "trace totals 1: 35 1\n"));
}

static void end_trace(void)
{
	trace_end(machine);
}

/** A panic amid a line of the trace begins a line, where those who read the trace see it. */
static void trace_cut_by_a_panic(void)
{
	vcpu->trace.on = true;
	stops(35, "VM exit with reason 0x00000023");
	listen();
	cpu.breaks_at = 20;
	assert_true(panics(end_trace));
	cpu.sent[cpu.nr_sent] = '\0';
	assert_int_not_equal(cpu.sent[19], '\n');
	assert_memory_equal(cpu.sent + 20, "\ntallyvisor: PANIC: ", 20);
}

/** Bits 16 to 30: bus lock (26), enclave mode (27), pending MTF (28), root operation (29), and
 * those that have no meaning. The number below must not be taken for the whole reason. */
static void bits_beside_a_number(void)
{
	char text[64];

	for (unsigned bit = 16; bit < 31; bit++) {
		u32 reason = (u32)BIT(bit) | EXIT_REASON_CPUID;

		snprintf(text, sizeof(text), "VM exit 10 (CPUID) with reason 0x%08x", reason);
		stops(reason, text);
		snprintf(text, sizeof(text), "reason 0x%08x, which the SDM", (u32)BIT(bit) | 71);
		stops((u32)BIT(bit) | 71, text);
	}
	assert_int_equal(vcpu->gpr[REG_RAX], 0x0123456700000000); /* no CPUID was made */
}

static void entry_failures_that_are_not_defined(void)
{
	static const u32 nr[] = {0, 10, 32, 35, 40, 42, 85, 86, 0x1234, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(nr); i++)
		stops((u32)EXIT_REASON_ENTRY_FAILURE | nr[i], "with reason 0x8000");
	stops((u32)EXIT_REASON_ENTRY_FAILURE | (u32)BIT(27) | 33, "with reason 0x88000021");
}

/** Numbers 33, 34 and 41 are entry failures, with bit 31, or nothing. */
static void entry_failures_without_bit_31(void)
{
	stops(33, "(ENTRY_FAIL_GUEST_STATE) with reason 0x00000021");
	stops(34, "(ENTRY_FAIL_MSR_LOADING) with reason 0x00000022");
	stops(41, "(ENTRY_FAIL_MACHINE_CHECK) with reason 0x00000029");
}

static void controls_that_are_off(void)
{
	static const struct {
		u32 nr;
		const char *text;
	} off[] = {
		{59, "VM exit 59 (VMFUNC), although its control is 0"},
		{62, "VM exit 62 (PML_FULL), although its control is 0"},
		{60, "VM exit 60 (ENCLS), although its control is 0"},
		{65, "VM exit 65 (PCONFIG), although its control is 0"},
		{66, "VM exit 66 (SPP_EVENT), although its control is 0"},
		{67, "VM exit 67 (UMWAIT), although its control is 0"},
		{68, "VM exit 68 (TPAUSE), although its control is 0"},
		{69, "VM exit 69 (LOADIWKEY), although its control is 0"},
		{70, "VM exit 70 (ENCLV), although its control is 0"},
		{72, "VM exit 72 (ENQCMD_PASID), although its control is 0"},
		{73, "VM exit 73 (ENQCMDS_PASID), although its control is 0"},
		{74, "VM exit 74 (BUS_LOCK), although its control is 0"},
		{75, "VM exit 75 (NOTIFY), although its control is 0"},
		{78, "VM exit 78 (RDMSRLIST), although its control is 0"},
		{79, "VM exit 79 (WRMSRLIST), although its control is 0"},
		{80, "VM exit 80 (URDMSR), although its control is 0"},
		{81, "VM exit 81 (UWRMSR), although its control is 0"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(off); i++)
		stops(off[i].nr, off[i].text);
}

/** Their controls really are 0, in what was written into the VMCS. */
static void controls_in_the_vmcs(void)
{
	const u64 cpu2 = field(SECONDARY_VM_EXEC_CONTROL);

#define HANDLER_impossible 1
#define IS_IMPOSSIBLE(handler) IS_IMPOSSIBLE_(HANDLER_##handler)
#define IS_IMPOSSIBLE_(x) IS_IMPOSSIBLE__(x)
#define IS_IMPOSSIBLE__(x) (#x[0] == '1')
#define EXIT_REASON(nr, name, handler, word, bit, cause)                                           \
	if (IS_IMPOSSIBLE(handler) && !strcmp(#word, "CPU2"))                                      \
		assert_false(cpu2 &BIT(bit));
#include "exit_reasons.def"
#undef EXIT_REASON
	assert_false(field(CPU_BASED_VM_EXEC_CONTROL) & CPU1_TERTIARY);
}

static void monitors_in_smm(void)
{
	stops(5, "VM exit 5 (IO_SMI), which only a monitor in SMM can get");
	stops(6, "VM exit 6 (OTHER_SMI), which only a monitor in SMM can get");
	stops(17, "VM exit 17 (RSM), which only a monitor in SMM can get");
}

static void supervisor_state(void)
{
	stops(63, "VM exit 63 (XSAVES), although IA32_XSS is 0");
	stops(64, "VM exit 64 (XRSTORS), although IA32_XSS is 0");
	assert_int_equal(*processor_msr(MSR_IA32_XSS), 0);
	assert_int_equal(field(XSS_EXIT_BITMAP), ~0ull);
}

const struct exit_test tests_undefined[] = {
	EXIT_TEST(numbers_that_are_not_defined, "", 35, 38, 42, 71, 82, 83),
	EXIT_TEST(trace_cut_by_a_panic, "trace=1", 35),
	EXIT_TEST(trace_of_no_name, "trace=1", 35),
	EXIT_TEST(bits_beside_a_number, "", EXIT_REASON_CPUID),
	EXIT_TEST(entry_failures_that_are_not_defined, "", 35, 42),
	EXIT_TEST(entry_failures_without_bit_31, "", 33, 34, 41),
	EXIT_TEST(controls_that_are_off, "", 59, 60, 62, 65, 66, 67, 68, 69, 70, 72, 73, 74, 75, 78,
		  79, 80, 81),
	EXIT_TEST(controls_in_the_vmcs, ""),
	EXIT_TEST(monitors_in_smm, "", EXIT_REASON_IO_SMI, EXIT_REASON_OTHER_SMI, EXIT_REASON_RSM),
	EXIT_TEST(supervisor_state, "", EXIT_REASON_XSAVES, EXIT_REASON_XRSTORS),
	{0},
};
