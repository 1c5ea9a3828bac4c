/* SPDX-License-Identifier: MIT */
/* Interrupts that come from outside: level- and edge-triggered by the I/O APIC, ExtINT by the 8259
 * pair. The test ports (guest/testdev.h) drive the lines. */
#include "apic.h"
#include "guest/ioapic.h"
#include "guest/testdev.h"

#define GSI 11 /* also of the 8259s, which are masked */
#define VECTOR 0x51

#define IOAPIC_WINDOW (IOAPIC_BASE + 0x10)
#define IOAPIC_EOI (IOAPIC_BASE + 0x40)
#define REDIR(gsi) (0x10 + 2 * (gsi))
#define REDIR_REMOTE_IRR 0x4000u
#define REDIR_LEVEL 0x8000u
#define REDIR_MASKED 0x10000u

#define PIC_BASE 0x20 /* its first vector */
#define PIC_LINE 5

#define REDIR_NMI 0x400u

#define NMI_VECTOR 2
#define DB_VECTOR 1
#define PIT_PIN 2
#define PIT_CHANNEL_0 0x40
#define PIT_COMMAND 0x43
#define PIT_ONE_SHOT 0x30 /* channel 0, low then high byte, mode 0 */
#define PIT_COUNT 2000	  /* 1.7 ms */

static bool hold_line;
static u32 redir_in_service, tmr_in_service;

static u32 ioapic_read(u32 reg)
{
	mmio_write(IOAPIC_BASE, reg);
	return mmio_read(IOAPIC_WINDOW);
}

static void ioapic_write(u32 reg, u32 value)
{
	mmio_write(IOAPIC_BASE, reg);
	mmio_write(IOAPIC_WINDOW, value);
}

/** Returns the address behind the instruction. */
static u64 line(unsigned gsi, bool level)
{
	u64 next;

	__asm__ volatile("outb %1, %2\n1:\tmovq $1b, %0"
			 : "=&r"(next)
			 : "a"((u8)level), "d"((u16)(TESTDEV_IRQ_PORTS + gsi))
			 : "memory");
	return next;
}

static void route(u32 low)
{
	u32 id = x2apic ? apic_read(LAPIC_ID) : apic_read(LAPIC_ID) >> 24;

	line(GSI, false);
	ioapic_write(REDIR(GSI) + 1, id << 24);
	ioapic_write(REDIR(GSI), low);
}

static void look_at_entry(u8 vector)
{
	tmr_in_service = apic_bit(LAPIC_TMR, vector);
	redir_in_service = ioapic_read(REDIR(GSI));
	if (!hold_line)
		line(GSI, false);
	hold_line = false;
}

void test_level(void)
{
	struct exit_counts want = {0};
	u64 next;

	route(VECTOR | REDIR_LEVEL);
	in_service = look_at_entry;
	sti();
	exits_begin();
	next = line(GSI, true);
	want.n[EXIT_REASON_IO_INSTRUCTION] += 2;
	want.n[EXIT_REASON_EPT_VIOLATION] += 2;
	want.n[exit_of_read(LAPIC_TMR)]++;
	want.n[exit_of_eoi(true)]++;
	exits_check("a level-triggered interrupt", &want);
	TAKEN({VECTOR, next, 0});
	check(tmr_in_service, "its TMR bit was 0 in service");
	check(redir_in_service & REDIR_REMOTE_IRR, "remote IRR was 0 in service");
	check(!(ioapic_read(REDIR(GSI)) & REDIR_REMOTE_IRR), "remote IRR is 1 after the EOI");

	/* A line that stays high interrupts again when the first is ended. */
	hold_line = true;
	next = line(GSI, true);
	cli();
	TAKEN({VECTOR, next, 0}, {VECTOR, next, 0});
	check(!(ioapic_read(REDIR(GSI)) & REDIR_REMOTE_IRR), "remote IRR is 1 after two EOIs");
	route(REDIR_MASKED);
}

/* Section 11.8.5 "Signaling Interrupt Servicing Completion": suppressed, software tells the I/O
 * APIC by its own register. */
void test_eoi_suppression(void)
{
	u64 next;

	if (!(apic_read(LAPIC_VERSION) >> 24 & 1)) {
		check(false, "the version register does not offer it");
		return;
	}
	apic_write(LAPIC_SVR, SVR_NO_EOI_BROADCAST | SVR_ENABLE | 0xff);
	route(VECTOR | REDIR_LEVEL);
	in_service = look_at_entry;
	hold_line = true;
	sti();
	next = line(GSI, true);
	TAKEN({VECTOR, next, 0});
	check(ioapic_read(REDIR(GSI)) & REDIR_REMOTE_IRR, "the EOI cleared remote IRR");
	next = mmio_write(IOAPIC_EOI, VECTOR); /* the line is still high */
	TAKEN({VECTOR, next, 0});
	mmio_write(IOAPIC_EOI, VECTOR);
	cli();
	TAKEN();
	check(!(ioapic_read(REDIR(GSI)) & REDIR_REMOTE_IRR),
	      "remote IRR is 1 after a directed EOI");
	route(REDIR_MASKED);
}

