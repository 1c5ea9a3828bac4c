/* SPDX-License-Identifier: MIT */
/*
 * Executing a decoded instruction: addresses, registers, memory, strings and stack. Registers and
 * flags change only after the last memory access went well, so that a fault leaves the instruction
 * to be restarted.
 */
#include "guest/insn_alu.h"

#define FLAG_ZF BIT(6)
#define FLAG_DF BIT(10)

enum { RAX = 0, RCX = 1, RSP = 4, RSI = 6, RDI = 7 };

static u64 get_reg(const struct insn_state *st, u8 reg, unsigned size)
{
	u64 v = reg >= 20 ? st->gpr[(reg - 20) & 3] >> 8 : st->gpr[reg & 15];

	return v & size_mask(size);
}

/** SDM volume 1, section 3.4.1.1 "General-Purpose Registers in 64-Bit Mode": a 32-bit result is
 *  zero-extended; smaller ones leave the rest alone. */
static void set_reg(struct insn_state *st, u8 reg, unsigned size, u64 v)
{
	u64 *r = &st->gpr[reg >= 20 ? (reg - 20) & 3 : reg & 15];
	u64 mask = size_mask(size);

	if (size >= 4)
		*r = v & mask;
	else if (reg >= 20)
		*r = (*r & ~0xff00ull) | (v & 0xff) << 8;
	else
		*r = (*r & ~mask) | (v & mask);
}

static gva_t linear(const struct insn_state *st, u8 seg, u64 ea, unsigned addr_size)
{
	ea &= size_mask(addr_size);
	if (st->bits != 64)
		return GVA((u32)(st->seg_base[seg] + ea));
	/* SDM volume 1, section 3.4.2.1 "Segment Registers in 64-Bit Mode" */
	return GVA(seg >= SEG_FS ? st->seg_base[seg] + ea : ea);
}

/** BT and friends with a register as bit offset reach beyond the operand: which one is meant,
 *  relative to the one addressed (SDM volume 2, section 3.1.1.9 "Operation Section", figure
 *  "Memory Bit Indexing"). */
static s64 bit_string_bytes(const struct insn *in, const struct insn_state *st)
{
	s64 offset;

	if (in->op < INSN_BT || in->op > INSN_BTC || in->src != OPND_REG)
		return 0;
	offset = (s64)get_reg(st, in->src_reg, in->op_size);
	if ((u64)offset & sign_bit(in->op_size))
		offset |= (s64)~size_mask(in->op_size);
	/* Rounds down: bit -1 is in the operand before. */
	return (offset >> 3) & -(s64)in->op_size;
}

gva_t insn_linear(const struct insn *in, const struct insn_state *st)
{
	u64 ea = (u64)in->disp;

	if (in->base == INSN_REG_RIP)
		ea += st->rip + in->len;
	else if (in->base != INSN_NO_REG)
		ea += st->gpr[in->base & 15];
	if (in->index != INSN_NO_REG)
		ea += st->gpr[in->index & 15] << (in->scale & 3);
	/* SDM volume 2, "POP": an address that uses rSP is worked out after the increment. */
	if (in->op == INSN_POP && in->base == RSP)
		ea += in->op_size;
	ea += (u64)bit_string_bytes(in, st);
	return linear(st, in->seg % 6, ea, in->addr_size);
}

/** Read; what a callback leaves in the upper bytes does not count. */
static bool load(const struct insn_mem_ops *mem, gva_t gva, unsigned size, u64 *v)
{
	if (!mem->read(mem->ctx, gva, size, v))
		return false;
	*v &= size_mask(size);
	return true;
}

static void advance_rip(const struct insn *in, struct insn_state *st)
{
	st->rip += in->len;
	if (st->bits != 64)
		st->rip = (u32)st->rip;
}

static bool reads_dst(u8 op)
{
	return op != INSN_MOV && op != INSN_MOVZX && op != INSN_MOVSX;
}

static enum insn_status two_operands(const struct insn *in, struct insn_state *st,
				     const struct insn_mem_ops *mem)
{
	struct insn_work w = {.size = in->op_size, .flags = st->rflags, .src = in->imm};
	gva_t gva = insn_linear(in, st);

	w.acc = get_reg(st, RAX, in->op_size);
	if (in->src == OPND_REG)
		w.src = get_reg(st, in->src_reg, in->src_size);
	else if (in->src == OPND_MEM && !load(mem, gva, in->src_size, &w.src))
		return INSN_FAULT;
	w.src &= size_mask(in->src_size);
	if (in->dst == OPND_REG)
		w.dst = get_reg(st, in->dst_reg, in->op_size);
	else if (reads_dst(in->op) && !load(mem, gva, in->op_size, &w.dst))
		return INSN_FAULT;

	if (!insn_execute(&w, in))
		return INSN_UNHANDLED;
	w.dst &= size_mask(in->op_size);
	if (in->dst == OPND_MEM && w.write_dst && !mem->write(mem->ctx, gva, in->op_size, w.dst))
		return INSN_FAULT;

	/* In this order: XADD and XCHG of a register with itself, CMPXCHG with the accumulator. */
	if (w.write_src)
		set_reg(st, in->src_reg, in->op_size, w.src);
	if (in->dst == OPND_REG && w.write_dst)
		set_reg(st, in->dst_reg, in->op_size, w.dst);
	if (w.write_acc)
		set_reg(st, RAX, in->op_size, w.acc);
	st->rflags = (st->rflags & ~w.changed) | (w.flags & w.changed);
	advance_rip(in, st);
	return INSN_DONE;
}

