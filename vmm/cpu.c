/* SPDX-License-Identifier: MIT */
/* Descriptor tables and traps of the physical processor. */
#include "cpu.h"

#include "core.h"
#include "host_paging.h"
#include "host_timer.h"
#include "insn.h"
#include "lib/muldiv.h"
#include "mce.h"
#include "panic.h"
#include "x86.h"

#define IDT_INTERRUPT_GATE 0x8e
/* 82093AA data sheet. */
#define HOST_IOAPIC 0xfec00000ull
#define IOAPIC_SELECT (0x00 / 4)
#define IOAPIC_WINDOW (0x10 / 4)
#define IOAPIC_MASKED BIT(16)
#define IOAPIC_TIMER 0x14 /* the entry of input 2, where the 8254 is by the MP specification */

#define CPUID_7_ECX_CET_SS BIT(7)
#define CPUID_D_1_EAX_XSAVES BIT(3)
#define XSS_CET (BIT(11) | BIT(12)) /* the states of user and supervisor */

#define IST_NMI 1
#define IST_DF 2
#define IST_MC 3

extern char __stack_nmi_top[], __stack_df_top[], __stack_mc_top[];
/* entry.asm */
extern const u64 trap_stubs[256];
extern _Noreturn void nmi_leave(const struct trap_frame *f);

/* entry.asm: FRAME_* */
_Static_assert(offsetof(struct trap_frame, vector) == 120 &&
		       offsetof(struct trap_frame, rip) == 136 &&
		       offsetof(struct trap_frame, rflags) == 152 &&
		       offsetof(struct trap_frame, rsp) == 160,
	       "the layout of struct trap_frame");

static void set_gate(struct idt_gate *g, u64 handler, u8 ist)
{
	*g = (struct idt_gate){
		.offset_lo = (u16)handler,
		.selector = HOST_CS,
		.ist = ist,
		.attributes = IDT_INTERRUPT_GATE,
		.offset_mid = (u16)(handler >> 16),
		.offset_hi = (u32)(handler >> 32),
	};
}

static void init_gdt(struct cpu *c)
{
	u64 tss = (u64)&c->tss;

	c->gdt[1] = 0x00af9b000000ffffull; /* 64-bit code */
	c->gdt[2] = 0x00cf93000000ffffull; /* data */
	c->gdt[3] = (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 |
		    (tss >> 24 & 0xff) << 56;
	c->gdt[4] = tss >> 32;
	c->tss.io_map_base = sizeof(c->tss);
	c->tss.ist[IST_NMI - 1] = (u64)__stack_nmi_top;
	c->tss.ist[IST_DF - 1] = (u64)__stack_df_top;
	c->tss.ist[IST_MC - 1] = (u64)__stack_mc_top;
}

static void load_tables(struct cpu *c)
{
	struct __attribute__((packed)) {
		u16 limit;
		u64 base;
	} gdtr = {sizeof(c->gdt) - 1, (u64)c->gdt}, idtr = {sizeof(c->idt) - 1, (u64)c->idt};

	__asm__ volatile("lgdt %0\n\t"
			 "pushq %1\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "mov %2, %%ss\n\t"
			 "mov %2, %%ds\n\t"
			 "mov %2, %%es\n\t"
			 "mov %3, %%fs\n\t"
			 "mov %3, %%gs\n\t"
			 "ltr %w4\n\t"
			 "lidt %5"
			 :
			 : "m"(gdtr), "i"(HOST_CS), "r"(HOST_DS), "r"(0), "r"(HOST_TR), "m"(idtr)
			 : "rax", "memory");
}

/** Mask both 8259s after moving them out of the way of the exceptions: the firmware may have left
 *  a line enabled, and a spurious interrupt cannot be masked. */
static void mask_pics(void)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0x20);
	outb(0xa1, 0x28);
	outb(0x21, 0x04);
	outb(0xa1, 0x02);
	outb(0x21, 0x01);
	outb(0xa1, 0x01);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

/** Mask the inputs of an I/O APIC at the usual address: a level-triggered line that the firmware
 *  left enabled, and that no driver quiets, would interrupt for ever. */
