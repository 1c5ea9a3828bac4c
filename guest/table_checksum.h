/* SPDX-License-Identifier: MIT */
/* The checksum of firmware tables, ACPI's and the MP table's alike. */
#ifndef TV_TABLE_CHECKSUM_H
#define TV_TABLE_CHECKSUM_H

#include "types.h"

/** The byte with which `len` bytes at `p` add up to 0. */
static inline u8 table_checksum(const void *p, u32 len)
{
	const u8 *b = p;
	u8 sum = 0;

	while (len--)
		sum += *b++;
	return -sum;
}

#endif
