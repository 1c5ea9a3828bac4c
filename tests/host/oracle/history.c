/* SPDX-License-Identifier: MIT */
/*
 * What a processor was told to forget of each PCID, and when each was in use: all that judge.c has
 * to know of the guest's loads of CR3, INVLPG, INVPCID and page faults.
 *
 * The history of a PCID is a row of epochs, each begun by an invalidation, or by the PCID's coming
 * into use or going out of it. Nothing is cached for a PCID that is not in use. A row begins when
 * all of the PCID is fresh. Without CR4.PCIDE all is PCID 0.
 */
#include "oracle.h"

#define CR3_PCID 0xfffull

/* Two of them share a slot of what the MMU remembers: 0 and 0xfff. */
const u16 history_pcids[NR_PCIDS] = {0, 1, 2, 0x18, 0xfff};

static unsigned number_of(u64 pcid)
{
	unsigned i = 0;

	while (history_pcids[i] != pcid)
		i++;
	return i;
}

unsigned history_present(const struct vcpu *v)
{
	return number_of(v->r.cr4 & X86_CR4_PCIDE ? v->r.cr3 & CR3_PCID : 0);
}

static struct history *present_of(struct vcpu *v)
{
	return &v->history[history_present(v)];
}

/** A PCID of which nothing is cached has nothing to forget. */
static void begin_epoch(struct oracle *o, struct history *h, enum forgets forgets, u64 gva)
{
	struct epoch *last;

	if (!h->nr)
		return;
	if (h->nr == MAX_EPOCHS)
		oracle_fail(o, NULL, "the oracle's history of a PCID is full");
	last = &h->epoch[h->nr - 1];
	last[1] = (struct epoch){o->now, last->cr3, gva, forgets, last->in_use};
	h->nr++;
}

/** The PCID is in use from now on, with this CR3. */
static void use(struct oracle *o, struct history *h, u64 cr3)
{
	if (h->nr)
		begin_epoch(o, h, FORGETS_NOTHING, 0);
	else
		h->epoch[h->nr++] = (struct epoch){.from = o->now};
	h->epoch[h->nr - 1].in_use = true;
	h->epoch[h->nr - 1].cr3 = cr3;
}

void history_fresh(struct oracle *o, struct vcpu *v)
{
	o->now++;
	for (unsigned i = 0; i < NR_PCIDS; i++)
		v->history[i].nr = 0;
	use(o, present_of(v), v->r.cr3);
}

void history_cr3(struct oracle *o, struct vcpu *v, unsigned was, bool keep)
{
	struct history *h = present_of(v), *before = &v->history[was];

	o->now++;
	if (h != before) {
		begin_epoch(o, before, FORGETS_NOTHING, 0);
		before->epoch[before->nr - 1].in_use = false;
	}
	if (!keep)
		h->nr = 0;
	use(o, h, v->r.cr3);
}

void history_invlpg(struct oracle *o, struct vcpu *v, u64 gva)
{
	struct history *present = present_of(v);

	o->now++;
	for (unsigned i = 0; i < NR_PCIDS; i++) {
		struct history *h = &v->history[i];

		begin_epoch(o, h, h == present ? FORGETS_INVLPG : FORGETS_GLOBAL, gva);
	}
}

void history_fault(struct oracle *o, struct vcpu *v, u64 gva, u64 time)
{
	struct history *h = present_of(v);

	begin_epoch(o, h, FORGETS_FAULT, gva);
	h->epoch[h->nr - 1].from = time;
}

void history_invpcid(struct oracle *o, struct vcpu *v, u16 pcid, const u64 *gva)
{
	o->now++;
	begin_epoch(o, &v->history[number_of(pcid)], gva ? FORGETS_ADDRESS : FORGETS_CONTEXT,
		    gva ? *gva : 0);
}

bool history_long(const struct vcpu *v)
{
	for (unsigned i = 0; i < NR_PCIDS; i++) {
		if (v->history[i].nr > MAX_EPOCHS / 2)
			return true;
	}
	return false;
}
