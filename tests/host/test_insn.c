/* SPDX-License-Identifier: MIT */
/*
 * The decoder and emulator, by hand: what test_insn_native.c cannot ask the processor. 16- and
 * 32-bit code, segments, refusals, faults, and the order and number of memory accesses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "guest/insn.h"
#include "lib/mem.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R12 = 12, R13 };
enum { ES, CS, SS, DS, FS, GS };

#define CF 0x001u
#define ZF 0x040u
#define DF 0x400u

/* A stretch of memory at linear 0x1000, which notes every access and can refuse one. */
struct memory {
	u8 bytes[256];
	unsigned reads, writes;
	u64 first, last;	       /* addresses of the first and the last access */
	int refuse_read, refuse_write; /* the n-th access, from 1 */
	u8 vector;		       /* of a segment's violation; 0: none yet */
};

static void note(struct memory *m, gva_t gva)
{
	if (!(m->reads + m->writes))
		m->first = gva.v;
	m->last = gva.v;
}

static bool mem_read(void *ctx, gva_t gva, unsigned size, u64 *value)
{
	struct memory *m = ctx;

	note(m, gva);
	if (++m->reads == (unsigned)m->refuse_read)
		return false;
	*value = 0;
	if (gva.v >= 0x1000 && gva.v + size <= 0x1100)
		memcpy(value, m->bytes + gva.v - 0x1000, size);
	return true;
}

static bool mem_write(void *ctx, gva_t gva, unsigned size, u64 value)
{
	struct memory *m = ctx;

	note(m, gva);
	if (++m->writes == (unsigned)m->refuse_write)
		return false;
	if (gva.v >= 0x1000 && gva.v + size <= 0x1100)
		memcpy(m->bytes + gva.v - 0x1000, &value, size);
	return true;
}

static void violation(void *ctx, u8 vector)
{
	((struct memory *)ctx)->vector = vector;
}

#define FLAT 0xc093 /* access rights: data, writable, expand-up */

/** The segments of which a test says nothing. */
static void make_flat(struct insn_state *st)
{
	for (unsigned i = 0; i < 6; i++) {
		if (st->seg_ar[i])
			continue;
		st->seg_ar[i] = FLAT;
		st->seg_limit[i] = 0xffffffff;
	}
}

#define CODE(...) (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__})

static struct insn decode(unsigned bits, const u8 *code, unsigned len)
{
	struct insn in;

	assert_true(insn_decode(&in, code, len, bits));
	assert_int_equal(in.len, len);
	return in;
}

static void refused(unsigned bits, const u8 *code, unsigned len)
{
	struct insn in;

	assert_false(insn_decode(&in, code, len, bits));
}

static enum insn_status run(struct insn_state *st, struct memory *m, const u8 *code, unsigned len)
{
	const struct insn_mem_ops ops = {mem_read, mem_write, violation, m};
	struct insn in = decode(st->bits, code, len);

	make_flat(st);
	return insn_emulate(&in, st, &ops);
}

static u64 linear(const struct insn_state *st, const u8 *code, unsigned len)
{
	struct insn in = decode(st->bits, code, len);

	return insn_linear(&in, st).v;
}

static void operand_sizes(void **state)
{
	(void)state;
	assert_int_equal(decode(16, CODE(0x89, 0x07)).op_size, 2);
	assert_int_equal(decode(16, CODE(0x66, 0x89, 0x07)).op_size, 4);
	assert_int_equal(decode(32, CODE(0x89, 0x07)).op_size, 4);
	assert_int_equal(decode(32, CODE(0x66, 0x89, 0x07)).op_size, 2);
	assert_int_equal(decode(64, CODE(0x89, 0x07)).op_size, 4);
	assert_int_equal(decode(64, CODE(0x66, 0x48, 0x89, 0x07)).op_size, 8);
	assert_int_equal(decode(32, CODE(0x88, 0x07)).op_size, 1);
	assert_int_equal(decode(64, CODE(0x8f, 0x00)).op_size, 8);
	assert_int_equal(decode(64, CODE(0x66, 0x8f, 0x00)).op_size, 2);
	assert_int_equal(decode(32, CODE(0x8f, 0x00)).op_size, 4);
	assert_int_equal(decode(16, CODE(0xff, 0x37)).op_size, 2);
	/* The immediate follows the operand size. */
	assert_int_equal(decode(16, CODE(0xc7, 0x07, 0x34, 0x12)).imm, 0x1234);
	assert_int_equal(decode(32, CODE(0xc7, 0x07, 0x78, 0x56, 0x34, 0x12)).imm, 0x12345678);
	assert_true(decode(64, CODE(0x48, 0xc7, 0x07, 0, 0, 0, 0x80)).imm == 0xffffffff80000000);
	assert_true(decode(64, CODE(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8)).imm == 0x0807060504030201);
	/* MOVZX and MOVSX know two sizes. */
	assert_int_equal(decode(32, CODE(0x0f, 0xb6, 0x07)).src_size, 1);
	assert_int_equal(decode(32, CODE(0x0f, 0xbf, 0x07)).src_size, 2);
	assert_int_equal(decode(32, CODE(0x0f, 0xbf, 0x07)).op_size, 4);
	assert_int_equal(decode(64, CODE(0x48, 0x63, 0x07)).src_size, 4);
	assert_int_equal(decode(64, CODE(0x66, 0x63, 0x07)).src_size, 2);
}

