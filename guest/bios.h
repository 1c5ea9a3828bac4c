/* SPDX-License-Identifier: MIT */
/*
 * What a PC's BIOS leaves behind for code that runs in real mode: the interrupt vectors with
 * handlers behind them, the data area, and a timer that ticks 18.2 times a second into both. There
 * are no services: a software interrupt returns as it came. Kernels that a BIOS would have booted
 * (Multiboot) get it; Linux, which is started past all that, does not.
 *
 *     0x00000 - 0x003ff   256 interrupt vectors
 *     0x00400 - 0x004ff   BIOS data area
 *     0xfff00 - 0xfffff   the handlers, and at f000:fff0 what a processor runs after a reset
 */
#ifndef TV_BIOS_H
#define TV_BIOS_H

#include "pc.h"

/** Write all that into the guest's memory, over what is at address 0 already, and set up the 8259
 *  pair (vectors from 8 and from 0x70, all but the timer masked) and channel 0 of the 8254, as
 *  vcpu 0 would. False where the memory is not there. */
bool bios_build(struct pc *pc);

#endif
