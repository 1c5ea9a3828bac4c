/* SPDX-License-Identifier: MIT */
/*
 * The MC146818A. Names of registers and bits are the data sheet's; "update cycle" and "periodic
 * interrupt" refer to its sections of those names.
 */
#include "date.h"
#include "lib/muldiv.h"
#include "rtc.h"

enum {
	REG_SEC,
	REG_SEC_ALARM,
	REG_MIN,
	REG_MIN_ALARM,
	REG_HOUR,
	REG_HOUR_ALARM,
	REG_WDAY,
	REG_DAY,
	REG_MONTH,
	REG_YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D
};

#define A_UIP 0x80
#define A_DV 0x70
#define A_DV_32768HZ 0x20
#define A_RS 0x0f

#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10
#define B_DM 0x04 /* binary, else BCD */
#define B_24H 0x02

#define C_IRQF 0x80
#define C_PF 0x40
#define C_AF 0x20
#define C_UF 0x10

#define D_VRT 0x80

#define UIP_TICKS 8 /* t_BUC: 244 us */
#define DAY_SECONDS 86400
#define NO_TICK INT64_MAX

static s64 tick_of(const struct rtc *r, u64 tsc)
{
	return mul_div_u64(tsc, RTC_HZ, r->clock->tsc_hz);
}

static s64 tick_now(const struct rtc *r)
{
	return tick_of(r, r->clock->now(r->clock->ctx));
}

/** 0 Sunday; 1970-01-01 was a Thursday. */
static u32 weekday(s64 days)
{
	return days + 4 - floor_div(days + 4, 7) * 7;
}

/*
 * Register formats: binary or BCD, 24 or 12 hours.
 */

static u8 encode(const struct rtc *r, u32 v)
{
	return r->cmos[REG_B] & B_DM ? v : v / 10 % 10 << 4 | v % 10;
}

static u32 decode(const struct rtc *r, u8 v)
{
	return r->cmos[REG_B] & B_DM ? v : (v >> 4) * 10 + (v & 15);
}

static u8 encode_hour(const struct rtc *r, u32 hour)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static u32 decode_hour(const struct rtc *r, u8 v)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

/*
 * The chain and the clock.
 */

/** DV 11x holds the chain in reset; other values than 010 are for crystals that a PC has not. */
static bool chain_runs(const struct rtc *r)
{
	return (r->cmos[REG_A] & A_DV) == A_DV_32768HZ;
}

static bool clock_runs(const struct rtc *r)
{
	return chain_runs(r) && !(r->cmos[REG_B] & B_SET);
}

static s64 chain_seconds(const struct rtc *r, s64 tick)
{
	return floor_div(tick - r->chain_start, RTC_HZ);
}

static s64 epoch_at(const struct rtc *r, s64 tick)
{
	return r->epoch_base + chain_seconds(r, tick);
}

/** Write the date into the registers, as the update cycle does. */
static void store_date(struct rtc *r, s64 tick)
{
	s64 epoch = epoch_at(r, tick), days = floor_div(epoch, DAY_SECONDS);
	u32 sod = epoch - days * DAY_SECONDS;
	struct date d = date_from_days(days);

	r->cmos[REG_SEC] = encode(r, sod % 60);
	r->cmos[REG_MIN] = encode(r, sod / 60 % 60);
	r->cmos[REG_HOUR] = encode_hour(r, sod / 3600);
	r->cmos[REG_WDAY] = encode(r, (weekday(days) + r->weekday_shift) % 7 + 1);
	r->cmos[REG_DAY] = encode(r, d.day);
	r->cmos[REG_MONTH] = encode(r, d.month);
	r->cmos[REG_YEAR] = encode(r, d.year % 100);
	r->cmos[RTC_CENTURY] = encode(r, d.year / 100);
}

/** The clock goes on from what the registers say. Nonsense in them becomes some valid date. */
static void load_date(struct rtc *r, s64 tick)
{
	struct date d = {
		.year = decode(r, r->cmos[RTC_CENTURY]) % 100 * 100 +
			decode(r, r->cmos[REG_YEAR]) % 100,
		.month = decode(r, r->cmos[REG_MONTH]),
		.day = decode(r, r->cmos[REG_DAY]),
	};
	s64 days, sod;

	d.month = MIN(MAX(d.month, 1), 12);
	days = date_to_days(&d);
	sod = decode_hour(r, r->cmos[REG_HOUR]) * 3600 + decode(r, r->cmos[REG_MIN]) * 60 +
	      decode(r, r->cmos[REG_SEC]);
	r->epoch_base = days * DAY_SECONDS + sod - chain_seconds(r, tick);
	days = floor_div(days * DAY_SECONDS + sod, DAY_SECONDS);
	r->weekday_shift = (decode(r, r->cmos[REG_WDAY]) + 6 + 7 - weekday(days)) % 7;
}

