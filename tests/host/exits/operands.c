/* SPDX-License-Identifier: MIT */
/* Exits of instructions with a memory operand, which the processor has not looked at: INVLPG,
 * INVPCID, the instructions of descriptor tables, INS and OUTS. */
#include "exits.h"
#include "operand.h"

#define TABLE_EXIT(nr, length, address, info)                                                      \
	RAISE(.reason = (nr), .insn_len = (length), .qual = (address), .insn_info = (info))
#define DS_64 (ABSOLUTE(ADDRESS_64) | SEGMENT(SEG_DS))
#define DS_32 (ABSOLUTE(ADDRESS_32) | SEGMENT(SEG_DS))
#define DS_16 (ABSOLUTE(ADDRESS_16) | SEGMENT(SEG_DS))
#define GDT_IDT EXIT_REASON_GDTR_IDTR_ACCESS
#define LDT_TR EXIT_REASON_LDTR_TR_ACCESS

static void invlpg(void)
{
	unsigned flushes = cpu.invvpids;

	RAISE(.reason = EXIT_REASON_INVLPG, .insn_len = 3, .qual = 0xffff800000123456);
	EXPECT(.advance = 3);
	assert_int_equal(cpu.invvpids, flushes + 1);
	/* Of an address that is not canonical nothing is cached, and it is no fault. */
	RAISE(.reason = EXIT_REASON_INVLPG, .insn_len = 3, .qual = 0x8000000000000000);
	EXPECT(.advance = 3);
	assert_int_equal(cpu.invvpids, flushes + 1);
	guest_mode(GUEST_PAGED, 0);
	RAISE(.reason = EXIT_REASON_INVLPG, .insn_len = 3, .qual = 0xfffff000);
	EXPECT(.advance = 3);
}

static void invpcid_exit(u64 type, u64 address, u32 info)
{
	vcpu->gpr[REG_RBX] = type;
	RAISE(.reason = EXIT_REASON_INVPCID, .insn_len = 5, .qual = address,
	      .insn_info = info | REGISTER_2(REG_RBX));
}

static void put_invpcid(u64 at, u64 pcid, u64 address)
{
	guest_put64(at, pcid);
	guest_put64(at + 8, address);
}

static void invpcid(void)
{
	unsigned flushes = cpu.invvpids;

	put_invpcid(DATA, 0, 0x1000);
	for (u64 type = 1; type <= 3; type++) {
		invpcid_exit(type, DATA, DS_64);
		EXPECT(.advance = 5);
		assert_int_equal(cpu.invvpids, flushes + type);
	}
	invpcid_exit(4, DATA, DS_64);
	expect_fault(GP_VECTOR, 0);
	invpcid_exit(BIT(32) | 1, DATA, DS_64); /* all 64 bits count */
	expect_fault(GP_VECTOR, 0);
	put_invpcid(DATA, 0x1000, 0); /* a reserved bit */
	invpcid_exit(2, DATA, DS_64);
	expect_fault(GP_VECTOR, 0);
	put_invpcid(DATA, 5, 0x1000); /* a PCID, but CR4.PCIDE=0 */
	invpcid_exit(1, DATA, DS_64);
	expect_fault(GP_VECTOR, 0);
	assert_int_equal(cpu.invvpids, flushes + 3);
}

static void faults_of_invpcid(void)
{
	invpcid_exit(2, NOT_PRESENT, DS_64);
	expect_page_fault(NOT_PRESENT, 0);
	put_invpcid(NOT_PRESENT - 16, 0, 0);
	invpcid_exit(2, NOT_PRESENT - 8, DS_64); /* its second half */
	expect_page_fault(NOT_PRESENT, 0);
	invpcid_exit(2, 0x800000000000, DS_64);
	expect_fault(GP_VECTOR, 0);
	invpcid_exit(2, 0x800000000000, ABSOLUTE(ADDRESS_64) | SEGMENT(SEG_SS));
	expect_fault(SS_VECTOR, 0);
	guest_mode(GUEST_64, 3);
	invpcid_exit(2, DATA, DS_64);
	expect_fault(GP_VECTOR, 0);
	guest_mode(GUEST_COMPAT, 0);
	set_field(GUEST_DS_LIMIT, (u32)DATA + 14);
	invpcid_exit(2, DATA, DS_32);
	expect_fault(GP_VECTOR, 0);
	set_field(GUEST_DS_LIMIT, (u32)DATA + 15);
	invpcid_exit(BIT(32) | 2, DATA, DS_32); /* 32 bits count */
	EXPECT(.advance = 5);
	invpcid_exit(2, NO_MEMORY, DS_32);
	expect_fault(GP_VECTOR, 0); /* the limit comes first */
	set_field(GUEST_DS_LIMIT, ~0u);
	invpcid_exit(2, NO_MEMORY, DS_32);
	expect_stop(OUTCOME_UNSUPPORTED, "INVPCID with a descriptor outside memory, at 0x1200000");
}

