/* SPDX-License-Identifier: MIT */
/* ACPI's fixed registers, the PM timer, and the reset ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guest/pm.h"

struct fixture {
	struct pm p;
	struct gclock clock;
	u64 now;
	bool line;
	unsigned rises;
};

static u64 now(void *ctx)
{
	return ((struct fixture *)ctx)->now;
}

static void irq_set(void *ctx, unsigned gsi, bool level)
{
	struct fixture *f = ctx;

	assert_int_equal(gsi, 9);
	assert_true(level != f->line);
	f->line = level;
	f->rises += level;
}

static void init(struct fixture *f, u64 hz)
{
	struct irq_sink irq = {irq_set, f};

	memset(f, 0, sizeof(*f));
	f->clock = (struct gclock){now, f, hz};
	f->now = 12345;
	pm_init(&f->p, &f->clock, &irq);
}

/** First TSC of a PM timer tick. */
static u64 tsc(const struct fixture *f, u64 tick)
{
	return ((unsigned __int128)tick * f->clock.tsc_hz + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
}

static void test_timer(void **state)
{
	static const u64 hz[] = {100000000, 2600000000, 3579545};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		init(&f, hz[i]);
		f.now = tsc(&f, 0x12345678);
		assert_int_equal(pm_read(&f.p, 8, 4), 0x12345678);
		f.now--;
		assert_int_equal(pm_read(&f.p, 8, 4), 0x12345677);
		assert_int_equal(pm_read(&f.p, 8, 1), 0x77);
		assert_int_equal(pm_read(&f.p, 10, 2), 0x1234);
		f.now = tsc(&f, 0x7fedcba98ull); /* 32 bits, then around */
		assert_int_equal(pm_read(&f.p, 8, 4), 0xfedcba98);
		f.now = 3600 * hz[i];
		assert_int_equal(pm_read(&f.p, 8, 4), (u32)(3600 * PM_TIMER_HZ));
	}
}

static void test_timer_status(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 100000000);
	assert_int_equal(pm_read(&f.p, 0, 2), 0);
	f.now = tsc(&f, 0x80000000) - 1;
	assert_int_equal(pm_read(&f.p, 0, 2), 0);
	f.now++;
	assert_int_equal(pm_read(&f.p, 0, 2), 1);
	pm_write(&f.p, 0, 2, 0); /* only 1 clears */
	assert_int_equal(pm_read(&f.p, 0, 2), 1);
	pm_write(&f.p, 0, 2, 1);
	assert_int_equal(pm_read(&f.p, 0, 2), 0);
	f.now = tsc(&f, 0x100000000); /* and back to clear */
	assert_int_equal(pm_read(&f.p, 0, 2), 1);
	assert_int_equal(f.rises, 0);
	assert_true(pm_next_deadline(&f.p) == NEVER);
	pm_write(&f.p, 2, 2, 1); /* enabled after the fact */
	assert_true(f.line);
	assert_true(pm_next_deadline(&f.p) == NEVER);
	pm_write(&f.p, 0, 1, 1);
	assert_false(f.line);
	assert_true(pm_next_deadline(&f.p) == tsc(&f, 0x180000000));
	f.now = pm_next_deadline(&f.p);
	pm_advance(&f.p, f.now - 1);
	assert_false(f.line);
	pm_advance(&f.p, f.now);
	assert_true(f.line);
	assert_int_equal(pm_read(&f.p, 0, 2), 1);
	pm_write(&f.p, 2, 2, 0);
	assert_false(f.line);
}

static void test_enable(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 100000000);
	pm_write(&f.p, 2, 2, 0xffff);
	assert_int_equal(pm_read(&f.p, 2, 2), 0x0421);
	pm_write(&f.p, 3, 1, 0x00);
	assert_int_equal(pm_read(&f.p, 2, 2), 0x0021);
	pm_write(&f.p, 2, 1, 0x20);
	assert_int_equal(pm_read(&f.p, 2, 2), 0x0020);
	pm_write(&f.p, 0, 4, 0x0001ffff); /* status and enable in one access */
	assert_int_equal(pm_read(&f.p, 0, 4), 0x00010000);
}

static void test_control(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 100000000);
	assert_int_equal(pm_read(&f.p, 4, 2), 1); /* SCI_EN */
	pm_write(&f.p, 4, 2, 0);
	assert_int_equal(pm_read(&f.p, 4, 2), 1);
	pm_write(&f.p, 4, 2, 0xffff & ~0x2000); /* GBL_RLS, SLP_EN are write-only */
	assert_int_equal(pm_read(&f.p, 4, 2), 0x1c03);
	assert_int_equal(pm_read(&f.p, 4, 4), 0x1c03);
	assert_int_equal(pm_read(&f.p, 12, 4), 0);
	assert_int_equal(pm_read(&f.p, 16, 8), 0);
	pm_write(&f.p, 6, 2, 0xffff);
	pm_write(&f.p, 8, 8, ~0ull);
	assert_int_equal(f.p.request, PM_NONE);
}

