/* SPDX-License-Identifier: MIT */
/* exit+= and exit-=: lib/exit_switches.c reads them, vmx/switch_exits.c makes controls of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "exit_switches.h"
#include "lib/fmt.h"
#include "options.h"
#include "vmx/switch_exits.h"
#include "vmx_features.h"
#include "x86.h"

static struct exit_switches parse(const char *line)
{
	struct options o;
	char err[OPT_ERROR_MAX];

	options_default(&o);
	if (!options_parse(&o, line, strlen(line), err))
		fail_msg("\"%s\" was refused: %s", line, err);
	assert_int_equal(o.exits.on & o.exits.off, 0);
	assert_int_equal(o.exits.exceptions_on & o.exits.exceptions_off, 0);
	return o.exits;
}

static void refuse(const char *line, const char *sentence)
{
	struct options o;
	char err[OPT_ERROR_MAX];

	options_default(&o);
	if (options_parse(&o, line, strlen(line), err))
		fail_msg("\"%s\" was accepted", line);
	assert_string_equal(err, sentence);
}

static void names_of_causes(void **state)
{
	char line[64];

	(void)state;
	for (u32 x = 0; x < NR_EXIT_SWITCHES; x++) {
		fmt_snprintf(line, sizeof(line), "exit+=%s", exit_switch_name(x));
		assert_int_equal(parse(line).on, BIT(x));
	}
	assert_int_equal(parse("exit+=pause,hlt exit-=rdtsc").on,
			 EXIT_SWITCH_BIT(PAUSE) | EXIT_SWITCH_BIT(HLT));
	assert_int_equal(parse("exit+=pause,hlt exit-=rdtsc").off, EXIT_SWITCH_BIT(RDTSC));
	/* The last one wins. */
	assert_int_equal(parse("exit+=pause,hlt exit-=pause").on, EXIT_SWITCH_BIT(HLT));
	assert_int_equal(parse("exit-=hlt exit+=hlt").off, 0);
}

static void names_of_exceptions(void **state)
{
	struct exit_switches s = parse("exit+=exceptions=pf,gp,6,pause");

	(void)state;
	assert_int_equal(s.exceptions_on, BIT(PF_VECTOR) | BIT(GP_VECTOR) | BIT(UD_VECTOR));
	assert_int_equal(s.on, EXIT_SWITCH_BIT(PAUSE));
	s = parse("exit+=exceptions=all exit-=exceptions=0,xm");
	assert_int_equal(s.exceptions_on, 0xf7dfb & ~(BIT(0) | BIT(XM_VECTOR)));
	assert_int_equal(s.exceptions_off, BIT(0) | BIT(XM_VECTOR));
	for (unsigned v = 0; v < 40; v++) {
		char line[64];

		if (!exit_exception_name(v))
			continue;
		fmt_snprintf(line, sizeof(line), "exit+=exceptions=%s", exit_exception_name(v));
		assert_int_equal(parse(line).exceptions_on, BIT(v));
	}
}

static void words_that_are_none(void **state)
{
	static const char causes[] =
		"rdtsc rdtscp rdpmc pause invlpg cr3-load cr3-store cr8 mov-dr hlt mwait monitor "
		"wbinvd descriptor-table rdrand rdseed xsaves io=all msr=all mtf exceptions=<name>";
	static const char names[] =
		"the exceptions are all de db bp of br ud nm df ts np ss gp pf mf ac mc xm";
	char sentence[OPT_ERROR_MAX];

	(void)state;
	fmt_snprintf(sentence, sizeof(sentence), "exit+=paus is not possible: the causes are %s",
		     causes);
	refuse("exit+=pause,paus", sentence);
	/* A vector's name counts behind exceptions= only. */
	fmt_snprintf(sentence, sizeof(sentence), "exit-=pf is not possible: the causes are %s",
		     causes);
	refuse("exit-=pf", sentence);
	fmt_snprintf(sentence, sizeof(sentence), "exit+= is not possible: the causes are %s",
		     causes);
	refuse("exit+=hlt,", sentence);
	fmt_snprintf(sentence, sizeof(sentence), "exit+=exceptions=15 is not possible: %s", names);
	refuse("exit+=exceptions=pf,15", sentence);
	fmt_snprintf(sentence, sizeof(sentence), "exit+=exceptions=2 is not possible: %s", names);
	refuse("exit+=exceptions=2", sentence);
	fmt_snprintf(sentence, sizeof(sentence), "exit-=exceptions= is not possible: %s", names);
	refuse("exit-=exceptions=", sentence);
	refuse("exit+", "option \"exit+\" lacks its value: write exit+=<name>,<name>...");
}

