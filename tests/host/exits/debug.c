/* SPDX-License-Identifier: MIT */
/* #DB, which always exits: what the processor would have done to DR6, DR7 and IA32_DEBUGCTL.
 * And MOV DR. */
#include "exits.h"

#include "guest/dr.h"

#define DEBUG_EXIT .reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(INJECT(DB_VECTOR))

/* DR6 as it is where nothing happened. */
#define NOTHING 0xffff0ff0ull
#define DR6_BS BIT(14)

/** Table 28-1: B0 to B3, BD, BS; the qualification has a bus lock (11) and a transaction (16) the
 *  other way round. */
static void qualifications(void)
{
	static const struct {
		u64 qual, before, dr6;
	} c[] = {
		{0x1, NOTHING, 0xffff0ff1},
		{0x8, NOTHING, 0xffff0ff8},
		{0xf, NOTHING, 0xffff0fff},
		{0x2, NOTHING | 0xd, 0xffff0ff2}, /* B0 to B3 are of this exception */
		{BIT(14), NOTHING, 0xffff4ff0},
		{BIT(13), NOTHING, 0xffff2ff0},
		{BIT(14) | 4, NOTHING | BIT(13),
		 0xffff6ff4},			    /* BD stays until software clears it */
		{1, NOTHING | BIT(15), 0xffff8ff1}, /* and BT */
		{BIT(16) | BIT(14), NOTHING, 0xfffe4ff0},
		{BIT(11), NOTHING, 0xffff07f0},
		{0, NOTHING, NOTHING},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		cpu.live.dr[6] = c[i].before;
		RAISE(DEBUG_EXIT, .qual = c[i].qual);
		EXPECT(.inject = INJECT(DB_VECTOR), .live = true);
		assert_int_equal(cpu.live.dr[6], c[i].dr6);
	}
	assert_int_equal(vcpu->stats.exceptions[DB_VECTOR], ARRAY_SIZE(c));
}

/** RF is pushed as it was saved: 1 for an instruction breakpoint's fault, 0 for a trap. */
static void resume_flag(void)
{
	RAISE(DEBUG_EXIT, .qual = DR6_BS);
	EXPECT(.inject = INJECT(DB_VECTOR), .live = true);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	RAISE(DEBUG_EXIT, .qual = 1);
	EXPECT(.inject = INJECT(DB_VECTOR), .live = true);
}

static void general_detect(void)
{
	set_field(GUEST_DR7, 0x400 | DR7_GD | 3);
	RAISE(DEBUG_EXIT, .qual = DR6_BD);
	EXPECT(.inject = INJECT(DB_VECTOR), .live = true, .fields = {GUEST_DR7});
	assert_int_equal(field(GUEST_DR7), 0x403);
	assert_int_equal(cpu.live.dr[6], 0xffff2ff0);
}

/** Section 18.4.3: "The processor clears the BTF flag when it generates a debug exception." */
static void single_step_on_branches(void)
{
	set_field(GUEST_IA32_DEBUGCTL, DEBUGCTL_BTF);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_TF);
	RAISE(DEBUG_EXIT, .qual = DR6_BS);
	EXPECT(.inject = INJECT(DB_VECTOR), .live = true, .fields = {GUEST_IA32_DEBUGCTL});
	assert_int_equal(field(GUEST_IA32_DEBUGCTL), 0);
}

