/* SPDX-License-Identifier: MIT */
/*
 * The memory operand of an instruction that exited, from the VM-exit instruction information and
 * the exit qualification (SDM volume 3, table 28-9 "Format of the VM-Exit Instruction-Information
 * Field as Used for INVEPT, INVPCID, and INVVPID"; that of INS and OUTS, table 28-8, has address
 * size and segment at the same place). Such an exit comes before the processor has looked at the
 * operand's segment: guest/segment.h does. Pure.
 */
#ifndef TV_VMX_MEM_OPERAND_H
#define TV_VMX_MEM_OPERAND_H

#include "types.h"

struct vmx_mem_operand {
	u32 info;	  /* VM-exit instruction information */
	u64 displacement; /* exit qualification; RIP is in it where it counts */
	const u64 *gpr;	  /* 16 registers, RSP too */
};

/** The segment register: 0 ES, 1 CS, 2 SS, 3 DS, 4 FS, 5 GS. */
static inline unsigned vmx_operand_segment(u32 info)
{
	return info >> 15 & 7;
}

/** The register operand beside it (Reg2). */
static inline unsigned vmx_operand_reg2(u32 info)
{
	return info >> 28;
}

/** What the address size leaves of an effective address. */
static inline u64 vmx_operand_mask(u32 info)
{
	unsigned size = info >> 7 & 7; /* 16, 32 or 64 bits */

	return size == 0 ? 0xffff : size == 1 ? 0xffffffff : ~0ull;
}

/** The effective address: where in its segment the operand begins. */
u64 vmx_operand_offset(const struct vmx_mem_operand *o);

#endif