static void addresses_16(void **state)
{
	struct insn_state st = {.bits = 16, .seg_base = {[DS] = 0x10000, [SS] = 0x20000}};

	(void)state;
	st.gpr[RBX] = 0xffff1000; /* upper halves do not count */
	st.gpr[RBP] = 0x2000;
	st.gpr[RSI] = 0x0300;
	st.gpr[RDI] = 0xff00;
	assert_int_equal(linear(&st, CODE(0x8b, 0x00)), 0x11300);	      /* [bx+si] */
	assert_int_equal(linear(&st, CODE(0x8b, 0x01)), 0x10f00);	      /* [bx+di] wraps */
	assert_int_equal(linear(&st, CODE(0x8b, 0x02)), 0x22300);	      /* [bp+si] is in SS */
	assert_int_equal(linear(&st, CODE(0x8b, 0x03)), 0x21f00);	      /* [bp+di] */
	assert_int_equal(linear(&st, CODE(0x8b, 0x04)), 0x10300);	      /* [si] */
	assert_int_equal(linear(&st, CODE(0x8b, 0x05)), 0x1ff00);	      /* [di] */
	assert_int_equal(linear(&st, CODE(0x8b, 0x06, 0x34, 0x82)), 0x18234); /* [0x8234] */
	assert_int_equal(linear(&st, CODE(0x8b, 0x46, 0xff)), 0x21fff);	      /* [bp-1] */
	assert_int_equal(linear(&st, CODE(0x8b, 0x07)), 0x11000);	      /* [bx] */
	assert_int_equal(linear(&st, CODE(0x8b, 0x87, 0x00, 0xff)), 0x10f00); /* [bx-0x100] */
	assert_int_equal(linear(&st, CODE(0xa1, 0x34, 0x92)), 0x19234);
	st.gpr[RAX] = 0x12340;
	assert_int_equal(linear(&st, CODE(0x67, 0x8b, 0x00)), 0x22340); /* [eax] */
	/* And in 32-bit code with the prefix. */
	st.bits = 32;
	assert_int_equal(linear(&st, CODE(0x67, 0x8b, 0x01)), 0x10f00);
}

static void addresses_32(void **state)
{
	struct insn_state st = {.bits = 32, .seg_base = {0x100, 0x200, 0x300, 0x400, 0x500, 0x600}};

	(void)state;
	st.gpr[RAX] = 0xaaaaaaaa00001000; /* the upper half is left over from 64-bit mode */
	st.gpr[RCX] = 0x10;
	st.gpr[RSP] = 0x2000;
	st.gpr[RBP] = 0x3000;
	assert_int_equal(linear(&st, CODE(0x8b, 0x00)), 0x1400);
	assert_int_equal(linear(&st, CODE(0x26, 0x8b, 0x00)), 0x1100);
	assert_int_equal(linear(&st, CODE(0x2e, 0x8b, 0x00)), 0x1200);
	assert_int_equal(linear(&st, CODE(0x36, 0x8b, 0x00)), 0x1300);
	assert_int_equal(linear(&st, CODE(0x3e, 0x8b, 0x45, 0)), 0x3400);
	assert_int_equal(linear(&st, CODE(0x64, 0x8b, 0x00)), 0x1500);
	assert_int_equal(linear(&st, CODE(0x64, 0x65, 0x8b, 0x00)), 0x1600); /* the last counts */
	assert_int_equal(linear(&st, CODE(0x8b, 0x45, 0x04)), 0x3304);	     /* [ebp+4] is in SS */
	assert_int_equal(linear(&st, CODE(0x8b, 0x04, 0x24)), 0x2300);	     /* [esp] too */
	assert_int_equal(linear(&st, CODE(0x8b, 0x04, 0x88)), 0x1440);	     /* [eax+ecx*4] */
	assert_int_equal(linear(&st, CODE(0x8b, 0x04, 0xe0)), 0x1400);	     /* index 4 is none */
	assert_int_equal(linear(&st, CODE(0x8b, 0x04, 0xcd, 0, 0, 0, 0x10)), 0x10000480);
	assert_int_equal(linear(&st, CODE(0x8b, 0x05, 0, 0, 0, 0x20)), 0x20000400); /* not RIP */
	assert_int_equal(linear(&st, CODE(0xa1, 0, 0, 0, 0x20)), 0x20000400);
	/* The sum of base and offset wraps at 4 GiB. */
	assert_int_equal(linear(&st, CODE(0x8b, 0x80, 0, 0xf0, 0xff, 0xff)), 0x400);
	assert_int_equal(linear(&st, CODE(0x8b, 0x80, 0xff, 0xee, 0xff, 0xff)), 0x2ff);
	assert_int_equal(linear(&st, CODE(0x3e, 0x8b, 0x05, 0, 0xfc, 0xff, 0xff)), 0);
}

