/* SPDX-License-Identifier: MIT */
/* The local APIC's timer in its three modes (SDM volume 3, section 11.5.4 "APIC Timer"). */
#include "apic.h"

#define VECTOR 0x71
#define DIVIDE_BY_1 0xb
#define COUNT 20000
#define LONG_COUNT 0x10000000
/* In TSC ticks: much longer than a count takes at any rate of the TSC. */
#define PATIENCE 200000000ull

/** Wait, with interrupts on, until `nr` interrupts were taken. */
static void wait_for(unsigned nr)
{
	u64 start = rdtsc();

	sti();
	while (*(volatile unsigned *)&nr_taken < nr && rdtsc() - start < PATIENCE)
		;
	cli();
}

static void start(u32 mode, u32 count)
{
	apic_write(LAPIC_TDCR, DIVIDE_BY_1);
	apic_write(LAPIC_LVT_TIMER, mode | VECTOR);
	apic_write(LAPIC_TMICT, count);
}

static u32 exit_of_timer(void)
{
	return has.preemption_timer ? EXIT_REASON_PREEMPTION_TIMER : EXIT_REASON_EXTERNAL_INTERRUPT;
}

void test_one_shot(void)
{
	struct exit_counts want = {0};
	u32 first, second;

	start(0, LONG_COUNT);
	exits_begin();
	first = apic_read(LAPIC_TMCCT);
	second = apic_read(LAPIC_TMCCT);
	want.n[exit_of_read(LAPIC_TMCCT)] = 2;
	exits_check("reading TMCCT", &want);
	check(first <= LONG_COUNT && second < first && second > LONG_COUNT / 2,
	      "TMCCT counts from %x to %x", first, second);

	want = (struct exit_counts){0};
	exits_begin();
	apic_write(LAPIC_TMICT, COUNT);
	wait_for(1);
	want.n[exit_of_write(LAPIC_TMICT)]++;
	want.n[exit_of_timer()]++;
	want.n[exit_of_eoi(false)]++;
	exits_check("a one-shot timer", &want);
	TAKEN({VECTOR, ANYWHERE, 0});
	check(apic_read(LAPIC_TMCCT) == 0, "TMCCT is %x after the expiry", apic_read(LAPIC_TMCCT));
	check(apic_read(LAPIC_TMICT) == COUNT, "TMICT is %x", apic_read(LAPIC_TMICT));

	/* Pending while interrupts are off. */
	apic_write(LAPIC_TMICT, COUNT);
	for (u64 begin = rdtsc(); !apic_bit(LAPIC_IRR, VECTOR) && rdtsc() - begin < PATIENCE;)
		;
	TAKEN();
	u64 next = sti_cli();

	TAKEN({VECTOR, next, 0});
	/* Masked, it counts and does not interrupt; unmasked later, what is past is past. */
	start(LVT_MASKED, COUNT);
	while (apic_read(LAPIC_TMCCT))
		;
	apic_write(LAPIC_LVT_TIMER, VECTOR);
	sti_cli();
	TAKEN();
}

void test_periodic(void)
{
	u64 span[2];

	start(LVT_TIMER_PERIODIC, COUNT);
	wait_for(4);
	apic_write(LAPIC_TMICT, 0);
	sti_cli(); /* one more may have come meanwhile */
	check(nr_taken >= 4, "%u of 4 were taken", nr_taken);
	/* All periods are as long, but for the time an exit takes. */
	span[0] = taken[1].tsc - taken[0].tsc;
	span[1] = taken[3].tsc - taken[1].tsc;
	check(span[1] > span[0] && span[1] < 3 * span[0], "a period of %lu, two of %lu ticks",
	      (unsigned long)span[0], (unsigned long)span[1]);
	nr_taken = 0;
	check(apic_read(LAPIC_TMCCT) == 0, "TMCCT is %x when stopped", apic_read(LAPIC_TMCCT));
	sti_cli();
	TAKEN();
}

/* Section 11.5.4.1 "TSC-Deadline Mode". */
void test_deadline(void)
{
	u64 deadline;

	if (!check(cpuid(1, 0).ecx & BIT(24), "CPUID offers no TSC-deadline mode"))
		return;
	wrmsr(MSR_TSC_DEADLINE, rdtsc());
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "a deadline was kept outside its mode");
	start(LVT_TIMER_DEADLINE, COUNT);
	check(apic_read(LAPIC_TMCCT) == 0 && apic_read(LAPIC_TMICT) == 0,
	      "TMICT was written in TSC-deadline mode");
	deadline = rdtsc() + COUNT;
	wrmsr(MSR_TSC_DEADLINE, deadline);
	check(rdmsr(MSR_TSC_DEADLINE) == deadline, "the deadline reads back as %lx",
	      (unsigned long)rdmsr(MSR_TSC_DEADLINE));
	wait_for(1);
	check(nr_taken == 1 && taken[0].tsc >= deadline, "it came too soon");
	TAKEN({VECTOR, ANYWHERE, 0});
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "the deadline is %lx after the expiry",
	      (unsigned long)rdmsr(MSR_TSC_DEADLINE));

	/* One that is past; one that is taken back. */
	sti();
	deadline = wrmsr(MSR_TSC_DEADLINE, 1);
	cli();
	TAKEN({VECTOR, deadline, 0});
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + COUNT);
	wrmsr(MSR_TSC_DEADLINE, 0);
	for (u64 begin = rdtsc(); rdtsc() - begin < 20 * COUNT;)
		;
	sti_cli();
	TAKEN();
	/* Another mode disarms it. */
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + PATIENCE);
	apic_write(LAPIC_LVT_TIMER, VECTOR);
	apic_write(LAPIC_LVT_TIMER, LVT_TIMER_DEADLINE | VECTOR);
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "the deadline outlived its mode");
}

#define MSR_TSC_ADJUST 0x3b
#define FAR 1000000000ull

/* Section 18.17.3 "Time-Stamp Counter Adjustment": the TSC moves, and what the deadline is compared
 * with. */
void test_deadline_moves(void)
{
	u64 adjust = rdmsr(MSR_TSC_ADJUST), deadline;

	start(LVT_TIMER_DEADLINE, 0);
	deadline = rdtsc() + FAR / 2;
	wrmsr(MSR_TSC_DEADLINE, deadline);
	wrmsr(MSR_TSC_ADJUST, adjust + FAR);
	sti_cli();
	TAKEN({VECTOR, ANYWHERE, 0});
	check(rdmsr(MSR_TSC_DEADLINE) == 0, "the TSC moved past the deadline, which stayed");

	deadline = rdtsc() + 20 * COUNT;
	wrmsr(MSR_TSC_DEADLINE, deadline);
	wrmsr(MSR_TSC_ADJUST, adjust);
	check(rdmsr(MSR_TSC_DEADLINE) == deadline, "the deadline moved with the TSC");
	for (u64 begin = rdtsc(); rdtsc() - begin < 40 * COUNT;)
		;
	sti_cli();
	TAKEN();
	wrmsr(MSR_TSC_DEADLINE, 0);
}
