/* SPDX-License-Identifier: MIT */
/* The counters' sums, the CPUID leaves of docs/cpuid-leaves.md, and the table of docs/stats.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "exit_stats.h"
#include "lib/counts_text.h"
#include "options.h"
#include "shadow_counters.h"

#define LEAF(low) (0x4fffff00u | (low))

static const u32 undefined_reasons[] = {35, 38, 42, 71, 82, 83, 86, 87, 0x10000, 0x80000021, ~0u};

/* Counts and cycles that no two reasons share, beyond 32 bits in both halves. */
static struct exit_stats sample(void)
{
	struct exit_stats s = {.idle_cycles = 0x9876543210ull};

	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		if (!exit_reason_name(i))
			continue;
		s.count[i] = (u64)(i + 1) << 32 | (1000 + i);
		s.cycles[i] = (u64)(i + 7) << 40 | (5000 + i);
	}
	for (u32 i = 0; i < NR_EXCEPTIONS; i++)
		s.exceptions[i] = (u64)(i + 11) << 36 | (7000 + i);
	for (u32 i = 0; i < NR_CR_ACCESSES; i++)
		s.cr_accesses[i] = (u64)(i + 13) << 38 | (8000 + i);
	return s;
}

static void assert_regs(const struct cpuid_regs *r, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	assert_int_equal(r->eax, eax);
	assert_int_equal(r->ebx, ebx);
	assert_int_equal(r->ecx, ecx);
	assert_int_equal(r->edx, edx);
}

static struct cpuid_regs read_leaf(const struct exit_stats *s, u32 leaves, u32 leaf, u32 subleaf)
{
	struct cpuid_regs r = {0xaaaaaaaa, 0xbbbbbbbb, 0xcccccccc, 0xdddddddd};

	assert_true(exit_stats_cpuid(s, leaves, leaf, subleaf, &r));
	return r;
}

static void adds_and_subtracts(void **state)
{
	struct exit_stats a = sample(), sum = {0}, diff;
	struct exit_totals t;
	u64 count = 0, cycles = 0;

	(void)state;
	exit_stats_add(&sum, &a);
	exit_stats_add(&sum, &a);
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		assert_true(sum.count[i] == 2 * a.count[i]);
		assert_true(sum.cycles[i] == 2 * a.cycles[i]);
		count += a.count[i];
		cycles += a.cycles[i];
	}
	assert_true(sum.idle_cycles == 2 * a.idle_cycles);
	for (u32 i = 0; i < NR_EXCEPTIONS; i++)
		assert_true(sum.exceptions[i] == 2 * a.exceptions[i]);
	for (u32 i = 0; i < NR_CR_ACCESSES; i++)
		assert_true(sum.cr_accesses[i] == 2 * a.cr_accesses[i]);
	t = exit_stats_totals(&a);
	assert_true(t.count == count && t.cycles == cycles);

	exit_stats_sub(&diff, &sum, &a);
	assert_memory_equal(&diff, &a, sizeof(a));
}

/* Leaf numbers of one numbering, by what they return. */
struct numbering {
	u32 leaves, total_count, total_cycles, reason_count, reason_cycles;
};

static const struct numbering numberings[] = {
	{LEAVES_2021, LEAF(0xff), LEAF(0xfe), LEAF(0xfd), LEAF(0xfc)},
	{LEAVES_2022, LEAF(0xfc), LEAF(0xfd), LEAF(0xfe), LEAF(0xff)},
};

static void leaves_of_both_numberings(void **state)
{
	struct exit_stats s = sample();
	struct exit_totals t = exit_stats_totals(&s);
	struct cpuid_regs r;

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		const struct numbering *num = &numberings[n];

		r = read_leaf(&s, num->leaves, num->total_count, 123);
		assert_regs(&r, (u32)t.count, 0, 0, 0);
		r = read_leaf(&s, num->leaves, num->total_cycles, 123);
		assert_regs(&r, 0, (u32)(t.cycles >> 32), (u32)t.cycles, 0);
		for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
			if (!exit_reason_name(i))
				continue;
			r = read_leaf(&s, num->leaves, num->reason_count, i);
			assert_regs(&r, 1000 + i, i + 1, 0, 0);
			r = read_leaf(&s, num->leaves, num->reason_cycles, i);
			assert_regs(&r, 0, (i + 7) << 8, 5000 + i, 0);
		}
	}
}

static void undefined_reasons_are_marked(void **state)
{
	struct exit_stats s = sample();
	struct cpuid_regs r;

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		const struct numbering *num = &numberings[n];

		for (unsigned i = 0; i < ARRAY_SIZE(undefined_reasons); i++) {
			u32 nr = undefined_reasons[i];

			r = read_leaf(&s, num->leaves, num->reason_count, nr);
			assert_regs(&r, 0, 0, 0, ~0u);
			r = read_leaf(&s, num->leaves, num->reason_cycles, nr);
			assert_regs(&r, 0, 0, 0, ~0u);
			/* The totals do not look at ECX. */
			r = read_leaf(&s, num->leaves, num->total_cycles, nr);
			assert_int_equal(r.edx, 0);
		}
	}
}

