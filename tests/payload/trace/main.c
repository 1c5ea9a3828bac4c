/* SPDX-License-Identifier: MIT */
/*
 * What a trace is tried out on: more exits than the flight recorder holds, of several reasons, in
 * known numbers and places, with a line of output that a block of the trace cuts in two.
 */
#include "payload.h"

#define CPUIDS 4300
#define LINE 40 /* so many exits for each letter of a line */

static void many_exits(void)
{
	u64 cr3 = read_cr3();

	for (u32 i = 0; i < CPUIDS; i++)
		cpuid(0x4fffffff, 0);
	for (u32 i = 0; i < 3; i++)
		write_cr3(cr3);
	check(rdmsr(0x1b) != 0, "IA32_APIC_BASE is 0");
	check(inb(0x61) != 0xff, "there is no port 0x61");
}

/** A line that takes as long as a round of the recorder: wherever a block begins, it is within. */
static void slow_line(void)
{
	static const char text[] = "the quick brown fox jumps over the lazy dog, whatever is "
				   "written in between, and this line remains one line";

	for (const char *c = text; *c; c++) {
		print("%c", *c);
		for (u32 i = 0; i < LINE; i++)
			cpuid(1, 0);
	}
	print("\n");
}

void payload_main(void)
{
	case_run("many-exits", many_exits);
	slow_line();
}
