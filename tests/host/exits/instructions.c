/* SPDX-License-Identifier: MIT */
/* Exits of instructions without a memory operand. */
#include "exits.h"

#define ARITHMETIC                                                                                 \
	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF |           \
	 X86_EFLAGS_OF)
#define BOTH_HALVES (BIT(REG_RAX) | BIT(REG_RDX))

/** Hidden by CPUID: #UD, from every ring. */
static void hidden_instructions(void)
{
	static const u8 nr[] = {EXIT_REASON_GETSEC,	EXIT_REASON_VMCALL,   EXIT_REASON_VMCLEAR,
				EXIT_REASON_VMLAUNCH,	EXIT_REASON_VMPTRLD,  EXIT_REASON_VMPTRST,
				EXIT_REASON_VMREAD,	EXIT_REASON_VMRESUME, EXIT_REASON_VMWRITE,
				EXIT_REASON_VMXOFF,	EXIT_REASON_VMXON,    EXIT_REASON_MWAIT,
				EXIT_REASON_MONITOR,	EXIT_REASON_INVEPT,   EXIT_REASON_INVVPID,
				EXIT_REASON_SEAMCALL,	EXIT_REASON_TDCALL,   EXIT_REASON_RDMSR_IMM,
				EXIT_REASON_WRMSRNS_IMM};

	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		for (unsigned i = 0; i < ARRAY_SIZE(nr); i++) {
			guest_mode(GUEST_64, cpl);
			RAISE(.reason = nr[i], .insn_len = 4, .insn_info = 0x12345);
			EXPECT_UD();
		}
	}
	guest_mode(GUEST_REAL, 0);
	RAISE(.reason = EXIT_REASON_VMCALL, .insn_len = 3);
	EXPECT_UD();
}

static void flushes_of_caches(void)
{
	RAISE(.reason = EXIT_REASON_INVD, .insn_len = 2);
	EXPECT(.advance = 2);
	RAISE(.reason = EXIT_REASON_WBINVD, .insn_len = 3); /* WBNOINVD has a prefix */
	EXPECT(.advance = 3);
}

/** After an instruction: shadows end, RF goes, and TF traps; in which order, nobody can tell. */
static void completed_instruction(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_RF);
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI);
	RAISE(.reason = EXIT_REASON_INVD, .insn_len = 2);
	EXPECT(.advance = 2, .rflags_off = X86_EFLAGS_RF, .blocking_off = INTERRUPTIBILITY_MOV_SS,
	       .pending_on = PENDING_DBG_BS);
	/* Single-stepping branches: this one was none. */
	set_field(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	set_field(GUEST_IA32_DEBUGCTL, DEBUGCTL_BTF);
	RAISE(.reason = EXIT_REASON_INVD, .insn_len = 2);
	EXPECT(.advance = 2);
}

/** RIP has 32 bits outside 64-bit mode, and wraps. */
static void end_of_the_code_segment(void)
{
	guest_mode(GUEST_COMPAT, 0);
	set_field(GUEST_RIP, 0xfffffffe);
	RAISE(.reason = EXIT_REASON_INVD, .insn_len = 2);
	EXPECT(.fields = {GUEST_RIP});
	assert_int_equal(field(GUEST_RIP), 0);
	guest_mode(GUEST_64, 0);
	set_field(GUEST_RIP, 0xfffffffe);
	RAISE(.reason = EXIT_REASON_INVD, .insn_len = 2);
	EXPECT(.advance = 2);
	assert_int_equal(field(GUEST_RIP), 0x100000000);
}

static void rdpmc(void)
{
	RAISE(.reason = EXIT_REASON_RDPMC, .insn_len = 2);
	EXPECT_GP();
	/* Real mode knows no error codes. */
	guest_mode(GUEST_REAL, 0);
	RAISE(.reason = EXIT_REASON_RDPMC, .insn_len = 2);
	EXPECT(.inject = INJECT(GP_VECTOR), .rflags_on = X86_EFLAGS_RF);
}

/** The TSC that the guest would read by itself: the host's with the offset of the VMCS. */
static void check_tsc(u32 reason, unsigned len, u32 more)
{
	u64 from = cpu.tsc + field(TSC_OFFSET), tsc;

	RAISE(.reason = reason, .insn_len = len);
	EXPECT(.advance = len, .gprs = BOTH_HALVES | more);
	tsc = vcpu->gpr[REG_RDX] << 32 | vcpu->gpr[REG_RAX];
	assert_in_range(tsc, from, cpu.tsc + field(TSC_OFFSET));
	assert_int_equal(vcpu->gpr[REG_RAX] >> 32, 0); /* the upper halves are cleared */
}

