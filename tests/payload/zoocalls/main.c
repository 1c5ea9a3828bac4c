/* SPDX-License-Identifier: MIT */
/*
 * The calls of the exit zoo (include/zoo.h), with zoo=1: good ones and bad ones. Each event is
 * ordered once, and makes the exit that it is for, or the answer says that it cannot be had here;
 * with the word "on-bochs" that may be for the emulator's sake. With the word "off" there is no
 * zoo, and VMCALL must be #UD. What the exits are like is tests/payload/zoo's.
 */
#include "exit_switches.h"
#include "payload.h"
#include "vmx.h"
#include "x86.h"
#include "zoo.h"

#define CAN(word) option(word)

struct call {
	u64 rax, rbx, rcx, rdx;
};

static struct call vmcall(u64 nr, u64 rbx, u64 rcx)
{
	struct call c = {.rdx = 0x1234567812345678};

	__asm__ volatile("vmcall"
			 : "=a"(c.rax), "=b"(c.rbx), "=c"(c.rcx), "+d"(c.rdx)
			 : "a"(nr), "b"(rbx), "c"(rcx)
			 : "memory");
	return c;
}

static u64 answer(u64 nr, u64 rbx, u64 rcx)
{
	return vmcall(nr, rbx, rcx).rax;
}

static void expect(const char *what, u64 got, enum zoo_answer want)
{
	check(got == want, "%s: answer %lu, not %u", what, (unsigned long)got, want);
}

/** Which event, and what is executed then: nothing where it comes by itself. */
struct order {
	enum zoo_event event;
	void (*then)(void);
	u64 argument;
};

/* A page of its own that nothing else writes. */
static _Alignas(PAGE_SIZE) volatile u64 page[512];
static _Alignas(64) u8 xsave_area[4096];

static void write_page(void)
{
	page[1]++;
}

static void getsec(void)
{
	check(TRY(".byte 0x0f, 0x37", ::"a"(0)) == UD_VECTOR, "GETSEC: no #UD");
}

static void vmfunc(void)
{
	check(TRY(".byte 0x0f, 0x01, 0xd4", ::"a"(0), "c"(0)) == UD_VECTOR, "VMFUNC: no #UD");
}

static void xsaves(void)
{
	__asm__ volatile("xsaves64 (%0)" ::"r"(xsave_area), "a"(~0u), "d"(~0u) : "memory");
}

/** For an NMI that the guest does not wait for in HLT. */
static void spin(void)
{
	for (u32 i = 0; i < 20000; i++)
		__asm__ volatile("" ::: "memory");
}

static u32 reason_of(enum zoo_event event)
{
	static const u32 reasons[NR_ZOO_EVENTS] = {
		[ZOO_EVENT_NMI] = EXIT_REASON_EXCEPTION_NMI,
		[ZOO_EVENT_INTERRUPT] = EXIT_REASON_EXTERNAL_INTERRUPT,
		[ZOO_EVENT_INIT] = EXIT_REASON_INIT_SIGNAL,
		[ZOO_EVENT_TIMER] = EXIT_REASON_PREEMPTION_TIMER,
		[ZOO_EVENT_MTF] = EXIT_REASON_MONITOR_TRAP_FLAG,
		[ZOO_EVENT_GUEST_STATE] = EXIT_REASON_ENTRY_FAIL_GUEST_STATE,
		[ZOO_EVENT_MSR_LOADING] = EXIT_REASON_ENTRY_FAIL_MSR_LOADING,
		[ZOO_EVENT_EPT_MISCONFIG] = EXIT_REASON_EPT_MISCONFIG,
		[ZOO_EVENT_PML_FULL] = EXIT_REASON_PML_FULL,
		[ZOO_EVENT_SMXE] = EXIT_REASON_GETSEC,
		[ZOO_EVENT_XSS] = EXIT_REASON_XSAVES,
		[ZOO_EVENT_VMFUNC] = EXIT_REASON_VMFUNC,
		[ZOO_EVENT_SPP] = EXIT_REASON_SPP_EVENT,
	};

	return reasons[event];
}

/** Order the event; where the answer is "done", exactly its exit must follow. The command line has
 * the names of those that must not be refused. */
static void order(enum zoo_event event, const char *name, void (*then)(void))
{
	struct exit_counts want = {.n = {[EXIT_REASON_VMCALL] = 1}};
	u64 got;

	exits_begin();
	got = answer(ZOO_ARM, event, (u64)page + 8);
	if (got == ZOO_DONE)
		then();
	want.n[reason_of(event)] += got == ZOO_DONE;
	exits_check(name, &want);
	check(got == ZOO_DONE || !CAN(name), "%s: answer %lu", name, (unsigned long)got);
	check(got != ZOO_DONE || CAN(name), "%s should not be possible", name);
	/* It is over. */
	exits_begin();
	then();
	exits_check("again", &(const struct exit_counts){.n = {0}});
}

