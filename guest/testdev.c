/* SPDX-License-Identifier: MIT */
/* Interrupt lines for test kernels to drive. */
#include "testdev.h"

#include "pit.h"

u64 testdev_irq_read(void *irq_sink, u64 offset, unsigned size)
{
	(void)irq_sink;
	(void)offset;
	(void)size;
	return 0;
}

void testdev_irq_write(void *irq_sink, u64 offset, unsigned size, u64 value)
{
	const struct irq_sink *irq = irq_sink;

	(void)size;
	if (offset < TESTDEV_IRQ_LINES)
		irq->set(irq->ctx, offset ? offset : PIT_GSI, value != 0);
}
