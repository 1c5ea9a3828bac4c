/* SPDX-License-Identifier: MIT */
/*
 * The flight recorder for programs: all of it at a crash and on a key, or, with trace=1, every exit
 * of a run. docs/trace.md has the lines.
 */
#ifndef TV_TRACE_H
#define TV_TRACE_H

#include "exit_trace.h"
#include "types.h"

struct machine;
struct vcpu;

/** Of one vcpu. */
struct trace {
	bool on;  /* trace=1: every exit is written */
	u64 next; /* the first one that has not been written yet */
	struct trace_writer writer;
};

/** Before a run: with trace=1, all exits of it are written. */
void trace_start(struct machine *m);

/** The ring of `v` is full, and will be overwritten from its beginning: write what is in it. The
 * guest's clock stands still meanwhile, and no exit is charged for it. */
void trace_ring_full(struct vcpu *v);

/** After a run: the rest, and how many there were by reason. */
void trace_end(struct machine *m);

/** Write the recorder, whose occasion is `why`, one word: all of it; or, of a run that is traced,
 *  nothing, for it is written anyway. */
void trace_dump(struct vcpu *v, const char *why);

/** The same when the hypervisor itself crashes: nothing will be written after it. */
void trace_dump_last(struct vcpu *v);

#endif
