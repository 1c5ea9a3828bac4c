/* SPDX-License-Identifier: MIT */
/*
 * The instructions that the decoder knows: the opcode map (SDM volume 2, appendix A "Opcode Map")
 * as far as instructions touch memory in simple ways, in the map's order. An opcode without a row
 * is refused.
 */
#include "guest/insn_opcodes.h"

/* The eight operations that come in every form; the number is that of the opcode map. */
#define ALU_ROWS(M, form)                                                                          \
	M(0, INSN_ADD, form)                                                                       \
	M(1, INSN_OR, form)                                                                        \
	M(2, INSN_ADC, form)                                                                       \
	M(3, INSN_SBB, form)                                                                       \
	M(4, INSN_AND, form)                                                                       \
	M(5, INSN_SUB, form)                                                                       \
	M(6, INSN_XOR, form)                                                                       \
	M(7, INSN_CMP, form)

#define IN_GROUP(n, insn, f) [n] = {insn, f, 0, NULL},
static const struct row group1[8] = {ALU_ROWS(IN_GROUP, F_MI)};
static const struct row group1_imm8[8] = {ALU_ROWS(IN_GROUP, F_MI8)};
#undef IN_GROUP
static const struct row group1a[8] = {[0] = {INSN_POP, F_M, W_64, NULL}};
static const struct row group3[8] = {
	[0] = {INSN_TEST, F_MI, 0, NULL},
	[1] = {INSN_TEST, F_MI, 0, NULL},
	[2] = {INSN_NOT, F_M, 0, NULL},
	[3] = {INSN_NEG, F_M, 0, NULL},
};
static const struct row group4[8] = {
	[0] = {INSN_INC, F_M, 0, NULL},
	[1] = {INSN_DEC, F_M, 0, NULL},
};
static const struct row group5[8] = {
	[0] = {INSN_INC, F_M, 0, NULL},
	[1] = {INSN_DEC, F_M, 0, NULL},
	[6] = {INSN_PUSH, F_PUSHM, W_64, NULL},
};
static const struct row group8[8] = {
	[4] = {INSN_BT, F_MI8, W_FULL, NULL},
	[5] = {INSN_BTS, F_MI8, W_FULL, NULL},
	[6] = {INSN_BTR, F_MI8, W_FULL, NULL},
	[7] = {INSN_BTC, F_MI8, W_FULL, NULL},
};
static const struct row group11[8] = {[0] = {INSN_MOV, F_MI, 0, NULL}};

#define BOTH(opcode, insn, f) [opcode] = {insn, f, 0, NULL}, [(opcode) + 1] = {insn, f, 0, NULL}
#define BOTH_GROUP(opcode, g) [opcode] = {0, F_GROUP, 0, g}, [(opcode) + 1] = {0, F_GROUP, 0, g}
#define ALU_OPCODES(n, insn, unused)                                                               \
	BOTH((n)*8, insn, F_MR), BOTH((n)*8 + 2, insn, F_RM), BOTH((n)*8 + 4, insn, F_AI),

#define MOV_RI(opcode) [opcode] = {INSN_MOV, F_RI, W_FULL, NULL}
#define FOUR_MOV_RI(o) MOV_RI(o), MOV_RI((o) + 1), MOV_RI((o) + 2), MOV_RI((o) + 3)

const struct row insn_one_byte[256] = {
	/* clang-format off */
	ALU_ROWS(ALU_OPCODES, 0)
		/* clang-format on */
		[0x63] = {INSN_MOVSX, F_RM, W_SRC32 | ONLY_64, NULL},
	BOTH_GROUP(0x80, group1),
	[0x83] = {0, F_GROUP, 0, group1_imm8},
	BOTH(0x84, INSN_TEST, F_MR),
	BOTH(0x86, INSN_XCHG, F_MR),
	BOTH(0x88, INSN_MOV, F_MR),
	BOTH(0x8a, INSN_MOV, F_RM),
	[0x8f] = {0, F_GROUP, 0, group1a},
	BOTH(0xa0, INSN_MOV, F_AO),
	BOTH(0xa2, INSN_MOV, F_OA),
	BOTH(0xa4, INSN_MOVS, F_MOVS),
	BOTH(0xa6, INSN_CMPS, F_CMPS),
	BOTH(0xa8, INSN_TEST, F_AI),
	BOTH(0xaa, INSN_STOS, F_STOS),
	BOTH(0xac, INSN_LODS, F_LODS),
	BOTH(0xae, INSN_SCAS, F_SCAS),
	FOUR_MOV_RI(0xb8),
	FOUR_MOV_RI(0xbc),
	BOTH_GROUP(0xc6, group11),
	BOTH_GROUP(0xf6, group3),
	[0xfe] = {0, F_GROUP, 0, group4},
	[0xff] = {0, F_GROUP, 0, group5},
};

const struct row insn_two_byte[256] = {
	[0xa3] = {INSN_BT, F_MR, W_FULL, NULL},
	[0xab] = {INSN_BTS, F_MR, W_FULL, NULL},
	BOTH(0xb0, INSN_CMPXCHG, F_MR),
	[0xb3] = {INSN_BTR, F_MR, W_FULL, NULL},
	[0xb6] = {INSN_MOVZX, F_RM, W_SRC8, NULL},
	[0xb7] = {INSN_MOVZX, F_RM, W_SRC16, NULL},
	[0xba] = {0, F_GROUP, 0, group8},
	[0xbb] = {INSN_BTC, F_MR, W_FULL, NULL},
	[0xbe] = {INSN_MOVSX, F_RM, W_SRC8, NULL},
	[0xbf] = {INSN_MOVSX, F_RM, W_SRC16, NULL},
	BOTH(0xc0, INSN_XADD, F_MR),
};
