/* SPDX-License-Identifier: MIT */
/*
 * The run loop: entry, exit, dispatch, account. This is the hot path; see "An exit's way through
 * the code" in docs/architecture.md.
 */
#include "run.h"

#include <stdarg.h>

#include "console.h"
#include "core.h"
#include "event.h"
#include "exit_reasons.h"
#include "host_timer.h"
#include "insn.h"
#include "lib/exit_account.h"
#include "lib/fmt.h"
#include "machine.h"
#include "panic.h"
#include "vmcs.h"
#include "watch.h"

_Static_assert(offsetof(struct vcpu, gpr) == 0, "entry.asm: VCPU_GPR");
_Static_assert(offsetof(struct vcpu, exit_tsc) == 128, "entry.asm: VCPU_EXIT_TSC");

/** entry.asm: how vmx_run() ended (SDM volume 3, section 27.1 "Basic VM-Entry Checks"). */
enum vmx_entry_result {
	VMX_STOPPED = 0,      /* vmx_exited() said stop */
	VMX_FAIL_INVALID = 1, /* VMLAUNCH or VMRESUME: no current VMCS */
	VMX_FAIL_VALID = 2,   /* VM_INSTRUCTION_ERROR says why */
};
enum vmx_entry_result vmx_run(struct vcpu *v);

typedef enum exit_action (*exit_handler)(struct vcpu *v);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const exit_handler handlers[NR_EXIT_REASONS] = {
	[0 ... NR_EXIT_REASONS - 1] = handle_undefined,
#define EXIT_REASON(nr, name, handler, word, bit, cause) [nr] = handle_##handler,
#include "exit_reasons.def"
#undef EXIT_REASON
};
#pragma GCC diagnostic pop

void print_diagnosis(struct vcpu *v)
{
	vcpu_dump(v);
	vcpu_print_exits(v, 16);
	trace_dump(v, "crash");
}

enum exit_action stop_unsupported(struct vcpu *v, const char *f, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, f);
	fmt_vsnprintf(text, sizeof(text), f, ap);
	va_end(ap);
	klog("the guest cannot go on: %s", text);
	machine_end(v->machine, OUTCOME_UNSUPPORTED);
	print_diagnosis(v);
	return EXIT_STOP;
}

/** VMfail: the controls or the host state are wrong. That is a bug of this program. */
static void entry_vmfail(struct vcpu *v, enum vmx_entry_result r)
{
	const char *insn = exit_log_count(&v->log) ? "VMRESUME" : "VMLAUNCH";

	if (r == VMX_FAIL_INVALID)
		panic("%s failed: VMfailInvalid, there is no current VMCS", insn);
	u32 error = vmcs_read32(VM_INSTRUCTION_ERROR);

	vcpu_dump(v);
	panic("%s failed: VMfailValid, error %u: %s", insn, error, vmx_error_name(error));
}

enum exit_action handle_undefined(struct vcpu *v)
{
	u32 reason = vcpu_exit_reason(v), nr = reason & EXIT_REASON_BASIC_MASK;
	const char *name = exit_reason_name(nr);

	if (!name)
		return stop_unsupported(v,
					"VM exit with reason 0x%08x, which the SDM does not define "
					"(edition 083): " FAULT_BELOW,
					reason);
	return stop_unsupported(v,
				"VM exit %u (%s) with reason 0x%08x: what its upper half tells of "
				"cannot be here: " FAULT_BELOW,
				nr, name, reason);
}

/** The flight recorder is full: from its beginning again. */
static __attribute__((noinline)) struct exit_log_entry *wrap_log(struct vcpu *v)
{
	trace_ring_full(v);
	return exit_log_wrap(&v->log);
}

/** A new entry in the flight recorder, filled in; the reason. Everything else that wants to know of
 * this exit reads it there. The VMREADs cannot fail: the exit came from this VMCS. */
static inline u64 log_exit(struct vcpu *v)
{
	struct exit_log_entry *e = v->log.last + 1;
	u64 reason;

	if (__builtin_expect(e == v->log.end, 0))
		e = wrap_log(v);
	v->log.last = e;
	reason = vmread_sure(VM_EXIT_REASON);
	vmread_to(GUEST_RIP, &e->rip);
	vmread_to(GUEST_CR3, &e->cr3);
	vmread_to(EXIT_QUALIFICATION, &e->qual);
	e->reason = (u32)reason;
	return reason;
}

/** Charge the time since the exit to its reason; `now` is the host's TSC. Counting last means that
 * a guest which reads the counters by CPUID sees the state before that CPUID. */
static inline void account(struct vcpu *v, u64 now)
{
	struct exit_log_entry *e = v->log.last;
	u32 nr = e->reason & EXIT_REASON_BASIC_MASK;
	u64 cycles = now - v->exit_tsc;

	v->stats.count[nr]++;
	v->stats.cycles[nr] += cycles;
	exit_detail_cycles(&v->detail, nr, cycles);
	e->cycles = (u32)cycles;
	e->time = now;
}

