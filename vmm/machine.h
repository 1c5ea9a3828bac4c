/* SPDX-License-Identifier: MIT */
/*
 * One guest's machine: its PC, its vcpus, the paging underneath it, its counters. Built before a
 * run from the pristine images, torn down after it; nothing of it survives.
 */
#ifndef TV_MACHINE_H
#define TV_MACHINE_H

#include "dirty.h"
#include "exit_compare.h"
#include "exit_switches.h"
#include "guest/pc.h"
#include "insn.h"
#include "paging_ops.h"
#include "types.h"
#include "vcpu.h"
#include "vmx/caps.h"
#include "vmx/guest_cr.h"
#include "watchdog.h"

/** How a run ended. The names are in machine.c and in docs/stats-json.md. */
enum outcome {
	OUTCOME_NONE, /* still running */
	OUTCOME_POWEROFF,
	OUTCOME_RESET,
	OUTCOME_DEBUG_EXIT, /* the guest wrote to the debug-exit port: exit_code has the value */
	OUTCOME_TRIPLE_FAULT,
	OUTCOME_HALTED,	       /* HLT with interrupts off: nothing can wake it */
	OUTCOME_UNSUPPORTED,   /* the guest did what this hypervisor cannot emulate */
	OUTCOME_ENTRY_FAILURE, /* VM entry failed */
	OUTCOME_OPERATOR,      /* ended from the console */
	OUTCOME_WATCHDOG,      /* no progress, or no heartbeat */
	OUTCOME_OPERATOR_RESET /* reset from the console: the guest starts anew */
};

struct machine {
	unsigned run; /* from 1 */
	struct pc pc;
	struct paging *paging;
	struct paging_env paging_env;
	struct paging_controls controls;
	struct vmx_controls vmx;    /* the control words in force */
	struct exit_switches exits; /* the optional causes of exits that are switched, in force */
	u64 flush_linear; /* type of the INVVPID for a vcpu's linear addresses; 0: no VPIDs */
	struct vmx_cr_policy cr_policy;
	struct cpuid_policy cpuid;
	unsigned nr_vcpus;
	struct vcpu *vcpu[PC_MAX_VCPUS];
	u64 tsc_start;	/* host TSC at the guest's first instruction: the guest's TSC 0. Until
			 * then 0, and guest time stands still */
	u64 min_run;	/* a guest whose timer was served runs at least so many ticks */
	u64 poll_ticks; /* TSC ticks between two looks at the console */
	u64 next_poll;	/* guest TSC; NEVER: do not look */
	u64 next_look;	/* at the console, or the watchdog's: the sooner */
	struct watchdog watchdog;
	u8 typed[64]; /* what the operator typed and the guest has not taken yet: a ring */
	u32 typed_head, typed_tail;
	enum outcome outcome;
	u32 exit_code;
	struct exit_snapshot snapshot;
	struct exit_detail *detail;	/* of the snapshot */
	bool has_detail;		/* it was taken with that; else there is nothing in it */
	struct exit_detail *detail_now; /* where the present one is put together */
	struct dirty_log dirty;
	u8 *io_bitmap; /* two pages */
	hpa_t io_bitmap_hpa;
	hpa_t lapic_hpa[PC_MAX_VCPUS]; /* of the pages that hold the local APICs' registers */
	hpa_t apic_access_hpa;	       /* 0: not used */
	gpa_t apic_access_gpa;
	bool apic_access_on; /* mapped at apic_access_gpa */
};

/** Build a machine in the given paging mode and load the guest. Panics on what boot/ should have
 *  refused. */
struct machine *machine_create(unsigned run, u32 paging);

/** Look at every leaf of the paging structures, and stop if one leads outside the guest's memory:
 * before the run, when EPT has mapped everything, and when it has `ended`, for shadow page tables
 * are made while it runs. How much is mapped is a line on the console. */
void machine_check_isolation(struct machine *m, bool ended);

/** Run it until it ends; the outcome is in m->outcome. */
void machine_run(struct machine *m);

/** After a run: does another one begin, from the same files? The operator asked for it, or the
 * guest reset its machine and on_reset=restart. */
bool machine_restarts(const struct machine *m);

/** Note the end of the run. The first reason wins. */
void machine_end(struct machine *m, enum outcome outcome);

/** Guest time, in TSC ticks since its first instruction; only once it runs. */
static inline u64 machine_now(const struct machine *m)
{
	return rdtsc() - m->tsc_start;
}

/** Take a snapshot of all counters into m->snapshot, and of those in detail into m->detail. */
void machine_snapshot(struct machine *m, bool detail);

/** Print m->snapshot, or the present counters. */
void machine_print_snapshot(struct machine *m, const char *title);
void machine_print_stats(struct machine *m, const char *title);

/** After a run: print its statistics and how it ended, and keep both in `r`. */
void machine_sum_up(struct machine *m, struct exit_run *r);

/** Time that no exit is charged with: between the two, or what `ticks` of the TSC went on. They may
 *  be nested. */
u64 machine_away_begin(void);
void machine_away_end(u64 begin);
void machine_away(u64 ticks);

/** Guest time stood still for so many ticks. On the processor that runs the machine. */
void machine_skip_time(struct machine *m, u64 ticks);

/** Let devices do what is due; look at the console. */
void machine_tick(struct machine *m, u64 now);

/** The next moment (guest TSC) at which machine_tick() has something to do. */
u64 machine_deadline(const struct machine *m);

const char *outcome_name(enum outcome outcome);

#endif
