/* SPDX-License-Identifier: MIT */
/* Errors, what software may not change, and the modes of the local APIC (SDM volume 3, sections
 * 11.4.3 "Enabling or Disabling the Local APIC", 11.5.3 "Error Handling", 11.12 "Extended XAPIC").
 */
#include "apic.h"

#define ERROR_VECTOR 0x75
#define X2APIC_MSR(reg) (MSR_X2APIC_FIRST + (reg) / 16)

/** The errors since the last time. */
static u32 errors(void)
{
	apic_write(LAPIC_ESR, 0);
	return apic_read(LAPIC_ESR);
}

void test_errors(void)
{
	u64 next;

	apic_write(LAPIC_LVT_ERROR, ERROR_VECTOR);
	sti();
	next = apic_self_ipi(5);
	TAKEN({ERROR_VECTOR, next, 0});
	check(apic_read(LAPIC_ESR) == 0, "the ESR shows %x before it is written",
	      apic_read(LAPIC_ESR));
	check(errors() & ESR_SEND_ILLEGAL_VECTOR, "an illegal vector was sent without an error");
	check(errors() == 0, "the ESR is not clear after two writes");
	if (x2apic) {
		next = apic_write(LAPIC_SELF_IPI, 5);
		TAKEN({ERROR_VECTOR, next, 0});
		check(errors(), "SELF_IPI 5 is no error");
	} else {
		struct exit_counts want = {0};

		exits_begin();
		apic_read(0x040);
		want.n[exit_of_read(LAPIC_TMCCT)]++;
		want.n[exit_of_eoi(false)]++;
		exits_check("reading a register that is not there", &want);
		TAKEN({ERROR_VECTOR, ANYWHERE, 0});
		check(errors() == ESR_ILLEGAL_REGISTER, "reading offset 40 is no error");
		next = apic_write(0x3f0, 0);
		TAKEN({ERROR_VECTOR, next, 0});
		check(errors() == ESR_ILLEGAL_REGISTER, "writing offset 3f0 is no error");
	}
	/* An illegal vector in the LVT is one that was received. */
	apic_write(LAPIC_LVT_TIMER, 5);
	apic_write(LAPIC_TMICT, 100);
	for (u64 begin = rdtsc(); !nr_taken && rdtsc() - begin < 100000;)
		__asm__ volatile("" ::: "memory");
	TAKEN({ERROR_VECTOR, ANYWHERE, 0});
	check(errors() == ESR_RECEIVE_ILLEGAL_VECTOR, "vector 5 of the timer is no error");
	apic_write(LAPIC_LVT_ERROR, LVT_MASKED);
	apic_self_ipi(6);
	cli();
	TAKEN();
}

static void unchanged(const char *name, u32 reg, u32 value)
{
	struct exit_counts want = {0};
	u32 before = apic_read(reg), after;

	exits_begin();
	apic_write(reg, value);
	want.n[exit_of_write(reg)]++;
	exits_check(name, &want);
	after = apic_read(reg);
	check(after == before, "%s: %x was written over %x and left %x", name, value, before,
	      after);
}

static void written(const char *name, u32 reg, u32 value, u32 left)
{
	struct exit_counts want = {0};

	exits_begin();
	apic_write(reg, value);
	want.n[exit_of_write(reg)]++;
	exits_check(name, &want);
	check(apic_read(reg) == left, "%s: %x was written and left %x, not %x", name, value,
	      apic_read(reg), left);
}

/** xAPIC mode ignores what x2APIC mode answers with #GP. */
static void read_only_by_mmio(void)
{
	unchanged("ID", LAPIC_ID, 0x55000000);
	unchanged("VERSION", LAPIC_VERSION, 0);
	unchanged("PPR", LAPIC_PPR, 0xf0);
	unchanged("ISR", LAPIC_ISR + 0x40, ~0u);
	unchanged("TMR", LAPIC_TMR + 0x40, ~0u);
	unchanged("IRR", LAPIC_IRR + 0x40, ~0u);
	unchanged("TMCCT", LAPIC_TMCCT, 0x1234);
	unchanged("remote read", LAPIC_RRD, ~0u);
	written("LDR", LAPIC_LDR, 0x01ffffff, 0x01000000);
	written("DFR", LAPIC_DFR, 0xf0000000, ~0u);
	written("ICR_HIGH", LAPIC_ICR_HIGH, 0x00ffffff, 0);
	written("SVR", LAPIC_SVR, 0xffffe1ff, 0x1ff);
	written("LVT timer", LAPIC_LVT_TIMER, 0xfff9ff71, 0x10071);
	written("LVT LINT0", LAPIC_LVT_LINT0, 0xffff5071, 0x10071);
	written("LVT error", LAPIC_LVT_ERROR, 0xffffff71, 0x10071);
	written("TDCR", LAPIC_TDCR, 0xfffffff4, 0);
}

