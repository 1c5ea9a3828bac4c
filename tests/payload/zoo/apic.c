/* SPDX-License-Identifier: MIT */
/* The local APIC with what the processor does of it (SDM volume 3, chapter 30 "APIC Virtualization
 * and Virtual Interrupts"). Where a control is missing, an access makes another exit. */
#include "zoo_guest.h"

#include "guest/ioapic.h"
#include "guest/lapic_regs.h"
#include "guest/testdev.h"

#define ICR_SELF 0x40000u
#define VECTOR 0x51
#define GSI 11
#define IOAPIC_WINDOW (IOAPIC_BASE + 0x10)
#define REDIR(gsi) (0x10 + 2 * (gsi))
#define REDIR_LEVEL 0x8000u
#define REDIR_MASKED 0x10000u
#define AT(reg) [REG_RAX] = VALUE(LAPIC_DEFAULT_BASE + (reg))

CODE(code_load, "movl (%rax), %ecx");
CODE(code_store, "movl %ecx, (%rax)");

static bool apic_access(void)
{
	return control_is_on(WORD_CPU2, CPU2_APIC_ACCESSES);
}

static bool delivers(void)
{
	return apic_access() && control_is_on(WORD_CPU2, CPU2_VIRT_INTR_DELIVERY);
}

/** The exit where the page is no memory at all. */
static u32 plain_access(void)
{
	if (apic_access())
		return EXIT_REASON_APIC_ACCESS;
	return on_shadow() ? EXIT_REASON_EXCEPTION_NMI : EXIT_REASON_EPT_VIOLATION;
}

/** Reads of the APIC timer's count, which no control spares, and writes of the version register. */
void zoo_APIC_ACCESS(void)
{
	const bool registers = control_is_on(WORD_CPU2, CPU2_APIC_REGISTER_VIRT);

	raises("timer count read, version written; rings 0, 3");
	SHOOT("a read of the timer's count", code_load, IN_ALL, .exit = plain_access(),
	      .in = {AT(LAPIC_TMCCT)}, .out = {[REG_RCX] = VALUE(0)});
	SHOOT("a write of the version", code_store, IN_ALL, .exit = plain_access(),
	      .in = {AT(LAPIC_VERSION)});
	SHOOT("a read of the version", code_load, IN_ALL,
	      .exit = registers && apic_access() ? NO_EXIT : plain_access(),
	      .in = {AT(LAPIC_VERSION)}, .out = {[REG_RCX] = VALUE(LAPIC_VERSION_VALUE)});
	if (!apic_access())
		not_here("no APIC-access page here");
}

/** Writes of the SVR and of an LVT entry: the processor has done them already, and the exit is
 * behind. */
void zoo_APIC_WRITE(void)
{
	const bool registers = apic_access() && control_is_on(WORD_CPU2, CPU2_APIC_REGISTER_VIRT);

	raises("SVR and an LVT entry, rings 0 and 3");
	SHOOT("a write of the SVR", code_store, IN_ALL,
	      .exit = registers ? EXIT_REASON_APIC_WRITE : plain_access(),
	      .in = {AT(LAPIC_SVR), [REG_RCX] = VALUE(SVR_ENABLE | 0xfe)});
	SHOOT("a write of an LVT entry", code_store, IN_ALL,
	      .exit = registers ? EXIT_REASON_APIC_WRITE : plain_access(),
	      .in = {AT(LAPIC_LVT_ERROR), [REG_RCX] = VALUE(LVT_MASKED | 0x33)});
	SHOOT("a read of the SVR", code_load, IN(RING0),
	      .exit = registers ? NO_EXIT : plain_access(), .in = {AT(LAPIC_SVR)},
	      .out = {[REG_RCX] = VALUE(SVR_ENABLE | 0xfe)});
	if (!registers)
		not_here("no APIC-register virtualization here");
}

static u32 ended;
static u64 taken_at;

static void take(struct trap_frame *f)
{
	taken_at = f->rip;
	ended++;
}

/** CR8 is lowered below the class of an interrupt that waits. */
void zoo_TPR_BELOW_THRESHOLD(void)
{
	const bool shadow = control_is_on(WORD_CPU1, CPU1_TPR_SHADOW), by_itself = delivers();
	u64 behind;

	raises("CR8 below the class of a pending interrupt");
	trap_set(VECTOR, take);
	ended = 0;
	write_cr8(VECTOR >> 4);
	mmio_write(LAPIC_DEFAULT_BASE + LAPIC_ICR, ICR_SELF | VECTOR);
	sti();
	exits_begin();
	behind = write_cr8((VECTOR >> 4) - 1);
	if (shadow && !by_itself)
		EXITS("CR8", [EXIT_REASON_TPR_BELOW_THRESHOLD] = 1);
	else
		EXITS("CR8", [EXIT_REASON_CR_ACCESS] = !shadow);
	cli();
	check(ended == 1 && taken_at == behind, "%u interrupts, at %lx, not %lx", ended,
	      (unsigned long)taken_at, (unsigned long)behind);
	mmio_write(LAPIC_DEFAULT_BASE + LAPIC_EOI, 0);
	write_cr8(0);
	probe_takes(VECTOR);
	if (!shadow)
		not_here("no TPR shadow here");
	else if (by_itself)
		not_here("virtual-interrupt delivery goes without");
}

static void ioapic_write(u32 reg, u32 value)
{
	mmio_write(IOAPIC_BASE, reg);
	mmio_write(IOAPIC_WINDOW, value);
}

static void line(bool level)
{
	outb(TESTDEV_IRQ_PORTS + GSI, level);
}

/** The EOI of a level-triggered interrupt, which the I/O APIC has to hear of. */
void zoo_VIRTUALIZED_EOI(void)
{
	u32 exit = delivers() ? EXIT_REASON_VIRTUALIZED_EOI : plain_access();

	if (!delivers() && apic_access() && control_is_on(WORD_CPU2, CPU2_APIC_REGISTER_VIRT))
		exit = EXIT_REASON_APIC_WRITE;
	raises("the EOI of a level-triggered interrupt");
	trap_set(VECTOR, take);
	ended = 0;
	ioapic_write(REDIR(GSI) + 1, mmio_read(LAPIC_DEFAULT_BASE + LAPIC_ID));
	ioapic_write(REDIR(GSI), VECTOR | REDIR_LEVEL);
	line(true);
	sti_cli();
	line(false);
	check(ended == 1, "%u interrupts, not 1", ended);
	SHOOT("EOI", code_store, IN(RING0), .exit = exit,
	      .in = {AT(LAPIC_EOI), [REG_RCX] = VALUE(0)}, .ways = WAY(PLAIN));
	ioapic_write(REDIR(GSI), REDIR_MASKED);
	probe_takes(VECTOR);
	if (!delivers())
		not_here("no virtual-interrupt delivery here");
}
