/* SPDX-License-Identifier: MIT */
/*
 * The calls of the exit zoo (include/zoo.h), with zoo=1: good ones and bad ones. Each event is
 * ordered once, and makes the exit that it is for, or the answer says why it cannot be had. The
 * command line names those that this processor can raise. What the exits are like is
 * tests/payload/zoo's matter.
 */
#include "exit_switches.h"
#include "options.h"
#include "payload.h"
#include "vmx.h"
#include "x86.h"
#include "zoo.h"

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

static const struct {
	const char *name;
	u32 reason;
	bool of_ept; /* happens to an EPT entry */
} events[NR_ZOO_EVENTS] = {
	[ZOO_EVENT_NMI] = {"nmi", EXIT_REASON_EXCEPTION_NMI, false},
	[ZOO_EVENT_INTERRUPT] = {"interrupt", EXIT_REASON_EXTERNAL_INTERRUPT, false},
	[ZOO_EVENT_INIT] = {"init", EXIT_REASON_INIT_SIGNAL, false},
	[ZOO_EVENT_TIMER] = {"timer", EXIT_REASON_PREEMPTION_TIMER, false},
	[ZOO_EVENT_MTF] = {"mtf", EXIT_REASON_MONITOR_TRAP_FLAG, false},
	[ZOO_EVENT_GUEST_STATE] = {"guest-state", EXIT_REASON_ENTRY_FAIL_GUEST_STATE, false},
	[ZOO_EVENT_MSR_LOADING] = {"msr-loading", EXIT_REASON_ENTRY_FAIL_MSR_LOADING, false},
	[ZOO_EVENT_EPT_MISCONFIG] = {"ept-misconfig", EXIT_REASON_EPT_MISCONFIG, true},
	[ZOO_EVENT_PML_FULL] = {"pml-full", EXIT_REASON_PML_FULL, true},
	[ZOO_EVENT_SMXE] = {"smxe", EXIT_REASON_GETSEC, false},
	[ZOO_EVENT_XSS] = {"xss", EXIT_REASON_XSAVES, false},
	[ZOO_EVENT_VMFUNC] = {"vmfunc", EXIT_REASON_VMFUNC, false},
	[ZOO_EVENT_SPP] = {"spp", EXIT_REASON_SPP_EVENT, true},
};

/** What the answer to an order of this event must be. */
static enum zoo_answer answer_for(enum zoo_event event)
{
	if (event == ZOO_EVENT_INIT && !option("init"))
		return ZOO_NO_EMULATOR;
	if (!option(events[event].name))
		return ZOO_NO_CPU;
	return events[event].of_ept && vmcall(ZOO_HELLO, 0, 0).rbx != PAGING_EPT ? ZOO_NO_MODE
										 : ZOO_DONE;
}

/** Order the event; where it can be had, exactly its exit must follow. */
static void order(enum zoo_event event, void (*then)(void))
{
	const enum zoo_answer want = answer_for(event);
	struct exit_counts exits = {.n = {[EXIT_REASON_VMCALL] = 1}};
	u64 got;

	exits_begin();
	got = answer(ZOO_ARM, event, (u64)page + 8);
	if (got == ZOO_DONE)
		then();
	exits.n[events[event].reason] += got == ZOO_DONE;
	exits_check(events[event].name, &exits);
	expect(events[event].name, got, want);
	if (got != ZOO_DONE)
		return;
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
	order(ZOO_EVENT_NMI, spin);
	sti();
	order(ZOO_EVENT_NMI, spin);
	order(ZOO_EVENT_INTERRUPT, nothing);
	cli();
	order(ZOO_EVENT_INIT, nothing);
	order(ZOO_EVENT_TIMER, nothing);
	order(ZOO_EVENT_MTF, nothing);
}

static void test_entries(void)
{
	order(ZOO_EVENT_GUEST_STATE, nothing);
	order(ZOO_EVENT_MSR_LOADING, nothing);
}

#define APIC 0xfee00000ul
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define APIC_LVT_TIMER 0x320
#define APIC_TMICT 0x380
#define APIC_TDCR 0x3e0
#define TIMER_VECTOR 0x40

/* The 8254 ticks 18 times a second, an exit each; in mode 0, without a count, it does not. */
#define PIT_CONTROL 0x43
#define PIT_STANDS_STILL 0x30

static volatile u32 interrupts;

static void on_timer(struct trap_frame *f)
{
	(void)f;
	interrupts++;
	mmio_write(APIC + APIC_EOI, 0);
}

/** The guest's timer is due while the hypervisor works on the order of an entry that fails, or of
 * an MTF: the interrupt, which was to be injected at that entry, is neither lost nor doubled. And
 * that of the machine's which is ordered beside its own timer's does not come up later. */
