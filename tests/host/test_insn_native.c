/* SPDX-License-Identifier: MIT */
/*
 * The decoder and emulator against the processor that runs this test: random instructions of every
 * form the decoder knows, with random operands, are executed both ways, and length, registers,
 * defined flags and memory must agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "guest/insn.h"
#include "lib/mem.h"

#define CF 0x001u
#define PF 0x004u
#define AF 0x010u
#define ZF 0x040u
#define SF 0x080u
#define DF 0x400u
#define OF 0x800u
#define ARITH (CF | PF | AF | ZF | SF | OF)

#define BUF_SIZE 16384u
#define ROUNDS 400000u

/* The processor's side: load all registers and flags from native_*, jump to the code, and come
 * back through native_back with everything saved. No stack is used in between: RSP is a test
 * value like any other. */
u64 native_gpr[16], native_flags, native_code, native_saved_rsp;
extern char native_back[];
void native_run(void);

__asm__(".text\n"
	".globl native_run, native_back\n"
	"native_run:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, native_saved_rsp(%rip)\n"
	"	push native_flags(%rip); popfq\n"
	"	mov 8+native_gpr(%rip), %rcx;  mov 16+native_gpr(%rip), %rdx\n"
	"	mov 24+native_gpr(%rip), %rbx; mov 32+native_gpr(%rip), %rsp\n"
	"	mov 40+native_gpr(%rip), %rbp; mov 48+native_gpr(%rip), %rsi\n"
	"	mov 56+native_gpr(%rip), %rdi; mov 64+native_gpr(%rip), %r8\n"
	"	mov 72+native_gpr(%rip), %r9;  mov 80+native_gpr(%rip), %r10\n"
	"	mov 88+native_gpr(%rip), %r11; mov 96+native_gpr(%rip), %r12\n"
	"	mov 104+native_gpr(%rip), %r13; mov 112+native_gpr(%rip), %r14\n"
	"	mov 120+native_gpr(%rip), %r15; mov native_gpr(%rip), %rax\n"
	"	jmp *native_code(%rip)\n"
	"native_back:\n"
	"	mov %rax, native_gpr(%rip);    mov %rcx, 8+native_gpr(%rip)\n"
	"	mov %rdx, 16+native_gpr(%rip); mov %rbx, 24+native_gpr(%rip)\n"
	"	mov %rsp, 32+native_gpr(%rip); mov %rbp, 40+native_gpr(%rip)\n"
	"	mov %rsi, 48+native_gpr(%rip); mov %rdi, 56+native_gpr(%rip)\n"
	"	mov %r8, 64+native_gpr(%rip);  mov %r9, 72+native_gpr(%rip)\n"
	"	mov %r10, 80+native_gpr(%rip); mov %r11, 88+native_gpr(%rip)\n"
	"	mov %r12, 96+native_gpr(%rip); mov %r13, 104+native_gpr(%rip)\n"
	"	mov %r14, 112+native_gpr(%rip); mov %r15, 120+native_gpr(%rip)\n"
	"	mov native_saved_rsp(%rip), %rsp\n"
	"	pushfq; cld; pop native_flags(%rip)\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

enum kind { K_MODRM, K_ACC, K_MOFFS, K_REGIMM, K_STRING };

struct pattern {
	u8 kind;
	bool two_byte;
	u8 opcode;
	s8 group; /* ModRM.reg, or -1: a register */
	u8 imm;	  /* bytes; 9: operand size, at most 4; 8: operand size */
	bool lock;
	u16 undefined; /* flags */
	bool bitstring, cmpxchg, stack;
};

#define ALU(n)                                                                                     \
	{K_MODRM, 0, (n)*8, -1, 0, (n) != 7, LOGIC(n), 0, 0, 0},                                   \
		{K_MODRM, 0, (n)*8 + 1, -1, 0, (n) != 7, LOGIC(n), 0, 0, 0},                       \
		{K_MODRM, 0, (n)*8 + 2, -1, 0, 0, LOGIC(n), 0, 0, 0},                              \
		{K_MODRM, 0, (n)*8 + 3, -1, 0, 0, LOGIC(n), 0, 0, 0},                              \
		{K_ACC, 0, (n)*8 + 4, -1, 1, 0, LOGIC(n), 0, 0, 0},                                \
		{K_ACC, 0, (n)*8 + 5, -1, 9, 0, LOGIC(n), 0, 0, 0},                                \
		{K_MODRM, 0, 0x80, n, 1, (n) != 7, LOGIC(n), 0, 0, 0},                             \
		{K_MODRM, 0, 0x81, n, 9, (n) != 7, LOGIC(n), 0, 0, 0},                             \
	{                                                                                          \
		K_MODRM, 0, 0x83, n, 1, (n) != 7, LOGIC(n), 0, 0, 0                                \
	}
#define LOGIC(n) ((n) == 1 || (n) == 4 || (n) == 6 ? AF : 0)
#define M(op, group, imm, lock, undef)                                                             \
	{                                                                                          \
		K_MODRM, 0, op, group, imm, lock, undef, 0, 0, 0                                   \
	}
#define M2(op, group, imm, lock, undef, bits, cmpxchg)                                             \
	{                                                                                          \
		K_MODRM, 1, op, group, imm, lock, undef, bits, cmpxchg, 0                          \
	}
#define BITS (OF | SF | AF | PF)

static const struct pattern patterns[] = {
	ALU(0),
	ALU(1),
	ALU(2),
	ALU(3),
	ALU(4),
	ALU(5),
	ALU(6),
	ALU(7),
	M(0x63, -1, 0, 0, 0),
	M(0x84, -1, 0, 0, AF),
	M(0x85, -1, 0, 0, AF),
	M(0x86, -1, 0, 1, 0),
	M(0x87, -1, 0, 1, 0),
	M(0x88, -1, 0, 0, 0),
	M(0x89, -1, 0, 0, 0),
	M(0x8a, -1, 0, 0, 0),
	M(0x8b, -1, 0, 0, 0),
	M(0xc6, 0, 1, 0, 0),
	M(0xc7, 0, 9, 0, 0),
	M(0xf6, 0, 1, 0, AF),
	M(0xf7, 0, 9, 0, AF),
	M(0xf6, 1, 1, 0, AF),
	M(0xf6, 2, 0, 1, 0),
	M(0xf7, 2, 0, 1, 0),
	M(0xf6, 3, 0, 1, 0),
	M(0xf7, 3, 0, 1, 0),
	M(0xfe, 0, 0, 1, 0),
	M(0xff, 0, 0, 1, 0),
	M(0xfe, 1, 0, 1, 0),
	M(0xff, 1, 0, 1, 0),
	{K_MODRM, 0, 0x8f, 0, 0, 0, 0, 0, 0, 1},
	{K_MODRM, 0, 0xff, 6, 0, 0, 0, 0, 0, 1},
	M2(0xa3, -1, 0, 0, BITS, 1, 0),
	M2(0xab, -1, 0, 1, BITS, 1, 0),
	M2(0xb3, -1, 0, 1, BITS, 1, 0),
	M2(0xbb, -1, 0, 1, BITS, 1, 0),
	M2(0xba, 4, 1, 0, BITS, 0, 0),
	M2(0xba, 5, 1, 1, BITS, 0, 0),
	M2(0xba, 6, 1, 1, BITS, 0, 0),
	M2(0xba, 7, 1, 1, BITS, 0, 0),
	M2(0xb0, -1, 0, 1, 0, 0, 1),
	M2(0xb1, -1, 0, 1, 0, 0, 1),
	M2(0xc0, -1, 0, 1, 0, 0, 0),
	M2(0xc1, -1, 0, 1, 0, 0, 0),
	M2(0xb6, -1, 0, 0, 0, 0, 0),
	M2(0xb7, -1, 0, 0, 0, 0, 0),
	M2(0xbe, -1, 0, 0, 0, 0, 0),
	M2(0xbf, -1, 0, 0, 0, 0, 0),
	{K_ACC, 0, 0xa8, -1, 1, 0, AF, 0, 0, 0},
	{K_ACC, 0, 0xa9, -1, 9, 0, AF, 0, 0, 0},
	{K_MOFFS, 0, 0xa0, -1, 0, 0, 0, 0, 0, 0},
	{K_MOFFS, 0, 0xa1, -1, 0, 0, 0, 0, 0, 0},
	{K_MOFFS, 0, 0xa2, -1, 0, 0, 0, 0, 0, 0},
	{K_MOFFS, 0, 0xa3, -1, 0, 0, 0, 0, 0, 0},
	{K_REGIMM, 0, 0xb8, -1, 8, 0, 0, 0, 0, 0},
	{K_REGIMM, 0, 0xbd, -1, 8, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xa4, -1, 0, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xa5, -1, 0, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xaa, -1, 0, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xab, -1, 0, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xac, -1, 0, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xad, -1, 0, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xa6, -1, 0, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xa7, -1, 0, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xae, -1, 0, 0, 0, 0, 0, 0},
	{K_STRING, 0, 0xaf, -1, 0, 0, 0, 0, 0, 0},
};

struct testcase {
	u8 code[16];
	unsigned len;
	u64 gpr[16];
	bool addr32;
};

struct machine {
	u8 *code;	   /* executable page below 2 GiB */
	u8 *buf;	   /* what the processor works on, below 2 GiB */
	u8 copy[BUF_SIZE]; /* the same for the emulator */
	u64 rng;
};

static u64 rnd(struct machine *m)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return m->rng;
}