/*
 * Events.
 */

/** Ticks between periodic interrupts, 0: none. Rates 1 and 2 repeat 8 and 9. */
static s64 period(const struct rtc *r)
{
	u8 rs = r->cmos[REG_A] & A_RS;

	if (!rs || !chain_runs(r))
		return 0;
	return 1 << ((rs < 3 ? rs + 7 : rs) - 1);
}

static bool dont_care(u8 alarm)
{
	return alarm >= 0xc0;
}

/** Seconds from `epoch` to the next alarm, 1 to 86400; 0: it matches no time of the day. */
static u32 alarm_distance(const struct rtc *r, s64 epoch)
{
	u8 h = r->cmos[REG_HOUR_ALARM], m = r->cmos[REG_MIN_ALARM], s = r->cmos[REG_SEC_ALARM];
	u32 sod = epoch - floor_div(epoch, DAY_SECONDS) * DAY_SECONDS;
	u32 hour = decode_hour(r, h), min = decode(r, m), sec = decode(r, s);

	if ((!dont_care(h) && hour > 23) || (!dont_care(m) && min > 59) ||
	    (!dont_care(s) && sec > 59))
		return 0;
	for (u32 t = sod + 1; t <= sod + DAY_SECONDS;) {
		if (!dont_care(h) && t / 3600 % 24 != hour)
			t = (t / 3600 + 1) * 3600;
		else if (!dont_care(m) && t / 60 % 60 != min)
			t = (t / 60 + 1) * 60;
		else if (!dont_care(s) && t % 60 != sec)
			t++;
		else
			return t - sod;
	}
	return 0;
}

/** First tick after `tick` at which each kind of event happens. */
static s64 next_periodic(const struct rtc *r, s64 tick)
{
	s64 p = period(r);

	return p ? r->chain_start + (floor_div(tick - r->chain_start, p) + 1) * p : NO_TICK;
}

static s64 next_update(const struct rtc *r, s64 tick)
{
	if (!clock_runs(r))
		return NO_TICK;
	return r->chain_start + (chain_seconds(r, tick) + 1) * (s64)RTC_HZ;
}

static s64 next_alarm(const struct rtc *r, s64 tick)
{
	u32 distance = clock_runs(r) ? alarm_distance(r, epoch_at(r, tick)) : 0;

	if (!distance)
		return NO_TICK;
	return r->chain_start + (chain_seconds(r, tick) + distance) * (s64)RTC_HZ;
}

/** Bring the flags of register C up to `tick`. They are set whether enabled or not. */
static void settle(struct rtc *r, s64 tick)
{
	if (next_periodic(r, r->seen) <= tick)
		r->cmos[REG_C] |= C_PF;
	if (next_update(r, r->seen) <= tick)
		r->cmos[REG_C] |= C_UF;
	if (!(r->cmos[REG_C] & C_AF) && next_alarm(r, r->seen) <= tick)
		r->cmos[REG_C] |= C_AF;
	r->seen = tick;
}

/** The interrupt output follows IRQF. While it is high nothing more can happen on it. */
static void update_line(struct rtc *r)
{
	u8 b = r->cmos[REG_B];
	bool line = r->cmos[REG_C] & b & (C_PF | C_AF | C_UF);
	s64 next = NO_TICK;

	r->cmos[REG_C] = (r->cmos[REG_C] & ~C_IRQF) | (line ? C_IRQF : 0);
	if (line != r->line) {
		r->line = line;
		r->irq.set(r->irq.ctx, RTC_GSI, line);
	}
	if (!line && b & B_PIE)
		next = next_periodic(r, r->seen);
	if (!line && b & B_UIE)
		next = MIN(next, next_update(r, r->seen));
	if (!line && b & B_AIE)
		next = MIN(next, next_alarm(r, r->seen));
	r->next_event = next == NO_TICK ? NEVER : mul_div_up_u64(next, r->clock->tsc_hz, RTC_HZ);
}

void rtc_advance(struct rtc *r, u64 now)
{
	if (r->next_event > now)
		return;
	settle(r, tick_of(r, now));
	update_line(r);
}

/*
 * Registers.
 */

static bool is_date(u8 index)
{
	return index == RTC_CENTURY || index <= REG_YEAR;
}

static bool is_alarm(u8 index)
{
	return index == REG_SEC_ALARM || index == REG_MIN_ALARM || index == REG_HOUR_ALARM;
}

