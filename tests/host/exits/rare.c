/* SPDX-License-Identifier: MIT */
/* Signals from outside, single steps, failed entries, the end: exits that are seldom or never seen.
 */
#include "exits.h"

static void init_signal(void)
{
	RAISE(.reason = EXIT_REASON_INIT_SIGNAL);
	expect_stop(OUTCOME_UNSUPPORTED, "received an INIT signal");
}

static void start_up_ipi(void)
{
	RAISE(.reason = EXIT_REASON_SIPI, .qual = 0x9a);
	expect_stop(OUTCOME_UNSUPPORTED, "a start-up IPI arrived");
}

static void triple_fault(void)
{
	RAISE(.reason = EXIT_REASON_TRIPLE_FAULT);
	expect_stop(OUTCOME_TRIPLE_FAULT, "the guest took a triple fault");
	assert_true(said("rip 0000000000900100"));
}

/** A run ends once: what has ended it took its time to say so, and the watchdog does not take that
 * for the guest's. */
static void watchdog_behind_the_end(void)
{
	struct watchdog *w = &machine->watchdog;

	for (u32 over = 0; over < 2; over++) {
		vcpu->gpr[REG_RCX] = 77;
		watchdog_look_closely(w);
		w->alike = 1;
		w->since = 0 - 2ull; /* long ago */
		w->limit = 1;
		w->point = (struct watchdog_point){.rip = field(GUEST_RIP),
						   .rcx = vcpu->gpr[REG_RCX],
						   .rflags = field(GUEST_RFLAGS),
						   .reason = over ? EXIT_REASON_INIT_SIGNAL
								  : EXIT_REASON_MONITOR_TRAP_FLAG};
		vcpu->requests |= REQ_WATCH;
		RAISE(.reason = w->point.reason);
		expect_stop(over ? OUTCOME_UNSUPPORTED : OUTCOME_WATCHDOG,
			    over ? "received an INIT signal" : "watchdog: no progress");
		assert_true(said("watchdog: no progress") == !over);
		w->close = false;
		vcpu->requests &= ~REQ_WATCH;
	}
}

/** exit+=mtf: nothing of the guest's changes, and the next one comes after its next instruction. */
static void monitor_trap_flag(void)
{
	assert_true(field(CPU_BASED_VM_EXEC_CONTROL) & CPU1_MONITOR_TRAP_FLAG);
	RAISE(.reason = EXIT_REASON_MONITOR_TRAP_FLAG);
	EXPECT(.advance = 0);
	assert_true(field(CPU_BASED_VM_EXEC_CONTROL) & CPU1_MONITOR_TRAP_FLAG);
	/* A trap that is due stays due, and so does what blocks interrupts. */
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_TF | X86_EFLAGS_IF);
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_MOV_SS);
	set_field(GUEST_PENDING_DBG_EXCEPTIONS, PENDING_DBG_BS);
	RAISE(.reason = EXIT_REASON_MONITOR_TRAP_FLAG);
	EXPECT(.advance = 0);
}

/** Section 27.8: bit 31, and a qualification for two of them. Nothing else is defined. */
static void failed_entries(void)
{
	static const char *const detail[] = {
		[0] = "invalid guest state (qualification 0)",
		[2] = "invalid guest state: the PDPTEs cannot be loaded (qualification 2)",
		[3] = "invalid guest state: an NMI is injected while STI blocks events",
		[4] = "invalid guest state: the VMCS link pointer (qualification 4)",
	};
	const u32 failed = (u32)EXIT_REASON_ENTRY_FAILURE;

	for (unsigned qual = 0; qual < ARRAY_SIZE(detail); qual++) {
		if (!detail[qual])
			continue;
		RAISE(.reason = failed | 33, .qual = qual);
		expect_stop(OUTCOME_ENTRY_FAILURE, detail[qual]);
	}
	RAISE(.reason = failed | 34, .qual = 7);
	expect_stop(OUTCOME_ENTRY_FAILURE, "MSR loading: entry 7 of the area");
}

static void machine_check_at_entry(void)
{
	*processor_msr(MSR_IA32_MCG_STATUS) = 5;
	*processor_msr(MSR_IA32_MC0_CTL + 5) = BIT(63) | 0x1234;
	RAISE(.reason = (u32)EXIT_REASON_ENTRY_FAILURE | 41);
	expect_panic("machine check during a VM entry: MCG_STATUS 5");
	assert_true(said("machine-check bank 1: status 8000000000001234"));
	assert_false(said("bank 0"));
}

static void vmfail_invalid(void)
{
	vcpu_run(vcpu);
}

