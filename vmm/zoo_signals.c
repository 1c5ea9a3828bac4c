/* SPDX-License-Identifier: MIT */
/*
 * Events of the exit zoo that come from outside the processor's core. All that the local APIC sends
 * the processor that it belongs to is there before the next instruction: an interrupt is pending at
 * the entry if RFLAGS.IF is 0 here, as it is, but an NMI is taken at once, unless NMIs are blocked.
 *
 * So they are blocked first, by an NMI whose handler does without IRET; the next one is pending
 * then, and the guest does not block it, for "virtual NMIs" is 1 (SDM volume 3, section 25.6.1).
 * Bochs 2.7 leaves them blocked in the guest. There, the 8254 sends the NMI a little later, through
 * the I/O APIC, and the guest halts until then, without having executed anything.
 */
#include "core.h"
#include "exit_reasons.h"
#include "host_timer.h"
#include "insn.h"
#include "lib/muldiv.h"
#include "machine.h"
#include "vmcs.h"
#include "zoo_calls.h"

/** The way to the guest is shorter, in TSC ticks. */
#define TICKS_TO_GUEST 2000

/** An NMI of one's own that does not arrive in so many TSC ticks will not. */
#define NMI_TICKS_MAX BIT(22)

/** What made this processor exit. */
static u32 exit_reason(void)
{
	return vmcs_read32(VM_EXIT_REASON);
}

static bool exited_for_nmi(void)
{
	return exit_reason() == EXIT_REASON_EXCEPTION_NMI &&
	       (vmcs_read32(VM_EXIT_INTR_INFO) & INTR_INFO_TYPE_MASK) == INTR_TYPE_NMI;
}

/** HLT is possible in ring 0 only, not behind STI or MOV SS, and not with an event to inject
 *  (sections 27.3.1.5 and 27.7.2). Elsewhere the guest runs until the NMI is there. */
static void put_to_sleep(struct vcpu *v)
{
	v->zoo->saved.asleep = !(v->done & INJECTING) && !vcpu_cpl() &&
			       !vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) &&
			       vmcs_read32(GUEST_ACTIVITY_STATE) == ACTIVITY_ACTIVE;
	if (v->zoo->saved.asleep)
		vmcs_write32(GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
}

/** NMIs are blocked when this returns, until an IRET; or it did not work. */
static bool block_nmis(void)
{
	const u64 before = core.cpu.nmis, start = rdtsc();

	core.cpu.keep_nmis_blocked = true;
	host_ipi_self(IPI_NMI);
	while (*(volatile u64 *)&core.cpu.nmis == before && rdtsc() - start < NMI_TICKS_MAX)
		cpu_pause();
	core.cpu.keep_nmis_blocked = false;
	return core.cpu.nmis != before;
}

void zoo_nmi_begin(struct vcpu *v)
{
	v->zoo->saved.stray = core.cpu.nmis;
	v->zoo->saved.asleep = false;
	if (core.on_bochs) {
		put_to_sleep(v);
		cpu_nmi_by_timer(TICKS_TO_GUEST);
	} else if (block_nmis()) {
		host_ipi_self(IPI_NMI);
	}
}

/** None of them was one that nobody here asked for; the handler of the exit counts the last. */
void zoo_nmi_end(struct vcpu *v)
{
	if (core.on_bochs)
		cpu_nmi_by_timer(0);
	if (v->zoo->saved.asleep)
		vmcs_write32(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	core.cpu.nmis = v->zoo->saved.stray - exited_for_nmi();
}

void zoo_interrupt_begin(struct vcpu *v)
{
	v->zoo->saved.stray = core.cpu.stray_interrupts;
	host_ipi_self(IPI_FIXED | HOST_ZOO_VECTOR);
}

/** One that the guest did not exit for must not come up later. Nor was it one that nobody asked
 * for; the handler of the exit counts it. */
void zoo_interrupt_end(struct vcpu *v)
{
	if (exit_reason() == EXIT_REASON_EXTERNAL_INTERRUPT &&
	    (vmcs_read32(VM_EXIT_INTR_INFO) & INTR_INFO_VECTOR_MASK) == HOST_ZOO_VECTOR) {
		core.cpu.stray_interrupts = v->zoo->saved.stray - 1;
	} else {
		sti_nop_cli();
		core.cpu.stray_interrupts = v->zoo->saved.stray;
	}
}
