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

/* Access rights: data, writable, expand-up; the same expand-down, of 32 and of 16 bits; code that
 * may be executed only, and read. */
#define DATA 0xc093u
#define DOWN32 0xc097u
#define DOWN16 0x8097u
#define CODE_X 0xc099u
#define CODE_XR 0xc09bu
#define UNUSABLE 0x10000u

static struct vmx_mem_operand operand(u32 i, u64 displacement, bool long_mode)
{
	return (struct vmx_mem_operand){.info = i,
					.displacement = displacement,
					.gpr = gpr,
					.long_mode = long_mode,
					.seg = {0x100000, 0xffffffff, DATA}};
}

static u64 address(const struct vmx_mem_operand *o)
{
	gva_t gva;
	u8 vector;

	assert_true(vmx_operand_address(o, 16, &gva, &vector));
	return gva.v;
}

/** The vector of the fault. */
static u8 fault(const struct vmx_mem_operand *o, u64 len)
{
	gva_t gva;
	u8 vector;

	assert_false(vmx_operand_address(o, len, &gva, &vector));
	return vector;
}

static bool fits(struct vmx_mem_operand o, u32 ar, u32 limit, u64 at)
{
	gva_t gva;
	u8 vector;

	o.displacement = at;
	o.seg = (struct vmx_segment){0, limit, ar};
	return vmx_operand_address(&o, 16, &gva, &vector);
}

static void fields_of_the_information(void **state)
{
	(void)state;
	assert_int_equal(vmx_operand_segment(info(A64, GS, 0, 0, 0)), GS);
	assert_int_equal(vmx_operand_segment(info(A64, ES, 15, 15, 3)), ES);
	assert_int_equal(vmx_operand_reg2(0xd0000000), 13);
}

static void addresses_in_64_bit_mode(void **state)
{
	struct vmx_mem_operand o;

	(void)state;
	/* [r15 + 8 * rsp + 0x20]: only FS and GS have a base. */
	o = operand(info(A64, DS, REG_R15, REG_RSP, 3), 0x20, true);
	assert_int_equal(address(&o), 0xffff888000038020ull);
	o = operand(info(A64, FS, REG_R15, REG_RSP, 0), 0x20, true);
	assert_int_equal(address(&o), 0xffff888000107020ull);
	/* A displacement alone; limits and types do not count. */
	o = operand(info(A64, DS, 0, 0, 0) | NO_BASE | NO_INDEX, (u64)-32, true);
	o.seg.limit = 0;
	o.seg.ar = UNUSABLE;
	assert_int_equal(address(&o), (u64)-32);
	/* Address size 32: the sum is cut. */
	o = operand(info(A32, DS, REG_RAX, REG_RBX, 0), 0x10, true);
	assert_int_equal(address(&o), 0x12345678);
	/* The last bytes beyond the canonical half, and wrapped. */
	o = operand(info(A64, DS, 0, 0, 0) | NO_BASE | NO_INDEX, HOLE - 8, true);
	assert_int_equal(fault(&o, 16), GP_VECTOR);
	assert_int_equal(address(&(struct vmx_mem_operand){
				 .info = o.info, .displacement = HOLE - 16, .long_mode = true}),
			 HOLE - 16);
	o = operand(info(A64, SS, REG_RAX, 0, 0) | NO_INDEX, 0, true);
	assert_int_equal(fault(&o, 16), SS_VECTOR);
}

static void addresses_outside_it(void **state)
{
	const u32 absolute = info(A32, DS, 0, 0, 0) | NO_BASE | NO_INDEX;
	struct vmx_mem_operand o = operand(info(A32, DS, REG_RAX, 0, 0) | NO_INDEX, 8, false);

	(void)state;
	assert_int_equal(address(&o), 0x12445680);
	o = operand(info(A16, DS, REG_RAX, REG_RBX, 0), 0x9998, false);
	assert_int_equal(address(&o), 0x10f000); /* 0x5678 + 0xfff0 + 0x9998, cut to 16 bits */
	o = operand(absolute, 0xfff80000, false);
	assert_int_equal(address(&o), 0x80000); /* the base wraps */

	/* Expand-up: the last byte is at the limit. */
	o = operand(absolute, 0, false);
	assert_true(fits(o, DATA, 0xfff, 0xff0) && !fits(o, DATA, 0xfff, 0xff1));
	assert_true(fits(o, CODE_XR, 0xfff, 0xff0) && !fits(o, CODE_X, 0xfff, 0));
	assert_false(fits(o, DATA, 0xffffffff, 0xfffffff8));
	assert_false(fits(o, DATA | UNUSABLE, 0xffffffff, 0));
	/* Expand-down: above the limit, up to 4 GiB or 64 KiB. */
	assert_true(fits(o, DOWN32, 0xfff, 0x1000) && !fits(o, DOWN32, 0xfff, 0xfff));
	assert_true(fits(o, DOWN32, 0xfff, 0xfffffff0) && !fits(o, DOWN32, 0xfff, 0xfffffff8));
	assert_true(fits(o, DOWN16, 0xfff, 0xfff0) && !fits(o, DOWN16, 0xfff, 0xfff8));

	o.seg.limit = 7;
	assert_int_equal(fault(&o, 16), GP_VECTOR);
	o.info = info(A32, SS, 0, 0, 0) | NO_BASE | NO_INDEX;
	assert_int_equal(fault(&o, 16), SS_VECTOR);
	assert_int_equal(fault(&o, 9), SS_VECTOR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operands_of_invpcid),
		cmocka_unit_test(canonical_addresses),
		cmocka_unit_test(fields_of_the_information),
		cmocka_unit_test(addresses_in_64_bit_mode),
		cmocka_unit_test(addresses_outside_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
