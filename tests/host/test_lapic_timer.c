/* SPDX-License-Identifier: MIT */
/* The local APIC's timer. TSC_HZ gives three TSC ticks to an undivided timer tick. */
#include "lapic_fixture.h"

#define ONE_SHOT 0x40u
#define PERIODIC 0x20040u
#define DEADLINE 0x40040u
#define DIVIDE_1 0xbu

/* Let `ticks` TSC ticks pass, as a run loop does; true where vector 0x40 came. */
static bool pass(struct rig *r, u64 ticks)
{
	r->tsc += ticks;
	lapic_advance(&r->l[0], r->tsc);
	if (take(&r->l[0]) != 0x40)
		return false;
	wr(&r->l[0], 0xb0, 0);
	return true;
}

static void start(struct rig *r, u32 lvt, u32 divide, u32 count)
{
	wr(&r->l[0], 0x320, lvt);
	wr(&r->l[0], 0x3e0, divide);
	wr(&r->l[0], 0x380, count);
}

static void one_shot(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	start(r, ONE_SHOT, DIVIDE_1, 5000);
	assert_int_equal(lapic_next_deadline(l), r->tsc + 15000);
	assert_int_equal(rd(l, 0x390), 5000);
	assert_false(pass(r, 2));
	assert_int_equal(rd(l, 0x390), 5000);
	assert_false(pass(r, 1));
	assert_int_equal(rd(l, 0x390), 4999);
	assert_false(pass(r, 14996));
	assert_int_equal(rd(l, 0x390), 1);
	r->tsc++;
	assert_int_equal(rd(l, 0x390), 0); /* even before anyone advances it */
	assert_true(pass(r, 0));
	assert_int_equal(rd(l, 0x390), 0);
	assert_int_equal(rd(l, 0x380), 5000);
	assert_true(lapic_next_deadline(l) == NEVER);
	assert_false(pass(r, 100000));
	/* Written again it starts again, and 0 stops it. */
	wr(l, 0x380, 5000);
	assert_false(pass(r, 14999));
	wr(l, 0x380, 5000);
	assert_false(pass(r, 14999));
	wr(l, 0x380, 0);
	assert_true(lapic_next_deadline(l) == NEVER);
	assert_int_equal(rd(l, 0x390), 0);
	assert_false(pass(r, 100000));
}

static void divide(void **state)
{
	static const u32 by[] = {2, 4, 8, 16, 32, 64, 128, 1};
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	for (u32 i = 0; i < 8; i++) {
		start(r, ONE_SHOT, (i & 4) << 1 | (i & 3), 1000);
		assert_int_equal(lapic_next_deadline(l) - r->tsc, 3000 * by[i]);
		assert_false(pass(r, 3 * by[i] - 1));
		assert_int_equal(rd(l, 0x390), 1000);
		assert_false(pass(r, 1));
		assert_int_equal(rd(l, 0x390), 999);
		assert_false(pass(r, 999 * 3 * by[i] - 1));
		assert_true(pass(r, 1));
	}
	/* The largest count and divider. */
	start(r, ONE_SHOT, 0xa, ~0u);
	assert_true(lapic_next_deadline(l) - r->tsc == 0xffffffffull * 128 * 3);
	assert_int_equal(rd(l, 0x390), ~0u);
}

static void divide_while_running(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	start(r, PERIODIC, DIVIDE_1, 10000);
	assert_false(pass(r, 3 * 4000));
	wr(l, 0x3e0, 1); /* by 4 */
	assert_int_equal(rd(l, 0x390), 6000);
	assert_int_equal(lapic_next_deadline(l) - r->tsc, 3 * 4 * 6000);
	assert_true(pass(r, 3 * 4 * 6000));
	assert_int_equal(lapic_next_deadline(l) - r->tsc, 3 * 4 * 10000);
	/* Stopped, it stays so. */
	wr(l, 0x380, 0);
	wr(l, 0x3e0, 0xb);
	assert_true(lapic_next_deadline(l) == NEVER);
}

/* A rate that does not divide, and a run loop that is late at times: no drift, no lost tick. */
static void periodic_no_drift(void **state)
{
	struct rig *r = *state;
	u64 began, fired = 0, seed = 7;

	r->clock.tsc_hz = 2893437123;
	start(r, PERIODIC, DIVIDE_1, 100003);
	began = r->tsc;
	while (fired < 5000) {
		u64 due = lapic_next_deadline(&r->l[0]);
		unsigned __int128 exact = (unsigned __int128)(fired + 1) * 100003 * 2893437123u;

		/* Not before its time, and not later than the next TSC tick. */
		assert_true((due - began) * (unsigned __int128)LAPIC_BUS_HZ >= exact);
		assert_true((due - began - 1) * (unsigned __int128)LAPIC_BUS_HZ < exact);
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		assert_false(pass(r, due - 1 - r->tsc));
		assert_true(pass(r, 1 + (seed & 1 ? seed >> 44 : 0)));
		fired++;
	}
}

