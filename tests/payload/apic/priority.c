/* SPDX-License-Identifier: MIT */
/* Priorities, self-IPIs, and when a pending interrupt is taken (SDM volume 3, section 11.8
 * "Handling Interrupts"; 30.2 "Evaluation and Delivery of Virtual Interrupts"). */
#include "apic.h"

#define POST_PORT 0x80

static struct exit_counts want;

/** What the next exits_check() is to find. */
static void want_nothing(void)
{
	want = (struct exit_counts){0};
}

static void refused_cr8(u64 value)
{
	s64 vector = TRY("mov %0, %%cr8", ::"r"(value));

	check(vector == GP, "CR8 %lx: vector %ld, not #GP", (unsigned long)value, (long)vector);
}

void test_tpr(void)
{
	want_nothing();
	exits_begin();
	apic_write(LAPIC_TPR, 0x53);
	u32 tpr = apic_read(LAPIC_TPR);
	u64 cr8 = read_cr8();

	write_cr8(7);
	u32 tpr_by_cr8 = apic_read(LAPIC_TPR);

	want.n[exit_of_write(LAPIC_TPR)]++;
	want.n[exit_of_read(LAPIC_TPR)] += 2;
	want.n[exit_of_cr8()] += 2;
	exits_check("TPR and CR8", &want);
	check(tpr == 0x53, "TPR 53 reads back as %x", tpr);
	check(cr8 == 5, "TPR 53 is CR8 %lx", (unsigned long)cr8);
	check(tpr_by_cr8 == 0x70, "CR8 7 is TPR %x", tpr_by_cr8);
	refused_cr8(16);
	refused_cr8(1ul << 32);
	check(apic_read(LAPIC_TPR) == 0x70, "a CR8 that is #GP changed the TPR to %x",
	      apic_read(LAPIC_TPR));
}

/** By the register and by CR8: held back at its own class and below, taken at once when lowered. */
static void hold_back(bool by_cr8)
{
	u64 next;

	apic_write(LAPIC_TPR, 0x50);
	apic_self_ipi(0x5f);
	apic_self_ipi(0x41);
	sti();
	check(apic_bit(LAPIC_IRR, 0x5f) && apic_bit(LAPIC_IRR, 0x41), "not pending in IRR");
	TAKEN();
	next = apic_self_ipi(0x61); /* of a higher class */
	TAKEN({0x61, next, 0});
	want_nothing();
	exits_begin();
	next = by_cr8 ? write_cr8(4) : apic_write(LAPIC_TPR, 0x4f);
	want.n[by_cr8 ? exit_of_cr8() : exit_of_write(LAPIC_TPR)]++;
	if (by_cr8 || exit_of_write(LAPIC_TPR) == NO_EXIT)
		want.n[exit_of_lowered_tpr()]++;
	want.n[exit_of_eoi(false)]++;
	exits_check("lowering the TPR", &want);
	TAKEN({0x5f, next, 0});
	next = by_cr8 ? write_cr8(0) : apic_write(LAPIC_TPR, 0);
	TAKEN({0x41, next, 0});
	cli();
}

void test_tpr_holds_back(void)
{
	u64 next;

	hold_back(false);
	hold_back(true);
	/* With interrupts off a lower TPR delivers nothing yet. */
	apic_write(LAPIC_TPR, 0xf0);
	apic_self_ipi(0x41);
	apic_write(LAPIC_TPR, 0);
	TAKEN();
	next = sti_cli();
	TAKEN({0x41, next, 0});
}

static u32 ppr_alone, ppr_below, ppr_above;

static void read_ppr(u8 vector)
{
	(void)vector;
	ppr_alone = apic_read(LAPIC_PPR);
	apic_write(LAPIC_TPR, 0x3f);
	ppr_below = apic_read(LAPIC_PPR);
	apic_write(LAPIC_TPR, 0x6a);
	ppr_above = apic_read(LAPIC_PPR);
	apic_write(LAPIC_TPR, 0);
}

/* Section 11.8.3.1 "Task and Processor Priorities". Of equal classes the low half may be either's.
 */
void test_ppr(void)
{
	u32 ppr;

	in_service = read_ppr;
	apic_self_ipi(0x51);
	sti_cli();
	check(ppr_alone == 0x50, "PPR %x with 51 in service", ppr_alone);
	check(ppr_below == 0x50, "PPR %x with 51 in service and TPR 3f", ppr_below);
	check(ppr_above == 0x6a, "PPR %x with 51 in service and TPR 6a", ppr_above);
	apic_write(LAPIC_TPR, 0x34);
	want_nothing();
	exits_begin();
	ppr = apic_read(LAPIC_PPR);
	want.n[exit_of_read(LAPIC_PPR)]++;
	exits_check("reading the PPR", &want);
	check(ppr == 0x34, "PPR %x with TPR 34", ppr);
}

