/* SPDX-License-Identifier: MIT */
/* What the MC146818's tests share: a settable clock, in ticks of 1/32768 s. */
#ifndef TV_TESTS_RTC_FIXTURE_H
#define TV_TESTS_RTC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "guest/rtc.h"

enum { SEC, SEC_ALARM, MIN_, MIN_ALARM, HOUR, HOUR_ALARM, WDAY, DAY, MONTH, YEAR, A, B, C, D };

struct fixture {
	struct rtc r;
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

	assert_int_equal(gsi, 8);
	assert_true(level != f->line);
	f->line = level;
	f->rises += level;
}

/** A clock that starts on a tick of the divider chain, so that tests can count in ticks. */
static inline void init_at(struct fixture *f, u64 hz, u64 epoch)
{
	struct irq_sink irq = {irq_set, f};

	memset(f, 0, sizeof(*f));
	f->clock = (struct gclock){now, f, hz};
	f->now = 1000 * hz;
	rtc_init(&f->r, &f->clock, &irq, epoch, MIB(512));
}

static inline void init(struct fixture *f, u64 epoch)
{
	init_at(f, 100000000, epoch);
}

/** Go to `ticks` of 1/32768 s after the start. */
static inline void at(struct fixture *f, u64 ticks)
{
	f->now = 1000 * f->clock.tsc_hz +
		 ((unsigned __int128)ticks * f->clock.tsc_hz + RTC_HZ - 1) / RTC_HZ;
}

static inline u8 in(struct fixture *f, u8 reg)
{
	u64 v;

	rtc_write(&f->r, 0, 1, reg);
	v = rtc_read(&f->r, 1, 1);
	assert_true(v <= 0xff);
	return v;
}

static inline void out(struct fixture *f, u8 reg, u8 v)
{
	rtc_write(&f->r, 0, 1, reg);
	rtc_write(&f->r, 1, 1, v);
}

static inline u8 bcd(unsigned v)
{
	return v / 10 << 4 | v % 10;
}

static inline void assert_date(struct fixture *f, u64 epoch)
{
	time_t t = epoch;
	struct tm tm;

	gmtime_r(&t, &tm);
	assert_int_equal(in(f, SEC), bcd(tm.tm_sec));
	assert_int_equal(in(f, MIN_), bcd(tm.tm_min));
	assert_int_equal(in(f, HOUR), bcd(tm.tm_hour));
	assert_int_equal(in(f, WDAY), tm.tm_wday + 1);
	assert_int_equal(in(f, DAY), bcd(tm.tm_mday));
	assert_int_equal(in(f, MONTH), bcd(tm.tm_mon + 1));
	assert_int_equal(in(f, YEAR), bcd(tm.tm_year % 100));
	assert_int_equal(in(f, 0x32), bcd(tm.tm_year / 100 + 19));
}

#define DATE 1795334399ull /* 2026-11-22 07:59:59 */

#endif
