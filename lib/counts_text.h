/* SPDX-License-Identifier: MIT */
/* Lines of names and numbers, as the hypervisor prints them for people and programs: docs/stats.md.
 */
#ifndef TV_COUNTS_TEXT_H
#define TV_COUNTS_TEXT_H

#include "exit_stats.h"
#include "types.h"

/** The longest line, its newline and prefix included, unless one pair alone is longer. */
#define COUNTS_COLUMNS 100

/** Lines that begin alike and hold as many pairs "name number" as fit. */
struct counts_text {
	const struct text_out *out;
	char line[2 * COUNTS_COLUMNS];
	size_t head, used; /* characters before the first pair, and so far */
};

/** Begin: each line starts with "WHAT TITLE:", after the prefix of `out`. */
void counts_begin(struct counts_text *t, const char *what, const char *title,
		  const struct text_out *out);

/** One pair; `name` is at most 40 characters. */
void counts_add(struct counts_text *t, const char *name, u64 value);

/** The last line. Nothing is written where there was no pair. */
void counts_end(struct counts_text *t);

/** The exits of `s` by exception and by access to control registers: lines "exceptions TITLE:" and
 *  "cr TITLE:", with what was counted. */
void counts_print_exits(const struct exit_stats *s, const char *title, const struct text_out *out);

/** A paging implementation's own counters (include/shadow_counters.def), all of them; `mode` is its
 *  name. */
void counts_print_paging(const u64 *counters, const char *mode, const char *title,
			 const struct text_out *out);

#endif
