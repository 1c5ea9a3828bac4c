/* SPDX-License-Identifier: MIT */
/* The pair of 8259As against the data sheet: set-up, nesting, triggering, cascade. */
#include "pic_fixture.h"

static void power_up(void **state)
{
	(void)state;
	pic_init(&pic);
	assert_int_equal(in(0x21), 0xff);
	assert_int_equal(in(0xa1), 0xff);
	pulse(0);
	assert_false(pic_intr(&pic));
	assert_int_equal(in(0x4d0) | in(0x4d1), 0);
}

static void initialization(void **state)
{
	(void)state;
	out(0x21, 0x55);
	assert_int_equal(in(0x21), 0x55);
	pulse(1);
	out(0x21, 0);
	assert_int_equal(take(), 0x21);
	assert_int_equal(isr(0x20), 2);
	pic_set(&pic, 3, true);
	out(0x20, 0xc5); /* forgotten, too */
	out(0x20, 0x11);
	assert_int_equal(in(0x20), 0); /* edges are forgotten */
	assert_int_equal(in(0x21), 0);
	/* No request in the middle of it. */
	pulse(4);
	assert_false(pic_intr(&pic));
	assert_int_equal(in(0x20), 0x10); /* the status read is IRR again */
	assert_int_equal(isr(0x20), 0);
	out(0x21, 0x47); /* the low bits are not the chip's to take */
	out(0x21, 0x04);
	assert_false(pic_intr(&pic));
	out(0x21, 0x01);
	pulse(6);
	assert_int_equal(take(), 0x44);
	pic_set(&pic, 6, false);
	/* A line high all along must fall first. */
	out(0x20, 0x20);
	assert_int_equal(take(), 0);
	pulse(3);
	assert_int_equal(take(), 0x43);
	/* Without ICW4: three words; with SNGL: no ICW3. */
	out(0x20, 0x10);
	out(0x21, 0x60);
	out(0x21, 0x04);
	out(0x21, 0xfe);
	assert_int_equal(in(0x21), 0xfe);
	out(0x20, 0x12);
	out(0x21, 0x60);
	out(0x21, 0xfd);
	assert_int_equal(in(0x21), 0xfd);
	out(0x20, 0x13);
	out(0x21, 0x68);
	out(0x21, 0x03);
	out(0x21, 0xfb);
	assert_int_equal(in(0x21), 0xfb);
	/* Alone, IR2 is an input like any other; with AEOI nothing stays in service. */
	pulse(8);
	assert_int_equal(take(), 0x6a);
	assert_int_equal(isr(0x20), 0);
	/* ICW1 in the middle of the words starts afresh. */
	out(0x20, 0x11);
	out(0x21, 0x70);
	out(0x20, 0x13);
	out(0x21, 0x78);
	out(0x21, 0x01);
	out(0x21, 0x80);
	assert_int_equal(in(0x21), 0x80);
}

static void fully_nested(void **state)
{
	(void)state;
	pulse(3);
	pulse(5);
	assert_int_equal(irr(0x20), 0x28);
	assert_int_equal(take(), 0x23);
	assert_int_equal(irr(0x20), 0x20);
	assert_int_equal(isr(0x20), 0x08);
	assert_int_equal(take(), 0); /* lower waits */
	pulse(3);
	assert_int_equal(take(), 0); /* so does its own level */
	pulse(1);
	assert_int_equal(take(), 0x21); /* a higher one nests */
	out(0x20, 0x20);
	assert_int_equal(isr(0x20), 0x08); /* the highest in service ended */
	out(0x20, 0x20);
	assert_int_equal(take(), 0x23);
	out(0x20, 0x63); /* specific */
	assert_int_equal(isr(0x20), 0);
	assert_int_equal(take(), 0x25);
	out(0x20, 0x64); /* of one that is not in service */
	assert_int_equal(isr(0x20), 0x20);
	out(0x20, 0x40); /* no operation */
	assert_int_equal(isr(0x20), 0x20);
	out(0x20, 0x20);
	out(0x20, 0x20);
	assert_int_equal(isr(0x20), 0);
	assert_int_equal(take(), 0);
}

static void mask(void **state)
{
	(void)state;
	out(0x21, 0x08);
	pulse(3);
	assert_false(pic_intr(&pic));
	assert_int_equal(irr(0x20), 0x08); /* held behind the mask */
	out(0x21, 0);
	assert_int_equal(take(), 0x23);
}

static void edge(void **state)
{
	(void)state;
	pic_set(&pic, 4, true);
	pic_set(&pic, 4, true);
	assert_int_equal(take(), 0x24);
	out(0x20, 0x20);
	assert_int_equal(take(), 0);
	pic_set(&pic, 4, true);
	assert_int_equal(take(), 0);
	pulse(4);
	assert_int_equal(take(), 0x24);
}

