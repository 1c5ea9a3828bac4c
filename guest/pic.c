/* SPDX-License-Identifier: MIT */
/* The pair of 8259As: see the header for the data sheet and what is particular here. */
#include "guest/pic.h"

#include "lib/mem.h"

#define CASCADE 2u
#define SPURIOUS 7u

/* A byte written at A0=0 is told apart by bits 4 and 3. */
#define ICW1_SELECT 0x10
#define ICW1_SINGLE 0x02
#define ICW1_IC4 0x01
#define ICW4_AUTO_EOI 0x02
#define ICW4_SFNM 0x10
#define OCW3_SELECT 0x08
#define OCW3_ESMM 0x40
#define OCW3_SMM 0x20
#define OCW3_POLL 0x04
#define OCW3_RR 0x02
#define OCW3_RIS 0x01

/* OCW2 bits 7:5: R, SL, EOI. */
enum ocw2 {
	ROTATE_AUTO_EOI_CLEAR,
	EOI_NONSPECIFIC,
	OCW2_NOP,
	EOI_SPECIFIC,
	ROTATE_AUTO_EOI_SET,
	ROTATE_NONSPECIFIC,
	SET_PRIORITY,
	ROTATE_SPECIFIC,
};

#define NONE 8u

/* The bit of highest priority in `bits`, or NONE. */
static unsigned first_by_priority(const struct pic_chip *c, u8 bits)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned n = (c->highest + i) & 7;

		if (bits >> n & 1)
			return n;
	}
	return NONE;
}

static unsigned rank(const struct pic_chip *c, unsigned n)
{
	return n == NONE ? NONE : (n - c->highest) & 7;
}

static bool has_slave(const struct pic_chip *c)
{
	return c->master && !c->single;
}

/* The input that the chip asks to have served, or NONE. Fully nested: one in service holds back
 * its own level and those below. */
static unsigned request(const struct pic_chip *c)
{
	u8 wanted = c->irr & ~c->imr;
	u8 blocking = c->isr;
	unsigned n, holder;

	if (!wanted || c->icw_step)
		return NONE;
	if (c->special_mask)
		blocking &= ~c->imr;
	n = first_by_priority(c, wanted);
	holder = first_by_priority(c, blocking);
	/* The master lets the slave interrupt itself; the slave sorts out its own levels. */
	if (c->special_fully_nested && has_slave(c) && n == CASCADE && holder == CASCADE)
		return n;
	return rank(c, n) < rank(c, holder) ? n : NONE;
}

static bool is_level(const struct pic_chip *c, unsigned n)
{
	return c->elcr >> n & 1;
}

static void chip_set(struct pic_chip *c, unsigned n, bool level)
{
	u8 bit = (u8)(1u << n);
	bool rise = level && !(c->lines & bit);

	if (!level) {
		c->lines &= ~bit;
		c->irr &= ~bit;
		return;
	}
	c->lines |= bit;
	if (rise || is_level(c, n))
		c->irr |= bit;
}

/* The slave's INT output is the master's IR2. */
static void update_cascade(struct pic *p)
{
	chip_set(&p->chip[0], CASCADE, request(&p->chip[1]) != NONE);
}

static void rotate_below(struct pic_chip *c, unsigned lowest)
{
	c->highest = (u8)((lowest + 1) & 7);
}

/* First INTA: freeze the request, and put it in service. */
static unsigned chip_ack(struct pic_chip *c)
{
	unsigned n = request(c);
	u8 bit;

	if (n == NONE)
		return SPURIOUS;
	bit = (u8)(1u << n);
	if (!is_level(c, n))
		c->irr &= ~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_on_auto_eoi)
		rotate_below(c, n);
	return n;
}

/* The acknowledge ends with the slave's INT low, so that a further request is an edge again. */
static unsigned slave_ack(struct pic *p)
{
	unsigned n = chip_ack(&p->chip[1]);

	chip_set(&p->chip[0], CASCADE, false);
	update_cascade(p);
	return n;
}

u8 pic_ack(struct pic *p)
{
	struct pic_chip *master = &p->chip[0];
	unsigned n = chip_ack(master);

	if (n == CASCADE && has_slave(master))
		return (u8)(p->chip[1].vector_base + slave_ack(p));
	return (u8)(master->vector_base + n);
}

bool pic_intr(const struct pic *p)
{
	return request(&p->chip[0]) != NONE;
}

void pic_set(struct pic *p, unsigned irq, bool level)
{
	if (irq >= 16 || irq == CASCADE)
		return;
	chip_set(&p->chip[irq / 8], irq & 7, level);
	update_cascade(p);
}

static void write_icw1(struct pic_chip *c, u8 value)
{
	c->imr = 0;
	c->isr = 0;
	/* Edges are forgotten, levels are not. */
	c->irr = c->lines & c->elcr;
	c->highest = 0;
	c->special_mask = false;
	c->read_isr = false;
	c->poll = false;
	c->auto_eoi = false;
	c->rotate_on_auto_eoi = false;
	c->special_fully_nested = false;
	c->single = value & ICW1_SINGLE;
	c->needs_icw4 = value & ICW1_IC4;
	c->icw_step = 2;
}

/* ICW2 to ICW4, at A0=1. */
static void write_icw(struct pic_chip *c, u8 value)
{
	u8 step = c->icw_step;

	if (step == 2)
		c->vector_base = value & 0xf8;
	if (step == 4) {
		c->auto_eoi = value & ICW4_AUTO_EOI;
		c->special_fully_nested = value & ICW4_SFNM;
	}
	if (step == 2 && !c->single)
		c->icw_step = 3;
	else if (step < 4 && c->needs_icw4)
		c->icw_step = 4;
	else
		c->icw_step = 0;
}

