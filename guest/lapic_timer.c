/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer: one-shot, periodic, and TSC-deadline. SDM volume 3, section 11.5.4 "APIC
 * Timer".
 *
 * Nothing counts: the current count is reckoned from the guest TSC when it is asked for. An expiry
 * is kept in undivided timer ticks from timer_start, and converted to the TSC from there each
 * time, so that a periodic timer never drifts. Every write first fires what was due before it.
 */
#include "guest/lapic_regs.h"
#include "lib/muldiv.h"

static u64 now(const struct lapic *l)
{
	return l->clock->now(l->clock->ctx);
}

static bool armed(const struct lapic *l)
{
	return l->timer_due != NEVER;
}

/* Figure 11-10 "Divide Configuration Register": bits 3, 1 and 0; 111b divides by 1. */
static u8 divide_shift(u32 tdcr)
{
	return ((tdcr >> 1 & 4) + (tdcr & 3) + 1) & 7;
}

/* Undivided timer ticks since timer_start. */
static u64 elapsed(const struct lapic *l, u64 tsc)
{
	if (tsc <= l->timer_start)
		return 0;
	return mul_div_u64(tsc - l->timer_start, LAPIC_BUS_HZ, l->clock->tsc_hz);
}

static void expire_at(struct lapic *l, u64 expiry)
{
	u64 due = l->timer_start + mul_div_up_u64(expiry, l->clock->tsc_hz, LAPIC_BUS_HZ);

	l->timer_expiry = expiry;
	l->timer_due = due < l->timer_start || due == NEVER ? NEVER - 1 : due;
}

static void stop(struct lapic *l)
{
	l->timer_due = NEVER;
	l->tsc_deadline = 0;
}

void lapic_timer_reset(struct lapic *l)
{
	l->timer_mode = 0;
	l->timer_shift = divide_shift(0);
	stop(l);
}

u32 lapic_timer_count(const struct lapic *l)
{
	u64 done, left;

	if (!armed(l) || (l->timer_mode & LVT_TIMER_DEADLINE))
		return 0;
	done = elapsed(l, now(l));
	if (done < l->timer_expiry)
		left = l->timer_expiry - done;
	else if (l->timer_mode == LVT_TIMER_PERIODIC)
		left = l->timer_period - (done - l->timer_expiry) % l->timer_period;
	else
		return 0;
	/* A started count shows until the divider has gone round. */
	return (u32)((left + BIT(l->timer_shift) - 1) >> l->timer_shift);
}

/* The first expiry of the running period after `tsc`. */
static void next_period(struct lapic *l, u64 tsc)
{
	u64 cycle = l->timer_period;
	u64 past = elapsed(l, tsc) - l->timer_expiry;

	if (cycle < LAPIC_MIN_PERIOD)
		past += LAPIC_MIN_PERIOD;
	expire_at(l, l->timer_expiry + (past / cycle + 1) * cycle);
}

void lapic_advance(struct lapic *l, u64 tsc)
{
	if (!armed(l) || tsc < l->timer_due)
		return;
	if (l->timer_mode == LVT_TIMER_PERIODIC)
		next_period(l, tsc);
	else
		stop(l);
	lapic_local_interrupt(l, LAPIC_LVT_TIMER);
}

u64 lapic_next_deadline(const struct lapic *l)
{
	/* A masked timer runs on, but nobody need wake up for it. */
	return lapic_lvt_masked(l, LAPIC_LVT_TIMER) ? NEVER : l->timer_due;
}

/* One-shot and periodic are two ways to end the same count, which goes on; to and from TSC-deadline
 * mode disarms. (Processors do so; section 11.5.4.1 "TSC-Deadline Mode" states the latter.) */
void lapic_timer_write_lvt(struct lapic *l, u32 value)
{
	u32 from = l->timer_mode;

	lapic_advance(l, now(l));
	lapic_set_reg(l, LAPIC_LVT_TIMER, value);
	l->timer_mode = value & LVT_TIMER_MODE;
	if (l->timer_mode != from && ((l->timer_mode | from) & LVT_TIMER_DEADLINE)) {
		stop(l);
		lapic_set_reg(l, LAPIC_TMICT, 0);
	}
}

void lapic_timer_write_initial(struct lapic *l, u32 value)
{
	if (l->timer_mode & LVT_TIMER_DEADLINE)
		return;
	lapic_advance(l, now(l));
	lapic_set_reg(l, LAPIC_TMICT, value);
	stop(l);
	if (value) {
		l->timer_start = now(l);
		l->timer_period = (u64)value << l->timer_shift;
		expire_at(l, l->timer_period);
	}
}

/* A running count goes on from where it stands, at the new rate. */
void lapic_timer_write_divide(struct lapic *l, u32 value)
{
	u64 count, full;

	lapic_advance(l, now(l));
	count = lapic_timer_count(l);
	full = l->timer_period >> l->timer_shift;
	lapic_set_reg(l, LAPIC_TDCR, value);
	l->timer_shift = divide_shift(value);
	/* Disarmed or in TSC-deadline mode the count reads 0. */
	if (count) {
		l->timer_start = now(l);
		l->timer_period = full << l->timer_shift;
		expire_at(l, count << l->timer_shift);
	}
}

/* Reading fires nothing: what is due still is for lapic_next_deadline(). */
u64 lapic_timer_read_deadline(const struct lapic *l)
{
	return armed(l) && now(l) >= l->timer_due ? 0 : l->tsc_deadline;
}

void lapic_timer_write_deadline(struct lapic *l, u64 value)
{
	if (l->timer_mode != LVT_TIMER_DEADLINE)
		return;
	lapic_advance(l, now(l));
	l->tsc_deadline = value;
	l->timer_due = value ? value : NEVER;
	lapic_advance(l, now(l));
}
