/* SPDX-License-Identifier: MIT */
/* IN, OUT, INS and OUTS (SDM volume 3, table 28-5). */
#include "exits.h"
#include "operand.h"

#define TESTDEV_PORT 0x3ff /* the scratch register of COM1: it keeps a byte */
#define IO_IN BIT(3)
#define IO_STRING BIT(4)
#define IO_REP BIT(5)
#define IO_QUAL(port, size) ((u64)(port) << 16 | ((size)-1))
#define IO_EXIT(q, info)                                                                           \
	RAISE(.reason = EXIT_REASON_IO_INSTRUCTION, .insn_len = 2, .qual = (q), .insn_info = (info))

static void in_and_out(void)
{
	vcpu->gpr[REG_RAX] = 0x123456789abcde5a;
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 1), 0);
	EXPECT(.advance = 2);
	vcpu->gpr[REG_RAX] = 0xffffffffffffffff;
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 1) | IO_IN, 0);
	EXPECT(.advance = 2, .gprs = BIT(REG_RAX));
	assert_int_equal(vcpu->gpr[REG_RAX], 0xffffffffffffff5a);
	/* Nobody is there. 16 bits leave the rest, 32 clear it. */
	vcpu->gpr[REG_RAX] = 0x1111111111111111;
	IO_EXIT(IO_QUAL(0x5000, 2) | IO_IN, 0);
	EXPECT(.advance = 2, .gprs = BIT(REG_RAX));
	assert_int_equal(vcpu->gpr[REG_RAX], 0x111111111111ffff);
	IO_EXIT(IO_QUAL(0x5000, 4) | IO_IN, 0);
	EXPECT(.advance = 2, .gprs = BIT(REG_RAX));
	assert_int_equal(vcpu->gpr[REG_RAX], 0xffffffff);
}

static void ins_and_outs(void)
{
	guest_put(DATA, "ab", 2);
	vcpu->gpr[REG_RSI] = DATA;
	vcpu->gpr[REG_RCX] = 2;
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 1) | IO_STRING | IO_REP, ADDRESS_64 | SEGMENT(SEG_DS));
	EXPECT(.advance = 2, .gprs = BIT(REG_RSI) | BIT(REG_RCX));
	assert_int_equal(vcpu->gpr[REG_RSI], DATA + 2);
	assert_int_equal(vcpu->gpr[REG_RCX], 0);
	vcpu->gpr[REG_RDI] = DATA + 0x10;
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_DF);
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 1) | IO_STRING | IO_IN, ADDRESS_64);
	EXPECT(.advance = 2, .gprs = BIT(REG_RDI));
	assert_int_equal(vcpu->gpr[REG_RDI], DATA + 0xf);
	assert_int_equal(guest_get(DATA + 0x10, 1), 'b');
	/* Single steps trap between two of them, with RF. */
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_TF);
	vcpu->gpr[REG_RCX] = 2;
	vcpu->gpr[REG_RSI] = DATA;
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 1) | IO_STRING | IO_REP, ADDRESS_64 | SEGMENT(SEG_DS));
	EXPECT(.gprs = BIT(REG_RSI) | BIT(REG_RCX), .rflags_on = X86_EFLAGS_RF,
	       .pending_on = PENDING_DBG_BS);
	assert_int_equal(vcpu->gpr[REG_RCX], 1);
}

static void faults_of_ins_and_outs(void)
{
	vcpu->gpr[REG_RDI] = NOT_PRESENT;
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 4) | IO_STRING | IO_IN, ADDRESS_64);
	expect_page_fault(NOT_PRESENT, 2);
	vcpu->gpr[REG_RDI] = READ_ONLY;
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 4) | IO_STRING | IO_IN, ADDRESS_64);
	expect_page_fault(READ_ONLY, 3);
	vcpu->gpr[REG_RSI] = 0x7ffffffffffe;
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 4) | IO_STRING, ADDRESS_64 | SEGMENT(SEG_DS));
	expect_fault(GP_VECTOR, 0);
	guest_mode(GUEST_COMPAT16, 0);
	set_field(GUEST_SS_LIMIT, 0xff);
	vcpu->gpr[REG_RSI] = 0xabcd00fe;
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 4) | IO_STRING, ADDRESS_16 | SEGMENT(SEG_SS));
	expect_fault(SS_VECTOR, 0);
	vcpu->gpr[REG_RSI] = (u32)NO_MEMORY;
	IO_EXIT(IO_QUAL(TESTDEV_PORT, 4) | IO_STRING, ADDRESS_32 | SEGMENT(SEG_DS));
	expect_stop(OUTCOME_UNSUPPORTED, "INS or OUTS with an operand outside memory");
}

/** The debug-exit port ends the run. */
static void end_by_port(void)
{
	vcpu->gpr[REG_RAX] = 0x35;
	IO_EXIT(IO_QUAL(0xf4, 4), 0);
	expect_stop(OUTCOME_DEBUG_EXIT, "");
	assert_int_equal(machine->exit_code, 0x35);
}

const struct exit_test tests_io[] = {
	EXIT_TEST(in_and_out, "", EXIT_REASON_IO_INSTRUCTION),
	EXIT_TEST(ins_and_outs, "", EXIT_REASON_IO_INSTRUCTION),
	EXIT_TEST(faults_of_ins_and_outs, "", EXIT_REASON_IO_INSTRUCTION),
	EXIT_TEST(end_by_port, "", EXIT_REASON_IO_INSTRUCTION),
	{0},
};