static void put_pseudo(u64 at, u16 limit, u64 base)
{
	guest_put(at, &limit, 2);
	guest_put64(at + 2, base);
}

/** LGDT and LIDT: 10 bytes in 64-bit mode, 6 elsewhere, and 24 bits of base with a 16-bit operand.
 */
static void loads_of_tables(void)
{
	put_pseudo(DATA, 0x1234, 0xffff800012345678);
	CODE_BYTES(0x0f, 0x01, 0x14, 0x25); /* LGDT */
	TABLE_EXIT(GDT_IDT, 8, DATA, DS_64);
	EXPECT(.advance = 8, .fields = {GUEST_GDTR_BASE, GUEST_GDTR_LIMIT});
	assert_int_equal(field(GUEST_GDTR_BASE), 0xffff800012345678);
	assert_int_equal(field(GUEST_GDTR_LIMIT), 0x1234);
	guest_mode(GUEST_COMPAT, 0);
	CODE_BYTES(0x0f, 0x01, 0x1d); /* LIDT */
	TABLE_EXIT(GDT_IDT, 7, DATA, DS_32);
	EXPECT(.advance = 7, .fields = {GUEST_IDTR_BASE, GUEST_IDTR_LIMIT});
	assert_int_equal(field(GUEST_IDTR_BASE), 0x12345678);
	CODE_BYTES(0x66, 0x0f, 0x01, 0x1d);
	TABLE_EXIT(GDT_IDT, 8, DATA, DS_32);
	EXPECT(.advance = 8, .fields = {GUEST_IDTR_BASE, GUEST_IDTR_LIMIT});
	assert_int_equal(field(GUEST_IDTR_BASE), 0x345678);
	guest_mode(GUEST_REAL, 0);
	put_pseudo(0x700, 0x3ff, 0x89abcdef);
	guest_put(0x1000, (u8[]){0x0f, 0x01, 0x16}, 3);
	TABLE_EXIT(GDT_IDT, 5, 0x700, DS_16);
	EXPECT(.advance = 5, .fields = {GUEST_GDTR_BASE, GUEST_GDTR_LIMIT});
	assert_int_equal(field(GUEST_GDTR_BASE), 0xabcdef);
}

