/* SPDX-License-Identifier: MIT */
/* Memory types by the MTRRs: enables, fixed and variable ranges, precedence, uniformity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/mtrrs.h"
#include "x86.h"

#define E BIT(11)
#define FE BIT(10)
#define V BIT(11)
#define PHYS 39

static void range(struct mtrrs *m, u64 base, u64 size, u8 type)
{
	m->base[m->nr_var] = base | type;
	m->mask[m->nr_var++] = ((BIT(PHYS) - 1) & ~(size - 1)) | V;
}

static void disabled_means_uncacheable(void **state)
{
	struct mtrrs m = {.def_type = MEMTYPE_WB, .maxphyaddr = PHYS};

	(void)state;
	assert_int_equal(mtrrs_type(&m, 0, GIB(1)), MEMTYPE_UC);
	m.def_type |= E;
	assert_int_equal(mtrrs_type(&m, 0, GIB(1)), MEMTYPE_WB);
}

static void fixed_ranges_rule_the_first_mebibyte(void **state)
{
	struct mtrrs m = {.def_type = E | FE | MEMTYPE_WB, .maxphyaddr = PHYS};

	(void)state;
	m.fixed[0] = 0x0606060606060606ull;  /* 64K_00000: WB */
	m.fixed[2] = 0x0000000000000001ull;  /* 16K_A0000: WC, then UC */
	m.fixed[10] = 0x0500000000000000ull; /* 4K_F8000: the last page WP */
	assert_int_equal(mtrrs_type(&m, 0, 0x80000), MEMTYPE_WB);
	assert_int_equal(mtrrs_type(&m, 0xa0000, 0x4000), MEMTYPE_WC);
	assert_int_equal(mtrrs_type(&m, 0xa0000, 0x5000), -1);
	assert_int_equal(mtrrs_type(&m, 0xff000, 0x1000), MEMTYPE_WP);
	assert_int_equal(mtrrs_type(&m, 0xfe000, 0x1000), MEMTYPE_UC);
	assert_int_equal(mtrrs_type(&m, 0, MIB(2)), -1);
	m.def_type &= ~FE; /* then they do not count */
	assert_int_equal(mtrrs_type(&m, 0, MIB(2)), MEMTYPE_WB);
}

static void variable_ranges_and_their_edges(void **state)
{
	struct mtrrs m = {.def_type = E | MEMTYPE_WB, .maxphyaddr = PHYS};

	(void)state;
	range(&m, GIB(3), GIB(1), MEMTYPE_UC);
	range(&m, GIB(2) + MIB(2), MIB(2), MEMTYPE_WC);
	assert_int_equal(mtrrs_type(&m, GIB(3), GIB(1)), MEMTYPE_UC);
	assert_int_equal(mtrrs_type(&m, GIB(1), GIB(1)), MEMTYPE_WB);
	assert_int_equal(mtrrs_type(&m, GIB(2), GIB(1)), -1);
	assert_int_equal(mtrrs_type(&m, GIB(2) + MIB(2), MIB(2)), MEMTYPE_WC);
	assert_int_equal(mtrrs_type(&m, GIB(2) + MIB(2) - 4096, 8192), -1);
	assert_int_equal(mtrrs_type(&m, GIB(4) - 4096, 8192), -1);
	assert_int_equal(mtrrs_type(&m, GIB(4), GIB(4)), MEMTYPE_WB);
}

static void an_invalid_range_does_not_count(void **state)
{
	struct mtrrs m = {.def_type = E | MEMTYPE_WB, .maxphyaddr = PHYS};

	(void)state;
	range(&m, 0, GIB(1), MEMTYPE_UC);
	m.mask[0] &= ~V;
	assert_int_equal(mtrrs_type(&m, 0, GIB(1)), MEMTYPE_WB);
}

static void overlaps_follow_the_precedence(void **state)
{
	static const struct {
		u8 a, b, want;
	} cases[] = {
		{MEMTYPE_UC, MEMTYPE_WB, MEMTYPE_UC}, {MEMTYPE_WB, MEMTYPE_UC, MEMTYPE_UC},
		{MEMTYPE_WT, MEMTYPE_WB, MEMTYPE_WT}, {MEMTYPE_WB, MEMTYPE_WT, MEMTYPE_WT},
		{MEMTYPE_WB, MEMTYPE_WB, MEMTYPE_WB}, {MEMTYPE_WC, MEMTYPE_WP, MEMTYPE_UC},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mtrrs m = {.def_type = E | MEMTYPE_WP, .maxphyaddr = PHYS};

		range(&m, 0, GIB(2), cases[i].a);
		range(&m, GIB(1), GIB(1), cases[i].b);
		assert_int_equal(mtrrs_type(&m, GIB(1), MIB(2)), cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disabled_means_uncacheable),
		cmocka_unit_test(fixed_ranges_rule_the_first_mebibyte),
		cmocka_unit_test(variable_ranges_and_their_edges),
		cmocka_unit_test(an_invalid_range_does_not_count),
		cmocka_unit_test(overlaps_follow_the_precedence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