static void addresses_64(void **state)
{
	struct insn_state st = {.bits = 64,
				.rip = 0x400000,
				.seg_base = {0x100, 0x200, 0x300, 0x400, 0x500, 0x600}};

	(void)state;
	st.gpr[RAX] = 0xffff888000001000;
	st.gpr[R12] = 0x12000;
	st.gpr[R13] = 0x13000;
	assert_true(linear(&st, CODE(0x8b, 0x00)) == 0xffff888000001000); /* DS has no base here */
	assert_true(linear(&st, CODE(0x26, 0x8b, 0x00)) == 0xffff888000001000);
	assert_true(linear(&st, CODE(0x65, 0x8b, 0x00)) == 0xffff888000001600);
	assert_true(linear(&st, CODE(0x64, 0x2e, 0x8b, 0x00)) == 0xffff888000001500);
	assert_int_equal(linear(&st, CODE(0x64, 0x67, 0x8b, 0x00)), 0x1500);
	/* R12 needs a SIB as RSP does, R13 a displacement as RBP does; neither selects SS. */
	assert_int_equal(linear(&st, CODE(0x41, 0x8b, 0x04, 0x24)), 0x12000);
	assert_int_equal(decode(64, CODE(0x41, 0x8b, 0x04, 0x24)).seg, DS);
	assert_int_equal(linear(&st, CODE(0x41, 0x8b, 0x45, 0x08)), 0x13008);
	assert_int_equal(decode(64, CODE(0x41, 0x8b, 0x45, 0x08)).seg, DS);
	assert_int_equal(linear(&st, CODE(0x4a, 0x8b, 0x04, 0x25, 8, 0, 0, 0)),
			 0x12008); /* index */
	/* RIP is that of the next instruction, immediate included. */
	assert_int_equal(linear(&st, CODE(0xc6, 0x05, 0x10, 0, 0, 0, 0x55)), 0x400017);
	assert_int_equal(linear(&st, CODE(0x41, 0x8b, 0x05, 0xf0, 0xff, 0xff, 0xff)), 0x3ffff7);
	/* Without a base, disp32 is sign-extended; the absolute form has 64 bits. */
	assert_true(linear(&st, CODE(0x8b, 0x04, 0x25, 0, 0, 0xe0, 0xfe)) == 0xfffffffffee00000);
	assert_true(linear(&st, CODE(0xa1, 0, 0, 0xe0, 0xfe, 0, 0, 0, 0x7f)) == 0x7f000000fee00000);
	assert_int_equal(linear(&st, CODE(0x67, 0xa1, 0, 0, 0xe0, 0xfe)), 0xfee00000);
}

static void byte_registers(void **state)
{
	(void)state;
	assert_int_equal(decode(32, CODE(0x88, 0x20)).src_reg, 20);	   /* AH */
	assert_int_equal(decode(64, CODE(0x88, 0x38)).src_reg, 23);	   /* BH */
	assert_int_equal(decode(64, CODE(0x40, 0x88, 0x38)).src_reg, RDI); /* DIL */
	assert_int_equal(decode(64, CODE(0x44, 0x88, 0x38)).src_reg, 15);
	assert_int_equal(decode(64, CODE(0x88, 0x18)).src_reg, RBX);
	/* A prefix behind a REX takes it out of force. */
	assert_int_equal(decode(64, CODE(0x4f, 0x66, 0x88, 0x38)).src_reg, 23);
	assert_int_equal(decode(64, CODE(0x4f, 0x40, 0x89, 0x38)).op_size, 4);
}