static void level(void **state)
{
	(void)state;
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	assert_int_equal(in(0x4d0), 0xf8);
	assert_int_equal(in(0x4d1), 0xde);
	pic_set(&pic, 5, true);
	assert_int_equal(take(), 0x25);
	assert_int_equal(irr(0x20), 0x20); /* follows the line */
	out(0x20, 0x20);
	assert_int_equal(take(), 0x25);
	pic_set(&pic, 5, false);
	out(0x20, 0x20);
	assert_int_equal(take(), 0);
	/* A level survives ICW1. */
	pic_set(&pic, 6, true);
	program(1, 1);
	assert_int_equal(take(), 0x26);
	out(0x20, 0x20);
	/* Made edge-triggered while high: wants an edge; made level-triggered: asks at once. */
	out(0x4d0, 0);
	assert_int_equal(take(), 0);
	out(0x4d0, 0x40);
	assert_int_equal(take(), 0x26);
	out(0x20, 0x20);
	/* Through the slave. */
	pic_set(&pic, 6, false);
	pic_set(&pic, 11, true);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(take(), 0x2b);
		out(0xa0, 0x20);
		out(0x20, 0x20);
	}
	pic_set(&pic, 11, false);
	assert_int_equal(take(), 0);
}

static void spurious(void **state)
{
	(void)state;
	pic_set(&pic, 3, true);
	assert_true(pic_intr(&pic));
	pic_set(&pic, 3, false);
	assert_false(pic_intr(&pic));
	assert_int_equal(pic_ack(&pic), 0x27);
	assert_int_equal(isr(0x20), 0); /* a real IRQ 7 would show */
	pulse(12);
	pic_set(&pic, 12, false);
	assert_int_equal(pic_ack(&pic), 0x27);
	assert_int_equal(isr(0xa0) | isr(0x20), 0);
	pulse(7);
	assert_int_equal(take(), 0x27);
	assert_int_equal(isr(0x20), 0x80);
}

static void spurious_slave(void **state)
{
	(void)state;
	pulse(12);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x82);
	assert_int_equal(isr(0x20), 0x04);
	pic_set(&pic, 12, false);
	out(0xa0, 0x0c);
	assert_int_equal(in(0xa0) & 0x80, 0);
	assert_int_equal(isr(0xa0), 0);
}

static void cascade(void **state)
{
	(void)state;
	pulse(10);
	pulse(14);
	pulse(3);
	assert_int_equal(irr(0x20), 0x0c);
	assert_int_equal(take(), 0x2a);
	assert_int_equal(isr(0xa0), 0x04);
	assert_int_equal(isr(0x20), 0x04);
	/* Not even a higher one of the slave gets by, as the master sees its own level. */
	pulse(8);
	assert_int_equal(take(), 0);
	out(0x20, 0x20); /* the master first: now it does */
	assert_int_equal(take(), 0x28);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	assert_int_equal(isr(0xa0), 0x04);
	assert_int_equal(take(), 0x23); /* 14 waits for 10, but the master's own go on */
	out(0x20, 0x20);
	assert_int_equal(take(), 0);
	out(0xa0, 0x20);
	assert_int_equal(take(), 0x2e);
	out(0xa0, 0x62 + 4);
	out(0x20, 0x62);
	assert_int_equal(isr(0xa0) | isr(0x20), 0);
	assert_int_equal(take(), 0);
	/* The cascade input is nobody's to drive. */
	pic_set(&pic, 2, true);
	pic_set(&pic, 16, true);
	pic_set(&pic, ~0u, true);
	assert_false(pic_intr(&pic));
}

static void widths(void **state)
{
	(void)state;
	/* A word at 0x20 is a byte to each port. */
	pic_master_write(&pic, 0, 2, 0x5a0b);
	assert_int_equal(in(0x21), 0x5a);
	assert_int_equal(pic_master_read(&pic, 0, 2), 0x5a00);
	assert_int_equal(pic_master_read(&pic, 0, 4), 0xffff5a00);
	assert_int_equal(pic_slave_read(&pic, 1, 2), 0xff00);
	pic_elcr_write(&pic, 0, 4, 0xffff1020);
	assert_int_equal(pic_elcr_read(&pic, 0, 4), 0xffff1020);
	/* Hostile offsets and sizes. */
	for (u64 off = 2; off < 0x1000; off++) {
		for (unsigned size = 1; size <= 8; size *= 2) {
			pic_master_write(&pic, off, size, 0);
			pic_elcr_write(&pic, off, size, 0);
			assert_int_equal(pic_slave_read(&pic, off, size) & 0xff, 0xff);
			assert_int_equal(pic_elcr_read(&pic, off, size) & 0xff, 0xff);
		}
	}
	pic_elcr_write(&pic, ~0ull, 8, 0);
	pic_master_write(&pic, ~0ull, 8, 0);
	assert_int_equal(in(0x21), 0x5a);
	assert_int_equal(in(0x4d0), 0x20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(power_up, setup),
		cmocka_unit_test_setup(initialization, setup),
		cmocka_unit_test_setup(fully_nested, setup),
		cmocka_unit_test_setup(mask, setup),
		cmocka_unit_test_setup(edge, setup),
		cmocka_unit_test_setup(level, setup),
		cmocka_unit_test_setup(spurious, setup),
		cmocka_unit_test_setup(spurious_slave, setup),
		cmocka_unit_test_setup(cascade, setup),
		cmocka_unit_test_setup(widths, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
