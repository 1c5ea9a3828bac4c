/* SPDX-License-Identifier: MIT */
/* Printing the ring of the last exits. */
#include "exit_log.h"

#include "console.h"
#include "exit_reasons.h"
#include "heap.h"

void exit_log_init(struct exit_log *log)
{
	/* The first exit takes entry 0, and begins the first round. */
	log->ring = heap_need(EXIT_LOG_SIZE * sizeof(*log->ring), NULL, "flight recorder");
	log->last = &log->ring[EXIT_LOG_SIZE - 1];
	log->end = &log->ring[EXIT_LOG_SIZE];
	log->rounds = 0;
}

struct exit_log_entry *exit_log_wrap(struct exit_log *log)
{
	log->rounds++;
	return log->ring;
}

u64 exit_log_count(const struct exit_log *log)
{
	return log->rounds ? (log->rounds - 1) * EXIT_LOG_SIZE + (u64)(log->last - log->ring) + 1
			   : 0;
}

/** Exit qualification for control-register accesses, table 28-3: register and type. */
#define QUAL_CR_AND_TYPE 0x3f
#define MOV_TO_CR3 3

bool exit_log_moves_cr3(const struct exit_log_entry *e)
{
	return e->reason == EXIT_REASON_CR_ACCESS && (e->qual & QUAL_CR_AND_TYPE) == MOV_TO_CR3;
}

/** The guest's CR3 at exit `i`: what the next MOV to CR3 replaced, or what it is now. */
static u64 cr3_at(const struct exit_log *log, u64 i, u64 count, u64 now)
{
	for (; i < count; i++) {
		const struct exit_log_entry *e = exit_log_entry(log, i);

		if (exit_log_moves_cr3(e))
			return e->cr3;
	}
	return now;
}

void exit_log_print(const struct exit_log *log, unsigned n, const u64 *guest_cr3)
{
	u64 count = exit_log_count(log);

	n = (unsigned)MIN(MIN(count, n), EXIT_LOG_SIZE);
	klog("the last %u exits, oldest first:", n);
	for (u64 i = count - n; i < count; i++) {
		const struct exit_log_entry *e = exit_log_entry(log, i);
		const char *name = exit_reason_name(e->reason & EXIT_REASON_BASIC_MASK);

		klog("  %-16s qual %016llx rip %016llx cr3 %09llx cycles %u", name ? name : "?",
		     (unsigned long long)e->qual, (unsigned long long)e->rip,
		     (unsigned long long)(guest_cr3 ? cr3_at(log, i, count, *guest_cr3) : e->cr3),
		     e->cycles);
	}
}
