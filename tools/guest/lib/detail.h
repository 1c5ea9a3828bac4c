/* SPDX-License-Identifier: MIT */
/* What exitstat --detail adds: reading and printing the finer counters (include/exit_detail.h). */
#ifndef TV_GUEST_DETAIL_H
#define TV_GUEST_DETAIL_H

#include <stdio.h>

#include "exit_detail.h"

/** Executes CPUID. */
typedef struct cpuid_regs (*detail_cpuid)(u32 leaf, u32 subleaf);

/** Read what the last snapshot has of the reasons that `s` has. False: it does not add up to the
 *  counts in `s`. */
bool detail_read(detail_cpuid cpuid, struct exit_detail *d, const struct exit_stats *s);

/** The table. `extremes`: the shortest and the longest exit are those of these exits; else nothing
 *  is known of them. */
void detail_print(const struct exit_detail *d, const struct exit_stats *s, bool extremes,
		  FILE *out);

/** Members of a reason's JSON object, each with a comma before it. */
void detail_print_json(const struct exit_detail *d, u32 nr, bool extremes, FILE *out);

#endif