static void rdtsc_and_rdtscp(void)
{
	check_tsc(EXIT_REASON_RDTSC, 2, 0);
	*processor_msr(MSR_TSC_AUX) = 0x89abcdef;
	check_tsc(EXIT_REASON_RDTSCP, 3, BIT(REG_RCX));
	assert_int_equal(vcpu->gpr[REG_RCX], 0x89abcdef);
	/* The guest moves its TSC: both see it. */
	vcpu->gpr[REG_RCX] = MSR_IA32_TSC;
	vcpu->gpr[REG_RAX] = 0x1000;
	vcpu->gpr[REG_RDX] = 0x40;
	RAISE(.reason = EXIT_REASON_WRMSR, .insn_len = 2);
	EXPECT(.advance = 2, .fields = {TSC_OFFSET});
	check_tsc(EXIT_REASON_RDTSC, 2, 0);
	assert_in_range(vcpu->gpr[REG_RDX] << 32 | vcpu->gpr[REG_RAX], 0x4000001000, 0x4000002000);
	guest_mode(GUEST_REAL, 0);
	check_tsc(EXIT_REASON_RDTSC, 2, 0);
}

static void pause_instruction(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_STI);
	RAISE(.reason = EXIT_REASON_PAUSE, .insn_len = 2);
	EXPECT(.advance = 2, .blocking_off = INTERRUPTIBILITY_STI);
}

/** RDRAND and RDSEED of every width; the bytes count, not the instruction information. */
static void random_numbers(void)
{
	cpu.random = 0x1122334455667788;
	CODE_BYTES(0x48, 0x0f, 0xc7, 0xf3); /* RDRAND RBX */
	RAISE(.reason = EXIT_REASON_RDRAND, .insn_len = 4);
	EXPECT(.advance = 4, .gprs = BIT(REG_RBX), .rflags_on = X86_EFLAGS_CF);
	assert_int_equal(vcpu->gpr[REG_RBX], cpu.random);
	CODE_BYTES(0x0f, 0xc7, 0xfa); /* RDSEED EDX */
	RAISE(.reason = EXIT_REASON_RDSEED, .insn_len = 3);
	EXPECT(.advance = 3, .gprs = BIT(REG_RDX));
	assert_int_equal(vcpu->gpr[REG_RDX], 0x55667789);
	CODE_BYTES(0x66, 0x41, 0x0f, 0xc7, 0xf1); /* RDRAND R9W */
	vcpu->gpr[9] = 0xaaaabbbbccccdddd;
	RAISE(.reason = EXIT_REASON_RDRAND, .insn_len = 5);
	EXPECT(.advance = 5, .gprs = BIT(9));
	assert_int_equal(vcpu->gpr[9], 0xaaaabbbbcccc7788);
	CODE_BYTES(0x49, 0x0f, 0xc7, 0xf4); /* RDRAND R12 */
	RAISE(.reason = EXIT_REASON_RDRAND, .insn_len = 4);
	EXPECT(.advance = 4, .gprs = BIT(12));
	CODE_BYTES(0x48, 0x0f, 0xc7, 0xfc); /* RDSEED RSP */
	RAISE(.reason = EXIT_REASON_RDSEED, .insn_len = 4);
	EXPECT(.advance = 4, .gprs = BIT(REG_RSP));
	assert_int_equal(field(GUEST_RSP), cpu.random + 1);
}

/** No number: 0, and CF clear; all other arithmetic flags are 0 either way. */
static void no_random_number(void)
{
	cpu.random_there = false;
	cpu.random = 0x5555555555555555;
	CODE_BYTES(0x48, 0x0f, 0xc7, 0xf3);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | ARITHMETIC | X86_EFLAGS_IF);
	RAISE(.reason = EXIT_REASON_RDRAND, .insn_len = 4);
	EXPECT(.advance = 4, .gprs = BIT(REG_RBX), .rflags_off = ARITHMETIC);
	assert_int_equal(vcpu->gpr[REG_RBX], 0);
	CODE_BYTES(0x66, 0x0f, 0xc7, 0xfb); /* RDSEED BX */
	vcpu->gpr[REG_RBX] = 0x1234567812345678;
	RAISE(.reason = EXIT_REASON_RDSEED, .insn_len = 4);
	EXPECT(.advance = 4, .gprs = BIT(REG_RBX));
	assert_int_equal(vcpu->gpr[REG_RBX], 0x1234567812340000);
	cpu.random_there = true;
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | ARITHMETIC);
	CODE_BYTES(0x48, 0x0f, 0xc7, 0xf3);
	RAISE(.reason = EXIT_REASON_RDRAND, .insn_len = 4);
	EXPECT(.advance = 4, .gprs = BIT(REG_RBX), .rflags_off = ARITHMETIC & ~X86_EFLAGS_CF);
}