static void one_ipi(const char *how, u32 low, u32 dest)
{
	u64 next;

	want_nothing();
	if (x2apic) {
		exits_begin();
		next = wrmsr(MSR_X2APIC_FIRST + LAPIC_ICR / 16, (u64)dest << 32 | low);
	} else {
		apic_write(LAPIC_ICR_HIGH, dest << 24);
		exits_begin();
		next = apic_write(LAPIC_ICR, low);
	}
	want.n[exit_of_icr(low)]++;
	want.n[exit_of_eoi(false)]++;
	exits_check(how, &want);
	check(apic_read(LAPIC_ICR) == low, "%s: ICR reads back as %x", how, apic_read(LAPIC_ICR));
	TAKEN({(u8)low, next, 0});
}

void test_self_ipi(void)
{
	u32 id = x2apic ? apic_read(LAPIC_ID) : apic_read(LAPIC_ID) >> 24;
	u64 next;

	if (!x2apic) {
		apic_write(LAPIC_DFR, ~0u);
		apic_write(LAPIC_LDR, 1u << 24);
	}
	sti();
	one_ipi("self shorthand", 0x40041, 0);
	one_ipi("self shorthand, level bit", 0x44042, 0);
	one_ipi("all including self", 0x80043, 0);
	one_ipi("physical destination", 0x00044, id);
	one_ipi("logical destination", 0x00845, x2apic ? apic_read(LAPIC_LDR) : 1);
	one_ipi("lowest priority", 0x00946, x2apic ? apic_read(LAPIC_LDR) : 1);
	one_ipi("broadcast", 0x00047, x2apic ? ~0u : 0xff);
	apic_write(LAPIC_ICR, 0xc0048); /* all but me */
	TAKEN();
	if (x2apic) {
		want_nothing();
		exits_begin();
		next = apic_write(LAPIC_SELF_IPI, 0x49);
		want.n[exit_of_write(LAPIC_SELF_IPI)]++;
		want.n[exit_of_eoi(false)]++;
		exits_check("SELF_IPI", &want);
		TAKEN({0x49, next, 0});
	}
}

static u32 isr_inner, isr_outer, irr_inner, tmr_inner;
static u64 nested_at;

/* 0x31 in service lets 0x61 interrupt it, but not 0x3f or 0x21. */
static void nest(u8 vector)
{
	struct exit_counts reads = {0};

	if (vector == 0x31) {
		sti();
		apic_self_ipi(0x21);
		apic_self_ipi(0x3f);
		nested_at = apic_self_ipi(0x61);
		cli();
	}
	if (vector != 0x61)
		return;
	exits_begin();
	isr_outer = apic_read(LAPIC_ISR + 0x10);
	isr_inner = apic_read(LAPIC_ISR + 0x30);
	irr_inner = apic_read(LAPIC_IRR + 0x10);
	tmr_inner = apic_read(LAPIC_TMR + 0x30);
	reads.n[exit_of_read(LAPIC_ISR)] = 4;
	exits_check("reading ISR, IRR and TMR in service", &reads);
}

void test_nesting(void)
{
	u64 next;

	in_service = nest;
	sti();
	next = apic_self_ipi(0x31);
	cli();
	check(isr_outer == 1u << 0x11, "ISR 32-63 is %x", isr_outer);
	check(isr_inner == 1u << 1, "ISR 96-127 is %x", isr_inner);
	check(irr_inner == (1u << 1 | 1u << 0x1f), "IRR 32-63 is %x", irr_inner);
	check(tmr_inner == 0, "TMR 96-127 is %x", tmr_inner);
	/* The EOI of 31 leaves 3f, then 21, for the boundary at which 31 was taken. */
	TAKEN({0x31, next, 0}, {0x61, nested_at, 0}, {0x3f, next, 0}, {0x21, next, 0});
}

static bool came_early;

static void send_lower(u8 vector)
{
	if (vector != 0x61)
		return;
	sti();
	apic_self_ipi(0x31);
	cli();
	came_early = nr_taken > 1;
}

/** An interrupt that the hypervisor had to inject, because an exit came before interrupts went on,
 *  has its priority like any other. */
void test_injected_priority(void)
{
	u64 next;

	in_service = send_lower;
	apic_self_ipi(0x61);
	cpuid(0, 0);
	next = sti_cli();
	check(!came_early, "31 interrupted 61");
	TAKEN({0x61, next, 0}, {0x31, next, 0});
}

