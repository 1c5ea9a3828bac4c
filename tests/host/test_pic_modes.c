/* SPDX-License-Identifier: MIT */
/* The 8259A's other modes: special fully nested, automatic EOI, rotation, special mask, poll. */
#include "pic_fixture.h"

static void special_fully_nested(void **state)
{
	(void)state;
	program(0x11, 0x11);
	pulse(12);
	assert_int_equal(take(), 0x2c);
	pulse(4);
	assert_int_equal(take(), 0); /* below the slave */
	pulse(9);
	assert_int_equal(take(), 0x29); /* higher, of the same slave */
	pulse(13);
	assert_int_equal(take(), 0);
	pulse(10);
	assert_int_equal(take(), 0); /* on the slave the mode changes nothing */
	out(0xa0, 0x20);
	assert_int_equal(isr(0xa0), 0x10);
	assert_int_equal(take(), 0x2a);
	pulse(10);
	assert_int_equal(take(), 0);
}

static void auto_eoi(void **state)
{
	(void)state;
	program(0x03, 0x03);
	pulse(5);
	pulse(13);
	pulse(9);
	assert_int_equal(take(), 0x29);
	assert_int_equal(take(), 0x2d);
	assert_int_equal(isr(0x20) | isr(0xa0), 0);
	assert_int_equal(take(), 0x25);
	assert_int_equal(take(), 0);
	/* Rotating: what was served goes to the end. */
	out(0x20, 0x80);
	pulse(3);
	assert_int_equal(take(), 0x23);
	pulse(3);
	pulse(4);
	assert_int_equal(take(), 0x24);
	assert_int_equal(take(), 0x23);
	out(0x20, 0x00);
	pulse(3);
	pulse(4);
	assert_int_equal(take(), 0x24);
	assert_int_equal(take(), 0x23);
	pulse(3);
	pulse(4);
	assert_int_equal(take(), 0x24);
	assert_int_equal(take(), 0x23);
}

static void rotation(void **state)
{
	(void)state;
	out(0x20, 0xc5); /* 5 lowest: 6 7 0 1 2 3 4 5 */
	pulse(5);
	pulse(0);
	pulse(6);
	assert_int_equal(take(), 0x26);
	out(0x20, 0xa0); /* rotate on non-specific EOI: 7 0 1 ... 6 */
	assert_int_equal(isr(0x20), 0);
	pulse(6);
	assert_int_equal(take(), 0x20);
	out(0x20, 0xe0); /* rotate on specific EOI of 0: 1 2 ... 7 0 */
	assert_int_equal(isr(0x20), 0);
	pulse(0);
	assert_int_equal(take(), 0x25);
	assert_int_equal(take(), 0);
	pulse(1);
	assert_int_equal(take(), 0x21);
	/* The non-specific EOI ends the highest by the turned order. */
	out(0x20, 0x20);
	assert_int_equal(isr(0x20), 0x20);
	out(0x20, 0x20);
	assert_int_equal(take(), 0x26);
	out(0x20, 0x20);
	assert_int_equal(take(), 0x20);
	/* Nothing in service: nothing turns. */
	out(0x20, 0x20);
	out(0x20, 0xa0);
	pulse(0);
	pulse(1);
	assert_int_equal(take(), 0x21);
}

static void special_mask(void **state)
{
	(void)state;
	pulse(3);
	assert_int_equal(take(), 0x23);
	pulse(6);
	out(0x21, 0x08);
	assert_int_equal(take(), 0);
	out(0x20, 0x28); /* SMM without ESMM: no change */
	assert_int_equal(take(), 0);
	out(0x20, 0x68);
	assert_int_equal(take(), 0x26); /* lower, with 3 in service and masked */
	pulse(3);
	assert_int_equal(take(), 0);
	/* A non-specific EOI passes over the masked one. */
	out(0x20, 0x20);
	assert_int_equal(isr(0x20), 0x08);
	out(0x20, 0x20);
	assert_int_equal(isr(0x20), 0x08);
	out(0x20, 0x48);
	pulse(6);
	assert_int_equal(take(), 0);
	out(0x20, 0x63);
	assert_int_equal(take(), 0x26);
}

static void poll(void **state)
{
	(void)state;
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0);
	pulse(4);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x84);
	assert_int_equal(isr(0x20), 0x10);
	assert_false(pic_intr(&pic));
	/* One read only, at either address; the register choice is as before. */
	pulse(1);
	out(0x20, 0x0a);
	out(0x20, 0x0f); /* P wins over RR and RIS */
	assert_int_equal(in(0x21), 0x81);
	assert_int_equal(in(0x20), 0);
	assert_int_equal(in(0x21), 0);
	assert_int_equal(isr(0x20), 0x12);
	/* Of the slave, its INT goes low. */
	out(0x20, 0x20);
	out(0x20, 0x20);
	pulse(15);
	assert_true(pic_intr(&pic));
	out(0xa0, 0x0c);
	assert_int_equal(in(0xa0), 0x87);
	assert_false(pic_intr(&pic));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(special_fully_nested, setup),
		cmocka_unit_test_setup(auto_eoi, setup),
		cmocka_unit_test_setup(rotation, setup),
		cmocka_unit_test_setup(special_mask, setup),
		cmocka_unit_test_setup(poll, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
