/* SPDX-License-Identifier: MIT */
/* What the files of this payload share. */
#ifndef TV_OPERANDS_H
#define TV_OPERANDS_H

#include "payload.h"

#define COM1_SCRATCH 0x3ff	  /* holds any byte */
#define IOAPIC_REGSEL 0xfec00000u /* reads back what was written */

/* segments.c */
void test_limits(void);
void test_types(void);
void test_device_to_segment(void);

/* step.c */
void test_single_step(void);

/* stale.c */
void test_stale_code(void);
void test_stale_data(void);

#endif
