/* SPDX-License-Identifier: MIT */
/* Exits of single instructions. */
#include "console.h"
#include "core.h"
#include "event.h"
#include "host_timer.h"
#include "insn.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "watch.h"
#include "zoo_calls.h"

static void snapshot_cpuid(struct vcpu *v, u32 subleaf, struct cpuid_regs *out)
{
	struct machine *m = v->machine;
	u64 start = machine_away_begin();

	*out = (struct cpuid_regs){0};
	if (subleaf == TV_SNAPSHOT_TAKE || subleaf == TV_SNAPSHOT_TAKE_DETAIL)
		machine_snapshot(m, subleaf == TV_SNAPSHOT_TAKE_DETAIL);
	else if (subleaf == TV_SNAPSHOT_PRINT && m->snapshot.seq) {
		machine_print_snapshot(m, "snapshot");
		/* Printing is no CPUID's cost; what it waited for the line is within. */
		machine_away_end(start);
	}
	out->eax = m->snapshot.seq;
}

static bool hypervisor_cpuid(struct vcpu *v, u32 leaf, u32 subleaf, struct cpuid_regs *out)
{
	struct machine *m = v->machine;

	if (leaf >> 28 != 4)
		return false;
	switch (leaf) {
	case TV_CPUID_SNAPSHOT:
		snapshot_cpuid(v, subleaf, out);
		return true;
	case TV_CPUID_READ:
		exit_snapshot_cpuid(&m->snapshot, subleaf, out);
		return true;
	case TV_CPUID_DETAIL:
		exit_detail_cpuid_leaf(m->detail, subleaf, out);
		return true;
	case TV_CPUID_HEARTBEAT:
		watch_heartbeat(m, subleaf, out);
		return true;
	}
	if (cpuid_hypervisor(&m->cpuid, leaf, out))
		return true;
	/* With several vcpus the leaves give the sum. */
	if (m->nr_vcpus == 1)
		return exit_stats_cpuid(&v->stats, m->cpuid.leaves, leaf, subleaf, out);

	struct exit_stats sum = {0};

	for (unsigned i = 0; i < m->nr_vcpus; i++)
		exit_stats_add(&sum, &m->vcpu[i]->stats);
	return exit_stats_cpuid(&sum, m->cpuid.leaves, leaf, subleaf, out);
}

static void load_cpuid(struct vcpu *v, const struct cpuid_regs *r)
{
	v->gpr[REG_RAX] = r->eax;
	v->gpr[REG_RBX] = r->ebx;
	v->gpr[REG_RCX] = r->ecx;
	v->gpr[REG_RDX] = r->edx;
}

static __attribute__((noinline)) enum exit_action cpuid_by_rules(struct vcpu *v)
{
	struct machine *m = v->machine;
	u32 leaf = (u32)v->gpr[REG_RAX], subleaf = (u32)v->gpr[REG_RCX];
	struct cpuid_regs r;

	if (!hypervisor_cpuid(v, leaf, subleaf, &r)) {
		const struct lapic *apic = &m->pc.lapic[v->index];
		struct cpuid_vcpu cv = {
			.apic_id = apic->id,
			.apic_enabled = lapic_enabled(apic),
			.cr4 = vcpu_cr4(v),
			.xcr0 = v->xcr0,
			.xss = v->msr.xss,
		};

		cpuid_guest(&m->cpuid, &cv, leaf, subleaf, &r);
	}
	load_cpuid(v, &r);
	/* Last: what was read did not have this one yet. */
	exit_detail_cpuid(&v->detail, leaf);
	return EXIT_ADVANCE;
}

/** CPUID exits whatever the controls say. The guest sees the processor less what is not
 *  virtualized, and the leaves of Tallyvisor: docs/cpuid-leaves.md. What does not depend on the
 *  guest's state is answered from a table made beforehand. This is the cheapest exit, and the
 *  measure of all others. */
enum exit_action handle_cpuid(struct vcpu *v)
{
	/* As 32 bits: from 64, the compiler makes two instructions of it. */
	u32 leaf = *(const u32 *)&v->gpr[REG_RAX];
	const struct cpuid_regs *fixed =
		cpuid_fixed(&v->machine->cpuid, leaf, (u32)v->gpr[REG_RCX]);

	_Static_assert(CPUID_NR_FIXED <= TALLY_CPUID_DIRECT, "no look at the table for them");
	if (!fixed)
		return cpuid_by_rules(v);
	v->detail.cpuid[leaf]++;
	load_cpuid(v, fixed);
	return EXIT_ADVANCE;
}

