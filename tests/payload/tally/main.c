/* SPDX-License-Identifier: MIT */
/*
 * What exits were for, when there is more of it than a table of the hypervisor's holds: ports, MSRs
 * and CPUID leaves, counted exactly as long as there is room, and then together. The first case
 * finds what a guest before this one has left.
 */
#include "exit_detail.h"
#include "payload.h"

#define LEAF_SNAPSHOT 0x40000002u
#define LEAF_READ 0x40000003u
#define LEAF_DETAIL 0x40000005u

#define NR 200		 /* more than fit */
#define PORT 0x1000u	 /* nobody's */
#define MSR 0x5000u	 /* the same */
#define LEAF 0x01000000u /* above the highest basic leaf: reads as that */
#define VISITS(i) ((i) % 3 + 1)

static u64 pair_low(struct cpuid_out r)
{
	return (u64)r.ebx << 32 | r.eax;
}

static u64 pair_high(struct cpuid_out r)
{
	return (u64)r.edx << 32 | r.ecx;
}

static struct cpuid_out detail(u32 subleaf)
{
	return cpuid(LEAF_DETAIL, subleaf);
}

/** The entry for `what` in the snapshot: how many exits; 0: there is none. */
static u64 tallied(u32 nr, u32 what)
{
	u32 entries = detail(TV_DETAIL_USED + nr).ecx;

	for (u32 i = 1; i < entries; i++) {
		struct cpuid_out r = detail(TV_DETAIL_TALLY + (nr << 8) + i);

		if (r.eax == what && !r.ebx)
			return pair_high(r);
	}
	return 0;
}

static u64 others(u32 nr)
{
	return pair_high(detail(TV_DETAIL_TALLY + (nr << 8)));
}

static void check_sums(u32 nr)
{
	struct cpuid_out used = detail(TV_DETAIL_USED + nr), extremes = detail(nr);
	struct cpuid_out r = cpuid(LEAF_READ, nr);
	u64 count = pair_low(r), cycles = pair_high(r), sum = 0, spread = 0;
	u64 least = pair_low(extremes), most = pair_high(extremes), bits = pair_low(used);

	for (u32 i = 0; i < used.ecx; i++)
		sum += pair_high(detail(TV_DETAIL_TALLY + (nr << 8) + i));
	for (u32 i = 0; i < 32; i++) {
		r = detail(TV_DETAIL_CYCLES + (nr << 8) + i);
		check(!pair_low(r) == !(bits >> 2 * i & 1) &&
			      !pair_high(r) == !(bits >> (2 * i + 1) & 1),
		      "exits %u: bucket %u is not as the bits tell", nr, i);
		spread += pair_low(r) + pair_high(r);
	}
	check(spread == count, "exits %u: %u in the histogram, not %u", nr, (u32)spread,
	      (u32)count);
	check(sum == count, "exits %u: %u by what they were for, not %u", nr, (u32)sum, (u32)count);
	check(least && least * count <= cycles && cycles <= most * count,
	      "exits %u: %u cycles in %u exits of %u to %u", nr, (u32)cycles, (u32)count,
	      (u32)least, (u32)most);
}

/** There were VISITS(i) exits of reason `nr` for what + i * step, i below NR: as many as fit are
 * told apart. What else there was had its place before. */
static void check_overflow(u32 nr, u32 what, u32 step)
{
	u32 known = 0;
	u64 missing = 0;

	cpuid(LEAF_SNAPSHOT, TV_SNAPSHOT_TAKE_DETAIL);
	for (u32 i = 0; i < NR; i++) {
		u64 n = tallied(nr, what + i * step);

		check(!n || n == VISITS(i), "exits %u: %u for 0x%x, not %u", nr, (u32)n,
		      what + i * step, VISITS(i));
		known += n != 0;
		missing += n ? 0 : VISITS(i);
	}
	check(known >= 90 && known < NR, "exits %u: %u told apart", nr, known);
	check(others(nr) == missing, "exits %u: %u others, not %u", nr, (u32)others(nr),
	      (u32)missing);
	check_sums(nr);
}

