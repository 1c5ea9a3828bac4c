/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's core: reset, acceptance of interrupts, priorities, EOI, errors, and the local
 * interrupt pins. SDM volume 3, chapter 11 "Advanced Programmable Interrupt Controller (APIC)".
 */
#include "guest/lapic.h"

#include "guest/lapic_regs.h"
#include "lib/mem.h"
#include "x86.h"

#define FIRST_LEGAL_VECTOR 16
#define VECTOR_WORDS 8

/* IRR, ISR and TMR: 256 bits as eight 32-bit words, one every 16 bytes. */
static u32 vector_word(u32 base, u8 vector)
{
	return base + (vector / 32u) * 16;
}

static bool vector_test(const struct lapic *l, u32 base, u8 vector)
{
	return lapic_reg(l, vector_word(base, vector)) >> vector % 32 & 1;
}

static void vector_assign(struct lapic *l, u32 base, u8 vector, bool set)
{
	u32 word = vector_word(base, vector);
	u32 bit = 1u << vector % 32;
	u32 old = lapic_reg(l, word);

	lapic_set_reg(l, word, set ? old | bit : old & ~bit);
}

static void assign_tmr(struct lapic *l, u8 vector, bool level)
{
	if (vector_test(l, LAPIC_TMR, vector) == level)
		return;
	vector_assign(l, LAPIC_TMR, vector, level);
	l->tmr_changed = true;
}

/* The highest bit set in the lowest `words` words, or -1. */
static s16 vector_highest(const struct lapic *l, u32 base, unsigned words)
{
	while (words-- > 0) {
		u32 bits = lapic_reg(l, base + words * 16);

		if (bits)
			return (s16)(words * 32 + 31 - (unsigned)__builtin_clz(bits));
	}
	return -1;
}

int lapic_highest_irr(const struct lapic *l)
{
	return l->virtual_delivery ? vector_highest(l, LAPIC_IRR, VECTOR_WORDS) : l->max_irr;
}

int lapic_highest_isr(const struct lapic *l)
{
	return l->virtual_delivery ? vector_highest(l, LAPIC_ISR, VECTOR_WORDS) : l->max_isr;
}

u32 lapic_tmr(const struct lapic *l, unsigned word)
{
	return lapic_reg(l, LAPIC_TMR + word * 16);
}

/* Section 11.12.10.2 "Deriving Logical x2APIC ID from the Local x2APIC ID" for the LDR. */
void lapic_load_id(struct lapic *l)
{
	if (lapic_x2apic(l)) {
		lapic_set_reg(l, LAPIC_ID, l->id);
		lapic_set_reg(l, LAPIC_LDR, l->id >> 4 << 16 | 1u << (l->id & 15));
	} else {
		lapic_set_reg(l, LAPIC_ID, l->id << 24);
	}
}

void lapic_reset_registers(struct lapic *l)
{
	memset(l->page, 0, PAGE_SIZE);
	memset(l->kept, 0, sizeof(l->kept));
	lapic_load_id(l);
	lapic_set_reg(l, LAPIC_VERSION, LAPIC_VERSION_VALUE);
	lapic_set_reg(l, LAPIC_DFR, ~0u);
	lapic_set_reg(l, LAPIC_SVR, 0xff);
	for (u32 lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt += 16)
		lapic_set_reg(l, lvt, LVT_MASKED);
	lapic_timer_reset(l);
	l->esr_pending = 0;
	l->tmr_changed = true;
	l->max_irr = -1;
	l->max_isr = -1;
}

void lapic_init(struct lapic *l, u32 id, bool bsp, u8 *page, const struct gclock *clock,
		const struct lapic_ops *ops)
{
	*l = (struct lapic){
		.id = id,
		.bsp = bsp,
		.has_x2apic = true,
		.has_tsc_deadline = true,
		.maxphyaddr = MAXPHYADDR_DEFAULT,
		.apic_base = LAPIC_DEFAULT_BASE | APIC_BASE_EN | (bsp ? APIC_BASE_BSP : 0),
		.page = page,
		.clock = clock,
		.ops = ops,
	};
	lapic_reset_registers(l);
}

void lapic_init_reset(struct lapic *l)
{
	if (lapic_enabled(l))
		lapic_reset_registers(l);
}

void lapic_virtual_wire(struct lapic *l)
{
	lapic_set_reg(l, LAPIC_SVR, SVR_ENABLE | 0xf);
	lapic_set_reg(l, LAPIC_LVT_LINT0, APIC_EXTINT << LVT_DELIVERY_SHIFT);
	lapic_set_reg(l, LAPIC_LVT_LINT1, APIC_NMI << LVT_DELIVERY_SHIFT);
}

u8 lapic_ppr(const struct lapic *l)
{
	u8 tpr = (u8)lapic_reg(l, LAPIC_TPR);
	int isr = lapic_highest_isr(l);
	u8 isrv = isr < 0 ? 0 : isr & 0xf0;

	return (tpr & 0xf0) >= isrv ? tpr : isrv;
}

int lapic_pending(const struct lapic *l)
{
	int irr = lapic_highest_irr(l);

	/* Most calls end here. A globally disabled APIC has an empty IRR. */
	if (irr < 0)
		return -1;
	return (irr & 0xf0) > (lapic_ppr(l) & 0xf0) ? irr : -1;
}

void lapic_ack(struct lapic *l, u8 vector)
{
	vector_assign(l, LAPIC_IRR, vector, false);
	vector_assign(l, LAPIC_ISR, vector, true);
	if (vector == l->max_irr)
		l->max_irr = vector_highest(l, LAPIC_IRR, vector / 32u + 1);
	l->max_isr = MAX(l->max_isr, vector);
}