static void nothing(void)
{
}

static void test_signals(void)
{
	order(ZOO_EVENT_NMI, "nmi", spin);
	sti();
	order(ZOO_EVENT_NMI, "nmi", spin);
	order(ZOO_EVENT_INTERRUPT, "interrupt", nothing);
	cli();
	order(ZOO_EVENT_INIT, "init", nothing);
	order(ZOO_EVENT_TIMER, "timer", nothing);
	order(ZOO_EVENT_MTF, "mtf", nothing);
}

static void test_entries(void)
{
	order(ZOO_EVENT_GUEST_STATE, "guest-state", nothing);
	order(ZOO_EVENT_MSR_LOADING, "msr-loading", nothing);
}

static void test_pages(void)
{
	write_page();
	order(ZOO_EVENT_EPT_MISCONFIG, "ept-misconfig", write_page);
	order(ZOO_EVENT_PML_FULL, "pml-full", write_page);
	order(ZOO_EVENT_SPP, "spp", write_page);
	check(page[1] >= 4, "the page was written %lu times", (unsigned long)page[1]);
}

static void test_instructions(void)
{
	order(ZOO_EVENT_SMXE, "smxe", getsec);
	order(ZOO_EVENT_VMFUNC, "vmfunc", vmfunc);
	if (!CAN("xss")) {
		check(answer(ZOO_ARM, ZOO_EVENT_XSS, 0) == ZOO_NO_CPU, "IA32_XSS is possible");
		return;
	}
	write_cr4(read_cr4() | X86_CR4_OSXSAVE);
	order(ZOO_EVENT_XSS, "xss", xsaves);
}

/** What is ordered and does not happen, for another exit comes before it, does not happen later. */
static void test_disarming(void)
{
	exits_begin();
	expect("a misconfiguration", answer(ZOO_ARM, ZOO_EVENT_EPT_MISCONFIG, (u64)page),
	       CAN("ept-misconfig") ? ZOO_DONE : answer(ZOO_ARM, ZOO_EVENT_EPT_MISCONFIG, 0));
	cpuid(0, 0);
	write_page();
	EXITS("after an exit", [EXIT_REASON_VMCALL] = CAN("ept-misconfig") ? 1 : 2,
	      [EXIT_REASON_CPUID] = 1);
	/* A second order takes the place of the first, whose entry it is the exit after. */
	exits_begin();
	answer(ZOO_ARM, ZOO_EVENT_SMXE, 0);
	expect("the second", answer(ZOO_ARM, ZOO_EVENT_GUEST_STATE, 0), ZOO_DONE);
	check(TRY(".byte 0x0f, 0x37", ::"a"(0)) == UD_VECTOR, "GETSEC: no #UD");
	EXITS("the second", [EXIT_REASON_VMCALL] = 2, [EXIT_REASON_ENTRY_FAIL_GUEST_STATE] = 1);
}

static void test_bad_calls(void)
{
	struct call c;

	expect("no call", answer(ZOO_CALL | 0xff, 0, 0), ZOO_UNKNOWN);
	c = vmcall(ZOO_CALL | 0xff, 0x1111, 0x2222);
	check(c.rbx == 0x1111 && c.rcx == 0x2222 && c.rdx == 0x1234567812345678,
	      "a call that is none changes registers");
	expect("no event", answer(ZOO_ARM, NR_ZOO_EVENTS, 0), ZOO_UNKNOWN);
	expect("event 2^63", answer(ZOO_ARM, BIT(63), 0), ZOO_UNKNOWN);
	expect("event 2^32", answer(ZOO_ARM, BIT(32), 0), ZOO_UNKNOWN);
	expect("no switch", answer(ZOO_SWITCH, 64, 1), ZOO_UNKNOWN);
	expect("no word", answer(ZOO_CONTROLS, 5, 0), ZOO_BAD_ARGUMENT);
	expect("quiet 2", answer(ZOO_QUIET, 2, 0), ZOO_BAD_ARGUMENT);
	expect("resume at a hole", answer(ZOO_RESUME, BIT(47), 0), ZOO_BAD_ARGUMENT);
	if (CAN("ept-misconfig")) {
		expect("the local APIC", answer(ZOO_ARM, ZOO_EVENT_EPT_MISCONFIG, 0xfee00000),
		       ZOO_BAD_ARGUMENT);
		expect("2^52", answer(ZOO_ARM, ZOO_EVENT_EPT_MISCONFIG, BIT(52)), ZOO_BAD_ARGUMENT);
	}
	check(TRY("vmcall", ::"a"(ZOO_CALL + BIT(32)), "b"(0), "c"(0)) == UD_VECTOR,
	      "VMCALL with another number: no #UD");
	check(TRY("vmcall", ::"a"(0), "b"(0), "c"(0)) == UD_VECTOR, "VMCALL 0: no #UD");
}

