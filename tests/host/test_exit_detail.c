/* SPDX-License-Identifier: MIT */
/* Histograms, tables of what exits were for, their sums, and the CPUID leaf that shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "exit_detail.h"
#include "lib/exit_account.h"
#include "shadow_counters.h"
#include "vmx.h"
#include "x86.h"

static struct exit_detail a, b, c;

static int set_up(void **state)
{
	(void)state;
	exit_detail_init(&a);
	exit_detail_init(&b);
	exit_detail_init(&c);
	return 0;
}

static u64 total(const struct tally *t)
{
	u64 sum = 0;

	for (u32 i = 0; i <= t->used; i++)
		sum += t->count[i];
	return sum;
}

/** How often `what` was counted; 0 where it is not known. */
static u64 counted(const struct tally *t, u32 what)
{
	for (u32 i = 1; i <= t->used; i++) {
		if (t->what[i] == what)
			return t->count[i];
	}
	return 0;
}

static void every_bucket_has_its_edges(void **state)
{
	(void)state;
	exit_detail_cycles(&a, 10, 0);
	assert_true(a.cycles[10][0] == 1);
	for (u32 n = 0; n < CYCLE_BUCKETS; n++) {
		u64 low = 1ull << n, high = low + (low - 1);

		exit_detail_cycles(&b, 10, low);
		exit_detail_cycles(&b, 10, high);
		for (u32 i = 0; i < CYCLE_BUCKETS; i++)
			assert_true(b.cycles[10][i] == (i <= n ? 2 : 0));
	}
	/* No other reason's. */
	for (u32 i = 0; i < CYCLE_BUCKETS; i++)
		assert_true(!b.cycles[9][i] && !b.cycles[11][i]);
}

static void least_and_most(void **state)
{
	static const u64 cycles[] = {500, 700, 600, 400, 701, 400};
	static const u64 least[] = {500, 500, 500, 400, 400, 400};
	static const u64 most[] = {500, 700, 700, 700, 701, 701};

	(void)state;
	assert_true(a.least[85] == ~0ull && a.most[85] == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(cycles); i++) {
		exit_detail_cycles(&a, 85, cycles[i]);
		assert_true(a.least[85] == least[i] && a.most[85] == most[i]);
	}
	assert_true(a.least[84] == ~0ull);
	exit_detail_cycles(&a, 0, 0);
	exit_detail_cycles(&a, 0, ~0ull);
	assert_true(a.least[0] == 0 && a.most[0] == ~0ull);
}

/* As many values as there is room for; the next ones are others, and the known ones stay known. */
static void a_table_that_is_full(void **state)
{
	struct tally *t = &a.tally[TALLY_IO];

	(void)state;
	for (u32 i = 0; i < TALLY_VALUES; i++)
		exit_detail_tally(&a, TALLY_IO, i << 16);
	assert_int_equal(t->used, TALLY_VALUES);
	assert_true(t->count[0] == 0);
	for (u32 i = 0; i < 1000; i++)
		exit_detail_tally(&a, TALLY_IO, i << 16);
	assert_int_equal(t->used, TALLY_VALUES);
	for (u32 i = 0; i < 1000; i++)
		assert_true(counted(t, i << 16) == (i < TALLY_VALUES ? 2 : 0));
	assert_true(t->count[0] == 1000 - TALLY_VALUES);
	assert_true(total(t) == 1000 + TALLY_VALUES);
	/* Another table is another table. */
	assert_int_equal(a.tally[TALLY_RDMSR].used, 0);
}

