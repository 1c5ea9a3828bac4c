/* SPDX-License-Identifier: MIT */
/*
 * Memory types by the MTRRs (SDM volume 3, section 12.11 "Memory Type Range Registers"), from a
 * set of the registers: the processor's own, or those that a guest believes in.
 */
#ifndef TV_MTRRS_H
#define TV_MTRRS_H

#include "types.h"

#define MTRR_FIXED 11
#define MTRR_VAR_MAX 16

struct mtrrs {
	u64 def_type;	       /* IA32_MTRR_DEF_TYPE */
	u64 fixed[MTRR_FIXED]; /* 64K_00000, 16K_80000, 16K_A0000, 4K_C0000 ... 4K_F8000 */
	unsigned nr_var;
	u64 base[MTRR_VAR_MAX], mask[MTRR_VAR_MAX];
	u8 maxphyaddr;
};

/** The memory type (MEMTYPE_*) of all of [addr, addr+size), or -1 where it is not uniform. `addr`
 * is physical in the world whose registers these are, host or guest; both are multiples of 4 KiB.
 */
int mtrrs_type(const struct mtrrs *m, u64 addr, u64 size);

#endif