static bool one_in(struct machine *m, unsigned n)
{
	return (rnd(m) >> 20) % n == 0;
}

static void emit(struct testcase *t, u64 v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		t->code[t->len++] = (u8)(v >> (8 * i));
}

/** Values near the edges are worth more than uniform ones. */
static u64 rnd_value(struct machine *m)
{
	static const u64 edge[] = {0,
				   1,
				   0x7f,
				   0x80,
				   0xff,
				   0x7fff,
				   0x8000,
				   0xffff,
				   0x7fffffff,
				   0x80000000,
				   0xffffffff,
				   0x7fffffffffffffff,
				   0x8000000000000000,
				   ~0ull};

	if (one_in(m, 3))
		return edge[(rnd(m) >> 9) % ARRAY_SIZE(edge)] + (one_in(m, 4) ? rnd(m) % 3 - 1 : 0);
	return rnd(m);
}

/** Encode ModRM, SIB and displacement, and set registers so that a memory operand lies in the
 *  buffer. `tail`: bytes of immediate behind. False: this encoding cannot be aimed. */
static bool emit_modrm(struct machine *m, struct testcase *t, const struct pattern *p, u8 rex,
		       unsigned tail)
{
	u64 target = (u64)m->buf + BUF_SIZE / 2 + (rnd(m) >> 8) % 256;
	u8 mod = rnd(m) >> 11 & 3, rm = rnd(m) >> 13 & 7;
	u8 reg = p->group >= 0 ? (u8)p->group : rnd(m) >> 17 & 7;
	int base = rm | (rex & 1 ? 8 : 0), index = -1;
	u8 full_reg = reg | (rex & 4 ? 8 : 0);
	unsigned scale = 0;
	s64 disp = 0;
	u64 rest;

	emit(t, mod << 6 | reg << 3 | rm, 1);
	if (mod == 3)
		return true;
	if (p->bitstring) /* within the buffer, either way, at any operand size */
		t->gpr[full_reg] = (u64)((s64)(rnd(m) % 65536) - 32768);
	if (rm == 4) {
		u8 sib = (u8)(rnd(m) >> 23);

		emit(t, sib, 1);
		scale = sib >> 6;
		index = (sib >> 3 & 7) | (rex & 2 ? 8 : 0);
		index = index == 4 ? -1 : index;
		base = (sib & 7) | (rex & 1 ? 8 : 0);
		if ((sib & 7) == 5 && mod == 0)
			base = -1;
	} else if (rm == 5 && mod == 0) { /* relative to RIP */
		emit(t, target - ((u64)m->code + t->len + 4 + tail), 4);
		return true;
	}
	if (p->bitstring && (full_reg == base || full_reg == index))
		return false;
	if (base >= 0 && base == index)
		return false;
	if (p->stack && (index == 4 || base == 4))
		return false;
	if (base < 0 && index >= 0)
		t->gpr[index] &= 0xff;
	rest = index >= 0 ? t->gpr[index] << scale : 0;
	if (base < 0)
		disp = (s64)(target - rest);
	else if (mod == 1)
		disp = (s8)rnd(m);
	else if (mod == 2)
		disp = (s32)rnd(m);
	if (base >= 0) {
		t->gpr[base] = target - rest - (u64)disp;
		if (t->addr32)
			t->gpr[base] = (u32)t->gpr[base] | rnd(m) << 32;
	}
	if (base < 0 || mod)
		emit(t, (u64)disp, base < 0 || mod == 2 ? 4 : 1);
	return true;
}

