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

static enum segment_mode mode_of(const struct insn_state *st)
{
	if (st->bits == 64)
		return SEGMENT_64;
	return st->real ? SEGMENT_REAL : SEGMENT_PROTECTED;
}

static u64 base_of(const struct insn_state *st, unsigned seg)
{
	return segment_has_base(mode_of(st), seg) ? st->seg_base[seg] : 0;
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

/** Where a memory operand is: in which segment, and how far from its base. */
struct place {
	unsigned seg;
	u64 offset;
};

/** The operand that ModRM, or a string's rSI, names. */
static struct place operand(const struct insn *in, const struct insn_state *st)
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
	return (struct place){in->seg % 6u, ea & size_mask(in->addr_size)};
}

gva_t insn_linear(const struct insn *in, const struct insn_state *st)
{
	struct place at = operand(in, st);

	return segment_linear(mode_of(st), base_of(st, at.seg), at.offset);
}

/** The linear address, of what may be accessed. */
static bool locate(const struct insn_state *st, const struct insn_mem_ops *mem, struct place at,
		   unsigned size, bool write, gva_t *gva)
{
	const enum segment_mode mode = mode_of(st);
	const struct segment s = {base_of(st, at.seg), st->seg_limit[at.seg], st->seg_ar[at.seg]};

	if (!segment_allows(mode, &s, at.offset, size, write)) {
		mem->refuse(mem->ctx, segment_vector(at.seg));
		return false;
	}
	*gva = segment_linear(mode, s.base, at.offset);
	return true;
}

/** Read; what a callback leaves in the upper bytes does not count. */
static bool load(const struct insn_state *st, const struct insn_mem_ops *mem, struct place at,
		 unsigned size, u64 *v)
{
	gva_t gva;

	if (!locate(st, mem, at, size, false, &gva) || !mem->read(mem->ctx, gva, size, v))
		return false;
	*v &= size_mask(size);
	return true;
}

static bool store(const struct insn_state *st, const struct insn_mem_ops *mem, struct place at,
		  unsigned size, u64 v)
{
	gva_t gva;

	return locate(st, mem, at, size, true, &gva) && mem->write(mem->ctx, gva, size, v);
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
	struct place at = operand(in, st);

	w.acc = get_reg(st, RAX, in->op_size);
	if (in->src == OPND_REG)
		w.src = get_reg(st, in->src_reg, in->src_size);
	else if (in->src == OPND_MEM && !load(st, mem, at, in->src_size, &w.src))
		return INSN_FAULT;
	w.src &= size_mask(in->src_size);
	if (in->dst == OPND_REG)
		w.dst = get_reg(st, in->dst_reg, in->op_size);
	else if (reads_dst(in->op) && !load(st, mem, at, in->op_size, &w.dst))
		return INSN_FAULT;

	if (!insn_execute(&w, in))
		return INSN_UNHANDLED;
	w.dst &= size_mask(in->op_size);
	if (in->dst == OPND_MEM && w.write_dst && !store(st, mem, at, in->op_size, w.dst))
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
	struct place di = {SEG_ES, get_reg(st, RDI, in->addr_size)};
	struct insn_work w = {.size = in->op_size, .dst = get_reg(st, RAX, in->op_size)};

	if (uses_si(in->op) && !load(st, mem, operand(in, st), in->op_size, &w.dst))
		return false;
	switch (in->op) {
	case INSN_LODS:
		set_reg(st, RAX, in->op_size, w.dst);
		return true;
	case INSN_CMPS:
	case INSN_SCAS:
		if (!load(st, mem, di, in->op_size, &w.src))
			return false;
		insn_compare(&w);
		st->rflags = (st->rflags & ~w.changed) | (w.flags & w.changed);
		return true;
	default:
		return store(st, mem, di, in->op_size, w.dst);
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
	struct place slot = {SEG_SS, push ? below : top}, at = operand(in, st);
	u64 v = 0;

	if (push && in->src == OPND_REG)
		v = get_reg(st, in->src_reg, in->op_size);
	else if (!load(st, mem, push ? at : slot, in->op_size, &v))
		return INSN_FAULT;
	if ((push || in->dst == OPND_MEM) && !store(st, mem, push ? slot : at, in->op_size, v))
		return INSN_FAULT;

	set_reg(st, RSP, stack_size, push ? below : top + in->op_size);
	if (!push && in->dst == OPND_REG)
		set_reg(st, in->dst_reg, in->op_size, v);
	advance_rip(in, st);
	return INSN_DONE;
}

u8 insn_segments(const struct insn *in)
{
	u8 segments = 0;

	if (in->dst == OPND_MEM || in->src == OPND_MEM)
		segments |= (u8)BIT(in->seg % 6);
	if (in->op >= INSN_MOVS && in->op <= INSN_SCAS && in->op != INSN_LODS)
		segments |= (u8)BIT(SEG_ES);
	if (in->op == INSN_PUSH || in->op == INSN_POP)
		segments |= (u8)BIT(SEG_SS);
	return segments;
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