static void mask_ioapic(void)
{
	volatile u32 *io = mmio_map(HPA(HOST_IOAPIC), PAGE_SIZE);
	u32 version, inputs;

	io[IOAPIC_SELECT] = 1;
	version = io[IOAPIC_WINDOW];
	inputs = (version >> 16 & 0xff) + 1;
	if (version == ~0u || inputs < 16 || inputs > 240)
		return; /* nothing there, or nothing like it */
	core.cpu.ioapic = io;
	for (u32 i = 0; i < inputs; i++) {
		io[IOAPIC_SELECT] = 0x10 + 2 * i;
		io[IOAPIC_WINDOW] = io[IOAPIC_WINDOW] | IOAPIC_MASKED;
	}
}

void cpu_mask_interrupts(void)
{
	mask_pics();
	mask_ioapic();
}

static void ioapic_write(u32 reg, u32 value)
{
	core.cpu.ioapic[IOAPIC_SELECT] = reg;
	core.cpu.ioapic[IOAPIC_WINDOW] = value;
}

/** Its rising edge at the end of the count is what the input, edge-triggered, waits for. */
void cpu_nmi_by_timer(u64 ticks)
{
	u64 count = mul_div_u64(ticks, PIT_HZ, core.tsc_hz) + 2;

	if (!core.cpu.ioapic)
		return;
	if (!ticks) {
		ioapic_write(IOAPIC_TIMER, (u32)IOAPIC_MASKED);
		return;
	}
	outb(0x43, 0x30); /* channel 0, low then high byte, mode 0, binary: the output is low */
	ioapic_write(IOAPIC_TIMER + 1, (u32)host_apic_id() << 24);
	ioapic_write(IOAPIC_TIMER, IPI_NMI);
	outb(0x40, (u8)MIN(count, 0xffff));
	outb(0x40, (u8)(MIN(count, 0xffff) >> 8));
}

u64 cpu_xss(void)
{
	struct cpuid_regs r;
	u64 xss;

	cpuid(0, 0, &r);
	if (r.eax < 0xd)
		return 0;
	cpuid(0xd, 1, &r);
	if (!(r.eax & CPUID_D_1_EAX_XSAVES))
		return 0;
	xss = (u64)r.edx << 32 | r.ecx;
	/* Bochs 2.7 says nothing there of CET's components, which it has. */
	cpuid(7, 0, &r);
	return core.on_bochs && (r.ecx & CPUID_7_ECX_CET_SS) ? XSS_CET : xss;
}

u32 cpu_leaf7_ebx(void)
{
	struct cpuid_regs r;

	cpuid(0, 0, &r);
	if (r.eax < 7)
		return 0;
	cpuid(7, 0, &r);
	return r.ebx;
}

void cpu_init(void)
{
	struct cpu *c = &core.cpu;

	init_gdt(c);
	for (unsigned i = 0; i < 256; i++)
		set_gate(&c->idt[i], trap_stubs[i], 0);
	c->idt[NMI_VECTOR].ist = IST_NMI;
	c->idt[DF_VECTOR].ist = IST_DF;
	c->idt[MC_VECTOR].ist = IST_MC;
	load_tables(c);
	write_cr4(read_cr4() | X86_CR4_MCE);
}

void host_interrupt(u8 vector)
{
	if (vector == HOST_SPURIOUS_VECTOR)
		return; /* SDM volume 3, section 11.9: no EOI for a spurious interrupt */
	if (vector != HOST_TIMER_VECTOR)
		core.cpu.stray_interrupts++;
	host_timer_eoi();
}

void trap(struct trap_frame *f)
{
	if (f->vector == NMI_VECTOR) {
		/* Taken between a VM exit and the next entry, or handed on by exit reason 0.
		 * Nothing here asks for NMIs: they are counted, and shown with the statistics. */
		core.cpu.nmis++;
		if (core.cpu.keep_nmis_blocked)
			nmi_leave(f);
		return;
	}
	if (f->vector >= 32) {
		host_interrupt((u8)f->vector);
		return;
	}
	if (f->vector == MC_VECTOR)
		panic_machine_check("in the hypervisor");
	panic_trap(f);
}