static void faults_of_tables(void)
{
	put_pseudo(DATA, 0xfff, 0x0000800000000000); /* not canonical */
	CODE_BYTES(0x0f, 0x01, 0x1c, 0x25);	     /* LIDT */
	TABLE_EXIT(GDT_IDT, 8, DATA, DS_64);
	expect_fault(GP_VECTOR, 0);
	CODE_BYTES(0x0f, 0x01, 0x14, 0x25); /* LGDT */
	TABLE_EXIT(GDT_IDT, 8, DATA, DS_64);
	expect_fault(GP_VECTOR, 0);
	TABLE_EXIT(GDT_IDT, 8, NOT_PRESENT - 4, DS_64);
	expect_page_fault(NOT_PRESENT, 0);
	CODE_BYTES(0x0f, 0x01, 0x04, 0x25); /* SGDT */
	TABLE_EXIT(GDT_IDT, 8, READ_ONLY, DS_64);
	expect_page_fault(READ_ONLY, 3);
	/* From ring 3, and to a page that it may not write. */
	guest_mode(GUEST_64, 3);
	TABLE_EXIT(GDT_IDT, 8, SUPERVISOR + 8, DS_64);
	expect_page_fault(SUPERVISOR + 8, 7);
	TABLE_EXIT(GDT_IDT, 8, NO_MEMORY, DS_64);
	expect_stop(OUTCOME_UNSUPPORTED, "an instruction that exited, or its operand, lies "
					 "outside memory, at 0x1200000");
	guest_mode(GUEST_COMPAT, 0);
	set_field(GUEST_DS_LIMIT, (u32)DATA + 4);
	CODE_BYTES(0x0f, 0x01, 0x15);
	TABLE_EXIT(GDT_IDT, 7, DATA, DS_32);
	expect_fault(GP_VECTOR, 0);
	TABLE_EXIT(GDT_IDT, 7, 0xffffff00, ABSOLUTE(ADDRESS_32) | SEGMENT(SEG_SS));
	expect_page_fault(0xffffff00, 0);
	set_field(GUEST_SS_LIMIT, 0xfffff);
	TABLE_EXIT(GDT_IDT, 7, 0x100000, ABSOLUTE(ADDRESS_32) | SEGMENT(SEG_SS));
	expect_fault(SS_VECTOR, 0);
}

static void stores_of_tables(void)
{
	set_field(GUEST_IDTR_BASE, 0xffff8000deadb000);
	set_field(GUEST_IDTR_LIMIT, 0xfff);
	guest_put64(DATA + 8, 0x5555555555555555);
	CODE_BYTES(0x0f, 0x01, 0x0c, 0x25); /* SIDT */
	TABLE_EXIT(GDT_IDT, 8, DATA, DS_64);
	EXPECT(.advance = 8);
	assert_int_equal(guest_get(DATA, 2), 0xfff);
	assert_int_equal(guest_get(DATA + 2, 8), 0xffff8000deadb000);
	assert_int_equal(guest_get(DATA + 10, 6), 0x555555555555);
	guest_mode(GUEST_COMPAT, 0);
	guest_put64(DATA, 0x5555555555555555);
	CODE_BYTES(0x66, 0x0f, 0x01, 0x0d); /* a 16-bit operand: all of the base, as of a 386 */
	TABLE_EXIT(GDT_IDT, 8, DATA, DS_32);
	EXPECT(.advance = 8);
	assert_int_equal(guest_get(DATA, 8), 0x5555deadb0000fff);
}

#define LDT_SELECTOR 0x50
#define TSS_SELECTOR 0x60

/** Base 0x00345000, limit 0x2fff, and of 16 bytes. */
static void put_system_descriptor(u16 selector, u8 access)
{
	guest_put64(GDT + selector, 0x345000ull << 16 | 0x2fff | (u64)access << 40);
	guest_put64(GDT + selector + 8, 0);
}

static void lldt_and_ltr(void)
{
	put_system_descriptor(LDT_SELECTOR, 0x82);
	put_system_descriptor(TSS_SELECTOR, 0x89);
	CODE_BYTES(0x0f, 0x00, 0xd3); /* LLDT BX */
	vcpu->gpr[REG_RBX] = 0xffff0000 | LDT_SELECTOR;
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	EXPECT(.advance = 3, .fields = {GUEST_LDTR_SELECTOR, GUEST_LDTR_BASE, GUEST_LDTR_LIMIT,
					GUEST_LDTR_AR_BYTES});
	assert_int_equal(field(GUEST_LDTR_SELECTOR), LDT_SELECTOR);
	assert_int_equal(field(GUEST_LDTR_BASE), 0x345000);
	assert_int_equal(field(GUEST_LDTR_LIMIT), 0x2fff);
	assert_int_equal(field(GUEST_LDTR_AR_BYTES), 0x82);
	CODE_BYTES(0x0f, 0x00, 0x1c, 0x25); /* LTR from memory */
	guest_put64(DATA, TSS_SELECTOR);
	TABLE_EXIT(LDT_TR, 8, DATA, DS_64);
	EXPECT(.advance = 8, .fields = {GUEST_TR_SELECTOR, GUEST_TR_BASE, GUEST_TR_LIMIT});
	assert_int_equal(field(GUEST_TR_BASE), 0x345000);
	assert_int_equal(guest_get(GDT + TSS_SELECTOR + 5, 1), 0x8b); /* busy */
	set_field(GUEST_RIP, CODE);
	TABLE_EXIT(LDT_TR, 8, DATA, DS_64);
	expect_fault(GP_VECTOR, TSS_SELECTOR); /* now it is */
	CODE_BYTES(0x0f, 0x00, 0xd0);	       /* LLDT AX, null: unusable */
	vcpu->gpr[REG_RAX] = BIT(32) | 3;
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	EXPECT(.advance = 3, .fields = {GUEST_LDTR_SELECTOR, GUEST_LDTR_BASE, GUEST_LDTR_LIMIT,
					GUEST_LDTR_AR_BYTES});
	assert_int_equal(field(GUEST_LDTR_AR_BYTES), 0x10000);
	assert_int_equal(field(GUEST_LDTR_SELECTOR), 3);
}

