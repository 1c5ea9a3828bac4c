/* SPDX-License-Identifier: MIT */
/* The watchdog's eyes and its last words. lib/watchdog.c judges. */
#include "watch.h"

#include "console.h"
#include "core.h"
#include "exit_reasons.h"
#include "insn.h"
#include "lib/muldiv.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"

void watch_init(struct machine *m)
{
	watchdog_init(&m->watchdog, core.boot->options.watchdog * core.tsc_hz, core.tsc_hz);
}

/** Does the whole recorder hold exits of one reason at one place? Seldom looks at more than a few
 *  entries. */
static bool recorder_is_alike(const struct vcpu *v)
{
	u64 count = exit_log_count(&v->log);
	const struct exit_log_entry *like = NULL;

	if (count < EXIT_LOG_SIZE)
		return false;
	for (u64 i = count; i-- > count - EXIT_LOG_SIZE;) {
		const struct exit_log_entry *e = exit_log_entry(&v->log, i);

		if (watchdog_ignores(e->reason))
			continue;
		if (!like)
			like = e;
		if (e->rip != like->rip || e->reason != like->reason ||
		    !watchdog_suspects(e->reason))
			return false;
	}
	return like != NULL;
}

/** Ticks as "12.3", of seconds. */
#define SECONDS(ticks)                                                                             \
	(unsigned long long)((ticks) / core.tsc_hz),                                               \
		(unsigned long long)mul_div_u64((ticks) % core.tsc_hz, 10, core.tsc_hz)

static const char device[] =
	"the guest waits for a bit in a register of a device's memory that does "
	"not come; else the hypervisor cannot get past the access, which is a "
	"fault of its own";

/** What it usually means that a guest does this for ever; `faults`: each time it gets an exception.
 */
static const char *usual_cause(u32 reason, bool faults)
{
	if (faults)
		return "an instruction that faults again and again: its handler returns without "
		       "having mended the cause, or faults itself";
	switch (reason) {
	case EXIT_REASON_EXCEPTION_NMI: /* on page tables of the hypervisor's */
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_EPT_MISCONFIG:
	case EXIT_REASON_APIC_ACCESS:
	case EXIT_REASON_APIC_WRITE:
		return device;
	case EXIT_REASON_IO_INSTRUCTION:
		return "the guest waits for a bit in a device's register that does not come; the "
		       "port is in bits 31:16 of the qualification of the exits below";
	case EXIT_REASON_RDMSR:
	case EXIT_REASON_WRMSR:
		return "the guest waits for a bit in an MSR that does not come; its number is in "
		       "RCX";
	case EXIT_REASON_CPUID:
	case EXIT_REASON_RDTSC:
	case EXIT_REASON_RDTSCP:
		return "a loop that waits for what other code should do, which does not run, for "
		       "nothing interrupts the loop";
	case EXIT_REASON_PAUSE:
		return "a spin lock that nobody releases";
	case EXIT_REASON_TASK_SWITCH:
		return "a task switch whose new task switches back at once";
	default:
		return "an instruction that takes the guest no further: if it is in no loop of the "
		       "guest's, this is a fault of the hypervisor's";
	}
}

/** Its last words have been said. */
static void end(struct vcpu *v)
{
	machine_end(v->machine, OUTCOME_WATCHDOG);
	print_diagnosis(v);
}

static void end_no_progress(struct vcpu *v, u64 now)
{
	const struct watchdog *w = &v->machine->watchdog;
	const struct watchdog_point *p = &w->point;
	const char *name = exit_reason_name(p->reason & EXIT_REASON_BASIC_MASK);

	klog("watchdog: no progress for %llu.%llu seconds: the guest does the same thing again and "
	     "again, at %016llx, %llu times by now, with exit reason %u (%s)",
	     SECONDS(now - w->since), (unsigned long long)p->rip, (unsigned long long)w->alike,
	     p->reason, name ? name : "?");
	klog("watchdog: since second %llu.%llu of its time at the latest; rcx %llx and rflags %llx "
	     "are the same each time, and nothing interrupts it",
	     SECONDS(w->since), (unsigned long long)p->rcx, (unsigned long long)p->rflags);
	klog("watchdog: usually this is: %s", usual_cause(p->reason, v->done & INJECTING));
	end(v);
}