/** Move a string register on by one element, in the direction of RFLAGS.DF. */
static void step(const struct insn *in, struct insn_state *st, u8 reg)
{
	u64 delta = st->rflags & FLAG_DF ? -(u64)in->op_size : in->op_size;

	set_reg(st, reg, in->addr_size, get_reg(st, reg, in->addr_size) + delta);
}

static bool uses_si(u8 op)
{
	return op != INSN_STOS && op != INSN_SCAS;
}

/** The memory accesses of one iteration, and what they leave in RAX or the flags. */
static bool string_access(const struct insn *in, struct insn_state *st,
			  const struct insn_mem_ops *mem)
{
	gva_t di = linear(st, SEG_ES, st->gpr[RDI], in->addr_size);
	struct insn_work w = {.size = in->op_size, .dst = get_reg(st, RAX, in->op_size)};

	if (uses_si(in->op) && !load(mem, insn_linear(in, st), in->op_size, &w.dst))
		return false;
	switch (in->op) {
	case INSN_LODS:
		set_reg(st, RAX, in->op_size, w.dst);
		return true;
	case INSN_CMPS:
	case INSN_SCAS:
		if (!load(mem, di, in->op_size, &w.src))
			return false;
		insn_compare(&w);
		st->rflags = (st->rflags & ~w.changed) | (w.flags & w.changed);
		return true;
	default:
		return mem->write(mem->ctx, di, in->op_size, w.dst);
	}
}

/** SDM volume 2, "REP": CMPS and SCAS go on as long as ZF is what the prefix says. The other
 * strings know no condition: for them REPNE is REP. */
static bool condition_ends(const struct insn *in, const struct insn_state *st)
{
	if (in->op != INSN_CMPS && in->op != INSN_SCAS)
		return false;
	return in->rep != !!(st->rflags & FLAG_ZF);
}

/** One iteration of a string instruction. */
static enum insn_status string_op(const struct insn *in, struct insn_state *st,
				  const struct insn_mem_ops *mem)
{
	bool repeat = in->rep || in->repne;
	u64 left = get_reg(st, RCX, in->addr_size);

	if (repeat && !left) {
		advance_rip(in, st);
		return INSN_DONE;
	}
	if (!string_access(in, st, mem))
		return INSN_FAULT;
	if (uses_si(in->op))
		step(in, st, RSI);
	if (in->op != INSN_LODS)
		step(in, st, RDI);
	if (repeat) {
		set_reg(st, RCX, in->addr_size, left - 1);
		if (left > 1 && !condition_ends(in, st))
			return INSN_AGAIN;
	}
	advance_rip(in, st);
	return INSN_DONE;
}

static enum insn_status stack_op(const struct insn *in, struct insn_state *st,
				 const struct insn_mem_ops *mem)
{
	unsigned stack_size = (st->stack_bits ? st->stack_bits : st->bits) / 8;
	bool push = in->op == INSN_PUSH;
	u64 top = get_reg(st, RSP, stack_size);
	u64 below = (top - in->op_size) & size_mask(stack_size);
	gva_t slot = linear(st, SEG_SS, push ? below : top, stack_size);
	gva_t gva = insn_linear(in, st);
	u64 v = 0;

	if (push && in->src == OPND_REG)
		v = get_reg(st, in->src_reg, in->op_size);
	else if (!load(mem, push ? gva : slot, in->op_size, &v))
		return INSN_FAULT;
	if ((push || in->dst == OPND_MEM) &&
	    !mem->write(mem->ctx, push ? slot : gva, in->op_size, v))
		return INSN_FAULT;

	set_reg(st, RSP, stack_size, push ? below : top + in->op_size);
	if (!push && in->dst == OPND_REG)
		set_reg(st, in->dst_reg, in->op_size, v);
	advance_rip(in, st);
	return INSN_DONE;
}

enum insn_status insn_emulate(const struct insn *in, struct insn_state *st,
			      const struct insn_mem_ops *mem)
{
	switch (in->op) {
	case INSN_MOVS:
	case INSN_STOS:
	case INSN_LODS:
	case INSN_CMPS:
	case INSN_SCAS:
		return string_op(in, st, mem);
	case INSN_PUSH:
	case INSN_POP:
		return stack_op(in, st, mem);
	}
	return two_operands(in, st, mem);
}
