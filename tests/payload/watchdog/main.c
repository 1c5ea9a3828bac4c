/* SPDX-License-Identifier: MIT */
/*
 * The watchdog (boot option watchdog=1): what it must not end, and then something that it must: a
 * loop of exits, another one on shadow page tables, or, with "silence" on the command line, silence
 * where a heartbeat was promised. "at-once" leaves out what comes first.
 */
#include "exit_stats.h"
#include "payload.h"

#define PIT_COUNTER0 0x40
#define PIT_COMMAND 0x43
#define PIT_TICKS_A_SECOND 1193182u
#define PIC_MASTER 0x20
#define PIC_MASTER_MASK 0x21
#define TIMER_VECTOR 0x20
#define IOAPIC 0xfec00000u

/** TSC ticks of a second. */
static u64 second;
static volatile u32 ticks;

static void tick(struct trap_frame *f)
{
	(void)f;
	ticks++;
	outb(PIC_MASTER, 0x20); /* EOI */
}

/** A timer interrupt 20 times a second. */
static void start_timer(void)
{
	outb(PIC_MASTER, 0x11);
	outb(PIC_MASTER_MASK, TIMER_VECTOR);
	outb(PIC_MASTER_MASK, 4);
	outb(PIC_MASTER_MASK, 1);
	outb(PIC_MASTER_MASK, 0xfe);
	trap_set(TIMER_VECTOR, tick);
	outb(PIT_COMMAND, 0x34);
	outb(PIT_COUNTER0, PIT_TICKS_A_SECOND / 20 & 0xff);
	outb(PIT_COUNTER0, PIT_TICKS_A_SECOND / 20 >> 8);
}

/** From now on for so many thousandths of a second. */
static u64 until(u64 ms)
{
	return rdtsc() + second * ms / 1000;
}

/** CPUID in a loop, until the TSC has reached `end`: with the same RIP, RCX and RFLAGS each time.
 */
static void same_until(u64 end)
{
	__asm__ volatile("1:\n\t"
			 "xorl %%eax, %%eax\n\t"
			 "xorl %%ecx, %%ecx\n\t"
			 "cpuid\n\t"
			 "rdtsc\n\t"
			 "shlq $32, %%rdx\n\t"
			 "orq %%rdx, %%rax\n\t"
			 "cmpq %0, %%rax\n\t"
			 "jb 1b" ::"r"(end)
			 : "rax", "rbx", "rcx", "rdx");
}

static bool past(u64 end)
{
	return (s64)(rdtsc() - end) >= 0;
}

/** Longer than is allowed, but interrupts show that there is life. */
static void test_interrupts(void)
{
	start_timer();
	ticks = 0;
	sti();
	same_until(until(1400));
	cli();
	check(ticks >= 24 && ticks <= 32, "%u ticks in 1.4 seconds", ticks);
}

/** Idle for so many ticks: nothing but HLT, and what wakes it. */
static void idle(u32 nr)
{
	u32 end = ticks + nr;

	while (ticks != end)
		__asm__ volatile("sti\n\thlt\n\tcli");
}

static void test_halted(void)
{
	idle(36);
}

/** A counter in RCX: progress, however slow. */
static void test_counting(void)
{
	u64 end = until(1300);

	for (u64 n = 0; !past(end); n++)
		__asm__ volatile("inb %%dx, %%al" ::"d"(0x61), "c"(n) : "rax");
}

/** A heart that beats in time, and one that was stopped in order. */
static void test_heartbeat(void)
{
	struct cpuid_out r = {0, 0, 0, 0};

	for (u32 i = 0; i < 3; i++) {
		r = cpuid(TV_CPUID_HEARTBEAT, 1);
		idle(16);
	}
	check(r.eax == 1 && r.ebx == 1 && !r.ecx && !r.edx, "a beat gives %x %x %x %x", r.eax,
	      r.ebx, r.ecx, r.edx);
	r = cpuid(TV_CPUID_HEARTBEAT, ~0u);
	check(r.ebx == 86400, "the longest promise is %u seconds", r.ebx);
	r = cpuid(TV_CPUID_HEARTBEAT, 0);
	check(r.eax == 1 && !r.ebx, "after the last beat: %x %x", r.eax, r.ebx);
	idle(36);
}

/** The same CPUID for ever. Nothing comes back from here. */
static void spin(void)
{
	__asm__ volatile("1:\n\t"
			 "movl $1, %%eax\n\t"
			 "xorl %%ecx, %%ecx\n\t"
			 "cpuid\n\t"
			 "jmp 1b" ::
				 : "rax", "rbx", "rcx", "rdx");
}

/** A register of a device that never changes. */
static void poll(void)
{
	for (;;)
		mmio_read(IOAPIC);
}

static void silence(void)
{
	cpuid(TV_CPUID_HEARTBEAT, 1);
	__asm__ volatile("cli\n1:\tjmp 1b");
}

void payload_main(void)
{
	bool shadow = cpuid(TV_CPUID_INFO, 0).ecx == 2;

	second = (u64)cpuid(TV_CPUID_CLOCK, 0).eax * 1000;
	if (!shadow && !option("at-once")) {
		case_run("interrupts", test_interrupts);
		case_run("halted", test_halted);
		case_run("heartbeat", test_heartbeat);
		outb(PIC_MASTER_MASK, 0xff);
		case_run("counting", test_counting);
	}
	print("and now the end\n");
	if (option("silence"))
		silence();
	if (shadow)
		poll();
	spin();
}