static void end_of_interrupt(struct pic_chip *c, unsigned n, bool rotate)
{
	if (n == NONE)
		return;
	c->isr &= ~(1u << n);
	if (rotate)
		rotate_below(c, n);
}

/* In special mask mode a masked level in service is not what a non-specific EOI means. */
static unsigned highest_in_service(const struct pic_chip *c)
{
	return first_by_priority(c, c->special_mask ? c->isr & ~c->imr : c->isr);
}

static void write_ocw2(struct pic_chip *c, u8 value)
{
	unsigned n = value & 7;

	switch ((enum ocw2)(value >> 5)) {
	case EOI_NONSPECIFIC:
	case ROTATE_NONSPECIFIC:
		end_of_interrupt(c, highest_in_service(c), value >> 5 == ROTATE_NONSPECIFIC);
		break;
	case EOI_SPECIFIC:
	case ROTATE_SPECIFIC:
		end_of_interrupt(c, n, value >> 5 == ROTATE_SPECIFIC);
		break;
	case SET_PRIORITY:
		rotate_below(c, n);
		break;
	case ROTATE_AUTO_EOI_SET:
	case ROTATE_AUTO_EOI_CLEAR:
		c->rotate_on_auto_eoi = value >> 5 == ROTATE_AUTO_EOI_SET;
		break;
	case OCW2_NOP:
		break;
	}
}

static void write_ocw3(struct pic_chip *c, u8 value)
{
	if (value & OCW3_ESMM)
		c->special_mask = value & OCW3_SMM;
	if (value & OCW3_POLL)
		c->poll = true;
	else if (value & OCW3_RR)
		c->read_isr = value & OCW3_RIS;
}

static void write_byte(struct pic *p, struct pic_chip *c, unsigned a0, u8 value)
{
	if (a0) {
		if (c->icw_step)
			write_icw(c, value);
		else
			c->imr = value;
	} else if (value & ICW1_SELECT) {
		write_icw1(c, value);
	} else if (value & OCW3_SELECT) {
		write_ocw3(c, value);
	} else {
		write_ocw2(c, value);
	}
	update_cascade(p);
}

/* The poll word: bit 7 and the level, which is thereby acknowledged. */
static u8 read_poll(struct pic *p, struct pic_chip *c)
{
	c->poll = false;
	if (request(c) == NONE)
		return 0;
	return (u8)(0x80 | (c == &p->chip[1] ? slave_ack(p) : chip_ack(c)));
}

static u8 read_byte(struct pic *p, struct pic_chip *c, unsigned a0)
{
	if (c->poll)
		return read_poll(p, c);
	if (a0)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static u64 chip_read(struct pic *p, struct pic_chip *c, u64 offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size && i < 8; i++) {
		u8 byte = offset + i < 2 ? read_byte(p, c, (unsigned)(offset + i)) : 0xff;

		value |= (u64)byte << 8 * i;
	}
	return value;
}

static void chip_write(struct pic *p, struct pic_chip *c, u64 offset, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size && offset + i < 2; i++)
		write_byte(p, c, (unsigned)(offset + i), (u8)(value >> 8 * i));
}

u64 pic_master_read(void *pic, u64 offset, unsigned size)
{
	struct pic *p = pic;

	return chip_read(p, &p->chip[0], offset, size);
}

void pic_master_write(void *pic, u64 offset, unsigned size, u64 value)
{
	struct pic *p = pic;

	chip_write(p, &p->chip[0], offset, size, value);
}

u64 pic_slave_read(void *pic, u64 offset, unsigned size)
{
	struct pic *p = pic;

	return chip_read(p, &p->chip[1], offset, size);
}

void pic_slave_write(void *pic, u64 offset, unsigned size, u64 value)
{
	struct pic *p = pic;

	chip_write(p, &p->chip[1], offset, size, value);
}

u64 pic_elcr_read(void *pic, u64 offset, unsigned size)
{
	const struct pic *p = pic;
	u64 value = 0;

	for (unsigned i = 0; i < size && i < 8; i++)
		value |= (u64)(offset + i < 2 ? p->chip[offset + i].elcr : 0xff) << 8 * i;
	return value;
}

/* An input that becomes edge-triggered needs a fresh edge; one that becomes level-triggered
 * requests as its line stands. */
static void chip_write_elcr(struct pic_chip *c, u8 value)
{
	u8 elcr = value & c->elcr_mask;
	u8 changed = elcr ^ c->elcr;

	c->elcr = elcr;
	c->irr = (c->irr & ~changed) | (c->lines & changed & elcr);
}

void pic_elcr_write(void *pic, u64 offset, unsigned size, u64 value)
{
	struct pic *p = pic;

	for (unsigned i = 0; i < size && offset + i < 2; i++)
		chip_write_elcr(&p->chip[offset + i], (u8)(value >> 8 * i));
	update_cascade(p);
}

void pic_init(struct pic *p)
{
	memset(p, 0, sizeof(*p));
	p->chip[0].imr = p->chip[1].imr = 0xff;
	p->chip[0].master = true;
	/* IRQ 0, 1, 2, 8 and 13 are wired to edge-triggered devices. */
	p->chip[0].elcr_mask = 0xf8;
	p->chip[1].elcr_mask = 0xde;
}
