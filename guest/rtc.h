/* SPDX-License-Identifier: MIT */
/*
 * The MC146818 real-time clock (Motorola MC146818A data sheet) and CMOS memory, ports 0x70-0x71.
 *
 * The clock is a number of seconds that grows with the 32.768 kHz divider chain, and the chain is
 * computed from the guest clock when somebody looks. Only while the guest has stopped it (SET, or
 * the divider in reset) does the date live in the ten registers.
 */
#ifndef TV_RTC_H
#define TV_RTC_H

#include "device.h"
#include "types.h"

#define RTC_HZ 32768ull
#define RTC_GSI 8
#define RTC_CENTURY 0x32 /* where ACPI's FADT says the century is */

/** Moments in here are counts of RTC_HZ ticks since guest TSC 0. */
struct rtc {
	u8 index;
	u8 cmos[128];	  /* registers 0-9 and the century: valid while the clock is stopped */
	s64 chain_start;  /* when the divider chain was at 0 */
	s64 epoch_base;	  /* seconds since 1970 when it was */
	u8 weekday_shift; /* what the guest added to the weekday that the date has */
	s64 seen;	  /* flags of register C are up to date until here */
	bool line;
	u64 next_event; /* guest TSC of the next enabled interrupt, or NEVER */
	struct irq_sink irq;
	const struct gclock *clock;
};

/** `epoch`: the date to show, seconds since 1970. `mem_below_4g`: bytes of RAM that begin at 0, for
 *  the CMOS memory-size bytes. `irq` is copied. */
void rtc_init(struct rtc *r, const struct gclock *clock, const struct irq_sink *irq, u64 epoch,
	      u64 mem_below_4g);

/** Ports 0x70 (offset 0: index, write only; bit 7 masks NMIs on a PC, ignored) and 0x71 (data);
 *  `size` must be 1. */
u64 rtc_read(void *r, u64 offset, unsigned size);
void rtc_write(void *r, u64 offset, unsigned size, u64 value);

/** Guest TSC of the next interrupt, or NEVER; raise what is due at `now`. */
static inline u64 rtc_next_deadline(const struct rtc *r)
{
	return r->next_event;
}
void rtc_advance(struct rtc *r, u64 now);

#endif