static void periodic(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];
	u64 began = r->tsc;

	start(r, PERIODIC, DIVIDE_1, 50000);
	assert_false(pass(r, 149999));
	assert_true(pass(r, 1));
	assert_int_equal(rd(l, 0x390), 50000);
	assert_int_equal(lapic_next_deadline(l), began + 300000);
	/* Missed ticks become one; the phase stays. */
	assert_true(pass(r, 150000 * 10 + 6000));
	assert_false(pass(r, 0));
	assert_int_equal(rd(l, 0x390), 48000);
	assert_int_equal(lapic_next_deadline(l), began + 150000 * 12);
	/* So late that the next is near: it still comes. */
	assert_true(pass(r, 144000 + 145000));
	assert_int_equal(lapic_next_deadline(l), r->tsc + 5000);
	assert_true(pass(r, 5000));
	/* The count before the run loop has noticed. */
	r->tsc += 156000;
	assert_int_equal(rd(l, 0x390), 48000);
	assert_true(pass(r, 0));
}

/* A period too short to live with is thinned out, in phase. */
static void periodic_storm(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];
	u64 began = r->tsc;

	start(r, PERIODIC, DIVIDE_1, 7);
	assert_true(pass(r, 21));
	assert_true(lapic_next_deadline(l) > r->tsc + 3 * LAPIC_MIN_PERIOD);
	assert_true(lapic_next_deadline(l) <= r->tsc + 3 * LAPIC_MIN_PERIOD + 21);
	assert_int_equal((lapic_next_deadline(l) - began) % 21, 0);
}

static void masked(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	start(r, PERIODIC | MASKED, DIVIDE_1, 50000);
	assert_true(lapic_next_deadline(l) == NEVER);
	assert_false(pass(r, 150000));
	assert_int_equal(rd(l, 0x390), 50000);
	r->tsc += 200000;
	/* What expired while masked is not made up for. */
	wr(l, 0x320, PERIODIC);
	assert_false(pass(r, 0));
	assert_int_equal(lapic_next_deadline(l) - r->tsc, 100000);
	/* What expired before masking is. */
	r->tsc += 100000;
	wr(l, 0x320, PERIODIC | MASKED);
	assert_true(pass(r, 0));
}

/* The count goes on between one-shot and periodic. */
static void change_mode(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	start(r, ONE_SHOT, DIVIDE_1, 100000);
	assert_false(pass(r, 150000));
	wr(l, 0x320, PERIODIC);
	assert_int_equal(rd(l, 0x390), 50000);
	assert_true(pass(r, 150000));
	assert_int_equal(rd(l, 0x390), 100000);
	assert_false(pass(r, 150000));
	wr(l, 0x320, ONE_SHOT);
	assert_int_equal(rd(l, 0x390), 50000);
	assert_int_equal(rd(l, 0x380), 100000);
	assert_true(pass(r, 150000));
	assert_int_equal(rd(l, 0x390), 0);
	wr(l, 0x320, PERIODIC);
	assert_int_equal(rd(l, 0x390), 0);
	assert_false(pass(r, 10000000));
	/* Expired unnoticed in one-shot mode, then made periodic: it had ended. */
	wr(l, 0x320, ONE_SHOT);
	wr(l, 0x380, 1000);
	r->tsc += 10000;
	wr(l, 0x320, PERIODIC);
	assert_true(pass(r, 0));
	assert_true(lapic_next_deadline(l) == NEVER);
}

static void deadline(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	/* In another mode: reads 0, ignores writes. */
	assert_true(wrmsr(l, 0x6e0, r->tsc + 100));
	assert_int_equal(rdmsr(l, 0x6e0), 0);
	assert_true(lapic_next_deadline(l) == NEVER);

	wr(l, 0x320, DEADLINE);
	assert_true(wrmsr(l, 0x6e0, r->tsc + 100));
	assert_int_equal(rdmsr(l, 0x6e0), r->tsc + 100);
	assert_int_equal(lapic_next_deadline(l), r->tsc + 100);
	assert_int_equal(rd(l, 0x390), 0);
	assert_false(pass(r, 99));
	assert_true(pass(r, 1));
	assert_int_equal(rdmsr(l, 0x6e0), 0);
	assert_false(pass(r, 1000));
	/* The past: at once, without anyone advancing. */
	assert_true(wrmsr(l, 0x6e0, r->tsc));
	assert_int_equal(take(l), 0x40);
	wr(l, 0xb0, 0);
	assert_int_equal(rdmsr(l, 0x6e0), 0);
	assert_true(wrmsr(l, 0x6e0, 1));
	assert_true(pass(r, 0));
	/* 0 disarms; a new value replaces the old. */
	assert_true(wrmsr(l, 0x6e0, r->tsc + 10));
	assert_true(wrmsr(l, 0x6e0, 0));
	assert_false(pass(r, 100));
	assert_true(wrmsr(l, 0x6e0, r->tsc + 10));
	assert_true(wrmsr(l, 0x6e0, r->tsc + 1000));
	assert_false(pass(r, 999));
	assert_true(pass(r, 1));
	/* Expired but unnoticed: it reads 0, and still is for the run loop to notice. */
	assert_true(wrmsr(l, 0x6e0, r->tsc + 10));
	assert_int_equal(lapic_next_deadline(l), r->tsc + 10);
	r->tsc += 10;
	assert_int_equal(rdmsr(l, 0x6e0), 0);
	assert_int_equal(lapic_next_deadline(l), r->tsc);
	assert_int_equal(lapic_highest_irr(l), -1);
	assert_true(pass(r, 0));
	assert_true(lapic_next_deadline(l) == NEVER);
	/* Masked it expires without a sound. */
	wr(l, 0x320, DEADLINE | MASKED);
	assert_true(wrmsr(l, 0x6e0, r->tsc + 10));
	assert_true(lapic_next_deadline(l) == NEVER);
	assert_false(pass(r, 10));
	assert_int_equal(rdmsr(l, 0x6e0), 0);
	/* The end of time. */
	wr(l, 0x320, DEADLINE);
	assert_true(wrmsr(l, 0x6e0, ~0ull));
	assert_true(rdmsr(l, 0x6e0) == ~0ull);
	assert_false(pass(r, 1000));
}

