/* SPDX-License-Identifier: MIT */
/* Names and causes of the basic exit reasons, straight from exit_reasons.def. */
#include "exit_reasons.h"

static const struct {
	const char *name, *cause;
} reasons[NR_EXIT_REASONS] = {
#define EXIT_REASON(nr, name, handler, word, bit, cause) [nr] = {#name, cause},
#include "exit_reasons.def"
#undef EXIT_REASON
};

/* A row beyond the array would not compile; this catches an array grown without need. */
#define EXIT_REASON(nr, name, handler, word, bit, cause) +((nr) == NR_EXIT_REASONS - 1)
_Static_assert(0
#include "exit_reasons.def"
		       == 1,
	       "NR_EXIT_REASONS is one more than the highest row, which occurs once");
#undef EXIT_REASON

const char *exit_reason_name(u32 nr)
{
	return nr < NR_EXIT_REASONS ? reasons[nr].name : NULL;
}

const char *exit_reason_cause(u32 nr)
{
	return nr < NR_EXIT_REASONS ? reasons[nr].cause : NULL;
}
