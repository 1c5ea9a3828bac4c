/* SPDX-License-Identifier: MIT */
/* What may be accessed through a segment, and at which linear address that is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest/segment.h"

#define TOP 0xffff800000000000ull /* the lowest canonical address of the upper half */
#define HOLE 0x0000800000000000ull

/* Access rights: data, writable, expand-up; read-only; the first expand-down, of 32 and of 16 bits;
 * code that may be executed only, and read. */
#define DATA 0xc093u
#define READ_ONLY 0xc091u
#define DOWN32 0xc097u
#define DOWN16 0x8097u
#define CODE_X 0xc099u
#define CODE_XR 0xc09bu
#define UNUSABLE 0x10000u

/** 16 bytes. */
static bool reads(u32 ar, u32 limit, u64 at)
{
	return segment_allows(SEGMENT_PROTECTED, &(struct segment){0x100000, limit, ar}, at, 16,
			      false);
}

static bool writes(enum segment_mode mode, u32 ar)
{
	return segment_allows(mode, &(struct segment){0, 0xffff, ar}, 0x1000, 16, true);
}

static bool canonical(u64 base, u64 at, u64 len)
{
	return segment_allows(SEGMENT_64, &(struct segment){base, 0, UNUSABLE}, at, len, true);
}

static void limits(void **state)
{
	(void)state;
	/* Expand-up: the last byte is at the limit. */
	assert_true(reads(DATA, 0xfff, 0xff0) && !reads(DATA, 0xfff, 0xff1));
	assert_true(reads(CODE_XR, 0xfff, 0xff0) && !reads(CODE_XR, 0xfff, 0xff1));
	assert_false(reads(DATA, 0xffffffff, 0xfffffff8));
	assert_false(reads(DATA | UNUSABLE, 0xffffffff, 0));
	/* Expand-down: above the limit, up to 4 GiB or 64 KiB. */
	assert_true(reads(DOWN32, 0xfff, 0x1000) && !reads(DOWN32, 0xfff, 0xfff));
	assert_true(reads(DOWN32, 0xfff, 0xfffffff0) && !reads(DOWN32, 0xfff, 0xfffffff8));
	assert_true(reads(DOWN16, 0xfff, 0xfff0) && !reads(DOWN16, 0xfff, 0xfff8));
}

static void types(void **state)
{
	(void)state;
	assert_true(reads(READ_ONLY, 0xfff, 0) && !reads(CODE_X, 0xfff, 0));
	assert_true(writes(SEGMENT_PROTECTED, DATA) && !writes(SEGMENT_PROTECTED, READ_ONLY));
	assert_false(writes(SEGMENT_PROTECTED, CODE_XR) || writes(SEGMENT_PROTECTED, CODE_X));
	/* Real mode takes what CS was loaded with for data. */
	assert_true(writes(SEGMENT_REAL, DATA) && writes(SEGMENT_REAL, CODE_XR));
	assert_false(writes(SEGMENT_REAL, READ_ONLY) || writes(SEGMENT_REAL, DATA | UNUSABLE));
}

static void canonical_addresses(void **state)
{
	(void)state;
	assert_true(canonical(0, HOLE - 16, 16) && !canonical(0, HOLE - 15, 16));
	assert_true(canonical(0, TOP, 1) && !canonical(0, TOP - 1, 2));
	assert_false(canonical(0, HOLE, 1));
	/* It is the sum that has to be canonical. */
	assert_true(canonical(0x10, HOLE - 17, 1) && !canonical(0x10, HOLE - 16, 1));
	assert_true(canonical(TOP, 0, 8) && canonical(HOLE, (u64)-8, 8));
}

static void linear_addresses(void **state)
{
	(void)state;
	assert_int_equal(segment_linear(SEGMENT_PROTECTED, 0x100000, 0xfff80000).v, 0x80000);
	assert_int_equal(segment_linear(SEGMENT_REAL, 0xffff0, 0xffff).v, 0x10ffef);
	assert_true(segment_linear(SEGMENT_64, TOP, 0x123456789).v == TOP + 0x123456789);
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
		assert_true(segment_has_base(SEGMENT_REAL, seg));
		assert_true(segment_has_base(SEGMENT_PROTECTED, seg));
		assert_int_equal(segment_has_base(SEGMENT_64, seg), seg == SEG_FS || seg == SEG_GS);
		assert_int_equal(segment_vector(seg), seg == SEG_SS ? SS_VECTOR : GP_VECTOR);
	}
}

static void alignment(void **state)
{
	(void)state;
	assert_true(segment_checks_alignment(X86_CR0_AM, X86_EFLAGS_AC, 3));
	assert_false(segment_checks_alignment(X86_CR0_AM, X86_EFLAGS_AC, 0));
	assert_false(segment_checks_alignment(X86_CR0_AM, 0, 3));
	assert_false(segment_checks_alignment(0, X86_EFLAGS_AC, 3));
	for (u64 at = 0x1000; at < 0x1010; at++) {
		assert_int_equal(segment_misaligned(GVA(at), 2), at % 2 != 0);
		assert_int_equal(segment_misaligned(GVA(at), 6), at % 4 != 2);
		assert_int_equal(segment_misaligned(GVA(at), 10), at % 8 != 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits),
		cmocka_unit_test(types),
		cmocka_unit_test(canonical_addresses),
		cmocka_unit_test(linear_addresses),
		cmocka_unit_test(alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
