/* SPDX-License-Identifier: MIT */
/* The 16550A against its data sheet, and against what Linux's 8250 driver probes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guest/uart.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

struct fixture {
	struct uart u;
	bool line;
	unsigned rises;
	u8 sent[64];
	unsigned nr_sent;
};

static void irq_set(void *ctx, unsigned gsi, bool level)
{
	struct fixture *f = ctx;

	assert_int_equal(gsi, 4);
	assert_true(level != f->line); /* only changes are worth a call */
	f->rises += level;
	f->line = level;
}

static void tx(void *ctx, u8 byte)
{
	struct fixture *f = ctx;

	f->sent[f->nr_sent++ % 64] = byte;
}

static void init(struct fixture *f)
{
	struct irq_sink irq = {irq_set, f};

	memset(f, 0, sizeof(*f));
	uart_init(&f->u, 4, &irq, tx, f);
}

static u8 in(struct fixture *f, unsigned reg)
{
	u64 v = uart_read(&f->u, reg, 1);

	assert_true(v <= 0xff);
	return v;
}

static void out(struct fixture *f, unsigned reg, u8 v)
{
	uart_write(&f->u, reg, 1, v);
}

static void test_reset(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	assert_int_equal(in(&f, IER), 0);
	assert_int_equal(in(&f, IIR), 1);
	assert_int_equal(in(&f, LCR), 0);
	assert_int_equal(in(&f, MCR), 0);
	assert_int_equal(in(&f, LSR), 0x60);
	assert_int_equal(in(&f, MSR), 0xb0);
	assert_int_equal(uart_read(&f.u, 8, 1), 0xff);
	uart_write(&f.u, ~0ull, 1, 0xff);
	assert_int_equal(f.rises, 0);
}

static void test_dlab(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, IER, 0x05);
	out(&f, LCR, 0x83);
	out(&f, DATA, 0x01);
	out(&f, IER, 0xc2);
	assert_int_equal(f.u.divisor, 0xc201);
	assert_int_equal(in(&f, DATA), 0x01);
	assert_int_equal(in(&f, IER), 0xc2);
	assert_int_equal(f.nr_sent, 0);
	out(&f, LCR, 0x03);
	assert_int_equal(in(&f, IER), 0x05);
	out(&f, DATA, 'A');
	assert_int_equal(f.nr_sent, 1);
	assert_int_equal(f.sent[0], 'A');
	assert_int_equal(f.u.divisor, 0xc201);
}

static void test_word_length(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	for (unsigned wls = 0; wls < 4; wls++) {
		out(&f, LCR, wls);
		out(&f, DATA, 0xff);
		assert_int_equal(f.sent[wls], 0xff >> (3 - wls));
	}
}

/** The steps of Linux's autoconfig() and autoconfig_16550a(), drivers/tty/serial/8250. */
static void test_linux_autoconfig(void **state)
{
	struct fixture f;
	u8 status1, status2;

	(void)state;
	init(&f);
	out(&f, IER, 0);
	assert_int_equal(in(&f, IER) & 0x0f, 0);
	out(&f, IER, 0x0f);
	assert_int_equal(in(&f, IER), 0x0f);
	out(&f, IER, 0);
	out(&f, MCR, 0x10 | 0x0a);
	assert_int_equal(in(&f, MSR) & 0xf0, 0x90);
	out(&f, MCR, 0);
	out(&f, LCR, 0xbf); /* an EFR would be here: ours is FCR */
	out(&f, FCR, 0);
	out(&f, LCR, 0);
	out(&f, FCR, 1);
	assert_int_equal(in(&f, IIR) >> 6, 3);
	out(&f, LCR, 0x80);
	assert_int_not_equal(in(&f, IIR), 0); /* not a 16C650 */
	out(&f, LCR, 0xbf);
	assert_int_not_equal(in(&f, IIR), 0);
	out(&f, LCR, 0);
	status1 = in(&f, MCR);
	out(&f, LCR, 0xe0);
	status2 = in(&f, IIR);
	assert_int_equal((status1 ^ status2) & 0x10, 0);
	out(&f, LCR, 0);
	out(&f, MCR, status1 ^ 0x10);
	out(&f, LCR, 0xe0);
	status2 = in(&f, IIR); /* does not follow MCR: not an NS16550A SuperIO */
	assert_int_equal(status2 & 0x10, 0);
	out(&f, LCR, 0);
	out(&f, MCR, status1);
	out(&f, FCR, 0x21); /* a TI16750 would set IIR bit 5 */
	assert_int_equal(in(&f, IIR) >> 5, 6);
	out(&f, LCR, 0x80);
	out(&f, FCR, 0x21);
	assert_int_equal(in(&f, IIR) >> 5, 6);
	out(&f, LCR, 0);
	out(&f, IER, 0x40); /* no XScale UUE */
	assert_int_equal(in(&f, IER), 0);
	out(&f, FCR, 0);
	assert_int_equal(in(&f, IIR), 1); /* neither 16550 nor 16550A bits without FIFOs */
	for (unsigned v = 0; v < 256; v++) {
		out(&f, SCR, v);
		assert_int_equal(in(&f, SCR), v);
	}
}

