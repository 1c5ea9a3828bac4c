/* SPDX-License-Identifier: MIT */
/* What test kernels expect beside a PC. */
#include "testdev.h"

#include "pit.h"

u64 testdev_irq_read(void *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

void testdev_irq_write(void *dev, u64 offset, unsigned size, u64 value)
{
	const struct testdev *t = dev;

	(void)size;
	if (offset < TESTDEV_IRQ_LINES)
		t->irq.set(t->irq.ctx, offset ? offset : PIT_GSI, value != 0);
}

u64 testdev_io_read(void *dev, u64 offset, unsigned size)
{
	const struct testdev *t = dev;
	u64 v = 0;

	for (unsigned i = 0; i < size && offset + i < TESTDEV_IO_LEN; i++)
		v |= (u64)t->io[offset + i] << (8 * i);
	return v;
}

void testdev_io_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct testdev *t = dev;

	for (unsigned i = 0; i < size && offset + i < TESTDEV_IO_LEN; i++)
		t->io[offset + i] = value >> (8 * i);
}

void testdev_init(struct testdev *t, const struct irq_sink *irq)
{
	*t = (struct testdev){.irq = *irq};
}