/** Can anything end this HLT? An NMI that has to wait for an IRET cannot. */
static bool wake_pending(struct vcpu *v)
{
	const struct pc *pc = &v->machine->pc;

	if (pc->lapic[v->index].init_pending)
		return true;
	if (pc->lapic[v->index].nmi_pending &&
	    !(vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_NMI))
		return true;
	/* The trap of single-stepping is a debug exception, which ends HLT. */
	if ((vcpu_rflags(v) & X86_EFLAGS_TF) && !(vmcs_read64(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF))
		return true;
	return (vcpu_rflags(v) & X86_EFLAGS_IF) && pc_pending_irq(pc, v->index) >= 0;
}

/** A guest that has halted cannot go on: the run is over. */
static bool ends_here(struct vcpu *v)
{
	struct machine *m = v->machine;

	if ((vcpu_rflags(v) & X86_EFLAGS_IF) || wake_pending(v) || pc_nmi_wired(&m->pc, v->index))
		return false;
	klog("the guest halted with interrupts disabled: nothing can wake it");
	machine_end(m, OUTCOME_HALTED);
	return true;
}

enum exit_action stop_if_halted(struct vcpu *v)
{
	if ((v->cpu1 & CPU1_HLT_EXITING) || vmcs_read32(GUEST_ACTIVITY_STATE) != ACTIVITY_HLT ||
	    !ends_here(v))
		return EXIT_RETRY;
	return EXIT_STOP;
}

/** The guest has nothing to do. The processor sleeps until an event is due for it; that time is
 *  idle time and no exit's cost. With RFLAGS.IF = 0 and no NMI to come, nothing can wake the
 *  guest, and the run ends. */
enum exit_action handle_hlt(struct vcpu *v)
{
	struct machine *m = v->machine;
	u64 slice = core.tsc_hz / 1000; /* the serial transmitter wants a look each millisecond */

	if (ends_here(v))
		return EXIT_STOP;
	while (!wake_pending(v) && m->outcome == OUTCOME_NONE) {
		u64 now = machine_now(m);
		u64 until = machine_deadline(m);

		if (now < until) {
			if (console_pump())
				until = MIN(until, now + slice);
			host_sleep_until(until == NEVER ? NEVER : until + m->tsc_start);
			u64 slept = machine_now(m) - now;

			machine_away(slept);
			v->stats.idle_cycles += slept;
			v->log.last->qual += slept; /* for people: it is 0 else */
		}
		machine_tick(m, machine_now(m));
	}
	v->requests |= REQ_EVENT | REQ_DEADLINE;
	return EXIT_ADVANCE;
}

/** INVD must not drop what the host has in its caches, and the guest's memory is coherent without
 *  it, as it is without WBINVD: no device writes to it behind the caches. Both do nothing. */
enum exit_action handle_cache_flush(struct vcpu *v)
{
	(void)v;
	return EXIT_ADVANCE;
}

/** The guest's CPUID shows no performance-monitoring unit: there is no counter to read, #GP. */
enum exit_action handle_rdpmc(struct vcpu *v)
{
	return event_gp(v);
}

/** VMX is hidden: #UD, as on a processor without it. With zoo=1 a guest in any ring orders events
 *  by it (include/zoo.h). */
enum exit_action handle_vmcall(struct vcpu *v)
{
	return zoo_call(v) ? EXIT_ADVANCE : event_ud(v);
}

/** An instruction that the guest's CPUID does not have: #UD, as on a processor without it. VMX
 *  instructions exit in every ring once they are legal in the mode at all; their privilege check
 *  comes behind the exit. */
enum exit_action handle_hidden_instruction(struct vcpu *v)
{
	return event_ud(v);
}

/** XSAVES or XRSTORS of a component whose bit is 1 in the instruction's mask, in IA32_XSS and in
 *  the XSS-exiting bitmap. The guest's IA32_XSS is 0, and so is the processor's; the bitmap is
 *  there to show it if that were wrong. With zoo=1 a guest can order otherwise for one entry: then
 *  the instruction is tried again, as if it had not. */
enum exit_action handle_supervisor_state(struct vcpu *v)
{
	if (zoo_ordered(v, ZOO_EVENT_XSS))
		return EXIT_RETRY; /* IA32_XSS is 0 again: as if it had not been anything else */
	return stop_impossible(v, "although IA32_XSS is 0");
}

/** XSETBV exits whatever the controls say, once CR4.OSXSAVE is 1. A value that this processor
 *  does not take is #GP here, and never tried out. */
enum exit_action handle_xsetbv(struct vcpu *v)
{
	u64 value = vcpu_edx_eax(v);

	/* The SDM has the processor check the privilege level before this exit; Bochs 2.7 does not.
	 */
	if (vcpu_cpl() != 0 || (u32)v->gpr[REG_RCX] != 0 ||
	    !xcr0_valid(value, v->machine->cpuid.xcr0_allowed))
		return event_gp(v);
	v->xcr0 = value;
	xsetbv(0, value);
	return EXIT_ADVANCE;
}
