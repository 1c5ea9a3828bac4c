/* SPDX-License-Identifier: MIT */
/* Who answers at which port and address of the PC, and its ends. */
#include "pc_fixture.h"

static void test_ports(void **state)
{
	static const struct {
		u16 first, last;
	} claimed[] = {{0x20, 0x21},   {0x40, 0x43},   {0x60, 0x61},   {0x64, 0x64},
		       {0x70, 0x71},   {0x80, 0x80},   {0x92, 0x92},   {0xa0, 0xa1},
		       {0xe0, 0xe3},   {0xed, 0xed},   {0xf4, 0xf7},   {0x3f8, 0x3ff},
		       {0x4d0, 0x4d1}, {0x600, 0x60f}, {0xcf8, 0xcff}, {0x2000, 0x2017}};
	struct fixture f;
	unsigned expected = 0;

	(void)state;
	init(&f, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(claimed); i++)
		for (unsigned p = claimed[i].first; p <= claimed[i].last; p++, expected++)
			assert_non_null(bus_find(&f.pc.pio, p, 1));
	for (unsigned p = 0; p <= 0xffff; p++)
		expected -= !!bus_find(&f.pc.pio, p, 1);
	assert_int_equal(expected, 0);
	assert_int_equal(in(&f, 0xb2, 1), 0xff);
	assert_int_equal(in(&f, 0x2f8, 4), 0xffffffff);
	assert_int_equal(in(&f, 0xffff, 4), 0xffffffff);
	out(&f, 0x278, 1, 0);
	assert_int_equal(f.pc.unclaimed_pio, 4);
	assert_int_equal(in(&f, 0x80, 1), 0xff);
	assert_int_equal(in(&f, 0x60, 1), 0xff);
	assert_int_equal(in(&f, 0x64, 1), 0xff);
	out(&f, 0x80, 1, 0x55);
	out(&f, 0xed, 1, 0);
	assert_int_equal(f.pc.unclaimed_pio, 4);
	done(&f);
}

static void test_console(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	for (const char *s = "hello"; *s; s++) {
		assert_int_equal(in(&f, 0x3fd, 1) & 0x20, 0x20);
		out(&f, 0x3f8, 1, (u8)*s);
	}
	assert_string_equal(f.sent, "hello");
	assert_int_equal(in(&f, 0x3fb, 1), 0x03); /* 115200 8n1, as firmware leaves it */
	out(&f, 0x3fb, 1, 0x83);
	assert_int_equal(in(&f, 0x3f8, 2), 1);
	done(&f);
}

/** Wide accesses reach byte devices as bytes, low address first. */
static void test_wide_accesses(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	out(&f, 0x70, 2, 0x5a40); /* index and data in one */
	out(&f, 0x70, 1, 0x40);
	assert_int_equal(in(&f, 0x71, 1), 0x5a);
	assert_int_equal(in(&f, 0x70, 2), 0x5aff);
	assert_int_equal(in(&f, 0x63, 2), 0xffff); /* nobody, keyboard */
	assert_int_equal(in(&f, 0x60, 4) & 0xffffcfff, 0xffff00ff);
	assert_int_equal(in(&f, 0x3fc, 4), 0x00b06000);
	assert_int_equal(in(&f, 0x604, 4), 0x00000001);
	assert_int_equal(in(&f, 0x60e, 4), 0xffff0000); /* over the end of the block */
	out(&f, 0xe0, 4, 0x44332211);
	out(&f, 0xe1, 1, 0xaa);
	assert_int_equal(in(&f, 0xe0, 4), 0x4433aa11);
	assert_int_equal(in(&f, 0xe2, 2), 0x4433);
	assert_int_equal(in(&f, 0xe2, 4), 0xffff4433);
	assert_int_equal(f.pc.unclaimed_pio, 0);
	done(&f);
}

