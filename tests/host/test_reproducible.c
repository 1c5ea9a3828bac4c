/* SPDX-License-Identifier: MIT */
/* Tests of lib/reproducible.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/date.h"
#include "lib/reproducible.h"

static void whole_megahertz(void **state)
{
	(void)state;
	assert_int_equal(reproducible_hz(100000000), 100000000);
	assert_int_equal(reproducible_hz(99998421), 100000000);
	assert_int_equal(reproducible_hz(2994374999), 2994000000);
	assert_int_equal(reproducible_hz(2994500000), 2995000000);
	assert_int_equal(reproducible_hz(2994499999), 2994000000);
	assert_int_equal(reproducible_hz(499999), 1000000); /* never 0: it is divided by */
	assert_int_equal(reproducible_hz(0), 1000000);
}

static void the_epoch_is_the_date_it_says(void **state)
{
	const struct date d = {.year = 2026, .month = 1, .day = 1};

	(void)state;
	assert_int_equal(date_to_days(&d) * 86400, REPRODUCIBLE_EPOCH);
}

/** In a buffer of exactly `size` bytes, so that ASan sees any step beyond its end. */
static void prepend(const char *old, size_t size, const char *words, const char *expected)
{
	char *line = malloc(size);

	strcpy(line, old);
	assert_int_equal(cmdline_prepend(line, size, words), expected != NULL);
	assert_string_equal(line, expected ? expected : old);
	free(line);
}

static void words_go_in_front(void **state)
{
	(void)state;
	prepend("quiet -- 1", 64, "nokaslr x", "nokaslr x quiet -- 1");
	prepend("", 64, "nokaslr", "nokaslr");
	prepend("a", 64, "b", "b a");
}

static void a_full_line_is_left_alone(void **state)
{
	(void)state;
	prepend("quiet", 10, "one", "one quiet"); /* the last byte is the terminator */
	prepend("quiet", 9, "one", NULL);
	prepend("", 4, "one", "one");
	prepend("", 3, "one", NULL);
	prepend("quiet", 6, "one", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_megahertz),
		cmocka_unit_test(the_epoch_is_the_date_it_says),
		cmocka_unit_test(words_go_in_front),
		cmocka_unit_test(a_full_line_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
