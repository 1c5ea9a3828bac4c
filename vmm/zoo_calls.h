/* SPDX-License-Identifier: MIT */
/*
 * The exit zoo's side of the hypervisor: what a guest orders by VMCALL where the boot line says
 * zoo=1 (include/zoo.h). A run without it pays nothing: with it, VM exits have an entry point
 * of their own (vmx_zoo_exit in entry.asm), which calls zoo_exited() instead of vmx_exited().
 */
#ifndef TV_ZOO_CALLS_H
#define TV_ZOO_CALLS_H

#include "vcpu.h"
#include "zoo.h"

/** No event. */
#define ZOO_NOTHING NR_ZOO_EVENTS

/** What an event replaces is put back at the next exit. */
struct zoo_saved {
	u64 msr_load_addr, xss_bitmap;
	u32 msr_load_count, cpu2;
	u16 pml_index;
	bool asleep;	/* the guest was made to wait in HLT */
	bool held_back; /* virtual interrupts wait */
	u64 stray;	/* NMIs, or interrupts, that nobody had asked for before */
};

struct zoo {
	enum zoo_event ordered;	 /* at the next entry that has room for it */
	enum zoo_event in_force; /* in the guest, or an exit ago */
	gpa_t page;		 /* argument of what is ordered */
	struct zoo_saved saved;
	u64 quiet_until; /* guest time; 0: not quiet */
	bool resumes;	 /* a triple fault is survived: at */
	u64 resume_rip, resume_rsp;
	u8 *table; /* a page: an MSR-load area, or a table without entries */
	hpa_t table_hpa;
};

/** For a new vcpu, when its VMCS is set up: v->zoo, where the boot line asks for it. */
void zoo_init(struct vcpu *v);

/** A VMCALL. False: it is none of these calls. */
bool zoo_call(struct vcpu *v);

/** Is the present exit that of an event which the guest has ordered? */
bool zoo_ordered(const struct vcpu *v, enum zoo_event event);

/** The guest's triple fault: does it go on where ZOO_RESUME said? */
bool zoo_resume(struct vcpu *v);

/** VM entry failed, as ordered: the guest can go on. */
void zoo_entry_failed(struct vcpu *v);

/** Called by entry.asm at every VM exit of a run with zoo=1. True: enter again. */
bool zoo_exited(struct vcpu *v);

/* zoo_events.c */

/** When it is ordered. False: it is not possible now. */
bool zoo_event_prepare(struct vcpu *v, enum zoo_event event);

/** What was prepared will not be. */
void zoo_event_cancel(struct vcpu *v, enum zoo_event event);

/** Put an event in force, as the last thing before an entry. False: there is no room for it. */
bool zoo_event_begin(struct vcpu *v, enum zoo_event event);

/** Put everything back, as the first thing after the exit. */
void zoo_event_end(struct vcpu *v, enum zoo_event event);

/* zoo_signals.c: events that come from outside the processor's core. */

void zoo_nmi_begin(struct vcpu *v);
void zoo_nmi_end(struct vcpu *v);
void zoo_interrupt_begin(struct vcpu *v);
void zoo_interrupt_end(struct vcpu *v);

#endif