static void in_a_shadow(void)
{
	static const u32 shadow[] = {INTERRUPTIBILITY_STI, INTERRUPTIBILITY_MOV_SS};

	for (unsigned i = 0; i < ARRAY_SIZE(shadow); i++) {
		set_field(GUEST_PENDING_DBG_EXCEPTIONS, 0);
		set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_TF | X86_EFLAGS_IF);
		set_field(GUEST_INTERRUPTIBILITY_INFO, shadow[i]);
		RAISE(DEBUG_EXIT, .qual = 1);
		EXPECT(.inject = INJECT(DB_VECTOR), .live = true, .pending_on = PENDING_DBG_BS);
	}
	/* BTF goes off, and with it the reason for which none was pending. */
	set_field(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	set_field(GUEST_IA32_DEBUGCTL, DEBUGCTL_BTF);
	RAISE(DEBUG_EXIT, .qual = 1);
	EXPECT(.inject = INJECT(DB_VECTOR), .live = true, .pending_on = PENDING_DBG_BS,
	       .fields = {GUEST_IA32_DEBUGCTL});
	/* Without TF nothing is pending. */
	set_field(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	RAISE(DEBUG_EXIT, .qual = 1);
	EXPECT(.inject = INJECT(DB_VECTOR), .live = true);
}

/** INT1: an instruction, with a length, that leaves the debug registers alone. */
static void int1(void)
{
	const u32 info = DB_VECTOR | INTR_TYPE_PRIV_SW_EXCEPTION;

	set_field(GUEST_DR7, 0x400 | DR7_GD);
	for (u32 len = 1; len <= 15; len += 7) {
		RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .intr_info = VALID(info),
		      .insn_len = len);
		EXPECT(.inject = info, .length = len);
	}
}

/** A #DB while an event was delivered (a data breakpoint on its stack) is benign: no #DF. The event
 * was delivered when the trap came. */
static void while_a_fault_was_delivered(void)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	RAISE(DEBUG_EXIT, .qual = 2, .idt_info = VALID(INJECT_ERROR(GP_VECTOR)), .idt_error = 8);
	EXPECT(.inject = INJECT(DB_VECTOR), .live = true);
}

/* Exit qualification of MOV DR, table 28-4. */
#define DR_TO(nr, reg) ((u64)(nr) | (u64)(reg) << 8)
#define DR_FROM(nr, reg) (DR_TO(nr, reg) | BIT(4))
#define DR_EXIT(q) RAISE(.reason = EXIT_REASON_DR_ACCESS, .insn_len = 3, .qual = (q))

static void mov_dr(void)
{
	for (unsigned nr = 0; nr < 4; nr++) {
		vcpu->gpr[REG_R8 + nr] = 0xffff800000001000 + nr;
		DR_EXIT(DR_TO(nr, REG_R8 + nr));
		EXPECT(.advance = 3, .live = true);
		assert_int_equal(cpu.live.dr[nr], 0xffff800000001000 + nr);
		DR_EXIT(DR_FROM(nr, REG_RBX));
		EXPECT(.advance = 3, .gprs = BIT(REG_RBX));
		assert_int_equal(vcpu->gpr[REG_RBX], 0xffff800000001000 + nr);
	}
	/* Reserved bits read as they are fixed. */
	vcpu->gpr[REG_RAX] = 0xffffffff;
	DR_EXIT(DR_TO(6, REG_RAX));
	EXPECT(.advance = 3, .live = true);
	assert_int_equal(cpu.live.dr[6], 0xffffefff);
	DR_EXIT(DR_TO(7, REG_RAX));
	EXPECT(.advance = 3, .fields = {GUEST_DR7});
	assert_int_equal(field(GUEST_DR7), 0xffff2fff);
	assert_int_equal(cpu.live.dr[7], 0x400); /* the host's */
	set_field(GUEST_DR7, 0x402);
	DR_EXIT(DR_FROM(7, REG_RSP));
	EXPECT(.advance = 3, .gprs = BIT(REG_RSP));
	assert_int_equal(field(GUEST_RSP), 0x402);
}

/** DR4 and DR5 are DR6 and DR7, without CR4.DE. */
static void aliases_of_dr(void)
{
	struct effect ud = {.inject = INJECT(UD_VECTOR), .rflags_on = X86_EFLAGS_RF};

	cpu.live.dr[6] = 0xffff0ff2;
	DR_EXIT(DR_FROM(4, REG_RAX));
	EXPECT(.advance = 3, .gprs = BIT(REG_RAX));
	assert_int_equal(vcpu->gpr[REG_RAX], 0xffff0ff2);
	vcpu->shadow.cr4 |= X86_CR4_DE;
	set_field(GUEST_CR4, field(GUEST_CR4) | X86_CR4_DE);
	DR_EXIT(DR_FROM(5, REG_RAX));
	expect_entry(&ud);
	/* #UD comes before #GP by the privilege level. */
	guest_mode(GUEST_64, 3);
	vcpu->shadow.cr4 |= X86_CR4_DE;
	set_field(GUEST_CR4, field(GUEST_CR4) | X86_CR4_DE);
	DR_EXIT(DR_TO(4, REG_RAX));
	expect_entry(&ud);
}

