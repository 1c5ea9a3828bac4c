/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC (Intel 82093AA data sheet, order number 290566, section 3 "Register Description";
 * version 0x20 with the EOI register of the later chipsets). 24 pins.
 *
 * Where the data sheet leaves a choice, or the virtual machine has none of its problems:
 * - An edge on a masked pin is ignored, neither delivered nor held pending (section 3.2.4, bit
 *   16). A level-triggered pin delivers on unmasking if it is asserted by then.
 * - The polarity bit is storage: `level` in ioapic_set() is the asserted state.
 * - Messages are accepted at once: the delivery status always reads idle.
 * - Remote IRR is for fixed and lowest-priority entries. Others are edge-triggered whatever their
 *   trigger bit says. Making an entry edge-triggered clears its remote IRR, which operating systems
 *   use as an EOI of their own.
 */
#ifndef TV_IOAPIC_H
#define TV_IOAPIC_H

#include "lapic.h"
#include "types.h"

#define IOAPIC_BASE 0xfec00000ull
#define IOAPIC_LEN 0x1000ull
#define IOAPIC_PINS 24

struct ioapic {
	u32 id; /* 4 bits */
	u8 index;
	u64 redir[IOAPIC_PINS];
	u32 level; /* bit per pin: the input's level */
	void (*deliver)(void *ctx, const struct apic_msg *msg);
	void *ctx;
};

/** Power-up state: all pins masked and low. `deliver` sends a message to the LAPICs, as from no
 *  LAPIC; it must not call back into the IOAPIC. */
void ioapic_init(struct ioapic *io, u32 id, void (*deliver)(void *ctx, const struct apic_msg *),
		 void *ctx);

/** Registers IOREGSEL (offset 0), IOWIN (0x10) and EOI (0x40). IOWIN takes writes of 32 bits or
 *  more only, of which it uses 32. Everything else reads 0 and writes nothing. */
u64 ioapic_mmio_read(void *io, u64 offset, unsigned size);
void ioapic_mmio_write(void *io, u64 offset, unsigned size, u64 value);

/** Drive an input; `pin` beyond the last is ignored. Edge pins deliver on a rise, level pins while
 *  high and remote IRR is clear. */
void ioapic_set(struct ioapic *io, unsigned pin, bool level);

/** Is a pin set to deliver NMIs, and unmasked? */
bool ioapic_sends_nmi(const struct ioapic *io);

/** A LAPIC broadcast an EOI for `vector`: clears remote IRR of the level-triggered entries with
 *  this vector, and delivers again those whose pin is still high. */
void ioapic_eoi(struct ioapic *io, u8 vector);

#endif
