/* SPDX-License-Identifier: MIT */
/*
 * MOV to and from debug registers (SDM volume 2, "MOV-Move to/from Debug Registers"; volume 3,
 * section 18.2 "Debug Registers"). Its VM exit comes before all its faults (volume 3, section
 * 26.1.3 "Instructions That Cause VM Exits Conditionally"). Pure.
 */
#ifndef TV_GUEST_DR_H
#define TV_GUEST_DR_H

#include "types.h"

#define DR6_BLD BIT(11) /* 0: a bus lock */
#define DR6_BD BIT(13)	/* a debug register was accessed */
#define DR6_BT BIT(15)	/* a task switch to a TSS with flag T */
#define DR6_RTM BIT(16) /* 0: in a transaction */
#define DR7_GD BIT(13)	/* general detect: accesses fault */
#define DR7_ONES BIT(10)

enum dr_result {
	DR_OK,
	DR_UD, /* DR8 to DR15; DR4 and DR5, with CR4.DE */
	DR_GP,
	DR_DB, /* general detect: #DB with DR6.BD, which clears DR7.GD */
};

/** One access. */
struct dr_access {
	unsigned nr; /* 0 to 15, as encoded; dr_check() makes 6 of 4 and 7 of 5 */
	bool write;
	u64 value; /* to be written; dr_check() makes of it what may be */
	u64 cr4, dr7;
	unsigned cpl;	/* 0 in real mode */
	bool long_mode; /* 64-bit mode; else operands have 32 bits */
};

/** May it be done? Which bits of DR6 are fixed depends on the processor (DR6_BLD, DR6_RTM), which
 *  sees to it itself; those of DR7 are fixed here, since it is kept in a VMCS. */
enum dr_result dr_check(struct dr_access *a);

/** What the delivery of a debug exception changes. */
struct debug_state {
	u64 dr6, dr7, debugctl;
};

/** Change it as the processor does, for one that it did not deliver itself (section 28.1
 *  "Architectural State before a VM Exit"). `causes` has the bits of DR6, with the sense of the
 *  exit qualification (table 28-1) and of pending debug exceptions: a bit of 1 for each cause. */
void debug_state_raise(struct debug_state *s, u64 causes);

#endif