/* Values for one and the same slot: as many as are looked for find room, not only there. */
static void values_that_collide(void **state)
{
	struct tally *t = &a.tally[TALLY_RDMSR];
	u32 same[TALLY_PROBES + 2], n = 0;

	(void)state;
	for (u32 what = 1; n < ARRAY_SIZE(same); what++) {
		if (tally_slot(what) == (1 << TALLY_SLOT_BITS) - 1) /* the last one */
			same[n++] = what;
	}
	for (u32 round = 1; round <= 3; round++) {
		for (u32 i = 0; i < n; i++)
			exit_detail_tally(&a, TALLY_RDMSR, same[i]);
		for (u32 i = 0; i < n; i++)
			assert_true(counted(t, same[i]) == (i < TALLY_PROBES ? round : 0));
		assert_true(t->count[0] == 2 * round);
	}
	/* Without a neighbour in its way, one is found where it is. */
	exit_detail_tally(&b, TALLY_RDMSR, same[TALLY_PROBES]);
	assert_true(counted(&b.tally[TALLY_RDMSR], same[TALLY_PROBES]) == 1);
}

static void extreme_values(void **state)
{
	struct tally *t = &a.tally[TALLY_WRMSR];

	(void)state;
	exit_detail_tally(&a, TALLY_WRMSR, 0);
	exit_detail_tally(&a, TALLY_WRMSR, 0);
	exit_detail_tally(&a, TALLY_WRMSR, ~0u);
	exit_detail_tally(&a, TALLY_WRMSR, ~0u - 1);
	assert_true(counted(t, 0) == 2 && counted(t, ~0u - 1) == 1);
	assert_true(t->count[0] == 1 && t->used == 2); /* ~0 is one of the others */
}

/* What a stock Linux makes exits for, each in a place of its own. */
static void a_kernel_fits(void **state)
{
	static const u16 ports[] = {0x20,  0x21,  0x40,	 0x42,	0x43,  0x60,  0x61,  0x64,  0x70,
				    0x71,  0x80,  0xa0,	 0xa1,	0x2e9, 0x2f9, 0x3e9, 0x3f8, 0x3f9,
				    0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x600, 0x602, 0x604,
				    0x608, 0xcf8, 0xcfa, 0xcfb, 0xcfc, 0xcfd, 0xcfe, 0xcff};
	static const struct {
		u32 first, last;
	} msrs[] = {{0x10, 0x1b},
		    {0x34, 0x3b},
		    {0x48, 0x49},
		    {0x79, 0x79},
		    {0x8b, 0x8b},
		    {0xfe, 0xfe},
		    {0x140, 0x140},
		    {0x179, 0x17a},
		    {0x1a0, 0x1a0},
		    {0x200, 0x20f},
		    {0x250, 0x250},
		    {0x258, 0x259},
		    {0x268, 0x26f},
		    {0x277, 0x277},
		    {0x2ff, 0x2ff},
		    {0x6e0, 0x6e0},
		    {0x802, 0x83f},
		    {0xc0000080, 0xc0000084},
		    {0xc0011029, 0xc0011029}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		exit_detail_tally(&a, TALLY_IO, (u32)ports[i] << 16);
		exit_detail_tally(&a, TALLY_IO, (u32)ports[i] << 16 | TALLY_IO_IN);
	}
	assert_int_equal(a.tally[TALLY_IO].used, 2 * ARRAY_SIZE(ports));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		for (u32 msr = msrs[i].first; msr <= msrs[i].last; msr++)
			exit_detail_tally(&a, TALLY_RDMSR, msr);
	}
	assert_true(a.tally[TALLY_RDMSR].count[0] == 0);
	for (u32 reg = 0; reg < 0x400; reg += 16)
		exit_detail_tally(&a, TALLY_APIC_WRITE, reg);
	assert_int_equal(a.tally[TALLY_APIC_WRITE].used, 64);
}

static void cpuid_leaves(void **state)
{
	static const u32 leaves[] = {0,		 1,	     7,		 8,	     0xd,
				     0x40000000, 0x40000005, 0x400000ff, 0x40010000, 0x80000000};
	const struct tally *t = &b.tally[TALLY_CPUID];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		exit_detail_cpuid(&a, leaves[i]);
	for (u32 leaf = 0x40000100; leaf < 0x40010000; leaf += 0x100)
		exit_detail_cpuid(&a, leaf);
	exit_detail_add(&b, &a);
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		assert_true(counted(t, leaves[i]) == 1);
	assert_true(counted(t, 0x40000100) == 255);
	assert_true(total(t) == ARRAY_SIZE(leaves) + 255);
}

