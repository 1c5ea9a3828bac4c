/* SPDX-License-Identifier: MIT */
/* How interrupts travel through the PC, and in which order time serves its sources. */
#include "pc_fixture.h"

/** Who can wake a processor that halts with interrupts off. */
static void test_nmi_routes(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 2);
	assert_false(pc_nmi_wired(&f.pc, 0));
	redir(&f, 2, 0x10400, 0); /* NMI, masked */
	assert_false(pc_nmi_wired(&f.pc, 0));
	redir(&f, 2, 0x400, 0);
	assert_true(pc_nmi_wired(&f.pc, 0));
	redir(&f, 2, 0x500, 0); /* INIT */
	assert_false(pc_nmi_wired(&f.pc, 0));
	apic_out(&f, 0, 0x350, 0x400); /* LINT0 */
	assert_true(pc_nmi_wired(&f.pc, 0));
	apic_out(&f, 0, 0x350, 0x10400);
	assert_false(pc_nmi_wired(&f.pc, 0));
	apic_out(&f, 1, 0x350, 0x400); /* the 8259 pair's is the first processor's */
	assert_false(pc_nmi_wired(&f.pc, 1));
	done(&f);
}

/** Virtual wire, as after power-up: COM1 through the 8259 and LINT0. */
static void test_irq_through_pic(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 2);
	pics(&f, 0xffef);
	out(&f, 0x3fc, 1, 0x08);
	out(&f, 0x3f9, 1, 0x01);
	assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
	uart_rx(&f.pc.com1, 'a');
	assert_int_equal(pc_pending_irq(&f.pc, 0), PC_IRQ_EXTINT);
	assert_int_equal(pc_pending_irq(&f.pc, 1), -1);
	assert_int_equal(f.kicks[0], 1);
	assert_int_equal(f.kicks[1], 0);
	assert_int_equal(pc_ack_irq(&f.pc, 0), 0x24);
	assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
	assert_int_equal(in(&f, 0x3f8, 1), 'a');
	uart_rx(&f.pc.com1, 'b'); /* in service: waits for the EOI */
	assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
	out(&f, 0x20, 1, 0x20);
	assert_int_equal(pc_pending_irq(&f.pc, 0), PC_IRQ_EXTINT);
	assert_int_equal(f.kicks[0], 2);
	out(&f, 0x21, 1, 0xff); /* masked before it is taken */
	assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
	out(&f, 0x21, 1, 0xef);
	out(&f, 0x20, 1, 0x0c); /* the poll command acknowledges */
	assert_int_equal(in(&f, 0x20, 1), 0x84);
	assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
	apic_out(&f, 0, 0x350, 0x10700); /* LINT0 masked */
	out(&f, 0x20, 1, 0x20);
	out(&f, 0x3f9, 1, 0x00);
	out(&f, 0x3f9, 1, 0x01);
	assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
	apic_out(&f, 0, 0x350, 0x00700);
	assert_int_equal(pc_pending_irq(&f.pc, 0), PC_IRQ_EXTINT);
	done(&f);
}

static void test_irq_through_ioapic(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 2);
	apic_on(&f);
	redir(&f, 4, 0x34, 1 << 24);
	out(&f, 0x3fc, 1, 0x08);
	out(&f, 0x3f9, 1, 0x01);
	uart_rx(&f.pc.com1, 'a');
	assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
	assert_int_equal(pc_pending_irq(&f.pc, 1), 0x34);
	assert_int_equal(f.kicks[0], 0);
	assert_int_equal(f.kicks[1], 1);
	assert_int_equal(pc_ack_irq(&f.pc, 1), 0x34);
	assert_int_equal(pc_pending_irq(&f.pc, 1), -1);
	assert_int_equal(apic_in(&f, 1, 0x110), 1 << 20); /* ISR 0x34 */
	done(&f);
}

/** ISA IRQ 0 is GSI 2: pin 2 of the I/O APIC, input 0 of the 8259. The other lines keep theirs. */
static void test_gsi(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	apic_on(&f);
	for (unsigned gsi = 0; gsi < 24; gsi++)
		redir(&f, gsi, 0x40 + gsi, 0);
	for (unsigned gsi = 0; gsi < 30; gsi++) {
		unsigned irq = gsi == 2 ? 0 : gsi;

		pics(&f, 0);
		pc_irq_set(&f.pc, gsi, true);
		if (gsi > 0 && gsi < 24)
			assert_int_equal(pc_ack_irq(&f.pc, 0), 0x40 + gsi);
		assert_int_equal(lapic_pending(&f.pc.lapic[0]), -1);
		apic_out(&f, 0, 0xb0, 0);
		if (gsi > 0 && gsi < 16)
			assert_int_equal(pc_ack_irq(&f.pc, 0), 0x20 + irq);
		assert_false(pic_intr(&f.pc.pic));
		pc_irq_set(&f.pc, gsi, false);
	}
	done(&f);
}

