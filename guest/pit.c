/* SPDX-License-Identifier: MIT */
/*
 * The 8254's registers, latches and interrupt, and port 0x61, by the data sheet's chapter
 * "Programming the 8254". What counts is in guest/pit_counter.c.
 */
#include "lib/muldiv.h"
#include "pit_counter.h"

#define PORT61_WRITABLE 0x0f
#define PORT61_GATE2 0x01
#define PORT61_REFRESH 0x10
#define PORT61_OUT2 0x20
#define REFRESH_TICKS 18 /* channel 1 of a PC: 15.09 us */

static s64 tick_of(const struct pit *p, u64 tsc)
{
	return mul_div_u64(tsc, PIT_HZ, p->clock->tsc_hz);
}

/** The first TSC at which tick_of() gives `tick`. */
static u64 tsc_of(const struct pit *p, s64 tick)
{
	return tick == PIT_NEVER ? NEVER : mul_div_up_u64(tick, p->clock->tsc_hz, PIT_HZ);
}

static s64 tick_now(const struct pit *p)
{
	return tick_of(p, p->clock->now(p->clock->ctx));
}

static void rearm(struct pit *p, s64 t)
{
	p->irq_tick = pit_counter_next_rise(&p->ch[0], t);
	p->irq_due = tsc_of(p, p->irq_tick);
}

/** Only rising edges of a periodic channel are events: the fall before is made up for here. */
static void out0_rises(struct pit *p)
{
	p->irq.set(p->irq.ctx, PIT_GSI, false);
	p->irq.set(p->irq.ctx, PIT_GSI, true);
}

/** While a new count waits for the end of the period, that end is near. */
static bool too_fast(const struct pit_channel *c)
{
	return (c->mode == 2 || c->mode == 3) && c->n < PIT_MIN_PERIOD && c->reload_at == PIT_NEVER;
}

void pit_advance(struct pit *p, u64 now)
{
	s64 t = tick_of(p, now);

	if (p->irq_tick > t)
		return;
	out0_rises(p);
	pit_counter_settle(&p->ch[0], t);
	rearm(p, too_fast(&p->ch[0]) ? t + PIT_MIN_PERIOD : t);
}

static void latch_count(struct pit_channel *c, s64 t)
{
	if (c->latched)
		return;
	c->latched_count = pit_counter_value(c, t);
	c->latched = c->access == PIT_RW_BOTH ? 2 : 1;
}

static void latch_status(struct pit_channel *c, s64 t)
{
	if (c->status_latched)
		return;
	c->status_latched = true;
	c->latched_status = pit_counter_out(c, t) << 7 | c->null_count << 6 | c->access << 4 |
			    c->mode << 1 | c->bcd;
}

static void read_back(struct pit *p, s64 t, u8 v)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(v & 2u << i))
			continue;
		pit_counter_settle(&p->ch[i], t);
		if (!(v & 0x20))
			latch_count(&p->ch[i], t);
		if (!(v & 0x10))
			latch_status(&p->ch[i], t);
	}
}

static void write_control(struct pit_channel *c, s64 t, u8 v)
{
	u8 mode = v >> 1 & 7;

	if ((v >> 4 & 3) == PIT_RW_LATCH) {
		latch_count(c, t);
		return;
	}
	mode = mode > 5 ? mode - 4 : mode; /* M2 is "don't care" in modes 2 and 3 */
	pit_counter_stop(c, t, mode != 0);
	c->mode = mode;
	c->access = v >> 4 & 3;
	c->bcd = v & 1;
	c->cr_valid = false;
	c->null_count = true;
	c->write_msb = c->read_msb = false;
	c->latched = 0;
	c->status_latched = false;
}

void pit_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pit *p = dev;
	u64 now = p->clock->now(p->clock->ctx);
	s64 t = tick_of(p, now);
	u8 v = value, nr = offset & 3;
	struct pit_channel *c;
	bool before, after;

	(void)size;
	if (nr == 3 && v >> 6 == 3) {
		read_back(p, t, v);
		return;
	}
	c = &p->ch[nr == 3 ? v >> 6 : nr];
	if (c == &p->ch[0])
		pit_advance(p, now); /* an edge that is due comes before the change */
	pit_counter_settle(c, t);
	before = pit_counter_out(c, t);
	if (nr == 3)
		write_control(c, t, v);
	else
		pit_counter_write(c, t, v);
	if (c != &p->ch[0])
		return;
	after = pit_counter_out(c, t);
	if (after && !before)
		out0_rises(p);
	else if (before && !after)
		p->irq.set(p->irq.ctx, PIT_GSI, false);
	rearm(p, t);
}

static u8 read_count(struct pit_channel *c, s64 t)
{
	bool msb = c->access == PIT_RW_MSB || (c->access == PIT_RW_BOTH && c->read_msb);
	u16 v = c->latched ? c->latched_count : pit_counter_value(c, t);

	if (c->latched)
		c->latched--;
	if (c->access == PIT_RW_BOTH)
		c->read_msb = !c->read_msb;
	return msb ? v >> 8 : v;
}

u64 pit_read(void *dev, u64 offset, unsigned size)
{
	struct pit *p = dev;
	struct pit_channel *c;
	s64 t;

	(void)size;
	if ((offset & 3) == 3) /* the control word cannot be read */
		return 0xff;
	c = &p->ch[offset & 3];
	if (c->status_latched) {
		c->status_latched = false;
		return c->latched_status;
	}
	t = tick_now(p);
	pit_counter_settle(c, t);
	return read_count(c, t);
}

u64 pit_port61_read(void *dev, u64 offset, unsigned size)
{
	struct pit *p = dev;
	s64 t = tick_now(p);

	(void)offset;
	(void)size;
	pit_counter_settle(&p->ch[2], t);
	return p->port61 | (t / REFRESH_TICKS & 1 ? PORT61_REFRESH : 0) |
	       (pit_counter_out(&p->ch[2], t) ? PORT61_OUT2 : 0);
}

void pit_port61_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pit *p = dev;
	s64 t = tick_now(p);

	(void)offset;
	(void)size;
	p->port61 = value & PORT61_WRITABLE;
	pit_counter_settle(&p->ch[2], t);
	pit_counter_gate(&p->ch[2], t, value & PORT61_GATE2);
}

void pit_init(struct pit *p, const struct gclock *clock, const struct irq_sink *irq)
{
	*p = (struct pit){.irq = *irq, .clock = clock, .irq_tick = PIT_NEVER, .irq_due = NEVER};
	for (unsigned i = 0; i < 3; i++)
		p->ch[i] = (struct pit_channel){.mode = 3,
						.access = PIT_RW_BOTH,
						.gate = i != 2,
						.null_count = true,
						.paused = -1,
						.load_at = PIT_NEVER,
						.reload_at = PIT_NEVER,
						.out = true};
}