static void the_sum_of_vcpus(void **state)
{
	(void)state;
	exit_detail_cycles(&a, 30, 100);
	exit_detail_cycles(&a, 30, 5000);
	exit_detail_cycles(&b, 30, 90);
	exit_detail_cycles(&b, 31, 7);
	exit_detail_cycles(&a, 28, 20);
	exit_detail_cycles(&b, 28, 30);
	exit_detail_tally(&a, TALLY_IO, 0x10000);
	exit_detail_tally(&a, TALLY_IO, 0x20000);
	exit_detail_tally(&b, TALLY_IO, 0x20000);
	exit_detail_tally(&b, TALLY_IO, ~0u);
	exit_detail_cpuid(&a, 2);
	exit_detail_cpuid(&b, 2);
	exit_detail_add(&c, &a);
	exit_detail_add(&c, &b);
	assert_true(c.least[30] == 90 && c.most[30] == 5000);
	assert_true(c.least[28] == 20 && c.most[28] == 30);
	assert_true(c.least[31] == 7 && c.most[31] == 7 && c.least[32] == ~0ull);
	assert_true(c.cycles[30][6] == 2 && c.cycles[30][12] == 1 && c.cycles[31][2] == 1);
	assert_true(counted(&c.tally[TALLY_IO], 0x10000) == 1);
	assert_true(counted(&c.tally[TALLY_IO], 0x20000) == 2);
	assert_true(c.tally[TALLY_IO].count[0] == 1);
	assert_true(counted(&c.tally[TALLY_CPUID], 2) == 2);
}

static void what_other_counters_hold(void **state)
{
	struct exit_stats s = {.exceptions = {[1] = 3, [14] = 100},
			       .cr_accesses = {[3] = 40, [CR_ACCESS_CLTS] = 2}};
	u64 paging[NR_SHADOW_COUNTERS] = {
		[SHADOW_FAULTS] = 100, [SHADOW_FILLS] = 50,	   [SHADOW_REFLECTED] = 20,
		[SHADOW_MMIO] = 10,    [SHADOW_WRITE_PROTECT] = 8, [SHADOW_EMULATED] = 7,
		[SHADOW_SPURIOUS] = 4};
	const struct tally *t = &a.tally[TALLY_EXCEPTION];

	(void)state;
	exit_detail_finish(&a, &s, paging);
	for (u32 cause = 0; cause < NR_PF_CAUSES; cause++) {
		static const u64 want[NR_PF_CAUSES] = {50, 20, 10, 8, 7, 4};

		assert_true(counted(t, 14 | (1 + cause) << 8) == want[cause]);
	}
	assert_true(counted(t, 14) == 1 && counted(t, 1) == 3 && total(t) == 103);
	assert_true(counted(&a.tally[TALLY_CR], 3) == 40 && total(&a.tally[TALLY_CR]) == 42);
	/* Not more than there were. */
	s.exceptions[14] = 60;
	exit_detail_finish(&b, &s, paging);
	assert_true(counted(&b.tally[TALLY_EXCEPTION], 14 | 2 << 8) == 10);
	assert_true(total(&b.tally[TALLY_EXCEPTION]) == 63);
	/* The mode counts nothing of its own. */
	exit_detail_finish(&c, &s, NULL);
	assert_true(counted(&c.tally[TALLY_EXCEPTION], 14) == 60);
	/* There is room for all that there can be. */
	memset(&s, 1, sizeof(s));
	memset(paging, 0, sizeof(paging));
	exit_detail_init(&a);
	for (u32 i = 0; i < NR_SHADOW_COUNTERS; i++)
		paging[i] = 1;
	exit_detail_finish(&a, &s, paging);
	assert_true(!t->count[0] && !a.tally[TALLY_CR].count[0]);
	assert_int_equal(t->used, NR_EXCEPTIONS + NR_PF_CAUSES);
	assert_int_equal(a.tally[TALLY_CR].used, NR_CR_ACCESSES);
}