/* Defined, but with a control that is 0: all zero, not "undefined". */
static void impossible_reasons_read_zero(void **state)
{
	struct exit_stats s = {0};
	struct cpuid_regs r;

	(void)state;
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		r = read_leaf(&s, LEAVES_2021, LEAF(0xfd), i);
		assert_regs(&r, 0, 0, 0, exit_reason_name(i) ? 0 : ~0u);
	}
}

static void other_leaves_are_not_ours(void **state)
{
	static const u32 others[] = {0,		 1,	     0x40000000, 0x4ffffffb,
				     0x50000000, 0x80000000, 0xffffffff, 0x0ffffffd};
	struct exit_stats s = sample();
	struct cpuid_regs r;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		assert_false(exit_stats_cpuid(&s, LEAVES_2021, others[i], 0, &r));
		assert_false(exit_stats_cpuid(&s, LEAVES_2022, others[i], 0, &r));
	}
}

static void snapshot_leaf(void **state)
{
	struct exit_snapshot snap = {.seq = 3,
				     .ticks = 0x1122334455667788ull,
				     .stats = sample(),
				     .pages_written = 0x8877665544332211ull,
				     .pages_ever = 0x0123456789abcdefull};
	struct exit_totals t = exit_stats_totals(&snap.stats);
	struct cpuid_regs r;

	(void)state;
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		exit_snapshot_cpuid(&snap, i, &r);
		assert_true(((u64)r.ebx << 32 | r.eax) == snap.stats.count[i]);
		assert_true(((u64)r.edx << 32 | r.ecx) == snap.stats.cycles[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(undefined_reasons); i++) {
		if (undefined_reasons[i] == TV_READ_TOTAL)
			continue;
		exit_snapshot_cpuid(&snap, undefined_reasons[i], &r);
		assert_regs(&r, 0, 0, 0, 0);
	}
	exit_snapshot_cpuid(&snap, TV_READ_TOTAL, &r);
	assert_true(((u64)r.ebx << 32 | r.eax) == t.count);
	assert_true(((u64)r.edx << 32 | r.ecx) == t.cycles);
	exit_snapshot_cpuid(&snap, TV_READ_TIME, &r);
	assert_true(((u64)r.ebx << 32 | r.eax) == snap.stats.idle_cycles);
	assert_true(((u64)r.edx << 32 | r.ecx) == snap.ticks);
	exit_snapshot_cpuid(&snap, TV_READ_PAGES, &r);
	assert_regs(&r, 0x44332211, 0x88776655, 0x89abcdef, 0x01234567);
	exit_snapshot_cpuid(&snap, TV_READ_USED + 1, &r);
	assert_regs(&r, 0, 0, 0, 0);
}

/* A bit for each count that is not 0, and for no other. */
static void snapshot_leaf_used(void **state)
{
	struct exit_snapshot snap = {.seq = 1};
	struct cpuid_regs r;

	(void)state;
	exit_snapshot_cpuid(&snap, TV_READ_USED, &r);
	assert_regs(&r, 0, 0, 0, 0);
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		u32 bits[3] = {0};

		snap.stats = (struct exit_stats){0};
		snap.stats.count[nr] = 1ull << nr % 64;
		bits[nr / 32] = 1u << nr % 32;
		exit_snapshot_cpuid(&snap, TV_READ_USED, &r);
		assert_regs(&r, bits[0], bits[1], bits[2], 0);
	}
	for (u32 vector = 0; vector < NR_EXCEPTIONS; vector++) {
		snap.stats = (struct exit_stats){0};
		snap.stats.exceptions[vector] = 1ull << 63;
		exit_snapshot_cpuid(&snap, TV_READ_USED, &r);
		assert_regs(&r, 0, 0, 0, 1u << vector);
	}
}

/* Each exception and each access to a control register has a place of its own. */
static void snapshot_leaf_breakdown(void **state)
{
	struct exit_snapshot snap = {.stats = sample()};
	const struct exit_stats *s = &snap.stats;
	struct cpuid_regs r;
	u64 a, b;

	(void)state;
	for (u32 n = 0; n < 0x300; n++) {
		exit_snapshot_cpuid(&snap, 0x10100 + n, &r);
		a = b = 0;
		if (n < 16) {
			a = s->exceptions[2 * n];
			b = s->exceptions[2 * n + 1];
		} else if (n >= 0x100 && n < 0x110) {
			a = s->cr_accesses[CR_ACCESS_TO + n - 0x100];
			b = s->cr_accesses[CR_ACCESS_FROM + n - 0x100];
		} else if (n == 0x110) {
			a = s->cr_accesses[CR_ACCESS_CLTS];
			b = s->cr_accesses[CR_ACCESS_LMSW];
		}
		assert_true(((u64)r.ebx << 32 | r.eax) == a);
		assert_true(((u64)r.edx << 32 | r.ecx) == b);
	}
}

