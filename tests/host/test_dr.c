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
	/* Which of them DR6 has, the processor knows. */
	assert_int_equal(holds(write_of(6, 0)), 0);
	assert_int_equal(holds(write_of(6, 0xffffffff)), 0xffffffff);
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
		assert_int_equal(a.value, nr == 4 ? 0 : 0x400);
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

/** Bochs 2.7 exits for them; the SDM has no exit. */
static void there_are_no_more_than_eight(void **state)
{
	(void)state;
	for (unsigned nr = 8; nr < 16; nr++) {
		struct dr_access a = {.nr = nr, .cpl = 3, .dr7 = DR7_GD};

		assert_int_equal(dr_check(&a), DR_UD);
	}
}

static struct debug_state raised(u64 dr6, u64 dr7, u64 debugctl, u64 causes)
{
	struct debug_state s = {dr6, dr7, debugctl};

	debug_state_raise(&s, causes);
	return s;
}

static void what_a_debug_exception_changes(void **state)
{
	(void)state;
	/* B0 to B3 are this exception's, what else stands there stays. */
	assert_int_equal(raised(0xffff0ff0, 0x400, 0, 0x4002).dr6, 0xffff4ff2);
	assert_int_equal(raised(0xffffeff5, 0x400, 0, 8).dr6, 0xffffeff8);
	assert_int_equal(raised(0xffff0ff0, 0x400, 0, DR6_BD).dr6, 0xffff2ff0);
	assert_int_equal(raised(0xffff0ff0, 0x400, 0, DR6_BT).dr6, 0xffff8ff0);
	/* Bit 12 of pending debug exceptions is none of DR6's. */
	assert_int_equal(raised(0xffff0ff0, 0x400, 0, BIT(12) | 1).dr6, 0xffff0ff1);
	/* 0 in DR6 where they are the cause; others set RTM and leave BLD. */
	assert_int_equal(raised(0xffff0ff0, 0x400, 0, BIT(16) | 1).dr6, 0xfffe0ff1);
	assert_int_equal(raised(0xfffe0ff0, 0x400, 0, 1).dr6, 0xffff0ff1);
	assert_int_equal(raised(0xffff0ff0, 0x400, 0, BIT(11)).dr6, 0xffff07f0);
	assert_int_equal(raised(0xffff07f0, 0x400, 0, 1).dr6, 0xffff07f1);
	assert_int_equal(raised(0xffff0ff0, 0x27ff, 0, 1).dr7, 0x7ff);
	assert_int_equal(raised(0xffff0ff0, 0x400, 0x4003, 1).debugctl, 0x4001);
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
		cmocka_unit_test(there_are_no_more_than_eight),
		cmocka_unit_test(what_a_debug_exception_changes),
		cmocka_unit_test(faults_in_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