/** In a 16-bit code segment the prefix makes it 32 bits. */
static void random_numbers_elsewhere(void)
{
	cpu.random = 0x1122334455667788;
	guest_mode(GUEST_COMPAT16, 0);
	CODE_BYTES(0x0f, 0xc7, 0xf0); /* RDRAND AX */
	vcpu->gpr[REG_RAX] = 0x9999999999999999;
	RAISE(.reason = EXIT_REASON_RDRAND, .insn_len = 3);
	EXPECT(.advance = 3, .gprs = BIT(REG_RAX), .rflags_on = X86_EFLAGS_CF);
	assert_int_equal(vcpu->gpr[REG_RAX], 0x9999999999997788);
	CODE_BYTES(0x66, 0x0f, 0xc7, 0xf0);
	RAISE(.reason = EXIT_REASON_RDRAND, .insn_len = 4);
	EXPECT(.advance = 4, .gprs = BIT(REG_RAX));
	assert_int_equal(vcpu->gpr[REG_RAX], 0x55667788);
}

static void hidden_random_numbers(void)
{
	CODE_BYTES(0x48, 0x0f, 0xc7, 0xf3);
	RAISE(.reason = EXIT_REASON_RDRAND, .insn_len = 4);
	EXPECT_UD();
	RAISE(.reason = EXIT_REASON_RDSEED, .insn_len = 4);
	EXPECT_UD();
}

static void xsetbv_valid(void)
{
	static const u64 values[] = {1, 3, 7};

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		vcpu->gpr[REG_RCX] = 0xffffffff00000000; /* only ECX counts */
		vcpu->gpr[REG_RAX] = 0xeeeeeeee00000000 | values[i];
		vcpu->gpr[REG_RDX] = 0xeeeeeeee00000000;
		RAISE(.reason = EXIT_REASON_XSETBV, .insn_len = 3);
		EXPECT(.advance = 3, .live = true);
		assert_int_equal(cpu.live.xcr0, values[i]);
		assert_int_equal(vcpu->xcr0, values[i]);
	}
}

/** A #GP in the host would end it: nothing of these must get there. */
static void xsetbv_refused(void)
{
	static const struct {
		u64 rcx, rdx, rax;
	} bad[] = {{1, 0, 1},	  {0, 0, 0}, {0, 0, 2},		 {0, 0, 5},
		   {0, 0, 0x207}, {0, 1, 7}, {0, 0x80000000, 7}, {0, 0, 0xe7}};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		vcpu->gpr[REG_RCX] = bad[i].rcx ? bad[i].rcx : BIT(32);
		vcpu->gpr[REG_RDX] = bad[i].rdx ? bad[i].rdx : BIT(32);
		vcpu->gpr[REG_RAX] = bad[i].rax ? bad[i].rax : BIT(32);
		set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
		RAISE(.reason = EXIT_REASON_XSETBV, .insn_len = 3);
		EXPECT_GP();
	}
	for (unsigned cpl = 1; cpl <= 3; cpl++) {
		guest_mode(GUEST_64, cpl);
		vcpu->gpr[REG_RCX] = vcpu->gpr[REG_RDX] = BIT(32);
		vcpu->gpr[REG_RAX] = 7;
		RAISE(.reason = EXIT_REASON_XSETBV, .insn_len = 3);
		EXPECT_GP();
	}
}

static void cpuid_leaves(void)
{
	const u32 all = BIT(REG_RAX) | BIT(REG_RBX) | BIT(REG_RCX) | BIT(REG_RDX);

	vcpu->gpr[REG_RAX] = 0xffffffff40000000;
	RAISE(.reason = EXIT_REASON_CPUID, .insn_len = 2);
	EXPECT(.advance = 2, .gprs = all);
	assert_true(vcpu->gpr[REG_RAX] >= TV_CPUID_SIGNATURE);
	assert_int_equal((vcpu->gpr[REG_RAX] | vcpu->gpr[REG_RBX]) >> 32, 0);
	/* It tells of the one before. */
	vcpu->gpr[REG_RAX] = 0x4ffffffd;
	vcpu->gpr[REG_RCX] = EXIT_REASON_CPUID;
	RAISE(.reason = EXIT_REASON_CPUID, .insn_len = 2);
	EXPECT(.advance = 2, .gprs = all);
	assert_int_equal(vcpu->gpr[REG_RAX], 1);
	vcpu->gpr[REG_RAX] = 0x4ffffffd;
	vcpu->gpr[REG_RCX] = 42;
	RAISE(.reason = EXIT_REASON_CPUID, .insn_len = 2);
	EXPECT(.advance = 2, .gprs = all);
	assert_int_equal(vcpu->gpr[REG_RDX], 0xffffffff);
	assert_int_equal(vcpu->gpr[REG_RAX] | vcpu->gpr[REG_RCX], 0);
}

