/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder: prefixes, opcode, ModRM, SIB, displacement, immediate (SDM volume 2,
 * section 2.1 "Instruction Format for Protected Mode...", section 2.2 "IA-32e Mode", and the opcode
 * map in insn_opcodes.c).
 */
#include "guest/insn_opcodes.h"
#include "lib/mem.h"

#define SEG_DEFAULT 0xff /* no override was seen */
enum { RAX = 0, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7 };

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

struct decoder {
	struct insn *in;
	const u8 *bytes;
	unsigned len, pos, bits;
	bool over; /* ran out of bytes: what was fetched since is zero */
	bool opsize, addrsize;
	u8 rex, seg, opcode, modrm;
};

/** The next `n` bytes, little-endian. */
static u64 fetch(struct decoder *d, unsigned n)
{
	u64 v = 0;

	if (n > d->len - d->pos) {
		d->over = true;
		d->in->cut = d->len < INSN_MAX_LEN;
		return 0;
	}
	for (unsigned i = 0; i < n; i++)
		v |= (u64)d->bytes[d->pos + i] << (8 * i);
	d->pos += n;
	return v;
}

static s64 fetch_signed(struct decoder *d, unsigned n)
{
	unsigned shift = 64 - 8 * n;

	return (s64)(fetch(d, n) << shift) >> shift;
}

static bool is_prefix(struct decoder *d, u8 b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		if (d->bits != 64) /* there these four are ignored */
			d->seg = (b >> 3) & 3;
		return true;
	case 0x64:
	case 0x65:
		d->seg = b - 0x64 + SEG_FS;
		return true;
	case 0x66:
		d->opsize = true;
		return true;
	case 0x67:
		d->addrsize = true;
		return true;
	case 0xf0:
		d->in->lock = true;
		return true;
	case 0xf2:
	case 0xf3: /* the last of the two counts */
		d->in->repne = b == 0xf2;
		d->in->rep = b == 0xf3;
		return true;
	}
	return false;
}

/** Take all prefixes and return the byte after them. */
static u8 prefixes(struct decoder *d)
{
	for (;;) {
		u8 b = (u8)fetch(d, 1);

		if (d->over)
			return 0;
		if (is_prefix(d, b)) {
			d->rex = 0; /* a REX counts only right before the opcode */
			continue;
		}
		if (d->bits != 64 || (b & 0xf0) != 0x40)
			return b;
		d->rex = b;
	}
}

static void sizes(struct decoder *d, u8 flags)
{
	struct insn *in = d->in;
	bool full = flags || d->opcode & 1;
	u8 op_size;

	if (d->bits == 64) {
		u8 normal = flags & W_64 ? 8 : 4;

		op_size = d->rex & REX_W ? 8 : d->opsize ? 2 : normal;
		in->addr_size = d->addrsize ? 4 : 8;
	} else {
		op_size = (d->bits == 32) != d->opsize ? 4 : 2;
		in->addr_size = (d->bits == 32) != d->addrsize ? 4 : 2;
	}
	in->op_size = full ? op_size : 1;
	in->src_size = in->op_size;
	if (flags & W_SRC8)
		in->src_size = 1;
	if (flags & W_SRC16)
		in->src_size = 2;
	if (flags & W_SRC32)
		in->src_size = MIN(4, op_size);
}

/** A register number as struct insn has it: without REX, byte registers 4-7 are AH-BH. */
static u8 reg_number(const struct decoder *d, u8 n, u8 size)
{
	return size == 1 && !d->rex && n >= 4 && n < 8 ? n + 16 : n;
}

static u8 modrm_reg(const struct decoder *d, u8 size)
{
	return reg_number(d, ((d->modrm >> 3) & 7) | (d->rex & REX_R ? 8 : 0), size);
}

static void memory16(struct decoder *d)
{
	static const u8 base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
	static const u8 index[4] = {RSI, RDI, RSI, RDI};
	struct insn *in = d->in;
	u8 mod = d->modrm >> 6, rm = d->modrm & 7;

	in->base = base[rm];
	if (rm < 4)
		in->index = index[rm];
	if (mod == 0 && rm == 6) {
		in->base = INSN_NO_REG;
		in->disp = fetch_signed(d, 2);
	} else if (mod) {
		in->disp = fetch_signed(d, mod);
	}
	in->seg = in->base == RBP ? SEG_SS : SEG_DS;
}

static void memory32(struct decoder *d)
{
	struct insn *in = d->in;
	u8 mod = d->modrm >> 6, low = d->modrm & 7; /* low: the base's number without REX.B */

	if (low == 4) {
		u8 sib = (u8)fetch(d, 1);
		u8 index = ((sib >> 3) & 7) | (d->rex & REX_X ? 8 : 0);

		in->scale = sib >> 6;
		in->index = index == RSP ? INSN_NO_REG : index;
		low = sib & 7;
		in->base = low | (d->rex & REX_B ? 8 : 0);
		if (low == 5 && mod == 0) {
			in->base = INSN_NO_REG;
			in->disp = fetch_signed(d, 4);
		}
	} else {
		in->base = low | (d->rex & REX_B ? 8 : 0);
		if (low == 5 && mod == 0) {
			in->base = d->bits == 64 ? INSN_REG_RIP : INSN_NO_REG;
			in->disp = fetch_signed(d, 4);
		}
	}
	if (mod)
		in->disp = fetch_signed(d, mod == 1 ? 1 : 4);
	in->seg = in->base == RSP || in->base == RBP ? SEG_SS : SEG_DS;
}

