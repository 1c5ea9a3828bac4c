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

static const struct reason {
	u32 nr;
	const char *name;
	void (*fn)(void);
} reasons[] = {
#define EXIT_REASON(nr, name, handler, word, bit, cause) {nr, #name, zoo_##name},
#include "exit_reasons.def"
#undef EXIT_REASON
};

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

static void run(const struct reason *r, u32 sum[3])
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
		sum[1]++;
	else {
		sum[absent ? 2 : 0]++;
		print("%s %3u %-24s %s\n", absent ? "n/a " : "PASS", r->nr, r->name, text);
	}
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

void payload_main(void)
{
	u32 sum[3] = {0, 0, 0};

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
	for (u32 i = 0; i < ARRAY_SIZE(reasons); i++)
		run(&reasons[i], sum);
	zoo_ask(ZOO_QUIET, 0, 0);
	print("zoo: %u PASS, %u FAIL, %u n/a (%s, %s)\n", sum[0], sum[1], sum[2],
	      on_shadow() ? "shadow" : "ept", processor());
}
