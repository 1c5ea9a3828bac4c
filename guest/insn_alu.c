/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic and logic with their flags (SDM volume 1, section 3.4.3.1 "Status Flags"; volume 2,
 * the instructions' own pages).
 */
#include "guest/insn_alu.h"

#define FLAG_CF BIT(0)
#define FLAG_PF BIT(2)
#define FLAG_AF BIT(4)
#define FLAG_ZF BIT(6)
#define FLAG_SF BIT(7)
#define FLAG_OF BIT(11)
#define FLAGS_ALU (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static u64 flags_of_result(u64 r, unsigned size)
{
	u64 flags = 0;
	u8 low = (u8)(r ^ r >> 4) & 0xf;

	if (!(r & size_mask(size)))
		flags |= FLAG_ZF;
	if (r & sign_bit(size))
		flags |= FLAG_SF;
	if (!(0x6996u >> low & 1)) /* bit n: n has an odd number of ones */
		flags |= FLAG_PF;
	return flags;
}

static u64 add(u64 a, u64 b, u64 carry, unsigned size, u64 *flags)
{
	u64 r = (a + b + carry) & size_mask(size);
	u64 carries = (a & b) | ((a | b) & ~r); /* out of each bit */

	*flags = flags_of_result(r, size);
	*flags |= carries & sign_bit(size) ? FLAG_CF : 0;
	*flags |= (a ^ b ^ r) & FLAG_AF;
	*flags |= (a ^ r) & (b ^ r) & sign_bit(size) ? FLAG_OF : 0;
	return r;
}

static u64 sub(u64 a, u64 b, u64 borrow, unsigned size, u64 *flags)
{
	u64 r = (a - b - borrow) & size_mask(size);
	u64 borrows = (~a & b) | ((~a | b) & r); /* into each bit from the next */

	*flags = flags_of_result(r, size);
	*flags |= borrows & sign_bit(size) ? FLAG_CF : 0;
	*flags |= (a ^ b ^ r) & FLAG_AF;
	*flags |= (a ^ b) & (a ^ r) & sign_bit(size) ? FLAG_OF : 0;
	return r;
}

static u64 logic(u64 r, unsigned size, u64 *flags)
{
	*flags = flags_of_result(r, size);
	return r;
}

static void bit_op(struct insn_work *w, u8 op)
{
	u64 bit = BIT(w->src & (8 * w->size - 1));

	w->changed = FLAG_CF;
	w->flags = w->dst & bit ? FLAG_CF : 0;
	w->write_dst = op != INSN_BT;
	if (op == INSN_BTS)
		w->dst |= bit;
	else if (op == INSN_BTR)
		w->dst &= ~bit;
	else
		w->dst ^= bit;
}

static void cmpxchg(struct insn_work *w, bool to_memory)
{
	sub(w->acc, w->dst, 0, w->size, &w->flags);
	if (w->flags & FLAG_ZF) {
		w->dst = w->src;
		return;
	}
	w->acc = w->dst;
	w->write_acc = true;
	/* Memory is written in either case; a register is left alone, upper half and all. */
	w->write_dst = to_memory;
}

static u64 sign_extend(u64 v, unsigned size)
{
	return (v ^ sign_bit(size)) - sign_bit(size);
}

void insn_compare(struct insn_work *w)
{
	sub(w->dst, w->src, 0, w->size, &w->flags);
	w->changed = FLAGS_ALU;
	w->write_dst = false;
}

bool insn_execute(struct insn_work *w, const struct insn *in)
{
	u64 carry = w->flags & FLAG_CF, old = w->dst;
	unsigned size = w->size;

	w->changed = FLAGS_ALU;
	w->write_dst = true;
	switch (in->op) {
	case INSN_MOV:
	case INSN_MOVZX:
		w->dst = w->src;
		w->changed = 0;
		return true;
	case INSN_MOVSX:
		w->dst = sign_extend(w->src, in->src_size);
		w->changed = 0;
		return true;
	case INSN_XCHG:
		w->dst = w->src;
		w->src = old;
		w->write_src = true;
		w->changed = 0;
		return true;
	case INSN_XADD:
		w->dst = add(old, w->src, 0, size, &w->flags);
		w->src = old;
		w->write_src = true;
		return true;
	case INSN_CMPXCHG:
		cmpxchg(w, in->dst == OPND_MEM);
		return true;
	case INSN_ADD:
		w->dst = add(w->dst, w->src, 0, size, &w->flags);
		return true;
	case INSN_ADC:
		w->dst = add(w->dst, w->src, carry, size, &w->flags);
		return true;
	case INSN_SUB:
		w->dst = sub(w->dst, w->src, 0, size, &w->flags);
		return true;
	case INSN_SBB:
		w->dst = sub(w->dst, w->src, carry, size, &w->flags);
		return true;
	case INSN_CMP:
		insn_compare(w);
		return true;
	case INSN_AND:
		w->dst = logic(w->dst & w->src, size, &w->flags);
		return true;
	case INSN_OR:
		w->dst = logic(w->dst | w->src, size, &w->flags);
		return true;
	case INSN_XOR:
		w->dst = logic(w->dst ^ w->src, size, &w->flags);
		return true;
	case INSN_TEST:
		logic(w->dst & w->src, size, &w->flags);
		w->write_dst = false;
		return true;
	case INSN_NEG:
		w->dst = sub(0, w->dst, 0, size, &w->flags);
		return true;
	case INSN_NOT:
		w->dst = ~w->dst;
		w->changed = 0;
		return true;
	case INSN_INC:
		w->dst = add(w->dst, 1, 0, size, &w->flags);
		w->changed &= ~FLAG_CF;
		return true;
	case INSN_DEC:
		w->dst = sub(w->dst, 1, 0, size, &w->flags);
		w->changed &= ~FLAG_CF;
		return true;
	case INSN_BT:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC:
		bit_op(w, in->op);
		return true;
	}
	return false;
}
