/* SPDX-License-Identifier: MIT */
/* Two runs of one guest side by side: what paging=compare prints at its end (docs/compare.md). */
#ifndef TV_EXIT_COMPARE_H
#define TV_EXIT_COMPARE_H

#include "exit_stats.h"
#include "shadow_counters.h"
#include "types.h"

/** What is kept of a run when its machine is gone. */
struct exit_run {
	unsigned run;	     /* its number */
	const char *mode;    /* of paging, as the option spells it */
	const char *outcome; /* how it ended, in one word */
	u32 exit_code;
	struct exit_snapshot end;
	bool has_counters; /* the mode counts something of its own */
	u64 counters[NR_SHADOW_COUNTERS];
};

/** Whether the guest came to the same end in both. */
bool exit_compare_same_end(const struct exit_run *a, const struct exit_run *b);

/** Write the comparison of `b` with `a`. tools/ parse this text: docs/compare.md describes it, and
 *  tests/host/test_exit_compare.c holds it fixed. */
void exit_compare_print(const struct exit_run *a, const struct exit_run *b,
			const struct text_out *out);

#endif
