/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the instruction decoder and emulator: any bytes as code, any registers, memory
 * that refuses now and then.
 *
 * Input: struct head, then the instruction's bytes.
 */
#include <stdlib.h>

#include "guest/insn.h"
#include "lib/mem.h"

struct head {
	u8 bits;   /* 0-2: 16, 32, 64 */
	u8 refuse; /* bit n: the n-th memory access is refused */
	u8 stack;
	u64 seed; /* of registers and memory */
	u32 rflags;
} __attribute__((packed));

struct memory {
	unsigned accesses, writes;
	u8 refuse;
	bool violated; /* a segment */
	u64 seed;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool access_ok(struct memory *m, unsigned size)
{
	require(size == 1 || size == 2 || size == 4 || size == 8);
	require(!m->writes); /* nothing comes after a write */
	require(m->accesses < 2);
	return !(m->refuse >> m->accesses++ & 1);
}

static bool mem_read(void *ctx, gva_t gva, unsigned size, u64 *value)
{
	struct memory *m = ctx;

	*value = (m->seed ^ gva.v) * 0x9e3779b97f4a7c15; /* more than `size` bytes of it, even */
	return access_ok(m, size);
}

static bool mem_write(void *ctx, gva_t gva, unsigned size, u64 value)
{
	struct memory *m = ctx;
	bool ok = access_ok(m, size);

	(void)gva;
	require(size == 8 || !(value >> (8 * size)));
	m->writes++;
	return ok;
}

static void violation(void *ctx, u8 vector)
{
	struct memory *m = ctx;

	require(vector == GP_VECTOR || vector == SS_VECTOR);
	require(!m->writes && !m->violated);
	m->violated = true;
}

static void check_decoded(const struct insn *in, const u8 *code, unsigned len, unsigned bits)
{
	struct insn other;

	require(in->len && in->len <= INSN_MAX_LEN && in->len <= len);
	require(in->op <= INSN_POP && in->seg < 6 && in->scale < 4);
	require(in->op_size == 1 || in->op_size == 2 || in->op_size == 4 || in->op_size == 8);
	require(in->addr_size == 2 || in->addr_size == 4 || in->addr_size == 8);
	require((in->op_size < 8 && in->addr_size < 8) || bits == 64);
	require(in->src_size <= in->op_size);
	require(in->dst <= OPND_MEM && in->src <= OPND_IMM);
	require(in->base == INSN_NO_REG || in->base <= INSN_REG_RIP);
	require(in->index == INSN_NO_REG || in->index < 16);
	/* What lies behind the instruction does not matter, and each of its own bytes does. */
	require(insn_decode(&other, code, in->len, bits));
	require(!memcmp(in, &other, sizeof(other)));
	require(!in->cut && !insn_decode(&other, code, in->len - 1u, bits) && other.cut);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const unsigned code_sizes[] = {16, 32, 64};
	struct insn_state st = {.bits = 0}, before;
	struct memory m = {.accesses = 0};
	const struct insn_mem_ops ops = {mem_read, mem_write, violation, &m};
	enum insn_status status;
	struct insn in;
	struct head h;
	unsigned len;
	u64 rng;

	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	data += sizeof(h);
	len = (unsigned)MIN(size - sizeof(h), 64);
	st.bits = code_sizes[h.bits % 3];
	st.stack_bits = h.stack % 4 < 3 ? code_sizes[h.stack % 4] : 0;
	if (!insn_decode(&in, data, len, st.bits))
		return 0;
	check_decoded(&in, data, len, st.bits);

	rng = m.seed = h.seed | 1;
	for (unsigned i = 0; i < 16; i++)
		st.gpr[i] = rng = rng * 6364136223846793005 + 1442695040888963407;
	if (rng >> 60 < 4)
		st.gpr[1] &= 1; /* end of a REP */
	for (unsigned i = 0; i < 6; i++) {
		st.seg_base[i] = rng >> i;
		st.seg_limit[i] = (u32)(rng >> 5 * i);
		/* Accessed, writable or readable, most of the time. */
		st.seg_ar[i] = 0xc090 | (rng >> 3 * i & 0xf) | (rng >> 4 * i & 3 ? 3 : 0);
	}
	st.real = st.bits == 16 && rng & BIT(40);
	st.rflags = h.rflags;
	st.rip = (u32)rng;
	m.refuse = h.refuse;
	before = st;
	status = insn_emulate(&in, &st, &ops);
	switch (status) {
	case INSN_DONE:
		require(!m.violated);
		require((u32)(st.rip - before.rip) == in.len);
		break;
	case INSN_AGAIN:
		require(in.rep || in.repne);
		require(st.rip == before.rip && st.gpr[1] != before.gpr[1]);
		break;
	case INSN_FAULT:
		require((h.refuse || m.violated) && !memcmp(&st, &before, sizeof(st)));
		break;
	case INSN_UNHANDLED:
		abort(); /* whatever is decoded is emulated */
	}
	/* Arithmetic flags only. */
	require(!((st.rflags ^ before.rflags) & ~0x8d5ull));
	return 0;
}