static void halted_for_good(void)
{
	RAISE(.reason = EXIT_REASON_HLT, .insn_len = 1);
	expect_stop(OUTCOME_HALTED, "the guest halted with interrupts disabled");
}

/** The local APIC's timer ends it; the time asleep is no exit's. */
static void halted_until_a_timer(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee000f0), 4, 0x1ff);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee003e0), 4, 0xb);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00320), 4, 0x55);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00380), 4, 1000000);
	RAISE(.reason = EXIT_REASON_HLT, .insn_len = 1);
	EXPECT(.advance = 1, .inject = 0x55 | INTR_TYPE_EXTERNAL);
	assert_true(vcpu->stats.idle_cycles > 10000);
	assert_true(vcpu->stats.cycles[EXIT_REASON_HLT] < 10000);
}

static void halted_with_an_nmi(void)
{
	guest_nmi();
	RAISE(.reason = EXIT_REASON_HLT, .insn_len = 1);
	EXPECT(.advance = 1, .inject = NMI_VECTOR | INTR_TYPE_NMI);
}

/** TF traps after HLT, and the trap ends it. */
static void halted_while_stepping(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_TF);
	RAISE(.reason = EXIT_REASON_HLT, .insn_len = 1);
	EXPECT(.advance = 1, .pending_on = PENDING_DBG_BS);
}

/** exit-=hlt: it halts by itself, and an exit finds it asleep. */
static void asleep(void)
{
	set_field(GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	RAISE(.reason = EXIT_REASON_PREEMPTION_TIMER);
	EXPECT(.advance = 0);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee000f0), 4, 0x1ff);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00300), 4, 0x44055);
	RAISE(.reason = EXIT_REASON_PREEMPTION_TIMER);
	EXPECT(.inject = 0x55 | INTR_TYPE_EXTERNAL);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	RAISE(.reason = EXIT_REASON_EXTERNAL_INTERRUPT,
	      .intr_info = VALID(HOST_TIMER_VECTOR | INTR_TYPE_EXTERNAL));
	expect_stop(OUTCOME_HALTED, "the guest halted with interrupts disabled");
}

#define INJECTED "features-=vid"

const struct exit_test tests_instructions[] = {
	EXIT_TEST(hidden_instructions, "", 11, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 36, 39, 50,
		  53, 76, 77, 84, 85),
	EXIT_TEST(flushes_of_caches, "", EXIT_REASON_INVD, EXIT_REASON_WBINVD),
	EXIT_TEST(completed_instruction, "", EXIT_REASON_INVD),
	EXIT_TEST(end_of_the_code_segment, "", EXIT_REASON_INVD),
	EXIT_TEST(rdpmc, "", EXIT_REASON_RDPMC),
	EXIT_TEST(rdtsc_and_rdtscp, "exit+=rdtsc,rdtscp", EXIT_REASON_RDTSC, EXIT_REASON_RDTSCP),
	EXIT_TEST(pause_instruction, "exit+=pause", EXIT_REASON_PAUSE),
	EXIT_TEST(random_numbers, "exit+=rdrand,rdseed", EXIT_REASON_RDRAND, EXIT_REASON_RDSEED),
	EXIT_TEST(no_random_number, "exit+=rdrand,rdseed", EXIT_REASON_RDRAND, EXIT_REASON_RDSEED),
	EXIT_TEST(random_numbers_elsewhere, "exit+=rdrand,rdseed", EXIT_REASON_RDRAND),
	EXIT_TEST(hidden_random_numbers, "reproducible=1", EXIT_REASON_RDRAND, EXIT_REASON_RDSEED),
	EXIT_TEST(xsetbv_valid, "", EXIT_REASON_XSETBV),
	EXIT_TEST(xsetbv_refused, "", EXIT_REASON_XSETBV),
	EXIT_TEST(cpuid_leaves, "", EXIT_REASON_CPUID),
	EXIT_TEST(halted_for_good, "", EXIT_REASON_HLT),
	EXIT_TEST(halted_until_a_timer, INJECTED, EXIT_REASON_HLT),
	EXIT_TEST(halted_with_an_nmi, "", EXIT_REASON_HLT),
	EXIT_TEST(halted_while_stepping, "", EXIT_REASON_HLT),
	EXIT_TEST(asleep, "exit-=hlt " INJECTED, EXIT_REASON_PREEMPTION_TIMER),
	{0},
};
