/* SPDX-License-Identifier: MIT */
/* The comparison of two runs: its text, as docs/compare.md has it, and its order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "exit_compare.h"

struct text {
	char buf[32768];
	size_t len, longest;
	unsigned lines;
};

static void collect(void *ctx, const char *line)
{
	struct text *t = ctx;
	size_t n = strlen(line);

	assert_true(n > 0 && strchr(line, '\n') == line + n - 1);
	assert_true(t->len + n < sizeof(t->buf));
	memcpy(t->buf + t->len, line, n + 1);
	t->len += n;
	t->lines++;
	t->longest = MAX(t->longest, n - 1);
}

/* Two runs in which nothing was counted. */
struct pair {
	struct exit_run a, b;
	struct text t;
};

static struct pair *nothing(void)
{
	static struct pair p;

	p = (struct pair){
		.a = {.run = 1, .mode = "ept", .outcome = "poweroff"},
		.b = {.run = 2, .mode = "shadow", .outcome = "poweroff"},
	};
	return &p;
}

static const char *print(struct pair *p)
{
	const struct text_out out = {.prefix = "tallyvisor: ", .puts = collect, .ctx = &p->t};

	exit_compare_print(&p->a, &p->b, &out);
	return p->t.buf;
}

/* A reason's exits and cycles in both runs. */
static void reason(struct pair *p, u32 nr, u64 count_a, u64 cycles_a, u64 count_b, u64 cycles_b)
{
	p->a.end.stats.count[nr] = count_a;
	p->a.end.stats.cycles[nr] = cycles_a;
	p->b.end.stats.count[nr] = count_b;
	p->b.end.stats.cycles[nr] = cycles_b;
}

static void text_as_documented(void **state)
{
	struct pair *p = nothing();

	(void)state;
	p->a.end.ticks = 620605334;
	p->b.end.ticks = 701234567;
	p->a.end.stats.idle_cycles = 1201;
	reason(p, EXIT_REASON_EXCEPTION_NMI, 0, 0, 40845, 81234567);
	reason(p, EXIT_REASON_CPUID, 1440, 219189, 1440, 219190);
	reason(p, EXIT_REASON_CR_ACCESS, 6, 2846, 2027, 812345);
	reason(p, EXIT_REASON_EPT_VIOLATION, 944, 3195587, 0, 0);
	p->a.end.stats.cr_accesses[CR_ACCESS_TO + 4] = 6;
	p->b.end.stats.cr_accesses[CR_ACCESS_TO + 4] = 7;
	p->b.end.stats.cr_accesses[CR_ACCESS_TO + 3] = 2020;
	p->b.end.stats.exceptions[14] = 40845;
	p->b.outcome = "debug-exit";
	p->b.exit_code = 3;
	assert_string_equal(print(p), "tallyvisor: compare: run 1 ept ended poweroff code 0, run 2 "
				      "shadow ended debug-exit "
				      "code 3\n"
				      "tallyvisor:  nr reason             exits ept    shadow "
				      "difference  ratio   cycles ept "
				      "      shadow    difference  ratio\n"
				      "tallyvisor:   0 EXCEPTION_NMI              0     40845     "
				      "+40845      -            0 "
				      "    81234567     +81234567      -\n"
				      "tallyvisor:  48 EPT_VIOLATION            944         0      "
				      " -944   0.00      3195587 "
				      "           0      -3195587   0.00\n"
				      "tallyvisor:  28 CR_ACCESS                  6      2027      "
				      "+2021 337.83         2846 "
				      "      812345       +809499 285.43\n"
				      "tallyvisor:  10 CPUID                   1440      1440      "
				      "    0   1.00       219189 "
				      "      219190            +1   1.00\n"
				      "tallyvisor:   - all                     2390     44312     "
				      "+41922  18.54      3417622 "
				      "    82266102     +78848480  24.07\n"
				      "tallyvisor:   - idle                       -         -      "
				      "    -      -         1201 "
				      "           0         -1201   0.00\n"
				      "tallyvisor:   - guest                      -         -      "
				      "    -      -    617186511 "
				      "   618968465      +1781954   1.00\n"
				      "tallyvisor:   - ticks                      -         -      "
				      "    -      -    620605334 "
				      "   701234567     +80629233   1.13\n"
				      "tallyvisor:   - #PF                        0     40845     "
				      "+40845      -            - "
				      "           -             -      -\n"
				      "tallyvisor:   - to-cr3                     0      2020      "
				      "+2020      -            - "
				      "           -             -      -\n"
				      "tallyvisor:   - to-cr4                     6         7      "
				      "   +1   1.17            - "
				      "           -             -      -\n"
				      "tallyvisor: compare: done\n");
	assert_true(p->t.longest < 120);
}

static void nothing_to_compare(void **state)
{
	const char *text = print(nothing());

	(void)state;
	assert_non_null(
		strstr(text, "  - all                        0         0          0      -"));
	assert_non_null(strstr(text, "compare: done\n"));
	assert_null(strstr(text, "CPUID"));
}

