/* SPDX-License-Identifier: MIT */
/* What the 8259 tests share: a pair, set up as every PC does, and its ports. */
#ifndef TV_TESTS_PIC_FIXTURE_H
#define TV_TESTS_PIC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest/pic.h"

static struct pic pic;

static inline void out(unsigned port, u8 value)
{
	if (port < 0x80)
		pic_master_write(&pic, port & 1, 1, value);
	else if (port < 0x4d0)
		pic_slave_write(&pic, port & 1, 1, value);
	else
		pic_elcr_write(&pic, port & 1, 1, value);
}

static inline u8 in(unsigned port)
{
	if (port < 0x80)
		return (u8)pic_master_read(&pic, port & 1, 1);
	if (port < 0x4d0)
		return (u8)pic_slave_read(&pic, port & 1, 1);
	return (u8)pic_elcr_read(&pic, port & 1, 1);
}

static inline u8 irr(unsigned port)
{
	out(port, 0x0a);
	return in(port);
}

static inline u8 isr(unsigned port)
{
	out(port, 0x0b);
	return in(port);
}

/* The usual set-up: vectors 0x20 and 0x28, everything unmasked. */
static inline void program(u8 icw4_master, u8 icw4_slave)
{
	out(0x20, 0x11);
	out(0x21, 0x20);
	out(0x21, 0x04);
	out(0x21, icw4_master);
	out(0xa0, 0x11);
	out(0xa1, 0x28);
	out(0xa1, 0x02);
	out(0xa1, icw4_slave);
}

static inline int setup(void **state)
{
	(void)state;
	pic_init(&pic);
	program(0x01, 0x01);
	return 0;
}

static inline void pulse(unsigned irq)
{
	pic_set(&pic, irq, false);
	pic_set(&pic, irq, true);
}

/* The vector that the processor gets, or 0 where INTR is low. */
static inline u8 take(void)
{
	return pic_intr(&pic) ? pic_ack(&pic) : 0;
}

#endif