/** Section 31.2, and 31.4: what the processor says of a VM entry that did not begin. */
static void vmfails(void)
{
	char text[128];

	cpu.entry_result = 1;
	assert_true(panics(vmfail_invalid));
	assert_true(said("VMLAUNCH failed: VMfailInvalid, there is no current VMCS"));
	cpu.entry_result = 2;
	for (u32 nr = 0; nr < 32; nr++) {
		set_field(VM_INSTRUCTION_ERROR, nr);
		assert_true(panics(vmfail_invalid));
		snprintf(text, sizeof(text), "VMLAUNCH failed: VMfailValid, error %u: %s", nr,
			 vmx_error_name(nr));
		assert_true(said(text));
	}
	assert_string_equal(vmx_error_name(7), "VM entry with invalid control field(s)");
	assert_string_equal(vmx_error_name(8), "VM entry with invalid host-state field(s)");
	assert_string_equal(vmx_error_name(26), "VM entry with events blocked by MOV SS");
	assert_string_equal(vmx_error_name(14), "?"); /* there is none of that number */
	cpu.entry_result = 0;
	RAISE(.reason = EXIT_REASON_PAUSE, .insn_len = 2);
	EXPECT(.advance = 2);
	cpu.entry_result = 2;
	set_field(VM_INSTRUCTION_ERROR, 5);
	assert_true(panics(vmfail_invalid));
	assert_true(said("VMRESUME failed: VMfailValid, error 5: VMRESUME with non-launched VMCS"));
}

static void read_nothing(void)
{
	vmcs_read64(TSC_MULTIPLIER);
}

static void write_read_only(void)
{
	vmcs_write32(VM_EXIT_REASON, 0);
}

/** Accesses that fail name the field. */
static void vmcs_access(void)
{
	assert_true(panics(read_nothing));
	assert_true(said("VMREAD of VMCS field TSC_MULTIPLIER (0x2032)"));
	assert_true(said("VMREAD/VMWRITE from/to unsupported VMCS component"));
	assert_true(panics(write_read_only));
	assert_true(said("VMWRITE of VMCS field VM_EXIT_REASON (0x4402), value 0x0 failed"));
	assert_true(said("VMWRITE to read-only VMCS component"));
	cpu.vmcs_current = false;
	assert_true(panics(read_nothing));
	assert_true(said("no current VMCS"));
}

static void preemption_timer(void)
{
	vcpu->deadline = cpu.tsc; /* reached */
	RAISE(.reason = EXIT_REASON_PREEMPTION_TIMER);
	EXPECT(.advance = 0);
	assert_true(vcpu->deadline > cpu.tsc);
	/* What is left, in the timer's unit of 32 ticks, and with one to spare. */
	assert_in_range(field(VMX_PREEMPTION_TIMER_VALUE) * 32, vcpu->deadline - cpu.tsc,
			vcpu->deadline - cpu.tsc + 3 * 32);
}

/** Without it the host's local APIC makes the exit, and the field is not there. */
static void timer_of_the_host(void)
{
	vcpu->deadline = cpu.tsc;
	cpu.x2apic[0x38] = 0;
	RAISE(.reason = EXIT_REASON_EXTERNAL_INTERRUPT,
	      .intr_info = VALID(HOST_TIMER_VECTOR | INTR_TYPE_EXTERNAL));
	EXPECT(.advance = 0);
	assert_in_range(cpu.x2apic[0x38], vcpu->deadline - cpu.tsc, vcpu->deadline - cpu.tsc + 100);
}

/** A VMCS without any of the fields that came after the first ones: whoever touched one would have
 *  panicked. */
static void oldest_processor(void)
{
	assert_false(vmcs_field_exists(&cpu.caps, EPT_POINTER));
	assert_false(vmcs_field_exists(&cpu.caps, GUEST_IA32_EFER));
	RAISE(.reason = EXIT_REASON_INVD, .insn_len = 2);
	EXPECT(.advance = 2);
	RAISE(.reason = EXIT_REASON_TRIPLE_FAULT);
	expect_stop(OUTCOME_TRIPLE_FAULT, "it runs on shadow page tables");
}

const struct exit_test tests_rare[] = {
	EXIT_TEST(init_signal, "", EXIT_REASON_INIT_SIGNAL),
	EXIT_TEST(start_up_ipi, "", EXIT_REASON_SIPI),
	EXIT_TEST(triple_fault, "", EXIT_REASON_TRIPLE_FAULT),
	EXIT_TEST(monitor_trap_flag, "exit+=mtf", EXIT_REASON_MONITOR_TRAP_FLAG),
	EXIT_TEST(watchdog_behind_the_end, "watchdog=1 exit+=mtf", EXIT_REASON_INIT_SIGNAL),
	EXIT_TEST(failed_entries, "", 33, 34),
	EXIT_TEST(machine_check_at_entry, "", 41),
	EXIT_TEST(vmfails, "", EXIT_REASON_PAUSE),
	EXIT_TEST(vmcs_access, ""),
	EXIT_TEST(preemption_timer, "", EXIT_REASON_PREEMPTION_TIMER),
	EXIT_TEST(timer_of_the_host, "features-=preemption-timer", EXIT_REASON_EXTERNAL_INTERRUPT),
	EXIT_TEST(oldest_processor,
		  "paging=shadow features-=ept,vpid,load-pat,load-efer,preemption-timer,rdtscp,"
		  "invpcid,xsaves,wbinvd-exiting,vid,apic-register,virtual-x2apic",
		  EXIT_REASON_INVD, EXIT_REASON_TRIPLE_FAULT),
	{0},
};
