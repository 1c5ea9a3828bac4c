/* SPDX-License-Identifier: MIT */
/*
 * Memory types by the MTRRs (SDM volume 3, section 12.11 "Memory Type Range Registers"), from a
 * copy of the registers: pure, so that every precedence rule has a host test.
 */
#ifndef TV_HOST_MTRR_H
#define TV_HOST_MTRR_H

#include "types.h"

#define MTRR_VAR_MAX 16

struct mtrrs {
	u64 def_type;  /* IA32_MTRR_DEF_TYPE */
	u64 fixed[11]; /* 64K_00000, 16K_80000, 16K_A0000, 4K_C0000 ... 4K_F8000 */
	unsigned nr_var;
	u64 base[MTRR_VAR_MAX], mask[MTRR_VAR_MAX];
	u8 maxphyaddr;
};

/** The memory type (MEMTYPE_*) of all of [hpa, hpa+size), or -1 where it is not uniform.
 *  hpa and size are multiples of 4 KiB. */
int host_mtrr_type(const struct mtrrs *m, hpa_t hpa, u64 size);

#endif