static void refusals(void **state)
{
	static const u8 lots[16] = {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
				    0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x89, 0x07};
	/* mov word [r12+disp32], imm16 */
	static const u8 mov[] = {0x66, 0x41, 0xc7, 0x84, 0x24, 1, 2, 3, 4, 5, 6};
	struct insn in;

	(void)state;
	refused(64, CODE(0x0f, 0x0b));	     /* UD2 */
	refused(64, CODE(0xc5, 0xf8, 0x28)); /* VEX */
	refused(64, CODE(0x62, 0xf1, 0x7c, 0x48, 0x28, 0x00));
	refused(32, CODE(0x63, 0x07)); /* ARPL */
	refused(32, CODE(0x40));       /* INC EAX */
	refused(64, CODE(0xff, 0x20)); /* JMP m */
	refused(64, CODE(0x8f, 0x08));
	refused(64, CODE(0xc7, 0x38, 0, 0, 0, 0)); /* group 11 has /0 only */
	refused(64, CODE(0x0f, 0xba, 0x18, 0));
	/* Every way of ending too early, and more than 15 bytes. */
	for (unsigned len = 0; len < sizeof(mov); len++)
		assert_false(insn_decode(&in, mov, len, 64));
	assert_true(insn_decode(&in, mov, sizeof(mov), 64));
	for (unsigned len = 0; len < 16; len++)
		assert_false(insn_decode(&in, lots, len, 64));
	assert_false(insn_decode(&in, lots, 16, 64));
	assert_true(insn_decode(&in, lots + 1, 15, 64));
	assert_int_equal(in.len, 15);
}

/** Is what is missing behind `len` bytes the reason to refuse them? */
static bool cut(const u8 *code, unsigned len)
{
	struct insn in;

	assert_false(insn_decode(&in, code, len, 64));
	return in.cut;
}

static void instructions_that_are_cut(void **state)
{
	static const u8 mov[] = {0x66, 0x41, 0xc7, 0x84, 0x24, 1, 2, 3, 4, 5, 6};
	u8 prefixes[INSN_MAX_LEN];
	struct insn in;

	(void)state;
	for (unsigned len = 0; len < sizeof(mov); len++)
		assert_true(cut(mov, len));
	assert_true(insn_decode(&in, mov, sizeof(mov), 64) && !in.cut);
	/* Complete, and not known; more than the processor takes. */
	assert_false(cut(CODE(0x0f, 0x0b)) || cut(CODE(0xf0, 0x89, 0x07)));
	memset(prefixes, 0x66, sizeof(prefixes));
	assert_true(cut(prefixes, INSN_MAX_LEN - 1));
	assert_false(cut(prefixes, INSN_MAX_LEN));
}

static void lock_prefix(void **state)
{
	(void)state;
	assert_true(decode(64, CODE(0xf0, 0x0f, 0xb1, 0x0f)).lock);
	assert_true(decode(64, CODE(0xf0, 0x87, 0x07)).lock);
	assert_true(decode(64, CODE(0xf0, 0x80, 0x0f, 1)).lock);
	assert_true(decode(64, CODE(0xf0, 0x0f, 0xab, 0x07)).lock);
	refused(64, CODE(0xf0, 0x0f, 0xa3, 0x07)); /* BT */
	refused(64, CODE(0xf0, 0x39, 0x07));	   /* CMP */
	refused(64, CODE(0xf0, 0x85, 0x07));	   /* TEST */
	refused(64, CODE(0xf0, 0x89, 0x07));	   /* MOV */
	refused(64, CODE(0xf0, 0x03, 0x07));	   /* ADD to a register */
	refused(64, CODE(0xf0, 0x01, 0xc7));
	refused(64, CODE(0xf0, 0xa5));
	refused(64, CODE(0xf0, 0xff, 0x37)); /* PUSH */
}

static void device_accesses(void **state)
{
	struct insn_state st = {.bits = 64, .rip = 0x100};
	struct memory m = {.bytes = {0xef, 0xbe, 0xad, 0xde}};

	(void)state;
	st.gpr[RDI] = 0x1000;
	st.gpr[RAX] = ~0ull;
	assert_int_equal(run(&st, &m, CODE(0x8b, 0x07)), INSN_DONE);
	assert_int_equal(st.gpr[RAX], 0xdeadbeef);
	assert_int_equal(st.rip, 0x102);
	assert_int_equal(m.reads, 1);
	assert_int_equal(m.writes, 0);
	/* A store does not read: devices would notice. */
	assert_int_equal(run(&st, &m, CODE(0xc7, 0x07, 1, 2, 3, 4)), INSN_DONE);
	assert_int_equal(m.reads, 1);
	assert_int_equal(m.writes, 1);
	/* Compare and test do not write. */
	st.rflags = 2;
	assert_int_equal(run(&st, &m, CODE(0x81, 0x3f, 1, 2, 3, 4)), INSN_DONE);
	assert_true(st.rflags & ZF);
	assert_int_equal(run(&st, &m, CODE(0xf6, 0x07, 2)), INSN_DONE);
	assert_int_equal(m.reads, 3);
	assert_int_equal(m.writes, 1);
	/* Read-modify-write is one of each; a failed CMPXCHG writes what it read. */
	st.gpr[RAX] = 0;
	assert_int_equal(run(&st, &m, CODE(0xf0, 0x0f, 0xb1, 0x0f)), INSN_DONE);
	assert_int_equal(st.gpr[RAX], 0x04030201);
	assert_int_equal(m.bytes[0], 1);
	assert_int_equal(m.reads, 4);
	assert_int_equal(m.writes, 2);
}

