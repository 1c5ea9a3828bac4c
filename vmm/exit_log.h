/* SPDX-License-Identifier: MIT */
/* The flight recorder: a ring of the last VM exits. What the panic screen and every diagnosis end
 * with, and what a trace is made of (docs/trace.md). */
#ifndef TV_EXIT_LOG_H
#define TV_EXIT_LOG_H

#include "types.h"

#define EXIT_LOG_SIZE 4096

struct exit_log_entry {
	u64 rip;
	u64 qual;   /* the exit qualification; of HLT, TSC ticks slept */
	u64 cr3;    /* the processor's. On page tables of the hypervisor's, where MOV to CR3 is an
		     * exit,    that exit's entry has the guest's CR3 before the MOV instead */
	u32 reason; /* all 32 bits */
	u32 cycles; /* of 32 bits, more is cut off */
	u64 time;   /* host TSC at the entry that ended it, `cycles` after the exit; as `cycles`,
		     * not known yet of the exit that is being handled */
};

struct exit_log {
	struct exit_log_entry *last, *end; /* the newest entry; behind the ring */
	struct exit_log_entry *ring;	   /* EXIT_LOG_SIZE entries */
	u64 rounds;			   /* so often the ring was filled */
};

/** An empty one, in memory from the heap. */
void exit_log_init(struct exit_log *log);

/** The entry of exit number `i`, from 0, one of the last EXIT_LOG_SIZE. */
static inline const struct exit_log_entry *exit_log_entry(const struct exit_log *log, u64 i)
{
	return &log->ring[i % EXIT_LOG_SIZE];
}

/** At the end of the ring, begin another round; the entry for a new exit. */
struct exit_log_entry *exit_log_wrap(struct exit_log *log);

/** Is it a MOV to CR3? */
bool exit_log_moves_cr3(const struct exit_log_entry *e);

/** Exits logged so far. */
u64 exit_log_count(const struct exit_log *log);

/** Print the last `n` entries, oldest first. `guest_cr3`: the guest's present CR3 where it runs on
 * page tables of the hypervisor's; else NULL. */
void exit_log_print(const struct exit_log *log, unsigned n, const u64 *guest_cr3);

#endif