/** LLDT in compatibility mode: descriptors of 8 bytes. */
static void lldt_in_compatibility_mode(void)
{
	guest_mode(GUEST_COMPAT, 0);
	put_system_descriptor(LDT_SELECTOR, 0x82);
	guest_put64(GDT + LDT_SELECTOR + 8, ~0ull); /* is the next one's */
	CODE_BYTES(0x0f, 0x00, 0xd1);
	vcpu->gpr[REG_RCX] = LDT_SELECTOR;
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	EXPECT(.advance = 3, .fields = {GUEST_LDTR_SELECTOR, GUEST_LDTR_BASE, GUEST_LDTR_LIMIT,
					GUEST_LDTR_AR_BYTES});
	assert_int_equal(field(GUEST_LDTR_BASE), 0x345000);
}

static void faults_of_lldt_and_ltr(void)
{
	CODE_BYTES(0x0f, 0x00, 0xd3); /* LLDT BX */
	vcpu->gpr[REG_RBX] = 0x54;    /* in the LDT */
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	expect_fault(GP_VECTOR, 0x54);
	vcpu->gpr[REG_RBX] = 0xf8; /* its second half is beyond the limit */
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	expect_fault(GP_VECTOR, 0xf8);
	put_system_descriptor(LDT_SELECTOR, 0x89); /* a TSS */
	vcpu->gpr[REG_RBX] = LDT_SELECTOR;
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	expect_fault(GP_VECTOR, LDT_SELECTOR);
	put_system_descriptor(LDT_SELECTOR, 0x02); /* not present */
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	expect_fault(NP_VECTOR, LDT_SELECTOR);
	set_field(GUEST_GDTR_BASE, NOT_PRESENT);
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	expect_page_fault(NOT_PRESENT + LDT_SELECTOR, 0);
	set_field(GUEST_GDTR_BASE, GDT);
	CODE_BYTES(0x0f, 0x00, 0xdb); /* LTR of null */
	vcpu->gpr[REG_RBX] = BIT(32);
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	expect_fault(GP_VECTOR, 0);
}

/** SLDT and STR: 16 bits to memory, and to a register as wide as the operand. */
static void sldt_and_str(void)
{
	set_field(GUEST_LDTR_SELECTOR, 0x1238);
	vcpu->gpr[REG_RBX] = vcpu->gpr[REG_R8] = 0xaaaaaaaaaaaaaaaa;
	CODE_BYTES(0x0f, 0x00, 0xc3); /* SLDT EBX */
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	EXPECT(.advance = 3, .gprs = BIT(REG_RBX));
	assert_int_equal(vcpu->gpr[REG_RBX], 0x1238);
	CODE_BYTES(0x66, 0x41, 0x0f, 0x00, 0xc8); /* STR R8W */
	TABLE_EXIT(LDT_TR, 5, 0, REGISTER_OPERAND);
	EXPECT(.advance = 5, .gprs = BIT(REG_R8));
	assert_int_equal(vcpu->gpr[REG_R8], 0xaaaaaaaaaaaa0040);
	CODE_BYTES(0x49, 0x0f, 0x00, 0xc8); /* STR R8 */
	TABLE_EXIT(LDT_TR, 4, 0, REGISTER_OPERAND);
	EXPECT(.advance = 4, .gprs = BIT(REG_R8));
	assert_int_equal(vcpu->gpr[REG_R8], 0x40);
	guest_put64(DATA, ~0ull);
	CODE_BYTES(0x48, 0x0f, 0x00, 0x0c, 0x25);
	TABLE_EXIT(LDT_TR, 9, DATA, DS_64);
	EXPECT(.advance = 9);
	assert_int_equal(guest_get(DATA, 8), 0xffffffffffff0040);
}