/** The exit comes before the check of the ring; Bochs 2.7 has it the other way round. */
static void mov_dr_in_rings(void)
{
	for (unsigned cpl = 1; cpl <= 3; cpl++) {
		guest_mode(GUEST_64, cpl);
		DR_EXIT(DR_FROM(0, REG_RAX));
		EXPECT_GP();
		guest_mode(GUEST_COMPAT, cpl);
		/* And that one before general detect. */
		set_field(GUEST_DR7, 0x400 | DR7_GD);
		DR_EXIT(DR_TO(7, REG_RAX));
		EXPECT_GP();
		set_field(GUEST_DR7, 0x400);
	}
}

static void mov_dr_with_general_detect(void)
{
	set_field(GUEST_DR7, 0x400 | DR7_GD);
	set_field(GUEST_IA32_DEBUGCTL, DEBUGCTL_BTF);
	DR_EXIT(DR_TO(0, REG_RAX));
	EXPECT(.inject = INJECT(DB_VECTOR), .live = true, .rflags_on = X86_EFLAGS_RF,
	       .fields = {GUEST_DR7, GUEST_IA32_DEBUGCTL});
	assert_int_equal(cpu.live.dr[6], 0xffff0ff0 | DR6_BD);
	assert_int_equal(cpu.live.dr[0], 0);
	assert_int_equal(field(GUEST_DR7), 0x400);
	assert_int_equal(field(GUEST_IA32_DEBUGCTL), 0);
}

/** Upper halves: #GP in 64-bit mode for DR6 and DR7, gone elsewhere. */
static void widths_of_mov_dr(void)
{
	vcpu->gpr[REG_RAX] = BIT(32);
	DR_EXIT(DR_TO(6, REG_RAX));
	EXPECT_GP();
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	DR_EXIT(DR_TO(7, REG_RAX));
	EXPECT_GP();
	guest_mode(GUEST_COMPAT, 0);
	vcpu->gpr[REG_RAX] = 0xabcdef0012345678;
	DR_EXIT(DR_TO(1, REG_RAX));
	EXPECT(.advance = 3, .live = true);
	assert_int_equal(cpu.live.dr[1], 0x12345678);
	cpu.live.dr[2] = 0xffff800011112222;
	DR_EXIT(DR_FROM(2, REG_RCX));
	EXPECT(.advance = 3, .gprs = BIT(REG_RCX));
	assert_int_equal(vcpu->gpr[REG_RCX], 0x11112222);
	guest_mode(GUEST_REAL, 0);
	vcpu->gpr[REG_RAX] = BIT(40) | 1;
	DR_EXIT(DR_TO(7, REG_RAX));
	EXPECT(.advance = 3, .fields = {GUEST_DR7});
	assert_int_equal(field(GUEST_DR7), 0x401);
}

const struct exit_test tests_debug[] = {
	EXIT_TEST(qualifications, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(resume_flag, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(general_detect, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(single_step_on_branches, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(in_a_shadow, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(int1, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(while_a_fault_was_delivered, "", EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(mov_dr, "exit+=mov-dr", EXIT_REASON_DR_ACCESS),
	EXIT_TEST(aliases_of_dr, "exit+=mov-dr", EXIT_REASON_DR_ACCESS),
	EXIT_TEST(mov_dr_in_rings, "exit+=mov-dr", EXIT_REASON_DR_ACCESS),
	EXIT_TEST(mov_dr_with_general_detect, "exit+=mov-dr", EXIT_REASON_DR_ACCESS),
	EXIT_TEST(widths_of_mov_dr, "exit+=mov-dr", EXIT_REASON_DR_ACCESS),
	{0},
};
