/* SPDX-License-Identifier: MIT */
/* The 8254's programming, latches and interrupt, and port 0x61. */
#include "pit_fixture.h"

static void test_reset(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	assert_true(pit_next_deadline(&f.p) == NEVER);
	for (unsigned ch = 0; ch < 3; ch++)
		assert_int_equal(status(&f, ch), 0x80 | 0x40 | 0x30 | 3 << 1);
	assert_int_equal(in(&f, 0x43), 0xff);
	pit_advance(&f.p, f.now);
	assert_int_equal(f.rises + f.falls, 0);
}

static void test_access_modes(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x20, 0x1200); /* MSB only */
	at(&f, 1);
	assert_int_equal(in(&f, 0x40), 0x12);
	at(&f, 2);
	assert_int_equal(in(&f, 0x40), 0x11);
	out(&f, 0x43, 0x00);
	at(&f, 400);
	assert_int_equal(in(&f, 0x40), 0x11); /* one byte unlatches */
	assert_int_equal(in(&f, 0x40), 0x10);
	load(&f, 0, 0x10, 0x80); /* LSB only */
	mark(&f);
	at(&f, 0x10);
	assert_int_equal(in(&f, 0x40), 0x71);
	assert_int_equal(in(&f, 0x40), 0x71);
}

static void test_latches(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x34, 0x1234);
	at(&f, 1);
	out(&f, 0x43, 0x00);
	at(&f, 3);
	out(&f, 0x43, 0x00); /* ignored: the first latch was not read */
	assert_int_equal(in(&f, 0x40), 0x34);
	assert_int_equal(in(&f, 0x40), 0x12);
	assert_int_equal(in(&f, 0x40), 0x32); /* live again */
	assert_int_equal(in(&f, 0x40), 0x12);
	out(&f, 0x43, 0xc2); /* status and count of channel 0 */
	at(&f, 10);
	out(&f, 0x43, 0xc2); /* both ignored */
	assert_int_equal(in(&f, 0x40), 0xb4);
	assert_int_equal(in(&f, 0x40), 0x32);
	assert_int_equal(in(&f, 0x40), 0x12);
	out(&f, 0x43, 0xde); /* count of all three */
	at(&f, 20);
	load(&f, 0, 0x34, 0x100); /* programming unlatches */
	mark(&f);
	at(&f, 1);
	assert_int_equal(in(&f, 0x40), 0x00);
	assert_int_equal(in(&f, 0x40), 0x01);
	out(&f, 0x43, 0xfe); /* nothing selected to latch */
	assert_int_equal(in(&f, 0x40), 0x00);
	assert_int_equal(in(&f, 0x40), 0x01);
}

/** Reads and writes of one channel may be interleaved: each has its own flip-flop. */
static void test_interleaved(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x38, 0x5678);
	at(&f, 1);
	assert_int_equal(in(&f, 0x40), 0x78);
	out(&f, 0x40, 0x21);
	assert_int_equal(in(&f, 0x40), 0x56);
	out(&f, 0x40, 0x43);
	at(&f, 2);
	assert_int_equal(latch(&f, 0), 0x4321);
	out(&f, 0x40, 0x99); /* a control word forgets half a pair */
	load(&f, 0, 0x38, 0x0102);
	mark(&f);
	at(&f, 1);
	assert_int_equal(latch(&f, 0), 0x0102);
}

/** A mode 0 count that is stopped by a control word for another mode: OUT rises with it. */
static void test_control_word_edges(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	load(&f, 0, 0x30, 100);
	at(&f, 5);
	out(&f, 0x43, 0x34);
	assert_int_equal(f.rises, 1);
	assert_true(pit_next_deadline(&f.p) == NEVER);
	at(&f, 500);
	pit_advance(&f.p, f.now);
	assert_int_equal(f.rises, 1);
	load(&f, 0, 0x30, 100); /* an edge that is due comes before the change, though late */
	mark(&f);
	at(&f, 101);
	load(&f, 0, 0x30, 100);
	assert_int_equal(f.rises, 2);
	assert_false(f.line);
	load(&f, 0, 0x34, 1); /* illegal: no edges at all */
	assert_true(pit_next_deadline(&f.p) == NEVER);
}

static void test_port61(void **state)
{
	struct fixture f;
	unsigned toggles = 0;
	u8 last;

	(void)state;
	init_hz(&f, 3579545);
	out(&f, 0x61, 0xff);
	assert_int_equal(in(&f, 0x61) & ~0x30, 0x0f);
	last = in(&f, 0x61) & 0x10;
	for (u64 t = 0; t < 18000; t++) {
		at(&f, t);
		toggles += (in(&f, 0x61) & 0x10) != last;
		last = in(&f, 0x61) & 0x10;
	}
	assert_in_range(toggles, 999, 1000); /* 18000 ticks are 15.09 ms */
}

/** Random programming by a guest that means harm: no crash, and deadlines lie ahead. */
static void test_hostile(void **state)
{
	struct fixture f;
	u64 seed = 1;

	(void)state;
	init(&f);
	for (unsigned i = 0; i < 200000; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		u8 v = seed >> 33, r = seed >> 41, d = seed >> 49;

		f.now += d % 4 ? d : d * 300000ull;
		if (r & 8)
			out(&f, 0x61, v);
		else if (r & 16)
			in(&f, 0x40 + (r & 3));
		else
			out(&f, 0x40 + (r & 3), v);
		in(&f, 0x61);
		pit_advance(&f.p, f.now);
		assert_true(pit_next_deadline(&f.p) > f.now);
	}
	assert_true(f.rises > 100);
	f.now = 5; /* a clock that was set back must not hurt either */
	for (unsigned port = 0x40; port < 0x43; port++) {
		in(&f, port);
		out(&f, port, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_access_modes),
		cmocka_unit_test(test_latches),
		cmocka_unit_test(test_interleaved),
		cmocka_unit_test(test_control_word_edges),
		cmocka_unit_test(test_port61),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