static void test_reset_and_poweroff(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	out(&f, 0xf4, 4, 0x12345678); /* whole, not byte by byte */
	assert_int_equal(f.pc.pm.request, PM_DEBUG_EXIT);
	assert_int_equal(f.pc.pm.exit_code, 0x12345678);
	done(&f);
	init(&f, 1);
	out(&f, 0xcf8, 4, 0x80000e00); /* a PCI address, not the reset register */
	assert_int_equal(in(&f, 0xcf8, 4), 0xffffffff);
	assert_int_equal(in(&f, 0xcfc, 4), 0xffffffff);
	out(&f, 0xcf8, 2, 0x0600);
	out(&f, 0xcf9, 2, 0x0606);
	out(&f, 0xcf8, 1, 0x06);
	out(&f, 0xcfb, 1, 0x06);
	assert_int_equal(f.pc.pm.request, PM_NONE);
	out(&f, 0xcf9, 1, 0x02);
	assert_int_equal(in(&f, 0xcf9, 1), 0x02);
	out(&f, 0xcf9, 1, 0x06);
	assert_int_equal(f.pc.pm.request, PM_RESET);
	done(&f);

	init(&f, 1);
	out(&f, 0x64, 1, 0xfe);
	assert_int_equal(f.pc.pm.request, PM_RESET);
	done(&f);

	init(&f, 1);
	out(&f, 0x64, 1, 0xd1);
	out(&f, 0x60, 1, 0xfe);
	assert_int_equal(f.pc.pm.request, PM_RESET);
	done(&f);

	init(&f, 1);
	out(&f, 0x92, 1, in(&f, 0x92, 1) | 1);
	assert_int_equal(f.pc.pm.request, PM_RESET);
	done(&f);

	init(&f, 1);
	out(&f, 0x604, 2, 0x3400);
	assert_int_equal(f.pc.pm.request, PM_POWEROFF);
	done(&f);
}

static void test_lapic_page(void **state)
{
	struct fixture f;
	u64 base;

	(void)state;
	init(&f, 2);
	assert_true(pc_is_mmio(&f.pc, 0, GPA(0xfee00000)));
	assert_true(pc_is_mmio(&f.pc, 0, GPA(0xfee00fff)));
	assert_false(pc_is_mmio(&f.pc, 0, GPA(0xfee01000)));
	assert_true(pc_is_mmio(&f.pc, 0, GPA(0xfec00fff)));
	assert_false(pc_is_mmio(&f.pc, 0, GPA(0xfec01000)));
	assert_false(pc_is_mmio(&f.pc, 0, GPA(0)));
	assert_int_equal(apic_in(&f, 0, 0x20), 0);
	assert_int_equal(apic_in(&f, 1, 0x20), 1 << 24); /* each its own */
	assert_true(pc_mmio_read(&f.pc, 0, GPA(0xfee00ffc), 8) == ~0ull);
	assert_int_equal(pc_mmio_read(&f.pc, 0, GPA(0xfed00000), 4), 0xffffffff);
	assert_int_equal(f.pc.unclaimed_mmio, 2);
	assert_int_equal(pc_mmio_read(&f.pc, 0, GPA(0xfec00ffe), 4) >> 16, 0xffff);
	assert_int_equal(f.pc.unclaimed_mmio, 2);
	pc_mmio_write(&f.pc, 0, GPA(0xfed00000), 4, 1);
	assert_int_equal(f.pc.unclaimed_mmio, 3);

	assert_true(lapic_msr_read(&f.pc.lapic[0], 0x1b, &base));
	assert_true(lapic_msr_write(&f.pc.lapic[0], 0x1b, base | 0x400)); /* x2APIC */
	assert_false(pc_is_mmio(&f.pc, 0, GPA(0xfee00000)));
	assert_true(pc_is_mmio(&f.pc, 1, GPA(0xfee00000)));
	assert_int_equal(apic_in(&f, 0, 0x30), 0xffffffff);
	apic_out(&f, 0, 0x80, 0x20);
	assert_int_equal(f.pc.unclaimed_mmio, 5);
	assert_true(lapic_msr_write(&f.pc.lapic[0], 0x1b, base & ~0x800ull));
	assert_false(pc_is_mmio(&f.pc, 0, GPA(0xfee00000)));
	done(&f);
}

/** The page of registers goes where IA32_APIC_BASE says, and covers another device, for the vcpu
 *  whose it is. */
