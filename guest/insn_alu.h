/* SPDX-License-Identifier: MIT */
/* What an instruction computes, apart from where its operands are. Private to the emulator. */
#ifndef TV_INSN_ALU_H
#define TV_INSN_ALU_H

#include "guest/insn.h"

static inline u64 size_mask(unsigned bytes)
{
	return bytes >= 8 ? ~0ull : BIT(8 * bytes) - 1;
}

static inline u64 sign_bit(unsigned bytes)
{
	return BIT(8 * bytes - 1);
}

/** The operands of one instruction on their way through it. */
struct insn_work {
	unsigned size;
	u64 dst, src; /* in: values; out: what to write back */
	u64 flags;    /* in: RFLAGS; out: the arithmetic flags among `changed` */
	u64 changed;
	bool write_dst, write_src;
	u64 acc; /* CMPXCHG: the accumulator; written back where write_acc */
	bool write_acc;
};

/** Set the flags as CMP of `dst` and `src` does; writes nothing back. */
void insn_compare(struct insn_work *w);

/** Do `in`'s operation on `w`, whose values are truncated to the operand size (on return `dst` may
 *  have more bits). False: it is none that works on a destination and a source. */
bool insn_execute(struct insn_work *w, const struct insn *in);

#endif
