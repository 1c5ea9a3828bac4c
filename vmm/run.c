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
_Static_assert(offsetof(struct vcpu, launched) == 136, "entry.asm: VCPU_LAUNCHED");

/** entry.asm: how vmx_run() ended (SDM volume 3, section 27.1 "Basic VM-Entry Checks"). */
enum vmx_entry_result {
	VMX_STOPPED = 0,      /* vmx_exited() said stop */
	VMX_FAIL_INVALID = 1, /* VMLAUNCH or VMRESUME: no current VMCS */
	VMX_FAIL_VALID = 2,   /* VM_INSTRUCTION_ERROR says why */
};
enum vmx_entry_result vmx_run(struct vcpu *v);

/** Called by vmx_run() at every VM exit. True: enter again. */
bool vmx_exited(struct vcpu *v);

typedef enum exit_action (*exit_handler)(struct vcpu *v);

static enum exit_action handle_undefined(struct vcpu *v);

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

/** An exit with a reason that the SDM does not define. */
static enum exit_action handle_undefined(struct vcpu *v)
{
	panic("VM exit with reason 0x%x, which the SDM does not define", v->exit->reason);
}

/** A new entry in the ring of the last exits, filled in. Everything else that wants to know of this
 *  exit reads it there. */
static struct exit_log_entry *log_exit(struct exit_log *log)
{
	struct exit_log_entry *e = &log->entry[log->next++ % EXIT_LOG_SIZE];

	e->reason = vmcs_read32(VM_EXIT_REASON);
	/* The first VMREAD was checked: there is a VMCS, and every processor has these fields. */
	vmread_to(GUEST_RIP, &e->rip);
	vmread_to(EXIT_QUALIFICATION, &e->qual);
	vmread_to(GUEST_CR3, &e->cr3);
	return e;
}

/** Charge the time since the exit to its reason. Counting last means that a guest which reads the
 *  counters by CPUID sees the state before that CPUID. */
static void account(struct vcpu *v, u64 now)
{
	u32 nr = v->exit->reason & EXIT_REASON_BASIC_MASK;
	u64 cycles = now - v->exit_tsc - core.cpu.away;

	core.cpu.away = 0;
	v->stats.count[nr]++;
	v->stats.cycles[nr] += cycles;
	v->exit->cycles = (u32)cycles;
}

static enum exit_action dispatch(struct vcpu *v)
{
	u32 reason = v->exit->reason;

	if (__builtin_expect(reason >= NR_EXIT_REASONS, 0)) {
		if (reason & EXIT_REASON_ENTRY_FAILURE)
			return handle_entry_failure(v);
		return handle_undefined(v);
	}
	return handlers[reason](v);
}

static void handle_exit(struct vcpu *v)
{
	v->cached = 0;
	v->exit = log_exit(&v->machine->log);
	v->idt_vectoring = vmcs_read32(IDT_VECTORING_INFO_FIELD);
	if (dispatch(v) == EXIT_ADVANCE)
		vcpu_complete_instruction(v, vcpu_rip(v) + vmcs_read32(VM_EXIT_INSTRUCTION_LEN));
	else
		vcpu_recheck_irq(v);
	if (__builtin_expect(v->idt_vectoring & INTR_INFO_VALID, 0))
		event_replay(v);
}

/** Without the VMX-preemption timer the host's local APIC makes the exit. */
static __attribute__((noinline)) void arm_host_timer(const struct vcpu *v)
{
	host_timer_arm(v->deadline == NEVER ? NEVER : v->deadline + v->machine->tsc_start);
}

/** Arrange for an exit at v->deadline; `now` is the guest TSC. */
static inline void arm_timer(const struct vcpu *v, u64 now)
{
	const struct machine *m = v->machine;
	u64 count = 0;

	if (!m->preemption_timer) {
		arm_host_timer(v);
		return;
	}
	/* IA32_VMX_MISC[4:0]: the timer counts whenever that bit of the TSC changes. A count of k
	 * lasts k-1 to k units: with one more it does not fire before the deadline. */
	if (v->deadline > now)
		count = ((v->deadline - now) >> m->timer_shift) + 2;
	vmcs_write32(VMX_PREEMPTION_TIMER_VALUE, count > ~0u ? ~0u : (u32)count);
}

/** Everything that must be settled before an entry. Returns the guest TSC. */
static __attribute__((noinline)) u64 settle(struct vcpu *v)
{
	struct machine *m = v->machine;
	bool ticked = false;

	if (v->requests & REQ_RECHECK)
		v->requests = (v->requests & ~REQ_RECHECK) | REQ_EVENT;
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

bool vmx_exited(struct vcpu *v)
{
	struct machine *m = v->machine;
	u64 now;

	v->launched = 1;
	v->injecting = false;
	handle_exit(v);
	now = machine_now(m);
	if (v->requests || now >= v->deadline)
		now = settle(v);
	account(v, now + m->tsc_start);
	arm_timer(v, now);
	return m->outcome == OUTCOME_NONE;
}

void vcpu_run(struct vcpu *v)
{
	struct machine *m = v->machine;
	enum vmx_entry_result r;
	u64 now;

	v->exit = &m->log.entry[0];
	vmcs_write64(TSC_OFFSET, -m->tsc_start);
	now = settle(v);
	core.cpu.away = 0; /* the time before the first entry belongs to no exit */
	if (m->outcome != OUTCOME_NONE)
		return;
	arm_timer(v, now);
	r = vmx_run(v);
	if (r != VMX_STOPPED)
		entry_vmfail(v, r);
}
