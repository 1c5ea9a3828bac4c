/* SPDX-License-Identifier: MIT */
/*
 * The virtual MTRRs (SDM volume 3, section 12.11 "Memory Type Range Registers (MTRRs)"): storage
 * with the architecture's checks. They say what the guest wants. Under EPT the processor does not
 * do it: RAM stays write-back underneath, which the architecture lets no guest notice but by
 * timing. Shadow page tables honour it.
 */
#ifndef TV_MTRR_H
#define TV_MTRR_H

#include "msr.h"

/** As msr_state_init(). */
void mtrr_init(struct msr_state *s, u8 maxphyaddr, u64 low_ram, u64 high_ram);

/** `msr` is of class MTRR in msr_policy.def. False: #GP. */
bool mtrr_read(const struct msr_state *s, u32 msr, u64 *value);
bool mtrr_write(struct msr_state *s, u8 maxphyaddr, u32 msr, u64 value);

/** The memory type of `gpa`: fixed ranges, then variable ranges by the rules of precedence, then
 *  the default (section 12.11.4.1 "MTRR Precedences"). */
u8 mtrr_type(const struct msr_state *s, gpa_t gpa);

/** The memory type of all of [gpa, gpa+size), both multiples of 4 KiB; -1: it is not uniform. */
int mtrr_range_type(const struct msr_state *s, gpa_t gpa, u64 size);

#endif
