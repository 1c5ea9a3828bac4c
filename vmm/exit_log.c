/* SPDX-License-Identifier: MIT */
/* Printing the ring of the last exits. */
#include "exit_log.h"

#include "console.h"
#include "exit_reasons.h"

void exit_log_print(const struct exit_log *log, unsigned n)
{
	if (n > log->next)
		n = (unsigned)log->next;
	if (n > EXIT_LOG_SIZE)
		n = EXIT_LOG_SIZE;
	klog("the last %u exits, oldest first:", n);
	for (u64 i = log->next - n; i < log->next; i++) {
		const struct exit_log_entry *e = &log->entry[i % EXIT_LOG_SIZE];
		const char *name = exit_reason_name(e->reason & EXIT_REASON_BASIC_MASK);

		klog("  %-16s qual %016llx rip %016llx cr3 %09llx cycles %u", name ? name : "?",
		     (unsigned long long)e->qual, (unsigned long long)e->rip,
		     (unsigned long long)e->cr3, e->cycles);
	}
}
