/* SPDX-License-Identifier: MIT */
/*
 * Registers of the local APIC, and what the files of the LAPIC model share: SDM volume 3, table
 * 11-1 "Local APIC Register Address Map". An x2APIC register's MSR is 0x800 + offset / 16.
 */
#ifndef TV_LAPIC_REGS_H
#define TV_LAPIC_REGS_H

#include "lapic.h"

#define LAPIC_ID 0x020
#define LAPIC_VERSION 0x030
#define LAPIC_TPR 0x080
#define LAPIC_APR 0x090
#define LAPIC_PPR 0x0a0
#define LAPIC_EOI 0x0b0
#define LAPIC_RRD 0x0c0
#define LAPIC_LDR 0x0d0
#define LAPIC_DFR 0x0e0
#define LAPIC_SVR 0x0f0
#define LAPIC_ISR 0x100
#define LAPIC_TMR 0x180
#define LAPIC_IRR 0x200
#define LAPIC_ESR 0x280
#define LAPIC_ICR 0x300
#define LAPIC_ICR_HIGH 0x310 /* xAPIC; in x2APIC mode the ICR is the qword at LAPIC_ICR */
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_THERMAL 0x330
#define LAPIC_LVT_PERF 0x340
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_LVT_ERROR 0x370
#define LAPIC_TMICT 0x380
#define LAPIC_TMCCT 0x390
#define LAPIC_TDCR 0x3e0
#define LAPIC_SELF_IPI 0x3f0

#define LAPIC_NR_LVT 6
/** Version 0x14, six LVT entries, EOI-broadcast suppression. */
#define LAPIC_VERSION_VALUE (0x14u | (LAPIC_NR_LVT - 1u) << 16 | 1u << 24)

#define SVR_ENABLE 0x100u
#define SVR_NO_EOI_BROADCAST 0x1000u

#define LVT_DELIVERY_SHIFT 8
#define LVT_STATUS 0x1000u /* read-only; always idle */
#define LVT_REMOTE_IRR 0x4000u
#define LVT_LEVEL 0x8000u
#define LVT_MASKED 0x10000u
#define LVT_TIMER_PERIODIC 0x20000u
#define LVT_TIMER_DEADLINE 0x40000u
#define LVT_TIMER_MODE 0x60000u

#define ESR_SEND_ILLEGAL_VECTOR 0x20u
#define ESR_RECEIVE_ILLEGAL_VECTOR 0x40u
#define ESR_ILLEGAL_REGISTER 0x80u

#define ICR_BITS 0xccfffu
#define ICR_LOGICAL 0x800u
#define ICR_STATUS 0x1000u
#define ICR_ASSERT 0x4000u
#define ICR_LEVEL 0x8000u

#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST 0x8ffu

#define APIC_BASE_BSP 0x100ull
#define APIC_BASE_EXTD 0x400ull
#define APIC_BASE_EN 0x800ull

/* volatile: the processor may use the page as its virtual-APIC page. */
typedef volatile u32 __attribute__((may_alias)) lapic_reg_t;

static inline u32 lapic_reg(const struct lapic *l, u32 offset)
{
	return *(const lapic_reg_t *)(l->page + offset);
}

static inline void lapic_set_reg(struct lapic *l, u32 offset, u32 value)
{
	*(lapic_reg_t *)(l->page + offset) = value;
	/* The upper half of an x2APIC's ICR is at no multiple of 16, and not the processor's. */
	if (offset % 16 == 0)
		l->kept[offset / 16] = value;
}

static inline bool lapic_software_enabled(const struct lapic *l)
{
	return lapic_reg(l, LAPIC_SVR) & SVR_ENABLE;
}

static inline bool lapic_lvt_masked(const struct lapic *l, u32 lvt)
{
	return lapic_reg(l, lvt) & LVT_MASKED;
}

/* lapic.c */

/** Power-up register values for the mode in apic_base; the timer stops. */
void lapic_reset_registers(struct lapic *l);

/** APIC ID and LDR as the mode in apic_base has them. */
void lapic_load_id(struct lapic *l);

/** The guest signals the end of the interrupt in service. */
void lapic_eoi(struct lapic *l);

/** Note an error (ESR_* bit), and raise the error interrupt if it is the first since the ESR was
 *  last written. Section 11.5.3 "Error Handling". */
void lapic_error(struct lapic *l, u32 bit);

/** The local interrupt of register `lvt` happened (an edge). */
void lapic_local_interrupt(struct lapic *l, u32 lvt);

/** LVT LINT0 was written: an asserted level-triggered pin may now deliver. */
void lapic_lint0_written(struct lapic *l);

/* lapic_reg.c: accesses to registers by offset, past the checks of the front ends. */

/** Does xAPIC mode have this register? May x2APIC mode read it, write it? `offset` is a multiple of
 *  16 below 0x1000. */
bool lapic_reg_in_xapic(u32 offset);
bool lapic_reg_x2apic_readable(u32 offset);
bool lapic_reg_x2apic_writable(u32 offset);

/** The bits that x2APIC mode lets a write set. Section 11.12.1.3 "Reserved Bit Checking". */
u32 lapic_reg_x2apic_bits(const struct lapic *l, u32 offset);

u32 lapic_reg_read(struct lapic *l, u32 offset);
void lapic_reg_write(struct lapic *l, u32 offset, u32 value);

/* lapic_ipi.c */

/** Act on a write of the ICR: `dest` is 8 bits in xAPIC mode, 32 in x2APIC mode. Section 11.6.1
 *  "Interrupt Command Register (ICR)". */
void lapic_send_icr(struct lapic *l, u32 low, u32 dest);
void lapic_send_self(struct lapic *l, u8 vector);

/* lapic_timer.c: section 11.5.4 "APIC Timer". The writers are given the register's bits
 * only, and store them. */

void lapic_timer_reset(struct lapic *l);
u32 lapic_timer_count(const struct lapic *l);
void lapic_timer_write_lvt(struct lapic *l, u32 value);
void lapic_timer_write_initial(struct lapic *l, u32 value);
void lapic_timer_write_divide(struct lapic *l, u32 value);
u64 lapic_timer_read_deadline(const struct lapic *l);
void lapic_timer_write_deadline(struct lapic *l, u64 value);

#endif
