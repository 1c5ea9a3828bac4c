/* SPDX-License-Identifier: MIT */
/*
 * What test kernels know as QEMU's pc-testdev, as far as they need it. No PC has anything at these
 * ports, and no driver looks.
 * - Port 0x2000 + n drives the line of ISA IRQ n, and from 16 on of GSI n, by hand: any write but 0
 *   makes it high.
 * - Ports 0xe0-0xe3 keep what is written to them.
 * - 64 KiB of memory where otherwise none is, by which tests make a hypervisor emulate
 *   instructions. Here it is mapped like RAM (struct gmem, device): there is nothing to emulate.
 */
#ifndef TV_TESTDEV_H
#define TV_TESTDEV_H

#include "device.h"
#include "types.h"

#define TESTDEV_IRQ_PORTS 0x2000
#define TESTDEV_IRQ_LINES 24
#define TESTDEV_IO_PORTS 0xe0
#define TESTDEV_IO_LEN 4
#define TESTDEV_MEM 0xff000000ull
#define TESTDEV_MEM_LEN KIB(64)

struct testdev {
	u8 io[TESTDEV_IO_LEN];
	struct irq_sink irq;
};

/** `irq` is copied. */
void testdev_init(struct testdev *t, const struct irq_sink *irq);

/** The interrupt lines. They cannot be read: 0. */
u64 testdev_irq_read(void *t, u64 offset, unsigned size);
void testdev_irq_write(void *t, u64 offset, unsigned size, u64 value);

/** The bytes that are kept. */
u64 testdev_io_read(void *t, u64 offset, unsigned size);
void testdev_io_write(void *t, u64 offset, unsigned size, u64 value);

#endif