static void test_hello(void)
{
	struct call c = vmcall(ZOO_HELLO, ~0ul, ~0ul);

	check(c.rax == ZOO_DONE && c.rbx <= 1 && c.rdx == 0x1234567812345678,
	      "answer %lu, mode %lu", (unsigned long)c.rax, (unsigned long)c.rbx);
	c = vmcall(ZOO_CONTROLS, 1, 0);
	check(c.rax == ZOO_DONE && (c.rbx & CPU1_SECONDARY) && !(c.rbx & ~c.rcx),
	      "primary controls %lx of %lx", (unsigned long)c.rbx, (unsigned long)c.rcx);
}

static void test_switch(void)
{
	const u64 pause = EXIT_SWITCH_PAUSE, io = EXIT_SWITCH_IO;

	exits_begin();
	expect("exit+=pause", answer(ZOO_SWITCH, pause, 1), ZOO_DONE);
	__asm__ volatile("pause");
	check(vmcall(ZOO_CONTROLS, 1, 0).rbx & CPU1_PAUSE_EXITING, "the control is 0");
	expect("exit-=pause", answer(ZOO_SWITCH, pause, 0), ZOO_DONE);
	__asm__ volatile("pause");
	EXITS("PAUSE", [EXIT_REASON_VMCALL] = 3, [EXIT_REASON_PAUSE] = 1);
	expect("exit-=io=all", answer(ZOO_SWITCH, io, 0), ZOO_REFUSED);
	expect("exit+=io=all", answer(ZOO_SWITCH, io, 1), ZOO_DONE);
	expect("neither", answer(ZOO_SWITCH, pause, 2), ZOO_BAD_ARGUMENT);
}

static void test_msr_switch(void)
{
	const u32 fs_base = 0xc0000100;

	exits_begin();
	rdmsr(fs_base);
	expect("exit+=msr=all", answer(ZOO_SWITCH, EXIT_SWITCH_MSR, 1), ZOO_DONE);
	rdmsr(fs_base);
	expect("exit-=msr=all", answer(ZOO_SWITCH, EXIT_SWITCH_MSR, 0), ZOO_DONE);
	rdmsr(fs_base);
	EXITS("RDMSR", [EXIT_REASON_VMCALL] = 2, [EXIT_REASON_RDMSR] = 1);
}

static volatile u64 resumed_rsp;

static void test_resume(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr, none = {0};
	u64 rsp, rip;
	static u64 stack[16];

	__asm__ volatile("sidt %0" : "=m"(idtr));
	__asm__ volatile("leaq 1f(%%rip), %0\n1:" : "=r"(rip));
	exits_begin();
	__asm__ volatile(
		"leaq 1f(%%rip), %%rbx\n\t"
		"movq %[top], %%rcx\n\t"
		"movq %[call], %%rax\n\t"
		"vmcall\n\t"
		"movq %%rsp, %%r12\n\t"
		"lidt %[none]\n\t"
		"movq $0x5a5a, %%r13\n\t"
		"ud2\n"
		"1:\tmovq %%rsp, %[rsp]\n\t"
		"movq %%r12, %%rsp\n\t"
		"lidt %[idtr]\n\t"
		: [rsp] "=m"(resumed_rsp), "=&a"(rip)
		: [none] "m"(none), [idtr] "m"(idtr), [call] "i"(ZOO_RESUME), [top] "r"(&stack[16])
		: "rbx", "rcx", "r12", "r13", "memory");
	EXITS("a triple fault", [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_TRIPLE_FAULT] = 1);
	rsp = resumed_rsp;
	check(rsp == (u64)&stack[16], "RSP %lx, not %lx", (unsigned long)rsp,
	      (unsigned long)&stack[16]);
}

static void test_quiet(void)
{
	expect("quiet", answer(ZOO_QUIET, 1, 0), ZOO_DONE);
	exits_begin();
	for (u32 i = 0; i < 20000000; i++)
		__asm__ volatile("" ::: "memory");
	EXITS("20 million times nothing", 0);
	expect("not quiet", answer(ZOO_QUIET, 0, 0), ZOO_DONE);
}

static void test_no_zoo(void)
{
	exits_begin();
	check(TRY("vmcall", ::"a"(ZOO_HELLO), "b"(0), "c"(0)) == UD_VECTOR, "no #UD");
	EXITS("VMCALL", [EXIT_REASON_VMCALL] = 1);
}

void payload_main(void)
{
	if (option("off")) {
		case_run("off", test_no_zoo);
		return;
	}
	case_run("hello", test_hello);
	case_run("bad-calls", test_bad_calls);
	case_run("entries", test_entries);
	case_run("resume", test_resume);
	case_run("signals", test_signals);
	case_run("pages", test_pages);
	case_run("instructions", test_instructions);
	case_run("disarming", test_disarming);
	case_run("switch", test_switch);
	case_run("msr-switch", test_msr_switch);
	case_run("quiet", test_quiet);
}
