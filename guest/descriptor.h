/* SPDX-License-Identifier: MIT */
/*
 * Segment registers and the descriptors they are loaded from, outside 64-bit mode (SDM volume 3,
 * section 3.4.5 "Segment Descriptors").
 */
#ifndef TV_DESCRIPTOR_H
#define TV_DESCRIPTOR_H

#include "types.h"

/** A segment register with its hidden part. */
struct segment_reg {
	u16 selector;
	u32 base;
	u32 limit; /* in bytes */
	u32 ar;	   /* access rights as in a VMCS: SDM volume 3, table 25-2 */
};

#define SELECTOR_RPL 3u
#define SELECTOR_TI 4u	       /* the descriptor is in the LDT */
#define SELECTOR_INDEX 0xfff8u /* offset of the descriptor in its table */
/** What of a selector is in an error code (section 6.13 "Error Code"). */
#define SELECTOR_ERROR 0xfffcu

#define SEGMENT_TYPE 0xfu
#define SEGMENT_ACCESSED 0x1u /* types of code and data: the segment was loaded once */
#define SEGMENT_WRITABLE 0x2u /* of data; of code: readable */
#define SEGMENT_DOWN 0x4u     /* of data: expands down; of code: conforming */
#define SEGMENT_CODE 0x8u     /* code, not data */
#define SEGMENT_S 0x10u	      /* code or data, not a system segment */
#define SEGMENT_DPL_SHIFT 5
#define SEGMENT_DPL (3u << SEGMENT_DPL_SHIFT)
#define SEGMENT_P 0x80u
#define SEGMENT_DB 0x4000u
#define SEGMENT_G 0x8000u
#define SEGMENT_UNUSABLE 0x10000u

/* Types of system segments, table 3-2. */
#define SEGMENT_TSS16 1u
#define SEGMENT_LDT 2u
#define SEGMENT_TSS32 9u
#define SEGMENT_TSS_BUSY 2u /* or-ed to the type of a TSS */

/** Byte of a descriptor that holds type, S, DPL and P. */
#define DESCRIPTOR_ACCESS_BYTE 5

/** The register that a descriptor loads. */
struct segment_reg segment_from_descriptor(u16 selector, u64 descriptor);

/** The segment register of virtual-8086 mode with this selector (section 20.2.2 "Address
 * Translation
 *  ..."; VM entry demands it, section 27.3.1.2). */
struct segment_reg segment_v86(u16 selector);

static inline unsigned segment_dpl(const struct segment_reg *s)
{
	return (s->ar & SEGMENT_DPL) >> SEGMENT_DPL_SHIFT;
}

/** The selectors 0 to 3 lead to no descriptor. */
static inline bool selector_is_null(u16 selector)
{
	return !(selector & ~SELECTOR_RPL);
}

static inline bool segment_is_code(const struct segment_reg *s)
{
	return (s->ar & (SEGMENT_S | SEGMENT_CODE)) == (SEGMENT_S | SEGMENT_CODE);
}

static inline bool segment_is_conforming(const struct segment_reg *s)
{
	return segment_is_code(s) && (s->ar & SEGMENT_DOWN);
}

static inline bool segment_is_stack(const struct segment_reg *s)
{
	return (s->ar & (SEGMENT_S | SEGMENT_CODE | SEGMENT_WRITABLE)) ==
	       (SEGMENT_S | SEGMENT_WRITABLE);
}

/** Data, or code that may be read. */
static inline bool segment_is_readable(const struct segment_reg *s)
{
	return (s->ar & SEGMENT_S) && (!(s->ar & SEGMENT_CODE) || (s->ar & SEGMENT_WRITABLE));
}

#endif
