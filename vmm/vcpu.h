/* SPDX-License-Identifier: MIT */
/* One virtual processor. */
#ifndef TV_VCPU_H
#define TV_VCPU_H

#include "control_regs.h"
#include "exit_detail.h"
#include "exit_log.h"
#include "exit_stats.h"
#include "guest/cpuid.h"
#include "guest/msr.h"
#include "guest/segment.h"
#include "guest/walk.h"
#include "trace.h"
#include "types.h"
#include "vmcs.h"
#include "x86.h"

struct machine;
struct efer_areas;
struct zoo;

/* What has to be looked at before the next entry. */
#define REQ_EVENT BIT(0)    /* something may have to be injected */
#define REQ_DEADLINE BIT(1) /* a timer may have been set: work out the next deadline */
#define REQ_AWAY BIT(2)	    /* core.cpu.away is not 0 */
#define REQ_STOP BIT(3)	    /* the run is over */
#define REQ_WATCH BIT(4)    /* the watchdog looks at every exit */

/** What has been done since the last exit. State that is read from the VMCS at most once an exit:
 */
#define CACHED_RFLAGS BIT(0)
#define CACHED_RSP BIT(1)
#define CACHED_IDT_VECTORING BIT(2)
#define INJECTING BIT(3) /* the VMCS holds an event for the next entry: there is room for one */

/** vcpu.timer_shift where there is no VMX-preemption timer. */
#define NO_PREEMPTION_TIMER 0xff

struct vcpu {
	/* entry.asm knows the offsets of these two: run.c asserts them. */
	u64 gpr[16];  /* RSP's slot is a cache, see vcpu_reg() */
	u64 exit_tsc; /* host TSC right after the VM exit */

	struct machine *machine;
	unsigned index;
	u64 requests;
	u64 deadline;	   /* host TSC at which the guest must be interrupted */
	u32 done;	   /* CACHED_*, INJECTING */
	u32 idt_vectoring; /* see vcpu_idt_vectoring() */
	u64 rflags;
	u8 timer_shift; /* the VMX-preemption timer counts once in 2^n TSC ticks */
	/* The event to inject at the next entry; 0: none. */
	u32 event_info, event_error, event_insn_len;
	u32 cpu1;	/* primary controls in the VMCS */
	u8 *msr_bitmap; /* one page */
	/* What the guest wrote. Of CR0 and CR4 the bits that it owns are in the VMCS; so is CR3
	 * where the guest keeps it. */
	struct control_regs shadow;
	u64 cr4_guest_owned; /* bits of CR4 that the guest changes without an exit, at present */
	bool keeps_cr3;	     /* CR3 in the VMCS is the guest's own: vmx/guest_cr.h */
	/* On page tables of the hypervisor's: as of the last load(), see paging_ops.h; what belongs
	 * to a single access is set for that. */
	struct walk_regs walk;
	u64 pat; /* IA32_PAT where the processor has another: paging_controls.own_tables */
	u64 xcr0;
	struct efer_areas *efer; /* vmm/efer.c; NULL: the VMCS has fields for it */
	u64 tsc_adjust;		 /* guest's TSC = guest time + this */
	struct msr_state msr;
	struct exit_stats stats;
	struct exit_log log;
	struct exit_detail detail;
	struct trace trace;
	u8 *vmcs;
	hpa_t vmcs_hpa;
	u64 *pml; /* the page-modification log; NULL: none */
	hpa_t pml_hpa;
	struct zoo *zoo; /* vmm/zoo_calls.h; NULL: without zoo=1 */
};

/** What a handler wants done. Only the dispatcher acts on it. */
enum exit_action {
	EXIT_RETRY,   /* enter again where the guest stands (or where the handler put it) */
	EXIT_ADVANCE, /* the instruction is done: step over it */
	EXIT_STOP,    /* the run is over: m->outcome says why */
};

/** Make the vcpu's VMCS current with the state of a processor about to run its first
 *  instruction. */
void vcpu_init(struct vcpu *v, struct machine *m, unsigned index);

/** The guest's state at the kernel's entry point (64-bit boot protocol). */
struct linux_entry;
void vcpu_set_linux_entry(struct vcpu *v, const struct linux_entry *e);

/** Run until m->outcome is set. */
void vcpu_run(struct vcpu *v);

/** Reason (all 32 bits), RIP and exit qualification of this exit: the newest in the ring. */
static inline u32 vcpu_exit_reason(const struct vcpu *v)
{
	return v->log.last->reason;
}

static inline u64 vcpu_rip(const struct vcpu *v)
{
	return v->log.last->rip;
}

static inline u64 vcpu_qual(const struct vcpu *v)
{
	return v->log.last->qual;
}

/** The guest's CR3. */
static inline u64 vcpu_cr3(const struct vcpu *v)
{
	return v->keeps_cr3 ? v->log.last->cr3 : v->shadow.cr3;
}

/** RFLAGS as the VMCS holds them now. */
static inline u64 vcpu_rflags(struct vcpu *v)
{
	if (!(v->done & CACHED_RFLAGS)) {
		v->rflags = vmcs_readl(GUEST_RFLAGS);
		v->done |= CACHED_RFLAGS;
	}
	return v->rflags;
}

