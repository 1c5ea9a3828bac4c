/* SPDX-License-Identifier: MIT */
/* The watchdog's judgement: what is progress, what is not, and when a heart has stopped. */
#include "watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exit_reasons.h"

#define SECOND 1000u

static struct watchdog w;
static const struct watchdog_point cpuid = {0x1000, 7, 2, EXIT_REASON_CPUID};

static int two_seconds(void **state)
{
	(void)state;
	watchdog_init(&w, 2 * SECOND, SECOND);
	return 0;
}

static void test_off(void **state)
{
	(void)state;
	watchdog_init(&w, 0, SECOND);
	assert_true(w.next_look == NEVER);
	watchdog_beat(&w, SECOND, 5);
	assert_false(watchdog_heart_stopped(&w, 1000 * SECOND));
}

static void test_looks(void **state)
{
	(void)state;
	assert_int_equal(w.next_look, 0);
	assert_int_equal(w.period, SECOND / 2);
}

/** Exits of one point at each tick from `from` on; when the watchdog bit, or 0. */
static u64 bites(const struct watchdog_point *p, u64 from, u64 to)
{
	for (u64 now = from; now <= to; now++) {
		if (watchdog_exit(&w, p, false, now))
			return now;
	}
	return 0;
}

static void test_no_progress(void **state)
{
	(void)state;
	watchdog_look_closely(&w);
	assert_int_equal(bites(&cpuid, 100, 10 * SECOND), 100 + 2 * SECOND);
	assert_int_equal(w.since, 100);
	assert_int_equal(w.alike, 2 * SECOND + 1);
}

static void test_any_difference_is_progress(void **state)
{
	struct watchdog_point other[4] = {cpuid, cpuid, cpuid, cpuid};

	(void)state;
	other[0].rip++;
	other[1].rcx--;
	other[2].rflags |= 0x40;
	other[3].reason = EXIT_REASON_RDMSR;
	for (unsigned i = 0; i < 4; i++) {
		watchdog_look_closely(&w);
		assert_int_equal(bites(&cpuid, 0, 2 * SECOND - 1), 0);
		assert_true(w.close);
		assert_false(watchdog_exit(&w, &other[i], false, 2 * SECOND));
		assert_false(w.close);
		/* Looked at anew, it has all the time once more. */
		watchdog_look_closely(&w);
		assert_int_equal(bites(&cpuid, 3 * SECOND, 9 * SECOND), 5 * SECOND);
		two_seconds(NULL);
	}
}

static void test_interrupts_are_progress(void **state)
{
	(void)state;
	watchdog_look_closely(&w);
	assert_int_equal(bites(&cpuid, 0, SECOND), 0);
	assert_false(watchdog_exit(&w, &cpuid, true, 5 * SECOND));
	assert_false(w.close);
}

static void test_what_comes_from_outside(void **state)
{
	static const u32 outside[] = {EXIT_REASON_EXTERNAL_INTERRUPT, EXIT_REASON_INTERRUPT_WINDOW,
				      EXIT_REASON_NMI_WINDOW, EXIT_REASON_PREEMPTION_TIMER};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(outside); i++) {
		const struct watchdog_point tick = {0x1002, 1, 3, outside[i]};

		assert_true(watchdog_ignores(outside[i]));
		assert_false(watchdog_suspects(outside[i]));
		/* Alone it is no sign of anything, in between it changes nothing. */
		two_seconds(NULL);
		watchdog_look_closely(&w);
		assert_int_equal(bites(&tick, 0, 5 * SECOND), 0);
		assert_true(w.close);
		assert_int_equal(bites(&cpuid, 5 * SECOND, 6 * SECOND), 0);
		assert_int_equal(bites(&tick, 6 * SECOND, 6 * SECOND + 10), 0);
		assert_int_equal(bites(&cpuid, 6 * SECOND, 20 * SECOND), 7 * SECOND);
	}
}

static void test_who_halts_waits(void **state)
{
	const struct watchdog_point hlt = {0x1000, 7, 0x202, EXIT_REASON_HLT};

	(void)state;
	assert_false(watchdog_suspects(EXIT_REASON_HLT));
	assert_false(watchdog_ignores(EXIT_REASON_HLT));
	watchdog_look_closely(&w);
	assert_int_equal(bites(&hlt, 0, 10 * SECOND), 0);
	assert_false(w.close);
}

/** Another look while it is looked at closely does not begin anew. */
static void test_looks_do_not_disturb(void **state)
{
	(void)state;
	watchdog_look_closely(&w);
	assert_int_equal(bites(&cpuid, 0, SECOND), 0);
	watchdog_look_closely(&w);
	assert_int_equal(bites(&cpuid, SECOND + 1, 9 * SECOND), 2 * SECOND);
}

static void test_heartbeat(void **state)
{
	(void)state;
	assert_false(watchdog_heart_stopped(&w, 100 * SECOND));
	watchdog_beat(&w, 3 * SECOND, 10 * SECOND);
	assert_false(watchdog_heart_stopped(&w, 13 * SECOND));
	assert_true(watchdog_heart_stopped(&w, 13 * SECOND + 1));
	watchdog_beat(&w, SECOND, 12 * SECOND);
	assert_true(watchdog_heart_stopped(&w, 13 * SECOND + 1));
	watchdog_beat(&w, 0, 13 * SECOND);
	assert_false(watchdog_heart_stopped(&w, ~0ull));
	assert_int_equal(w.beats, 3);
}

static void test_a_beat_is_progress(void **state)
{
	(void)state;
	watchdog_look_closely(&w);
	assert_int_equal(bites(&cpuid, 0, SECOND), 0);
	watchdog_beat(&w, 0, SECOND);
	assert_false(w.close);
}

static void test_places(void **state)
{
	struct watchdog_place place[WATCHDOG_SAMPLES];

	(void)state;
	assert_int_equal(watchdog_places(&w, place), 0);
	watchdog_sample(&w, 1);
	for (unsigned i = 0; i < 14; i++)
		watchdog_sample(&w, i % 2 ? 0x20 : 0x30);
	watchdog_sample(&w, 0x30);
	watchdog_sample(&w, 0x40); /* the 17th: the first is forgotten */
	assert_int_equal(watchdog_places(&w, place), 3);
	assert_true(place[0].rip == 0x40 && place[0].seen == 1);
	assert_true(place[1].rip == 0x30 && place[1].seen == 8);
	assert_true(place[2].rip == 0x20 && place[2].seen == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off),
		cmocka_unit_test_setup(test_looks, two_seconds),
		cmocka_unit_test_setup(test_no_progress, two_seconds),
		cmocka_unit_test_setup(test_any_difference_is_progress, two_seconds),
		cmocka_unit_test_setup(test_interrupts_are_progress, two_seconds),
		cmocka_unit_test_setup(test_what_comes_from_outside, two_seconds),
		cmocka_unit_test_setup(test_who_halts_waits, two_seconds),
		cmocka_unit_test_setup(test_looks_do_not_disturb, two_seconds),
		cmocka_unit_test_setup(test_heartbeat, two_seconds),
		cmocka_unit_test_setup(test_a_beat_is_progress, two_seconds),
		cmocka_unit_test_setup(test_places, two_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