static u8 read_a(const struct rtc *r, s64 tick)
{
	bool uip = next_update(r, tick) <= tick + UIP_TICKS;

	return r->cmos[REG_A] | (clock_runs(r) && uip ? A_UIP : 0);
}

static u8 read_c(struct rtc *r, s64 tick)
{
	u8 v;

	settle(r, tick);
	update_line(r);
	v = r->cmos[REG_C];
	r->cmos[REG_C] = 0;
	update_line(r);
	return v;
}

u64 rtc_read(void *dev, u64 offset, unsigned size)
{
	struct rtc *r = dev;
	s64 tick = tick_now(r);

	(void)size;
	if (offset != 1)
		return 0xff;
	if (r->index == REG_A)
		return read_a(r, tick);
	if (r->index == REG_C)
		return read_c(r, tick);
	if (is_date(r->index) && !is_alarm(r->index) && clock_runs(r))
		store_date(r, tick);
	return r->cmos[r->index];
}

/** Registers A and B, which may stop or start the clock. When the chain leaves reset, the first
 *  update cycle is half a second later. */
static void write_control(struct rtc *r, s64 tick, u8 v)
{
	bool ran = clock_runs(r), chain_ran = chain_runs(r);

	if (ran)
		store_date(r, tick);
	if (r->index == REG_A)
		r->cmos[REG_A] = v & ~A_UIP;
	else
		r->cmos[REG_B] = v & B_SET ? v & ~B_UIE : v;
	if (!chain_ran && chain_runs(r))
		r->chain_start = tick - (s64)RTC_HZ / 2;
	if (!ran && clock_runs(r))
		load_date(r, tick);
}

void rtc_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct rtc *r = dev;
	s64 tick = tick_now(r);

	(void)size;
	if (!offset) {
		r->index = value & 0x7f;
		return;
	}
	settle(r, tick);
	if (r->index == REG_A || r->index == REG_B) {
		write_control(r, tick, value);
	} else if (is_date(r->index) && !is_alarm(r->index) && clock_runs(r)) {
		store_date(r, tick);
		r->cmos[r->index] = value;
		load_date(r, tick);
	} else if (r->index != REG_C && r->index != REG_D) {
		r->cmos[r->index] = value;
	}
	update_line(r);
}

/*
 * CMOS memory, in the layout of the IBM AT that firmware and kernels agree on.
 */

#define CMOS_EQUIPMENT 0x14
#define CMOS_BASE_KIB 0x15
#define CMOS_EXT_KIB 0x17
#define CMOS_CHECKSUM_FIRST 0x10
#define CMOS_CHECKSUM_LAST 0x2d
#define CMOS_CHECKSUM 0x2e /* big-endian, unlike the rest */
#define CMOS_EXT_KIB_ACTUAL 0x30
#define CMOS_ABOVE_16M 0x34 /* in units of 64 KiB */

static void put16(struct rtc *r, u8 index, u64 v)
{
	v = MIN(v, 0xffff);
	r->cmos[index] = v;
	r->cmos[index + 1] = v >> 8;
}

static void init_memory_sizes(struct rtc *r, u64 mem)
{
	u16 sum = 0;

	r->cmos[CMOS_EQUIPMENT] = 0x02; /* coprocessor */
	put16(r, CMOS_BASE_KIB, 640);
	put16(r, CMOS_EXT_KIB, mem > MIB(1) ? (mem - MIB(1)) >> 10 : 0);
	put16(r, CMOS_EXT_KIB_ACTUAL, mem > MIB(1) ? (mem - MIB(1)) >> 10 : 0);
	put16(r, CMOS_ABOVE_16M, mem > MIB(16) ? (mem - MIB(16)) >> 16 : 0);
	for (u8 i = CMOS_CHECKSUM_FIRST; i <= CMOS_CHECKSUM_LAST; i++)
		sum += r->cmos[i];
	r->cmos[CMOS_CHECKSUM] = sum >> 8;
	r->cmos[CMOS_CHECKSUM + 1] = sum;
}

void rtc_init(struct rtc *r, const struct gclock *clock, const struct irq_sink *irq, u64 epoch,
	      u64 mem_below_4g)
{
	*r = (struct rtc){.irq = *irq, .clock = clock, .next_event = NEVER};
	r->seen = tick_now(r);
	r->chain_start = r->seen;
	r->epoch_base = epoch;
	r->cmos[REG_A] = A_DV_32768HZ | 6; /* 1024 Hz, as firmware sets it */
	r->cmos[REG_B] = B_24H;
	r->cmos[REG_D] = D_VRT;
	init_memory_sizes(r, mem_below_4g);
}