/** Another processor has changed it since: it is made again, whatever it is now. */
static void changed_instruction(void)
{
	CODE_BYTES(0x90);
	TABLE_EXIT(LDT_TR, 3, 0, REGISTER_OPERAND);
	EXPECT(.advance = 0);
}

/** Base, index and scale, with a displacement; and FS has a base in 64-bit mode. */
static void addresses_of_operands(void)
{
	set_field(GUEST_FS_BASE, 0x1000);
	vcpu->gpr[REG_RSI] = DATA - 0x2000;
	vcpu->gpr[REG_R8] = 0x100;
	CODE_BYTES(0x64, 0x42, 0x0f, 0x01, 0x4c, 0xc6, 0x10); /* SIDT [FS:RSI+R8*8+...] */
	RAISE(.reason = GDT_IDT, .insn_len = 7, .qual = 0x10,
	      .insn_info = 3u | ADDRESS_64 | SEGMENT(SEG_FS) | REG_R8 << 18 | (u32)REG_RSI << 23);
	EXPECT(.advance = 7);
	assert_int_equal(guest_get(DATA - 0x1000 + 0x810, 2), field(GUEST_IDTR_LIMIT));
	/* The stack pointer is in the VMCS. */
	set_field(GUEST_RSP, STACK);
	guest_put64(STACK + 0x20, ~0ull);
	CODE_BYTES(0x0f, 0x01, 0x4c, 0x24, 0x20);
	RAISE(.reason = GDT_IDT, .insn_len = 5, .qual = 0x20,
	      .insn_info = ADDRESS_64 | SEGMENT(SEG_SS) | (u32)NO_INDEX | (u32)REG_RSP << 23);
	EXPECT(.advance = 5);
	assert_int_equal(guest_get(STACK + 0x20, 2), field(GUEST_IDTR_LIMIT));
}

#define TABLES_EXIT "exit+=descriptor-table"

const struct exit_test tests_operands[] = {
	EXIT_TEST(invlpg, "exit+=invlpg", EXIT_REASON_INVLPG),
	EXIT_TEST(invpcid, "exit+=invlpg", EXIT_REASON_INVPCID),
	EXIT_TEST(faults_of_invpcid, "exit+=invlpg", EXIT_REASON_INVPCID),
	EXIT_TEST(loads_of_tables, TABLES_EXIT, EXIT_REASON_GDTR_IDTR_ACCESS),
	EXIT_TEST(faults_of_tables, TABLES_EXIT, EXIT_REASON_GDTR_IDTR_ACCESS),
	EXIT_TEST(stores_of_tables, TABLES_EXIT, EXIT_REASON_GDTR_IDTR_ACCESS),
	EXIT_TEST(lldt_and_ltr, TABLES_EXIT, EXIT_REASON_LDTR_TR_ACCESS),
	EXIT_TEST(lldt_in_compatibility_mode, TABLES_EXIT, EXIT_REASON_LDTR_TR_ACCESS),
	EXIT_TEST(faults_of_lldt_and_ltr, TABLES_EXIT, EXIT_REASON_LDTR_TR_ACCESS),
	EXIT_TEST(sldt_and_str, TABLES_EXIT, EXIT_REASON_LDTR_TR_ACCESS),
	EXIT_TEST(changed_instruction, TABLES_EXIT, EXIT_REASON_LDTR_TR_ACCESS),
	EXIT_TEST(addresses_of_operands, TABLES_EXIT, EXIT_REASON_GDTR_IDTR_ACCESS),
	{0},
};
