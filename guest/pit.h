/* SPDX-License-Identifier: MIT */
/*
 * The 8254 programmable interval timer (Intel 8254 data sheet, order number 231164) and port 0x61.
 *
 * Nothing counts while nobody looks: a channel remembers at which tick of the 1.193182 MHz input
 * its counting element was loaded, and everything else is computed from the guest clock when it
 * is asked for. So there is no drift, and a read is exact to the tick.
 */
#ifndef TV_PIT_H
#define TV_PIT_H

#include "device.h"
#include "types.h"

#define PIT_HZ 1193182ull
#define PIT_GSI 2 /* ISA IRQ 0 */

/** Moments in here are counts of PIT_HZ ticks since guest TSC 0. */
struct pit_channel {
	/* What was programmed. */
	u8 mode;   /* 0-5 */
	u8 access; /* RW field of the control word: 1 LSB, 2 MSB, 3 LSB then MSB */
	bool bcd;
	bool write_msb, read_msb; /* the MSB of a pair is next */
	u8 write_lsb;		  /* the first byte of a pair */
	u32 cr;			  /* count register: 1-65536 */
	bool cr_valid;		  /* a count was written since the control word */
	bool null_count;	  /* it has not reached the counting element yet */
	bool gate;
	/* The output latches. */
	u8 latched; /* bytes of latched_count still to be read */
	u16 latched_count;
	bool status_latched;
	u8 latched_status;
	/* The sequence that is running. */
	bool running;
	u32 n;	       /* count the counting element was loaded with */
	s64 origin;    /* when it was loaded, or will be: the tick after a write or a trigger */
	s64 paused;    /* ticks counted when GATE stopped it, or -1 */
	s64 load_at;   /* when a start moves CR into CE, or PIT_NEVER: it has */
	s64 reload_at; /* modes 2, 3: when a new count takes over, or PIT_NEVER */
	/* What shows before `origin`, and while nothing runs. */
	u16 ce;	  /* the counting element as it reads */
	bool out; /* OUT */
};

#define PIT_NEVER INT64_MAX

/** A periodic channel 0 that is faster than this, in ticks (200 us), loses edges but keeps its
 * phase: else a guest could ask for more interrupts than there is time to deliver. */
#define PIT_MIN_PERIOD 239

struct pit {
	struct pit_channel ch[3];
	u8 port61;    /* bits 0-3 as written: gate 2, speaker, parity and channel check */
	s64 irq_tick; /* channel 0's next rising edge, or PIT_NEVER */
	u64 irq_due;  /* the same as guest TSC, or NEVER */
	struct irq_sink irq;
	const struct gclock *clock;
};

/** As firmware leaves it, but with nothing counting: all OUTs high, gate 2 low. `irq` is copied. */
void pit_init(struct pit *p, const struct gclock *clock, const struct irq_sink *irq);

/** Ports 0x40-0x43; `size` must be 1. */
u64 pit_read(void *p, u64 offset, unsigned size);
void pit_write(void *p, u64 offset, unsigned size, u64 value);

/** Port 0x61: bit 0 gate of channel 2, bit 5 its OUT, bit 4 toggles with each refresh (15 us). */
u64 pit_port61_read(void *p, u64 offset, unsigned size);
void pit_port61_write(void *p, u64 offset, unsigned size, u64 value);

/** Guest TSC of channel 0's next rising edge, or NEVER. pit_advance() raises the edge that is due;
 *  edges missed in between are one, as on a line that nobody acknowledged. */
static inline u64 pit_next_deadline(const struct pit *p)
{
	return p->irq_due;
}
void pit_advance(struct pit *p, u64 now);

#endif