static inline enum exit_action dispatch(struct vcpu *v, u64 reason)
{
	/* The upper half is looked at by whoever knows what may be in it. */
	if (__builtin_expect(reason >= NR_EXIT_REASONS, 0))
		return reason & EXIT_REASON_ENTRY_FAILURE ? handle_entry_failure(v)
							  : handle_undefined(v);
	return handlers[reason](v);
}

/** After an exit that completed no instruction. */
static __attribute__((noinline)) void retry(struct vcpu *v)
{
	if (vcpu_idt_vectoring(v) & INTR_INFO_VALID)
		event_replay(v);
}

static inline void handle_exit(struct vcpu *v)
{
	v->done = 0;
	if (__builtin_expect(dispatch(v, log_exit(v)) == EXIT_ADVANCE, 1))
		vcpu_complete_instruction(v, vcpu_rip(v) + vmread_sure(VM_EXIT_INSTRUCTION_LEN));
	else
		retry(v);
}

/** Arrange for an exit at v->deadline; `now` is the host's TSC. Without the VMX-preemption timer it
 *  is the host's local APIC that makes it: settle() has armed that, and this VMWRITE goes to a
 * field that does not exist or does nothing. That is cheaper than to ask at every exit. */
static inline void arm_timer(const struct vcpu *v, u64 now)
{
	/* IA32_VMX_MISC[4:0]: the timer counts whenever that bit of the TSC changes. A count of k
	 * lasts k-1 to k units: with one more it does not fire before the deadline. */
	vmwrite_sure(VMX_PREEMPTION_TIMER_VALUE,
		     ((v->deadline - now) >> (v->timer_shift & 63)) + 2);
}

/** What the VMX-preemption timer can count to, less what arm_timer() adds. */
#define TIMER_MAX 0xfffffff0ull

/** The next deadline, in the host's TSC, and within reach of the timer: an exit that comes too soon
 *  finds nothing to do. `soonest` is that of a guest which was served just now. */
static void set_deadline(struct vcpu *v, u64 soonest)
{
	const struct machine *m = v->machine;
	u64 due = machine_deadline(m), now = rdtsc(), reach = now;

	reach += v->timer_shift == NO_PREEMPTION_TIMER ? TIMER_MAX : TIMER_MAX << v->timer_shift;
	v->deadline = due < reach - m->tsc_start ? MAX(due, soonest) + m->tsc_start : reach;
	/* What is due already is served before the entry: no interrupt is needed for it. */
	if (v->timer_shift == NO_PREEMPTION_TIMER && v->deadline > now)
		host_timer_arm(v->deadline);
}

/** Everything that must be settled before an entry. Returns the host's TSC, not after v->deadline.
 */
static __attribute__((noinline)) u64 settle(struct vcpu *v)
{
	struct machine *m = v->machine;
	u64 soonest = 0;

	while (m->outcome == OUTCOME_NONE) {
		u64 now;

		if (v->requests & REQ_DEADLINE) {
			v->requests &= ~REQ_DEADLINE;
			set_deadline(v, soonest);
		}
		now = rdtsc();
		if (now >= v->deadline && !soonest) {
			machine_tick(m, now - m->tsc_start);
			v->requests |= REQ_DEADLINE;
			/* However fast a guest programs its timers: after one was served, it runs.
			 */
			soonest = machine_now(m) + m->min_run;
		} else if (v->requests & REQ_EVENT) {
			event_prepare_entry(v);
		} else {
			return MIN(now, v->deadline);
		}
	}
	return rdtsc();
}

/** As if the exit had come so much later. */
static void forget_away(struct vcpu *v)
{
	v->exit_tsc += core.cpu.away;
	core.cpu.away = 0;
	v->requests &= ~REQ_AWAY;
}

/** The rest of vmx_exited() after an exit that leaves something to be done. */
static __attribute__((noinline)) bool settle_exit(struct vcpu *v)
{
	u64 now = settle(v);

	if (__builtin_expect(v->requests & (REQ_AWAY | REQ_WATCH), 0)) {
		forget_away(v);
		if (v->requests & REQ_WATCH)
			watch_exit(v, now - v->machine->tsc_start);
	}
	/* Undefined reasons end the run, and there are more of them than counters. */
	if ((vcpu_exit_reason(v) & EXIT_REASON_BASIC_MASK) < NR_EXIT_REASONS)
		account(v, now);
	if (v->machine->outcome != OUTCOME_NONE)
		return false;
	arm_timer(v, now);
	return true;
}

bool vmx_exited(struct vcpu *v)
{
	u64 now;

	handle_exit(v);
	now = rdtsc();
	if (__builtin_expect(v->requests || now >= v->deadline, 0))
		return settle_exit(v);
	account(v, now);
	arm_timer(v, now);
	return true;
}

void vcpu_run(struct vcpu *v)
{
	struct machine *m = v->machine;
	enum vmx_entry_result r;
	u64 now;

	vmcs_write64(TSC_OFFSET, -m->tsc_start);
	now = settle(v);
	forget_away(v); /* the time before the first entry belongs to no exit */
	if (m->outcome != OUTCOME_NONE)
		return;
	arm_timer(v, now);
	r = vmx_run(v);
	if (r != VMX_STOPPED)
		entry_vmfail(v, r);
}
