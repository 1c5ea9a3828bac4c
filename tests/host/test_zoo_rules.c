/* SPDX-License-Identifier: MIT */
/* Which events of the exit zoo can be had, and why not: vmx/zoo_rules.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vmx/zoo_rules.h"
#include "x86.h"

static const struct vmx_caps all = {.cr4_fixed1 = ~0ull, .may1 = {~0u, ~0u, ~0u, ~0u, ~0u}};
static const struct vmx_caps none = {.cr4_fixed1 = ~(u64)X86_CR4_SMXE};
static const struct vmx_controls in_use = {
	.word = {[WORD_PIN] = PIN_PREEMPTION_TIMER, [WORD_CPU2] = CPU2_XSAVES}};

static const struct zoo_facts everything = {
	.caps = &all,
	.controls = &in_use,
	.eptp = EPTP_AD,
	.xss = 1,
};

/** All events: the answer for those in `events` is `want`, and the usual one for the others. */
static void answers(const struct zoo_facts *f, u32 events, enum zoo_answer want)
{
	for (u32 e = 0; e < NR_ZOO_EVENTS; e++) {
		enum zoo_answer got = zoo_event_possible(e, f);

		if (got != (events & BIT(e) ? want : ZOO_DONE))
			fail_msg("event %u: %d", e, got);
	}
}

#define E(id) ((u32)BIT(ZOO_EVENT_##id))
#define PAGES (E(EPT_MISCONFIG) | E(PML_FULL) | E(SPP))

static void all_of_them(void **state)
{
	(void)state;
	answers(&everything, 0, ZOO_DONE);
	for (u32 e = 0; e < NR_ZOO_EVENTS; e++)
		assert_int_equal(zoo_event_has_page(e), !!(PAGES & BIT(e)));
}

static void those_of_any_processor(void **state)
{
	struct zoo_facts f = everything;

	(void)state;
	f.caps = &none;
	answers(&f, PAGES | E(TIMER) | E(MTF) | E(SMXE) | E(XSS) | E(VMFUNC), ZOO_NO_CPU);
	/* Without a single one of its bits. */
	f.caps = &(struct vmx_caps){.cr4_fixed1 = ~0ull,
				    .may1 = {~0u, ~0u, ~(u32)CPU2_EPT, ~0u, ~0u}};
	answers(&f, PAGES, ZOO_NO_CPU);
	f.caps = &(struct vmx_caps){.cr4_fixed1 = ~0ull,
				    .may1 = {~0u, ~0u, ~(u32)CPU2_PML, ~0u, ~0u}};
	answers(&f, E(PML_FULL), ZOO_NO_CPU);
}

static void controls_that_are_not_used(void **state)
{
	static const struct vmx_controls no = {.word = {0}};
	struct zoo_facts f = everything;

	(void)state;
	f.controls = &no;
	answers(&f, E(TIMER) | E(XSS), ZOO_NO_CPU);
	f = everything;
	f.xss = 0;
	answers(&f, E(XSS), ZOO_NO_CPU);
	f = everything;
	f.eptp = 0;
	answers(&f, E(PML_FULL), ZOO_NO_CPU);
}

static void on_page_tables_of_its_own(void **state)
{
	struct zoo_facts f = everything;

	(void)state;
	f.own_tables = true;
	f.eptp = 0;
	answers(&f, PAGES, ZOO_NO_MODE);
	f.caps = &none;
	answers(&f, PAGES | E(TIMER) | E(MTF) | E(SMXE) | E(XSS) | E(VMFUNC), ZOO_NO_CPU);
}

static void on_bochs(void **state)
{
	struct zoo_facts f = everything;

	(void)state;
	f.on_bochs = true;
	answers(&f, E(INIT) | E(INTERRUPT), ZOO_NO_EMULATOR);
	f.rflags = X86_EFLAGS_IF;
	answers(&f, E(INIT), ZOO_NO_EMULATOR);
}

static void no_event(void **state)
{
	(void)state;
	assert_int_equal(zoo_event_possible(NR_ZOO_EVENTS, &everything), ZOO_UNKNOWN);
	assert_int_equal(zoo_event_possible(BIT(32), &everything), ZOO_UNKNOWN);
	assert_int_equal(zoo_event_possible(~0ull, &everything), ZOO_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_them),
		cmocka_unit_test(those_of_any_processor),
		cmocka_unit_test(controls_that_are_not_used),
		cmocka_unit_test(on_page_tables_of_its_own),
		cmocka_unit_test(on_bochs),
		cmocka_unit_test(no_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