static void differences(void **state)
{
	(void)state;
	exit_detail_cycles(&b, 10, 64);
	exit_detail_tally(&b, TALLY_IO, 5 << 16);
	exit_detail_tally(&b, TALLY_IO, ~0u);
	a = b;
	exit_detail_cycles(&a, 10, 65);
	exit_detail_cycles(&a, 10, 1000);
	exit_detail_tally(&a, TALLY_IO, 5 << 16);
	exit_detail_tally(&a, TALLY_IO, 6 << 16);
	exit_detail_tally(&a, TALLY_IO, ~0u);
	exit_detail_tally(&a, TALLY_IO, ~0u);
	exit_detail_sub(&c, &a, &b);
	assert_true(c.cycles[10][6] == 1 && c.cycles[10][9] == 1);
	assert_true(counted(&c.tally[TALLY_IO], 5 << 16) == 1);
	assert_true(counted(&c.tally[TALLY_IO], 6 << 16) == 1);
	assert_true(c.tally[TALLY_IO].count[0] == 2);
	exit_detail_sub(&c, &a, &a);
	assert_true(total(&c.tally[TALLY_IO]) == 0);
}

static struct cpuid_regs leaf(u32 subleaf)
{
	struct cpuid_regs r = {0xaaaaaaaa, 0xbbbbbbbb, 0xcccccccc, 0xdddddddd};

	exit_detail_cpuid_leaf(&a, subleaf, &r);
	return r;
}

static u64 low(struct cpuid_regs r)
{
	return (u64)r.ebx << 32 | r.eax;
}

static u64 high(struct cpuid_regs r)
{
	return (u64)r.edx << 32 | r.ecx;
}

static void assert_zero(u32 subleaf)
{
	assert_true(!low(leaf(subleaf)) && !high(leaf(subleaf)));
}

/* Everything can be read, and is where it was asked for. */
static void the_leaf(void **state)
{
	(void)state;
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		a.least[nr] = (u64)nr << 40 | 1;
		a.most[nr] = (u64)nr << 41 | 2;
		for (u32 i = 0; i < CYCLE_BUCKETS; i++)
			a.cycles[nr][i] = i % 3 ? (u64)(nr + 1) << 36 | i : 0;
	}
	for (u32 i = 0; i < TALLY_VALUES; i++)
		*tally_count(&a.tally[TALLY_WRMSR], 0x12340000 + i) += (u64)i << 33 | 9;
	a.tally[TALLY_WRMSR].count[0] = ~0ull;
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		assert_true(low(leaf(nr)) == a.least[nr] && high(leaf(nr)) == a.most[nr]);
		for (u32 i = 0; i < CYCLE_BUCKETS; i++)
			assert_true((low(leaf(TV_DETAIL_USED + nr)) >> i & 1) == (i % 3 != 0));
		for (u32 i = 0; i < CYCLE_BUCKETS / 2; i++) {
			struct cpuid_regs r = leaf(TV_DETAIL_CYCLES + (nr << 8) + i);

			assert_true(low(r) == a.cycles[nr][2 * i]);
			assert_true(high(r) == a.cycles[nr][2 * i + 1]);
		}
		assert_true(high(leaf(TV_DETAIL_USED + nr)) ==
			    (nr == EXIT_REASON_WRMSR ? 1 + TALLY_VALUES : 0));
	}
	for (u32 i = 0; i < TALLY_VALUES; i++) {
		struct cpuid_regs r = leaf(TV_DETAIL_TALLY + (EXIT_REASON_WRMSR << 8) + 1 + i);

		assert_true(low(r) == 0x12340000 + i && high(r) == ((u64)i << 33 | 9));
	}
	assert_true(high(leaf(TV_DETAIL_TALLY + (EXIT_REASON_WRMSR << 8))) == ~0ull);
	assert_zero(TV_DETAIL_TALLY + (EXIT_REASON_WRMSR << 8) + 1 + TALLY_VALUES);
}

