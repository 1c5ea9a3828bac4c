/* SPDX-License-Identifier: MIT */
/*
 * What the 8254's tests share. Time is a settable counter; `at(f, n)` goes to n CLK pulses after
 * the last `mark(f)`. The timing diagrams of the data sheet begin with the CLK pulse after the
 * write: a count written at mark() is in the counting element at 1.
 */
#ifndef TV_TESTS_PIT_FIXTURE_H
#define TV_TESTS_PIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guest/pit.h"

struct fixture {
	struct pit p;
	struct gclock clock;
	u64 now;
	u64 mark; /* ticks */
	bool line;
	unsigned rises, falls;
};

static u64 now(void *ctx)
{
	return ((struct fixture *)ctx)->now;
}

static void irq_set(void *ctx, unsigned gsi, bool level)
{
	struct fixture *f = ctx;

	assert_int_equal(gsi, 2);
	f->rises += level && !f->line;
	f->falls += !level && f->line;
	f->line = level;
}

/** First TSC of a tick, without the code under test. */
static u64 tsc(const struct fixture *f, u64 tick)
{
	return ((unsigned __int128)tick * f->clock.tsc_hz + PIT_HZ - 1) / PIT_HZ;
}

static void mark(struct fixture *f)
{
	f->mark = (unsigned __int128)f->now * PIT_HZ / f->clock.tsc_hz;
}

static void at(struct fixture *f, u64 ticks)
{
	f->now = tsc(f, f->mark + ticks);
}

static inline void init_hz(struct fixture *f, u64 hz)
{
	struct irq_sink irq = {irq_set, f};

	memset(f, 0, sizeof(*f));
	f->clock = (struct gclock){now, f, hz};
	f->now = 123456789;
	pit_init(&f->p, &f->clock, &irq);
	f->line = true; /* OUT 0 */
	mark(f);
	at(f, 0);
}

static inline void init(struct fixture *f)
{
	init_hz(f, 100000000);
}

static void out(struct fixture *f, unsigned port, u8 v)
{
	if (port == 0x61)
		pit_port61_write(&f->p, 0, 1, v);
	else
		pit_write(&f->p, port - 0x40, 1, v);
}

static u8 in(struct fixture *f, unsigned port)
{
	u64 v = port == 0x61 ? pit_port61_read(&f->p, 0, 1) : pit_read(&f->p, port - 0x40, 1);

	assert_true(v <= 0xff);
	return v;
}

static inline void load(struct fixture *f, unsigned ch, u8 control, u16 count)
{
	out(f, 0x43, ch << 6 | control);
	if (control & 0x10)
		out(f, 0x40 + ch, count);
	if (control & 0x20)
		out(f, 0x40 + ch, count >> 8);
}

static inline u16 latch(struct fixture *f, unsigned ch)
{
	u8 lo;

	out(f, 0x43, ch << 6);
	lo = in(f, 0x40 + ch);
	return lo | in(f, 0x40 + ch) << 8;
}

static inline u8 status(struct fixture *f, unsigned ch)
{
	out(f, 0x43, 0xe0 | 2 << ch);
	return in(f, 0x40 + ch);
}

static inline bool level(struct fixture *f, unsigned ch)
{
	return status(f, ch) & 0x80;
}

#endif
