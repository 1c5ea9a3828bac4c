/* SPDX-License-Identifier: MIT */
/* MOV DR: values, aliases and faults (SDM volume 3, section 18.2 "Debug Registers"). */
#include "exits.h"

#include "x86.h"

#define DR6_ONES 0xffff0ff0ul
#define DR6_BD BIT(13)
#define DR7_ONES 0x400ul
#define DR7_GD BIT(13)

#define READ(n)                                                                                    \
	({                                                                                         \
		u64 value;                                                                         \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(value));                              \
		value;                                                                             \
	})
#define WRITE(n, value) __asm__ volatile("mov %0, %%dr" #n ::"r"((u64)(value)))
/** GNU as has no name for DR4 and DR5 beyond their encodings, with RAX. */
#define DR4_TO_RAX ".byte 0x0f, 0x21, 0xe0"
#define RAX_TO_DR5 ".byte 0x0f, 0x23, 0xe8"
#define RAX_TO_DR8 ".byte 0x44, 0x0f, 0x23, 0xc0"
#define DR15_TO_RAX ".byte 0x44, 0x0f, 0x21, 0xf8"
#define MSR_DEBUGCTL 0x1d9u

static void has(const char *what, u64 got, u64 want)
{
	check(got == want, "%s: %lx, not %lx", what, (unsigned long)got, (unsigned long)want);
}

void test_debug_registers(void)
{
	u64 dr4, rsp;

	exits_begin();
	WRITE(0, 0x123456789abcdef0);
	WRITE(1, 0xffff800000000001);
	has("DR0", READ(0), 0x123456789abcdef0);
	has("DR1", READ(1), 0xffff800000000001);
	EXITS("MOV DR", [EXIT_REASON_DR_ACCESS] = WHEN("mov-dr", 4));
	WRITE(2, 2);
	WRITE(3, ~0ul);
	has("DR2", READ(2), 2);
	has("DR3", READ(3), ~0ul);
	WRITE(6, 0);
	has("DR6 of 0", READ(6), DR6_ONES);
	WRITE(6, 0xf);
	has("DR6 of 15", READ(6), DR6_ONES | 0xf);
	__asm__ volatile(DR4_TO_RAX : "=a"(dr4));
	has("DR4", dr4, DR6_ONES | 0xf);
	__asm__ volatile(RAX_TO_DR5 ::"a"(0x300ul)); /* LE and GE */
	has("DR7 by DR5", READ(7), DR7_ONES | 0x300);
	WRITE(7, 0);
	has("DR7 of 0", READ(7), DR7_ONES);
	/* RSP is no other register's slot. */
	__asm__ volatile(
		"movq %%rsp, %%rcx\n\tmov %%dr2, %%rsp\n\tmovq %%rsp, %0\n\tmovq %%rcx, %%rsp"
		: "=r"(rsp)::"rcx");
	has("DR2 to RSP", rsp, 2);
	WRITE(6, 0);
	WRITE(3, 0);
	WRITE(1, 0);
	WRITE(0, 0);
}

void test_debug_faults(void)
{
	expect_fault("DR6 with bit 32", TRY("mov %0, %%dr6", ::"r"(BIT(32))), GP_VECTOR, 0);
	expect_fault("DR7 with bit 63", TRY("mov %0, %%dr7", ::"r"(BIT(63))), GP_VECTOR, 0);
	expect_fault("DR8", TRY(RAX_TO_DR8, ::"a"(0x777ul)), UD_VECTOR, 0);
	expect_fault("DR15", TRY(DR15_TO_RAX, ::: "rax"), UD_VECTOR, 0);
	has("DR0", READ(0), 0);
	write_cr4(read_cr4() | X86_CR4_DE);
	expect_fault("DR4 with CR4.DE", TRY(DR4_TO_RAX, ::: "rax"), UD_VECTOR, 0);
	expect_fault("DR5 with CR4.DE", TRY(RAX_TO_DR5, ::"a"(0)), UD_VECTOR, 0);
	write_cr4(read_cr4() & ~X86_CR4_DE);
	has("DR6", READ(6), DR6_ONES);
	has("DR7", READ(7), DR7_ONES);
}

void test_general_detect(void)
{
	WRITE(0, 0x1234);
	WRITE(6, 0);
	WRITE(7, DR7_GD);
	wrmsr(MSR_DEBUGCTL, DEBUGCTL_BTF);
	expect_fault("MOV to DR0", TRY("mov %0, %%dr0", ::"r"(0ul)), DB_VECTOR, 0);
	has("DR6 after it", READ(6), DR6_ONES | DR6_BD);
	has("DR7 after it", READ(7), DR7_ONES);
	has("DR0 after it", READ(0), 0x1234);
	/* Section 18.4.3 "Single-Stepping on Branches". */
	has("IA32_DEBUGCTL after it", rdmsr(MSR_DEBUGCTL), 0);
	check(fault.rflags & X86_EFLAGS_RF || !SWITCHED("mov-dr"), "RF is not set in the flags");
	WRITE(6, 0);
	WRITE(0, 0);
}