static void the_leaf_beyond_what_there_is(void **state)
{
	(void)state;
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		assert_zero(nr);
		assert_zero(TV_DETAIL_USED + nr);
	}
	memset(a.cycles, 0xff, sizeof(a.cycles));
	memset(a.least, 0x11, sizeof(a.least));
	exit_detail_tally(&a, TALLY_IO, 0x10000);
	assert_zero(NR_EXIT_REASONS);
	assert_zero(0xffff);
	assert_zero(TV_DETAIL_USED + NR_EXIT_REASONS);
	assert_zero(TV_DETAIL_CYCLES + (EXIT_REASON_CPUID << 8) + CYCLE_BUCKETS / 2);
	assert_zero(TV_DETAIL_CYCLES + (NR_EXIT_REASONS << 8));
	assert_zero(TV_DETAIL_CYCLES + (0xffff << 8));
	assert_zero(TV_DETAIL_TALLY + (EXIT_REASON_IO_INSTRUCTION << 8) + 2);
	assert_zero(TV_DETAIL_TALLY + (EXIT_REASON_IO_INSTRUCTION << 8) + 0xff);
	assert_zero(TV_DETAIL_TALLY + (EXIT_REASON_HLT << 8));
	assert_zero(TV_DETAIL_TALLY + (0xffff << 8) + 1);
	assert_zero(0x3000000);
	assert_zero(~0u);
}

static void each_tally_is_of_one_reason(void **state)
{
	u32 seen = 0;

	(void)state;
	for (u32 nr = 0; nr < NR_EXIT_REASONS + 10; nr++) {
		int kind = exit_detail_kind(nr);

		if (kind < 0)
			continue;
		assert_true(kind < NR_TALLIES && !(seen >> kind & 1));
		seen |= 1u << kind;
	}
	assert_int_equal(seen, (1u << NR_TALLIES) - 1);
	assert_int_equal(exit_detail_kind(EXIT_REASON_HLT), -1);
}

static void ept_violations(void **state)
{
	static const struct {
		u64 qualification;
		u32 value;
	} cases[] = {
		/* A read and a write where nothing is, a write to what may be read or executed. */
		{0x181, 1},
		{0x182, 2},
		{0x18a, 2 | TALLY_EPT_MAPPED},
		{0x1a2, 2 | TALLY_EPT_MAPPED},
		/* The page walk's own. */
		{0x0a2, 2 | TALLY_EPT_MAPPED | TALLY_EPT_WALK},
		{0x081, 1 | TALLY_EPT_WALK},
		{0x001, 1}, /* no linear address: no walk */
		{EPT_VIOLATION_NMI_UNBLOCK | 0x184, 4},
	};
	const struct tally *t = &b.tally[TALLY_EPT];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up(NULL);
		exit_detail_tally(&a, TALLY_EPT, cases[i].qualification & TALLY_EPT_QUAL);
		exit_detail_add(&b, &a);
		assert_true(t->used == 1 && counted(t, cases[i].value) == 1);
	}
	/* Two qualifications, one thing. */
	set_up(NULL);
	exit_detail_tally(&a, TALLY_EPT, 0x18a);
	exit_detail_tally(&a, TALLY_EPT, 0x1a2);
	exit_detail_add(&b, &a);
	assert_true(t->used == 1 && counted(t, 2 | TALLY_EPT_MAPPED) == 2);
}

