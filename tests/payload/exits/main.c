/* SPDX-License-Identifier: MIT */
/*
 * Optional causes of VM exits, which the boot line switches (exit+=): whatever is switched, an
 * instruction does what the SDM says, and exits as often as the command line of the payload, which
 * repeats the switches, makes it expect.
 */
#include "exits.h"

#include "x86.h"
#include "zoo.h"

#define CPUID_1_ECX_RDRAND BIT(30)
#define CPUID_7_EBX_RDSEED BIT(18)
#define CPUID_EXT_EDX_RDTSCP BIT(27)
#define MSR_TSC 0x10u
#define MSR_SYSENTER_CS 0x174u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_SYSCALL_MASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u
#define HOLE 0x0000800000000000ul /* not canonical */
#define FLAGS_ALL 0x8d5ul	  /* the six arithmetic flags */

void expect_fault(const char *what, s64 got, s64 want, u64 error)
{
	check(got == want && (want == NO_FAULT || fault.error == error),
	      "%s: vector %ld, error code 0x%lx", what, (long)got, (unsigned long)fault.error);
}

static bool has_rdtscp(void)
{
	return cpuid(0x80000001, 0).edx & CPUID_EXT_EDX_RDTSCP;
}

static void test_rdtsc(void)
{
	const bool rdtscp = has_rdtscp();
	u32 low, high, aux = 0;
	u64 first, second, third;

	if (rdtscp)
		wrmsr(MSR_TSC_AUX, 0x12345678);
	exits_begin();
	first = rdtsc();
	second = rdtsc();
	if (rdtscp)
		__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	third = rdtsc();
	EXITS("RDTSC", [EXIT_REASON_RDTSC] = WHEN("rdtsc", 3),
	      [EXIT_REASON_RDTSCP] = rdtscp ? WHEN("rdtsc", 1) : 0);
	check(first < second && second < third && third - first < 1000000, "%lx, %lx, %lx",
	      (unsigned long)first, (unsigned long)second, (unsigned long)third);
	/* By the MSR it is the same clock, also when it was moved. */
	wrmsr(MSR_TSC, BIT(40));
	first = rdtsc();
	second = rdmsr(MSR_TSC);
	check(first >= BIT(40) && second > first && second - BIT(40) < 1000000,
	      "after a write: %lx, %lx", (unsigned long)first, (unsigned long)second);
	if (!rdtscp)
		return;
	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	check(aux == 0x12345678 && high == 0x100, "RDTSCP: ECX %x, EDX %x", aux, high);
}

static void test_pause(void)
{
	exits_begin();
	__asm__ volatile("pause; pause; pause");
	EXITS("PAUSE", [EXIT_REASON_PAUSE] = WHEN("pause", 3));
}

static _Alignas(PAGE_SIZE) u64 pdpt[512], pd[512], pt[512];
static _Alignas(PAGE_SIZE) u64 frame[2][512];

static void test_invlpg(void)
{
	volatile u64 *const window = (volatile u64 *)BIT(39);
	u64 *pml4 = (u64 *)(read_cr3() & PAGE_MASK);

	frame[0][0] = 0x1111;
	frame[1][0] = 0x2222;
	pdpt[0] = (u64)pd | PTE_P | PTE_W;
	pd[0] = (u64)pt | PTE_P | PTE_W;
	pt[0] = (u64)frame[0] | PTE_P | PTE_W | PTE_A | PTE_D;
	pml4[1] = (u64)pdpt | PTE_P | PTE_W;
	write_cr3(read_cr3());
	check(*window == 0x1111, "the wrong page");
	*(volatile u64 *)pt = (u64)frame[1] | PTE_P | PTE_W | PTE_A | PTE_D;
	exits_begin();
	invlpg((u64)window);
	EXITS("INVLPG", [EXIT_REASON_INVLPG] = WHEN("invlpg", 1));
	check(*window == 0x2222, "INVLPG left the old page");
	/* A whole table, by the address of another page. */
	pt[0] = 0;
	*(volatile u64 *)pd = 0;
	invlpg((u64)window + PAGE_SIZE);
	invlpg((u64)window);
	expect_fault("without a table",
		     TRY("movq (%0), %%rax", ::"r"(window)
			 : "rax"),
		     PF_VECTOR, 0);
	invlpg(HOLE);
}

static void test_cr3(void)
{
	u64 cr3;

	exits_begin();
	cr3 = read_cr3();
	write_cr3(cr3);
	EXITS("CR3", [EXIT_REASON_CR_ACCESS] = WHEN("cr3-load", 1) + WHEN("cr3-store", 1));
	check(read_cr3() == cr3, "CR3 changed");
	expect_fault("CR3 with a reserved bit", TRY("mov %0, %%cr3", ::"r"(cr3 | BIT(62))),
		     GP_VECTOR, 0);
}

static void test_cr8(void)
{
	u64 cr8;

	exits_begin();
	write_cr8(5);
	cr8 = read_cr8();
	write_cr8(0);
	check(cr8 == 5, "CR8 %lu", (unsigned long)cr8);
	EXITS("CR8", [EXIT_REASON_CR_ACCESS] = WHEN("cr8", 3));
	expect_fault("CR8 of 16", TRY("mov %0, %%cr8", ::"r"(16ul)), GP_VECTOR, 0);
}

static void test_cache(void)
{
	exits_begin();
	__asm__ volatile("wbinvd" ::: "memory");
	EXITS("WBINVD", [EXIT_REASON_WBINVD] = WHEN("wbinvd", 1));
}

