/* SPDX-License-Identifier: MIT */
/*
 * LDTR and TR: the descriptors that LLDT and LTR load (SDM volume 2, "LLDT" and "LTR"; volume 3,
 * sections 3.5 "System Descriptor Types" and 8.2.2, 8.2.3 "TSS Descriptor"). Pure.
 */
#ifndef TV_GUEST_SYSTEM_SEGMENT_H
#define TV_GUEST_SYSTEM_SEGMENT_H

#include "guest/segment.h"
#include "types.h"

/** Access rights of a register that holds a null selector (volume 3, table 25-2). */
#define SYSTEM_SEGMENT_UNUSABLE 0x10000u

/** A descriptor with the accessed, here busy, flag in byte 5. */
#define TSS_BUSY_BYTE 5
#define TSS_BUSY 2u

/** What must be known of the processor. */
struct system_load {
	bool tr; /* LTR; else LLDT */
	u16 selector;
	u32 gdt_limit;
	bool mode64; /* 64-bit mode: 16-byte descriptors */
	bool lma;    /* IA-32e mode: no 16-bit TSS */
};

/** An exception with error code, or none. */
struct system_fault {
	bool raised;
	u8 vector;
	u32 error;
};

/** Bytes of the descriptor. */
static inline unsigned system_descriptor_bytes(const struct system_load *l)
{
	return l->mode64 ? 16 : 8;
}

/** Is it a null selector? LLDT makes LDTR unusable then. */
static inline bool system_selector_is_null(u16 selector)
{
	return !(selector & 0xfffc);
}

/** Where the selector's descriptor is, in a GDT at `gdt_base`. Outside IA-32e mode linear addresses
 *  wrap at 4 GiB. */
static inline gva_t system_descriptor_at(const struct system_load *l, u64 gdt_base)
{
	const u64 at = gdt_base + (l->selector & ~7u);

	return GVA(l->lma ? at : (u32)at);
}

/** Does the selector name a descriptor of the GDT? Not for LLDT of a null selector. */
struct system_fault system_check_selector(const struct system_load *l);

/** Is the descriptor, whose upper half is 0 where it has none, one to be loaded? Fills in `s` as
 * the register has it then, busy for LTR. */
struct system_fault system_check_descriptor(const struct system_load *l, const u64 descriptor[2],
					    struct segment *s);

#endif
