/* SPDX-License-Identifier: MIT */
/* The watchdog in the machine (boot option watchdog=): looks at the guest twice a second, closer
 * where it seems stuck, and ends a run that does not get on, with a diagnosis. */
#ifndef TV_WATCH_H
#define TV_WATCH_H

#include "types.h"

struct cpuid_regs;
struct machine;
struct vcpu;

/** Before the run. */
void watch_init(struct machine *m);

/** A look at guest time `now`, when m->watchdog.next_look has come. */
void watch_look(struct machine *m, u64 now);

/** After the handler of an exit, while REQ_WATCH asks for it; what will be injected is known. */
void watch_exit(struct vcpu *v, u64 now);

/** CPUID leaf TV_CPUID_HEARTBEAT. */
void watch_heartbeat(struct machine *m, u32 seconds, struct cpuid_regs *out);

#endif
