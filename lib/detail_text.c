/* SPDX-License-Identifier: MIT */
/* What exits were for, by name, and the lines of the finer counters (docs/stats.md). */
#include "counts_text.h"
#include "exit_detail.h"
#include "fmt.h"
#include "x86.h"

/** Exit qualification for APIC accesses, table 28-6. */
static const char *apic_access_kind(u32 what)
{
	static const char *const kinds[16] = {
		[0] = "read",  [1] = "write",		[2] = "fetch",	   [3] = "event",
		[4] = "trace", [10] = "event-physical", [15] = "physical",
	};
	const char *kind = kinds[what >> 12 & 15];

	return kind ? kind : "access";
}

static void name_exception(u32 what, char name[TALLY_NAME_MAX])
{
	static const char *const causes[NR_PF_CAUSES] = {
		[PF_FILL] = "fill",	    [PF_REFLECTED] = "reflected",
		[PF_MMIO] = "mmio",	    [PF_WRITE_PROTECT] = "write-protect",
		[PF_EMULATED] = "emulated", [PF_SPURIOUS] = "spurious",
	};
	u32 vector = what & 0xff, cause = (what >> 8) - 1;
	const char *e = exception_name(vector);

	if (cause < NR_PF_CAUSES)
		fmt_snprintf(name, TALLY_NAME_MAX, "%s-%s", e ? e : "?", causes[cause]);
	else
		fmt_snprintf(name, TALLY_NAME_MAX, "%s", e ? e : "?");
}

static void name_ept(u32 what, char name[TALLY_NAME_MAX])
{
	static const char *const access[TALLY_EPT_ACCESS + 1] = {
		"none",	 "read",       "write",	      "read-write",
		"fetch", "read-fetch", "write-fetch", "read-write-fetch"};

	fmt_snprintf(name, TALLY_NAME_MAX, "%s%s-%s", what & TALLY_EPT_WALK ? "walk-" : "",
		     access[what & TALLY_EPT_ACCESS],
		     what & TALLY_EPT_MAPPED ? "forbidden" : "unmapped");
}

void tally_name(enum tally_kind kind, u32 what, char name[TALLY_NAME_MAX])
{
	switch (kind) {
	case TALLY_EXCEPTION:
		name_exception(what, name);
		break;
	case TALLY_CR:
		cr_access_name(what, name);
		break;
	case TALLY_IO:
		fmt_snprintf(name, TALLY_NAME_MAX, "%s-0x%x", what & TALLY_IO_IN ? "in" : "out",
			     what >> 16);
		break;
	case TALLY_APIC_ACCESS:
		fmt_snprintf(name, TALLY_NAME_MAX, "%s-0x%x", apic_access_kind(what), what & 0xfff);
		break;
	case TALLY_EPT:
		name_ept(what, name);
		break;
	default:
		fmt_snprintf(name, TALLY_NAME_MAX, "0x%x", what);
		break;
	}
}

/** "CPUID-cycles end: least 85 most 20411 64 4000 128 8014": after the two, where each bucket
 *  begins and what is in it. */
static void print_cycles(const struct exit_detail *d, u32 nr, const char *title,
			 const struct text_out *out)
{
	struct counts_text t;
	char name[TALLY_NAME_MAX];

	fmt_snprintf(name, sizeof(name), "%s-cycles", exit_reason_name(nr));
	counts_begin(&t, name, title, out);
	counts_add(&t, "least", d->least[nr]);
	counts_add(&t, "most", d->most[nr]);
	for (u32 i = 0; i < CYCLE_BUCKETS; i++) {
		if (!d->cycles[nr][i])
			continue;
		fmt_snprintf(name, sizeof(name), "%llu", i ? 1ull << i : 0);
		counts_add(&t, name, d->cycles[nr][i]);
	}
	counts_end(&t);
}

static void print_tally(const struct tally *tally, enum tally_kind kind, u32 nr, const char *title,
			const struct text_out *out)
{
	struct counts_text t;
	char name[TALLY_NAME_MAX];

	counts_begin(&t, exit_reason_name(nr), title, out);
	for (u32 i = 1; i <= tally->used; i++) {
		if (!tally->count[i])
			continue;
		tally_name(kind, tally->what[i], name);
		counts_add(&t, name, tally->count[i]);
	}
	if (tally->count[0])
		counts_add(&t, "others", tally->count[0]);
	counts_end(&t);
}

void exit_detail_print(const struct exit_detail *d, const struct exit_stats *s, const char *title,
		       const struct text_out *out)
{
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		int kind = exit_detail_kind(nr);

		if (!s->count[nr] || !exit_reason_name(nr))
			continue;
		print_cycles(d, nr, title, out);
		if (kind >= 0)
			print_tally(&d->tally[kind], (enum tally_kind)kind, nr, title, out);
	}
}
