/* SPDX-License-Identifier: MIT */
/*
 * Memory operands of instructions that a hypervisor emulates: INS and OUTS, and what moves data
 * between memory and a device's registers. Segments, canonical addresses, pages that went away, and
 * single-stepping: as if the processor had done it all.
 */
#include "operands.h"

#include "x86.h"

#define MSR_FS_BASE 0xc0000100u
#define HOLE 0x0000800000000000ul /* the lowest address that is not canonical */

static void faults(s64 got, s64 want, const char *what)
{
	check(got == want && fault.error == 0, "%s: vector %ld, error code 0x%lx", what, (long)got,
	      (unsigned long)fault.error);
}

/** The exit of INS and OUTS comes before the processor has looked at the operand. */
static void test_canonical_ports(void)
{
	const u64 fs = rdmsr(MSR_FS_BASE);

	outb(COM1_SCRATCH, 0x5a);
	faults(TRY("outsb", ::"S"(HOLE), "d"(COM1_SCRATCH) : "memory"), GP_VECTOR, "OUTSB");
	faults(TRY("rep outsb", ::"S"(HOLE + 8), "c"(3), "d"(COM1_SCRATCH)
		   : "memory"),
	       GP_VECTOR, "REP OUTSB");
	faults(TRY("outsl", ::"S"(HOLE - 3), "d"(COM1_SCRATCH)
		   : "memory"),
	       GP_VECTOR, "OUTSD of which the last byte is beyond");
	faults(TRY("insb", ::"D"(~HOLE), "d"(COM1_SCRATCH) : "memory"), GP_VECTOR, "INSB");
	faults(TRY("rep insw", ::"D"(HOLE - 1), "c"(1), "d"(COM1_SCRATCH)
		   : "memory"),
	       GP_VECTOR, "REP INSW");
	wrmsr(MSR_FS_BASE, 0x1000);
	faults(TRY("outsb %%fs:(%%rsi), %%dx", ::"S"(HOLE - 0x1000), "d"(COM1_SCRATCH)
		   : "memory"),
	       GP_VECTOR, "OUTSB with FS");
	wrmsr(MSR_FS_BASE, fs);
	check(inb(COM1_SCRATCH) == 0x5a, "the port has 0x%x", inb(COM1_SCRATCH));
}

/** The operand that is no device. */
static void test_canonical_memory(void)
{
	const u64 device = IOAPIC_REGSEL;

	faults(TRY("movsb", ::"S"(device), "D"(HOLE) : "memory"), GP_VECTOR, "MOVSB");
	faults(TRY("movsl", ::"S"(device), "D"(HOLE - 3) : "memory"), GP_VECTOR, "MOVSD");
	faults(TRY("cmpsb", ::"S"(device), "D"(HOLE) : "memory"), GP_VECTOR, "CMPSB");
}

void payload_main(void)
{
	case_run("canonical-ports", test_canonical_ports);
	case_run("canonical-memory", test_canonical_memory);
	case_run("limits", test_limits);
	case_run("types", test_types);
	case_run("device-to-segment", test_device_to_segment);
	case_run("single-step", test_single_step);
	case_run("stale-code", test_stale_code);
	case_run("stale-data", test_stale_data);
}