/** The ports by which test kernels drive the lines themselves. */
static void test_lines_by_hand(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	pics(&f, 0xfffe);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		redir(&f, pin, 0x8040 + pin, 0); /* level-triggered */
	apic_on(&f);
	for (unsigned n = 0; n < 24; n++) {
		unsigned gsi = n ? n : 2;

		out(&f, 0x2000 + n, n < 20 ? 4 : 1, n < 20 ? 0x100 : 1);
		assert_true(f.pc.ioapic.level == 1u << gsi);
		assert_int_equal(pc_ack_irq(&f.pc, 0), 0x40 + gsi);
		if (!n)
			assert_int_equal(pc_ack_irq(&f.pc, 0), 0x20); /* at the 8259, too */
		assert_int_equal(in(&f, 0x2000 + n, 1), 0);
		out(&f, 0x2000 + n, 1, 0);
		assert_int_equal(f.pc.ioapic.level, 0);
		apic_out(&f, 0, 0xb0, 0);
	}
	done(&f);
}

/** Where both wait, the LAPIC's vector goes first. */
static void test_lapic_before_pic(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	pics(&f, 0xffef);
	redir(&f, 5, 0x55, 0);
	pc_irq_set(&f.pc, 4, true);
	pc_irq_set(&f.pc, 5, true);
	assert_int_equal(pc_pending_irq(&f.pc, 0), 0x55);
	assert_int_equal(pc_ack_irq(&f.pc, 0), 0x55);
	assert_int_equal(pc_pending_irq(&f.pc, 0), PC_IRQ_EXTINT); /* knows no priorities */
	assert_int_equal(pc_ack_irq(&f.pc, 0), 0x24);
	assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
	done(&f);
}

/** The SCI: level-triggered from the PM timer's status bit to the EOI's rebroadcast. */
static void test_sci(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	assert_int_equal(in(&f, 0x4d0, 2), 0x0200);
	apic_on(&f);
	redir(&f, 9, 0x8039, 0);
	out(&f, 0x602, 2, 1);
	f.now = pc_next_deadline(&f.pc);
	assert_int_equal(f.now, ((1ull << 31) * HZ + 3579544) / 3579545);
	pc_advance(&f.pc, f.now);
	assert_int_equal(pc_ack_irq(&f.pc, 0), 0x39);
	apic_out(&f, 0, 0xb0, 0); /* EOI with the line still high: again */
	assert_int_equal(pc_ack_irq(&f.pc, 0), 0x39);
	out(&f, 0x600, 2, 1);
	apic_out(&f, 0, 0xb0, 0);
	assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
	done(&f);
}

static void test_ipis(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 4);
	apic_on(&f);
	apic_out(&f, 0, 0x310, 2 << 24);
	apic_out(&f, 0, 0x300, 0x00041); /* fixed to 2 */
	assert_int_equal(pc_ack_irq(&f.pc, 2), 0x41);
	apic_out(&f, 1, 0x300, 0xc0042); /* all but self */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pc_pending_irq(&f.pc, i), i == 1 || i == 2 ? -1 : 0x42);
	assert_int_equal(f.kicks[0], 1);
	assert_int_equal(f.kicks[1], 0);
	apic_out(&f, 3, 0x300, 0x40061); /* self */
	assert_int_equal(pc_pending_irq(&f.pc, 3), 0x61);
	assert_int_equal(f.kicks[3], 2);
	memset(f.kicks, 0, sizeof(f.kicks));
	apic_out(&f, 0, 0x300, 0xc4500); /* INIT, SIPI to all the others */
	apic_out(&f, 0, 0x300, 0xc4608);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(f.pc.lapic[i].init_pending, i > 0);
		assert_int_equal(f.pc.lapic[i].sipi_pending, i > 0);
		assert_int_equal(f.kicks[i], i ? 2 : 0);
	}
	assert_int_equal(f.pc.lapic[1].sipi_vector, 8);
	apic_out(&f, 0, 0x310, 0);
	apic_out(&f, 0, 0x300, 0x00400);
	assert_true(f.pc.lapic[0].nmi_pending);
	done(&f);
}

/** Lowest priority goes to one LAPIC only: the one with the lowest task priority. */
static void test_lowest_priority(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 4);
	apic_on(&f);
	for (unsigned i = 0; i < 4; i++) {
		apic_out(&f, i, 0xd0, 1u << (24 + i));
		apic_out(&f, i, 0x80, i == 2 ? 0x10 : 0x30);
	}
	redir(&f, 5, 0x951, 0xff000000); /* logical, lowest priority, all four */
	pc_irq_set(&f.pc, 5, true);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pc_pending_irq(&f.pc, i), i == 2 ? 0x51 : -1);
	assert_int_equal(f.nr_kicks, 1);
	redir(&f, 6, 0x961, 0x09000000); /* of 0 and 3 only */
	pc_irq_set(&f.pc, 6, true);
	assert_int_equal((pc_pending_irq(&f.pc, 0) == 0x61) + (pc_pending_irq(&f.pc, 3) == 0x61),
			 1);
	for (unsigned i = 0; i < 4; i++)
		apic_out(&f, i, 0xf0, 0xff); /* nobody is left */
	redir(&f, 7, 0x971, 0xff000000);
	pc_irq_set(&f.pc, 7, true);
	assert_int_equal(f.nr_kicks, 2);
	done(&f);
}