static void test_lapic_moves(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 2);
	assert_true(lapic_msr_write(&f.pc.lapic[1], 0x1b, 0xfec00800));
	assert_true(pc_is_mmio(&f.pc, 0, GPA(0xfee00000)));
	assert_false(pc_is_mmio(&f.pc, 1, GPA(0xfee00000)));
	assert_true(pc_is_mmio(&f.pc, 1, GPA(0xfec00000)));
	assert_int_equal(pc_mmio_read(&f.pc, 1, GPA(0xfec00030), 4), 0x01050014);
	pc_mmio_write(&f.pc, 1, GPA(0xfec00080), 4, 0x70);
	assert_int_equal(pc_mmio_read(&f.pc, 1, GPA(0xfec00080), 4), 0x70);
	pc_mmio_write(&f.pc, 0, GPA(0xfec00000), 4, 1); /* the I/O APIC's version, for the other */
	assert_int_equal(pc_mmio_read(&f.pc, 0, GPA(0xfec00010), 4) & 0xff, 0x20);
	assert_true(lapic_msr_write(&f.pc.lapic[1], 0x1b, 0x7800));
	assert_true(pc_is_mmio(&f.pc, 1, GPA(0x7fff)));
	assert_false(pc_is_mmio(&f.pc, 1, GPA(0x8000)));
	assert_false(pc_is_mmio(&f.pc, 0, GPA(0x7fff)));
	done(&f);
}

/** Two machines share nothing, and a second pc_init() gives the first state again. */
static void test_instances(void **state)
{
	struct fixture a, b;
	struct pc_config cfg;
	struct gclock clock;

	(void)state;
	init(&a, 1);
	init(&b, 1);
	out(&a, 0x3ff, 1, 0x77);
	out(&a, 0x43, 1, 0x34);
	out(&a, 0x40, 2, 0x0101);
	out(&a, 0xcf9, 1, 0x06);
	in(&a, 0x1234, 1);
	assert_int_equal(in(&b, 0x3ff, 1), 0);
	assert_int_equal(b.pc.pm.request, PM_NONE);
	assert_true(pc_next_deadline(&b.pc) == NEVER);
	cfg = a.pc.cfg;
	clock = a.pc.clock;
	pc_init(&a.pc, &cfg, &clock);
	assert_int_equal(in(&a, 0x3ff, 1), 0);
	assert_int_equal(a.pc.pm.request, PM_NONE);
	assert_int_equal(a.pc.unclaimed_pio, 0);
	assert_true(pc_next_deadline(&a.pc) == NEVER);
	assert_int_equal(a.pc.pio.nr, b.pc.pio.nr);
	done(&a);
	done(&b);
}

/** Random accesses by a guest that means harm. */
static void test_hostile(void **state)
{
	static const unsigned sizes[] = {1, 2, 4, 8};
	struct fixture f;
	u64 seed = 42;

	(void)state;
	init(&f, 2);
	for (unsigned i = 0; i < 200000; i++) {
		const struct bus_range *r;
		unsigned size, vcpu = i & 1;
		u64 offset;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		r = &f.pc.pio.range[(seed >> 33) % f.pc.pio.nr];
		size = sizes[(seed >> 40) % 3];
		offset = (seed >> 44) % (r->len + 4);
		f.now += (seed >> 48) % 4 ? 500 : (seed >> 50) * 100;
		switch ((seed >> 60) % 6) {
		case 0:
		case 1:
			pc_pio_write(&f.pc, vcpu, r->base + offset, size, seed >> 20);
			break;
		case 2:
			assert_true(pc_pio_read(&f.pc, vcpu, r->base + offset - 2, size) >>
				    (size * 8 - 1) <= 1);
			break;
		case 3:
			pc_mmio_write(&f.pc, vcpu, GPA(0xfee00000 + (seed >> 30) % 0x1008), size,
				      seed >> 8);
			break;
		case 4:
			pc_mmio_read(&f.pc, vcpu, GPA(0xfec00000 - 4 + (seed >> 30) % 0x20),
				     sizes[(seed >> 40) % 4]);
			break;
		default:
			pc_mmio_write(&f.pc, vcpu, GPA(0xfec00000 + (seed >> 30) % 0x50),
				      sizes[(seed >> 40) % 4], seed >> 8);
		}
		pc_advance(&f.pc, f.now);
		assert_true(pc_next_deadline(&f.pc) > f.now);
		if (pc_pending_irq(&f.pc, vcpu) >= 0)
			pc_ack_irq(&f.pc, vcpu);
		if (uart_rx_room(&f.pc.com1))
			uart_rx(&f.pc.com1, i);
	}
	assert_true(f.nr_kicks > 100);
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),	      cmocka_unit_test(test_console),
		cmocka_unit_test(test_wide_accesses), cmocka_unit_test(test_reset_and_poweroff),
		cmocka_unit_test(test_lapic_page),    cmocka_unit_test(test_lapic_moves),
		cmocka_unit_test(test_instances),     cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
