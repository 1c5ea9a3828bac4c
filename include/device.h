/* SPDX-License-Identifier: MIT */
/*
 * What a device model sees of the world, and what the world sees of it: time, interrupt
 * lines, and the PIO/MMIO bus. Callbacks with a context pointer, so that every device can
 * exist many times and can be tested on the host.
 */
#ifndef TV_DEVICE_H
#define TV_DEVICE_H

#include "types.h"

/** Guest time. `now` returns the guest's time-stamp counter; tsc_hz is its constant rate. */
struct gclock {
	u64 (*now)(void *ctx);
	void *ctx;
	u64 tsc_hz;
};

/** An interrupt input (global system interrupt number 0-23) of the machine. */
struct irq_sink {
	void (*set)(void *ctx, unsigned gsi, bool level);
	void *ctx;
};

/** One claimed range of ports or of guest-physical addresses. `offset` is relative to `base`;
 *  size is 1, 2, 4 or (MMIO only) 8 bytes. Reads return the value zero-extended.
 *  `width` is the widest access the device decodes, in bytes (0: any): wider ones reach it as
 *  several, lowest address first, as a bus bridge does for an 8-bit ISA card. */
struct bus_range {
	const char *name;
	u64 base, len;
	void *dev;
	u64 (*read)(void *dev, u64 offset, unsigned size);
	void (*write)(void *dev, u64 offset, unsigned size, u64 value);
	unsigned width;
};

#define BUS_MAX_RANGES 32

struct bus {
	unsigned nr; /* ranges, sorted by base */
	struct bus_range range[BUS_MAX_RANGES];
};

/** Claim a range. False where it overlaps one already claimed, or the bus is full. */
bool bus_claim(struct bus *bus, const struct bus_range *r);

/** The range that holds all of [addr, addr+size), or NULL. */
const struct bus_range *bus_find(const struct bus *bus, u64 addr, unsigned size);

/** Access. An access that is wider than the device, or that crosses the end of its range, is
 *  split. False where nobody claims any byte of it (or `size` is none of 1, 2, 4, 8); unclaimed
 *  bytes read as all-ones, as on a real bus, and writes to them are dropped. */
bool bus_read(const struct bus *bus, u64 addr, unsigned size, u64 *value);
bool bus_write(const struct bus *bus, u64 addr, unsigned size, u64 value);

#endif