/** serial8250_do_startup(): does THRE interrupt again when it is enabled again? */
static void test_linux_thre_test(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, IER, 2);
	assert_int_equal(in(&f, IIR), 2);
	assert_int_equal(in(&f, IIR), 1);
	out(&f, IER, 0);
	assert_int_equal(in(&f, IIR), 1);
	out(&f, IER, 2);
	assert_int_equal(in(&f, IIR), 2);
	out(&f, IER, 0);
}

static void test_thre(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, MCR, 0x08);
	out(&f, IER, 2);
	assert_true(f.line);
	out(&f, IER, 2); /* no change: nothing new once it is acknowledged */
	assert_int_equal(in(&f, IIR), 2);
	assert_false(f.line);
	out(&f, IER, 2);
	assert_false(f.line);
	out(&f, DATA, 'x'); /* empty again after the character */
	assert_true(f.line);
	assert_int_equal(f.rises, 2);
	out(&f, DATA, 'y'); /* and once more: a new edge, though nobody read IIR */
	assert_true(f.line);
	assert_int_equal(f.rises, 3);
	out(&f, IER, 0);
	assert_false(f.line);
	assert_int_equal(in(&f, LSR), 0x60);
}

/** Reading IIR acknowledges THRE only where THRE is what it reports. */
static void test_priorities(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, MCR, 0x08);
	out(&f, FCR, 0x01);
	out(&f, MCR, 0x1a); /* loopback without DTR, and back */
	out(&f, MCR, 0x08);
	out(&f, IER, 0x0f);
	for (int i = 0; i < 17; i++)
		uart_rx(&f.u, i);
	assert_int_equal(in(&f, IIR), 0xc6);
	assert_int_equal(in(&f, IIR), 0xc6); /* IIR does not clear line status */
	assert_int_equal(in(&f, LSR), 0x63);
	assert_int_equal(in(&f, LSR), 0x61);
	assert_int_equal(in(&f, IIR), 0xc4);
	for (int i = 0; i < 16; i++)
		assert_int_equal(in(&f, DATA), i);
	assert_int_equal(in(&f, IIR), 0xc2);
	assert_int_equal(in(&f, IIR), 0xc0);
	assert_true(f.line);
	assert_int_equal(in(&f, MSR) & 0x0f, 0x02); /* DSR fell and rose; RTS, OUT2 kept theirs */
	assert_int_equal(in(&f, IIR), 0xc1);
	assert_false(f.line);
}

static void test_trigger_and_timeout(void **state)
{
	static const u8 level[4] = {1, 4, 8, 14};
	struct fixture f;

	(void)state;
	for (unsigned t = 0; t < 4; t++) {
		init(&f);
		out(&f, MCR, 0x08);
		out(&f, FCR, t << 6 | 1);
		out(&f, IER, 1);
		for (unsigned n = 1; n <= 16; n++) {
			uart_rx(&f.u, n);
			assert_true(f.line);
			assert_int_equal(in(&f, IIR), n >= level[t] ? 0xc4 : 0xcc);
		}
		assert_int_equal(f.rises, 1);
		for (unsigned n = 15; n; n--) {
			unsigned before = f.rises;

			in(&f, DATA);
			assert_int_equal(in(&f, IIR), n >= level[t] ? 0xc4 : 0xcc);
			assert_int_equal(f.rises - before, n < level[t]);
		}
		assert_int_equal(in(&f, DATA), 16);
		assert_false(f.line);
		assert_int_equal(in(&f, LSR), 0x60);
	}
}

static void test_16450_mode(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, IER, 5);
	assert_int_equal(uart_rx_room(&f.u), 1);
	uart_rx(&f.u, 'a');
	assert_int_equal(uart_rx_room(&f.u), 0);
	assert_int_equal(in(&f, IIR), 4);
	uart_rx(&f.u, 'b'); /* overruns RBR */
	assert_int_equal(in(&f, IIR), 6);
	assert_int_equal(in(&f, LSR), 0x63);
	assert_int_equal(in(&f, IIR), 4);
	assert_int_equal(in(&f, DATA), 'b');
	assert_int_equal(in(&f, LSR), 0x60);
	assert_int_equal(in(&f, DATA), 'b'); /* an empty RBR keeps its contents */
}