static void interrupt_at(enum zoo_event event)
{
	const u32 rounds = 20;
	u64 ordered = 0;

	interrupts = 0;
	exits_begin();
	sti();
	for (u32 i = 0; i < rounds; i++) {
		mmio_write(APIC + APIC_TMICT, 3000 + 97 * i);
		for (u32 n = 0; interrupts == i && n < 1000; n++)
			ordered += answer(ZOO_ARM, event, 0) == ZOO_DONE;
		check(interrupts == i + 1, "round %u: %u interrupts", i, interrupts);
	}
	cli();
	struct exit_counts got;

	exits_end(&got);
	/* Without the VMX-preemption timer, the machine's timer interrupts as well. */
	check(ordered >= rounds && (got.n[events[event].reason] == ordered ||
				    (event == ZOO_EVENT_INTERRUPT && !option("timer") &&
				     got.n[events[event].reason] > ordered)),
	      "%s: ordered %lu times, %u exits", events[event].name, (unsigned long)ordered,
	      got.n[events[event].reason]);
}

static void test_injection(void)
{
	trap_set(TIMER_VECTOR, on_timer);
	mmio_write(APIC + APIC_SVR, 0x1ff);
	mmio_write(APIC + APIC_TDCR, 0xb);
	mmio_write(APIC + APIC_LVT_TIMER, TIMER_VECTOR);
	interrupt_at(ZOO_EVENT_GUEST_STATE);
	interrupt_at(ZOO_EVENT_MSR_LOADING);
	interrupt_at(ZOO_EVENT_INTERRUPT);
	if (option("mtf"))
		interrupt_at(ZOO_EVENT_MTF);
}

static volatile u32 breakpoints, steps;

static void on_breakpoint(struct trap_frame *f)
{
	(void)f;
	breakpoints++;
}

static void on_step(struct trap_frame *f)
{
	(void)f;
	steps++;
}

static const enum zoo_event of_pages[] = {ZOO_EVENT_EPT_MISCONFIG, ZOO_EVENT_PML_FULL,
					  ZOO_EVENT_SPP};

/** What an exception's delivery needs: the exit comes in its midst, and it is delivered once. */
static void test_delivery(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr, gdtr;
	u64 pages[5], cr3 = read_cr3(), ordered = 0, want;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	__asm__ volatile("sgdt %0" : "=m"(gdtr));
	pages[0] = idtr.base;
	pages[1] = gdtr.base;
	pages[2] = (u64)__builtin_frame_address(0);
	pages[3] = cr3;
	pages[4] = *(u64 *)cr3;
	trap_set(BP_VECTOR, on_breakpoint);
	for (u32 i = 0; i < ARRAY_SIZE(of_pages) * ARRAY_SIZE(pages); i++) {
		u64 got = ZOO_ARM, event = of_pages[i / ARRAY_SIZE(pages)];

		want = breakpoints + 1;
		__asm__ volatile("vmcall\n\tint3"
				 : "+a"(got), "+b"(event)
				 : "c"(pages[i % ARRAY_SIZE(pages)])
				 : "memory");
		ordered += got == ZOO_DONE;
		check(breakpoints == want, "order %u: %lu breakpoints", i,
		      (unsigned long)(breakpoints - want + 1));
	}
	want = 0;
	for (u32 i = 0; i < ARRAY_SIZE(of_pages); i++)
		want += answer_for(of_pages[i]) == ZOO_DONE ? ARRAY_SIZE(pages) : 0;
	check(ordered == want, "%lu orders of %lu", (unsigned long)ordered, (unsigned long)want);
}

/** RFLAGS.TF is 1 at the call: its trap is neither lost nor doubled, whatever was ordered. */
static void test_single_step(void)
{
	trap_set(DB_VECTOR, on_step);
	for (u64 event = 0; event < NR_ZOO_EVENTS; event++) {
		u64 got = ZOO_ARM, rbx = event;

		steps = 0;
		__asm__ volatile("pushfq\n\t"
				 "orl $0x100, (%%rsp)\n\t"
				 "popfq\n\t"
				 "vmcall\n\t"
				 "nop\n\t"
				 "pushfq\n\t"
				 "andl $~0x100, (%%rsp)\n\t"
				 "popfq"
				 : "+a"(got), "+b"(rbx)
				 : "c"(page)
				 : "memory");
		check(steps == 5, "event %lu, answer %lu: %u steps", (unsigned long)event,
		      (unsigned long)got, steps);
		cpuid(0, 0); /* what is still in force ends */
	}
}

/** The local APIC's timer interrupts at any moment, and each time through a page that was ordered,
 * that of the stack. */
