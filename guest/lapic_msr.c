/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's MSRs: IA32_APIC_BASE with its mode transitions, the x2APIC registers, and
 * IA32_TSC_DEADLINE. SDM volume 3, section 11.12 "Extended XAPIC (x2APIC)".
 */
#include "guest/lapic_regs.h"

/* IA32_APIC_BASE bits 11:10. */
enum apic_mode { MODE_DISABLED, MODE_INVALID, MODE_XAPIC, MODE_X2APIC };

static enum apic_mode mode_of(u64 apic_base)
{
	return (enum apic_mode)(apic_base >> 10 & 3);
}

/* Section 11.12.5 "x2APIC State Transitions". */
static bool transition_allowed(enum apic_mode from, enum apic_mode to)
{
	switch (to) {
	case MODE_DISABLED:
		return true;
	case MODE_XAPIC:
		return from != MODE_X2APIC;
	case MODE_X2APIC:
		return from != MODE_DISABLED;
	default:
		return false;
	}
}

static bool write_apic_base(struct lapic *l, u64 value)
{
	u64 flags = APIC_BASE_BSP | APIC_BASE_EN | (l->has_x2apic ? APIC_BASE_EXTD : 0);
	enum apic_mode from = mode_of(l->apic_base);
	enum apic_mode to = mode_of(value);

	if (value & ~(flags | (BIT(l->maxphyaddr) - PAGE_SIZE)) || !transition_allowed(from, to))
		return false;
	l->apic_base = (value & ~APIC_BASE_BSP) | (l->bsp ? APIC_BASE_BSP : 0);
	if (from == to)
		return true;
	if (to == MODE_X2APIC) {
		/* The other registers survive, but for the ICR's destination: that is at another
		 * place now, and 0. */
		lapic_load_id(l);
	} else {
		lapic_reset_registers(l);
	}
	return true;
}

static bool x2apic_read(struct lapic *l, u32 offset, u64 *value)
{
	if (!lapic_x2apic(l) || !lapic_reg_x2apic_readable(offset))
		return false;
	*value = lapic_reg_read(l, offset);
	if (offset == LAPIC_ICR)
		*value |= (u64)lapic_reg(l, LAPIC_ICR + 4) << 32;
	return true;
}

/* Section 11.12.9 "ICR Operation in x2APIC Mode". */
static bool x2apic_write_icr(struct lapic *l, u64 value)
{
	/* The xAPIC's delivery status is ignored, as processors do, rather than reserved. */
	u32 low = (u32)value & ~ICR_STATUS;

	if (low & ~ICR_BITS)
		return false;
	lapic_set_reg(l, LAPIC_ICR, low);
	lapic_set_reg(l, LAPIC_ICR + 4, (u32)(value >> 32));
	lapic_send_icr(l, low, (u32)(value >> 32));
	return true;
}

static bool x2apic_write(struct lapic *l, u32 offset, u64 value)
{
	if (!lapic_x2apic(l) || !lapic_reg_x2apic_writable(offset))
		return false;
	if (offset == LAPIC_ICR)
		return x2apic_write_icr(l, value);
	if (value & ~(u64)lapic_reg_x2apic_bits(l, offset))
		return false;
	lapic_reg_write(l, offset, (u32)value);
	return true;
}

bool lapic_msr_read(struct lapic *l, u32 msr, u64 *value)
{
	switch (msr) {
	case MSR_APIC_BASE:
		*value = l->apic_base;
		return true;
	case MSR_TSC_DEADLINE:
		if (!l->has_tsc_deadline)
			return false;
		*value = lapic_timer_read_deadline(l);
		return true;
	case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
		return x2apic_read(l, (msr - MSR_X2APIC_FIRST) * 16, value);
	default:
		return false;
	}
}

bool lapic_msr_write(struct lapic *l, u32 msr, u64 value)
{
	switch (msr) {
	case MSR_APIC_BASE:
		return write_apic_base(l, value);
	case MSR_TSC_DEADLINE:
		if (!l->has_tsc_deadline)
			return false;
		lapic_timer_write_deadline(l, value);
		return true;
	case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
		return x2apic_write(l, (msr - MSR_X2APIC_FIRST) * 16, value);
	default:
		return false;
	}
}
