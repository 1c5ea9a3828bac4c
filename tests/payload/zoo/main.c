/* SPDX-License-Identifier: MIT */
/*
 * The exit zoo. The list of cases is include/exit_reasons.def: each row has a function zoo_NAME()
 * in one of this directory's files. A line for each reason:
 *
 *   PASS  10 CPUID                    what was raised
 *   n/a   17 RSM                      why it cannot be raised here
 *   FAIL  10 CPUID: what is wrong     (one for each thing that is)
 */
#include "zoo_guest.h"

#include "lib/fmt.h"
#include "lib/mem.h"

#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_INTERFACE 0x40000001u
#define LEAF_BRAND 0x80000002u
#define SIGNATURE_EBX 0x6c6c6154u /* "Tall" */
#define NUMBERING 2021
#define VERDICT_NOT_HERE 0xfe
#define NUMBERS_A_LINE 23

static const struct reason {
	u32 nr;
	const char *name;
	void (*fn)(void);
} reasons[] = {
#define EXIT_REASON(nr, name, handler, word, bit, cause) {nr, #name, zoo_##name},
#include "exit_reasons.def"
#undef EXIT_REASON
};

/* The outcomes, and how often there was each. */
enum outcome { PASSED, FAILED, ABSENT, NR_OUTCOMES };
static const char *const words[NR_OUTCOMES] = {"PASS", "FAIL", "n/a"};
static u8 outcomes[ARRAY_SIZE(reasons)];
static u32 sum[NR_OUTCOMES];

static char text[128];
static bool absent;

void raises(const char *f, ...)
{
	va_list ap;

	va_start(ap, f);
	fmt_vsnprintf(text, sizeof(text), f, ap);
	va_end(ap);
}

void not_here(const char *f, ...)
{
	va_list ap;

	absent = true;
	va_start(ap, f);
	fmt_vsnprintf(text, sizeof(text), f, ap);
	va_end(ap);
}

static enum outcome run(const struct reason *r)
{
	static char name[40];

	fmt_snprintf(name, sizeof(name), "%3u %s", r->nr, r->name);
	absent = false;
	raises("?");
	case_begin(name);
	zoo_ask(ZOO_QUIET, 1, 0);
	r->fn();
	switches_as_ever();
	check(strlen(text) <= LINE_TEXT, "a text of more than %u characters: %s", LINE_TEXT, text);
	if (!case_end())
		return FAILED;
	print("%-4s %3u %-24s %s\n", words[absent ? ABSENT : PASSED], r->nr, r->name, text);
	return absent ? ABSENT : PASSED;
}

/** All of them on a few lines, for screens that cannot be scrolled back. */
static void print_numbers(enum outcome o)
{
	u32 column = 0;

	for (u32 i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (outcomes[i] != o)
			continue;
		if (column++ % NUMBERS_A_LINE == 0)
			print("%szoo: %s", column > 1 ? "\n" : "", words[o]);
		print(" %u", reasons[i].nr);
	}
	print(column ? "\n" : "");
}

/** The processor's name, as CPUID has it. */
static const char *processor(void)
{
	static union {
		struct cpuid_out r[3];
		char text[49];
	} brand;
	const char *at = brand.text;

	for (u32 i = 0; i < 3; i++)
		brand.r[i] = cpuid(LEAF_BRAND + i, 0);
	while (*at == ' ')
		at++;
	return at;
}

static void cannot(const char *what, const char *remedy)
{
	print("FAIL zoo: %s\n     %s\n", what, remedy);
	payload_exit(VERDICT_NOT_HERE);
}

/** The end of the run would print over the table. */
static void stay(void)
{
	print("zoo: that was all; the machine can be switched off\n");
	for (;;)
		__asm__ volatile("sti\n\thlt");
}

void payload_main(void)
{
	if (cpuid(LEAF_HYPERVISOR, 0).ebx != SIGNATURE_EBX)
		cannot("no Tallyvisor here, by whose counters it checks what exits there were",
		       "boot it as Tallyvisor's guest: make zoo");
	if (cpuid(LEAF_INTERFACE, 0).ebx != NUMBERING)
		cannot("the counters have the numbering of 2022", "leave out leaves=2022");
	if (!zoo_answers() && !option("anyway"))
		cannot("Tallyvisor does not do here what a guest cannot do by itself",
		       "write zoo=1 on its line: chainloader /tallyvisor.efi zoo=1 ...");
	probe_init();
	print("zoo: every basic exit reason, with paging=%s, on %s\n",
	      on_shadow() ? "shadow" : "ept", processor());
	for (u32 i = 0; i < ARRAY_SIZE(reasons); i++) {
		outcomes[i] = run(&reasons[i]);
		sum[outcomes[i]]++;
	}
	zoo_ask(ZOO_QUIET, 0, 0);
	for (enum outcome o = PASSED; o < NR_OUTCOMES; o++)
		print_numbers(o);
	print("zoo: %u PASS, %u FAIL, %u n/a (%s, %s)\n", sum[PASSED], sum[FAILED], sum[ABSENT],
	      on_shadow() ? "shadow" : "ept", processor());
	if (option("stay"))
		stay();
}