/** The event whose delivery this exit cut short (SDM volume 3, section 28.2.4); INTR_INFO_VALID is
 *  clear where there is none, as after every exit of an instruction. */
static inline u32 vcpu_idt_vectoring(struct vcpu *v)
{
	if (!(v->done & CACHED_IDT_VECTORING)) {
		v->idt_vectoring = vmcs_read32(IDT_VECTORING_INFO_FIELD);
		v->done |= CACHED_IDT_VECTORING;
	}
	return v->idt_vectoring;
}

/** The exit's handler has delivered that event, by software: it is over. */
static inline void vcpu_event_is_delivered(struct vcpu *v)
{
	v->idt_vectoring = 0;
	v->done |= CACHED_IDT_VECTORING;
}

static inline void vcpu_set_rflags(struct vcpu *v, u64 rflags)
{
	v->rflags = rflags;
	v->done |= CACHED_RFLAGS;
	vmcs_writel(GUEST_RFLAGS, rflags);
}

/** A general register by the processor's numbering, RSP included. */
u64 vcpu_reg(struct vcpu *v, unsigned reg);
void vcpu_set_reg(struct vcpu *v, unsigned reg, u64 value);

/** Switch bits of the primary processor-based controls. */
static inline void vcpu_set_cpu1(struct vcpu *v, u32 bits, bool on)
{
	u32 want = on ? v->cpu1 | bits : v->cpu1 & ~bits;

	if (want != v->cpu1) {
		v->cpu1 = want;
		vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, want);
	}
}

/** EDX:EAX. */
u64 vcpu_edx_eax(const struct vcpu *v);
void vcpu_set_edx_eax(struct vcpu *v, u64 value);

/** CR0 and CR4 as the guest reads them. */
u64 vcpu_cr0(const struct vcpu *v);
u64 vcpu_cr4(const struct vcpu *v);

/** Current privilege level: DPL of SS. */
unsigned vcpu_cpl(void);

/** 16, 32 or 64: the default size of the code segment. */
unsigned vcpu_code_bits(const struct vcpu *v);

/** The rules for memory operands now, and a segment register as far as they look at it: in 64-bit
 *  mode that is the base, 0 where there is none. (Under KVM, each VMREAD is a VM exit.) */
enum segment_mode vcpu_segment_mode(const struct vcpu *v);
struct segment vcpu_segment(enum segment_mode mode, unsigned seg);

/** What decides how the guest's linear addresses are translated now. */
void vcpu_walk_regs(struct vcpu *v, struct walk_regs *r);

/** The same on page tables of the hypervisor's, in place. */
const struct walk_regs *vcpu_own_walk_regs(struct vcpu *v);

/** Note that a single-step trap is due: pending debug exceptions, BS; unless IA32_DEBUGCTL.BTF asks
 *  for traps on branches only. */
void vcpu_pend_single_step(void);

/** The same where VM entry insists on it, although the exit did not record it: with RFLAGS.TF, and
 *  blocking by STI or MOV SS, or in the HLT state (section 27.3.1.5; Xen's XSA-308). An exception
 *  that is injected takes its place. */
void vcpu_pend_blocked_step(struct vcpu *v);

/** `info` is the qualification or interruption information of an exit for which bit 12 means that
 * an IRET had unblocked NMIs when the exit cut it short: block them again (SDM volume 3, section
 *  28.2.3 "Information About NMI Unblocking Due to IRET"). */
void vcpu_undo_nmi_unblocking(struct vcpu *v, u64 info);

/** vcpu_complete_instruction(), in the cases that are not common. */
void vcpu_complete_rare(struct vcpu *v, u64 next_rip);

/** RIP after an instruction was completed: also ends the shadow of STI and MOV SS and arms the
 *  trap of RFLAGS.TF (SDM volume 3, section 6.8.3 "Masking Exceptions ..." and 18.3.1.4). */
static inline void vcpu_complete_instruction(struct vcpu *v, u64 next_rip)
{
	/* Common: no flag that asks for something, nothing blocked, and no wrap of a 32-bit RIP. On
	 * the way of every exit of an instruction: VMREADs without checks. */
	u64 flags = vmread_sure(GUEST_RFLAGS) & (X86_EFLAGS_TF | X86_EFLAGS_RF);
	u64 blocking = vmread_sure(GUEST_INTERRUPTIBILITY_INFO);

	if (__builtin_expect((flags | blocking | (next_rip ^ vcpu_rip(v)) >> 32) != 0, 0))
		vcpu_complete_rare(v, next_rip);
	else
		vmwrite_sure(GUEST_RIP, next_rip);
}

/** One iteration of a repeated string instruction was done, and RIP stays for the next one. Between
 *  two of them the processor traps for RFLAGS.TF, and takes interrupts; either way RF is set in the
 *  flags that it pushes, so that an instruction breakpoint does not fire again (SDM volume 3,
 *  section 18.3.1.1). */
void vcpu_complete_iteration(struct vcpu *v);

/** Guest state by name on the console. */
void vcpu_dump(struct vcpu *v);

/** The last `n` exits on the console, with the guest's CR3. */
void vcpu_print_exits(const struct vcpu *v, unsigned n);

#endif
