/* SPDX-License-Identifier: MIT */
/* RFLAGS.TF: a trap after each iteration of a repeated string instruction, and RF in the flags that
 * it pushes, but after the last one (SDM volume 3, sections 18.3.1.1 and 18.3.1.4). */
#include "operands.h"

#include "x86.h"

/** What came, and where it has to come: at the instruction, and behind it for the last time. */
static volatile struct {
	u64 insn, behind;
	unsigned between, ended, elsewhere, without_rf;
} steps;

static u8 buffer[16];

static void on_debug(struct trap_frame *f)
{
	if (f->rip == steps.insn) {
		steps.between++;
		steps.without_rf += !(f->rflags & X86_EFLAGS_RF);
		return;
	}
	if (f->rip == steps.behind)
		steps.ended++;
	else
		steps.elsewhere++;
	f->rflags &= ~(u64)X86_EFLAGS_TF;
}

static void check_steps(const char *what, unsigned iterations)
{
	check(steps.between == iterations - 1 && steps.ended == 1 && steps.elsewhere == 0,
	      "%s: %u traps between iterations, %u at the end, %u elsewhere", what, steps.between,
	      steps.ended, steps.elsewhere);
	check(steps.without_rf == 0, "%s: %u traps without RF", what, steps.without_rf);
}

/** The instruction with TF set from POPFQ on. */
#define STEP(what, iterations, insn, ...)                                                          \
	({                                                                                         \
		steps.between = steps.ended = steps.elsewhere = steps.without_rf = 0;              \
		__asm__ volatile("movq $1f, steps\n\tmovq $2f, steps+8\n\t"                        \
				 "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n1:\t" insn               \
				 "\n2:\tnop" __VA_ARGS__);                                         \
		check_steps(what, iterations);                                                     \
	})

void test_single_step(void)
{
	u64 count = 5, from = (u64)buffer, to = (u64)buffer;

	trap_set(DB_VECTOR, on_debug);
	STEP("REP OUTSB", 5, "rep outsb", : "+c"(count), "+S"(from) : "d"(COM1_SCRATCH) : "memory");
	check(count == 0 && from == (u64)buffer + 5, "RCX %lu", (unsigned long)count);
	count = 4;
	STEP("REP INSB", 4, "rep insb", : "+c"(count), "+D"(to) : "d"(COM1_SCRATCH) : "memory");
	check(count == 0 && to == (u64)buffer + 4, "RCX %lu", (unsigned long)count);
	STEP("OUTSB", 1, "outsb", : "+S"(from) : "d"(COM1_SCRATCH) : "memory");
	count = 0;
	STEP("REP OUTSB of none", 1, "rep outsb",
	     : "+c"(count), "+S"(from)
	     : "d"(COM1_SCRATCH)
	     : "memory");
	count = 3;
	from = IOAPIC_REGSEL;
	to = (u64)buffer;
	STEP("REP MOVSD", 3, "rep movsl", : "+c"(count), "+S"(from), "+D"(to)::"memory");
	check(count == 0 && from == IOAPIC_REGSEL + 12, "RCX %lu", (unsigned long)count);
	/* Ends at the second element, for a difference. */
	*(volatile u32 *)(u64)IOAPIC_REGSEL = buffer[0] = 9;
	buffer[1] = 8;
	count = 6;
	from = IOAPIC_REGSEL;
	to = (u64)buffer;
	STEP("REPE CMPSB", 2, "repe cmpsb", : "+c"(count), "+S"(from), "+D"(to)::"memory", "cc");
	check(count == 4, "RCX %lu", (unsigned long)count);
	trap_set(DB_VECTOR, NULL);
}
