/* SPDX-License-Identifier: MIT */
/* The 8254's six modes against the data sheet's mode definitions and timing diagrams. */
#include "pit_fixture.h"

/** Mode 0: OUT rises N+1 CLK pulses after the count is written, and CE goes on below zero. */
static void test_mode0(void **state)
{
	static const u64 hz[] = {100000000, 2600000000, 3579545};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		init_hz(&f, hz[i]);
		load(&f, 0, 0x30, 1000);
		assert_false(f.line);
		assert_int_equal(f.falls, 1);
		assert_int_equal(status(&f, 0), 0x40 | 0x30);
		at(&f, 1);
		assert_int_equal(status(&f, 0), 0x30);
		assert_int_equal(latch(&f, 0), 1000);
		assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 1001));
		at(&f, 1001);
		f.now--;
		pit_advance(&f.p, f.now);
		assert_int_equal(latch(&f, 0), 1);
		assert_int_equal(f.rises, 0);
		f.now++;
		pit_advance(&f.p, f.now);
		assert_int_equal(f.rises, 1);
		assert_true(f.line);
		assert_int_equal(latch(&f, 0), 0);
		assert_int_equal(status(&f, 0), 0xb0);
		assert_true(pit_next_deadline(&f.p) == NEVER);
		at(&f, 1002);
		assert_int_equal(latch(&f, 0), 0xffff);
		at(&f, 1001 + 65536);
		assert_true(level(&f, 0));
		out(&f, 0x40, 5); /* the first byte of a pair: OUT falls, counting stops */
		assert_false(f.line);
		at(&f, 1001 + 65536 + 9);
		assert_int_equal(latch(&f, 0), 0);
		out(&f, 0x40, 0);
		at(&f, 1001 + 65536 + 9 + 6);
		pit_advance(&f.p, f.now);
		assert_int_equal(f.rises, 2);
	}
}

static void test_mode0_gate(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 2, 0x30, 4); /* gate 2 is low: loaded, not counting */
	at(&f, 50);
	assert_int_equal(latch(&f, 2), 4);
	assert_int_equal(status(&f, 2), 0x30);
	assert_int_equal(in(&f, 0x61) & 0x21, 0);
	out(&f, 0x61, 1);
	at(&f, 52);
	assert_int_equal(latch(&f, 2), 2);
	out(&f, 0x61, 0);
	at(&f, 90);
	assert_int_equal(latch(&f, 2), 2);
	out(&f, 0x61, 3);
	at(&f, 91);
	assert_int_equal(in(&f, 0x61) & 0x23, 0x03);
	at(&f, 92); /* N pulses of GATE in all: no CLK pulse is needed for the load */
	assert_int_equal(in(&f, 0x61) & 0x23, 0x23);
	out(&f, 0x61, 0);
	assert_true(level(&f, 2)); /* GATE has no effect on OUT */
	assert_true(pit_next_deadline(&f.p) == NEVER);
}

/** Linux, pit_calibrate_tsc() and quick_pit_calibrate(): channel 2 with the gate open. */
static void test_linux_calibration(void **state)
{
	struct fixture f;
	u64 start, tsc_end;

	(void)state;
	init_hz(&f, 2600000000);
	out(&f, 0x61, (in(&f, 0x61) & ~2) | 1);
	start = f.now;
	load(&f, 2, 0x30, PIT_HZ / 100 + 1);
	for (tsc_end = start; !(in(&f, 0x61) & 0x20); f.now += 137)
		tsc_end = f.now;
	tsc_end = f.now - 137;
	assert_true(tsc_end - start >= 26000000 && tsc_end - start < 26000000 + 6600);

	load(&f, 2, 0x30, 0xffff);
	mark(&f);
	for (unsigned i = 1; i <= 600; i++) { /* the pair is read without a latch */
		u8 lo, hi;

		at(&f, 1 + i * 100);
		lo = in(&f, 0x42);
		hi = in(&f, 0x42);
		assert_int_equal(hi << 8 | lo, 0xffff - i * 100);
	}
}

static void test_mode1(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 2, 0x12, 3);
	at(&f, 10);
	assert_int_equal(status(&f, 2), 0x80 | 0x40 | 0x12); /* not loaded before a trigger */
	out(&f, 0x61, 1);
	assert_true(level(&f, 2));
	at(&f, 11);
	assert_int_equal(status(&f, 2), 0x12);
	assert_int_equal(in(&f, 0x42), 3);
	out(&f, 0x61, 0); /* the gate's level does not matter */
	at(&f, 13);
	assert_false(level(&f, 2));
	assert_int_equal(in(&f, 0x42), 1);
	out(&f, 0x42, 2); /* a new count waits for the next trigger */
	out(&f, 0x61, 1); /* retriggered: stays low without a gap */
	assert_int_equal(status(&f, 2), 0x40 | 0x12);
	at(&f, 14);
	assert_int_equal(in(&f, 0x42), 2);
	assert_false(level(&f, 2));
	at(&f, 15);
	assert_false(level(&f, 2));
	at(&f, 16);
	assert_true(level(&f, 2));
	assert_int_equal(in(&f, 0x42), 0);
	at(&f, 17);
	assert_int_equal(in(&f, 0x42), 0xff);
	out(&f, 0x42, 2); /* same count: null until loaded all the same */
	at(&f, 20);
	assert_int_equal(status(&f, 2), 0xc0 | 0x12);
}

