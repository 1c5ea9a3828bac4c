/* SPDX-License-Identifier: MIT */
/* TSC calibration and the host's local APIC timer. */
#include "host_timer.h"

#include "core.h"
#include "host_paging.h"
#include "insn.h"
#include "lib/muldiv.h"
#include "msr_index.h"
#include "panic.h"

#define CALIBRATE_COUNT 23864	  /* 20 ms */
#define CALIBRATE_TSC_MAX BIT(33) /* seconds on any machine: the 8254 does not count */

#define APIC_ID 0x20
#define APIC_TPR 0x80
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define APIC_IRR 0x200
#define APIC_ICR 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_TMICT 0x380
#define APIC_TMCCT 0x390
#define APIC_TDCR 0x3e0
#define APIC_SVR_ENABLE BIT(8)
#define APIC_ICR_PENDING BIT(12)
#define APIC_ICR_ASSERT BIT(14)
#define APIC_LVT_MASKED BIT(16)
#define APIC_TDCR_DIV_1 0xb

/* A local APIC that does not take an interrupt of its own in so many TSC ticks will not. */
#define IPI_TICKS_MAX BIT(22)

#define APIC_BASE_EN BIT(11)
#define APIC_BASE_X2 BIT(10)

static u32 apic_read(u32 reg)
{
	if (core.cpu.timer_x2apic)
		return (u32)rdmsr(0x800 + (reg >> 4));
	return core.cpu.lapic[reg / 4];
}

static void apic_write(u32 reg, u32 v)
{
	if (core.cpu.timer_x2apic)
		wrmsr(0x800 + (reg >> 4), v);
	else
		core.cpu.lapic[reg / 4] = v;
}

/** CPUID leaf 15H: TSC rate from the core crystal, where the processor tells it. */
static u64 tsc_hz_from_cpuid(void)
{
	struct cpuid_regs r;

	cpuid(0, 0, &r);
	if (r.eax < 0x15)
		return 0;
	cpuid(0x15, 0, &r);
	if (!r.eax || !r.ebx || !r.ecx)
		return 0;
	return mul_div_u64(r.ecx, r.ebx, r.eax);
}

/** CPUID is exact, and a measurement is not: an SMI may have made it too long. But emulators name
 * the rate of the processor that they imitate, whatever their own: they are found out. */
static u64 tsc_rate(u64 measured)
{
	u64 stated = tsc_hz_from_cpuid();

	if (!stated)
		return measured;
	if (measured <= stated + stated / 4 && measured >= stated - stated / 4)
		return stated;
	klog("CPUID leaf 0x15 states a TSC of %llu MHz, but it runs at %llu: that counts",
	     (unsigned long long)(stated / 1000000), (unsigned long long)(measured / 1000000));
	return measured;
}

/** Count TSC and APIC-timer ticks while channel 2 of the 8254 counts down from CALIBRATE_COUNT. */
static bool measure(u64 *tsc_ticks, u64 *apic_ticks)
{
	u8 port61 = inb(0x61) & ~3;
	outb(0x61, port61); /* gate low, speaker off */
	outb(0x43, 0xb0);   /* channel 2, low then high byte, mode 0, binary */
	outb(0x42, CALIBRATE_COUNT & 0xff);
	outb(0x42, CALIBRATE_COUNT >> 8);
	outb(0x61, port61 | 1); /* gate high: go */
	u64 tsc = rdtsc();
	u32 apic = apic_read(APIC_TMCCT);

	while (!(inb(0x61) & 0x20)) {
		if (rdtsc() - tsc > CALIBRATE_TSC_MAX)
			return false;
	}
	*tsc_ticks = rdtsc() - tsc;
	*apic_ticks = apic - apic_read(APIC_TMCCT);
	outb(0x61, port61);
	return *tsc_ticks && *apic_ticks;
}

static void apic_enable(void)
{
	u64 base = rdmsr(MSR_IA32_APIC_BASE);

	if (!(base & APIC_BASE_EN)) {
		base |= APIC_BASE_EN;
		wrmsr(MSR_IA32_APIC_BASE, base);
	}
	core.cpu.timer_x2apic = base & APIC_BASE_X2;
	if (!core.cpu.timer_x2apic)
		core.cpu.lapic = mmio_map(HPA(base & 0xffffff000ull), PAGE_SIZE);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | HOST_SPURIOUS_VECTOR);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_TDCR, APIC_TDCR_DIV_1);
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED | HOST_TIMER_VECTOR);
}

void host_timer_init(void)
{
	u64 tsc_ticks = 0, apic_ticks = 0;

	apic_enable();
	apic_write(APIC_TMICT, ~0u);
	bool measured = measure(&tsc_ticks, &apic_ticks);

	apic_write(APIC_TMICT, 0);
	if (!measured)
		panic("the 8254 timer of this machine does not count, so its clock rates cannot be "
		      "measured; enable the legacy timer (8254) in the firmware setup");
	core.tsc_hz = tsc_rate(mul_div_u64(tsc_ticks, PIT_HZ, CALIBRATE_COUNT));
	core.cpu.tsc_per_measure = tsc_ticks;
	core.cpu.apic_per_measure = apic_ticks;
	apic_write(APIC_LVT_TIMER, HOST_TIMER_VECTOR);
}

void host_timer_arm(u64 tsc)
{
	u64 now = rdtsc();
	u64 ticks = tsc > now ? tsc - now : 0;
	u64 count = mul_div_u64(ticks, core.cpu.apic_per_measure, core.cpu.tsc_per_measure) + 1;

	apic_write(APIC_TMICT, count > ~0u ? ~0u : (u32)count);
}

void host_timer_stop(void)
{
	apic_write(APIC_TMICT, 0);
}

void host_timer_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

u8 host_apic_id(void)
{
	u32 id = apic_read(APIC_ID);

	return (u8)(core.cpu.timer_x2apic ? id : id >> 24);
}

/** Has a command been carried out? */
static bool ipi_accepted(u32 command)
{
	const u8 vector = (u8)command;

	/* In x2APIC mode there is no delivery status: the request register tells, of interrupts. */
	if (core.cpu.timer_x2apic)
		return (command & 0x700) != IPI_FIXED ||
		       (apic_read(APIC_IRR + vector / 32 * 16) & BIT(vector % 32));
	return !(apic_read(APIC_ICR) & APIC_ICR_PENDING);
}

void host_ipi_self(u32 command)
{
	const u64 start = rdtsc();

	command |= (u32)APIC_ICR_ASSERT;
	/* By the id: the shorthand for oneself is for interrupts only (section 11.6.1). */
	if (core.cpu.timer_x2apic) {
		wrmsr(0x800 + (APIC_ICR >> 4), (u64)apic_read(APIC_ID) << 32 | command);
	} else {
		apic_write(APIC_ICR_HIGH, (u32)host_apic_id() << 24);
		apic_write(APIC_ICR, command);
	}
	while (!ipi_accepted(command) && rdtsc() - start < IPI_TICKS_MAX)
		cpu_pause();
}

void host_sleep_until(u64 tsc)
{
	host_timer_arm(tsc);
	sti_hlt_cli();
	host_timer_stop();
}
