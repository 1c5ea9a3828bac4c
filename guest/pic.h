/* SPDX-License-Identifier: MIT */
/*
 * The pair of 8259A interrupt controllers (Intel 8259A data sheet, order number 231468), cascaded
 * on IR2 as in every PC, with the ELCR of the PCI chipsets.
 *
 * The data sheet rules, with these points worth knowing:
 * - An input must stay high until it is acknowledged. Where it drops earlier, edge-triggered or
 *   not, the request is gone; an acknowledge already under way then gets the spurious IR7. So a
 *   device that means to interrupt must hold its line, not pulse it.
 * - ICW1 clears the edge detectors: an input that is high then must fall and rise to be seen.
 * - ICW1's level-trigger bit does nothing, as on the chipsets with an ELCR, which replaces it; nor
 *   do ICW3 (the wiring is fixed), the buffered mode, and the 8080/85 mode. A chip asserts no
 *   interrupt while its initialization is under way.
 */
#ifndef TV_PIC_H
#define TV_PIC_H

#include "types.h"

struct pic_chip {
	u8 irr, isr, imr;
	u8 lines;	/* the inputs' levels */
	u8 elcr;	/* bit per input: level-triggered */
	u8 elcr_mask;	/* the bits of it that can be set */
	u8 vector_base; /* ICW2 */
	u8 icw_step;	/* the ICW expected next at A0=1, 2-4; 0: initialized */
	u8 highest;	/* the input with the highest priority: rotation */
	bool master;
	bool single; /* ICW1: no cascade */
	bool needs_icw4;
	bool auto_eoi, rotate_on_auto_eoi, special_mask, special_fully_nested;
	bool read_isr; /* OCW3: A0=0 reads ISR, not IRR */
	bool poll;     /* OCW3: the next read is an acknowledge */
};

struct pic {
	struct pic_chip chip[2]; /* master, slave */
};

/** Power-up: everything masked and clear. The guest initializes the chips by ICW1-4. */
void pic_init(struct pic *p);

/** Ports 0x20/0x21 and 0xa0/0xa1 (offset 0-1; the chip is `dev`'s) and the ELCR 0x4d0/0x4d1. Wider
 *  accesses are split into bytes, as the bus does; bytes beyond offset 1 read 0xff. */
u64 pic_master_read(void *pic, u64 offset, unsigned size);
void pic_master_write(void *pic, u64 offset, unsigned size, u64 value);
u64 pic_slave_read(void *pic, u64 offset, unsigned size);
void pic_slave_write(void *pic, u64 offset, unsigned size, u64 value);
u64 pic_elcr_read(void *pic, u64 offset, unsigned size);
void pic_elcr_write(void *pic, u64 offset, unsigned size, u64 value);

/** Drive IRQ 0-15 (not 2, the cascade; that and larger numbers are ignored). */
void pic_set(struct pic *p, unsigned irq, bool level);

/** Does the master assert INTR? */
bool pic_intr(const struct pic *p);

/** Interrupt acknowledge: the vector; a spurious one (IR7) where nothing is pending any more. */
u8 pic_ack(struct pic *p);

#endif
