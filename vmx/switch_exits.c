/* SPDX-License-Identifier: MIT */
/* Switching optional exit causes. */
#include "vmx/switch_exits.h"

#include "lib/fmt.h"
#include "vmx_features.h"

enum word { CAUSE_CPU1, CAUSE_CPU2, CAUSE_NONE };

static const struct cause {
	enum word word;
	u32 bits, cpu2;
} causes[NR_EXIT_SWITCHES] = {
#define EXIT_SWITCH(id, name, word, bits, cpu2, why_on)                                            \
	[EXIT_SWITCH_##id] = {CAUSE_##word, (u32)(bits), (u32)(cpu2)},
#include "exit_switches.def"
};

/** What all functions here look at. */
struct request {
	const struct exit_switches *s;
	const struct vmx_caps *caps;
	const struct exit_needs *needs;
	struct vmx_controls *c;
	char *err;
	size_t size;
};

static bool refuse(const struct request *r, const char *sign, u32 x, const char *why)
{
	fmt_snprintf(r->err, r->size, "exit%s=%s is not possible: %s", sign,
		     exit_switch_name((enum exit_switch)x), why);
	return false;
}

static enum vmx_word word_of(const struct cause *k)
{
	return k->word == CAUSE_CPU1 ? WORD_CPU1 : WORD_CPU2;
}

/** Is it a feature that features-= took away? */
static bool taken(const struct request *r, u32 x)
{
	u32 off = features_with_dependents(r->needs->features_off);

	return (x == EXIT_SWITCH_WBINVD && (off & FEATURE_BIT(WBINVD_EXITING))) ||
	       (x == EXIT_SWITCH_RDTSCP && (off & FEATURE_BIT(RDTSCP))) ||
	       (x == EXIT_SWITCH_XSAVES && (off & FEATURE_BIT(XSAVES)));
}

static bool switch_on(const struct request *r, u32 x)
{
	const struct cause *k = &causes[x];

	if ((k->bits & ~r->caps->may1[word_of(k)]) || (k->cpu2 & ~r->caps->may1[WORD_CPU2]))
		return refuse(r, "+", x,
			      taken(r, x) ? "features-= takes it away: leave one of the two out"
					  : "this CPU lacks it: leave it out");
	r->c->word[word_of(k)] |= k->bits;
	return true;
}

/** Why the paging mode, or an option, cannot spare it; or NULL. */
static const char *needed(const struct request *r, u32 x)
{
	const struct cause *k = &causes[x];

	if (k->word == CAUSE_CPU1 && (k->bits & r->needs->cpu1))
		return "its page tables follow the guest's by it; leave it out, or write "
		       "paging=ept";
	/* Without a TPR shadow, what does not exit is the machine's own task priority. */
	if (x == EXIT_SWITCH_CR8 && !(r->c->word[WORD_CPU1] & CPU1_TPR_SHADOW))
		return "without a TPR shadow the guest would set the machine's own task priority; "
		       "leave it out";
	if ((x == EXIT_SWITCH_RDRAND || x == EXIT_SWITCH_RDSEED) && r->needs->hidden_random)
		return "reproducible=1 hides the instruction; leave one of the two out";
	return NULL;
}

static bool switch_off(const struct request *r, u32 x)
{
	const struct cause *k = &causes[x];
	const char *why = needed(r, x);

	if (why && (k->bits & r->needs->cpu1)) {
		fmt_snprintf(r->err, r->size, "exit-=%s is not possible with paging=%s: %s",
			     exit_switch_name((enum exit_switch)x), r->needs->mode, why);
		return false;
	}
	if (why)
		return refuse(r, "-", x, why);
	if (k->bits & r->caps->must1[word_of(k)])
		return refuse(r, "-", x, "this CPU insists on it; leave it out");
	r->c->word[word_of(k)] &= ~k->bits;
	return true;
}

/** RDTSC and RDTSCP: one control. */
static bool check_pairs(const struct request *r)
{
	for (u32 on = 0; on < NR_EXIT_SWITCHES; on++) {
		for (u32 off = 0; off < NR_EXIT_SWITCHES; off++) {
			if (!(r->s->on & BIT(on)) || !(r->s->off & BIT(off)) ||
			    causes[on].word != causes[off].word ||
			    !(causes[on].bits & causes[off].bits))
				continue;
			fmt_snprintf(r->err, r->size,
				     "exit+=%s and exit-=%s are not possible together: the "
				     "processor has one control for both; leave one out",
				     exit_switch_name((enum exit_switch)on),
				     exit_switch_name((enum exit_switch)off));
			return false;
		}
	}
	return true;
}

enum switch_result exit_switch_change(enum exit_switch x, bool on, const struct vmx_caps *caps,
				      const struct exit_needs *needs, struct vmx_controls *c)
{
	const struct exit_switches none = {.on = 0};
	const struct request r = {&none, caps, needs, c, NULL, 0};

	if (on)
		return switch_on(&r, x) ? SWITCH_CHANGED : SWITCH_LACKING;
	if (exit_switch_why_on(x) || needed(&r, x))
		return SWITCH_NEEDED;
	return switch_off(&r, x) ? SWITCH_CHANGED : SWITCH_LACKING;
}

bool exit_switches_apply(const struct exit_switches *s, const struct vmx_caps *caps,
			 const struct exit_needs *needs, struct vmx_controls *c, char *err,
			 size_t size)
{
	const struct request r = {s, caps, needs, c, err, size};
	u32 lost = s->exceptions_off & needs->exceptions;

	if (!check_pairs(&r))
		return false;
	for (u32 v = 0; v < 32; v++) {
		if (!(lost & BIT(v)))
			continue;
		fmt_snprintf(err, size,
			     "exit-=exceptions=%s is not possible with paging=%s: its page tables "
			     "are made by it; leave it out, or write paging=ept",
			     exit_exception_name(v), needs->mode);
		return false;
	}
	for (u32 x = 0; x < NR_EXIT_SWITCHES; x++) {
		if ((s->off & BIT(x)) && !switch_off(&r, x))
			return false;
		if ((s->on & BIT(x)) && !switch_on(&r, x))
			return false;
	}
	return true;
}
