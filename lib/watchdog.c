/* SPDX-License-Identifier: MIT */
/* The watchdog's judgement: see watchdog.h and docs/options.md. */
#include "watchdog.h"

#include "exit_reasons.h"

void watchdog_init(struct watchdog *w, u64 limit, u64 second)
{
	*w = (struct watchdog){
		.limit = limit,
		.period = second / WATCHDOG_LOOKS,
		.next_look = limit ? 0 : NEVER,
	};
}

bool watchdog_ignores(u32 reason)
{
	switch (reason) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_INTERRUPT_WINDOW:
	case EXIT_REASON_NMI_WINDOW:
	case EXIT_REASON_PREEMPTION_TIMER:
		return true;
	default:
		return false;
	}
}

bool watchdog_suspects(u32 reason)
{
	return reason != EXIT_REASON_HLT && !watchdog_ignores(reason);
}

void watchdog_look_closely(struct watchdog *w)
{
	if (w->close)
		return;
	w->close = true;
	w->alike = 0;
}

static bool same(const struct watchdog_point *a, const struct watchdog_point *b)
{
	return a->rip == b->rip && a->rcx == b->rcx && a->rflags == b->rflags &&
	       a->reason == b->reason;
}

bool watchdog_exit(struct watchdog *w, const struct watchdog_point *p, bool interrupted, u64 now)
{
	bool ignored = watchdog_ignores(p->reason);

	if (interrupted || (!ignored && !watchdog_suspects(p->reason))) {
		w->close = false;
		return false;
	}
	if (ignored)
		return false;
	if (!w->alike) {
		w->point = *p;
		w->since = now;
	} else if (!same(&w->point, p)) {
		w->close = false;
		return false;
	}
	w->alike++;
	return now - w->since >= w->limit;
}

void watchdog_beat(struct watchdog *w, u64 promise, u64 now)
{
	if (!w->limit)
		return;
	w->promise = promise;
	w->last_beat = now;
	w->beats++;
	w->close = false;
}

bool watchdog_heart_stopped(const struct watchdog *w, u64 now)
{
	return w->promise && now - w->last_beat > w->promise;
}

void watchdog_sample(struct watchdog *w, u64 rip)
{
	w->sample[w->samples++ % WATCHDOG_SAMPLES] = rip;
}

unsigned watchdog_places(const struct watchdog *w, struct watchdog_place place[WATCHDOG_SAMPLES])
{
	unsigned nr = 0;

	for (u64 i = 0; i < MIN(w->samples, WATCHDOG_SAMPLES); i++) {
		u64 rip = w->sample[(w->samples - 1 - i) % WATCHDOG_SAMPLES];
		unsigned k = 0;

		while (k < nr && place[k].rip != rip)
			k++;
		if (k == nr)
			place[nr++] = (struct watchdog_place){.rip = rip};
		place[k].seen++;
	}
	return nr;
}
