/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's register file: which register exists in which mode, what reading and writing
 * it does, and the xAPIC's memory-mapped front end (the x2APIC's MSRs are in lapic_msr.c). SDM
 * volume 3, table 11-1 "Local APIC Register Address Map" and table 11-6 "Local APIC Register
 * Address Map Supported by x2APIC".
 */
#include "guest/lapic_regs.h"

/* Access rights. */
#define XAPIC 1 /* exists in xAPIC mode */
#define X2R 2	/* readable in x2APIC mode */
#define X2W 4	/* writable in x2APIC mode */

/* Indexed by offset / 16. CMCI (0x2f0) is absent; the rest of the page is reserved. */
static const u8 rights[] = {
	[LAPIC_ID / 16] = XAPIC | X2R,
	[LAPIC_VERSION / 16] = XAPIC | X2R,
	[LAPIC_TPR / 16] = XAPIC | X2R | X2W,
	[LAPIC_APR / 16] = XAPIC,
	[LAPIC_PPR / 16] = XAPIC | X2R,
	[LAPIC_EOI / 16] = XAPIC | X2W,
	[LAPIC_RRD / 16] = XAPIC,
	[LAPIC_LDR / 16] = XAPIC | X2R,
	[LAPIC_DFR / 16] = XAPIC,
	[LAPIC_SVR / 16] = XAPIC | X2R | X2W,
	[LAPIC_ISR / 16 ... LAPIC_IRR / 16 + 7] = XAPIC | X2R,
	[LAPIC_ESR / 16] = XAPIC | X2R | X2W,
	[LAPIC_ICR / 16] = XAPIC | X2R | X2W,
	[LAPIC_ICR_HIGH / 16] = XAPIC,
	[LAPIC_LVT_TIMER / 16 ... LAPIC_LVT_ERROR / 16] = XAPIC | X2R | X2W,
	[LAPIC_TMICT / 16] = XAPIC | X2R | X2W,
	[LAPIC_TMCCT / 16] = XAPIC | X2R,
	[LAPIC_TDCR / 16] = XAPIC | X2R | X2W,
	[LAPIC_SELF_IPI / 16] = X2W,
};

static u8 rights_of(u32 offset)
{
	return offset / 16 < ARRAY_SIZE(rights) ? rights[offset / 16] : 0;
}

bool lapic_reg_in_xapic(u32 offset)
{
	return rights_of(offset) & XAPIC;
}

bool lapic_reg_x2apic_readable(u32 offset)
{
	return rights_of(offset) & X2R;
}

bool lapic_reg_x2apic_writable(u32 offset)
{
	return rights_of(offset) & X2W;
}

/* Figure 11-8 "Local Vector Table (LVT)": the writable bits of an entry. */
static u32 lvt_bits(const struct lapic *l, u32 lvt)
{
	switch (lvt) {
	case LAPIC_LVT_TIMER:
		return 0xff | LVT_MASKED | LVT_TIMER_PERIODIC |
		       (l->has_tsc_deadline ? LVT_TIMER_DEADLINE : 0);
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
		return 0x7ff | 0x2000 | LVT_LEVEL | LVT_MASKED;
	case LAPIC_LVT_ERROR:
		return 0xff | LVT_MASKED;
	default: /* thermal sensor and performance counters */
		return 0x7ff | LVT_MASKED;
	}
}

/* Bits that only the APIC changes, which software may write back as it read them. */
static u32 lvt_read_only(u32 lvt)
{
	bool lint = lvt == LAPIC_LVT_LINT0 || lvt == LAPIC_LVT_LINT1;

	return LVT_STATUS | (lint ? LVT_REMOTE_IRR : 0);
}

u32 lapic_reg_x2apic_bits(const struct lapic *l, u32 offset)
{
	switch (offset) {
	case LAPIC_TPR:
	case LAPIC_SELF_IPI:
		return 0xff;
	case LAPIC_SVR:
		return 0xff | SVR_ENABLE | SVR_NO_EOI_BROADCAST;
	case LAPIC_LVT_TIMER ... LAPIC_LVT_ERROR:
		return lvt_bits(l, offset) | lvt_read_only(offset);
	case LAPIC_TMICT:
		return ~0u;
	case LAPIC_TDCR:
		return 0xb;
	default: /* EOI and ESR take zero only */
		return 0;
	}
}