struct text {
	char buf[32768];
	size_t len;
	unsigned lines, longest;
};

static void collect(void *ctx, const char *line)
{
	struct text *t = ctx;
	size_t n = strlen(line);

	/* One line a call, with its newline. */
	assert_true(n > 0 && strchr(line, '\n') == line + n - 1);
	assert_true(t->len + n < sizeof(t->buf));
	memcpy(t->buf + t->len, line, n + 1);
	t->len += n;
	t->lines++;
	t->longest = (unsigned)MAX(t->longest, n - 1);
}

static void print_to(struct text *t, const struct exit_snapshot *snap, const char *prefix,
		     const char *title)
{
	const struct text_out out = {.prefix = prefix, .puts = collect, .ctx = t};

	exit_stats_print(snap, title, &out);
}

static void table_as_documented(void **state)
{
	struct exit_snapshot snap = {.seq = 7, .ticks = 5850000000};
	static struct text t;

	(void)state;
	snap.stats.idle_cycles = 1234567;
	snap.stats.count[EXIT_REASON_EXTERNAL_INTERRUPT] = 1046;
	snap.stats.cycles[EXIT_REASON_EXTERNAL_INTERRUPT] = 1000;
	snap.stats.count[EXIT_REASON_CPUID] = 12014;
	snap.stats.cycles[EXIT_REASON_CPUID] = 2042380;
	snap.stats.count[EXIT_REASON_WRMSRNS_IMM] = 1;
	snap.stats.cycles[EXIT_REASON_WRMSRNS_IMM] = 0;
	print_to(&t, &snap, "tallyvisor: ", "end");
	assert_string_equal(
		t.buf, "tallyvisor: exits end: seq 7 ticks 5850000000 idle 1234567 total 13061 "
		       "cycles 2043380\n"
		       "tallyvisor:  nr reason                            count             cycles"
		       "  cycles/exit  share\n"
		       "tallyvisor:   1 EXTERNAL_INTERRUPT                 1046               1000"
		       "            0   0.0%\n"
		       "tallyvisor:  10 CPUID                             12014            2042380"
		       "          170 100.0%\n"
		       "tallyvisor:  85 WRMSRNS_IMM                           1                  0"
		       "            0   0.0%\n"
		       "tallyvisor: exits end: done\n");
}

static void breakdown_follows_the_table(void **state)
{
	struct exit_snapshot snap = {.seq = 1, .pages_written = 3, .pages_ever = 17};
	static struct text t;

	(void)state;
	snap.stats.exceptions[1] = 2;
	snap.stats.exceptions[2] = 1;
	snap.stats.exceptions[14] = 40845;
	snap.stats.cr_accesses[CR_ACCESS_TO + 0] = 5;
	snap.stats.cr_accesses[CR_ACCESS_TO + 3] = 12345678901234ull;
	snap.stats.cr_accesses[CR_ACCESS_FROM + 8] = 7;
	snap.stats.cr_accesses[CR_ACCESS_CLTS] = 3;
	snap.stats.cr_accesses[CR_ACCESS_LMSW] = 4;
	print_to(&t, &snap, "> ", "end");
	assert_string_equal(strstr(t.buf, "> exits end: done"),
			    "> exits end: done\n"
			    "> exceptions end: #DB 2 NMI 1 #PF 40845\n"
			    "> cr end: to-cr0 5 to-cr3 12345678901234 from-cr8 7 clts 3 lmsw 4\n"
			    "> pages end: written 3 ever 17\n");
}

/* All of them, with the largest numbers: as many lines as it takes, each whole. */
static void long_lines_are_broken(void **state)
{
	struct exit_snapshot snap = {0};
	unsigned pairs = 0;
	static struct text t;

	(void)state;
	for (u32 i = 0; i < NR_EXCEPTIONS; i++)
		snap.stats.exceptions[i] = ~0ull;
	for (u32 i = 0; i < NR_CR_ACCESSES; i++)
		snap.stats.cr_accesses[i] = ~0ull;
	print_to(&t, &snap, "tallyvisor: ", "snapshot");
	assert_true(t.longest < 100);
	for (const char *p = t.buf; (p = strstr(p, " 18446744073709551615")); p++)
		pairs++;
	assert_int_equal(pairs, NR_EXCEPTIONS + NR_CR_ACCESSES);
	for (const char *p = strstr(t.buf, "done\n") + 5; *p; p = strchr(p, '\n') + 1)
		assert_true(!strncmp(p, "tallyvisor: exceptions snapshot: ", 33) ||
			    !strncmp(p, "tallyvisor: cr snapshot: ", 25));
}