static void faults_change_nothing(void **state)
{
	static const struct {
		u8 code[6];
		u8 len;
	} insns[] = {
		{{0x8b, 0x07}, 2},
		{{0x01, 0x07}, 2},
		{{0x87, 0x07}, 2},
		{{0xf3, 0xa5}, 2},
		{{0xab}, 1},
		{{0xad}, 1},
		{{0xff, 0x37}, 2},
		{{0x8f, 0x07}, 2},
		{{0x0f, 0xc1, 0x07}, 3},
		{{0x0f, 0xb1, 0x0f}, 3},
		{{0x0f, 0xab, 0x07}, 3},
		{{0xf7, 0x1f}, 2},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(insns); i++) {
		for (int write = 0; write < 2; write++) {
			struct memory m = {.refuse_read = !write, .refuse_write = write};
			struct insn_state st = {.bits = 64, .rip = 0x100, .rflags = 0x8d7};
			struct insn_state before;

			if (insns[i].code[0] == (write ? 0x8b : 0xab) ||
			    (write && insns[i].code[0] == 0xad))
				continue; /* has no such access */
			st.gpr[RCX] = 3;
			st.gpr[RAX] = 7;
			st.gpr[RSI] = st.gpr[RDI] = 0x1000;
			st.gpr[RSP] = 0x1080;
			make_flat(&st);
			before = st;
			assert_int_equal(run(&st, &m, insns[i].code, insns[i].len), INSN_FAULT);
			assert_memory_equal(&st, &before, sizeof(st));
		}
	}
}

static void repeated_strings(void **state)
{
	struct insn_state st = {.bits = 64, .rip = 0x100};
	struct memory m = {.bytes = {1, 2, 3, 4, 5, 6}};

	(void)state;
	st.gpr[RSI] = 0x1000;
	st.gpr[RDI] = 0x1010;
	st.gpr[RCX] = 3;
	assert_int_equal(run(&st, &m, CODE(0xf3, 0x66, 0xa5)), INSN_AGAIN);
	assert_int_equal(st.rip, 0x100);
	assert_int_equal(st.gpr[RCX], 2);
	assert_int_equal(st.gpr[RSI], 0x1002);
	assert_int_equal(run(&st, &m, CODE(0xf3, 0x66, 0xa5)), INSN_AGAIN);
	assert_int_equal(run(&st, &m, CODE(0xf3, 0x66, 0xa5)), INSN_DONE);
	assert_int_equal(st.rip, 0x103);
	assert_int_equal(st.gpr[RCX], 0);
	assert_int_equal(st.gpr[RDI], 0x1016);
	assert_memory_equal(m.bytes, m.bytes + 16, 6);
	/* Nothing to do: no access. */
	assert_int_equal(run(&st, &m, CODE(0xf3, 0x66, 0xa5)), INSN_DONE);
	assert_int_equal(m.reads, 3);
	assert_int_equal(m.writes, 3);
	assert_int_equal(st.rip, 0x106);
}

/* CMPS and SCAS stop where the comparison says; a fault in between leaves the rest to be done. */
static void strings_that_compare(void **state)
{
	struct insn_state st = {.bits = 64, .rip = 0x100};
	struct memory m = {.bytes = {1, 2, 3, 4, [16] = 1, 2, 9, 4}};

	(void)state;
	st.gpr[RSI] = 0x1000;
	st.gpr[RDI] = 0x1010;
	st.gpr[RCX] = 4;
	assert_int_equal(run(&st, &m, CODE(0xf3, 0xa6)), INSN_AGAIN); /* REPE CMPSB */
	assert_int_equal(st.rflags & (ZF | CF), ZF);
	assert_int_equal(run(&st, &m, CODE(0xf3, 0xa6)), INSN_AGAIN);
	m.refuse_read = 6;
	assert_int_equal(run(&st, &m, CODE(0xf3, 0xa6)), INSN_FAULT);
	assert_int_equal(st.rflags & (ZF | CF), ZF);
	assert_int_equal(st.gpr[RCX], 2);
	assert_int_equal(st.gpr[RSI], 0x1002);
	assert_int_equal(run(&st, &m, CODE(0xf3, 0xa6)), INSN_DONE); /* 3 - 9 */
	assert_int_equal(st.rflags & (ZF | CF), CF);
	assert_int_equal(st.gpr[RCX], 1);
	assert_int_equal(st.gpr[RSI], 0x1003);
	assert_int_equal(st.gpr[RDI], 0x1013);
	assert_int_equal(st.rip, 0x102);

	/* REPNE SCASB: finds the 4, the last that it may look at. The prefix does not move ES:rDI.
	 */
	st.gpr[RAX] = 0xff04;
	st.gpr[RDI] = 0x1002;
	st.gpr[RCX] = 2;
	st.seg_base[FS] = 0x5000;
	assert_int_equal(run(&st, &m, CODE(0x64, 0xf2, 0xae)), INSN_AGAIN);
	assert_int_equal(run(&st, &m, CODE(0x64, 0xf2, 0xae)), INSN_DONE);
	assert_int_equal(m.last, 0x1003);
	assert_true(st.rflags & ZF);
	assert_int_equal(st.gpr[RCX], 0);
	assert_int_equal(st.gpr[RAX], 0xff04);
	/* A count of 0 compares nothing and keeps the flags. */
	st.gpr[RAX] = 0;
	assert_int_equal(run(&st, &m, CODE(0xf2, 0xae)), INSN_DONE);
	assert_true(st.rflags & ZF);
	assert_int_equal(m.writes, 0);
}

