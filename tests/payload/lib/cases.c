/* SPDX-License-Identifier: MIT */
/* Start and end of a payload, its results, and COM1. */
#include "payload.h"

#include "lib/fmt.h"
#include "lib/mem.h"

#define COM1 0x3f8
#define COM1_LSR (COM1 + 5)
#define LSR_THRE 0x20
#define DEBUG_EXIT 0xf4

#define VERDICT_MAX 100

/** entry.asm: the command line, or NULL. */
extern const char *payload_cmdline;

/** entry.asm calls it. */
void payload_start(void) __attribute__((noreturn));

static const char *running = "(no case)";
static u32 failed_cases, nr_cases;
static bool failed;
static const char *departure;

static void put(char c)
{
	while (!(inb(COM1_LSR) & LSR_THRE))
		;
	outb(COM1, (u8)c);
}

static void vprint(const char *f, va_list ap)
{
	char line[256];

	fmt_vsnprintf(line, sizeof(line), f, ap);
	for (const char *c = line; *c; c++)
		put(*c);
}

void print(const char *f, ...)
{
	va_list ap;

	va_start(ap, f);
	vprint(f, ap);
	va_end(ap);
}

bool option(const char *name)
{
	const char *at = payload_cmdline;
	size_t len = strlen(name);

	while (at && *at) {
		while (*at == ' ')
			at++;
		if (!strncmp(at, name, len) && (!at[len] || at[len] == ' ' || at[len] == '='))
			return true;
		while (*at && *at != ' ')
			at++;
	}
	return false;
}

bool check(bool ok, const char *why, ...)
{
	va_list ap;

	if (ok)
		return true;
	failed = true;
	print("FAIL %s: ", running);
	va_start(ap, why);
	vprint(why, ap);
	va_end(ap);
	print("\n");
	return false;
}

void departs(const char *what)
{
	departure = what;
}

void case_begin(const char *name)
{
	running = name;
	failed = false;
	departure = NULL;
}

bool case_end(void)
{
	cli();
	if (departure)
		print("DEPARTS %s: %s\n", running, departure);
	nr_cases++;
	failed_cases += failed;
	running = "(no case)";
	return !failed;
}

void case_run(const char *name, void (*fn)(void))
{
	char without[64];

	fmt_snprintf(without, sizeof(without), "no-%s", name);
	if (option(without)) {
		print("SKIP %s\n", name);
		return;
	}
	case_begin(name);
	fn();
	if (case_end())
		print("PASS %s\n", name);
}

void payload_exit(u32 verdict)
{
	outl(DEBUG_EXIT, verdict);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

void payload_start(void)
{
	outb(PIC1 + 1, 0xff);
	outb(PIC2 + 1, 0xff);
	trap_init();
	payload_main();
	print("verdict: %u of %u cases failed\n", failed_cases, nr_cases);
	payload_exit(MIN(failed_cases, VERDICT_MAX));
}