static unsigned eoi_with_if;
static u64 eoi_next;

static void end_early(u8 vector)
{
	if (vector != 0x61)
		return;
	in_service = NULL;
	apic_self_ipi(0x51);
	if (eoi_with_if) {
		sti();
		check(nr_taken == 1, "51 was taken while 61 was in service");
	}
	eoi_next = apic_write(LAPIC_EOI, 0);
	check(nr_taken == 1 + eoi_with_if, "after the EOI of 61 %u were taken", nr_taken);
	cli();
	/* on_interrupt() ends it once more: with nothing in service that does nothing. */
}

void test_eoi_with_lower_pending(void)
{
	u64 next;

	for (unsigned on = 0; on < 2; on++) {
		eoi_with_if = on;
		in_service = end_early;
		want_nothing();
		sti();
		exits_begin();
		next = apic_self_ipi(0x61);
		want.n[exit_of_self_ipi()] += 2;
		want.n[exit_of_eoi(false)] += 3;
		if (!on)
			want.n[exit_of_window()]++;
		exits_check(on ? "EOI with IF=1" : "EOI with IF=0", &want);
		cli();
		TAKEN({0x61, next, 0}, {0x51, on ? eoi_next : next, 0});
	}
}

static void pend(unsigned how)
{
	switch (how) {
	case 0:
		return; /* nothing between */
	case 1:
		cpuid(0, 0);
		want.n[EXIT_REASON_CPUID]++;
		return;
	case 2:
		outb(POST_PORT, 0);
		want.n[EXIT_REASON_IO_INSTRUCTION]++;
		return;
	case 3:
		apic_read(LAPIC_TMCCT);
		want.n[exit_of_read(LAPIC_TMCCT)]++;
		return;
	default: /* a page of the I/O APIC: an exit that completes no instruction by itself */
		mmio_read(0xfec00000);
		want.n[EXIT_REASON_EPT_VIOLATION]++;
		return;
	}
}

/** The interrupt, an exit that has nothing to do with it, and STI. */
void test_pending_across_exits(void)
{
	u64 next;

	for (unsigned how = 0; how < 5; how++) {
		want_nothing();
		exits_begin();
		apic_self_ipi(0x41);
		pend(how);
		pend(how);
		next = sti_cli();
		want.n[exit_of_self_ipi()]++;
		want.n[exit_of_window()]++;
		want.n[exit_of_eoi(false)]++;
		exits_check("self-IPI, exits, STI", &want);
		TAKEN({0x41, next, 0});
	}
}

/** STI; CPUID: where the interrupt comes that was pending before. */
static u64 sti_then_cpuid(void)
{
	u64 next;
	u32 a = 0, c = 0;

	__asm__ volatile("sti\n\tcpuid\n1:\tcli\n\tmovq $1b, %0"
			 : "=&S"(next), "+a"(a), "+c"(c)::"rbx", "rdx", "memory");
	return next;
}

static u64 sti_then_hlt(void)
{
	u64 next;

	__asm__ volatile("sti\n\thlt\n1:\tcli\n\tmovq $1b, %0" : "=r"(next)::"memory");
	return next;
}

/** MOV SS, and the write of CR8 that lets a pending interrupt through: it comes behind both. Also
 *  returns the address of the instruction after the next. */
static u64 mov_ss_then_cr8(u64 cr8, u64 *too_late)
{
	u64 next;

	__asm__ volatile(
		"mov %%ss, %%eax\n\tmov %%eax, %%ss\n\tmov %2, %%cr8\n1:\tnop\n2:\tmovq $1b, %0\n\t"
		"movq $2b, %1"
		: "=&r"(next), "=&r"(*too_late)
		: "r"(cr8)
		: "rax", "memory");
	return next;
}

/* Section 6.8.3 "Masking Exceptions and Interrupts When Switching Stacks". */
void test_shadows(void)
{
	u64 next, too_late;

	apic_self_ipi(0x41);
	next = sti_then_cpuid();
	TAKEN({0x41, next, 0});
	check(!apic_bit(LAPIC_IRR, 0x41), "pending after STI and CPUID");
	apic_self_ipi(0x42);
	next = sti_then_hlt();
	TAKEN({0x42, next, 0});
	apic_write(LAPIC_TPR, 0x50);
	apic_self_ipi(0x43);
	sti();
	next = mov_ss_then_cr8(0, &too_late);
	cli();
	if (has.bochs && exit_of_lowered_tpr() != NO_EXIT && taken[0].rip == too_late) {
		departs("the shadow of MOV SS outlasts an exit for the TPR threshold");
		next = too_late;
	}
	TAKEN({0x43, next, 0});
}
