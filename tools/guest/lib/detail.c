/* SPDX-License-Identifier: MIT */
/* What exitstat --detail adds. */
#include "detail.h"

#include <stdlib.h>
#include <string.h>

#include "msr_names.h"

#define COLUMNS 100

/** So many of the things that a reason's exits were for are shown. */
#define TOP 12

static void read_cycles(detail_cpuid cpuid, struct exit_detail *d, u32 nr, u64 used)
{
	for (u32 i = 0; i < CYCLE_BUCKETS / 2; i++) {
		struct cpuid_regs r;

		if (!(used >> 2 * i & 3))
			continue;
		r = cpuid(TV_CPUID_DETAIL, TV_DETAIL_CYCLES + (nr << 8) + i);
		d->cycles[nr][2 * i] = (u64)r.ebx << 32 | r.eax;
		d->cycles[nr][2 * i + 1] = (u64)r.edx << 32 | r.ecx;
	}
}

static void read_tally(detail_cpuid cpuid, struct exit_detail *d, u32 nr, u32 entries)
{
	int kind = exit_detail_kind(nr);

	for (u32 i = 0; kind >= 0 && i < entries; i++) {
		struct cpuid_regs r = cpuid(TV_CPUID_DETAIL, TV_DETAIL_TALLY + (nr << 8) + i);
		struct tally *t = &d->tally[kind];
		u64 count = (u64)r.edx << 32 | r.ecx;

		*(i ? tally_count(t, r.eax) : &t->count[0]) += count;
	}
}

/** What there is of a reason adds up to its exits. */
static bool complete(const struct exit_detail *d, u32 nr, u64 count)
{
	int kind = exit_detail_kind(nr);
	u64 cycles = 0, tallied = 0;

	for (u32 i = 0; i < CYCLE_BUCKETS; i++)
		cycles += d->cycles[nr][i];
	if (kind < 0)
		return cycles == count;
	for (u32 i = 0; i <= d->tally[kind].used; i++)
		tallied += d->tally[kind].count[i];
	return cycles == count && tallied == count;
}

bool detail_read(detail_cpuid cpuid, struct exit_detail *d, const struct exit_stats *s)
{
	bool all = true;

	exit_detail_init(d);
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		struct cpuid_regs r;

		if (!s->count[nr])
			continue;
		r = cpuid(TV_CPUID_DETAIL, nr);
		d->least[nr] = (u64)r.ebx << 32 | r.eax;
		d->most[nr] = (u64)r.edx << 32 | r.ecx;
		r = cpuid(TV_CPUID_DETAIL, TV_DETAIL_USED + nr);
		read_cycles(cpuid, d, nr, (u64)r.ebx << 32 | r.eax);
		read_tally(cpuid, d, nr, r.ecx);
		all = all && complete(d, nr, s->count[nr]);
	}
	return all;
}

/** The histogram as one character for each power of two, between the lowest and the highest: a
 *  digit is tenths of the fullest, rounded down, a dot less than one. */
static void print_histogram(const u64 *cycles, FILE *out)
{
	u32 first = CYCLE_BUCKETS, last = 0;
	u64 full = 0;

	for (u32 i = 0; i < CYCLE_BUCKETS; i++) {
		if (!cycles[i])
			continue;
		first = MIN(first, i);
		last = i;
		full = MAX(full, cycles[i]);
	}
	fprintf(out, "%5s%u|", "2^", first);
	for (u32 i = first; i <= last; i++) {
		u64 tenths = cycles[i] / ((full + 9) / 10);

		if (!cycles[i])
			fputc(' ', out);
		else if (cycles[i] == full)
			fputc('#', out);
		else
			fputc(tenths ? (int)('0' + MIN(tenths, 9)) : '.', out);
	}
	fprintf(out, "|2^%u\n", last + 1);
}

static void value_name(enum tally_kind kind, u32 what, char name[TALLY_NAME_MAX])
{
	_Static_assert(MSR_NAME_MAX == TALLY_NAME_MAX, "a name of either fits");
	if (kind == TALLY_RDMSR || kind == TALLY_WRMSR)
		msr_name(what, name);
	else
		tally_name(kind, what, name);
}

