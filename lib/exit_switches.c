/* SPDX-License-Identifier: MIT */
/* Names and sets of the optional exit causes. */
#include "exit_switches.h"

#include "lib/fmt.h"
#include "lib/mem.h"
#include "x86.h"

#define EXCEPTIONS "exceptions="

static const struct {
	const char *name, *why_on;
} switches[NR_EXIT_SWITCHES] = {
#define EXIT_SWITCH(id, name, word, bits, cpu2, why_on) [EXIT_SWITCH_##id] = {name, why_on},
#include "exit_switches.def"
};

/** The exceptions that a guest can raise here: there is no #VE without its control, and CPUID hides
 *  CET, so that there is no #CP. */
static const char *const exceptions[32] = {
	[DE_VECTOR] = "de", [DB_VECTOR] = "db", [BP_VECTOR] = "bp", [OF_VECTOR] = "of",
	[BR_VECTOR] = "br", [UD_VECTOR] = "ud", [NM_VECTOR] = "nm", [DF_VECTOR] = "df",
	[TS_VECTOR] = "ts", [NP_VECTOR] = "np", [SS_VECTOR] = "ss", [GP_VECTOR] = "gp",
	[PF_VECTOR] = "pf", [MF_VECTOR] = "mf", [AC_VECTOR] = "ac", [MC_VECTOR] = "mc",
	[XM_VECTOR] = "xm",
};

/** A part of the list. */
struct word {
	const char *at;
	size_t length;
};

/** Where a list is being read. */
struct reader {
	struct exit_switches *s;
	bool on, in_exceptions;
	char *err;
	size_t size;
};

const char *exit_switch_name(enum exit_switch x)
{
	return switches[x].name;
}

const char *exit_switch_why_on(enum exit_switch x)
{
	return switches[x].why_on;
}

const char *exit_exception_name(unsigned vector)
{
	return vector < ARRAY_SIZE(exceptions) ? exceptions[vector] : NULL;
}

static size_t add_name(char *out, size_t n, u32 on, u32 off, u32 bit, const char *prefix,
		       const char *name)
{
	if (!((on | off) & bit))
		return n;
	return n + (size_t)fmt_snprintf(out + n, EXIT_SWITCHES_NAMES_MAX - n, " %c%s%s",
					on & bit ? '+' : '-', prefix, name);
}

void exit_switches_names(const struct exit_switches *s, char out[EXIT_SWITCHES_NAMES_MAX])
{
	size_t n = 0;

	out[0] = '\0';
	for (u32 x = 0; x < NR_EXIT_SWITCHES; x++)
		n = add_name(out, n, s->on, s->off, (u32)BIT(x), "", switches[x].name);
	for (u32 v = 0; v < ARRAY_SIZE(exceptions); v++) {
		if (exceptions[v])
			n = add_name(out, n, s->exceptions_on, s->exceptions_off, (u32)BIT(v),
				     EXCEPTIONS, exceptions[v]);
	}
}

static bool is_word(struct word w, const char *name)
{
	return strlen(name) == w.length && !memcmp(name, w.at, w.length);
}

static const char *sign(const struct reader *r)
{
	return r->on ? "exit+=" : "exit-=";
}

/** The switch of that name, or NR_EXIT_SWITCHES. */
static u32 find_switch(struct word w)
{
	u32 x = 0;

	while (x < NR_EXIT_SWITCHES && !is_word(w, switches[x].name))
		x++;
	return x;
}

/** Decimal, at most two digits; ~0: it is none. */
static u32 number(struct word w)
{
	u32 n = 0;

	if (!w.length || w.length > 2)
		return ~0u;
	for (size_t i = 0; i < w.length; i++) {
		if (w.at[i] < '0' || w.at[i] > '9')
			return ~0u;
		n = n * 10 + (u32)(w.at[i] - '0');
	}
	return n;
}

/** The exceptions of that name or number, as bits; 0: there is none. */
static u32 find_exceptions(struct word w)
{
	const u32 n = number(w);
	u32 all = 0;

	for (u32 i = 0; i < ARRAY_SIZE(exceptions); i++) {
		if (!exceptions[i])
			continue;
		if (is_word(w, exceptions[i]) || n == i)
			return (u32)BIT(i);
		all |= (u32)BIT(i);
	}
	return is_word(w, "all") ? all : 0;
}

