/* SPDX-License-Identifier: MIT */
/* guest/dr.c: which MOV DR is done, which faults, and what the registers hold then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest/dr.h"
#include "x86.h"

/** A write in 64-bit mode by the kernel. */
static struct dr_access write_of(unsigned nr, u64 value)
{
	return (struct dr_access){
		.nr = nr, .write = true, .value = value, .dr7 = DR7_ONES, .long_mode = true};
}

static u64 holds(struct dr_access a)
{
	assert_int_equal(dr_check(&a), DR_OK);
	return a.value;
}

static void addresses_are_any(void **state)
{
	(void)state;
	for (unsigned nr = 0; nr < 4; nr++) {
		struct dr_access a = write_of(nr, 0x8000000000000001);

		assert_int_equal(holds(a), 0x8000000000000001);
		a.long_mode = false;
		assert_int_equal(holds(a), 1);
	}
}

static void reserved_bits_of_dr6_and_dr7(void **state)
{
	(void)state;
	assert_int_equal(holds(write_of(6, 0)), 0xffff0ff0);
	assert_int_equal(holds(write_of(6, 0xffffffff)), 0xffffefff);
	assert_int_equal(holds(write_of(7, 0)), 0x400);
	assert_int_equal(holds(write_of(7, 0xffffffff)), 0xffff2fff);
	for (unsigned nr = 6; nr < 8; nr++) {
		struct dr_access a = write_of(nr, BIT(32));

		assert_int_equal(dr_check(&a), DR_GP);
		a = write_of(nr, BIT(63));
		assert_int_equal(dr_check(&a), DR_GP);
		a = write_of(nr, BIT(32));
		a.long_mode = false; /* the register's upper half is no operand */
		assert_int_equal(dr_check(&a), DR_OK);
	}
}

static void dr4_and_dr5_are_others(void **state)
{
	struct dr_access a;

	(void)state;
	for (unsigned nr = 4; nr < 6; nr++) {
		a = write_of(nr, 0);
		assert_int_equal(dr_check(&a), DR_OK);
		assert_int_equal(a.nr, nr + 2);
		assert_int_equal(a.value, nr == 4 ? 0xffff0ff0 : 0x400);
		a = (struct dr_access){.nr = nr, .long_mode = true};
		assert_int_equal(dr_check(&a), DR_OK);
		assert_int_equal(a.nr, nr + 2);
		a = (struct dr_access){.nr = nr, .cr4 = X86_CR4_DE};
		assert_int_equal(dr_check(&a), DR_UD);
	}
	a = (struct dr_access){.nr = 3, .cr4 = X86_CR4_DE};
	assert_int_equal(dr_check(&a), DR_OK);
	a = (struct dr_access){.nr = 6, .cr4 = X86_CR4_DE};
	assert_int_equal(dr_check(&a), DR_OK);
}

/** #UD before #GP before #DB before the #GP of a value. */
static void faults_in_their_order(void **state)
{
	struct dr_access a = write_of(5, ~0ull);

	(void)state;
	a.cr4 = X86_CR4_DE;
	a.cpl = 3;
	a.dr7 = DR7_GD | DR7_ONES;
	assert_int_equal(dr_check(&a), DR_UD);
	a.cr4 = 0;
	assert_int_equal(dr_check(&a), DR_GP);
	a.cpl = 0;
	assert_int_equal(dr_check(&a), DR_DB);
	a.dr7 = DR7_ONES;
	assert_int_equal(dr_check(&a), DR_GP);
	a = (struct dr_access){.nr = 0, .cpl = 1};
	assert_int_equal(dr_check(&a), DR_GP);
	a = (struct dr_access){.nr = 0, .dr7 = DR7_GD};
	assert_int_equal(dr_check(&a), DR_DB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_any),
		cmocka_unit_test(reserved_bits_of_dr6_and_dr7),
		cmocka_unit_test(dr4_and_dr5_are_others),
		cmocka_unit_test(faults_in_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
