/* SPDX-License-Identifier: MIT */
/* rdcpuid LEAF [SUBLEAF]: execute CPUID once, from user space, and print the four registers. */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>

static int parse(const char *text, unsigned *value)
{
	char *end;
	unsigned long v = strtoul(text, &end, 0);

	*value = (unsigned)v;
	return end != text && !*end && v <= 0xffffffffUL;
}

int main(int argc, char **argv)
{
	unsigned leaf, subleaf = 0, eax, ebx, ecx, edx;

	if (argc < 2 || argc > 3 || !parse(argv[1], &leaf) ||
	    (argc == 3 && !parse(argv[2], &subleaf))) {
		fprintf(stderr, "Usage: rdcpuid LEAF [SUBLEAF]\n"
				"Print EAX, EBX, ECX and EDX of a CPUID leaf (numbers as in C).\n"
				"Example: rdcpuid 0x4ffffffd 10\n");
		return 2;
	}
	__cpuid_count(leaf, subleaf, eax, ebx, ecx, edx);
	printf("eax=0x%08x ebx=0x%08x ecx=0x%08x edx=0x%08x\n", eax, ebx, ecx, edx);
	return 0;
}
