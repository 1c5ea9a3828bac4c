/* SPDX-License-Identifier: MIT */
/* Exceptions that exit (exit+=exceptions=...) and those that do not are the same to the guest. */
#include "exits.h"

#include "x86.h"

void test_exceptions(void)
{
	u64 cr0 = read_cr0();

	exits_begin();
	expect_fault("#UD", TRY("ud2", :::), UD_VECTOR, 0);
	EXITS("#UD", [EXIT_REASON_EXCEPTION_NMI] = WHEN("ud", 1));
	expect_fault("#DE", TRY("divl %%ecx", ::"a"(1), "d"(0), "c"(0)), DE_VECTOR, 0);
	check(fault.rflags & X86_EFLAGS_RF, "#DE without RF");
	exits_begin();
	expect_fault("#GP", TRY("mov %w0, %%fs", ::"r"(0x7ff8)), GP_VECTOR, 0x7ff8);
	EXITS("#GP", [EXIT_REASON_EXCEPTION_NMI] = WHEN("gp", 1));
	expect_fault("#SS",
		     TRY("movq (%%rsp,%0), %%rax", ::"r"(BIT(63) - 1)
			 : "rax"),
		     SS_VECTOR, 0);
	write_cr0(cr0 | X86_CR0_TS);
	expect_fault("#NM", TRY("fninit", :::), NM_VECTOR, 0);
	write_cr0(cr0);
	check(fault.rflags & X86_EFLAGS_RF, "#NM without RF");
}

static volatile struct {
	u64 vector, rip, rflags;
} trapped;

static void on_trap(struct trap_frame *f)
{
	trapped.vector = f->vector;
	trapped.rip = f->rip;
	trapped.rflags = f->rflags;
}

/** INT3 and INT1 are traps: RIP is behind them. INTO is none in 64-bit mode. */
void test_software_exceptions(void)
{
	u64 behind;

	trap_set(BP_VECTOR, on_trap);
	trap_set(DB_VECTOR, on_trap);
	exits_begin();
	__asm__ volatile("int3\n1:\tleaq 1b(%%rip), %0" : "=r"(behind)::"memory");
	EXITS("INT3", [EXIT_REASON_EXCEPTION_NMI] = WHEN("bp", 1));
	check(trapped.vector == BP_VECTOR && trapped.rip == behind &&
		      !(trapped.rflags & X86_EFLAGS_RF),
	      "INT3: vector %lu at %lx, not %lx", (unsigned long)trapped.vector,
	      (unsigned long)trapped.rip, (unsigned long)behind);
	exits_begin();
	__asm__ volatile(".byte 0xcd, 3\n1:\tleaq 1b(%%rip), %0" : "=r"(behind)::"memory");
	EXITS("INT 3", [EXIT_REASON_EXCEPTION_NMI] = 0);
	check(trapped.vector == BP_VECTOR && trapped.rip == behind, "INT 3 of two bytes");
	trap_set(BP_VECTOR, NULL);
	trap_set(DB_VECTOR, NULL);
}

void test_page_faults(void)
{
	for (unsigned i = 0; i < 3; i++) {
		u64 at = BIT(45) + i * 0x1234;

		expect_fault("a read", TRY("movb (%0), %%al", ::"r"(at) : "rax"), PF_VECTOR, 0);
		check(read_cr2() == at, "CR2 %lx, not %lx", (unsigned long)read_cr2(),
		      (unsigned long)at);
		expect_fault("a write", TRY("movb %%al, (%0)", ::"r"(at) : "memory"), PF_VECTOR, 2);
		check(read_cr2() == at, "CR2 %lx, not %lx", (unsigned long)read_cr2(),
		      (unsigned long)at);
	}
	exits_begin();
	expect_fault("a read", TRY("movb (%0), %%al", ::"r"(BIT(45)) : "rax"), PF_VECTOR, 0);
	EXITS("#PF", [EXIT_REASON_EXCEPTION_NMI] = WHEN("pf", 1));
}

struct gate {
	u16 offset_low, selector, type, offset_middle;
	u32 offset_high, reserved;
};

/** #GP whose gate is not present: #NP while a contributory exception is delivered is #DF, with
 * error code 0. #UD is benign: #NP for itself, of an IDT entry (bit 1) for an event (bit 0). */
void test_double_fault(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr;
	volatile struct gate *idt;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	idt = (volatile struct gate *)idtr.base;
	idt[GP_VECTOR].type &= 0x7fff;
	idt[UD_VECTOR].type &= 0x7fff;
	expect_fault("#GP, #NP", TRY("mov %w0, %%fs", ::"r"(0x7ff8)), DF_VECTOR, 0);
	expect_fault("#UD, #NP", TRY("ud2", :::), NP_VECTOR, UD_VECTOR * 8 + 3);
	idt[GP_VECTOR].type |= 0x8000;
	idt[UD_VECTOR].type |= 0x8000;
	expect_fault("#UD again", TRY("ud2", :::), UD_VECTOR, 0);
}