void test_read_only(void)
{
	if (!x2apic) {
		read_only_by_mmio();
	} else {
		/* Writable as they were read: delivery status, remote IRR. */
		written("LVT LINT0", LAPIC_LVT_LINT0, 0x15071, 0x10071);
		written("LVT timer", LAPIC_LVT_TIMER, 0x11071, 0x10071);
	}
	apic_write(LAPIC_TPR, 0xff);
	check(apic_read(LAPIC_TPR) == 0xff, "TPR ff is %x", apic_read(LAPIC_TPR));
	check(apic_read(LAPIC_PPR) == 0xff, "PPR with TPR ff is %x", apic_read(LAPIC_PPR));
}

static void check_power_up(void)
{
	check(apic_read(LAPIC_TPR) == 0 && read_cr8() == 0, "TPR is %x", apic_read(LAPIC_TPR));
	check(apic_read(LAPIC_SVR) == 0xff, "SVR is %x", apic_read(LAPIC_SVR));
	check(apic_read(LAPIC_DFR) == ~0u, "DFR is %x", apic_read(LAPIC_DFR));
	check(apic_read(LAPIC_LDR) == 0, "LDR is %x", apic_read(LAPIC_LDR));
	check(apic_read(LAPIC_ICR) == 0, "ICR is %x", apic_read(LAPIC_ICR));
	check(apic_read(LAPIC_TMICT) == 0, "TMICT is %x", apic_read(LAPIC_TMICT));
	for (u32 lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt += 16)
		check(apic_read(lvt) == LVT_MASKED, "LVT %x is %x", lvt, apic_read(lvt));
	for (u32 reg = LAPIC_ISR; reg < LAPIC_ESR; reg += 16)
		check(apic_read(reg) == 0, "register %x is %x", reg, apic_read(reg));
}

static u64 base_flags(void)
{
	return rdmsr(MSR_APIC_BASE) & (APIC_BASE_EN | APIC_BASE_EXTD);
}

/* IA32_APIC_BASE.EN off and on again. What was pending is gone, and the APIC works. */
void test_enable(void)
{
	u64 next;
	u32 id;

	apic_mode(false);
	apic_fresh();
	id = apic_read(LAPIC_ID);
	apic_write(LAPIC_TPR, 0x50);
	apic_write(LAPIC_LDR, 0x01000000);
	apic_self_ipi(0x41);
	wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE);
	check(base_flags() == 0, "IA32_APIC_BASE is %lx", (unsigned long)rdmsr(MSR_APIC_BASE));
	check(!(cpuid(1, 0).edx & BIT(9)), "CPUID shows an APIC that is off");
	check(apic_read(LAPIC_VERSION) == ~0u, "a disabled APIC answers %x",
	      apic_read(LAPIC_VERSION));
	apic_write(LAPIC_SVR, 0x1ff);
	sti_cli();
	TAKEN();
	check(TRY("rdmsr", ::"c"(X2APIC_MSR(LAPIC_ID))
		  : "rax", "rdx") == GP,
	      "an x2APIC MSR of a disabled APIC is no #GP");
	wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EN);
	check(cpuid(1, 0).edx & BIT(9), "CPUID shows no APIC");
	check(apic_read(LAPIC_ID) == id, "the ID is %x", apic_read(LAPIC_ID));
	check_power_up();
	check(TRY("rdmsr", ::"c"(X2APIC_MSR(LAPIC_ID))
		  : "rax", "rdx") == GP,
	      "an x2APIC MSR in xAPIC mode is no #GP");
	apic_fresh();
	sti();
	next = apic_self_ipi(0x42);
	cli();
	TAKEN({0x42, next, 0});
}

