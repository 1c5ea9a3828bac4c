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

/* Bits 5:3 of ModRM in 0F 00 and 0F 01. Bit 1 says that it is a load, bit 0 that the register is
 * the second of the two: TR, IDTR. */
#define TABLE_IS_LOAD(group) ((group)&2)
#define TABLE_IS_SECOND(group) ((group)&1)

/** Is it SLDT, STR, LLDT or LTR (`selector`), or SGDT, SIDT, LGDT or LIDT, executed with this CPL?
 *  The processor looked at the privilege before the exit: of another instruction than this one, if
 *  it was changed since. */
bool insn_0f_is_table(const struct insn_0f *in, bool selector, unsigned cpl);

/** Is it RDSEED, or RDRAND? */
bool insn_0f_is_random(const struct insn_0f *in, bool seed);

/** What a register of 64 bits holds after `bits` of it were written: 16 leave the rest, 32 clear
 *  it. */
u64 insn_0f_merge(u64 old, u64 value, unsigned bits);

#endif