static void strings_in_16_bits(void **state)
{
	struct insn_state st = {.bits = 16, .seg_base = {[ES] = 0x1000 - 0xfff0, [FS] = 0x900}};
	struct memory m = {.bytes = {0}};

	(void)state;
	/* CX, SI and DI count in 16 bits and keep their upper halves; ES has no override, DS has.
	 */
	st.gpr[RCX] = 0x50001;
	st.gpr[RSI] = 0x6ffff;
	st.gpr[RDI] = 0x7fff0;
	assert_int_equal(run(&st, &m, CODE(0x64, 0xf3, 0xa4)), INSN_DONE);
	assert_int_equal(m.first, 0x108ff);
	assert_int_equal(m.last, 0x1000);
	assert_int_equal(st.gpr[RCX], 0x50000);
	assert_int_equal(st.gpr[RSI], 0x60000);
	assert_int_equal(st.gpr[RDI], 0x7fff1);
	/* Downwards. */
	st.rflags = DF;
	assert_int_equal(run(&st, &m, CODE(0x64, 0xa5)), INSN_DONE);
	assert_int_equal(st.gpr[RSI], 0x6fffe);
	assert_int_equal(st.gpr[RDI], 0x7ffef);
	/* STOS stores to ES whatever the prefix; LODS loads from where it says. */
	assert_int_equal(run(&st, &m, CODE(0x64, 0xaa)), INSN_DONE);
	assert_int_equal(m.last, 0xfff);
	assert_int_equal(linear(&st, CODE(0x64, 0xaa)), m.last - 1);
	st.gpr[RSI] = 0x700;
	assert_int_equal(run(&st, &m, CODE(0x64, 0xac)), INSN_DONE);
	assert_int_equal(m.last, 0x1000);
}

static void stack(void **state)
{
	struct insn_state st = {.bits = 64};
	struct memory m = {.bytes = {[0] = 0x11, [0x40] = 0x22}};

	(void)state;
	st.gpr[RSP] = 0x1040;
	st.gpr[RDI] = 0x1000;
	assert_int_equal(run(&st, &m, CODE(0xff, 0x37)), INSN_DONE); /* PUSH [rdi] */
	assert_int_equal(st.gpr[RSP], 0x1038);
	assert_int_equal(m.bytes[0x38], 0x11);
	/* POP [rsp]: the address is worked out after the increment. */
	assert_int_equal(run(&st, &m, CODE(0x8f, 0x04, 0x24)), INSN_DONE);
	assert_int_equal(st.gpr[RSP], 0x1040);
	assert_int_equal(m.bytes[0x40], 0x11);
	/* PUSH [rsp]: before the decrement. */
	assert_int_equal(run(&st, &m, CODE(0xff, 0x34, 0x24)), INSN_DONE);
	assert_int_equal(m.bytes[0x38], 0x11);

	/* 32-bit code on a 16-bit stack: SP wraps in its 16 bits. */
	st = (struct insn_state){.bits = 32, .stack_bits = 16, .seg_base = {[SS] = 0xffff1084}};
	st.gpr[RSP] = 0xab0002;
	st.gpr[RDI] = 0x1000;
	assert_int_equal(run(&st, &m, CODE(0xff, 0x37)), INSN_DONE);
	assert_int_equal(st.gpr[RSP], 0xabfffe);
	assert_int_equal(m.last, 0x1082);
	assert_int_equal(m.bytes[0x82], 0x11);
}

