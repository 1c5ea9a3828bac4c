/* SPDX-License-Identifier: MIT */
/* The MC146818's flags and interrupts: periodic, update-ended, alarm. */
#include "rtc_fixture.h"

static void test_periodic(void **state)
{
	static const u64 hz[] = {100000000, 2600000000, 3579545};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		for (unsigned rs = 1; rs < 16; rs++) {
			u64 p = rs == 1 ? 128 : rs == 2 ? 256 : 1u << (rs - 1);

			init_at(&f, hz[i], DATE);
			at(&f, 5);
			out(&f, A, 0x20 | rs);
			in(&f, C);
			out(&f, B, 0x42);
			for (u64 k = 5 / p + 1; k < 5 / p + 50; k++) {
				u64 due = rtc_next_deadline(&f.r);

				at(&f, k * p);
				assert_true(due == f.now);
				rtc_advance(&f.r, due - 1);
				assert_false(f.line);
				rtc_advance(&f.r, due);
				assert_true(f.line);
				assert_true(rtc_next_deadline(&f.r) == NEVER);
				assert_int_equal(in(&f, C) & 0xc0, 0xc0);
				assert_false(f.line);
			}
		}
	}
	out(&f, A, 0x20); /* rate 0: none */
	assert_true(rtc_next_deadline(&f.r) == NEVER);
	out(&f, A, 0x76); /* chain in reset */
	assert_true(rtc_next_deadline(&f.r) == NEVER);
}

/** Flags are set whether enabled or not, and a read clears them all. */
static void test_flags(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, DATE);
	at(&f, 31);
	assert_int_equal(in(&f, C), 0);
	at(&f, 32);
	assert_int_equal(in(&f, C), 0x40);
	assert_int_equal(in(&f, C), 0);
	at(&f, 32768);
	assert_int_equal(in(&f, C), 0x50);
	out(&f, A, 0x20);
	at(&f, 2 * 32768);
	out(&f, B, 0x12); /* enabled after the fact: interrupts at once */
	assert_true(f.line);
	assert_int_equal(in(&f, C), 0x90);
	assert_false(f.line);
	assert_int_equal(f.rises, 1);
}

static void test_update_ended(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, DATE);
	out(&f, B, 0x12);
	for (u64 s = 1; s < 5; s++) {
		u64 due = rtc_next_deadline(&f.r);

		at(&f, s * 32768);
		assert_true(due == f.now);
		rtc_advance(&f.r, f.now);
		assert_int_equal(f.rises, s);
		assert_date(&f, DATE + s); /* the new time is there when the interrupt is */
		assert_int_equal(in(&f, C) & 0x90, 0x90);
	}
	out(&f, B, 0x92); /* SET clears UIE */
	assert_int_equal(in(&f, B), 0x82);
	assert_true(rtc_next_deadline(&f.r) == NEVER);
}

static void alarm_at(struct fixture *f, u8 h, u8 m, u8 s)
{
	out(f, HOUR_ALARM, h);
	out(f, MIN_ALARM, m);
	out(f, SEC_ALARM, s);
	assert_int_equal(in(f, HOUR_ALARM), h);
}

static void assert_alarm_in(struct fixture *f, u64 seconds)
{
	at(f, seconds * 32768);
	assert_true(rtc_next_deadline(&f->r) == f->now);
	at(f, 0);
}

static void test_alarm(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, DATE); /* 07:59:59 */
	out(&f, B, 0x22);
	alarm_at(&f, 0x08, 0x00, 0x10);
	assert_alarm_in(&f, 11);
	alarm_at(&f, 0x07, 0x59, 0x59); /* now: not before tomorrow */
	assert_alarm_in(&f, 86400);
	alarm_at(&f, 0x07, 0x00, 0x00);
	assert_alarm_in(&f, 23 * 3600 + 1);
	alarm_at(&f, 0xff, 0x00, 0x00); /* every hour */
	assert_alarm_in(&f, 1);
	alarm_at(&f, 0xc0, 0xff, 0x58); /* every minute */
	assert_alarm_in(&f, 59);
	alarm_at(&f, 0xff, 0xff, 0xff); /* every second */
	assert_alarm_in(&f, 1);
	alarm_at(&f, 0x09, 0xff, 0xff);
	assert_alarm_in(&f, 3601);
	alarm_at(&f, 0x24, 0x00, 0x00);
	assert_true(rtc_next_deadline(&f.r) == NEVER);
	alarm_at(&f, 0xff, 0x60, 0x00);
	assert_true(rtc_next_deadline(&f.r) == NEVER);
	alarm_at(&f, 0xff, 0xff, 0x60);
	assert_true(rtc_next_deadline(&f.r) == NEVER);

	alarm_at(&f, 0x08, 0x00, 0x10);
	at(&f, 11 * 32768 - 1);
	rtc_advance(&f.r, f.now);
	assert_int_equal(in(&f, C) & 0xa0, 0);
	at(&f, 11 * 32768);
	rtc_advance(&f.r, f.now);
	assert_true(f.line);
	assert_int_equal(in(&f, C) & 0xa0, 0xa0);
	at(&f, 12 * 32768);
	rtc_advance(&f.r, f.now);
	assert_int_equal(in(&f, C) & 0xa0, 0);
	at(&f, (11 + 86400) * 32768ull);
	assert_true(rtc_next_deadline(&f.r) == f.now);
	out(&f, B, 0xa2);
	assert_true(rtc_next_deadline(&f.r) == NEVER); /* no updates, no alarms */
}

static void test_alarm_12h(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, DATE);
	out(&f, B, 0x20);
	alarm_at(&f, 0x80 | 0x12, 0x00, 0x00); /* noon */
	assert_alarm_in(&f, 4 * 3600 + 1);
	alarm_at(&f, 0x12, 0x00, 0x00); /* midnight */
	assert_alarm_in(&f, 16 * 3600 + 1);
}

static void test_hostile(void **state)
{
	struct fixture f;
	u64 seed = 7;

	(void)state;
	init(&f, DATE);
	for (unsigned i = 0; i < 100000; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		u8 v = seed >> 33, r = seed >> 41, d = seed >> 49;

		f.now += d % 8 ? (u64)d * 1000 : (u64)d * 9000000000ull;
		rtc_write(&f.r, 0, 1, r & 0x80 ? r : r % 16);
		if (d & 16)
			rtc_write(&f.r, 1, 1, r % 16 == A ? (v & 0x8f) | 0x20 : v);
		else
			rtc_read(&f.r, 1, 1);
		rtc_advance(&f.r, f.now);
		assert_true(rtc_next_deadline(&f.r) > f.now);
	}
	assert_true(f.rises > 100);
	f.now = 3;
	for (unsigned i = 0; i < 128; i++)
		out(&f, i, in(&f, i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_periodic),     cmocka_unit_test(test_flags),
		cmocka_unit_test(test_update_ended), cmocka_unit_test(test_alarm),
		cmocka_unit_test(test_alarm_12h),    cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