static void test_interrupted(void)
{
	const u32 rounds = 60;
	volatile u64 on_stack = 0;
	u64 ordered = 0;

	interrupts = breakpoints = 0;
	sti();
	for (u32 i = 0; i < rounds; i++) {
		__asm__ volatile("int3" ::: "memory");
		mmio_write(APIC + APIC_TMICT, 500 + 97 * i);
		for (u32 n = 0; interrupts == i && n < 1000; n++) {
			ordered += answer(ZOO_ARM, of_pages[i % ARRAY_SIZE(of_pages)],
					  (u64)&on_stack) == ZOO_DONE;
			on_stack++;
		}
		check(interrupts == i + 1, "round %u: %u interrupts", i, interrupts);
	}
	cli();
	check(breakpoints == rounds, "%u breakpoints", breakpoints);
	check(ordered || answer_for(ZOO_EVENT_EPT_MISCONFIG) != ZOO_DONE, "no order");
}

/** Each write is done once, whatever it had to exit for. */
static void test_pages(void)
{
	u64 writes = 1;

	page[1] = 0;
	write_page();
	for (u32 i = 0; i < ARRAY_SIZE(of_pages); i++) {
		order(of_pages[i], write_page);
		writes += answer_for(of_pages[i]) == ZOO_DONE ? 2 : 0;
	}
	check(page[1] == writes, "%lu writes, not %lu", (unsigned long)page[1],
	      (unsigned long)writes);
}

static void test_instructions(void)
{
	order(ZOO_EVENT_SMXE, getsec);
	order(ZOO_EVENT_VMFUNC, vmfunc);
	if (option("xss"))
		write_cr4(read_cr4() | X86_CR4_OSXSAVE);
	order(ZOO_EVENT_XSS, xsaves);
}

/** What is ordered and does not happen, for another exit comes before it, does not happen later. */
static void test_disarming(void)
{
	bool misconfig = answer_for(ZOO_EVENT_EPT_MISCONFIG) == ZOO_DONE;

	exits_begin();
	answer(ZOO_ARM, misconfig ? ZOO_EVENT_EPT_MISCONFIG : ZOO_EVENT_SMXE, (u64)page);
	cpuid(0, 0);
	write_page();
	getsec();
	EXITS("after an exit", [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_CPUID] = 1);
	/* A second order takes the place of the first. */
	exits_begin();
	answer(ZOO_ARM, misconfig ? ZOO_EVENT_EPT_MISCONFIG : ZOO_EVENT_SMXE, (u64)page);
	expect("the second", answer(ZOO_ARM, ZOO_EVENT_GUEST_STATE, 0), ZOO_DONE);
	write_page();
	getsec();
	EXITS("the second", [EXIT_REASON_VMCALL] = 2, [EXIT_REASON_ENTRY_FAIL_GUEST_STATE] = 1);
	/* So does one that is no order. */
	answer(ZOO_ARM, ZOO_EVENT_GUEST_STATE, 0);
	exits_begin();
	expect("no event", answer(ZOO_ARM, NR_ZOO_EVENTS, 0), ZOO_UNKNOWN);
	EXITS("no event", [EXIT_REASON_VMCALL] = 1);
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
	if (answer_for(ZOO_EVENT_EPT_MISCONFIG) == ZOO_DONE) {
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

/** The guest's timer is due after a tenth of this: how often it interrupted, and exited. */
static u32 timer_exits(void)
{
	struct exit_counts got;

	interrupts = 0;
	mmio_write(APIC + APIC_TMICT, 100000);
	exits_begin();
	for (u32 i = 0; i < 20; i++)
		spin();
	exits_end(&got);
	return got.n[EXIT_REASON_PREEMPTION_TIMER] + got.n[EXIT_REASON_EXTERNAL_INTERRUPT];
}

/** Interrupts are on all the time: what is put off comes when it is not quiet any more. */
static void test_quiet(void)
{
	u32 exits;

	outb(PIT_CONTROL, PIT_STANDS_STILL);
	sti();
	expect("quiet", answer(ZOO_QUIET, 1, 0), ZOO_DONE);
	exits = timer_exits();
	check(!exits && !interrupts, "quiet: %u exits, %u interrupts", exits, interrupts);
	expect("not quiet", answer(ZOO_QUIET, 0, 0), ZOO_DONE);
	spin();
	check(interrupts == 1, "not quiet: %u interrupts", interrupts);
	exits = timer_exits();
	check(exits == 1 && interrupts == 1, "as ever: %u exits, %u interrupts", exits, interrupts);
	cli();
}

void payload_main(void)
{
	case_run("hello", test_hello);
	case_run("bad-calls", test_bad_calls);
	case_run("entries", test_entries);
	case_run("resume", test_resume);
	case_run("signals", test_signals);
	case_run("injection", test_injection);
	case_run("pages", test_pages);
	case_run("delivery", test_delivery);
	case_run("single-step", test_single_step);
	case_run("interrupted", test_interrupted);
	case_run("instructions", test_instructions);
	case_run("disarming", test_disarming);
	case_run("switch", test_switch);
	case_run("msr-switch", test_msr_switch);
	case_run("quiet", test_quiet);
}
