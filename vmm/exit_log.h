/* SPDX-License-Identifier: MIT */
/* The ring of the last VM exits: what the panic screen and every diagnosis end with. */
#ifndef TV_EXIT_LOG_H
#define TV_EXIT_LOG_H

#include "types.h"

#define EXIT_LOG_SIZE 256

struct exit_log_entry {
	u64 rip, cr3, qual;
	u32 reason; /* all 32 bits */
	u32 cycles; /* of 32 bits, more is cut off */
};

struct exit_log {
	u64 next; /* free-running */
	struct exit_log_entry entry[EXIT_LOG_SIZE];
};

/** Print the last `n` entries, oldest first. */
void exit_log_print(const struct exit_log *log, unsigned n);

#endif
