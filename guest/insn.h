/* SPDX-License-Identifier: MIT */
/*
 * A decoder and emulator for the instructions with which guests touch devices: it decodes from
 * bytes, and emulates through callbacks. What it does not know it refuses; the caller stops the
 * guest and shows the bytes. (SDM volume 2, chapter 2 "Instruction Format" and the instructions'
 * own pages.)
 */
#ifndef TV_INSN_H
#define TV_INSN_H

#include "guest/segment.h"
#include "types.h"

#define INSN_MAX_LEN 15

enum insn_op {
	INSN_MOV, /* also the moffs and immediate forms */
	INSN_MOVZX,
	INSN_MOVSX, /* and MOVSXD */
	INSN_MOVS,
	INSN_STOS,
	INSN_LODS,
	INSN_CMPS,
	INSN_SCAS,
	INSN_ADD,
	INSN_OR,
	INSN_ADC,
	INSN_SBB,
	INSN_AND,
	INSN_SUB,
	INSN_XOR,
	INSN_CMP,
	INSN_TEST,
	INSN_XCHG,
	INSN_NOT,
	INSN_NEG,
	INSN_INC,
	INSN_DEC,
	INSN_BT,
	INSN_BTS,
	INSN_BTR,
	INSN_BTC,
	INSN_CMPXCHG,
	INSN_XADD,
	INSN_PUSH,
	INSN_POP,
};

enum insn_operand { OPND_NONE, OPND_REG, OPND_MEM, OPND_IMM };

struct insn {
	u8 len;
	u8 op;		     /* enum insn_op */
	u8 op_size;	     /* bytes: 1, 2, 4, 8 */
	u8 src_size;	     /* MOVZX and MOVSX: bytes of the source; else op_size */
	u8 addr_size;	     /* bytes: 2, 4, 8 */
	u8 dst, src;	     /* enum insn_operand */
	u8 dst_reg, src_reg; /* 0-15; byte registers AH, CH, DH, BH are 20-23 */
	u8 seg;		     /* enum segment_register of the memory operand */
	u8 base, index;	     /* 0-15, or INSN_NO_REG; 16 is RIP (of the next instruction) */
	u8 scale;	     /* 0-3 */
	bool rep, repne, lock;
	bool cut; /* where insn_decode() refuses: for want of bytes after the last one */
	s64 disp;
	u64 imm; /* sign-extended where the instruction does that */
};

#define INSN_NO_REG 0xff
#define INSN_REG_RIP 16

/** Decode. `bits` is 16, 32 or 64: the code segment's size. False: not an instruction that this
 *  decoder knows, a LOCK prefix where the processor raises #UD, or longer than `len` (`cut`) or
 *  15. */
bool insn_decode(struct insn *in, const u8 *bytes, unsigned len, unsigned bits);

/** The machine state the emulator works on. GPRs are in the processor's numbering (0 RAX, 1 RCX,
 *  2 RDX, 3 RBX, 4 RSP, 5 RBP, 6 RSI, 7 RDI, 8-15). */
struct insn_state {
	u64 gpr[16];
	u64 rip, rflags;
	/* By enum segment_register; insn_segments() says which. 64-bit code needs no limits and
	 * access rights, and no bases but those of FS and GS. */
	u64 seg_base[6];
	u32 seg_limit[6], seg_ar[6];
	unsigned bits;	     /* the code segment's size: 16, 32 or 64 */
	unsigned stack_bits; /* the stack segment's (PUSH, POP); 0: as `bits` */
	bool real;	     /* real-address mode */
};

enum insn_status {
	INSN_DONE,	/* executed; rip advanced */
	INSN_AGAIN,	/* one iteration of a REP done; rip stays */
	INSN_FAULT,	/* a callback refused: it has recorded the guest fault; nothing changed */
	INSN_UNHANDLED, /* decoded, but not emulated in this form */
};

/** Memory as the instruction sees it, by linear address. False: a fault was recorded.
 *  refuse() records one: an operand violates its segment, or is not at a canonical address, and the
 *  guest must see `vector` with error code 0. */
struct insn_mem_ops {
	bool (*read)(void *ctx, gva_t gva, unsigned size, u64 *value);
	bool (*write)(void *ctx, gva_t gva, unsigned size, u64 value);
	void (*refuse)(void *ctx, u8 vector);
	void *ctx;
};

/** Execute a decoded instruction on `st`. Flags that the SDM calls undefined come out as Intel's
 *  processors leave them. Every operand is checked against its segment, one that the processor had
 *  checked before it exited once more. A LOCKed instruction is a read and a write, which is all a
 *  device sees of it. */
enum insn_status insn_emulate(const struct insn *in, struct insn_state *st,
			      const struct insn_mem_ops *mem);

/** The segments of its operands: bit n stands for enum segment_register n. */
u8 insn_segments(const struct insn *in);

/** The linear address of the memory operand of `in` (MOVS and CMPS: of the one at rSI). */
gva_t insn_linear(const struct insn *in, const struct insn_state *st);

#endif