/** A pointer for a string or stack register, well inside the buffer. */
static u64 rnd_pointer(struct machine *m, bool addr32)
{
	u64 v = (u64)m->buf + BUF_SIZE / 4 + rnd(m) % (BUF_SIZE / 2);

	return addr32 ? v | rnd(m) << 32 : v;
}

static bool generate(struct machine *m, struct testcase *t, const struct pattern *p)
{
	bool opsize = one_in(m, 4), lock;
	u8 rex = one_in(m, 2) ? 0x40 | (rnd(m) >> 30 & 15) : 0;
	unsigned imm = p->imm, modrm_at, count = rnd(m) % 20;

	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < 16; i++)
		t->gpr[i] = rnd_value(m);
	t->addr32 = one_in(m, 6);
	if (imm >= 8) {
		unsigned size = rex & 8 ? 8 : opsize ? 2 : 4;

		imm = p->imm == 9 ? MIN(size, 4) : size;
	}
	if (opsize)
		emit(t, 0x66, 1);
	if (t->addr32)
		emit(t, 0x67, 1);
	if (one_in(m, 10))
		emit(t, one_in(m, 2) ? 0x2e : 0x36, 1); /* ignored in 64-bit mode */
	lock = p->lock && one_in(m, 3);
	if (lock)
		emit(t, 0xf0, 1);
	if (p->kind == K_STRING && one_in(m, 2)) {
		emit(t, one_in(m, 2) ? 0xf3 : 0xf2, 1);
		t->gpr[1] = t->addr32 && count ? count | rnd(m) << 32 : count;
	}
	if (rex)
		emit(t, rex, 1);
	if (p->two_byte)
		emit(t, 0x0f, 1);
	emit(t, p->opcode, 1);

	modrm_at = t->len;
	if (p->stack)
		t->gpr[4] = rnd_pointer(m, false);
	if (p->kind == K_MODRM && !emit_modrm(m, t, p, rex, imm))
		return false;
	if (lock && t->code[modrm_at] >> 6 == 3)
		return false; /* #UD */
	if (p->kind == K_MOFFS)
		emit(t, (u64)m->buf + rnd(m) % (BUF_SIZE - 8), t->addr32 ? 4 : 8);
	if (p->kind == K_STRING) {
		bool upper = t->addr32 && t->gpr[1]; /* else nothing is written back */

		t->gpr[6] = rnd_pointer(m, upper);
		t->gpr[7] = rnd_pointer(m, upper);
	}
	emit(t, rnd_value(m), imm);
	return t->len <= INSN_MAX_LEN;
}