/** With the LAPIC off, the 8259's output is the processor's INTR pin. */
static void test_pic_without_lapic(void **state)
{
	struct fixture f;
	u64 base;

	(void)state;
	init(&f, 2);
	pics(&f, 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(lapic_msr_read(&f.pc.lapic[i], 0x1b, &base));
		assert_true(lapic_msr_write(&f.pc.lapic[i], 0x1b, base & ~0x800ull));
	}
	pc_irq_set(&f.pc, 7, true);
	assert_int_equal(pc_pending_irq(&f.pc, 0), PC_IRQ_EXTINT);
	assert_int_equal(pc_pending_irq(&f.pc, 1), -1);
	pc_irq_set(&f.pc, 7, false); /* gone before the acknowledge: spurious */
	assert_int_equal(pc_ack_irq(&f.pc, 0), 0x27);
	done(&f);
}

static void test_pit_interrupt(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	apic_on(&f);
	assert_true(pc_next_deadline(&f.pc) == NEVER);
	pc_advance(&f.pc, NEVER);
	redir(&f, 2, 0x30, 0);
	out(&f, 0x43, 1, 0x34);
	out(&f, 0x40, 1, 0xa9);
	out(&f, 0x40, 1, 0x04); /* 1193: about 1 kHz */
	for (unsigned i = 0; i < 5; i++) {
		f.now = pc_next_deadline(&f.pc);
		pc_advance(&f.pc, f.now - 1);
		assert_int_equal(pc_pending_irq(&f.pc, 0), -1);
		pc_advance(&f.pc, f.now);
		assert_int_equal(f.kicks[0], i + 1);
		assert_int_equal(pc_ack_irq(&f.pc, 0), 0x30);
		apic_out(&f, 0, 0xb0, 0);
	}
	assert_in_range(f.now, 1000 + 499900, 1000 + 500100);
	done(&f);
}

/** Several sources due at once are served in the order of their deadlines, each once. */
static void test_order_of_deadlines(void **state)
{
	static const u32 counts[3] = {3000, 1000, 2000};
	static const u8 expected[3] = {1, 2, 0};
	struct fixture f;

	(void)state;
	init(&f, 3);
	apic_on(&f);
	for (unsigned i = 0; i < 3; i++) {
		apic_out(&f, i, 0x3e0, 0xb); /* divide by 1 */
		apic_out(&f, i, 0x320, 0x40 + i);
		apic_out(&f, i, 0x380, counts[i]);
	}
	assert_true(pc_next_deadline(&f.pc) == f.now + 1000);
	f.now += 5000;
	pc_advance(&f.pc, f.now);
	assert_int_equal(f.nr_kicks, 3);
	assert_memory_equal(f.kick_log, expected, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pc_pending_irq(&f.pc, i), 0x40 + i);
	assert_true(pc_next_deadline(&f.pc) == NEVER);

	out(&f, 0x70, 2, 0x120b); /* RTC: update-ended interrupt */
	assert_true(pc_next_deadline(&f.pc) == HZ);
	apic_out(&f, 1, 0x380, 7000);
	assert_true(pc_next_deadline(&f.pc) == f.now + 7000);
	done(&f);
}

static void test_rtc_interrupt(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 1);
	pics(&f, 0xfefb);
	out(&f, 0x70, 2, 0x120b);
	f.now = pc_next_deadline(&f.pc);
	pc_advance(&f.pc, f.now);
	assert_int_equal(pc_ack_irq(&f.pc, 0), 0x28);
	out(&f, 0x70, 1, 0x0c);
	assert_int_equal(in(&f, 0x71, 1) & 0x90, 0x90);
	out(&f, 0x70, 1, 0x34); /* memory above 16 MiB that begins at 0: both low slots */
	assert_int_equal(in(&f, 0x71, 1), ((512 - 16) * 16) & 0xff);
	out(&f, 0x70, 1, 0x35);
	assert_int_equal(in(&f, 0x71, 1), (512 - 16) * 16 >> 8);
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_irq_through_pic),
		cmocka_unit_test(test_irq_through_ioapic),
		cmocka_unit_test(test_gsi),
		cmocka_unit_test(test_lines_by_hand),
		cmocka_unit_test(test_lapic_before_pic),
		cmocka_unit_test(test_sci),
		cmocka_unit_test(test_ipis),
		cmocka_unit_test(test_lowest_priority),
		cmocka_unit_test(test_pic_without_lapic),
		cmocka_unit_test(test_nmi_routes),
		cmocka_unit_test(test_pit_interrupt),
		cmocka_unit_test(test_order_of_deadlines),
		cmocka_unit_test(test_rtc_interrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
