/* SPDX-License-Identifier: MIT */
/* The workloads of the bench, in the order in which they run (docs/bench.md says what each is). */
#ifndef TV_BENCH_PHASES_H
#define TV_BENCH_PHASES_H

#include <stddef.h>

/** `prepare` and `clean` are not timed; both may be NULL. A failure ends the program. */
struct phase {
	const char *name;
	void (*prepare)(void);
	void (*run)(void);
	void (*clean)(void);
};

extern const struct phase bench_phases[];
extern const size_t bench_nr_phases;

/** Prints "bench: failed: WHAT: REASON" with errno's reason, and ends the program. */
_Noreturn void bench_fail(const char *what);

#endif
