/* SPDX-License-Identifier: MIT */
/* The local APIC as software and as the processor see it: the list of cases, and what they share.
 */
#include "apic.h"

#include "lib/fmt.h"

#define ICR_SELF 0x40000u

struct apic_features has;
bool x2apic;
struct taken taken[64];
unsigned nr_taken;
void (*in_service)(u8 vector);
u8 extint_vector;

void apic_mode(bool x2)
{
	wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE);
	wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EN);
	if (x2)
		wrmsr(MSR_APIC_BASE, LAPIC_DEFAULT_BASE | APIC_BASE_EN | APIC_BASE_EXTD);
	x2apic = x2;
}

void apic_fresh(void)
{
	cli();
	apic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
	apic_write(LAPIC_TPR, 0);
	apic_write(LAPIC_TMICT, 0);
	for (u32 lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt += 16)
		apic_write(lvt, LVT_MASKED | 0xfe);
	apic_write(LAPIC_ESR, 0);
	apic_write(LAPIC_ESR, 0);
	in_service = NULL;
	nr_taken = 0;
}

u32 apic_read(u32 reg)
{
	return x2apic ? (u32)rdmsr(MSR_X2APIC_FIRST + reg / 16)
		      : mmio_read(LAPIC_DEFAULT_BASE + reg);
}

u64 apic_write(u32 reg, u32 value)
{
	return x2apic ? wrmsr(MSR_X2APIC_FIRST + reg / 16, value)
		      : mmio_write(LAPIC_DEFAULT_BASE + reg, value);
}

bool apic_bit(u32 base, u8 vector)
{
	return apic_read(base + vector / 32 * 16) >> vector % 32 & 1;
}

u64 apic_self_ipi(u8 vector)
{
	return apic_write(LAPIC_ICR, ICR_SELF | vector);
}

/* SDM volume 3, section 30.4.2 "Virtualizing Reads from the APIC-Access Page". */
static bool read_is_virtualized(u32 reg)
{
	return reg == LAPIC_TPR || (has.apic_register && reg != LAPIC_PPR && reg != LAPIC_TMCCT &&
				    reg != LAPIC_APR && reg != LAPIC_RRD);
}

u32 exit_of_read(u32 reg)
{
	bool mode = x2apic ? has.virtual_x2apic : has.apic_access && has.tpr_shadow;

	if (mode && read_is_virtualized(reg))
		return NO_EXIT;
	if (x2apic)
		return EXIT_REASON_RDMSR;
	return has.apic_access ? EXIT_REASON_APIC_ACCESS : EXIT_REASON_EPT_VIOLATION;
}

/** An access that the processor does not virtualize. */
static u32 exit_of_plain_write(void)
{
	if (x2apic)
		return EXIT_REASON_WRMSR;
	return has.apic_access ? EXIT_REASON_APIC_ACCESS : EXIT_REASON_EPT_VIOLATION;
}

/** In xAPIC mode, of a register that APIC-register virtualization has. */
static bool apic_write_exits(void)
{
	return !x2apic && has.apic_access && has.apic_register;
}

/** By virtual-interrupt delivery, in the mode at hand. */
static bool delivery_is_virtualized(void)
{
	return has.vid && (x2apic ? has.virtual_x2apic : has.apic_access);
}

/* Section 30.4.3 "Virtualizing Writes to the APIC-Access Page", 30.5 "Virtualizing MSR-Based APIC
 * Accesses". */
u32 exit_of_write(u32 reg)
{
	switch (reg) {
	case LAPIC_TPR:
		if (has.tpr_shadow && (x2apic ? has.virtual_x2apic : has.apic_access))
			return NO_EXIT;
		break;
	case LAPIC_EOI:
		return exit_of_eoi(false);
	case LAPIC_SELF_IPI:
		if (delivery_is_virtualized())
			return NO_EXIT;
		break;
	case LAPIC_ICR_HIGH:
		if (apic_write_exits())
			return NO_EXIT;
		break;
	case LAPIC_VERSION:
	case LAPIC_APR:
	case LAPIC_PPR:
	case LAPIC_RRD:
	case LAPIC_ISR ... LAPIC_IRR + 0x70:
	case LAPIC_TMCCT:
		break;
	default:
		if (apic_write_exits())
			return EXIT_REASON_APIC_WRITE;
	}
	return exit_of_plain_write();
}

