/* SPDX-License-Identifier: MIT */
/* INVPCID's operands (SDM volume 2, "INVPCID-Invalidate Process-Context Identifier"). */
#ifndef TV_INVPCID_H
#define TV_INVPCID_H

#include "types.h"

/** INVPCID_TYPE. */
enum invpcid_type {
	INVPCID_ADDRESS,	 /* one address of one PCID */
	INVPCID_CONTEXT,	 /* one PCID, but for global translations */
	INVPCID_ALL,		 /* every PCID, and global translations */
	INVPCID_ALL_BUT_GLOBALS, /* every PCID, but for global translations */
};

/** INVPCID_DESC. */
struct invpcid_desc {
	u64 pcid; /* bits 11:0 */
	gva_t gva;
};

/** Does the processor take these operands? False: #GP(0). `pcide`: CR4.PCIDE. */
bool invpcid_valid(u64 type, const struct invpcid_desc *d, bool pcide);

#endif
