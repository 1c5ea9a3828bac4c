/* SPDX-License-Identifier: MIT */
/* INVPCID's operands, and the memory operand of an instruction that exited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest/invpcid.h"
#include "vmx/mem_operand.h"
#include "x86.h"

#define TOP 0xffff800000000000ull /* the lowest canonical address of the upper half */
#define HOLE 0x0000800000000000ull

static bool valid(u64 type, u64 pcid, u64 gva, bool pcide)
{
	return invpcid_valid(type, &(struct invpcid_desc){pcid, GVA(gva)}, pcide);
}

static void operands_of_invpcid(void **state)
{
	(void)state;
	for (u64 type = 0; type < 4; type++) {
		/* What each type looks at, and what it does not. */
		assert_true(valid(type, 0, TOP, false));
		assert_true(valid(type, 0xfff, 0, true));
		assert_false(valid(type, 0x1000, 0, true));
		assert_false(valid(type, BIT(63), 0, true));
		assert_true(valid(type, 5, 0, false) == (type >= INVPCID_ALL));
		assert_true(valid(type, 5, HOLE, true) == (type != INVPCID_ADDRESS));
		assert_true(valid(type, 5, TOP - 1, true) == (type != INVPCID_ADDRESS));
		assert_true(valid(type, 5, HOLE - 1, true));
	}
	assert_false(valid(4, 0, 0, true));
	assert_false(valid(BIT(32), 0, 0, true));
	assert_false(valid(~0ull, 0, 0, true));
}

static void canonical_addresses(void **state)
{
	(void)state;
	assert_true(is_canonical(0) && is_canonical(HOLE - 1) && is_canonical(TOP));
	assert_true(is_canonical(~0ull));
	assert_false(is_canonical(HOLE) || is_canonical(TOP - 1) || is_canonical(BIT(63)));
}

enum { ES, CS, SS, DS, FS, GS };
enum { A16, A32, A64 };

#define NO_BASE BIT(27)
#define NO_INDEX BIT(22)

/** Table 28-9, written down field by field. */
static u32 info(unsigned size, unsigned seg, unsigned base, unsigned index, unsigned scale)
{
	return (u32)(base << 23 | index << 18 | seg << 15 | size << 7 | scale);
}

static const u64 gpr[16] = {
	[REG_RAX] = 0x1111000012345678ull,
	[REG_RBX] = 0x00000000fffffff0ull,
	[REG_RSP] = 0x0000000000007000ull,
	[REG_R15] = 0xffff888000000000ull,
};

static u64 offset(u32 i, u64 displacement)
{
	return vmx_operand_offset(
		&(struct vmx_mem_operand){.info = i, .displacement = displacement, .gpr = gpr});
}

static void fields_of_the_information(void **state)
{
	(void)state;
	assert_int_equal(vmx_operand_segment(info(A64, GS, 0, 0, 0)), GS);
	assert_int_equal(vmx_operand_segment(info(A64, ES, 15, 15, 3)), ES);
	assert_int_equal(vmx_operand_reg2(0xd0000000), 13);
}

static void effective_addresses(void **state)
{
	const u32 absolute = NO_BASE | NO_INDEX;

	(void)state;
	/* [r15 + 8 * rsp + 0x20], and a displacement alone. */
	assert_int_equal(offset(info(A64, DS, REG_R15, REG_RSP, 3), 0x20), 0xffff888000038020ull);
	assert_int_equal(offset(info(A64, DS, 0, 0, 0) | absolute, (u64)-32), (u64)-32);
	assert_int_equal(offset(info(A64, SS, REG_RAX, 0, 0) | NO_INDEX, 0), 0x1111000012345678);
	/* The sum is cut to the address size: 0x5678 + 0xfff0 + 0x9998. */
	assert_int_equal(offset(info(A32, DS, REG_RAX, REG_RBX, 0), 0x10), 0x12345678);
	assert_int_equal(offset(info(A16, DS, REG_RAX, REG_RBX, 0), 0x9998), 0xf000);
	assert_int_equal(offset(info(A32, DS, 0, 0, 0) | absolute, 0xfff80000), 0xfff80000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operands_of_invpcid),
		cmocka_unit_test(canonical_addresses),
		cmocka_unit_test(fields_of_the_information),
		cmocka_unit_test(effective_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
