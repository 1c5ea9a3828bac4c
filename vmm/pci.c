/* SPDX-License-Identifier: MIT */
/* Stopping DMA that the firmware left behind (PCI Local Bus Specification 3.0, section 3.2.2.3.2
 * "Software Generation of Configuration Transactions"). */
#include "pci.h"

#include "insn.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define REG_COMMAND 0x04
#define REG_HEADER 0x0c
#define COMMAND_BUS_MASTER BIT(2)
#define HEADER_MULTI_FUNCTION BIT(23)
#define HEADER_TYPE(v) ((v) >> 16 & 0x7f)

static u32 config_read(unsigned bus, unsigned dev, unsigned fn, unsigned reg)
{
	outl(CONFIG_ADDRESS, 0x80000000u | bus << 16 | dev << 11 | fn << 8 | reg);
	return inl(CONFIG_DATA);
}

static bool stop_function(unsigned bus, unsigned dev, unsigned fn)
{
	u32 command = config_read(bus, dev, fn, REG_COMMAND);

	if (HEADER_TYPE(config_read(bus, dev, fn, REG_HEADER)) != 0 ||
	    !(command & COMMAND_BUS_MASTER))
		return false;
	config_read(bus, dev, fn, REG_COMMAND);
	/* The upper half is the status register: writing 0 there clears nothing. */
	outl(CONFIG_DATA, command & 0xffff & ~COMMAND_BUS_MASTER);
	return true;
}

unsigned pci_stop_dma(void)
{
	unsigned stopped = 0;

	for (unsigned bus = 0; bus < 256; bus++) {
		for (unsigned dev = 0; dev < 32; dev++) {
			unsigned functions = 1;

			for (unsigned fn = 0; fn < functions; fn++) {
				if ((config_read(bus, dev, fn, 0) & 0xffff) == 0xffff)
					continue;
				if (fn == 0 &&
				    config_read(bus, dev, 0, REG_HEADER) & HEADER_MULTI_FUNCTION)
					functions = 8;
				stopped += stop_function(bus, dev, fn);
			}
		}
	}
	return stopped;
}