static void test_mode2(void **state)
{
	static const u64 hz[] = {100000000, 2600000000, 3579545};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		init_hz(&f, hz[i]);
		load(&f, 0, 0x34, 4);
		for (unsigned n = 0; n < 41; n++) {
			at(&f, 1 + n);
			assert_int_equal(latch(&f, 0), 4 - n % 4);
			assert_int_equal(level(&f, 0), n % 4 != 3);
		}
	}
}

/** A million periods later the edge is still where arithmetic puts it. */
static void test_mode2_no_drift(void **state)
{
	static const u64 hz[] = {100000000, 2600000000, 3579545};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		init_hz(&f, hz[i]);
		load(&f, 0, 0x34, 4773); /* HZ=250 */
		for (u64 k = 1; k <= 1000; k++) {
			assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 1 + k * 4773));
			f.now = pit_next_deadline(&f.p) + k % 50;
			pit_advance(&f.p, f.now);
			assert_int_equal(f.rises, k);
		}
		at(&f, 1 + 1000000ull * 4773 - 1);
		pit_advance(&f.p, f.now);
		assert_int_equal(f.rises, 1001); /* missed edges are one */
		assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 1 + 1000000ull * 4773));
		pit_advance(&f.p, f.now);
		assert_int_equal(f.rises, 1001);
	}
}

/** A period too short to live with is thinned out, in phase. */
static void test_mode2_too_fast(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x34, 7);
	at(&f, 8);
	assert_true(pit_next_deadline(&f.p) == f.now);
	pit_advance(&f.p, f.now);
	assert_int_equal(f.rises, 1);
	/* 35 periods on. */
	assert_in_range(35 * 7, PIT_MIN_PERIOD, PIT_MIN_PERIOD + 7);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 8 + 35 * 7));
	/* Only the interrupt: the counter goes on. */
	at(&f, 18);
	assert_int_equal(latch(&f, 0), 4);
}

/** A new count takes over at the end of the present cycle. */
static void test_mode2_new_count(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x34, 10);
	at(&f, 14); /* 13 pulses: 3 into the second cycle, which ends at 21 */
	pit_advance(&f.p, f.now);
	out(&f, 0x40, 6);
	out(&f, 0x40, 0);
	assert_int_equal(status(&f, 0) & 0x40, 0x40);
	assert_int_equal(latch(&f, 0), 7);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 21));
	at(&f, 20);
	assert_int_equal(latch(&f, 0), 1);
	assert_int_equal(status(&f, 0) & 0xc0, 0x40);
	at(&f, 21);
	pit_advance(&f.p, f.now);
	assert_int_equal(latch(&f, 0), 6);
	assert_int_equal(status(&f, 0) & 0xc0, 0x80);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 27));
	at(&f, 26);
	assert_int_equal(latch(&f, 0), 1);
	at(&f, 24); /* written twice before the cycle ends: the last one counts */
	out(&f, 0x40, 50);
	out(&f, 0x40, 0);
	out(&f, 0x40, 3);
	out(&f, 0x40, 0);
	at(&f, 27 + 2);
	assert_int_equal(latch(&f, 0), 1);
	assert_false(level(&f, 0));
}

static void test_mode2_gate(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	out(&f, 0x61, 1);
	load(&f, 2, 0x34, 5);
	at(&f, 5); /* the low tick */
	assert_int_equal(latch(&f, 2), 1);
	assert_false(level(&f, 2));
	out(&f, 0x61, 0); /* OUT goes high at once */
	assert_true(level(&f, 2));
	at(&f, 9);
	assert_int_equal(latch(&f, 2), 1);
	assert_true(level(&f, 2));
	out(&f, 0x61, 1); /* a trigger reloads on the next CLK; OUT is low N pulses after it */
	at(&f, 10);
	assert_int_equal(latch(&f, 2), 5);
	at(&f, 13);
	assert_true(level(&f, 2));
	at(&f, 14);
	assert_false(level(&f, 2));
	at(&f, 15);
	assert_true(level(&f, 2));
}

