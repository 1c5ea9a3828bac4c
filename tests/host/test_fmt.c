/* SPDX-License-Identifier: MIT */
/* lib/fmt.c against libc's vsnprintf, and what it does where it has a choice. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/fmt.h"

/* Same text, same return value, in a buffer of every size up to the text's. */
static void same(const char *f, ...)
{
	char want[128], got[128];
	int n, m;
	va_list ap;

	va_start(ap, f);
	n = vsnprintf(want, sizeof(want), f, ap);
	va_end(ap);
	for (size_t size = sizeof(want); size;
	     size = size > (size_t)n + 2 ? (size_t)n + 2 : size - 1) {
		memset(got, 0x7e, sizeof(got));
		va_start(ap, f);
		m = fmt_vsnprintf(got, size, f, ap);
		va_end(ap);
		assert_int_equal(m, n);
		assert_int_equal(strlen(got), MIN((size_t)n, size - 1));
		assert_memory_equal(got, want, strlen(got));
		if (size < sizeof(got))
			assert_int_equal(got[size], 0x7e);
	}
}

static void integers(void **state)
{
	(void)state;
	same("%d|%i|%u", 0, -1, 4294967295u);
	same("%d %d", INT_MAX, INT_MIN);
	same("%lld %lld", LLONG_MAX, LLONG_MIN);
	same("%llu %lu %zu", ULLONG_MAX, ULONG_MAX, SIZE_MAX);
	same("%x %X %llx %lX", 0xdeadbeef, 0xdeadbeef, 0x123456789abcdefull, 0xabcul);
	same("%hhu %hu %hhd %hd", 0x1ff, 0x1ffff, 0xff, 0xffff);
	same("%hhx %hx", 0x1234, 0x12345);
	same("%zd %ld", (ssize_t)-5, -7l);
}

static void widths(void **state)
{
	(void)state;
	same("[%5d][%-5d][%05d]", 42, 42, 42);
	same("[%5d][%-5d][%05d]", -42, -42, -42);
	same("[%2d][%02d][%-2d]", 12345, 12345, 12345);
	same("[%016llx][%8x][%-8x]", 0xabcdull, 0xabcd, 0xabcd);
	same("[%*d][%*d]", 6, 1, -6, 1);
	same("[%1d][%01d]", -5, -5);
	same("[%.3d][%.0u][%8.3x][%-8.3x]", 5, 0u, 0xau, 0xau);
	same("[%03d]", 0);
	same("[%10c][%-3c]", 'x', 'y');
}

static void strings(void **state)
{
	char unterminated[3] = {'a', 'b', 'c'};

	(void)state;
	same("%s%s", "", "text");
	same("[%8s][%-8s][%2s]", "abc", "abc", "abc");
	same("[%.2s][%.9s][%.0s][%8.2s]", "abc", "abc", "abc", "abc");
	same("[%.*s][%-*.*s]", 2, "abc", 6, 1, "abc");
	same("[%.*s]", -1, "abc");
	same("%.3s", unterminated);
	same("100%% %c", 'c');
}

static void pointers(void **state)
{
	(void)state;
	same("%p %20p", (void *)0x1234abcd, (void *)&state);
}

/* ISO C leaves these open; a log line must survive them. */
static void survives(void **state)
{
	char buf[32];
	const char *volatile none = NULL;
	const char *odd = "a%qb", *cut = "50%";

	(void)state;
	assert_int_equal(fmt_snprintf(buf, sizeof(buf), "<%s>", none), 8);
	assert_string_equal(buf, "<(null)>");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
	fmt_snprintf(buf, sizeof(buf), odd);
	assert_string_equal(buf, "a%qb");
	fmt_snprintf(buf, sizeof(buf), cut);
	assert_string_equal(buf, "50%");
#pragma GCC diagnostic pop
	fmt_snprintf(buf, sizeof(buf), "%p", NULL);
	assert_string_equal(buf, "0x0");
	/* Size 0 only measures. */
	assert_int_equal(fmt_snprintf(NULL, 0, "%d", 12345), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers), cmocka_unit_test(widths),	cmocka_unit_test(strings),
		cmocka_unit_test(pointers), cmocka_unit_test(survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