static void bit_strings(void **state)
{
	struct insn_state st = {.bits = 32};
	struct memory m = {.bytes = {0}};

	(void)state;
	st.gpr[RDI] = 0x1010;
	st.gpr[RAX] = 0xffffffff; /* bit -1 is the top bit of the doubleword before */
	assert_int_equal(run(&st, &m, CODE(0x0f, 0xab, 0x07)), INSN_DONE);
	assert_int_equal(m.first, 0x100c);
	assert_int_equal(m.bytes[0x0f], 0x80);
	assert_int_equal(run(&st, &m, CODE(0x0f, 0xa3, 0x07)), INSN_DONE);
	assert_true(st.rflags & CF);
	/* An immediate offset stays within the operand. */
	m.reads = m.writes = 0;
	assert_int_equal(run(&st, &m, CODE(0x0f, 0xba, 0x2f, 0x25)), INSN_DONE);
	assert_int_equal(m.first, 0x1010);
	assert_int_equal(m.bytes[0x10], 0x20);
}

static void instruction_pointer(void **state)
{
	struct insn_state st = {.bits = 32, .rip = 0xffffffff};
	struct memory m = {.bytes = {0}};

	(void)state;
	st.gpr[RDI] = 0x1000;
	assert_int_equal(run(&st, &m, CODE(0x8b, 0x07)), INSN_DONE);
	assert_int_equal(st.rip, 1);
	st.bits = 64;
	st.rip = 0xffffffff;
	assert_int_equal(run(&st, &m, CODE(0x8b, 0x07)), INSN_DONE);
	assert_true(st.rip == 0x100000001);
}

#define GP 13
#define SS_FAULT 12
#define READ_ONLY 0xc091
#define DOWN 0xc097
#define EXECUTE_ONLY 0xc099
#define CODE_AND_DATA 0xc09b
#define HOLE 0x0000800000000000u /* not canonical */

/** Refused for its segment, with nothing written and nothing changed. */
static void violates(struct insn_state st, u8 vector, const u8 *code, unsigned len)
{
	struct memory m = {.bytes = {0}};
	struct insn_state before;

	make_flat(&st);
	before = st;
	assert_int_equal(run(&st, &m, code, len), INSN_FAULT);
	assert_int_equal(m.vector, vector);
	assert_int_equal(m.writes, 0);
	assert_memory_equal(&st, &before, sizeof(st));
}

static void limits_and_types(void **state)
{
	struct insn_state st = {.bits = 32}, other;
	struct memory m = {.bytes = {0}};

	(void)state;
	st.gpr[RSI] = st.gpr[RAX] = 0x1000;
	st.gpr[RDI] = 0x10fd;
	st.gpr[RSP] = 0x1102;
	/* ES ends within the fourth byte of the destination; then with it. */
	st.seg_ar[ES] = FLAT;
	st.seg_limit[ES] = 0x10ff;
	violates(st, GP, CODE(0xa5)); /* MOVSD */
	violates(st, GP, CODE(0xab)); /* STOSD */
	violates(st, GP, CODE(0xa7)); /* CMPSD */
	violates(st, GP, CODE(0xaf)); /* SCASD */
	st.seg_limit[ES] = 0x1100;
	other = st;
	assert_int_equal(run(&other, &m, CODE(0xa5)), INSN_DONE);
	/* To be read, but not written. */
	st.seg_ar[ES] = READ_ONLY;
	violates(st, GP, CODE(0xa5));
	other = st;
	assert_int_equal(run(&other, &m, CODE(0xa7)), INSN_DONE);
	violates(st, GP, CODE(0x26, 0xc7, 0x07, 1, 0, 0, 0)); /* MOV [es:edi], 1 */
	violates(st, GP, CODE(0x26, 0x83, 0x0f, 1));	      /* OR [es:edi], 1 */
	/* A code segment, to be read at most. */
	st.seg_ar[CS] = CODE_AND_DATA;
	st.seg_limit[CS] = 0xffffffff;
	other = st;
	assert_int_equal(run(&other, &m, CODE(0x2e, 0xad)), INSN_DONE);
	violates(st, GP, CODE(0x2e, 0xc7, 0x06, 1, 0, 0, 0));
	st.seg_ar[CS] = EXECUTE_ONLY;
	violates(st, GP, CODE(0x2e, 0xad)); /* LODSD */
	violates(st, GP, CODE(0x2e, 0x8b, 0x00));
	/* The stack: the slot of PUSH, where ESP-4 is, and that of POP. */
	st.seg_ar[SS] = FLAT;
	st.seg_limit[SS] = 0x1100;
	violates(st, SS_FAULT, CODE(0xff, 0x30));
	violates(st, SS_FAULT, CODE(0x8f, 0x00));
	violates(st, SS_FAULT, CODE(0x8b, 0x44, 0x24, 0)); /* MOV eax, [esp+0] */
	st.seg_limit[SS] = 0x1101;
	assert_int_equal(run(&st, &m, CODE(0xff, 0x30)), INSN_DONE);
	/* Expand-down: what is below. */
	st.seg_ar[SS] = DOWN;
	violates(st, SS_FAULT, CODE(0x8f, 0x00));
	st.seg_limit[SS] = 0x10fd;
	assert_int_equal(run(&st, &m, CODE(0x8f, 0x00)), INSN_DONE);
}

