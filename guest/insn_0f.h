/* SPDX-License-Identifier: MIT */
/*
 * Instructions of the opcodes 0F xx with a ModRM byte, as far as their register operand and its
 * size go: what the VM-exit instruction information leaves out, or what Bochs 2.7 has wrong there.
 * Pure.
 */
#ifndef TV_GUEST_INSN_0F_H
#define TV_GUEST_INSN_0F_H

#include "types.h"

/** The longest instruction there is. */
#define INSN_0F_MAX 15

struct insn_0f {
	u8 opcode;	       /* behind 0F */
	u8 group;	       /* bits 5:3 of ModRM */
	bool memory;	       /* else `reg` is the operand */
	unsigned reg;	       /* by ModRM.rm, with REX.B */
	unsigned operand_bits; /* 16, 32 or 64 */
};

/** Understand the `len` bytes of an instruction in a code segment of `bits` (16, 32 or 64). False:
 *  its opcode is not 0F, or they are too few. */
bool insn_0f_decode(struct insn_0f *in, const u8 *bytes, unsigned len, unsigned bits);

/** What a register of 64 bits holds after `bits` of it were written: 16 leave the rest, 32 clear
 *  it. */
u64 insn_0f_merge(u64 old, u64 value, unsigned bits);

#endif
