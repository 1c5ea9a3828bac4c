/* SPDX-License-Identifier: MIT */
/*
 * Exit counters: sums and differences, the CPUID leaves that show them (docs/cpuid-leaves.md), and
 * the printed table (docs/stats.md). The hypervisor and the guest's exitstat both compile this
 * file, so that their tables cannot differ in anything but the numbers.
 */
#include "exit_stats.h"

#include "counts_text.h"
#include "fmt.h"
#include "muldiv.h"
#include "options.h"

#define LINE_MAX_BYTES 256

/** The first of the four leaves; the others follow. */
#define STATS_LEAF_BASE 0x4ffffffcu

/** EDX for an ECX that the SDM does not define as a basic exit reason. */
#define STATS_UNDEFINED 0xffffffffu

enum stats_leaf { TOTAL_COUNT, TOTAL_CYCLES, REASON_COUNT, REASON_CYCLES };

struct exit_totals exit_stats_totals(const struct exit_stats *s)
{
	struct exit_totals t = {0, 0};

	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		t.count += s->count[i];
		t.cycles += s->cycles[i];
	}
	return t;
}

void exit_stats_add(struct exit_stats *dst, const struct exit_stats *src)
{
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		dst->count[i] += src->count[i];
		dst->cycles[i] += src->cycles[i];
	}
	dst->idle_cycles += src->idle_cycles;
	for (u32 i = 0; i < NR_EXCEPTIONS; i++)
		dst->exceptions[i] += src->exceptions[i];
	for (u32 i = 0; i < NR_CR_ACCESSES; i++)
		dst->cr_accesses[i] += src->cr_accesses[i];
}

void exit_stats_sub(struct exit_stats *dst, const struct exit_stats *a, const struct exit_stats *b)
{
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		dst->count[i] = a->count[i] - b->count[i];
		dst->cycles[i] = a->cycles[i] - b->cycles[i];
	}
	dst->idle_cycles = a->idle_cycles - b->idle_cycles;
	for (u32 i = 0; i < NR_EXCEPTIONS; i++)
		dst->exceptions[i] = a->exceptions[i] - b->exceptions[i];
	for (u32 i = 0; i < NR_CR_ACCESSES; i++)
		dst->cr_accesses[i] = a->cr_accesses[i] - b->cr_accesses[i];
}

/** What `leaf` (one of the four) asks for in this numbering. */
static enum stats_leaf leaf_meaning(u32 leaves, u32 leaf)
{
	static const enum stats_leaf fall_2021[4] = {REASON_CYCLES, REASON_COUNT, TOTAL_CYCLES,
						     TOTAL_COUNT};
	static const enum stats_leaf fall_2022[4] = {TOTAL_COUNT, TOTAL_CYCLES, REASON_COUNT,
						     REASON_CYCLES};

	return (leaves == LEAVES_2022 ? fall_2022 : fall_2021)[leaf - STATS_LEAF_BASE];
}

/** The published contract gives cycles as EBX:ECX; a count has EAX, with EBX above it. */
static void put_cycles(struct cpuid_regs *out, u64 v)
{
	out->ebx = (u32)(v >> 32);
	out->ecx = (u32)v;
}

bool exit_stats_cpuid(const struct exit_stats *s, u32 leaves, u32 leaf, u32 subleaf,
		      struct cpuid_regs *out)
{
	enum stats_leaf what;

	if (leaf < STATS_LEAF_BASE || leaf - STATS_LEAF_BASE > 3)
		return false;

	*out = (struct cpuid_regs){0};
	what = leaf_meaning(leaves, leaf);
	if (what == TOTAL_COUNT) {
		out->eax = (u32)exit_stats_totals(s).count;
	} else if (what == TOTAL_CYCLES) {
		put_cycles(out, exit_stats_totals(s).cycles);
	} else if (!exit_reason_name(subleaf)) {
		out->edx = STATS_UNDEFINED;
	} else if (what == REASON_COUNT) {
		out->eax = (u32)s->count[subleaf];
		out->ebx = (u32)(s->count[subleaf] >> 32);
	} else {
		put_cycles(out, s->cycles[subleaf]);
	}
	return true;
}

/** Two 64-bit numbers in four registers, as leaf TV_CPUID_READ gives them. */
static void put_pair(struct cpuid_regs *out, u64 first, u64 second)
{
	out->eax = (u32)first;
	out->ebx = (u32)(first >> 32);
	out->ecx = (u32)second;
	out->edx = (u32)(second >> 32);
}

/** One bit for each of `n` counts that is not 0; `n` is at most 32. */
static u32 used(const u64 *count, u32 n)
{
	u32 bits = 0;

	for (u32 i = 0; i < n; i++)
		bits |= (u32) !!count[i] << i;
	return bits;
}

static void read_used(const struct exit_stats *s, struct cpuid_regs *out)
{
	_Static_assert(NR_EXIT_REASONS > 64 && NR_EXIT_REASONS <= 96 && NR_EXCEPTIONS <= 32,
		       "a bit for each");
	out->eax = used(s->count, 32);
	out->ebx = used(s->count + 32, 32);
	out->ecx = used(s->count + 64, NR_EXIT_REASONS - 64);
	out->edx = used(s->exceptions, NR_EXCEPTIONS);
}

