/* SPDX-License-Identifier: MIT */
/*
 * The memory operand of an instruction that exited, from the VM-exit instruction information and
 * the exit qualification (SDM volume 3, table 28-9 "Format of the VM-Exit Instruction-Information
 * Field as Used for INVEPT, INVPCID, and INVVPID"). Such an exit comes before the processor has
 * looked at the operand's segment. Pure.
 */
#ifndef TV_VMX_MEM_OPERAND_H
#define TV_VMX_MEM_OPERAND_H

#include "types.h"

/** A segment register as in the VMCS. */
struct vmx_segment {
	u64 base;
	u32 limit, ar; /* access rights, table 25-2 */
};

struct vmx_mem_operand {
	u32 info;		/* VM-exit instruction information */
	u64 displacement;	/* exit qualification; RIP is in it where it counts */
	const u64 *gpr;		/* 16 registers, RSP too */
	bool long_mode;		/* 64-bit mode */
	struct vmx_segment seg; /* the one that vmx_operand_segment() names */
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

/** Where the operand of `len` bytes, which is read, begins. False: the segment or the address is
 *  such that the guest must see the exception `vector`, #GP or #SS, with error code 0. */
bool vmx_operand_address(const struct vmx_mem_operand *o, u64 len, gva_t *gva, u8 *vector);

#endif
