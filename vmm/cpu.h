/* SPDX-License-Identifier: MIT */
/*
 * One physical processor: descriptor tables, exception stacks, its interrupt handlers, and the
 * VMXON state.
 */
#ifndef TV_CPU_H
#define TV_CPU_H

#include "types.h"

/* Selectors of the host's GDT. */
#define HOST_CS 0x08
#define HOST_DS 0x10
#define HOST_TR 0x18

/** The only interrupt vector that the host itself uses: its local APIC's timer. */
#define HOST_TIMER_VECTOR 0xef

/** What a guest orders with zoo=1; vmm/zoo_signals.c sees to it that it is not one too many. Of a
 *  higher priority class than the timer's, whose interrupt in service would hold it back beyond the
 *  exit that it was ordered for (SDM volume 3, section 11.8.3 "Interrupt, Task, and Processor
 *  Priority"). */
#define HOST_ZOO_VECTOR 0xfe
#define HOST_SPURIOUS_VECTOR 0xff

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3, io_map_base;
} __attribute__((packed));

struct idt_gate {
	u16 offset_lo, selector;
	u8 ist, attributes;
	u16 offset_mid;
	u32 offset_hi, reserved;
};

/** What the stubs of entry.asm push, lowest address first. */
struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

struct cpu {
	struct tss tss;
	u64 gdt[5];
	struct idt_gate idt[256];
	u64 cr3;
	/* TSC ticks of the present exit that no reason is charged with: asleep for a HLT, waiting
	 * for the serial line, printing for the operator. */
	u64 away;
	u64 nmis;			       /* taken in host context */
	u64 stray_interrupts;		       /* vectors that nobody here asked for */
	u64 tsc_per_measure, apic_per_measure; /* clock ratio: TSC and APIC-timer ticks */
	bool keep_nmis_blocked;		       /* the handler of NMIs leaves them so */
	bool timer_x2apic;
	volatile u32 *lapic;
	volatile u32 *ioapic; /* the machine's first; NULL: none was found */
};

/** EBX of CPUID leaf 7: feature bits; 0 where there is no such leaf. */
u32 cpu_leaf7_ebx(void);

/** The supervisor state components that IA32_XSS can have; 0 where there is no XSAVES. */
u64 cpu_xss(void);

/** GDT, IDT, TSS with IST stacks for NMI, #DF and #MC; CR4.MCE on. */
void cpu_init(void);

/** Mask every interrupt line of the machine, at the 8259s and the I/O APIC. Needs mmio_map(). */
void cpu_mask_interrupts(void);

/** Have channel 0 of the 8254 send this processor one NMI in `ticks` of the TSC, through input 2 of
 *  the I/O APIC; or, with 0, not any more. */
void cpu_nmi_by_timer(u64 ticks);

/** The common handler of entry.asm's stubs. */
void trap(struct trap_frame *f);

/** A host interrupt that a VM exit acknowledged (or that arrived while idle): handle and EOI. */
void host_interrupt(u8 vector);

#endif
