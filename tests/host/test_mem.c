/* SPDX-License-Identifier: MIT */
/* lib/mem.c, compiled in here under other names so that libc's functions stay for the comparison.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define memcpy tv_memcpy
#define memmove tv_memmove
#define memset tv_memset
#define memcmp tv_memcmp
#define strlen tv_strlen
#define strcmp tv_strcmp
#define strncmp tv_strncmp
#include "lib/mem.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp

#define N 64

static void fill(u8 *p)
{
	for (unsigned i = 0; i < N; i++)
		p[i] = (u8)(i * 7 + 1);
}

/* Every offset and length within a small buffer, against libc. */
static void copies_every_length(void **state)
{
	u8 src[N], got[N], want[N];

	(void)state;
	fill(src);
	for (unsigned off = 0; off < N; off++) {
		for (unsigned len = 0; len <= N - off; len++) {
			memset(got, 0xee, N);
			memset(want, 0xee, N);
			assert_ptr_equal(tv_memcpy(got + off, src, len), got + off);
			memcpy(want + off, src, len);
			assert_memory_equal(got, want, N);
		}
	}
}

/* Every overlap: source before, at, and behind the destination. */
static void moves_every_overlap(void **state)
{
	u8 got[N], want[N];

	(void)state;
	for (unsigned to = 0; to < N; to++) {
		for (unsigned from = 0; from < N; from++) {
			for (unsigned len = 0; len <= N - MAX(to, from); len++) {
				fill(got);
				fill(want);
				assert_ptr_equal(tv_memmove(got + to, got + from, len), got + to);
				memmove(want + to, want + from, len);
				assert_memory_equal(got, want, N);
			}
		}
	}
}

static void sets_bytes_only(void **state)
{
	u8 buf[N];

	(void)state;
	memset(buf, 1, N);
	/* Only the low byte of the value counts. */
	assert_ptr_equal(tv_memset(buf + 3, 0x1234, 5), buf + 3);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(buf[i], i >= 3 && i < 8 ? 0x34 : 1);
	tv_memset(buf + 3, 0xff, 0);
	assert_int_equal(buf[3], 0x34);
}

static void sets_every_length(void **state)
{
	u8 got[N], want[N];

	(void)state;
	for (unsigned off = 0; off < N; off++) {
		for (unsigned len = 0; len <= N - off; len++) {
			fill(got);
			fill(want);
			assert_ptr_equal(tv_memset(got + off, -0x37, len), got + off);
			memset(want + off, 0xc9, len);
			assert_memory_equal(got, want, N);
		}
	}
}

static void compares_as_unsigned(void **state)
{
	(void)state;
	assert_int_equal(tv_memcmp("abc", "abd", 2), 0);
	assert_true(tv_memcmp("abc", "abd", 3) < 0);
	assert_true(tv_memcmp("\xff", "\x01", 1) > 0);
	assert_int_equal(tv_memcmp("a", "b", 0), 0);
	assert_true(tv_memcmp("a\0x", "a\0y", 3) < 0);

	assert_int_equal(tv_strcmp("", ""), 0);
	assert_true(tv_strcmp("a", "") > 0);
	assert_true(tv_strcmp("", "a") < 0);
	assert_true(tv_strcmp("\xff", "\x01") > 0);
	assert_int_equal(tv_strcmp("same", "same"), 0);
	assert_true(tv_strcmp("same", "sam") > 0);
	/* What follows the terminator does not count. */
	assert_int_equal(tv_strcmp("a\0x", "a\0y"), 0);
	assert_int_equal(tv_strncmp("a\0x", "a\0y", 3), 0);
	assert_int_equal(tv_strncmp("abc", "abd", 2), 0);
	assert_true(tv_strncmp("abc", "abd", 3) < 0);
	assert_int_equal(tv_strncmp("a", "b", 0), 0);
}

static void measures(void **state)
{
	(void)state;
	assert_int_equal(tv_strlen(""), 0);
	assert_int_equal(tv_strlen("abc"), 3);
	assert_int_equal(tv_strlen("a\0b"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_every_length),	cmocka_unit_test(moves_every_overlap),
		cmocka_unit_test(sets_bytes_only),	cmocka_unit_test(sets_every_length),
		cmocka_unit_test(compares_as_unsigned), cmocka_unit_test(measures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
