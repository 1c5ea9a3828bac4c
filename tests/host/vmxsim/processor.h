/* SPDX-License-Identifier: MIT */
/*
 * A simulated processor in VMX operation, below the sources of vmm/. What it does not have fails
 * the test: an MSR, a VMCS field, VMWRITE to read-only data. What the SDM leaves undefined after a
 * VM exit holds a pattern, so that nobody comes to depend on it.
 */
#ifndef TV_TESTS_PROCESSOR_H
#define TV_TESTS_PROCESSOR_H

#include <setjmp.h>

#include "insn.h"
#include "vmcs_image.h"

#define SIM_MSRS 96
#define SIM_TSC_STEP 7 /* TSC ticks from one RDTSC to the next */

struct sim_msr {
	u32 index;
	u64 value;
};

/** State of the processor that the VMCS does not hold, as it stays across exits. */
struct live_state {
	u64 cr2, dr[8], xcr0;
	u32 pkru;
	struct sim_msr msr[SIM_MSRS];
	unsigned nr_msrs;
};

/** A port of the host's that takes bytes. */
#define SIM_UART 0x3f8

struct processor {
	struct vmcs_image vmcs; /* the only one there is */
	struct vmx_caps caps;	/* which of its fields exist */
	bool vmx_on, vmcs_current;
	struct live_state live;
	u64 cr0, cr3, cr4, tsc;
	bool nmi_blocked; /* by a VM exit for an NMI, until an IRET */
	bool random_there;
	u64 random;			  /* what RDRAND gives, and RDSEED one more */
	unsigned invepts, invvpids, eois; /* how often */
	u8 cmos_index;
	char sent[4096]; /* to SIM_UART: its first bytes */
	unsigned nr_sent;
	unsigned breaks_at; /* when so many were sent, a machine check comes; 0: never */
	u32 x2apic[0x40];   /* MSRs 0x800 to 0x83f of the host's local APIC */
	jmp_buf panicked;   /* where a panic() goes */
	bool catches;
	/* How vmx_run() ends: enum vmx_entry_result of vmm/run.c. */
	unsigned entry_result;
	unsigned entries; /* VMLAUNCHes */
};

extern struct processor cpu;

/** As at power-on of a processor that has all of VMX that Tallyvisor uses. */
void processor_reset(void);

/** The value of an MSR, for tests; and to give it one. */
u64 *processor_msr(u32 index);

/** What a VM exit tells (SDM volume 3, section 25.9 "VM-Exit Information Fields"). A 0 in a field
 *  that the exit does not define is a pattern for whoever reads it; the valid bits of the two
 *  interruption informations are always defined, and the qualification is. */
struct exit_info {
	u32 reason;
	u64 qual;
	u32 intr_info, intr_error; /* VM-exit interruption information and error code */
	u32 idt_info, idt_error;   /* IDT-vectoring information and error code */
	u32 insn_len, insn_info;
	u64 gpa, gla;
};

/** What a VM exit does to the VMCS, guest state apart. */
void processor_vm_exit(const struct exit_info *e);

#endif
