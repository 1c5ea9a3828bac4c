/* SPDX-License-Identifier: MIT */
/*
 * The shadow MMU against the architectural oracle (mmu_oracle.h), from fixed seeds. More of it:
 * MMU_ORACLE_OPS=n operations from MMU_ORACLE_SEED=n (and, if it failed in world n+1,
 * MMU_ORACLE_WORLD=n) in the environment, or `make mmu-oracle`, which is faster.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mmu_oracle.h"
#include "shadow/shadow.h"

#define OPERATIONS 1000000u

static void failed(void *ctx)
{
	(void)ctx;
	fail_msg("the shadow MMU departs from the architecture");
}

static u64 environment(const char *name, u64 otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static struct oracle *new_oracle(u64 seed)
{
	struct oracle_config config = {
		.ops = &shadow_ops,
		.seed = seed,
		.first_world = environment("MMU_ORACLE_WORLD", 0),
		.failed = failed,
	};

	return oracle_new(&config);
}

/** Each kind of thing often enough to mean something. */
static void check_figures(const struct oracle_figures *f)
{
	u64 n = f->operations;

	assert_true(f->allowed > n / 5);
	assert_true(f->faults > n / 5);
	assert_true(f->mmio > n / 40);
	assert_true(f->lost > n / 400);
	assert_true(f->stale > n / 1000);
	assert_true(f->folded > n / 20000);
	assert_true(f->fills > n / 20);
	assert_true(f->stores_to_tables > n / 20);
	assert_true(f->emulated_stores > n / 50);
	assert_true(f->invalidations > n / 20);
	assert_true(f->invpcids > n / 200);
	assert_true(f->kept > n / 50);
	assert_true(f->silent > n / 2000);
	assert_true(f->zeros > n / 200);
	assert_true(f->meanwhile > n / 1000);
	assert_true(f->leaves > n / 10);
	assert_int_equal(f->undecided, 0);
	for (unsigned mode = 0; mode < ARRAY_SIZE(f->by_mode); mode++)
		assert_true(f->by_mode[mode] > n / 50);
}

static void random_guests(void **state)
{
	static const u64 seeds[] = {1, 2, 3};
	const char *seed = getenv("MMU_ORACLE_SEED");
	u64 operations = environment("MMU_ORACLE_OPS", OPERATIONS);

	(void)state;
	for (unsigned i = 0; i < (seed ? 1 : ARRAY_SIZE(seeds)); i++) {
		struct oracle *o = new_oracle(environment("MMU_ORACLE_SEED", seeds[i]));

		print_message("seed %llu, %llu operations\n",
			      (unsigned long long)environment("MMU_ORACLE_SEED", seeds[i]),
			      (unsigned long long)operations);
		oracle_run(o, operations);
		if (operations >= OPERATIONS)
			check_figures(oracle_figures(o));
		oracle_free(o);
	}
}

/** The same seed is the same run: a failure can be looked at again. */
static void reproducible(void **state)
{
	struct oracle *a = new_oracle(7), *b = new_oracle(7);

	(void)state;
	oracle_run(a, 10000);
	for (unsigned i = 0; i < 10; i++)
		oracle_run(b, 1000);
	assert_memory_equal(oracle_figures(a), oracle_figures(b), sizeof(*oracle_figures(a)));
	oracle_free(a);
	oracle_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_guests),
		cmocka_unit_test(reproducible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