static void own_counters_only_where_there_are_any(void **state)
{
	struct pair *p = nothing();

	(void)state;
	p->b.counters[SHADOW_FAULTS] = 77;
	assert_null(strstr(print(p), "faults"));
	p = nothing();
	p->b.has_counters = true;
	p->b.counters[SHADOW_FAULTS] = 77;
	assert_non_null(strstr(print(p), "tallyvisor: shadow compare: faults 77 fills 0 "));
	assert_null(strstr(p->t.buf, "ept compare:"));
	assert_true(p->t.longest < 120);
}

/* The numbers of the rows, top to bottom. */
static unsigned numbers(const char *text, unsigned nr[NR_EXIT_REASONS])
{
	unsigned n = 0;

	for (const char *p = text; p; p = strstr(p + 1, "tallyvisor: "))
		n += (unsigned)sscanf(p, "tallyvisor: %u %*s", &nr[n]);
	return n;
}

/* Either way it may have changed; cycles before counts; like ones by number. */
static void what_changed_most_is_on_top(void **state)
{
	static const unsigned expected[] = {85, 12, 1, 30, 31, 7, 9, 10};
	struct pair *p = nothing();
	unsigned nr[NR_EXIT_REASONS];

	(void)state;
	reason(p, 1, 5, 1000, 6, 2000);
	reason(p, 7, 9, 500, 9, 500);
	reason(p, 9, 9, 500, 9, 500);
	reason(p, 10, 1, 0, 1, 0);
	reason(p, 12, 7, 9000, 1, 100);
	reason(p, 30, 100, 2000, 101, 1000);
	reason(p, 31, 3, 50, 4, 50);
	reason(p, 85, 0, 0, 1, ~0ull);
	assert_int_equal(numbers(print(p), nr), ARRAY_SIZE(expected));
	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(nr[i], expected[i]);
}

/* All reasons with the largest numbers there are: whole rows, nothing wraps around. */
static void largest_numbers(void **state)
{
	struct pair *p = nothing();
	unsigned nr[NR_EXIT_REASONS], rows = 0;

	(void)state;
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		rows += exit_reason_name(i) != NULL;
		if (exit_reason_name(i))
			reason(p, i, i % 2 ? ~0ull : 1, i % 2 ? 1 : ~0ull, i % 2 ? 1 : ~0ull,
			       ~0ull);
	}
	print(p);
	assert_int_equal(numbers(p->t.buf, nr), rows);
	assert_non_null(strstr(p->t.buf, "-18446744073709551614"));
	assert_non_null(strstr(p->t.buf, "+18446744073709551614"));
	/* b / a is 2^64 - 1; its hundredths are more than 64 bits hold. */
	assert_non_null(strstr(p->t.buf, " 92233720368547758.08"));
}

static void ratios_are_rounded(void **state)
{
	struct pair *p = nothing();

	(void)state;
	reason(p, 1, 1000, 200, 1004, 201); /* 1.004, 1.005 */
	reason(p, 2, 3, 1, 2, 100000);	    /* 0.666... */
	reason(p, 9, 1000, 1000, 995, 994); /* 0.995, 0.994 */
	print(p);
	assert_non_null(
		strstr(p->t.buf, "+4   1.00          200          201            +1   1.01"));
	assert_non_null(strstr(p->t.buf, "-1   0.67"));
	assert_non_null(strstr(p->t.buf, "+99999 100000.00"));
	assert_non_null(
		strstr(p->t.buf, "-5   1.00         1000          994            -6   0.99"));
}

/* A clock that stopped too early must not make the guest's share negative. */
static void guest_time_is_never_negative(void **state)
{
	struct pair *p = nothing();

	(void)state;
	p->a.end.ticks = 100;
	p->a.end.stats.idle_cycles = 60;
	reason(p, 10, 1, 41, 1, 0);
	print(p);
	assert_non_null(strstr(p->t.buf,
			       "- guest                      -         -          -      - "
			       "           0            0 "));
}

static void same_end(void **state)
{
	struct pair *p = nothing();

	(void)state;
	assert_true(exit_compare_same_end(&p->a, &p->b));
	p->b.exit_code = 1;
	assert_false(exit_compare_same_end(&p->a, &p->b));
	p->b.exit_code = 0;
	p->b.outcome = "reset";
	assert_false(exit_compare_same_end(&p->a, &p->b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_as_documented),
		cmocka_unit_test(nothing_to_compare),
		cmocka_unit_test(own_counters_only_where_there_are_any),
		cmocka_unit_test(what_changed_most_is_on_top),
		cmocka_unit_test(largest_numbers),
		cmocka_unit_test(ratios_are_rounded),
		cmocka_unit_test(guest_time_is_never_negative),
		cmocka_unit_test(same_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
