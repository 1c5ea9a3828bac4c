/* SPDX-License-Identifier: MIT */
/* The table of paging=compare. */
#include "exit_compare.h"

#include "counts_text.h"
#include "fmt.h"
#include "mem.h"
#include "muldiv.h"

#define LINE_MAX_BYTES 256
#define NUMBER_MAX 32 /* a sign and 20 digits, a ratio's two more */

static void put_line(const struct text_out *out, const char *text)
{
	char line[LINE_MAX_BYTES];

	fmt_snprintf(line, sizeof(line), "%s%s\n", out->prefix, text);
	out->puts(out->ctx, line);
}

static u64 distance(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

/** The four columns of a pair: both numbers, b - a with its sign, b / a in hundredths, rounded to
 *  the nearest. "-" where there is no number. */
static void columns(char text[4][NUMBER_MAX], const u64 *pair)
{
	u64 doubled, hundredths;

	for (unsigned i = 0; i < 4; i++)
		memcpy(text[i], "-", 2);
	if (!pair)
		return;
	fmt_snprintf(text[0], NUMBER_MAX, "%llu", (unsigned long long)pair[0]);
	fmt_snprintf(text[1], NUMBER_MAX, "%llu", (unsigned long long)pair[1]);
	fmt_snprintf(text[2], NUMBER_MAX, "%s%llu",
		     pair[1] > pair[0]	 ? "+"
		     : pair[1] < pair[0] ? "-"
					 : "",
		     (unsigned long long)distance(pair[0], pair[1]));
	if (!pair[0])
		return;
	doubled = mul_div_u64(pair[1], 200, pair[0]);
	hundredths = doubled / 2 + (doubled & 1);
	fmt_snprintf(text[3], NUMBER_MAX, "%llu.%02llu", (unsigned long long)(hundredths / 100),
		     (unsigned long long)(hundredths % 100));
}

#define ROW "%3s %-18s %9s %9s %10s %6s %12s %12s %13s %6s"

/** One row; `count` and `cycles` point to two numbers each, or are NULL. */
static void put_row(const struct text_out *out, const char *nr, const char *name, const u64 *count,
		    const u64 *cycles)
{
	char text[LINE_MAX_BYTES], c[4][NUMBER_MAX], t[4][NUMBER_MAX];

	columns(c, count);
	columns(t, cycles);
	fmt_snprintf(text, sizeof(text), ROW, nr, name, c[0], c[1], c[2], c[3], t[0], t[1], t[2],
		     t[3]);
	put_line(out, text);
}

static void put_header(const struct text_out *out, const char *a, const char *b)
{
	char text[LINE_MAX_BYTES], exits[NUMBER_MAX], cycles[NUMBER_MAX];

	fmt_snprintf(exits, sizeof(exits), "exits %s", a);
	fmt_snprintf(cycles, sizeof(cycles), "cycles %s", a);
	fmt_snprintf(text, sizeof(text), ROW, "nr", "reason", exits, b, "difference", "ratio",
		     cycles, b, "difference", "ratio");
	put_line(out, text);
}

/** Does reason `i` belong above reason `j`? The one whose cycles changed more, then the one whose
 * count did; like ones stay in order. */
static bool changed_more(const struct exit_stats *a, const struct exit_stats *b, u32 i, u32 j)
{
	u64 ci = distance(a->cycles[i], b->cycles[i]), cj = distance(a->cycles[j], b->cycles[j]);

	if (ci != cj)
		return ci > cj;
	return distance(a->count[i], b->count[i]) > distance(a->count[j], b->count[j]);
}

/** The reasons that occurred in either run, what changed most first. Returns how many. */
static unsigned sort_reasons(const struct exit_stats *a, const struct exit_stats *b,
			     u8 order[NR_EXIT_REASONS])
{
	unsigned n = 0, at;

	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		if (!a->count[nr] && !b->count[nr])
			continue;
		for (at = n; at && changed_more(a, b, nr, order[at - 1]); at--)
			order[at] = order[at - 1];
		order[at] = (u8)nr;
		n++;
	}
	return n;
}

static void put_reasons(const struct text_out *out, const struct exit_stats *a,
			const struct exit_stats *b)
{
	struct exit_totals ta = exit_stats_totals(a), tb = exit_stats_totals(b);
	u8 order[NR_EXIT_REASONS];
	unsigned n = sort_reasons(a, b, order);
	char number[NUMBER_MAX];

	for (unsigned i = 0; i < n; i++) {
		u32 nr = order[i];
		const char *name = exit_reason_name(nr);

		fmt_snprintf(number, sizeof(number), "%u", nr);
		put_row(out, number, name ? name : "?", (u64[]){a->count[nr], b->count[nr]},
			(u64[]){a->cycles[nr], b->cycles[nr]});
	}
	put_row(out, "-", "all", (u64[]){ta.count, tb.count}, (u64[]){ta.cycles, tb.cycles});
}

/** Ticks that were neither the hypervisor's nor idle. */
static u64 guest_ticks(const struct exit_snapshot *s)
{
	u64 others = exit_stats_totals(&s->stats).cycles + s->stats.idle_cycles;

	return s->ticks > others ? s->ticks - others : 0;
}

static void put_times(const struct text_out *out, const struct exit_snapshot *a,
		      const struct exit_snapshot *b)
{
	put_row(out, "-", "idle", NULL, (u64[]){a->stats.idle_cycles, b->stats.idle_cycles});
	put_row(out, "-", "guest", NULL, (u64[]){guest_ticks(a), guest_ticks(b)});
	put_row(out, "-", "ticks", NULL, (u64[]){a->ticks, b->ticks});
}

static void put_breakdown(const struct text_out *out, const struct exit_stats *a,
			  const struct exit_stats *b)
{
	char name[CR_ACCESS_NAME_MAX];

	for (u32 i = 0; i < NR_EXCEPTIONS; i++) {
		if (a->exceptions[i] || b->exceptions[i])
			put_row(out, "-", exception_name(i),
				(u64[]){a->exceptions[i], b->exceptions[i]}, NULL);
	}
	for (u32 i = 0; i < NR_CR_ACCESSES; i++) {
		if (!a->cr_accesses[i] && !b->cr_accesses[i])
			continue;
		cr_access_name(i, name);
		put_row(out, "-", name, (u64[]){a->cr_accesses[i], b->cr_accesses[i]}, NULL);
	}
}

bool exit_compare_same_end(const struct exit_run *a, const struct exit_run *b)
{
	return !strcmp(a->outcome, b->outcome) && a->exit_code == b->exit_code;
}

void exit_compare_print(const struct exit_run *a, const struct exit_run *b,
			const struct text_out *out)
{
	const struct exit_run *const runs[] = {a, b};
	char text[LINE_MAX_BYTES];

	fmt_snprintf(text, sizeof(text),
		     "compare: run %u %s ended %s code %u, run %u %s ended %s code %u", a->run,
		     a->mode, a->outcome, a->exit_code, b->run, b->mode, b->outcome, b->exit_code);
	put_line(out, text);
	put_header(out, a->mode, b->mode);
	put_reasons(out, &a->end.stats, &b->end.stats);
	put_times(out, &a->end, &b->end);
	put_breakdown(out, &a->end.stats, &b->end.stats);
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
		if (runs[i]->has_counters)
			counts_print_paging(runs[i]->counters, runs[i]->mode, "compare", out);
	}
	put_line(out, "compare: done");
}
