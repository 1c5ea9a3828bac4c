/* SPDX-License-Identifier: MIT */
/* lib/muldiv.h against the compiler's 128-bit arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/muldiv.h"

static u64 expected(u64 a, u64 b, u64 c, bool up)
{
	unsigned __int128 q = ((unsigned __int128)a * b + (up ? c - 1 : 0)) / c;

	return q > ~0ull ? ~0ull : (u64)q;
}

static void agrees_with_128_bits(void **state)
{
	static const u64 v[] = {0,
				1,
				2,
				3,
				7,
				1193182,
				3579545,
				100000000,
				3392000000ull,
				(1ull << 32) - 1,
				1ull << 32,
				1ull << 63,
				~0ull >> 1,
				~0ull - 1,
				~0ull};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(v); j++) {
			for (unsigned k = 1; k < ARRAY_SIZE(v); k++) {
				assert_true(mul_div_u64(v[i], v[j], v[k]) ==
					    expected(v[i], v[j], v[k], false));
				assert_true(mul_div_u64_by_bits(v[i], v[j], v[k]) ==
					    expected(v[i], v[j], v[k], false));
				assert_true(mul_div_up_u64(v[i], v[j], v[k]) ==
					    expected(v[i], v[j], v[k], true));
			}
		}
	}
}

/* Random operands of random magnitudes, from a fixed seed. */
static void agrees_at_random(void **state)
{
	u64 x = 0x9e3779b97f4a7c15ull, r[3];

	(void)state;
	for (unsigned n = 0; n < 200000; n++) {
		for (unsigned i = 0; i < 3; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			r[i] = x >> (x & 63);
		}
		if (!r[2])
			continue;
		assert_true(mul_div_u64(r[0], r[1], r[2]) == expected(r[0], r[1], r[2], false));
		assert_true(mul_div_u64_by_bits(r[0], r[1], r[2]) ==
			    expected(r[0], r[1], r[2], false));
		assert_true(mul_div_up_u64(r[0], r[1], r[2]) == expected(r[0], r[1], r[2], true));
	}
}

/* A day of ticks at 3.4 GHz in PIT counts and back loses less than a count. */
static void converts_clocks(void **state)
{
	u64 tsc_hz = 3400000000ull, day = tsc_hz * 86400, counts;

	(void)state;
	counts = mul_div_u64(day, 1193182, tsc_hz);
	assert_int_equal(counts, 1193182ull * 86400);
	assert_true(day - mul_div_u64(counts, tsc_hz, 1193182) < tsc_hz / 1193182 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_128_bits),
		cmocka_unit_test(agrees_at_random),
		cmocka_unit_test(converts_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
