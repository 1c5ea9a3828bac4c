/* SPDX-License-Identifier: MIT */
/*
 * What test kernels know as QEMU's pc-testdev, as far as they need it: ports that drive the
 * interrupt lines of the machine by hand. Port 0x2000 + n is the line of ISA IRQ n, and from 16 on
 * of GSI n; any write but 0 makes it high. No PC has anything there, and no driver looks.
 */
#ifndef TV_TESTDEV_H
#define TV_TESTDEV_H

#include "device.h"
#include "types.h"

#define TESTDEV_IRQ_PORTS 0x2000
#define TESTDEV_IRQ_LINES 24

/** `irq_sink` is a struct irq_sink. Lines cannot be read: 0. */
u64 testdev_irq_read(void *irq_sink, u64 offset, unsigned size);
void testdev_irq_write(void *irq_sink, u64 offset, unsigned size, u64 value);

#endif