static void every_exception_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (u32 i = 0; i < NR_EXCEPTIONS; i++) {
		for (u32 j = 0; j < i; j++)
			assert_string_not_equal(exception_name(i), exception_name(j));
	}
	assert_string_equal(exception_name(13), "#GP");
	assert_string_equal(exception_name(15), "15");
	assert_string_equal(exception_name(31), "31");
	assert_null(exception_name(32));
}

static void paging_counters(void **state)
{
	u64 counters[NR_SHADOW_COUNTERS] = {[SHADOW_FAULTS] = 12, [SHADOW_SPLITS] = ~0ull};
	static struct text t;
	const struct text_out out = {.prefix = "tallyvisor: ", .puts = collect, .ctx = &t};
	unsigned pairs = 0;

	(void)state;
	counts_print_paging(counters, "shadow", "end", &out);
	assert_int_equal(strncmp(t.buf, "tallyvisor: shadow end: faults 12 fills 0 ", 42), 0);
	assert_non_null(strstr(t.buf, " splits 18446744073709551615\n"));
	assert_true(t.longest < 100 && t.lines > 1);
	for (const char *p = strstr(t.buf, "faults"); p; p = strpbrk(p + 1, "0123456789"))
		pairs += !(p[-1] >= '0' && p[-1] <= '9');
	assert_int_equal(pairs - 1, NR_SHADOW_COUNTERS);
}

static void pages_follow_the_table(void **state)
{
	struct exit_snapshot snap = {.seq = 1, .pages_written = 3, .pages_ever = 17};
	static struct text t;

	(void)state;
	print_to(&t, &snap, "> ", "key");
	assert_string_equal(strstr(t.buf, "> exits key: done"),
			    "> exits key: done\n> pages key: written 3 ever 17\n");
}

static void table_of_nothing(void **state)
{
	struct exit_snapshot snap = {0};
	static struct text t;

	(void)state;
	print_to(&t, &snap, "", "key");
	assert_string_equal(t.buf, "exits key: seq 0 ticks 0 idle 0 total 0 cycles 0\n"
				   " nr reason                            count             cycles"
				   "  cycles/exit  share\n"
				   "exits key: done\n");
}

/* All reasons at once, with numbers of a year at 4 GHz. */
static void rows_stay_below_100_columns(void **state)
{
	struct exit_snapshot snap = {.seq = 1};
	static struct text t;

	(void)state;
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		if (!exit_reason_name(i))
			continue;
		snap.stats.count[i] = 12345678901234ull;
		snap.stats.cycles[i] = 126144000000000000ull;
	}
	print_to(&t, &snap, "tallyvisor: ", "end");
	assert_int_equal(t.lines, 3 + 80);
	assert_true(t.longest < 100);
}

/* 0.04 % and 0.05 %: shares are rounded to the nearest, ties upwards. */
static void shares_are_rounded(void **state)
{
	struct exit_snapshot snap = {0};
	static struct text t;

	(void)state;
	snap.stats.count[1] = snap.stats.count[2] = snap.stats.count[3] = 1;
	snap.stats.cycles[1] = 4;
	snap.stats.cycles[2] = 5;
	snap.stats.cycles[3] = 9991;
	print_to(&t, &snap, "", "x");
	assert_non_null(strstr(t.buf, " 4            4   0.0%\n"));
	assert_non_null(strstr(t.buf, " 5            5   0.1%\n"));
	assert_non_null(strstr(t.buf, " 9991         9991  99.9%\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_and_subtracts),
		cmocka_unit_test(leaves_of_both_numberings),
		cmocka_unit_test(undefined_reasons_are_marked),
		cmocka_unit_test(impossible_reasons_read_zero),
		cmocka_unit_test(other_leaves_are_not_ours),
		cmocka_unit_test(snapshot_leaf),
		cmocka_unit_test(snapshot_leaf_used),
		cmocka_unit_test(snapshot_leaf_breakdown),
		cmocka_unit_test(breakdown_follows_the_table),
		cmocka_unit_test(long_lines_are_broken),
		cmocka_unit_test(every_exception_has_a_name_of_its_own),
		cmocka_unit_test(paging_counters),
		cmocka_unit_test(pages_follow_the_table),
		cmocka_unit_test(table_as_documented),
		cmocka_unit_test(table_of_nothing),
		cmocka_unit_test(rows_stay_below_100_columns),
		cmocka_unit_test(shares_are_rounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