/** The next word of a list, on a new line where it does not fit. */
static void print_word(u32 *column, const char *word, FILE *out)
{
	if (*column && *column + 2 + strlen(word) > COLUMNS) {
		fputs(",\n", out);
		*column = 0;
	}
	*column += (u32)fprintf(out, "%s%s", *column ? ", " : "        ", word);
}

/** What the exits were for, the most frequent first. */
static void print_tally(const struct tally *t, enum tally_kind kind, FILE *out)
{
	bool shown[1 + TALLY_VALUES] = {false};
	char word[TALLY_NAME_MAX + 32], name[TALLY_NAME_MAX];
	u64 rest = 0;
	u32 column = 0;

	for (u32 n = 0; n < TOP; n++) {
		u32 best = 0;

		for (u32 i = 1; i <= t->used; i++) {
			if (!shown[i] && t->count[i] && (!best || t->count[i] > t->count[best]))
				best = i;
		}
		if (!best)
			break;
		shown[best] = true;
		value_name(kind, t->what[best], name);
		snprintf(word, sizeof(word), "%s %llu", name, (unsigned long long)t->count[best]);
		print_word(&column, word, out);
	}
	for (u32 i = 0; i <= t->used; i++)
		rest += shown[i] ? 0 : t->count[i];
	if (rest) {
		snprintf(word, sizeof(word), "others %llu", (unsigned long long)rest);
		print_word(&column, word, out);
	}
	if (column)
		fputc('\n', out);
}

static void print_extreme(bool known, u64 cycles, FILE *out)
{
	if (known)
		fprintf(out, " %10llu", (unsigned long long)cycles);
	else
		fprintf(out, " %10s", "-");
}

void detail_print(const struct exit_detail *d, const struct exit_stats *s, bool extremes, FILE *out)
{
	fprintf(out, "\n%3s %-24s %12s %10s %10s %10s  %s\n", "nr", "reason", "count", "least",
		"mean", "most", "cycles by powers of 2");
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		int kind = exit_detail_kind(nr);

		if (!s->count[nr])
			continue;
		fprintf(out, "%3u %-24s %12llu", nr, exit_reason_name(nr),
			(unsigned long long)s->count[nr]);
		print_extreme(extremes, d->least[nr], out);
		print_extreme(true, s->cycles[nr] / s->count[nr], out);
		print_extreme(extremes, d->most[nr], out);
		print_histogram(d->cycles[nr], out);
		if (kind >= 0)
			print_tally(&d->tally[kind], (enum tally_kind)kind, out);
	}
}

void detail_print_json(const struct exit_detail *d, u32 nr, bool extremes, FILE *out)
{
	int kind = exit_detail_kind(nr);
	const char *separator = "";
	char name[TALLY_NAME_MAX];

	if (extremes)
		fprintf(out, ",\"least\":%llu,\"most\":%llu", (unsigned long long)d->least[nr],
			(unsigned long long)d->most[nr]);
	fputs(",\"histogram\":{", out);
	for (u32 i = 0; i < CYCLE_BUCKETS; i++) {
		if (!d->cycles[nr][i])
			continue;
		fprintf(out, "%s\"%llu\":%llu", separator, i ? 1ull << i : 0,
			(unsigned long long)d->cycles[nr][i]);
		separator = ",";
	}
	fputs("}", out);
	if (kind < 0)
		return;
	separator = "";
	fputs(",\"details\":{", out);
	for (u32 i = 1; i <= d->tally[kind].used; i++) {
		if (!d->tally[kind].count[i])
			continue;
		tally_name((enum tally_kind)kind, d->tally[kind].what[i], name);
		fprintf(out, "%s\"%s\":%llu", separator, name,
			(unsigned long long)d->tally[kind].count[i]);
		separator = ",";
	}
	if (d->tally[kind].count[0])
		fprintf(out, "%s\"others\":%llu", separator,
			(unsigned long long)d->tally[kind].count[0]);
	fputs("}", out);
}
