/* SPDX-License-Identifier: MIT */
/* include/exit_reasons.def: complete, in order, and the only list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exit_reasons.h"

enum word { WORD_PIN, WORD_CPU1, WORD_CPU2, WORD_CPU3, WORD_ALWAYS, WORD_NEVER };

struct row {
	u32 nr;
	const char *name, *handler, *cause;
	enum word word;
	unsigned bit;
};

static const struct row rows[] = {
#define EXIT_REASON(nr, name, handler, word, bit, cause)                                           \
	{nr, #name, #handler, cause, WORD_##word, bit},
#include "exit_reasons.def"
#undef EXIT_REASON
};

/* The numbers that SDM volume 3, appendix C leaves out. */
static bool undefined(u32 nr)
{
	return nr == 35 || nr == 38 || nr == 42 || nr == 71 || nr == 82 || nr == 83 || nr > 85;
}

static void defines_what_the_sdm_defines(void **state)
{
	(void)state;
	for (u32 nr = 0; nr < 200; nr++) {
		assert_int_equal(exit_reason_name(nr) == NULL, undefined(nr));
		assert_int_equal(exit_reason_cause(nr) == NULL, undefined(nr));
	}
	assert_null(exit_reason_name(0x10000));
	assert_null(exit_reason_name(~0u));
	assert_null(exit_reason_cause(~0u));
}

static void names_the_right_rows(void **state)
{
	(void)state;
	assert_string_equal(exit_reason_name(0), "EXCEPTION_NMI");
	assert_string_equal(exit_reason_name(EXIT_REASON_CPUID), "CPUID");
	assert_int_equal(EXIT_REASON_CPUID, 10);
	assert_int_equal(EXIT_REASON_EPT_VIOLATION, 48);
	assert_int_equal(EXIT_REASON_XSETBV, 55);
	assert_string_equal(exit_reason_name(85), "WRMSRNS_IMM");
	assert_string_equal(exit_reason_cause(12), "HLT");
}

static void is_ascending_and_sane(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (i)
			assert_true(rows[i].nr > rows[i - 1].nr);
		assert_true(rows[i].nr < NR_EXIT_REASONS);
		/* The printed table has 24 columns for the name. */
		assert_in_range(strlen(rows[i].name), 1, 24);
		assert_in_range(strlen(rows[i].cause), 1, 60);
		assert_true(rows[i].bit < 32);
		assert_string_equal(exit_reason_name(rows[i].nr), rows[i].name);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(rows[j].name, rows[i].name);
		/* `impossible` claims that a control is 0: there must be one to check. */
		if (!strcmp(rows[i].handler, "impossible"))
			assert_true(rows[i].word <= WORD_CPU3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defines_what_the_sdm_defines),
		cmocka_unit_test(names_the_right_rows),
		cmocka_unit_test(is_ascending_and_sane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
