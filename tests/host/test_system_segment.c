/* SPDX-License-Identifier: MIT */
/* guest/system_segment.c: the checks of LLDT and LTR, and what the registers hold then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest/system_segment.h"

/* Descriptors of base 0x12345678 and limit 0xabcde, not granular; type and P to be or-ed. */
#define SHAPE 0x120a00345678bcdeull
#define ACCESS(byte) ((u64)(byte) << 40)
#define TSS16 ACCESS(0x81)
#define LDT ACCESS(0x82)
#define TSS ACCESS(0x89)
#define TSS_BUSY_32 ACCESS(0x8b)
#define CODE ACCESS(0x9a)
#define P ACCESS(0x80)
#define G BIT(55)
#define AVL BIT(52)

static const struct system_load ltr64 = {
	.tr = true, .selector = 0x40, .gdt_limit = 0x4f, .mode64 = true, .lma = true};
static const struct system_load lldt64 = {
	.selector = 0x40, .gdt_limit = 0x4f, .mode64 = true, .lma = true};
static const struct system_load ltr32 = {.tr = true, .selector = 0x40, .gdt_limit = 0x47};

static void selector_faults(struct system_load l, u32 error)
{
	struct system_fault f = system_check_selector(&l);

	assert_true(f.raised);
	assert_int_equal(f.vector, GP_VECTOR);
	assert_int_equal(f.error, error);
}

static void selectors(void **state)
{
	struct system_load l = ltr64;

	(void)state;
	assert_false(system_check_selector(&l).raised);
	assert_false(system_check_selector(&ltr32).raised);
	l.gdt_limit--;
	selector_faults(l, 0x40);
	l.gdt_limit = 0x47; /* half of a descriptor of 16 bytes */
	selector_faults(l, 0x40);
	l = ltr32;
	l.gdt_limit--;
	selector_faults(l, 0x40);
	l = ltr64;
	l.selector = 0x47; /* in the LDT; RPL is not part of the error code */
	selector_faults(l, 0x44);
	l.selector = 0x43;
	assert_false(system_check_selector(&l).raised);
	for (l.selector = 0; l.selector < 4; l.selector++)
		selector_faults(l, 0);
	assert_true(system_selector_is_null(3) && !system_selector_is_null(4));
	l.selector = 0xffff;
	l.gdt_limit = 0xffff;
	selector_faults(l, 0xfffc);
}

static void where_descriptors_are(void **state)
{
	struct system_load l = ltr64;

	(void)state;
	l.selector = 0x43;
	assert_true(system_descriptor_at(&l, 0xffff800000001000).v == 0xffff800000001040);
	assert_true(system_descriptor_at(&l, 0xffffffe0).v == 0x100000020);
	l.mode64 = false; /* compatibility mode */
	assert_true(system_descriptor_at(&l, 0xffffffe0).v == 0x100000020);
	l.lma = false;
	assert_true(system_descriptor_at(&l, 0xffffffe0).v == 0x20);
	assert_true(system_descriptor_at(&l, 0x1000).v == 0x1040);
}

static struct segment loads(struct system_load l, u64 low, u64 high)
{
	const u64 descriptor[2] = {low, high};
	struct segment s = {0};

	assert_false(system_check_descriptor(&l, descriptor, &s).raised);
	return s;
}

static void faults(struct system_load l, u64 low, u64 high, u8 vector)
{
	const u64 descriptor[2] = {low, high};
	struct segment s;
	struct system_fault f = system_check_descriptor(&l, descriptor, &s);

	assert_true(f.raised);
	assert_int_equal(f.vector, vector);
	assert_int_equal(f.error, 0x40);
}

static void what_is_loaded(void **state)
{
	struct segment s = loads(ltr64, SHAPE | TSS, 0xffff8000);

	(void)state;
	assert_int_equal(s.base, 0xffff800012345678);
	assert_int_equal(s.limit, 0xabcde);
	assert_int_equal(s.ar, 0x8b); /* busy */
	s = loads(lldt64, SHAPE | LDT | G | AVL, 0);
	assert_int_equal(s.base, 0x12345678);
	assert_int_equal(s.limit, 0xabcdefff);
	assert_int_equal(s.ar, 0x9082);
	/* Outside 64-bit mode there is no upper half. */
	s = loads(ltr32, SHAPE | TSS16, ~0ull);
	assert_int_equal(s.base, 0x12345678);
	assert_int_equal(s.ar, 0x83);
}

static void types(void **state)
{
	struct system_load compat = ltr32;

	(void)state;
	compat.lma = true;
	faults(compat, SHAPE | TSS16, 0, GP_VECTOR);
	loads(compat, SHAPE | TSS, 0);
	faults(ltr32, SHAPE | TSS_BUSY_32, 0, GP_VECTOR);
	faults(ltr64, SHAPE | TSS_BUSY_32, 0, GP_VECTOR);
	faults(ltr64, SHAPE | LDT, 0, GP_VECTOR);
	faults(lldt64, SHAPE | TSS, 0, GP_VECTOR);
	faults(lldt64, SHAPE | CODE, 0, GP_VECTOR);
	faults(ltr64, SHAPE | ACCESS(0x99), 0, GP_VECTOR); /* S: type 9 of a code segment */
}

static void presence_and_the_upper_half(void **state)
{
	(void)state;
	faults(ltr64, SHAPE | (TSS & ~P), 0, NP_VECTOR);
	faults(lldt64, SHAPE | (LDT & ~P), 0, NP_VECTOR);
	faults(lldt64, SHAPE | (CODE & ~P), 0, GP_VECTOR); /* the type first */
	faults(ltr64, SHAPE | TSS, ACCESS(1), GP_VECTOR);
	faults(ltr64, SHAPE | TSS, ACCESS(0x10), GP_VECTOR);
	loads(ltr64, SHAPE | TSS, ACCESS(0x20)); /* beyond the type: ignored */
	faults(ltr64, SHAPE | TSS, 0x8000, GP_VECTOR);
	faults(lldt64, SHAPE | LDT, 0xffff0000, GP_VECTOR);
	loads(lldt64, SHAPE | LDT, 0x7fff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selectors),
		cmocka_unit_test(where_descriptors_are),
		cmocka_unit_test(what_is_loaded),
		cmocka_unit_test(types),
		cmocka_unit_test(presence_and_the_upper_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