static void what_is_never_switched_off(void **state)
{
	(void)state;
	refuse("exit-=io=all", "exit-=io=all is not possible: the guest's ports are devices of "
			       "this hypervisor; leave it out");
	refuse("exit-=hlt,mwait", "exit-=mwait is not possible: CPUID hides MWAIT from the guest, "
				  "which then must see #UD; leave it out");
	refuse("exit-=exceptions=ac",
	       "exit-=exceptions=ac is not possible: it can be raised without end within one "
	       "instruction of the guest, which would hold the processor for ever; leave it out");
	refuse("exit-=exceptions=18", "exit-=exceptions=mc is not possible: machine checks are the "
				      "hypervisor's; leave it out");
	parse("exit+=io=all,mwait,exceptions=ac");
}

/** A processor that may switch all of it, and one of the first generation. */
static const struct vmx_caps all = {.may1 = {~0u, ~0u, ~0u, ~0u, ~0u}};
static const struct vmx_caps few = {.may1 = {[WORD_CPU1] = CPU1_HLT_EXITING | CPU1_RDTSC_EXITING},
				    .must1 = {[WORD_CPU1] = CPU1_CR3_LOAD_EXITING}};
static const struct exit_needs ept = {.mode = "ept"};
static const struct exit_needs shadow = {.mode = "shadow",
					 .cpu1 = CPU1_CR3_LOAD_EXITING | CPU1_CR3_STORE_EXITING |
						 CPU1_INVLPG_EXITING,
					 .exceptions = (u32)BIT(PF_VECTOR)};

static struct vmx_controls apply(const char *line, u32 cpu1)
{
	struct vmx_controls c = {.word = {[WORD_CPU1] = cpu1}};
	struct exit_switches s = parse(line);
	char err[OPT_ERROR_MAX];

	if (!exit_switches_apply(&s, &all, &ept, &c, err, sizeof(err)))
		fail_msg("%s: %s", line, err);
	return c;
}

static void cannot(const char *line, const struct vmx_caps *caps, struct exit_needs needs,
		   const char *sentence)
{
	struct vmx_controls c = {.word = {0}};
	struct exit_switches s = parse(line);
	char err[OPT_ERROR_MAX];

	if (exit_switches_apply(&s, caps, &needs, &c, err, sizeof(err)))
		fail_msg("%s was accepted", line);
	assert_string_equal(err, sentence);
}

static void controls(void **state)
{
	struct vmx_controls c = apply("exit+=pause,descriptor-table,cr8 exit-=hlt",
				      CPU1_HLT_EXITING | CPU1_TPR_SHADOW);

	(void)state;
	assert_int_equal(c.word[WORD_CPU1], CPU1_PAUSE_EXITING | CPU1_CR8_LOAD_EXITING |
						    CPU1_CR8_STORE_EXITING | CPU1_TPR_SHADOW);
	assert_int_equal(c.word[WORD_CPU2], CPU2_DESC_TABLE_EXITING);
	/* No controls of the processor's. */
	c = apply("exit+=msr=all,io=all,xsaves,exceptions=all exit-=xsaves", 0);
	assert_int_equal(c.word[WORD_CPU1] | c.word[WORD_CPU2], 0);
	c = apply("exit-=cr8", CPU1_TPR_SHADOW);
	assert_int_equal(c.word[WORD_CPU1], CPU1_TPR_SHADOW);
	c = apply("exit+=rdtscp exit-=wbinvd", 0);
	assert_int_equal(c.word[WORD_CPU1], CPU1_RDTSC_EXITING);
}

static void what_the_processor_lacks(void **state)
{
	struct exit_needs needs = ept;

	(void)state;
	cannot("exit+=mtf", &few, ept,
	       "exit+=mtf is not possible: this CPU lacks it: leave it out");
	cannot("exit+=rdtscp", &few, ept,
	       "exit+=rdtscp is not possible: this CPU lacks it: leave it out");
	needs.features_off = FEATURE_BIT(WBINVD_EXITING);
	cannot("exit+=wbinvd", &few, needs,
	       "exit+=wbinvd is not possible: features-= takes it away: leave one of the two out");
	cannot("exit+=pause", &few, needs,
	       "exit+=pause is not possible: this CPU lacks it: leave it out");
	cannot("exit-=cr3-load", &few, ept,
	       "exit-=cr3-load is not possible: this CPU insists on it; leave it out");
}