/** The r/m operand: its kind; its register number goes to `reg`. Takes SIB and displacement. */
static u8 modrm_rm(struct decoder *d, u8 size, u8 *reg)
{
	if (d->modrm >> 6 == 3) {
		*reg = reg_number(d, (d->modrm & 7) | (d->rex & REX_B ? 8 : 0), size);
		return OPND_REG;
	}
	if (d->in->addr_size == 2)
		memory16(d);
	else
		memory32(d);
	return OPND_MEM;
}

static void string_operands(struct decoder *d, u8 form)
{
	struct insn *in = d->in;
	bool di_only = form == F_STOS || form == F_SCAS;

	in->dst = form == F_LODS || form == F_SCAS ? OPND_REG : OPND_MEM;
	in->src = form == F_STOS ? OPND_REG : OPND_MEM;
	in->base = di_only ? RDI : RSI;
	in->seg = di_only ? SEG_ES : SEG_DS;
	if (di_only)
		d->seg = SEG_DEFAULT; /* ES:rDI has no override */
}

static void operands(struct decoder *d, u8 form)
{
	struct insn *in = d->in;

	switch (form) {
	case F_MR:
		in->dst = modrm_rm(d, in->op_size, &in->dst_reg);
		in->src = OPND_REG;
		in->src_reg = modrm_reg(d, in->op_size);
		break;
	case F_RM:
		in->src = modrm_rm(d, in->src_size, &in->src_reg);
		in->dst = OPND_REG;
		in->dst_reg = modrm_reg(d, in->op_size);
		break;
	case F_MI:
	case F_MI8:
		in->dst = modrm_rm(d, in->op_size, &in->dst_reg);
		in->src = OPND_IMM;
		in->imm = (u64)fetch_signed(d, form == F_MI8 ? 1 : MIN(in->op_size, 4));
		break;
	case F_M:
		in->dst = modrm_rm(d, in->op_size, &in->dst_reg);
		break;
	case F_PUSHM:
		in->src = modrm_rm(d, in->op_size, &in->src_reg);
		break;
	case F_AI:
		in->dst = OPND_REG;
		in->src = OPND_IMM;
		in->imm = (u64)fetch_signed(d, MIN(in->op_size, 4));
		break;
	case F_RI:
		in->dst = OPND_REG;
		in->dst_reg = (d->opcode & 7) | (d->rex & REX_B ? 8 : 0);
		in->src = OPND_IMM;
		in->imm = fetch(d, in->op_size);
		break;
	case F_AO:
	case F_OA:
		in->dst = form == F_AO ? OPND_REG : OPND_MEM;
		in->src = form == F_AO ? OPND_MEM : OPND_REG;
		in->disp = (s64)fetch(d, in->addr_size);
		in->seg = SEG_DS;
		break;
	default:
		string_operands(d, form);
	}
	if (d->seg != SEG_DEFAULT)
		in->seg = d->seg;
}

/** SDM volume 2, "LOCK": the instructions that take it, with a memory destination; else #UD. */
static bool lock_allowed(const struct insn *in)
{
	switch (in->op) {
	case INSN_ADD:
	case INSN_OR:
	case INSN_ADC:
	case INSN_SBB:
	case INSN_AND:
	case INSN_SUB:
	case INSN_XOR:
	case INSN_XCHG:
	case INSN_NOT:
	case INSN_NEG:
	case INSN_INC:
	case INSN_DEC:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC:
	case INSN_CMPXCHG:
	case INSN_XADD:
		return in->dst == OPND_MEM;
	}
	return false;
}

bool insn_decode(struct insn *in, const u8 *bytes, unsigned len, unsigned bits)
{
	struct decoder d = {
		.in = in,
		.bytes = bytes,
		.len = MIN(len, INSN_MAX_LEN),
		.bits = bits,
		.seg = SEG_DEFAULT,
	};
	const struct row *row;

	memset(in, 0, sizeof(*in));
	in->base = in->index = INSN_NO_REG;
	in->seg = SEG_DS;

	d.opcode = prefixes(&d);
	if (d.opcode == 0x0f) {
		d.opcode = (u8)fetch(&d, 1);
		row = &insn_two_byte[d.opcode];
	} else {
		row = &insn_one_byte[d.opcode];
	}
	if (d.over)
		return false;
	if (row->form == F_MR || row->form == F_RM || row->form == F_GROUP)
		d.modrm = (u8)fetch(&d, 1);
	if (row->form == F_GROUP)
		row = &row->group[(d.modrm >> 3) & 7];
	if (row->form == F_UNKNOWN || (row->flags & ONLY_64 && bits != 64))
		return false;

	in->op = row->op;
	sizes(&d, row->flags);
	operands(&d, row->form);
	in->len = (u8)d.pos;
	return !d.over && (!in->lock || lock_allowed(in));
}
