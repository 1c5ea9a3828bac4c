/* SPDX-License-Identifier: MIT */
/* The MC146818's clock and memory; libc's calendar is the oracle for dates. */
#include "rtc_fixture.h"

static void test_reset(void **state)
{
	struct fixture f;
	u16 sum = 0;

	(void)state;
	init(&f, DATE);
	assert_int_equal(in(&f, A), 0x26);
	assert_int_equal(in(&f, B), 0x02);
	assert_int_equal(in(&f, C), 0x00);
	assert_int_equal(in(&f, D), 0x80);
	assert_int_equal(rtc_read(&f.r, 0, 1), 0xff);
	assert_true(rtc_next_deadline(&f.r) == NEVER);
	assert_int_equal(in(&f, 0x15) | in(&f, 0x16) << 8, 640);
	assert_int_equal(in(&f, 0x17) | in(&f, 0x18) << 8, 65535);
	assert_int_equal(in(&f, 0x34) | in(&f, 0x35) << 8, (512 - 16) * 16);
	for (unsigned i = 0x10; i <= 0x2d; i++)
		sum += in(&f, i);
	assert_int_equal(in(&f, 0x2e) << 8 | in(&f, 0x2f), sum);
	out(&f, 0xd0, 0x5a); /* bit 7 of the index is the NMI mask */
	assert_int_equal(in(&f, 0x50), 0x5a);
	out(&f, C, 0xff);
	out(&f, D, 0x00);
	assert_int_equal(in(&f, C), 0);
	assert_int_equal(in(&f, D), 0x80);
}

static void test_small_memory(void **state)
{
	struct fixture f;
	struct irq_sink irq = {irq_set, &f};

	(void)state;
	init(&f, DATE);
	rtc_init(&f.r, &f.clock, &irq, DATE, MIB(16));
	assert_int_equal(in(&f, 0x30) | in(&f, 0x31) << 8, 15 * 1024);
	assert_int_equal(in(&f, 0x34) | in(&f, 0x35) << 8, 0);
	rtc_init(&f.r, &f.clock, &irq, DATE, KIB(640));
	assert_int_equal(in(&f, 0x17) | in(&f, 0x18) << 8, 0);
}

static void test_dates(void **state)
{
	static const u64 dates[] = {0,
				    951782399 /* 2000-02-28 23:59:59 */,
				    951868799, /* 2000-02-29 */
				    DATE,
				    1709251199 /* 2024-02-29 */,
				    1735689599 /* new year */,
				    4107542399 /* 2100-02-28: no leap year */,
				    253402300799 /* 9999-12-31 23:59:59 */};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(dates); i++) {
		init(&f, dates[i]);
		assert_date(&f, dates[i]);
		at(&f, 32767);
		assert_date(&f, dates[i]);
		if (dates[i] < 253402300799) {
			at(&f, 32768);
			assert_date(&f, dates[i] + 1);
		}
	}
	init(&f, 0);
	for (u64 t = 0; t < 200ull * 365 * 86400; t += 86400 * 13 + 3607) {
		at(&f, t * 32768);
		assert_date(&f, t);
	}
}

static void test_second_is_exact(void **state)
{
	static const u64 hz[] = {100000000, 2600000000, 3579545};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		init_at(&f, hz[i], DATE);
		f.now += hz[i] * 100000; /* whole seconds */
		assert_date(&f, DATE + 100000);
		f.now--;
		assert_date(&f, DATE + 99999);
	}
}

static void test_formats(void **state)
{
	static const struct {
		u8 hour, h12;
	} hours[] = {{0, 12}, {1, 1}, {11, 11}, {12, 0x80 | 12}, {13, 0x80 | 1}, {23, 0x80 | 11}};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hours); i++) {
		init(&f, DATE - 7 * 3600 + hours[i].hour * 3600);
		out(&f, B, 0x06);
		assert_int_equal(in(&f, HOUR), hours[i].hour);
		assert_int_equal(in(&f, MIN_), 59);
		assert_int_equal(in(&f, YEAR), 26);
		assert_int_equal(in(&f, 0x32), 20);
		out(&f, B, 0x04);
		assert_int_equal(in(&f, HOUR), hours[i].h12);
		out(&f, B, 0x00);
		assert_int_equal(in(&f, HOUR), bcd(hours[i].h12 & 0x7f) | (hours[i].h12 & 0x80));
		out(&f, B, 0x80); /* and in again */
		out(&f, HOUR, in(&f, HOUR));
		out(&f, B, 0x00);
		out(&f, B, 0x02);
		assert_int_equal(in(&f, HOUR), bcd(hours[i].hour));
	}
}

