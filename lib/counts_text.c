/* SPDX-License-Identifier: MIT */
/* Lines of names and numbers. */
#include "counts_text.h"

#include "fmt.h"
#include "mem.h"
#include "shadow_counters.h"

#define NAME_MAX 40

void counts_begin(struct counts_text *t, const char *what, const char *title,
		  const struct text_out *out)
{
	int n = fmt_snprintf(t->line, sizeof(t->line), "%.40s%.40s %.40s:", out->prefix, what,
			     title);

	t->out = out;
	t->head = t->used = (size_t)n;
}

void counts_end(struct counts_text *t)
{
	if (t->used == t->head)
		return;
	t->line[t->used] = '\n';
	t->line[t->used + 1] = '\0';
	t->out->puts(t->out->ctx, t->line);
	t->used = t->head;
}

void counts_add(struct counts_text *t, const char *name, u64 value)
{
	char pair[NAME_MAX + 24]; /* a blank on either side, and 20 digits */
	size_t n;

	fmt_snprintf(pair, sizeof(pair), " %.*s %llu", NAME_MAX, name, (unsigned long long)value);
	n = strlen(pair);
	if (t->used + n >= COUNTS_COLUMNS)
		counts_end(t);
	memcpy(t->line + t->used, pair, n);
	t->used += n;
}

void counts_print_exits(const struct exit_stats *s, const char *title, const struct text_out *out)
{
	char name[CR_ACCESS_NAME_MAX];
	struct counts_text t;

	counts_begin(&t, "exceptions", title, out);
	for (u32 i = 0; i < NR_EXCEPTIONS; i++) {
		if (s->exceptions[i])
			counts_add(&t, exception_name(i), s->exceptions[i]);
	}
	counts_end(&t);
	counts_begin(&t, "cr", title, out);
	for (u32 i = 0; i < NR_CR_ACCESSES; i++) {
		if (!s->cr_accesses[i])
			continue;
		cr_access_name(i, name);
		counts_add(&t, name, s->cr_accesses[i]);
	}
	counts_end(&t);
}

void counts_print_paging(const u64 *counters, const char *mode, const char *title,
			 const struct text_out *out)
{
	static const char *const names[NR_SHADOW_COUNTERS] = {
#define SHADOW_COUNTER(id, name, meaning) [SHADOW_##id] = name,
#include "shadow_counters.def"
#undef SHADOW_COUNTER
	};
	struct counts_text t;

	counts_begin(&t, mode, title, out);
	for (u32 i = 0; i < NR_SHADOW_COUNTERS; i++)
		counts_add(&t, names[i], counters[i]);
	counts_end(&t);
}