u32 exit_of_icr(u32 low)
{
	bool self = (low & 0xfff3b700) == 0 && (low & 0xc0000) == ICR_SELF && (low & 0xf0);

	if (x2apic)
		return EXIT_REASON_WRMSR;
	if (delivery_is_virtualized())
		return self ? NO_EXIT : EXIT_REASON_APIC_WRITE;
	return exit_of_write(LAPIC_ICR);
}

u32 exit_of_self_ipi(void)
{
	return exit_of_icr(ICR_SELF | 0x40);
}

u32 exit_of_eoi(bool level)
{
	if (delivery_is_virtualized())
		return level ? EXIT_REASON_VIRTUALIZED_EOI : NO_EXIT;
	return apic_write_exits() ? EXIT_REASON_APIC_WRITE : exit_of_plain_write();
}

u32 exit_of_cr8(void)
{
	return has.tpr_shadow ? NO_EXIT : EXIT_REASON_CR_ACCESS;
}

u32 exit_of_window(void)
{
	return has.vid ? NO_EXIT : EXIT_REASON_INTERRUPT_WINDOW;
}

u32 exit_of_lowered_tpr(void)
{
	return has.vid || !has.tpr_shadow ? NO_EXIT : EXIT_REASON_TPR_BELOW_THRESHOLD;
}

static void on_interrupt(struct trap_frame *f)
{
	u8 vector = (u8)f->vector;

	if (nr_taken == ARRAY_SIZE(taken)) {
		check(false, "interrupts without end, the last by vector %x", vector);
		payload_exit(vector);
	}
	taken[nr_taken++] = (struct taken){vector, f->rip, rdtsc()};
	if (in_service)
		in_service(vector);
	if (vector != extint_vector)
		apic_write(LAPIC_EOI, 0);
}

void check_taken(const struct taken *want, unsigned nr)
{
	check(nr_taken == nr, "%u interrupts were taken, not %u", nr_taken, nr);
	for (unsigned i = 0; i < MIN(nr, nr_taken); i++) {
		check(taken[i].vector == want[i].vector, "interrupt %u was %x, not %x", i,
		      taken[i].vector, want[i].vector);
		check(want[i].rip == ANYWHERE || taken[i].rip == want[i].rip,
		      "%x came at %lx, not %lx", want[i].vector, (unsigned long)taken[i].rip,
		      (unsigned long)want[i].rip);
	}
	nr_taken = 0;
}

struct mode_case {
	const char *name;
	void (*fn)(void);
};

static const struct mode_case both_modes[] = {
	{"tpr", test_tpr},
	{"tpr-holds-back", test_tpr_holds_back},
	{"ppr", test_ppr},
	{"self-ipi", test_self_ipi},
	{"nesting", test_nesting},
	{"injected-priority", test_injected_priority},
	{"eoi-with-lower-pending", test_eoi_with_lower_pending},
	{"pending-across-exits", test_pending_across_exits},
	{"shadows", test_shadows},
	{"level", test_level},
	{"eoi-suppression", test_eoi_suppression},
	{"edge-after-level", test_edge_after_level},
	{"extint", test_extint},
	{"one-shot", test_one_shot},
	{"periodic", test_periodic},
	{"deadline", test_deadline},
	{"deadline-moves", test_deadline_moves},
	{"nmi-ends-hlt", test_nmi_ends_hlt},
	{"step-ends-hlt", test_step_ends_hlt},
	{"errors", test_errors},
	{"read-only", test_read_only},
};

static char name_of_case[64];

static void run_both(const char *mode)
{
	for (unsigned i = 0; i < ARRAY_SIZE(both_modes); i++) {
		fmt_snprintf(name_of_case, sizeof(name_of_case), "%s-%s", mode, both_modes[i].name);
		apic_fresh();
		case_run(name_of_case, both_modes[i].fn);
	}
}

void payload_main(void)
{
	has = (struct apic_features){
		.tpr_shadow = option("tpr-shadow"),
		.apic_access = option("apic-access"),
		.apic_register = option("apic-register"),
		.vid = option("vid"),
		.virtual_x2apic = option("virtual-x2apic"),
		.preemption_timer = option("preemption-timer"),
		.bochs = option("bochs"),
	};
	for (unsigned vector = 32; vector < 256; vector++)
		trap_set((u8)vector, on_interrupt);
	apic_mode(false);
	run_both("xapic");
	case_run("enable", test_enable);
	if (!(cpuid(1, 0).ecx & BIT(21)))
		return;
	apic_mode(true);
	run_both("x2apic");
	case_run("transitions", test_transitions);
	case_run("x2apic-reserved", test_x2apic_reserved);
}