static bool copy_read(void *ctx, gva_t gva, unsigned size, u64 *value)
{
	struct machine *m = ctx;
	u64 off = gva.v - (u64)m->buf;

	if (off > BUF_SIZE - size)
		return false;
	*value = 0;
	memcpy(value, m->copy + off, size);
	return true;
}

static bool copy_write(void *ctx, gva_t gva, unsigned size, u64 value)
{
	struct machine *m = ctx;
	u64 off = gva.v - (u64)m->buf;

	if (off > BUF_SIZE - size)
		return false;
	memcpy(m->copy + off, &value, size);
	return true;
}

static void run_native(struct machine *m, const struct testcase *t, u64 flags)
{
	u64 back = (u64)native_back;

	memcpy(m->code, t->code, t->len);
	memcpy(m->code + t->len, "\xff\x25\0\0\0\0", 6); /* jmp *0(%rip) */
	memcpy(m->code + t->len + 6, &back, 8);
	memcpy(native_gpr, t->gpr, sizeof(native_gpr));
	native_flags = flags;
	native_code = (u64)m->code;
	native_run();
}

static void show(const struct testcase *t)
{
	print_error("instruction:");
	for (unsigned i = 0; i < t->len; i++)
		print_error(" %02x", t->code[i]);
	print_error("\n");
}