static void deadline_and_the_count(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	/* Each way disarms. */
	start(r, PERIODIC, DIVIDE_1, 5000);
	wr(l, 0x320, DEADLINE);
	assert_true(lapic_next_deadline(l) == NEVER);
	assert_int_equal(rd(l, 0x380), 0);
	wr(l, 0x380, 1234);
	wr(l, 0x3e0, 0);
	assert_int_equal(rd(l, 0x380), 0);
	assert_false(pass(r, 100000));
	assert_true(wrmsr(l, 0x6e0, r->tsc + 100));
	wr(l, 0x3e0, DIVIDE_1); /* the divider is not the deadline's */
	assert_int_equal(lapic_next_deadline(l), r->tsc + 100);
	wr(l, 0x320, ONE_SHOT);
	assert_true(lapic_next_deadline(l) == NEVER);
	assert_false(pass(r, 1000));
	wr(l, 0x320, DEADLINE);
	assert_int_equal(rdmsr(l, 0x6e0), 0);
	/* The same mode, another vector: still armed. */
	assert_true(wrmsr(l, 0x6e0, r->tsc + 100));
	wr(l, 0x320, DEADLINE | 0x2);
	assert_int_equal(lapic_next_deadline(l), r->tsc + 100);
	/* The reserved mode never runs. */
	wr(l, 0x320, 0x60040);
	assert_true(lapic_next_deadline(l) == NEVER);
	wr(l, 0x380, 10);
	assert_true(wrmsr(l, 0x6e0, 1));
	assert_false(pass(r, 100000));
	assert_int_equal(rd(l, 0x390), 0);
}

static void no_deadline_mode(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	l->has_tsc_deadline = false;
	wr(l, 0x320, DEADLINE);
	assert_int_equal(rd(l, 0x320), ONE_SHOT);
	assert_true(rdmsr_faults(l, 0x6e0));
	assert_false(wrmsr(l, 0x6e0, 0));
	to_x2apic(l);
	assert_false(wrmsr(l, 0x832, DEADLINE));
	assert_true(wrmsr(l, 0x832, PERIODIC));
}

/* Counting goes on while the APIC is software-disabled, without interrupts; a global disable ends
 * it. */
static void disabled(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	start(r, PERIODIC, DIVIDE_1, 50000);
	wr(l, 0xf0, 0xff);
	assert_false(pass(r, 165000));
	assert_int_equal(rd(l, 0x390), 45000);
	wr(l, 0xf0, 0x1ff);
	wr(l, 0x320, PERIODIC);
	assert_true(pass(r, 135000));
	assert_true(wrmsr(l, 0x1b, 0xfee00900 & ~0x800ull));
	assert_true(lapic_next_deadline(l) == NEVER);
	assert_true(wrmsr(l, 0x1b, 0xfee00900));
	assert_int_equal(rd(l, 0x390), 0);
	assert_int_equal(rd(l, 0x3e0), 0);
}

/* The processor wrote the page first, and then told (an APIC-write VM exit). */
static void page_written_first(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	start(r, PERIODIC, DIVIDE_1, 5000);
	lapic_set_reg(l, LAPIC_TMICT, 0);
	lapic_set_reg(l, LAPIC_TDCR, 0);
	lapic_set_reg(l, LAPIC_LVT_TIMER, DEADLINE);
	r->tsc += 15000;
	wr(l, 0x320, DEADLINE);
	assert_true(pass(r, 0)); /* was due as periodic */
	assert_true(lapic_next_deadline(l) == NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENABLED(one_shot),
		ENABLED(divide),
		ENABLED(divide_while_running),
		ENABLED(periodic),
		ENABLED(periodic_no_drift),
		ENABLED(periodic_storm),
		ENABLED(masked),
		ENABLED(change_mode),
		ENABLED(deadline),
		ENABLED(deadline_and_the_count),
		ENABLED(no_deadline_mode),
		ENABLED(disabled),
		ENABLED(page_written_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