static void test_poweroff(void **state)
{
	struct fixture f;

	(void)state;
	for (unsigned type = 0; type < 8; type++) {
		init(&f, 100000000);
		pm_write(&f.p, 4, 2, type << 10 | 1); /* ACPICA: first the type ... */
		assert_int_equal(f.p.request, PM_NONE);
		pm_write(&f.p, 4, 2, 0x2000 | type << 10 | 1); /* ... then SLP_EN with it */
		assert_int_equal(f.p.request, type == 5 ? PM_POWEROFF : PM_NONE);
		assert_int_equal(pm_read(&f.p, 4, 2) & 0x2000, 0);
	}
	init(&f, 100000000);
	pm_write(&f.p, 5, 1, 0x34);
	assert_int_equal(f.p.request, PM_POWEROFF);
	pm_cf9_write(&f.p, 0, 1, 6); /* the first request stands */
	assert_int_equal(f.p.request, PM_POWEROFF);
}

static void test_cf9(void **state)
{
	static const u8 resets[] = {0x04, 0x06, 0x0e};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(resets); i++) {
		init(&f, 100000000);
		pm_cf9_write(&f.p, 0, 1, 0xfb);
		assert_int_equal(pm_cf9_read(&f.p, 0, 1), 0x0a);
		assert_int_equal(f.p.request, PM_NONE);
		pm_cf9_write(&f.p, 0, 1, resets[i]);
		assert_int_equal(f.p.request, PM_RESET);
	}
}

static void test_kbd(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 100000000);
	assert_int_equal(pm_kbd_read(&f.p, 0, 1), 0xff);
	for (unsigned c = 0; c < 256; c++) {
		init(&f, 100000000);
		pm_kbd_command(&f.p, 0, 1, c);
		assert_int_equal(f.p.request, c >= 0xf0 && !(c & 1) ? PM_RESET : PM_NONE);
	}
	init(&f, 100000000);
	pm_kbd_data(&f.p, 0, 1, 0xfe);
	pm_kbd_command(&f.p, 0, 1, 0xd1);
	pm_kbd_data(&f.p, 0, 1, 0xdf); /* A20 on, no reset */
	pm_kbd_data(&f.p, 0, 1, 0xfe); /* no longer the output port */
	assert_int_equal(f.p.request, PM_NONE);
	pm_kbd_command(&f.p, 0, 1, 0xd1);
	pm_kbd_data(&f.p, 0, 1, 0xfe);
	assert_int_equal(f.p.request, PM_RESET);
}

static void test_port92(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 100000000);
	assert_int_equal(pm_port92_read(&f.p, 0, 1), 2); /* A20 is on */
	pm_port92_write(&f.p, 0, 1, 0xfe);
	pm_port92_write(&f.p, 0, 1, 0);
	assert_int_equal(pm_port92_read(&f.p, 0, 1), 2);
	assert_int_equal(f.p.request, PM_NONE);
	pm_port92_write(&f.p, 0, 1, 1);
	assert_int_equal(f.p.request, PM_RESET);
	assert_int_equal(pm_port92_read(&f.p, 0, 1), 3);
	f.p.request = PM_NONE;
	pm_port92_write(&f.p, 0, 1, 3); /* was set already */
	assert_int_equal(f.p.request, PM_NONE);
	pm_port92_write(&f.p, 0, 1, 2);
	pm_port92_write(&f.p, 0, 1, 3);
	assert_int_equal(f.p.request, PM_RESET);
}

static void test_debug_exit(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 100000000);
	assert_int_equal(pm_debug_exit_read(&f.p, 0, 4), 0);
	assert_int_equal(f.p.request, PM_NONE);
	pm_debug_exit_write(&f.p, 0, 4, 0xfedcba98);
	assert_int_equal(f.p.request, PM_DEBUG_EXIT);
	assert_int_equal(f.p.exit_code, 0xfedcba98);
	pm_debug_exit_write(&f.p, 0, 1, 7); /* the first verdict stands */
	assert_int_equal(f.p.exit_code, 0xfedcba98);
	init(&f, 100000000);
	pm_debug_exit_write(&f.p, 3, 1, 0x1ff);
	assert_int_equal(f.p.exit_code, 0xff);
	init(&f, 100000000);
	pm_debug_exit_write(&f.p, 0, 2, 0);
	assert_int_equal(f.p.request, PM_DEBUG_EXIT);
	init(&f, 100000000);
	pm_cf9_write(&f.p, 0, 1, 6); /* too late for a verdict */
	pm_debug_exit_write(&f.p, 0, 4, 5);
	assert_int_equal(f.p.request, PM_RESET);
	assert_int_equal(f.p.exit_code, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timer),	   cmocka_unit_test(test_timer_status),
		cmocka_unit_test(test_enable),	   cmocka_unit_test(test_control),
		cmocka_unit_test(test_poweroff),   cmocka_unit_test(test_cf9),
		cmocka_unit_test(test_port92),	   cmocka_unit_test(test_kbd),
		cmocka_unit_test(test_debug_exit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
