/* SPDX-License-Identifier: MIT */
/*
 * The watchdog's judgement (boot option watchdog=): does the guest make progress, and does its
 * heartbeat come in time? Pure: vmm/watch.c brings what is seen, and acts. Times are ticks of guest
 * time.
 */
#ifndef TV_WATCHDOG_H
#define TV_WATCHDOG_H

#include "types.h"

/** Looks in a second of guest time. */
#define WATCHDOG_LOOKS 2

/** RIPs kept of the last looks. */
#define WATCHDOG_SAMPLES 16

/** The longest heartbeat that can be promised, seconds. */
#define WATCHDOG_PROMISE_MAX 86400u

/** An exit, as far as it tells whether the guest got anywhere since another one. */
struct watchdog_point {
	u64 rip, rcx, rflags;
	u32 reason;
};

struct watchdog {
	u64 limit;     /* so long without progress ends the run; 0: off */
	u64 period;    /* from one look to the next */
	u64 next_look; /* NEVER: off */
	/* Exits one by one: looked at while `close`. */
	bool close;
	struct watchdog_point point; /* all of them */
	u64 since;		     /* when the first was */
	u64 alike;		     /* how many there were; 0: none yet */
	/* The heartbeat. */
	u64 promise;   /* at most this long until the next beat; 0: none is promised */
	u64 last_beat; /* when it came */
	u64 beats;
	/* Where it was at the last looks: a ring. */
	u64 sample[WATCHDOG_SAMPLES];
	u64 samples;
};

/** `limit` and the length of a second are ticks; limit 0: off. */
void watchdog_init(struct watchdog *w, u64 limit, u64 second);

/** Exits with this reason say nothing of the guest's progress: they come from outside it, at
 *  whatever instruction it is (a look itself is one). They are left out wherever exits are
 * compared. */
bool watchdog_ignores(u32 reason);

/** Could exits with this reason, all alike, be a guest that makes no progress? Not those of HLT: it
 * waits for an interrupt. */
bool watchdog_suspects(u32 reason);

/** Begin to look at every exit: those before were all alike. */
void watchdog_look_closely(struct watchdog *w);

/** An exit at `now`, while `close`. `interrupted`: the guest takes an interrupt or NMI behind it,
 * so that more runs than what stands at `p`. True: there was no progress for too long. */
bool watchdog_exit(struct watchdog *w, const struct watchdog_point *p, bool interrupted, u64 now);

/** The guest's sign of life: the next one comes within `promise` ticks; 0: none comes. */
void watchdog_beat(struct watchdog *w, u64 promise, u64 now);

/** Is a heartbeat overdue? */
bool watchdog_heart_stopped(const struct watchdog *w, u64 now);

/** Note where the guest is. */
void watchdog_sample(struct watchdog *w, u64 rip);

/** The last RIPs, the newest first, each different one once, with how often it was seen. Returns
 * how many. */
struct watchdog_place {
	u64 rip;
	u32 seen;
};
unsigned watchdog_places(const struct watchdog *w, struct watchdog_place place[WATCHDOG_SAMPLES]);

#endif