static void move(u32 bits, u32 *to, u32 *from)
{
	*to |= bits;
	*from &= ~bits;
}

/** Exceptions of which an endless row, or the host's affairs, depend. */
static bool add_exceptions(const struct reader *r, u32 bits)
{
	const u32 always = (u32)(BIT(AC_VECTOR) | BIT(DB_VECTOR) | BIT(MC_VECTOR));
	struct exit_switches *s = r->s;

	for (u32 i = 0; !r->on && i < ARRAY_SIZE(exceptions); i++) {
		if (!(bits & always & BIT(i)))
			continue;
		fmt_snprintf(r->err, r->size,
			     "exit-=exceptions=%s is not possible: %s; leave it out", exceptions[i],
			     i == MC_VECTOR
				     ? "machine checks are the hypervisor's"
				     : "it can be raised without end within one instruction "
				       "of the guest, which would hold the processor for ever");
		return false;
	}
	if (r->on)
		move(bits, &s->exceptions_on, &s->exceptions_off);
	else
		move(bits, &s->exceptions_off, &s->exceptions_on);
	return true;
}

static bool add_switch(const struct reader *r, u32 x)
{
	struct exit_switches *s = r->s;

	if (!r->on && switches[x].why_on) {
		fmt_snprintf(r->err, r->size, "exit-=%s is not possible: %s; leave it out",
			     switches[x].name, switches[x].why_on);
		return false;
	}
	if (r->on)
		move((u32)BIT(x), &s->on, &s->off);
	else
		move((u32)BIT(x), &s->off, &s->on);
	return true;
}

static bool refuse_exception(const struct reader *r, struct word w)
{
	int n = fmt_snprintf(r->err, r->size,
			     "%sexceptions=%.*s is not possible: the exceptions are all", sign(r),
			     (int)MIN(w.length, 20), w.at);

	for (u32 i = 0; i < ARRAY_SIZE(exceptions) && n < (int)r->size; i++) {
		if (exceptions[i])
			n += fmt_snprintf(r->err + n, r->size - (size_t)n, " %s", exceptions[i]);
	}
	return false;
}

static bool refuse_word(const struct reader *r, struct word w)
{
	int n = fmt_snprintf(r->err, r->size, "%s%.*s is not possible: the causes are", sign(r),
			     (int)MIN(w.length, 20), w.at);

	for (u32 x = 0; x < NR_EXIT_SWITCHES && n < (int)r->size; x++)
		n += fmt_snprintf(r->err + n, r->size - (size_t)n, " %s", switches[x].name);
	if (n < (int)r->size)
		fmt_snprintf(r->err + n, r->size - (size_t)n, " " EXCEPTIONS "<name>");
	return false;
}

static bool add_word(struct reader *r, struct word w)
{
	const size_t prefix = sizeof(EXCEPTIONS) - 1;
	u32 x, bits;

	if (w.length >= prefix && !memcmp(w.at, EXCEPTIONS, prefix)) {
		r->in_exceptions = true;
		w.at += prefix;
		w.length -= prefix;
		bits = find_exceptions(w);
		return bits ? add_exceptions(r, bits) : refuse_exception(r, w);
	}
	bits = r->in_exceptions ? find_exceptions(w) : 0;
	if (bits)
		return add_exceptions(r, bits);
	if (r->in_exceptions && number(w) != ~0u)
		return refuse_exception(r, w);
	x = find_switch(w);
	return x < NR_EXIT_SWITCHES ? add_switch(r, x) : refuse_word(r, w);
}

bool exit_switches_parse(struct exit_switches *s, bool on, const char *list, char *err, size_t size)
{
	struct reader r = {.s = s, .on = on, .err = err, .size = size};

	for (;; list++) {
		struct word w = {.at = list};

		while (list[w.length] && list[w.length] != ',')
			w.length++;
		if (!add_word(&r, w))
			return false;
		list += w.length;
		if (!*list)
			return true;
	}
}