static void test_fifo_overrun(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, FCR, 1);
	for (unsigned i = 0; i < 10; i++) { /* move the head, so that the ring wraps */
		uart_rx(&f.u, i);
		in(&f, DATA);
	}
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(uart_rx_room(&f.u), i < 16 ? 16 - i : 0);
		uart_rx(&f.u, 0x40 + i);
	}
	assert_int_equal(in(&f, LSR), 0x63);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(&f, DATA), 0x40 + i);
	assert_int_equal(in(&f, LSR), 0x60);
}

static void test_fcr(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, FCR, 0xc0); /* FCR0 is 0: nothing is programmed */
	assert_int_equal(in(&f, IIR), 1);
	uart_rx(&f.u, 'a');
	out(&f, FCR, 0x02); /* nor cleared */
	assert_int_equal(in(&f, LSR), 0x61);
	out(&f, FCR, 0x01); /* the change of mode clears */
	assert_int_equal(in(&f, LSR), 0x60);
	uart_rx(&f.u, 'b');
	out(&f, FCR, 0x01); /* no change of mode */
	assert_int_equal(in(&f, LSR), 0x61);
	out(&f, FCR, 0x05); /* the transmitter's reset leaves the receiver alone */
	assert_int_equal(in(&f, LSR), 0x61);
	out(&f, FCR, 0x03);
	assert_int_equal(in(&f, LSR), 0x60);
	assert_int_equal(in(&f, IIR), 0xc1);
	uart_rx(&f.u, 'c');
	out(&f, FCR, 0x00);
	assert_int_equal(in(&f, LSR), 0x60);
	assert_int_equal(in(&f, IIR), 1);
}

static void test_loopback(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, FCR, 0x01);
	out(&f, LCR, 0x02); /* seven bits */
	out(&f, MCR, 0x18);
	out(&f, IER, 1);
	out(&f, DATA, 0xc1);
	assert_int_equal(f.nr_sent, 0);
	assert_int_equal(in(&f, LSR), 0x61);
	assert_int_equal(in(&f, IIR), 0xc4); /* interrupts work, but OUT2's pin is inactive */
	assert_false(f.line);
	assert_int_equal(uart_rx_room(&f.u), 0);
	uart_rx(&f.u, 'z'); /* SIN is disconnected */
	assert_int_equal(in(&f, DATA), 0x41);
	assert_int_equal(in(&f, LSR), 0x60);
	for (int i = 0; i < 17; i++)
		out(&f, DATA, i);
	assert_int_equal(in(&f, LSR), 0x63);
	out(&f, MCR, 0x08);
	assert_true(f.line);
}

static void test_modem(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	assert_int_equal(in(&f, MSR), 0xb0);
	out(&f, MCR, 0x10); /* all inputs fall */
	assert_int_equal(in(&f, MSR), 0x0b);
	assert_int_equal(in(&f, MSR), 0x00);
	out(&f, MCR, 0x14); /* RI rises: no delta */
	assert_int_equal(in(&f, MSR), 0x40);
	out(&f, MCR, 0x10); /* its trailing edge */
	assert_int_equal(in(&f, MSR), 0x04);
	out(&f, MCR, 0x11);
	assert_int_equal(in(&f, MSR), 0x22);
	out(&f, MCR, 0x13);
	assert_int_equal(in(&f, MSR), 0x31);
	out(&f, IER, 8);
	assert_int_equal(in(&f, IIR), 1);
	out(&f, MCR, 0x08);
	assert_int_equal(in(&f, IIR), 0);
	assert_true(f.line);
	assert_int_equal(in(&f, MSR), 0xb8);
	assert_false(f.line);
	out(&f, MCR, 0xff); /* bits 5-7 are always 0 */
	assert_int_equal(in(&f, MCR), 0x1f);
	out(&f, MSR, 0x00);
	out(&f, LSR, 0x00);
	assert_int_equal(in(&f, LSR), 0x60);
}

static void test_out2_gates(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, IER, 1);
	uart_rx(&f.u, 'a');
	assert_int_equal(in(&f, IIR), 4);
	assert_false(f.line);
	out(&f, MCR, 0x08);
	assert_true(f.line);
	out(&f, MCR, 0x00);
	assert_false(f.line);
	out(&f, MCR, 0x08);
	in(&f, DATA);
	assert_false(f.line);
	assert_int_equal(f.rises, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_dlab),
		cmocka_unit_test(test_word_length),
		cmocka_unit_test(test_linux_autoconfig),
		cmocka_unit_test(test_linux_thre_test),
		cmocka_unit_test(test_thre),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_trigger_and_timeout),
		cmocka_unit_test(test_16450_mode),
		cmocka_unit_test(test_fifo_overrun),
		cmocka_unit_test(test_fcr),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_modem),
		cmocka_unit_test(test_out2_gates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
