/* SPDX-License-Identifier: MIT */
/* The ring of the last VM exits: what the panic screen and every diagnosis end with. */
#ifndef TV_EXIT_LOG_H
#define TV_EXIT_LOG_H

#include "types.h"

#define EXIT_LOG_SIZE 256

struct exit_log_entry {
	u64 rip, qual;
	u64 cr3;    /* the processor's. On page tables of the hypervisor's, where MOV to CR3 is an
		     * exit,    that exit's entry has the guest's CR3 before the MOV instead */
	u32 reason; /* all 32 bits */
	u32 cycles; /* of 32 bits, more is cut off */
};

struct exit_log {
	struct exit_log_entry *last, *end; /* the newest entry; behind the ring */
	u64 rounds;			   /* so often the ring was filled */
	struct exit_log_entry entry[EXIT_LOG_SIZE];
};

void exit_log_init(struct exit_log *log);

/** The entry for a new exit; the caller fills it in. */
static inline struct exit_log_entry *exit_log_add(struct exit_log *log)
{
	struct exit_log_entry *e = log->last + 1;

	if (__builtin_expect(e == log->end, 0)) {
		log->rounds++;
		e = log->entry;
	}
	log->last = e;
	return e;
}

/** Exits logged so far. */
u64 exit_log_count(const struct exit_log *log);

/** Print the last `n` entries, oldest first. `guest_cr3`: the guest's present CR3 where it runs on
 * page tables of the hypervisor's; else NULL. */
void exit_log_print(const struct exit_log *log, unsigned n, const u64 *guest_cr3);

#endif