/** The stretch that the cases work on is canonical. */
static void violation(void *ctx, u8 vector)
{
	(void)ctx;
	fail_msg("vector %u", vector);
}

static void one_case(struct machine *m, const struct testcase *t, const struct pattern *p)
{
	const struct insn_mem_ops ops = {copy_read, copy_write, violation, m};
	struct insn_state st = {.rip = (u64)m->code, .bits = 64};
	u64 flags = 0x202 | (rnd(m) & (ARITH | DF));
	enum insn_status status;
	struct insn in;

	if (!insn_decode(&in, t->code, t->len, 64) || in.len != t->len) {
		show(t);
		fail_msg("not decoded, or length %u", in.len);
	}
	memcpy(st.gpr, t->gpr, sizeof(st.gpr));
	st.rflags = flags;
	do {
		status = insn_emulate(&in, &st, &ops);
	} while (status == INSN_AGAIN);
	if (status != INSN_DONE) {
		show(t);
		fail_msg("status %d at 0x%lx", status, insn_linear(&in, &st).v - (u64)m->buf);
	}
	run_native(m, t, flags);
	for (unsigned i = 0; i < 16; i++) {
		if (st.gpr[i] != native_gpr[i]) {
			show(t);
			fail_msg("register %u: 0x%lx became 0x%lx, on the processor 0x%lx", i,
				 t->gpr[i], st.gpr[i], native_gpr[i]);
		}
	}
	if ((st.rflags ^ native_flags) & 0xfffff & ~(u64)p->undefined) {
		show(t);
		fail_msg("flags 0x%lx became 0x%lx, on the processor 0x%lx", flags, st.rflags,
			 native_flags);
	}
	if (memcmp(m->buf, m->copy, BUF_SIZE)) {
		show(t);
		fail_msg("memory differs");
	}
	assert_int_equal(st.rip, (u64)m->code + t->len);
}

static void *map_low(size_t size, int prot)
{
	void *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void random_instructions(void **state)
{
	static struct machine m;
	unsigned done[ARRAY_SIZE(patterns)] = {0};
	struct testcase t;

	(void)state;
	m.rng = 0x9e3779b97f4a7c15;
	m.code = map_low(PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
	m.buf = map_low(BUF_SIZE, PROT_READ | PROT_WRITE);
	for (unsigned i = 0; i < BUF_SIZE; i++)
		m.buf[i] = m.copy[i] = (u8)rnd(&m);

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned n = i % ARRAY_SIZE(patterns);
		const struct pattern *p = &patterns[n];

		if (!generate(&m, &t, p))
			continue;
		if (p->cmpxchg && one_in(&m, 2)) { /* make the comparison succeed now and then */
			struct insn in;
			struct insn_state st = {.rip = (u64)m.code, .bits = 64};

			assert_true(insn_decode(&in, t.code, t.len, 64));
			memcpy(st.gpr, t.gpr, sizeof(st.gpr));
			if (in.dst == OPND_REG && in.dst_reg < 16 && in.op_size > 1)
				t.gpr[0] = t.gpr[in.dst_reg];
			else if (in.dst == OPND_MEM && in.base != 0 && in.index != 0)
				copy_read(&m, insn_linear(&in, &st), in.op_size, &t.gpr[0]);
		}
		one_case(&m, &t, p);
		done[n]++;
	}
	for (unsigned n = 0; n < ARRAY_SIZE(patterns); n++)
		assert_true(done[n] > ROUNDS / ARRAY_SIZE(patterns) / 4);
	munmap(m.code, PAGE_SIZE);
	munmap(m.buf, BUF_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_instructions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