static void what_a_mode_needs(void **state)
{
	struct exit_needs needs = ept;

	(void)state;
	cannot("exit-=invlpg", &all, shadow,
	       "exit-=invlpg is not possible with paging=shadow: its page tables follow the "
	       "guest's by it; leave it out, or write paging=ept");
	cannot("exit-=exceptions=pf", &all, shadow,
	       "exit-=exceptions=pf is not possible with paging=shadow: its page tables are made "
	       "by it; leave it out, or write paging=ept");
	cannot("exit-=cr8", &all, ept,
	       "exit-=cr8 is not possible: without a TPR shadow the guest would set the machine's "
	       "own task priority; leave it out");
	needs.hidden_random = true;
	cannot("exit-=rdseed", &all, needs,
	       "exit-=rdseed is not possible: reproducible=1 hides the instruction; leave one of "
	       "the two out");
	cannot("exit+=rdtsc exit-=rdtscp", &all, ept,
	       "exit+=rdtsc and exit-=rdtscp are not possible together: the processor has one "
	       "control for both; leave one out");
	apply("exit-=invlpg,cr3-load,cr3-store,exceptions=pf,rdrand", 0);
}

static void what_is_switched_by_name(void **state)
{
	char names[EXIT_SWITCHES_NAMES_MAX], err[OPT_ERROR_MAX], list[] = "rdtsc,mtf";
	struct exit_switches s = {0}, most = {~0u, 0, ~0u, 0};

	(void)state;
	exit_switches_names(&s, names);
	assert_string_equal(names, "");
	assert_true(exit_switches_parse(&s, true, list, err, sizeof(err)));
	assert_true(exit_switches_parse(&s, true, "exceptions=ud,pf", err, sizeof(err)));
	assert_true(exit_switches_parse(&s, false, "hlt,rdtsc", err, sizeof(err)));
	exit_switches_names(&s, names);
	assert_string_equal(names, " -rdtsc -hlt +mtf +exceptions=ud +exceptions=pf");
	exit_switches_names(&most, names);
	assert_true(strlen(names) < sizeof(names) - 1 && strstr(names, " +exceptions=xm"));
}

static enum switch_result change(enum exit_switch x, bool on, const struct vmx_caps *caps,
				 const struct exit_needs *needs, u32 cpu1, u32 want)
{
	struct vmx_controls c = {.word = {[WORD_CPU1] = cpu1}};
	enum switch_result result = exit_switch_change(x, on, caps, needs, &c);

	assert_int_equal(c.word[WORD_CPU1], want);
	assert_int_equal(c.word[WORD_CPU2], 0);
	return result;
}

/** One at a time, while the guest runs. */
static void a_single_switch(void **state)
{
	const u32 hlt = CPU1_HLT_EXITING, cr3 = CPU1_CR3_LOAD_EXITING;
	struct exit_needs random = ept;

	(void)state;
	random.hidden_random = true;
	assert_int_equal(change(EXIT_SWITCH_HLT, true, &all, &ept, 1, hlt | 1), SWITCH_CHANGED);
	assert_int_equal(change(EXIT_SWITCH_HLT, true, &all, &ept, hlt, hlt), SWITCH_CHANGED);
	assert_int_equal(change(EXIT_SWITCH_HLT, false, &all, &ept, hlt, 0), SWITCH_CHANGED);
	assert_int_equal(change(EXIT_SWITCH_PAUSE, true, &few, &ept, hlt, hlt), SWITCH_LACKING);
	assert_int_equal(change(EXIT_SWITCH_RDTSCP, true, &few, &ept, 0, 0), SWITCH_LACKING);
	assert_int_equal(change(EXIT_SWITCH_CR3_LOAD, false, &few, &ept, cr3, cr3), SWITCH_LACKING);
	assert_int_equal(change(EXIT_SWITCH_CR3_LOAD, false, &all, &shadow, cr3, cr3),
			 SWITCH_NEEDED);
	assert_int_equal(change(EXIT_SWITCH_CR3_LOAD, false, &all, &ept, cr3, 0), SWITCH_CHANGED);
	assert_int_equal(change(EXIT_SWITCH_RDPMC, false, &all, &ept, 0, 0), SWITCH_NEEDED);
	assert_int_equal(change(EXIT_SWITCH_CR8, false, &all, &ept, 0, 0), SWITCH_NEEDED);
	assert_int_equal(change(EXIT_SWITCH_RDRAND, false, &all, &random, 0, 0), SWITCH_NEEDED);
	assert_int_equal(change(EXIT_SWITCH_IO, true, &few, &ept, 0, 0), SWITCH_CHANGED);
	assert_int_equal(change(EXIT_SWITCH_IO, false, &all, &ept, 0, 0), SWITCH_NEEDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_causes),
		cmocka_unit_test(what_is_switched_by_name),
		cmocka_unit_test(names_of_exceptions),
		cmocka_unit_test(words_that_are_none),
		cmocka_unit_test(what_is_never_switched_off),
		cmocka_unit_test(controls),
		cmocka_unit_test(what_the_processor_lacks),
		cmocka_unit_test(what_a_mode_needs),
		cmocka_unit_test(a_single_switch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
