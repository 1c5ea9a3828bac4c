/* SPDX-License-Identifier: MIT */
/* What the files of this payload share. */
#ifndef TV_PAYLOAD_TLB_H
#define TV_PAYLOAD_TLB_H

#include "types.h"

/** Linear addresses of the second 512 GiB, which nobody else maps. */
#define SECOND 0x8000000000ull

/** Lead from the directory entry for SECOND + n * 2 MiB to this page table. */
void use_table(unsigned n, const u64 *table);

/* growth.c: a page table that grows by a fault a page, in all the ways to write its entries; one
 * whose entries debug registers watch; one that is reached, or written, by a second way; one that
 * is taken down. */
void test_growth(void);
void test_growth_breakpoints(void);
void test_growth_two_ways(void);
void test_growth_over(void);

#endif
