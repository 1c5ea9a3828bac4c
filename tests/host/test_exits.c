/* SPDX-License-Identifier: MIT */
/*
 * Every exit handler on a simulated processor (tests/host/exits/; docs/testing.md, "Handlers on a
 * simulated processor"). `test_exits --list` prints which tests raise which reason,
 * `test_exits NAME` runs one of them.
 */
#include "tests/host/exits/exits.h"

#define MAX_TESTS 512

static const struct exit_test *const tables[] = {
	tests_undefined, tests_rare,	     tests_exceptions, tests_debug, tests_vectoring,
	tests_events,	 tests_instructions, tests_operands,   tests_io,    tests_msr,
	tests_control,	 tests_random,	     tests_paging,     tests_zoo,
};

static struct CMUnitTest cases[MAX_TESTS];
static unsigned nr_cases;

static int start(void **state)
{
	const struct exit_test *t = *state;

	machine_start(t->options);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	machine_stop();
	return 0;
}

/** The test, and whether it does what its row says. */
static void run(void **state)
{
	const struct exit_test *t = *state;

	raised_none();
	t->run();
	for (size_t i = 0; i < t->nr_reasons; i++) {
		if (t->reasons[i] < NR_EXIT_REASONS && !raised(t->reasons[i]))
			fail_msg("the test names reason %u, but raises no such exit",
				 t->reasons[i]);
	}
}

static bool names(const struct exit_test *t, u32 nr)
{
	for (size_t r = 0; r < t->nr_reasons; r++) {
		if (t->reasons[r] == nr)
			return true;
	}
	return false;
}

static bool is_tested(u32 nr)
{
	for (unsigned i = 0; i < nr_cases; i++) {
		if (names(cases[i].initial_state, nr))
			return true;
	}
	return false;
}

static void every_reason_is_tested(void **state)
{
	bool all = true;

	(void)state;
#define EXIT_REASON(nr, name, handler, word, bit, cause)                                           \
	if (!is_tested(nr)) {                                                                      \
		print_error("reason %u %s: no test raises it (tests/host/exits/)\n", nr, #name);   \
		all = false;                                                                       \
	}
#include "exit_reasons.def"
#undef EXIT_REASON
	assert_true(all);
}

/** A line for each reason: number, name, tests. */
static void list(u32 nr, const char *name)
{
	printf("%u %s", nr, name);
	for (unsigned i = 0; i < nr_cases; i++) {
		const struct exit_test *t = cases[i].initial_state;

		if (names(t, nr))
			printf(" %s", t->name);
	}
	printf("\n");
}

static void list_all(void)
{
#define EXIT_REASON(nr, name, handler, word, bit, cause) list(nr, #name);
#include "exit_reasons.def"
#undef EXIT_REASON
}

int main(int argc, char **argv)
{
	const struct CMUnitTest all[] = {cmocka_unit_test(every_reason_is_tested)};
	int failed;

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct exit_test *t = tables[i]; t->name; t++) {
			if (nr_cases == MAX_TESTS)
				return 1;
			cases[nr_cases++] =
				(struct CMUnitTest){t->name, run, start, stop, (void *)t};
		}
	}
	if (argc > 1 && !strcmp(argv[1], "--list")) {
		list_all();
		return 0;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	failed = _cmocka_run_group_tests("exits", cases, nr_cases, NULL, NULL);
	return failed + cmocka_run_group_tests(all, NULL, NULL) != 0;
}