/** The first reading of a guest that touched none of these. */
static void test_nothing_is_left(void)
{
	u64 value;

	try_rdmsr(MSR, &value);
	inb(PORT);
	cpuid(LEAF_SNAPSHOT, TV_SNAPSHOT_TAKE_DETAIL);
	check(tallied(EXIT_REASON_IO_INSTRUCTION, PORT << 16 | TALLY_IO_IN) == 1, "ports");
	check(tallied(EXIT_REASON_RDMSR, MSR) == 1, "MSRs");
	check(others(EXIT_REASON_IO_INSTRUCTION) == 0 && others(EXIT_REASON_RDMSR) == 0 &&
		      others(EXIT_REASON_CPUID) == 0,
	      "others");
	check_sums(EXIT_REASON_IO_INSTRUCTION);
	check_sums(EXIT_REASON_RDMSR);
	check_sums(EXIT_REASON_CPUID);
}

static void test_ports(void)
{
	/* The first case was at the first one. */
	for (u32 i = 0; i < NR; i++) {
		for (u32 n = i ? 0 : 1; n < VISITS(i); n++)
			inb((u16)(PORT + i));
	}
	check_overflow(EXIT_REASON_IO_INSTRUCTION, PORT << 16 | TALLY_IO_IN, 1 << 16);
}

static void test_msrs(void)
{
	u64 value;

	for (u32 i = 0; i < NR; i++) {
		for (u32 n = i ? 0 : 1; n < VISITS(i); n++)
			try_rdmsr(MSR + i, &value);
	}
	check_overflow(EXIT_REASON_RDMSR, MSR, 1);
}

static void test_leaves(void)
{
	for (u32 i = 0; i < NR; i++) {
		for (u32 n = 0; n < VISITS(i); n++)
			cpuid(LEAF + i, 0);
	}
	check_overflow(EXIT_REASON_CPUID, LEAF, 1);
}

/** What was known before a table was full is counted still; what was not, with the others. */
static void test_full_tables(void)
{
	const u32 known = PORT << 16 | TALLY_IO_IN, unknown = 0x2000u << 16 | TALLY_IO_IN;
	u64 before = tallied(EXIT_REASON_IO_INSTRUCTION, known);
	u64 rest = others(EXIT_REASON_IO_INSTRUCTION);

	for (u32 n = 0; n < 7; n++)
		inb(PORT);
	for (u32 n = 0; n < 5; n++)
		inb(0x2000);
	cpuid(LEAF_SNAPSHOT, TV_SNAPSHOT_TAKE_DETAIL);
	check(tallied(EXIT_REASON_IO_INSTRUCTION, known) == before + 7, "a port that is known");
	check(tallied(EXIT_REASON_IO_INSTRUCTION, unknown) == 0, "a port that is not known");
	check(others(EXIT_REASON_IO_INSTRUCTION) == rest + 5, "the others");
	check_sums(EXIT_REASON_IO_INSTRUCTION);
}

/** A reading is of the moment of the snapshot; and where that has no detail, there is none. */
static void test_snapshot(void)
{
	u64 count = tallied(EXIT_REASON_IO_INSTRUCTION, PORT << 16 | TALLY_IO_IN);

	inb(PORT);
	check(tallied(EXIT_REASON_IO_INSTRUCTION, PORT << 16 | TALLY_IO_IN) == count,
	      "a snapshot that goes on counting");
	cpuid(LEAF_SNAPSHOT, TV_SNAPSHOT_TAKE);
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		struct cpuid_out a = detail(nr), b = detail(TV_DETAIL_USED + nr);
		struct cpuid_out c = detail(TV_DETAIL_TALLY + (nr << 8));

		check(!(a.eax | a.ebx | a.ecx | a.edx | b.eax | b.ebx | b.ecx | b.edx | c.eax |
			c.ebx | c.ecx | c.edx),
		      "detail of exits %u in a snapshot without", nr);
	}
}

void payload_main(void)
{
	case_run("nothing-is-left", test_nothing_is_left);
	case_run("ports", test_ports);
	case_run("msrs", test_msrs);
	case_run("leaves", test_leaves);
	case_run("full-tables", test_full_tables);
	case_run("snapshot", test_snapshot);
}