static void test_mode3(void **state)
{
	static const u8 even[] = {4, 2, 4, 2}, odd[] = {4, 2, 0, 4, 2};
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x36, 4);
	for (unsigned n = 0; n < 20; n++) {
		at(&f, 1 + n);
		assert_int_equal(latch(&f, 0), even[n % 4]);
		assert_int_equal(level(&f, 0), n % 4 < 2);
	}
	init(&f);
	load(&f, 0, 0x36, 5);
	for (unsigned n = 0; n < 25; n++) {
		at(&f, 1 + n);
		assert_int_equal(latch(&f, 0), odd[n % 5]);
		assert_int_equal(level(&f, 0), n % 5 < 3);
	}
	init(&f);
	load(&f, 0, 0x3e, 0); /* mode bits 111 are mode 3; 0 is 65536 */
	assert_int_equal(status(&f, 0) & 0x3f, 0x36);
	for (u64 k = 1; k < 5; k++) {
		assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 1 + k * 65536));
		f.now = pit_next_deadline(&f.p);
		pit_advance(&f.p, f.now);
		assert_int_equal(f.rises, k);
	}
	at(&f, 1 + 5 * 65536 + 32767);
	assert_true(level(&f, 0));
	at(&f, 1 + 5 * 65536 + 32768);
	assert_false(level(&f, 0));
}

/** Mode 3: a new count takes over at the end of the half cycle. */
static void test_mode3_new_count(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x36, 500);
	at(&f, 101); /* in the high half, which ends at 251 */
	out(&f, 0x40, 1000 & 0xff);
	out(&f, 0x40, 1000 >> 8);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 751));
	at(&f, 250);
	assert_true(level(&f, 0));
	at(&f, 251);
	assert_int_equal(status(&f, 0) & 0xc0, 0);
	assert_int_equal(latch(&f, 0), 1000);
	at(&f, 750);
	assert_false(level(&f, 0));
	at(&f, 751);
	assert_true(level(&f, 0));
	pit_advance(&f.p, f.now);
	assert_int_equal(f.rises, 1);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 1751));
	at(&f, 1500); /* in the low half */
	out(&f, 0x40, 351 & 0xff);
	out(&f, 0x40, 351 >> 8);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 1751));
	at(&f, 1751);
	pit_advance(&f.p, f.now);
	assert_int_equal(f.rises, 2);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 2102));
	at(&f, 1926);
	assert_true(level(&f, 0));
	at(&f, 1927);
	assert_false(level(&f, 0));
}

static void test_mode4(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x38, 3);
	at(&f, 3);
	assert_true(level(&f, 0));
	at(&f, 4); /* N+1 pulses after the write: low for one */
	assert_false(level(&f, 0));
	assert_int_equal(latch(&f, 0), 0);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 5));
	at(&f, 5);
	pit_advance(&f.p, f.now);
	assert_true(level(&f, 0));
	assert_int_equal(f.rises, 1);
	assert_true(pit_next_deadline(&f.p) == NEVER);
	out(&f, 0x40, 10); /* the first byte does not disturb the counting */
	at(&f, 7);
	assert_int_equal(latch(&f, 0), 0xfffd);
	out(&f, 0x40, 0);
	at(&f, 8);
	assert_int_equal(latch(&f, 0), 10);
	out(&f, 0x40, 2); /* retriggered by software */
	out(&f, 0x40, 0);
	at(&f, 8 + 4);
	pit_advance(&f.p, f.now);
	assert_int_equal(f.rises, 2);
}

static void test_mode5(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 2, 0x1a, 3);
	at(&f, 20);
	assert_true(level(&f, 2));
	out(&f, 0x61, 1);
	at(&f, 22);
	out(&f, 0x61, 0);
	out(&f, 0x61, 1); /* retriggered */
	at(&f, 25);
	assert_true(level(&f, 2));
	at(&f, 26);
	assert_false(level(&f, 2));
	at(&f, 27);
	assert_true(level(&f, 2));
}

static void test_bcd(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x31, 0x1000);
	at(&f, 1);
	assert_int_equal(latch(&f, 0), 0x1000);
	at(&f, 2);
	assert_int_equal(latch(&f, 0), 0x0999);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 1001));
	at(&f, 1002);
	assert_int_equal(latch(&f, 0), 0x9999);
	load(&f, 0, 0x35, 0); /* 10000 */
	mark(&f);
	at(&f, 1);
	assert_int_equal(latch(&f, 0), 0);
	at(&f, 2);
	assert_int_equal(latch(&f, 0), 0x9999);
	assert_true(pit_next_deadline(&f.p) == tsc(&f, f.mark + 10001));
	load(&f, 0, 0x31, 0xffff); /* nonsense, but harmless */
	at(&f, 5);
	latch(&f, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode0),
		cmocka_unit_test(test_mode0_gate),
		cmocka_unit_test(test_linux_calibration),
		cmocka_unit_test(test_mode1),
		cmocka_unit_test(test_mode2),
		cmocka_unit_test(test_mode2_no_drift),
		cmocka_unit_test(test_mode2_too_fast),
		cmocka_unit_test(test_mode2_new_count),
		cmocka_unit_test(test_mode2_gate),
		cmocka_unit_test(test_mode3),
		cmocka_unit_test(test_mode3_new_count),
		cmocka_unit_test(test_mode4),
		cmocka_unit_test(test_mode5),
		cmocka_unit_test(test_bcd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