static void names(void **state)
{
	static const struct {
		enum tally_kind kind;
		u32 what;
		const char *name;
	} cases[] = {
		{TALLY_EXCEPTION, 1, "#DB"},
		{TALLY_EXCEPTION, 14, "#PF"},
		{TALLY_EXCEPTION, 14 | (1 + PF_WRITE_PROTECT) << 8, "#PF-write-protect"},
		{TALLY_EXCEPTION, 14 | (1 + PF_FILL) << 8, "#PF-fill"},
		{TALLY_CR, 3, "to-cr3"},
		{TALLY_IO, 0x3f80000, "out-0x3f8"},
		{TALLY_IO, 0x3f80000 | TALLY_IO_IN, "in-0x3f8"},
		{TALLY_CPUID, 0x80000008, "0x80000008"},
		{TALLY_RDMSR, 0xc0000080, "0xc0000080"},
		{TALLY_APIC_ACCESS, 0x0300, "read-0x300"},
		{TALLY_APIC_ACCESS, 0x10b0, "write-0xb0"},
		{TALLY_APIC_ACCESS, 0xf0b0, "physical-0xb0"},
		{TALLY_APIC_ACCESS, 0x90b0, "access-0xb0"},
		{TALLY_APIC_WRITE, 0x300, "0x300"},
		{TALLY_EPT, 2, "write-unmapped"},
		{TALLY_EPT, 3 | TALLY_EPT_MAPPED | TALLY_EPT_WALK, "walk-read-write-forbidden"},
		{TALLY_EPT, 7, "read-write-fetch-unmapped"},
		{TALLY_INTERRUPT, 0xf0, "0xf0"},
	};
	char name[TALLY_NAME_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		tally_name(cases[i].kind, cases[i].what, name);
		assert_string_equal(name, cases[i].name);
	}
}

static char text[8192];

static void collect(void *ctx, const char *line)
{
	(void)ctx;
	assert_true(strlen(text) + strlen(line) < sizeof(text));
	assert_true(strlen(line) <= 100);
	strcat(text, line);
}

static void lines_as_documented(void **state)
{
	const struct text_out out = {.prefix = "> ", .puts = collect};
	struct exit_stats s = {0};

	(void)state;
	text[0] = '\0';
	s.count[EXIT_REASON_HLT] = 1;
	s.count[EXIT_REASON_IO_INSTRUCTION] = 3;
	exit_detail_cycles(&a, EXIT_REASON_HLT, 1);
	exit_detail_cycles(&a, EXIT_REASON_IO_INSTRUCTION, 700);
	exit_detail_cycles(&a, EXIT_REASON_IO_INSTRUCTION, 512);
	exit_detail_cycles(&a, EXIT_REASON_IO_INSTRUCTION, 2047);
	exit_detail_tally(&a, TALLY_IO, 0x3f80000);
	exit_detail_tally(&a, TALLY_IO, 0x710000 | TALLY_IO_IN);
	exit_detail_tally(&a, TALLY_IO, ~0u);
	exit_detail_tally(&a, TALLY_RDMSR, 5); /* of a reason that `s` does not have */
	exit_detail_print(&a, &s, "end", &out);
	assert_string_equal(text, "> HLT-cycles end: least 1 most 1 0 1\n"
				  "> IO_INSTRUCTION-cycles end: least 512 most 2047 512 2 1024 1\n"
				  "> IO_INSTRUCTION end: out-0x3f8 1 in-0x71 1 others 1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_bucket_has_its_edges, set_up),
		cmocka_unit_test_setup(least_and_most, set_up),
		cmocka_unit_test_setup(a_table_that_is_full, set_up),
		cmocka_unit_test_setup(values_that_collide, set_up),
		cmocka_unit_test_setup(extreme_values, set_up),
		cmocka_unit_test_setup(a_kernel_fits, set_up),
		cmocka_unit_test_setup(cpuid_leaves, set_up),
		cmocka_unit_test_setup(the_sum_of_vcpus, set_up),
		cmocka_unit_test_setup(what_other_counters_hold, set_up),
		cmocka_unit_test_setup(differences, set_up),
		cmocka_unit_test_setup(the_leaf, set_up),
		cmocka_unit_test_setup(the_leaf_beyond_what_there_is, set_up),
		cmocka_unit_test_setup(each_tally_is_of_one_reason, set_up),
		cmocka_unit_test_setup(ept_violations, set_up),
		cmocka_unit_test_setup(names, set_up),
		cmocka_unit_test_setup(lines_as_documented, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