/** UIP is clear most of the time: set in the last 244 us before the update only. */
static void test_uip(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, DATE);
	for (u64 s = 0; s < 3; s++) {
		for (u64 t = 0; t < 32768; t += t < 32700 ? 50 : 1) {
			at(&f, s * 32768 + t);
			assert_int_equal(in(&f, A), t >= 32768 - 8 ? 0xa6 : 0x26);
		}
	}
	out(&f, B, 0x82); /* no update cycles, no UIP */
	at(&f, 4 * 32768 - 1);
	assert_int_equal(in(&f, A), 0x26);
	out(&f, A, 0xa6); /* UIP cannot be written */
	assert_int_equal(in(&f, A), 0x26);
}

/** SET stops the clock, but not the chain: the next update is at the chain's next second. */
static void test_set(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, DATE);
	at(&f, 1000);
	out(&f, B, 0x82);
	at(&f, 10 * 32768 + 20000);
	assert_date(&f, DATE);
	out(&f, SEC, 0x30);
	out(&f, MIN_, 0x15);
	out(&f, HOUR, 0x23);
	out(&f, WDAY, 0x05);
	out(&f, DAY, 0x31);
	out(&f, MONTH, 0x12);
	out(&f, YEAR, 0x99);
	out(&f, 0x32, 0x19);
	assert_int_equal(in(&f, SEC), 0x30);
	out(&f, B, 0x02);
	assert_int_equal(in(&f, SEC), 0x30);
	at(&f, 11 * 32768 - 1);
	assert_int_equal(in(&f, SEC), 0x30);
	at(&f, 11 * 32768);
	assert_int_equal(in(&f, SEC), 0x31);
	at(&f, (11 + 3600) * 32768);
	assert_int_equal(in(&f, YEAR), 0x00);
	assert_int_equal(in(&f, 0x32), 0x20);
	assert_int_equal(in(&f, DAY), 0x01);
	assert_int_equal(in(&f, WDAY), 0x06); /* counts on from what was written */
}

/** Linux, mc146818_set_time(): SET, divider reset, the date, SET off, divider on: the first update
 *  follows half a second after. */
static void test_linux_set_time(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, 86400);
	at(&f, 31000);
	out(&f, B, 0x82);
	out(&f, A, 0x76);
	out(&f, YEAR, 0x26);
	out(&f, MONTH, 0x11);
	out(&f, DAY, 0x22);
	out(&f, HOUR, 0x07);
	out(&f, MIN_, 0x59);
	out(&f, SEC, 0x59);
	out(&f, WDAY, 0x01);
	out(&f, 0x32, 0x20);
	out(&f, B, 0x02);
	at(&f, 100000);
	assert_int_equal(in(&f, SEC), 0x59); /* still in reset */
	out(&f, A, 0x26);
	assert_date(&f, DATE);
	at(&f, 100000 + 16383);
	assert_date(&f, DATE);
	at(&f, 100000 + 16384);
	assert_date(&f, DATE + 1);
	at(&f, 100000 + 16384 + 32768);
	assert_date(&f, DATE + 2);
}

/** Without SET a register can be written too; the phase of the second stays. */
static void test_write_running(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, DATE);
	at(&f, 20000);
	out(&f, HOUR, 0x12);
	assert_int_equal(in(&f, HOUR), 0x12);
	assert_int_equal(in(&f, SEC), 0x59);
	at(&f, 32767);
	assert_int_equal(in(&f, SEC), 0x59);
	at(&f, 32768);
	assert_int_equal(in(&f, SEC), 0x00);
	assert_int_equal(in(&f, HOUR), 0x13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),	      cmocka_unit_test(test_small_memory),
		cmocka_unit_test(test_dates),	      cmocka_unit_test(test_second_is_exact),
		cmocka_unit_test(test_formats),	      cmocka_unit_test(test_uip),
		cmocka_unit_test(test_set),	      cmocka_unit_test(test_linux_set_time),
		cmocka_unit_test(test_write_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