static void segments_of_real_mode(void **state)
{
	struct insn_state st = {.bits = 16, .real = true};
	struct memory m = {.bytes = {0}};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		st.seg_ar[i] = i == CS ? 0x9b : 0x93;
		st.seg_limit[i] = 0xffff;
	}
	st.gpr[RBX] = 0x1000;
	assert_int_equal(run(&st, &m, CODE(0x2e, 0x89, 0x07)), INSN_DONE); /* MOV [cs:bx], ax */
	st.real = false;
	violates(st, GP, CODE(0x2e, 0x89, 0x07));
	st.real = true;
	st.gpr[RBX] = st.gpr[RDI] = st.gpr[RBP] = 0xffff;
	violates(st, GP, CODE(0x89, 0x07));
	violates(st, GP, CODE(0xa5));
	violates(st, SS_FAULT, CODE(0x89, 0x46, 0));
	st.gpr[RSP] = 1;
	st.gpr[RBX] = 0x1000;
	violates(st, SS_FAULT, CODE(0xff, 0x37)); /* PUSH [bx]: the slot is at 0xffff */
	assert_int_equal(run(&st, &m, CODE(0x88, 0x07)), INSN_DONE);
}

static void canonical_addresses(void **state)
{
	struct insn_state st = {.bits = 64};
	struct memory m = {.bytes = {0}};

	(void)state;
	st.gpr[RSI] = st.gpr[RAX] = 0x1000;
	st.gpr[RDI] = HOLE - 3; /* the last byte is beyond */
	st.gpr[RSP] = HOLE + 8;
	violates(st, GP, CODE(0xa5));
	violates(st, GP, CODE(0xa7));
	violates(st, SS_FAULT, CODE(0xff, 0x30)); /* PUSH [rax] */
	violates(st, SS_FAULT, CODE(0x8f, 0x00));
	violates(st, SS_FAULT, CODE(0x8b, 0x04, 0x24));
	violates(st, GP, CODE(0x8b, 0x07));
	/* With FS it is the sum that counts; with another prefix nothing. */
	st.seg_base[FS] = 3;
	st.gpr[RBX] = HOLE - 6;
	violates(st, GP, CODE(0x64, 0x8b, 0x03));
	st.seg_base[FS] = 2;
	assert_int_equal(run(&st, &m, CODE(0x64, 0x8b, 0x03)), INSN_DONE);
	st.gpr[RDI] = 0x1000;
	st.seg_base[ES] = HOLE;
	st.seg_ar[ES] = BIT(16);
	assert_int_equal(run(&st, &m, CODE(0xa5)), INSN_DONE);
	assert_int_equal(m.vector, 0);
}

static u8 segments(const u8 *code, unsigned len)
{
	struct insn in = decode(32, code, len);

	return insn_segments(&in);
}

static void which_segments(void **state)
{
	(void)state;
	assert_int_equal(segments(CODE(0x89, 0x07)), BIT(DS));
	assert_int_equal(segments(CODE(0x65, 0x8b, 0x04, 0x24)), BIT(GS));
	assert_int_equal(segments(CODE(0x64, 0xa5)), BIT(FS) | BIT(ES));
	assert_int_equal(segments(CODE(0xa6)), BIT(DS) | BIT(ES));
	assert_int_equal(segments(CODE(0x64, 0xab)), BIT(ES));
	assert_int_equal(segments(CODE(0xaf)), BIT(ES));
	assert_int_equal(segments(CODE(0x2e, 0xac)), BIT(CS));
	assert_int_equal(segments(CODE(0xff, 0x30)), BIT(DS) | BIT(SS));
	assert_int_equal(segments(CODE(0x8f, 0x00)), BIT(DS) | BIT(SS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operand_sizes),
		cmocka_unit_test(addresses_16),
		cmocka_unit_test(addresses_32),
		cmocka_unit_test(addresses_64),
		cmocka_unit_test(byte_registers),
		cmocka_unit_test(refusals),
		cmocka_unit_test(instructions_that_are_cut),
		cmocka_unit_test(lock_prefix),
		cmocka_unit_test(device_accesses),
		cmocka_unit_test(faults_change_nothing),
		cmocka_unit_test(repeated_strings),
		cmocka_unit_test(strings_that_compare),
		cmocka_unit_test(strings_in_16_bits),
		cmocka_unit_test(stack),
		cmocka_unit_test(bit_strings),
		cmocka_unit_test(instruction_pointer),
		cmocka_unit_test(limits_and_types),
		cmocka_unit_test(segments_of_real_mode),
		cmocka_unit_test(canonical_addresses),
		cmocka_unit_test(which_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