/** TV_READ_EXCEPTIONS and its neighbours. */
static void read_breakdown(const struct exit_stats *s, u32 subleaf, struct cpuid_regs *out)
{
	const u64 *cr = s->cr_accesses;
	u32 n = subleaf & 0xff;

	if (subleaf == TV_READ_CR_OTHER)
		put_pair(out, cr[CR_ACCESS_CLTS], cr[CR_ACCESS_LMSW]);
	else if (subleaf - n == TV_READ_CR_ACCESSES && n < CR_ACCESS_FROM)
		put_pair(out, cr[CR_ACCESS_TO + n], cr[CR_ACCESS_FROM + n]);
	else if (subleaf - n == TV_READ_EXCEPTIONS && n < NR_EXCEPTIONS / 2)
		put_pair(out, s->exceptions[2 * n], s->exceptions[2 * n + 1]);
}

void exit_snapshot_cpuid(const struct exit_snapshot *snap, u32 subleaf, struct cpuid_regs *out)
{
	struct exit_totals t;

	*out = (struct cpuid_regs){0};
	if (subleaf == TV_READ_TOTAL) {
		t = exit_stats_totals(&snap->stats);
		put_pair(out, t.count, t.cycles);
	} else if (subleaf == TV_READ_TIME) {
		put_pair(out, snap->stats.idle_cycles, snap->ticks);
	} else if (subleaf == TV_READ_PAGES) {
		put_pair(out, snap->pages_written, snap->pages_ever);
	} else if (subleaf == TV_READ_USED) {
		read_used(&snap->stats, out);
	} else if (exit_reason_name(subleaf)) {
		put_pair(out, snap->stats.count[subleaf], snap->stats.cycles[subleaf]);
	} else {
		read_breakdown(&snap->stats, subleaf, out);
	}
}

const char *exception_name(u32 vector)
{
	static const char *const names[NR_EXCEPTIONS] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
		"#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
		"22",  "23",  "24",  "25",  "26",  "27",  "28",	 "29",	"30",  "31",
	};

	return vector < NR_EXCEPTIONS ? names[vector] : NULL;
}

void cr_access_name(u32 access, char name[CR_ACCESS_NAME_MAX])
{
	u32 kind = access & 0x30, cr = access & 0xf;

	if (kind == CR_ACCESS_TO || kind == CR_ACCESS_FROM)
		fmt_snprintf(name, CR_ACCESS_NAME_MAX, "%s-cr%u",
			     kind == CR_ACCESS_TO ? "to" : "from", cr);
	else /* of which there is only CR0 */
		fmt_snprintf(name, CR_ACCESS_NAME_MAX, "%s",
			     kind == CR_ACCESS_CLTS ? "clts" : "lmsw");
}

/** part / whole in tenths of a per cent, rounded to the nearest. */
static unsigned permille(u64 part, u64 whole)
{
	return whole ? (unsigned)((mul_div_u64(part, 2000, whole) + 1) / 2) : 0;
}

void exit_stats_print(const struct exit_snapshot *snap, const char *title,
		      const struct text_out *out)
{
	const struct exit_stats *s = &snap->stats;
	const struct exit_totals t = exit_stats_totals(s);
	char line[LINE_MAX_BYTES];
	unsigned share;

	fmt_snprintf(line, sizeof(line),
		     "%sexits %s: seq %u ticks %llu idle %llu total %llu cycles %llu\n",
		     out->prefix, title, snap->seq, (unsigned long long)snap->ticks,
		     (unsigned long long)s->idle_cycles, (unsigned long long)t.count,
		     (unsigned long long)t.cycles);
	out->puts(out->ctx, line);
	fmt_snprintf(line, sizeof(line), "%s%3s %-24s %14s %18s %12s %6s\n", out->prefix, "nr",
		     "reason", "count", "cycles", "cycles/exit", "share");
	out->puts(out->ctx, line);

	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		if (!s->count[nr])
			continue;
		share = permille(s->cycles[nr], t.cycles);
		fmt_snprintf(line, sizeof(line), "%s%3u %-24s %14llu %18llu %12llu %3u.%u%%\n",
			     out->prefix, nr, exit_reason_name(nr) ? exit_reason_name(nr) : "?",
			     (unsigned long long)s->count[nr], (unsigned long long)s->cycles[nr],
			     (unsigned long long)(s->cycles[nr] / s->count[nr]), share / 10,
			     share % 10);
		out->puts(out->ctx, line);
	}
	fmt_snprintf(line, sizeof(line), "%sexits %s: done\n", out->prefix, title);
	out->puts(out->ctx, line);
	counts_print_exits(s, title, out);
	if (!snap->pages_ever)
		return;
	fmt_snprintf(line, sizeof(line), "%spages %s: written %llu ever %llu\n", out->prefix, title,
		     (unsigned long long)snap->pages_written, (unsigned long long)snap->pages_ever);
	out->puts(out->ctx, line);
}
