/* SPDX-License-Identifier: MIT */
/*
 * MOV to and from debug registers (SDM volume 2, "MOV-Move to/from Debug Registers"; volume 3,
 * section 18.2 "Debug Registers"). Its VM exit comes before all its faults (volume 3, section
 * 26.1.3 "Instructions That Cause VM Exits Conditionally"). Pure.
 */
#ifndef TV_GUEST_DR_H
#define TV_GUEST_DR_H

#include "types.h"

#define DR6_BD BIT(13)	       /* a debug register was accessed */
#define DR6_BT BIT(15)	       /* task switch */
#define DR6_ONES 0xffff0ff0ull /* bits that read 1; bit 16 says "not in a transaction" by it */
/* Bits that are 0 where something happened: bus lock, transaction. In the qualification of an exit,
 * and in the pending debug exceptions, they are 1 then. */
#define DR6_ACTIVE_LOW (BIT(11) | BIT(16))
#define DR7_GD BIT(13) /* general detect: accesses fault */
#define DR7_ONES BIT(10)

enum dr_result {
	DR_OK,
	DR_UD, /* DR4 and DR5, with CR4.DE */
	DR_GP,
	DR_DB, /* general detect: #DB with DR6.BD, which clears DR7.GD */
};

/** One access. */
struct dr_access {
	unsigned nr; /* 0 to 7, as encoded; dr_check() makes 6 of 4 and 7 of 5 */
	bool write;
	u64 value; /* to be written; dr_check() makes of it what the register holds then */
	u64 cr4, dr7;
	unsigned cpl;	/* 0 in real mode */
	bool long_mode; /* 64-bit mode; else operands have 32 bits */
};

/** May it be done? */
enum dr_result dr_check(struct dr_access *a);

#endif
