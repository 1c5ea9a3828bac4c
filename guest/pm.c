/* SPDX-License-Identifier: MIT */
/*
 * ACPI's fixed hardware, and the other ways out of the machine. Names are those of ACPI 6.4,
 * section 4.8.3 "Fixed Hardware Registers" and its tables.
 */
#include "lib/muldiv.h"
#include "pm.h"

#define TMR_STS 0x0001
#define GBL_STS 0x0020
#define EVENTS (TMR_STS | GBL_STS) /* the events that exist here: no buttons, no bus masters */
/* The RTC's event never occurs (the FADT's FIX_RTC says that it has no status bit), but Linux's
 * rtc-cmos enables it all the same and wants to read the bit back. */
#define RTC_EN 0x0400
#define TMR_WRAP_SHIFT 31

#define SCI_EN 0x0001
#define CNT_KEPT 0x1c02 /* SLP_TYP, BM_RLD */
#define SLP_TYP_SHIFT 10
#define SLP_EN 0x2000

#define CF9_RST_CPU 0x04
#define CF9_KEPT 0x0e /* FULL_RST, RST_CPU, SYS_RST */

#define PORT92_FAST_RESET 0x01
#define PORT92_A20 0x02

#define KBD_WRITE_OUTPUT_PORT 0xd1
#define KBD_OUTPUT_NOT_RESET 0x01

static u64 tick_of(const struct pm *p, u64 tsc)
{
	return mul_div_u64(tsc, PM_TIMER_HZ, p->clock->tsc_hz);
}

static u64 tick_now(const struct pm *p)
{
	return tick_of(p, p->clock->now(p->clock->ctx));
}

/** Bring TMR_STS up to `tick`: it is set by each change of the timer's highest bit. */
static void settle(struct pm *p, u64 tick)
{
	if (tick >> TMR_WRAP_SHIFT != p->seen >> TMR_WRAP_SHIFT)
		p->pm1_sts |= TMR_STS;
	p->seen = tick;
}

static void update_sci(struct pm *p)
{
	bool sci = p->pm1_sts & p->pm1_en & EVENTS;

	if (sci != p->sci) {
		p->sci = sci;
		p->irq.set(p->irq.ctx, PM_SCI_GSI, sci);
	}
	p->tmr_due = NEVER;
	if (!sci && p->pm1_en & TMR_STS)
		p->tmr_due = mul_div_up_u64(((p->seen >> TMR_WRAP_SHIFT) + 1) << TMR_WRAP_SHIFT,
					    p->clock->tsc_hz, PM_TIMER_HZ);
}

void pm_advance(struct pm *p, u64 now)
{
	if (p->tmr_due > now)
		return;
	settle(p, tick_of(p, now));
	update_sci(p);
}

/** The first request stands: the guest may still run a little after it. */
static void request(struct pm *p, enum pm_request what)
{
	if (p->request == PM_NONE)
		p->request = what;
}

/** One byte of the register block. */
static u8 read_byte(const struct pm *p, u64 offset, u64 tick)
{
	unsigned shift = (offset & 1) * 8;

	switch (offset) {
	case PM1_EVT:
	case PM1_EVT + 1:
		return p->pm1_sts >> shift;
	case PM1_EVT + 2:
	case PM1_EVT + 3:
		return p->pm1_en >> shift;
	case PM1_CNT:
	case PM1_CNT + 1:
		return (p->pm1_cnt | SCI_EN) >> shift;
	case PM_TMR:
	case PM_TMR + 1:
	case PM_TMR + 2:
	case PM_TMR + 3:
		return tick >> (offset - PM_TMR) * 8;
	default:
		return 0;
	}
}

u64 pm_read(void *dev, u64 offset, unsigned size)
{
	struct pm *p = dev;
	u64 tick = tick_now(p), v = 0;

	settle(p, tick);
	for (unsigned i = 0; i < size && i < 8; i++)
		v |= (u64)read_byte(p, offset + i, tick) << (i * 8);
	return v;
}

static void write_byte(struct pm *p, u64 offset, u8 v)
{
	unsigned shift = (offset & 1) * 8;
	u16 mask = 0xff << shift, v16 = v << shift;

	switch (offset) {
	case PM1_EVT:
	case PM1_EVT + 1:
		p->pm1_sts &= ~v16; /* write 1 to clear */
		break;
	case PM1_EVT + 2:
	case PM1_EVT + 3:
		p->pm1_en = (p->pm1_en & ~mask) | (v16 & (EVENTS | RTC_EN));
		break;
	case PM1_CNT:
	case PM1_CNT + 1:
		p->pm1_cnt = (p->pm1_cnt & ~mask) | (v16 & CNT_KEPT);
		if (v16 & SLP_EN && p->pm1_cnt >> SLP_TYP_SHIFT == PM_S5_TYPE)
			request(p, PM_POWEROFF);
		break;
	}
}

void pm_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pm *p = dev;

	settle(p, tick_now(p));
	for (unsigned i = 0; i < size && i < 8; i++)
		write_byte(p, offset + i, value >> (i * 8));
	update_sci(p);
}

u64 pm_cf9_read(void *dev, u64 offset, unsigned size)
{
	const struct pm *p = dev;

	(void)offset;
	(void)size;
	return p->cf9;
}

void pm_cf9_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pm *p = dev;

	(void)offset;
	(void)size;
	if (value & ~p->cf9 & CF9_RST_CPU)
		request(p, PM_RESET);
	p->cf9 = value & CF9_KEPT;
}

u64 pm_port92_read(void *dev, u64 offset, unsigned size)
{
	const struct pm *p = dev;

	(void)offset;
	(void)size;
	return p->port92 | PORT92_A20;
}

void pm_port92_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pm *p = dev;

	(void)offset;
	(void)size;
	if (value & ~p->port92 & PORT92_FAST_RESET)
		request(p, PM_RESET);
	p->port92 = value & PORT92_FAST_RESET;
}

u64 pm_kbd_read(void *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0xff;
}

/** Commands 0xf0-0xff pulse the output port's low bits where the command has a 0: bit 0 is the
 *  processor's reset. */
void pm_kbd_command(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pm *p = dev;

	(void)offset;
	(void)size;
	p->kbd_command = value;
	if ((value & 0xf1) == 0xf0)
		request(p, PM_RESET);
}

void pm_kbd_data(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pm *p = dev;

	(void)offset;
	(void)size;
	if (p->kbd_command == KBD_WRITE_OUTPUT_PORT && !(value & KBD_OUTPUT_NOT_RESET))
		request(p, PM_RESET);
	p->kbd_command = 0;
}

u64 pm_debug_exit_read(void *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

void pm_debug_exit_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pm *p = dev;

	(void)offset;
	if (p->request == PM_NONE)
		p->exit_code = value & (BIT(8 * size) - 1);
	request(p, PM_DEBUG_EXIT);
}

void pm_init(struct pm *p, const struct gclock *clock, const struct irq_sink *irq)
{
	*p = (struct pm){.irq = *irq, .clock = clock, .tmr_due = NEVER};
	p->seen = tick_now(p);
}