/* Section 11.8.4 "Interrupt Acceptance for Fixed Interrupts": TMR is loaded on acceptance. */
static void accept_vector(struct lapic *l, u8 vector, bool level)
{
	if (vector < FIRST_LEGAL_VECTOR) {
		lapic_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
		return;
	}
	vector_assign(l, LAPIC_IRR, vector, true);
	assign_tmr(l, vector, level);
	l->max_irr = MAX(l->max_irr, vector);
}

void lapic_accept(struct lapic *l, const struct apic_msg *msg)
{
	if (!lapic_enabled(l) || !msg->assert)
		return;
	switch (msg->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (lapic_software_enabled(l))
			accept_vector(l, msg->vector, msg->level);
		break;
	case APIC_NMI:
		l->nmi_pending = true;
		break;
	case APIC_INIT:
		l->init_pending = true;
		l->sipi_pending = false;
		break;
	case APIC_SIPI:
		l->sipi_pending = true;
		l->sipi_vector = msg->vector;
		break;
	default:
		break;
	}
}

void lapic_error(struct lapic *l, u32 bit)
{
	bool armed = !l->esr_pending;

	/* The bit first: an illegal vector in the error LVT itself comes back here, once. */
	l->esr_pending |= bit;
	if (armed)
		lapic_local_interrupt(l, LAPIC_LVT_ERROR);
}

void lapic_local_interrupt(struct lapic *l, u32 lvt)
{
	u32 value = lapic_reg(l, lvt);
	struct apic_msg msg = {
		.mode = value >> LVT_DELIVERY_SHIFT & 7,
		.vector = (u8)value,
		.assert = true,
	};

	/* A SIPI and lowest priority are no delivery modes of an LVT. */
	if (!(value & LVT_MASKED) && msg.mode != APIC_SIPI && msg.mode != APIC_LOWEST)
		lapic_accept(l, &msg);
}

/* Level-triggered fixed interrupts exist on LINT0 only: section 11.5.1 "Local Vector Table". */
static bool lint0_level_triggered(u32 lvt)
{
	return (lvt & LVT_LEVEL) && (lvt >> LVT_DELIVERY_SHIFT & 7) == APIC_FIXED;
}

void lapic_lint0_written(struct lapic *l)
{
	u32 lvt = lapic_reg(l, LAPIC_LVT_LINT0);

	if (!lint0_level_triggered(lvt)) {
		lapic_set_reg(l, LAPIC_LVT_LINT0, lvt & ~LVT_REMOTE_IRR);
		return;
	}
	if (!l->extint_pin || (lvt & (LVT_MASKED | LVT_REMOTE_IRR)))
		return;
	lapic_set_reg(l, LAPIC_LVT_LINT0, lvt | LVT_REMOTE_IRR);
	accept_vector(l, (u8)lvt, true);
}

void lapic_set_lint(struct lapic *l, unsigned pin, bool level)
{
	bool *state = pin == 0 ? &l->extint_pin : &l->lint1_pin;
	bool rise = level && !*state;

	if (pin > 1)
		return;
	*state = level;
	if (pin == 0 && lint0_level_triggered(lapic_reg(l, LAPIC_LVT_LINT0)))
		lapic_lint0_written(l);
	else if (rise)
		lapic_local_interrupt(l, pin ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0);
}

static bool lint0_delivers(const struct lapic *l, enum apic_delivery mode)
{
	u32 lvt = lapic_reg(l, LAPIC_LVT_LINT0);

	return !(lvt & LVT_MASKED) && (lvt >> LVT_DELIVERY_SHIFT & 7) == mode;
}

bool lapic_accepts_extint(const struct lapic *l)
{
	return !lapic_enabled(l) || lint0_delivers(l, APIC_EXTINT);
}

bool lapic_lint0_is_nmi(const struct lapic *l)
{
	return lapic_enabled(l) && lint0_delivers(l, APIC_NMI);
}

/* The 8259 pair's LINT0 shares the EOI with every other vector. */
static void eoi_lint0(struct lapic *l, u8 vector)
{
	u32 lvt = lapic_reg(l, LAPIC_LVT_LINT0);

	if ((lvt & LVT_REMOTE_IRR) && (u8)lvt == vector) {
		lapic_set_reg(l, LAPIC_LVT_LINT0, lvt & ~LVT_REMOTE_IRR);
		lapic_lint0_written(l);
	}
}

/* Section 11.8.5 "Signaling Interrupt Servicing Completion". */
void lapic_eoi(struct lapic *l)
{
	int isr = lapic_highest_isr(l);
	u8 vector = (u8)isr;

	if (isr < 0)
		return;
	vector_assign(l, LAPIC_ISR, vector, false);
	l->max_isr = vector_highest(l, LAPIC_ISR, vector / 32u + 1);
	lapic_eoi_virtualized(l, vector);
}

void lapic_eoi_virtualized(struct lapic *l, u8 vector)
{
	if (!vector_test(l, LAPIC_TMR, vector))
		return;
	eoi_lint0(l, vector);
	if (!(lapic_reg(l, LAPIC_SVR) & SVR_NO_EOI_BROADCAST))
		l->ops->eoi_broadcast(l->ops->ctx, vector);
}

u64 lapic_get_cr8(const struct lapic *l)
{
	return lapic_reg(l, LAPIC_TPR) >> 4 & 15;
}

void lapic_set_cr8(struct lapic *l, u64 cr8)
{
	lapic_set_reg(l, LAPIC_TPR, (u32)(cr8 & 15) << 4);
}
