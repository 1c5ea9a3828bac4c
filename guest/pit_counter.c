/* SPDX-License-Identifier: MIT */
/*
 * The 8254's counting: see the header. "Mode n" refers to the data sheet's "Mode Definitions".
 */
#include "pit_counter.h"

static bool periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/** Mode 3: ticks of the high half; it is the longer one of an odd count. */
static u32 high_half(u32 n)
{
	return (n + 1) / 2;
}

/** CLK pulses since CE was loaded; -1: it is yet to be. */
static s64 elapsed(const struct pit_channel *c, s64 t)
{
	if (!c->running || t < c->origin)
		return -1;
	return c->paused >= 0 ? c->paused : t - c->origin;
}

static u16 encode(const struct pit_channel *c, u32 v)
{
	if (!c->bcd)
		return v;
	v %= 10000;
	return v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
}

/** A count as written; 0 stands for the largest. Digits above 9 are taken at their face value. */
static u32 decode(const struct pit_channel *c, u16 v)
{
	if (!v)
		return c->bcd ? 10000 : 65536;
	if (!c->bcd)
		return v;
	return (v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15);
}

u16 pit_counter_value(const struct pit_channel *c, s64 t)
{
	u32 modulus = c->bcd ? 10000 : 65536;
	s64 e = elapsed(c, t);

	if (e < 0)
		return c->ce;
	if (c->mode == 2)
		return encode(c, c->n - e % c->n);
	if (c->mode == 3) { /* counts each half down by two, from the even count below */
		e %= c->n;
		if (e >= high_half(c->n))
			e -= high_half(c->n);
		return encode(c, (c->n & ~1u) - 2 * e);
	}
	return encode(c, c->n % modulus + modulus - e % modulus);
}

bool pit_counter_out(const struct pit_channel *c, s64 t)
{
	s64 e = elapsed(c, t);

	if (e < 0)
		return c->out;
	switch (c->mode) {
	case 0:
	case 1:
		return e >= c->n;
	case 2:
		return c->paused >= 0 || e % c->n != c->n - 1;
	case 3:
		return c->paused >= 0 || e % c->n < high_half(c->n);
	default:
		return e != c->n;
	}
}

void pit_counter_settle(struct pit_channel *c, s64 t)
{
	if (c->load_at <= t) {
		c->load_at = PIT_NEVER;
		c->null_count = false;
	}
	if (c->reload_at <= t) {
		bool low_half = c->mode == 3 && (c->reload_at - c->origin) % c->n;

		c->n = c->cr;
		/* In mode 3 the origin is where the high half would have begun. */
		c->origin = c->reload_at - (low_half ? high_half(c->n) : 0);
		c->reload_at = PIT_NEVER;
		c->null_count = false;
	}
}

/** The count register goes to CE on the next CLK pulse. */
static void start(struct pit_channel *c, s64 t)
{
	bool out = c->mode != 0 && pit_counter_out(c, t);

	c->ce = pit_counter_value(c, t);
	c->out = out;
	c->running = true;
	c->n = c->cr;
	c->origin = c->load_at = t + 1;
	c->paused = c->gate || c->mode == 1 || c->mode == 5 ? -1 : 0;
	c->reload_at = PIT_NEVER;
}

void pit_counter_stop(struct pit_channel *c, s64 t, bool out)
{
	c->ce = pit_counter_value(c, t);
	c->running = false;
	c->load_at = c->reload_at = PIT_NEVER;
	c->out = out;
}

/** Modes 2 and 3: the end of the present period or half period. */
static s64 cycle_end(const struct pit_channel *c, s64 t)
{
	s64 e = t - c->origin;
	s64 begin = t - e % c->n;

	if (c->mode == 3 && e % c->n < high_half(c->n))
		return begin + high_half(c->n);
	return begin + c->n;
}

static void set_count(struct pit_channel *c, s64 t, u16 raw)
{
	c->cr = decode(c, raw);
	c->cr_valid = true;
	c->null_count = true;
	switch (c->mode) {
	case 0:
	case 4:
		start(c, t);
		break;
	case 2:
	case 3:
		if (elapsed(c, t) < 0)
			start(c, t);
		else if (c->paused < 0 && c->reload_at == PIT_NEVER)
			c->reload_at = cycle_end(c, t);
		break;
	}
}

void pit_counter_write(struct pit_channel *c, s64 t, u8 v)
{
	if (c->access == PIT_RW_LSB) {
		set_count(c, t, v);
	} else if (c->access == PIT_RW_MSB) {
		set_count(c, t, v << 8);
	} else if (!c->write_msb) {
		c->write_lsb = v;
		c->write_msb = true;
		if (c->mode == 0) /* the first byte stops the counting */
			pit_counter_stop(c, t, false);
	} else {
		c->write_msb = false;
		set_count(c, t, v << 8 | c->write_lsb);
	}
}

void pit_counter_gate(struct pit_channel *c, s64 t, bool gate)
{
	s64 e = elapsed(c, t);

	if (gate == c->gate)
		return;
	c->gate = gate;
	if (gate && c->mode != 0 && c->mode != 4) { /* a trigger */
		if (c->cr_valid)
			start(c, t);
	} else if (gate) {
		if (c->paused >= 0)
			c->origin = MAX(c->origin, t - c->paused);
		c->paused = -1;
	} else if (c->mode != 1 && c->mode != 5) {
		c->paused = MAX(e, 0);
		c->reload_at = PIT_NEVER;
	}
}

s64 pit_counter_next_rise(const struct pit_channel *c, s64 t)
{
	s64 once, base, n;

	if (!c->running || c->paused >= 0)
		return PIT_NEVER;
	if (!periodic(c)) {
		once = c->origin + c->n + (c->mode >= 4);
		return once > t ? once : PIT_NEVER;
	}
	n = c->n;
	base = c->origin;
	if (c->reload_at != PIT_NEVER) {
		if (c->mode == 2 || (c->reload_at - c->origin) % n == 0)
			return c->reload_at;
		base = c->reload_at - high_half(c->cr);
		n = c->cr;
	}
	if (n < 2)
		return PIT_NEVER;
	return t < base ? base + n : base + ((t - base) / n + 1) * n;
}
