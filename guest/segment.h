/* SPDX-License-Identifier: MIT */
/*
 * Segmentation: what a segment register makes of an effective address (SDM volume 3, chapter 3
 * "Protected-Mode Memory Management" and sections 5.3 "Limit Checking" and 5.5.1; volume 1, section
 * 3.3.7.1 "Canonical Addressing"). For operands that the processor has not looked at. Pure.
 */
#ifndef TV_SEGMENT_H
#define TV_SEGMENT_H

#include "types.h"
#include "x86.h"

/** Segment registers in the processor's numbering. */
enum segment_register { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

/** A segment register as in the VMCS. */
struct segment {
	u64 base;
	u32 limit, ar; /* access rights, volume 3, table 25-2 */
};

/** Which rules hold. */
enum segment_mode {
	SEGMENT_PROTECTED, /* compatibility and virtual-8086 mode, too */
	SEGMENT_REAL,	   /* real-address mode: a code segment can be read and written */
	SEGMENT_64,	   /* 64-bit mode: neither limits nor types, but canonical addresses */
};

/** In 64-bit mode ES, CS, SS and DS have no base, whatever the register holds: use 0. */
static inline bool segment_has_base(enum segment_mode mode, unsigned seg)
{
	return mode != SEGMENT_64 || seg >= SEG_FS;
}

/** The linear address. */
static inline gva_t segment_linear(enum segment_mode mode, u64 base, u64 offset)
{
	return GVA(mode == SEGMENT_64 ? base + offset : (u32)(base + offset));
}

/** May the `len` bytes at `offset` be accessed? In 64-bit mode only the base counts. False: the
 *  guest must see segment_vector() with error code 0. */
bool segment_allows(enum segment_mode mode, const struct segment *s, u64 offset, u64 len,
		    bool write);

/**
 * Does an operand of `len` bytes at `gva` raise #AC where alignment is checked? It is a word, or a
 * pseudo-descriptor: "an aligned word, followed by an aligned doubleword" or quadword (section
 * 3.5.1 "Segment Descriptor Tables"; section 6.15, interrupt 17).
 */
bool segment_misaligned(gva_t gva, u64 len);

/** Is alignment checked? Never for the supervisor. */
static inline bool segment_checks_alignment(u64 cr0, u64 rflags, unsigned cpl)
{
	return cpl == 3 && (cr0 & X86_CR0_AM) && (rflags & X86_EFLAGS_AC);
}

static inline u8 segment_vector(unsigned seg)
{
	return seg == SEG_SS ? SS_VECTOR : GP_VECTOR;
}

#endif
