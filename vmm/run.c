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
#include "lib/fmt.h"
#include "machine.h"
#include "panic.h"
#include "vmcs.h"

_Static_assert(offsetof(struct vcpu, gpr) == 0, "entry.asm: VCPU_GPR");
_Static_assert(offsetof(struct vcpu, exit_tsc) == 128, "entry.asm: VCPU_EXIT_TSC");
_Static_assert(offsetof(struct vcpu, host_rsp) == 136, "entry.asm: VCPU_HOST_RSP");
_Static_assert(offsetof(struct vcpu, launched) == 144, "entry.asm: VCPU_LAUNCHED");

/** entry.asm. What VMLAUNCH or VMRESUME came to (SDM volume 3, section 27.1 "Basic VM-Entry
 *  Checks"): */
enum vmx_entry_result {
	VMX_EXITED = 0,	      /* the guest ran, or the entry failed with bit 31: see the reason */
	VMX_FAIL_INVALID = 1, /* no current VMCS */
	VMX_FAIL_VALID = 2,   /* VM_INSTRUCTION_ERROR says why */
};
enum vmx_entry_result vmx_enter(struct vcpu *v);

typedef enum exit_action (*exit_handler)(struct vcpu *v);

static const exit_handler handlers[NR_EXIT_REASONS] = {
#define EXIT_REASON(nr, name, handler, word, bit, cause) [nr] = handle_##handler,
#include "exit_reasons.def"
#undef EXIT_REASON
};

void print_diagnosis(struct vcpu *v)
{
	vcpu_dump(v);
	exit_log_print(&v->machine->log, 16);
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
	const char *insn = v->launched ? "VMRESUME" : "VMLAUNCH";

	if (r == VMX_FAIL_INVALID)
		panic("%s failed: VMfailInvalid, there is no current VMCS", insn);
	u32 error = vmcs_read32(VM_INSTRUCTION_ERROR);

	vcpu_dump(v);
	panic("%s failed: VMfailValid, error %u: %s", insn, error, vmx_error_name(error));
}

static void log_exit(struct vcpu *v)
{
	struct exit_log *log = &v->machine->log;
	struct exit_log_entry *e = &log->entry[log->next++ % EXIT_LOG_SIZE];

	e->reason = v->exit_reason;
	e->rip = vcpu_rip(v);
	e->qual = vcpu_qual(v);
	e->cr3 = vcpu_cr3(v);
	e->cycles = 0;
}

/** Charge the time since the exit to its reason. Counting last means that a guest which reads the
 *  counters by CPUID sees the state before that CPUID. */
static void account(struct vcpu *v, u64 now)
{
	u32 nr = v->exit_reason & EXIT_REASON_BASIC_MASK;
	u64 cycles = now - v->exit_tsc - v->idle_away - core.console.waited;
	struct exit_log *log = &v->machine->log;

	v->stats.count[nr]++;
	v->stats.cycles[nr] += cycles;
	log->entry[(log->next - 1) % EXIT_LOG_SIZE].cycles = cycles > ~0u ? ~0u : (u32)cycles;
	v->idle_away = 0;
	core.console.waited = 0;
}

static enum exit_action dispatch(struct vcpu *v)
{
	u32 nr = v->exit_reason & EXIT_REASON_BASIC_MASK;

	if (v->exit_reason & EXIT_REASON_ENTRY_FAILURE)
		return handle_entry_failure(v);
	if (nr >= NR_EXIT_REASONS || !handlers[nr])
		panic("VM exit with reason %u, which the SDM does not define", nr);
	return handlers[nr](v);
}

static void handle_exit(struct vcpu *v)
{
	v->cached = 0;
	v->exit_reason = vmcs_read32(VM_EXIT_REASON);
	v->idt_vectoring = vmcs_read32(IDT_VECTORING_INFO_FIELD);
	log_exit(v);
	switch (dispatch(v)) {
	case EXIT_ADVANCE:
		vcpu_complete_instruction(v, vcpu_rip(v) + vmcs_read32(VM_EXIT_INSTRUCTION_LEN));
		break;
	case EXIT_RETRY:
	case EXIT_STOP:
		break;
	}
	if (v->idt_vectoring & INTR_INFO_VALID)
		event_replay(v);
}

/** Arrange for an exit at v->deadline; `now` is the guest TSC. */
static void arm_timer(struct vcpu *v, u64 now)
{
	const struct machine *m = v->machine;
	u64 ticks = v->deadline > now ? v->deadline - now : 0;

	if (m->vmx.word[WORD_PIN] & PIN_PREEMPTION_TIMER) {
		/* IA32_VMX_MISC[4:0]: the timer counts whenever that bit of the TSC changes. A
		 * count of k lasts k-1 to k units: with one more it does not fire before the
		 * deadline. */
		u64 count = (ticks >> (core.caps.misc & 31)) + 2;

		vmcs_write32(VMX_PREEMPTION_TIMER_VALUE, count > ~0u ? ~0u : (u32)count);
	} else {
		host_timer_arm(v->deadline == NEVER ? NEVER : v->deadline + m->tsc_start);
	}
}

/** Everything that must be settled before an entry. Returns the guest TSC. */
static u64 settle(struct vcpu *v)
{
	struct machine *m = v->machine;
	bool ticked = false;

	for (;;) {
		u64 now;

		if (v->requests & REQ_DEADLINE) {
			v->requests &= ~REQ_DEADLINE;
			v->deadline = machine_deadline(m);
			/* However fast a guest programs its timers: after one was served, it runs.
			 */
			if (ticked)
				v->deadline = MAX(v->deadline, machine_now(m) + m->min_run);
		}
		now = machine_now(m);
		if (now >= v->deadline && !ticked) {
			machine_tick(m, now);
			v->requests |= REQ_DEADLINE;
			ticked = true;
			if (m->outcome != OUTCOME_NONE)
				return machine_now(m);
			continue;
		}
		if (!(v->requests & REQ_EVENT))
			return now;
		event_prepare_entry(v);
	}
}

void vcpu_run(struct vcpu *v)
{
	struct machine *m = v->machine;
	enum vmx_entry_result r;
	u64 now;

	vmcs_write64(TSC_OFFSET, -m->tsc_start);
	now = settle(v);
	/* The time before the first entry belongs to no exit. */
	v->idle_away = 0;
	core.console.waited = 0;
	while (m->outcome == OUTCOME_NONE) {
		arm_timer(v, now);
		r = vmx_enter(v);
		if (__builtin_expect(r != VMX_EXITED, 0))
			entry_vmfail(v, r);
		v->launched = 1;
		v->injecting = false;
		handle_exit(v);
		now = settle(v);
		account(v, now + m->tsc_start);
	}
}