/* A vector that was level-triggered and now comes as an edge: the processor may end it alone. */
void test_edge_after_level(void)
{
	struct exit_counts want = {0};
	u64 next;

	route(VECTOR | REDIR_LEVEL);
	in_service = look_at_entry;
	sti();
	next = line(GSI, true);
	TAKEN({VECTOR, next, 0});
	route(VECTOR);
	exits_begin();
	next = line(GSI, true);
	want.n[EXIT_REASON_IO_INSTRUCTION] += 2;
	want.n[EXIT_REASON_EPT_VIOLATION] += 2;
	want.n[exit_of_read(LAPIC_TMR)]++;
	want.n[exit_of_eoi(false)]++;
	exits_check("an edge-triggered interrupt", &want);
	cli();
	TAKEN({VECTOR, next, 0});
	check(!tmr_in_service, "its TMR bit was 1 in service");
	check(!(redir_in_service & REDIR_REMOTE_IRR), "remote IRR was 1 for an edge");
	route(REDIR_MASKED);
}

static bool extint_in_isr, extint_lets_in;
static unsigned nr_let_in;

/** An ExtINT's handler, that may let others in at once: in the local APIC nothing is in service. */
static void end_at_pic(u8 vector)
{
	if (vector != extint_vector)
		return;
	if (extint_lets_in) {
		sti();
		cpuid(0, 0);
		cli();
		nr_let_in = nr_taken - 1;
	}
	extint_in_isr = apic_bit(LAPIC_ISR, vector);
	line(PIC_LINE, false);
	outb(PIC1, PIC_EOI);
}

/** Whether `vector` is on the list of what was taken, once. */
static bool took(u8 vector)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < nr_taken; i++)
		nr += taken[i].vector == vector;
	return nr == 1;
}

/* The SDM gives no order between the pin and the IRR: each must come, once. */
void test_extint(void)
{
	extint_vector = PIC_BASE + PIC_LINE;
	in_service = end_at_pic;
	line(PIC_LINE, false);
	pic_init(PIC_BASE, (u8) ~(1u << PIC_LINE));
	apic_write(LAPIC_LVT_LINT0, APIC_EXTINT << LVT_DELIVERY_SHIFT);

	apic_write(LAPIC_TPR, 0xf0); /* which does not concern the pin */
	apic_self_ipi(0x61);
	line(PIC_LINE, true);
	sti();
	TAKEN({PIC_BASE + PIC_LINE, ANYWHERE, 0});
	check(!extint_in_isr, "an ExtINT is in the ISR");
	apic_write(LAPIC_TPR, 0);
	cli();
	TAKEN({0x61, ANYWHERE, 0});

	apic_self_ipi(0x61);
	line(PIC_LINE, true);
	apic_self_ipi(0x31);
	sti();
	cli();
	check(nr_taken == 3 && took(0x61) && took(0x31) && took(extint_vector),
	      "of 61, 31 and an ExtINT %u were taken, the first %x", nr_taken, taken[0].vector);
	nr_taken = 0;

	/* 61 is taken before the ExtINT or in its handler, which is as good. */
	extint_lets_in = true;
	apic_self_ipi(0x61);
	line(PIC_LINE, true);
	sti();
	check(nr_taken == 2 && took(0x61) && took(extint_vector), "%u were taken", nr_taken);
	check(nr_let_in == 1, "61 waited until the ExtINT's handler was left");
	cli();
	nr_taken = 0;
	extint_lets_in = false;

	apic_write(LAPIC_LVT_LINT0, LVT_MASKED | APIC_EXTINT << LVT_DELIVERY_SHIFT);
	line(PIC_LINE, true);
	sti();
	TAKEN();
	apic_write(LAPIC_LVT_LINT0, APIC_EXTINT << LVT_DELIVERY_SHIFT);
	cli();
	TAKEN({PIC_BASE + PIC_LINE, ANYWHERE, 0});
	pic_init(PIC_BASE, 0xff);
	extint_vector = 0;
}

static volatile unsigned nr_nmis;
static volatile u64 stepped_rip;

static void on_nmi(struct trap_frame *f)
{
	(void)f;
	nr_nmis++;
}

static void on_debug(struct trap_frame *f)
{
	stepped_rip = f->rip;
	f->rflags &= ~0x100ull;
}

/* As a watchdog of old has it: the timer's pin is an NMI, and the processor halts with interrupts
 * off. */
void test_nmi_ends_hlt(void)
{
	u32 id = x2apic ? apic_read(LAPIC_ID) : apic_read(LAPIC_ID) >> 24;

	nr_nmis = 0;
	trap_set(NMI_VECTOR, on_nmi);
	ioapic_write(REDIR(PIT_PIN) + 1, id << 24);
	ioapic_write(REDIR(PIT_PIN), REDIR_NMI);
	outb(PIT_COMMAND, PIT_ONE_SHOT);
	outb(PIT_CHANNEL_0, PIT_COUNT & 0xff);
	outb(PIT_CHANNEL_0, PIT_COUNT >> 8);
	__asm__ volatile("hlt" ::: "memory");
	check(nr_nmis == 1, "%u NMIs came", nr_nmis);
	ioapic_write(REDIR(PIT_PIN), REDIR_MASKED);
	trap_set(NMI_VECTOR, NULL);
	TAKEN();
}

/* SDM volume 2, "HLT": a debug exception ends it, and a single step is one. */
void test_step_ends_hlt(void)
{
	u64 next;

	stepped_rip = 0;
	trap_set(DB_VECTOR, on_debug);
	__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\thlt\n1:\tmovq $1b, %0"
			 : "=r"(next)::"memory", "cc");
	check(stepped_rip == next, "the trap came at %lx, not %lx", (unsigned long)stepped_rip,
	      (unsigned long)next);
	trap_set(DB_VECTOR, NULL);
}