static void say_places(const struct watchdog *w)
{
	struct watchdog_place place[WATCHDOG_SAMPLES];
	unsigned nr = watchdog_places(w, place);

	for (unsigned i = 0; i < nr; i++)
		klog("watchdog: %u of the last looks found it at %016llx", place[i].seen,
		     (unsigned long long)place[i].rip);
}

static void end_heart_stopped(struct vcpu *v, u64 now)
{
	const struct watchdog *w = &v->machine->watchdog;
	bool deaf = !(vcpu_rflags(v) & X86_EFLAGS_IF);

	klog("watchdog: no heartbeat for %llu.%llu seconds, where the guest promised one every "
	     "%llu.%llu: %llu came, the last in second %llu.%llu of its time",
	     SECONDS(now - w->last_beat), SECONDS(w->promise), (unsigned long long)w->beats,
	     SECONDS(w->last_beat));
	say_places(w);
	if (vmcs_read32(GUEST_ACTIVITY_STATE) == ACTIVITY_HLT ||
	    vcpu_exit_reason(v) == EXIT_REASON_HLT)
		klog("watchdog: it has halted, and interrupts wake it: usually whoever should beat "
		     "has ended, or waits for something");
	else if (deaf)
		klog("watchdog: it runs with interrupts off: usually a loop that waits for what "
		     "only an interrupt could bring, or \"cli; jmp $\" after a fatal error");
	else
		klog("watchdog: it runs, with interrupts on: usually other work keeps the "
		     "processor from whoever should beat, or that has ended");
	end(v);
}

void watch_look(struct machine *m, u64 now)
{
	struct watchdog *w = &m->watchdog;
	struct vcpu *v = m->vcpu[0];

	if (now < w->next_look || m->outcome != OUTCOME_NONE)
		return;
	w->next_look = now + w->period;
	watchdog_sample(w, vmcs_readl(GUEST_RIP));
	if (watchdog_heart_stopped(w, now)) {
		end_heart_stopped(v, now);
	} else if (recorder_is_alike(v)) {
		watchdog_look_closely(w);
		v->requests |= REQ_WATCH;
	}
}

/** Does the guest take an interrupt or an NMI at the coming entry? */
static bool interrupted(struct vcpu *v)
{
	const struct pc *pc = &v->machine->pc;

	if (v->done & INJECTING) {
		u32 type = vmcs_read32(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_TYPE_MASK;

		return type == INTR_TYPE_EXTERNAL || type == INTR_TYPE_NMI;
	}
	/* The processor delivers it by itself. */
	return pc->lapic[v->index].virtual_delivery && (vcpu_rflags(v) & X86_EFLAGS_IF) &&
	       pc_pending_irq(pc, v->index) >= 0;
}

void watch_exit(struct vcpu *v, u64 now)
{
	struct watchdog *w = &v->machine->watchdog;
	const struct watchdog_point p = {
		.rip = vcpu_rip(v),
		.rcx = v->gpr[REG_RCX],
		.rflags = vcpu_rflags(v),
		.reason = vcpu_exit_reason(v),
	};

	/* What has ended the run, and how long its last words took, is not judged any more. */
	if (v->machine->outcome == OUTCOME_NONE && watchdog_exit(w, &p, interrupted(v), now))
		end_no_progress(v, now);
	if (!w->close)
		v->requests &= ~REQ_WATCH;
}

void watch_heartbeat(struct machine *m, u32 seconds, struct cpuid_regs *out)
{
	u32 promised = MIN(seconds, WATCHDOG_PROMISE_MAX);

	watchdog_beat(&m->watchdog, promised * core.tsc_hz, machine_now(m));
	*out = (struct cpuid_regs){.eax = core.boot->options.watchdog,
				   .ebx = core.boot->options.watchdog ? promised : 0};
}