u32 lapic_reg_read(struct lapic *l, u32 offset)
{
	switch (offset) {
	case LAPIC_PPR:
		return lapic_ppr(l);
	case LAPIC_TMCCT:
		return lapic_timer_count(l);
	default:
		/* EOI, the arbitration priority and the remote read register stay 0 in the page. */
		return lapic_reg(l, offset);
	}
}

static void write_svr(struct lapic *l, u32 value)
{
	/* Bit 9, focus processor checking, is kept and does nothing. */
	lapic_set_reg(l, LAPIC_SVR, value & (0xff | SVR_ENABLE | 0x200 | SVR_NO_EOI_BROADCAST));
	if (value & SVR_ENABLE)
		return;
	for (u32 lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt += 16)
		lapic_set_reg(l, lvt, lapic_reg(l, lvt) | LVT_MASKED);
}

static void write_lvt(struct lapic *l, u32 lvt, u32 value)
{
	value &= lvt_bits(l, lvt);
	value |= lapic_reg(l, lvt) & lvt_read_only(lvt);
	/* A software-disabled APIC ignores attempts to unmask: section 11.4.7.2. */
	if (!lapic_software_enabled(l))
		value |= LVT_MASKED;
	if (lvt == LAPIC_LVT_TIMER) {
		lapic_timer_write_lvt(l, value);
		return;
	}
	lapic_set_reg(l, lvt, value);
	if (lvt == LAPIC_LVT_LINT0)
		lapic_lint0_written(l);
}

/* Any value: what was noted since the last write becomes readable. */
static void write_esr(struct lapic *l)
{
	lapic_set_reg(l, LAPIC_ESR, l->esr_pending);
	l->esr_pending = 0;
}

void lapic_reg_write(struct lapic *l, u32 offset, u32 value)
{
	switch (offset) {
	case LAPIC_TPR:
		lapic_set_reg(l, LAPIC_TPR, value & 0xff);
		break;
	case LAPIC_EOI:
		lapic_eoi(l);
		break;
	case LAPIC_LDR:
		lapic_set_reg(l, LAPIC_LDR, value & 0xff000000);
		break;
	case LAPIC_DFR:
		lapic_set_reg(l, LAPIC_DFR, value | 0x0fffffff);
		break;
	case LAPIC_SVR:
		write_svr(l, value);
		break;
	case LAPIC_ESR:
		write_esr(l);
		break;
	case LAPIC_ICR:
		lapic_set_reg(l, LAPIC_ICR, value & ICR_BITS);
		lapic_send_icr(l, value, lapic_reg(l, LAPIC_ICR_HIGH) >> 24);
		break;
	case LAPIC_ICR_HIGH:
		lapic_set_reg(l, LAPIC_ICR_HIGH, value & 0xff000000);
		break;
	case LAPIC_LVT_TIMER ... LAPIC_LVT_ERROR:
		write_lvt(l, offset, value);
		break;
	case LAPIC_TMICT:
		lapic_timer_write_initial(l, value);
		break;
	case LAPIC_TDCR:
		lapic_timer_write_divide(l, value & 0xb);
		break;
	case LAPIC_SELF_IPI:
		lapic_send_self(l, (u8)value);
		break;
	default: /* read-only */
		break;
	}
}

void lapic_written(struct lapic *l, u32 offset)
{
	u32 value;

	offset &= (LAPIC_KEPT - 1) * 16;
	value = lapic_reg(l, offset);
	/* Writers look at the register as it was: at bits that software may not change, for one. */
	lapic_set_reg(l, offset, l->kept[offset / 16]);
	lapic_reg_write(l, offset, value);
}

u64 lapic_mmio_read(void *dev, u64 offset, unsigned size)
{
	struct lapic *l = dev;
	u32 reg = (u32)offset & 0xff0;
	unsigned byte = offset & 15;
	u64 ones = size >= 8 ? ~0ull : BIT(8 * size) - 1;

	if (!lapic_xapic(l))
		return ones;
	if (offset >= PAGE_SIZE || size > 4 || byte + size > 4)
		return 0;
	if (!lapic_reg_in_xapic(reg)) {
		lapic_error(l, ESR_ILLEGAL_REGISTER);
		return 0;
	}
	return lapic_reg_read(l, reg) >> 8 * byte & ones;
}

void lapic_mmio_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct lapic *l = dev;

	if (!lapic_xapic(l) || offset >= PAGE_SIZE || size != 4 || offset % 16)
		return;
	if (!lapic_reg_in_xapic((u32)offset)) {
		lapic_error(l, ESR_ILLEGAL_REGISTER);
		return;
	}
	lapic_reg_write(l, (u32)offset, (u32)value);
}
