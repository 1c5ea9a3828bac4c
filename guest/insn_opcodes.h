/* SPDX-License-Identifier: MIT */
/* The decoder's private view of the opcode map: see insn_opcodes.c. */
#ifndef TV_INSN_OPCODES_H
#define TV_INSN_OPCODES_H

#include "guest/insn.h"

/** Where an instruction's operands are encoded. */
enum form {
	F_UNKNOWN,
	F_MR,	 /* r/m, reg */
	F_RM,	 /* reg, r/m */
	F_MI,	 /* r/m, immediate of the operand size, at most 4 bytes */
	F_MI8,	 /* r/m, sign-extended byte */
	F_M,	 /* r/m */
	F_PUSHM, /* r/m as the source */
	F_AI,	 /* accumulator, immediate */
	F_AO,	 /* accumulator, memory at an absolute offset */
	F_OA,	 /* the other way round */
	F_RI,	 /* register named by the opcode, immediate of up to 8 bytes */
	F_MOVS,
	F_STOS,
	F_LODS,
	F_CMPS,
	F_SCAS,
	F_GROUP, /* ModRM.reg selects the row */
};

/* How wide the operands are, where it is not "a byte if the opcode is even, else the operand
 * size". */
#define W_FULL 1u   /* operand size always */
#define W_SRC8 2u   /* operand size, from a byte */
#define W_SRC16 4u  /* operand size, from a word */
#define W_SRC32 8u  /* operand size, from a doubleword */
#define W_64 16u    /* as W_FULL; in 64-bit mode 8 bytes unless prefixed */
#define ONLY_64 32u /* not an instruction of 16- and 32-bit code */

/** One instruction: its operation (enum insn_op), form and widths, or a group of eight. */
struct row {
	u8 op, form, flags;
	const struct row *group;
};

/** By the opcode's last byte: opcodes of one byte, and those after 0F. */
extern const struct row insn_one_byte[256];
extern const struct row insn_two_byte[256];

#endif