static void test_hidden(void)
{
	/* Without zoo=1, VMX is hidden. */
	expect_fault("VMCALL", TRY("vmcall", ::"a"(ZOO_HELLO), "b"(0), "c"(0)), UD_VECTOR, 0);
	expect_fault("MONITOR", TRY("monitor", ::"a"(frame), "c"(0), "d"(0)), UD_VECTOR, 0);
	expect_fault("MWAIT", TRY("mwait", ::"a"(0), "c"(0)), UD_VECTOR, 0);
	expect_fault("RDPMC", TRY("rdpmc", ::"c"(0) : "rax", "rdx"), GP_VECTOR, 0);
}

/** One width of RDRAND or RDSEED, to RCX, which held ones: what `mask` has of it afterwards, and
 * the flags, of which some were set. */
#define DRAW(insn, mask, keeps)                                                                    \
	({                                                                                         \
		u64 drawn, flags;                                                                  \
		__asm__ volatile("movq $-1, %%rcx\n\tmovb $0x7f, %%al\n\taddb $1, %%al\n\t" insn   \
				 "\n\tpushfq\n\tpopq %1"                                           \
				 : "=c"(drawn), "=d"(flags)::"rax", "cc");                         \
		check((flags & FLAGS_ALL) == X86_EFLAGS_CF, insn ": flags %lx",                    \
		      (unsigned long)flags);                                                       \
		check((drawn & (mask)) == (keeps), insn ": %lx", (unsigned long)drawn);            \
		drawn;                                                                             \
	})

static void test_random(void)
{
	u64 first, second;

	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND))
		return;
	exits_begin();
	first = DRAW("rdrand %%rcx", 0, 0);
	second = DRAW("rdrand %%rcx", 0, 0);
	DRAW("rdrand %%ecx", ~0ul << 32, 0);
	DRAW("rdrand %%cx", ~0ul << 16, ~0ul << 16);
	EXITS("RDRAND", [EXIT_REASON_RDRAND] = WHEN("rdrand", 4));
	check(first != second, "twice %lx", (unsigned long)first);
	if (!(cpuid(7, 0).ebx & CPUID_7_EBX_RDSEED))
		return;
	exits_begin();
	DRAW("rdseed %%ecx", ~0ul << 32, 0);
	DRAW("rdseed %%cx", ~0ul << 16, ~0ul << 16);
	EXITS("RDSEED", [EXIT_REASON_RDSEED] = WHEN("rdseed", 2));
}

static void keeps(u32 msr, u64 value)
{
	u64 old = rdmsr(msr), got;

	wrmsr(msr, value);
	got = rdmsr(msr);
	wrmsr(msr, old);
	check(got == value, "MSR 0x%x: %lx, not %lx", msr, (unsigned long)got,
	      (unsigned long)value);
}

static void test_msrs(void)
{
	static const u32 addresses[] = {MSR_LSTAR,	     MSR_LSTAR + 1,
					MSR_FS_BASE,	     MSR_KERNEL_GS_BASE,
					MSR_SYSENTER_CS + 1, MSR_SYSENTER_CS + 2};
	u64 star = rdmsr(MSR_STAR);

	exits_begin();
	wrmsr(MSR_STAR, 0x0123456789abcdef);
	check(rdmsr(MSR_STAR) == 0x0123456789abcdef, "IA32_STAR");
	EXITS("IA32_STAR", [EXIT_REASON_RDMSR] = WHEN("msr=all", 1),
	      [EXIT_REASON_WRMSR] = WHEN("msr=all", 1));
	wrmsr(MSR_STAR, star);
	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
		keeps(addresses[i], 0xffff812345678000);
		expect_fault("not canonical", try_wrmsr(addresses[i], HOLE), GP_VECTOR, 0);
	}
	keeps(MSR_SYSENTER_CS, 0x10);
	keeps(MSR_SYSCALL_MASK, 0x47700);
	if (has_rdtscp())
		keeps(MSR_TSC_AUX, 0x87654321);
	/* The base is the segment's: not only kept, but used. */
	wrmsr(MSR_FS_BASE, (u64)frame[0]);
	frame[0][1] = 0x3333;
	u64 got;
	__asm__ volatile("movq %%fs:8, %0" : "=r"(got)::"memory");
	check(got == 0x3333, "FS leads to %lx", (unsigned long)got);
	wrmsr(MSR_FS_BASE, 0);
}

void payload_main(void)
{
	case_run("rdtsc", test_rdtsc);
	case_run("pause", test_pause);
	case_run("invlpg", test_invlpg);
	case_run("cr3", test_cr3);
	case_run("cr8", test_cr8);
	case_run("cache", test_cache);
	case_run("hidden", test_hidden);
	case_run("random", test_random);
	case_run("msrs", test_msrs);
	case_run("debug-registers", test_debug_registers);
	case_run("debug-faults", test_debug_faults);
	case_run("general-detect", test_general_detect);
	case_run("table-registers", test_table_registers);
	case_run("ldtr", test_ldtr);
	case_run("tr", test_tr);
	case_run("selector-stores", test_selector_stores);
	case_run("stale-code", test_stale_code);
	case_run("exceptions", test_exceptions);
	case_run("software-exceptions", test_software_exceptions);
	case_run("page-faults", test_page_faults);
	case_run("double-fault", test_double_fault);
}
