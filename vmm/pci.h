/* SPDX-License-Identifier: MIT */
/* PCI configuration space, as far as a hypervisor without drivers needs it. */
#ifndef TV_PCI_H
#define TV_PCI_H

/** Turn bus mastering off in every function that is not a bridge: the firmware may have left a
 *  device with DMA programmed, and the memory is no longer its own. Returns how many had it on. */
unsigned pci_stop_dma(void);

#endif
