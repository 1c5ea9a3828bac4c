/* SPDX-License-Identifier: MIT */
/* guest/insn_0f.c: opcode, register and width, from the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/insn_0f.h"

/** Of an exact copy, so that ASan sees a step beyond. */
static bool decode(struct insn_0f *in, const char *bytes, size_t len, unsigned bits)
{
	u8 *copy = malloc(len ? len : 1);
	bool ok;

	memcpy(copy, bytes, len);
	ok = insn_0f_decode(in, copy, (unsigned)len, bits);
	free(copy);
	return ok;
}

#define DECODE(in, text, bits) decode(in, text, sizeof(text) - 1, bits)

static void expect(struct insn_0f in, u8 opcode, u8 group, bool memory, unsigned reg, unsigned bits)
{
	assert_int_equal(in.opcode, opcode);
	assert_int_equal(in.group, group);
	assert_int_equal(in.memory, memory);
	if (!memory)
		assert_int_equal(in.reg, reg);
	assert_int_equal(in.operand_bits, bits);
}

static void registers_and_widths(void **state)
{
	struct insn_0f in;

	(void)state;
	assert_true(DECODE(&in, "\x0f\x00\xc8", 64)); /* str eax */
	expect(in, 0, 1, false, 0, 32);
	assert_true(DECODE(&in, "\x66\x0f\x00\xc8", 64)); /* str ax */
	expect(in, 0, 1, false, 0, 16);
	assert_true(DECODE(&in, "\x48\x0f\x00\xc3", 64)); /* sldt rbx */
	expect(in, 0, 0, false, 3, 64);
	assert_true(DECODE(&in, "\x66\x49\x0f\xc7\xf7", 64)); /* rdrand r15, 66 is nothing then */
	expect(in, 0xc7, 6, false, 15, 64);
	assert_true(DECODE(&in, "\x66\x41\x0f\xc7\xf1", 64)); /* rdrand r9w */
	expect(in, 0xc7, 6, false, 9, 16);
	assert_true(DECODE(&in, "\x0f\xc7\xf8", 32)); /* rdseed eax */
	expect(in, 0xc7, 7, false, 0, 32);
	assert_true(DECODE(&in, "\x0f\xc7\xf8", 16)); /* rdseed ax */
	expect(in, 0xc7, 7, false, 0, 16);
	assert_true(DECODE(&in, "\x66\x0f\xc7\xf8", 16));
	expect(in, 0xc7, 7, false, 0, 32);
	assert_true(DECODE(&in, "\x66\x0f\x01\x10", 32)); /* lgdt [eax], operands of 16 bits */
	expect(in, 1, 2, true, 0, 16);
}

static void prefixes(void **state)
{
	struct insn_0f in;

	(void)state;
	assert_true(DECODE(&in, "\x67\x64\x2e\x0f\x01\x18", 64)); /* lidt fs:[eax] */
	expect(in, 1, 3, true, 0, 32);
	/* A REX that another prefix follows is none. */
	assert_true(DECODE(&in, "\x49\x66\x0f\x00\xc8", 64));
	expect(in, 0, 1, false, 0, 16);
	/* Outside 64-bit mode there is none: 49 is DEC. */
	assert_false(DECODE(&in, "\x49\x0f\x00\xc8", 32));
}

static void too_short_or_another(void **state)
{
	struct insn_0f in;

	(void)state;
	assert_false(DECODE(&in, "", 64));
	assert_false(DECODE(&in, "\x66\x66\x66", 64));
	assert_false(DECODE(&in, "\x48\x0f\x00", 64));
	assert_false(DECODE(&in, "\x48", 64));
	assert_false(DECODE(&in, "\x90\x90\x90", 64));
}

static bool is_table(const char *bytes, bool selector, unsigned cpl)
{
	struct insn_0f in;

	return insn_0f_decode(&in, (const u8 *)bytes, 3, 64) &&
	       insn_0f_is_table(&in, selector, cpl);
}

/** The bytes may have changed since the exit: they are not taken for what they are not, nor for
 * what may not be executed. */
static void what_exits(void **state)
{
	static const char *const tables[] = {"\x0f\x01\x07", "\x0f\x01\x0f", "\x0f\x01\x17",
					     "\x0f\x01\x1f"},
				 *const selectors[] = {"\x0f\x00\xc7", "\x0f\x00\x0f",
						       "\x0f\x00\xd7", "\x0f\x00\x1f"};
	struct insn_0f in;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_true(is_table(tables[i], false, 0) && is_table(selectors[i], true, 0));
		assert_false(is_table(tables[i], true, 0) || is_table(selectors[i], false, 0));
		assert_int_equal(is_table(tables[i], false, 3), i < 2); /* loads are privileged */
		assert_int_equal(is_table(selectors[i], true, 3), i < 2);
	}
	assert_false(is_table("\x0f\x01\x3f", false, 0)); /* INVLPG */
	assert_false(is_table("\x0f\x01\xd0", false, 0)); /* XGETBV */
	assert_false(is_table("\x0f\x00\x27", true, 0));  /* VERR */
	assert_true(DECODE(&in, "\x0f\xc7\xf1", 64));
	assert_true(insn_0f_is_random(&in, false) && !insn_0f_is_random(&in, true));
	assert_true(DECODE(&in, "\x0f\xc7\xf9", 64));
	assert_true(insn_0f_is_random(&in, true) && !insn_0f_is_random(&in, false));
	assert_true(DECODE(&in, "\x0f\xc7\x31", 64)); /* VMPTRLD */
	assert_false(insn_0f_is_random(&in, false));
	assert_true(DECODE(&in, "\x0f\xc8\xf1", 64));
	assert_false(insn_0f_is_random(&in, false));
}

static void merges(void **state)
{
	(void)state;
	assert_int_equal(insn_0f_merge(~0ull, 0x10020, 16), 0xffffffffffff0020);
	assert_int_equal(insn_0f_merge(~0ull, 0x100000020, 32), 0x20);
	assert_int_equal(insn_0f_merge(~0ull, 0x100000020, 64), 0x100000020);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_and_widths),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(too_short_or_another),
		cmocka_unit_test(what_exits),
		cmocka_unit_test(merges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