/* Section 11.12.5 "x2APIC State Transitions". */
void test_transitions(void)
{
	u64 next;

	apic_mode(false);
	apic_fresh();
	check(try_wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EXTD) == GP,
	      "EXTD without EN is no #GP");
	check(try_wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EN | 1) == GP,
	      "bit 0 is no #GP");
	check(try_wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EN | 1ull << 63) == GP,
	      "bit 63 is no #GP");
	apic_write(LAPIC_TPR, 0x50);
	apic_write(LAPIC_LVT_ERROR, ERROR_VECTOR);
	apic_self_ipi(0x41);
	wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EN | APIC_BASE_EXTD);
	x2apic = true;
	/* All but LDR and the ICR's destination survives, what is pending too. */
	check(apic_read(LAPIC_SVR) == 0x1ff, "SVR is %x in x2APIC mode", apic_read(LAPIC_SVR));
	check(apic_read(LAPIC_TPR) == 0x50, "TPR is %x in x2APIC mode", apic_read(LAPIC_TPR));
	check(apic_read(LAPIC_LVT_ERROR) == ERROR_VECTOR, "the error LVT is %x in x2APIC mode",
	      apic_read(LAPIC_LVT_ERROR));
	check(apic_read(LAPIC_LDR) ==
		      (apic_read(LAPIC_ID) >> 4 << 16 | 1u << (apic_read(LAPIC_ID) & 15)),
	      "LDR is %x", apic_read(LAPIC_LDR));
	check(mmio_read(LAPIC_DEFAULT_BASE + LAPIC_VERSION) == ~0u,
	      "the page answers %x in x2APIC mode", mmio_read(LAPIC_DEFAULT_BASE + LAPIC_VERSION));
	mmio_write(LAPIC_DEFAULT_BASE + LAPIC_TPR, 0);
	check(apic_read(LAPIC_TPR) == 0x50, "the page took a write in x2APIC mode");
	sti();
	next = write_cr8(0);
	cli();
	TAKEN({0x41, next, 0});
	check(try_wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EN) == GP,
	      "x2APIC to xAPIC is no #GP");
	check(base_flags() == (APIC_BASE_EN | APIC_BASE_EXTD), "it has changed the mode");
	wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE);
	check(try_wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EN | APIC_BASE_EXTD) == GP,
	      "disabled to x2APIC is no #GP");
	wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EN);
	x2apic = false;
	check_power_up();
	apic_fresh();
	sti();
	next = apic_self_ipi(0x42);
	cli();
	TAKEN({0x42, next, 0});
}

/** Writing `value` is #GP and changes nothing. */
static void refused(const char *name, u32 reg, u64 value)
{
	s64 vector = try_wrmsr(X2APIC_MSR(reg), value);

	check(vector == GP, "WRMSR of %s with %lx: vector %ld, not #GP", name, (unsigned long)value,
	      (long)vector);
}

static void unreadable(const char *name, u32 reg)
{
	u64 value;
	s64 vector = try_rdmsr(X2APIC_MSR(reg), &value);

	check(vector == GP, "RDMSR of %s: vector %ld, not #GP", name, (long)vector);
}

/* Table 11-6 "Local APIC Register Address Map Supported by x2APIC", section 11.12.1.3 "Reserved Bit
 * Checking". */
void test_x2apic_reserved(void)
{
	apic_mode(true);
	apic_fresh();
	refused("TPR", LAPIC_TPR, 0x100);
	refused("TPR", LAPIC_TPR, 1ull << 32);
	refused("EOI", LAPIC_EOI, 1);
	refused("EOI", LAPIC_EOI, 1ull << 32);
	refused("SVR", LAPIC_SVR, 0x2000);
	refused("SVR", LAPIC_SVR, 1ull << 63);
	refused("ESR", LAPIC_ESR, 1);
	refused("ICR", LAPIC_ICR, 0x2000);
	refused("ICR", LAPIC_ICR, 0x100000);
	refused("LVT timer", LAPIC_LVT_TIMER, 0x80000 | LVT_MASKED);
	refused("LVT error", LAPIC_LVT_ERROR, 0x100 | LVT_MASKED);
	refused("LVT LINT0", LAPIC_LVT_LINT0, 0x20000 | LVT_MASKED);
	refused("TMICT", LAPIC_TMICT, 1ull << 32);
	refused("TDCR", LAPIC_TDCR, 4);
	refused("SELF_IPI", LAPIC_SELF_IPI, 0x100);
	refused("SELF_IPI", LAPIC_SELF_IPI, 0x141);
	refused("ID", LAPIC_ID, 0);
	refused("VERSION", LAPIC_VERSION, 0);
	refused("PPR", LAPIC_PPR, 0);
	refused("LDR", LAPIC_LDR, 1);
	refused("ISR", LAPIC_ISR, 0);
	refused("TMR", LAPIC_TMR, 0);
	refused("IRR", LAPIC_IRR, 0);
	refused("TMCCT", LAPIC_TMCCT, 0);
	refused("DFR", LAPIC_DFR, ~0u);
	refused("ICR_HIGH", LAPIC_ICR_HIGH, 0);
	refused("MSR 8ff", 0xff0, 0);
	unreadable("EOI", LAPIC_EOI);
	unreadable("SELF_IPI", LAPIC_SELF_IPI);
	unreadable("DFR", LAPIC_DFR);
	unreadable("ICR_HIGH", LAPIC_ICR_HIGH);
	unreadable("APR", LAPIC_APR);
	unreadable("MSR 800", 0);
	unreadable("MSR 8ff", 0xff0);
	check(apic_read(LAPIC_TPR) == 0 && apic_read(LAPIC_SVR) == 0x1ff,
	      "a refused write was done");
	sti_cli();
	TAKEN();
	check(try_wrmsr(X2APIC_MSR(LAPIC_EOI), 0) == NO_FAULT, "EOI 0 faults");
	apic_mode(false);
}
