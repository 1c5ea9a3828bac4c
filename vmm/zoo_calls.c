/* SPDX-License-Identifier: MIT */
/* The calls of the exit zoo, and what is around each exit of a run with zoo=1. */
#include "zoo_calls.h"

#include "core.h"
#include "event.h"
#include "host_timer.h"
#include "insn.h"
#include "machine.h"
#include "msr_index.h"
#include "run.h"
#include "switches.h"
#include "vmcs.h"
#include "vmx/zoo_rules.h"

/* entry.asm */
extern void vmx_zoo_exit(void);

#define CALL_MASK (~0xffull)

void zoo_init(struct vcpu *v)
{
	if (!core.boot->options.zoo)
		return;
	v->zoo = heap_need(sizeof(*v->zoo), NULL, "exit zoo");
	v->zoo->table = heap_need(PAGE_SIZE, &v->zoo->table_hpa, "exit zoo");
	v->zoo->ordered = v->zoo->in_force = ZOO_NOTHING;
	vmcs_writel(HOST_RIP, (u64)vmx_zoo_exit);
}

bool zoo_ordered(const struct vcpu *v, enum zoo_event event)
{
	return v->zoo && v->zoo->in_force == event;
}

/** An argument: outside 64-bit mode, the upper halves of registers are undefined. */
static u64 argument(const struct vcpu *v, unsigned reg)
{
	u64 value = v->gpr[reg];

	return vcpu_code_bits(v) == 64 ? value : (u32)value;
}

static enum zoo_answer hello(struct vcpu *v)
{
	v->gpr[REG_RBX] = v->machine->cpuid.paging;
	v->gpr[REG_RCX] = core.caps.ept_vpid;
	return ZOO_DONE;
}

static enum zoo_answer tell_controls(struct vcpu *v)
{
	static const u32 fields[NR_VMX_WORDS] = {
		[WORD_PIN] = PIN_BASED_VM_EXEC_CONTROL,	 [WORD_CPU1] = CPU_BASED_VM_EXEC_CONTROL,
		[WORD_CPU2] = SECONDARY_VM_EXEC_CONTROL, [WORD_EXIT] = VM_EXIT_CONTROLS,
		[WORD_ENTRY] = VM_ENTRY_CONTROLS,
	};
	u64 word = argument(v, REG_RBX);

	if (word >= NR_VMX_WORDS)
		return ZOO_BAD_ARGUMENT;
	v->gpr[REG_RBX] = vmcs_read32(fields[word]);
	v->gpr[REG_RCX] = core.caps.may1[word];
	return ZOO_DONE;
}

static enum zoo_answer be_quiet(struct vcpu *v)
{
	u64 quiet = argument(v, REG_RBX);

	if (quiet > 1)
		return ZOO_BAD_ARGUMENT;
	v->zoo->quiet_until = quiet ? machine_now(v->machine) + ZOO_QUIET_TICKS : 0;
	v->requests |= REQ_DEADLINE; /* of what was put off */
	return ZOO_DONE;
}

/** What has waited for an entry until now, or will see none. */
static void cancel(struct vcpu *v)
{
	struct zoo *z = v->zoo;

	if (z->ordered != ZOO_NOTHING)
		zoo_event_cancel(v, z->ordered);
	z->ordered = ZOO_NOTHING;
}

static enum zoo_answer arm(struct vcpu *v)
{
	struct machine *m = v->machine;
	const struct zoo_facts facts = {
		.caps = &core.caps,
		.controls = &m->vmx,
		.own_tables = m->controls.own_tables,
		.eptp = m->controls.eptp,
		.xss = cpu_xss(),
		.rflags = vcpu_rflags(v),
		.on_bochs = core.on_bochs,
	};
	u64 event = argument(v, REG_RBX);
	gpa_t page = GPA(argument(v, REG_RCX) & PAGE_MASK);
	enum zoo_answer answer = zoo_event_possible(event, &facts);

	if (answer != ZOO_DONE)
		return answer;
	if (zoo_event_has_page((enum zoo_event)event) && !gmem_slot(&m->pc.mem, page))
		return ZOO_BAD_ARGUMENT;
	cancel(v);
	v->zoo->page = page;
	if (!zoo_event_prepare(v, (enum zoo_event)event))
		return ZOO_REFUSED;
	v->zoo->ordered = (enum zoo_event)event;
	return ZOO_DONE;
}

static enum zoo_answer switch_exits(struct vcpu *v)
{
	u64 x = argument(v, REG_RBX), on = argument(v, REG_RCX);

	if (x >= NR_EXIT_SWITCHES)
		return ZOO_UNKNOWN;
	return on > 1 ? ZOO_BAD_ARGUMENT : vcpu_switch_exit(v, (enum exit_switch)x, on);
}

static bool possible_rip(const struct vcpu *v, u64 rip)
{
	return vcpu_code_bits(v) == 64 ? is_canonical(rip) : rip <= UINT32_MAX;
}

static enum zoo_answer arm_resume(struct vcpu *v)
{
	u64 rip = argument(v, REG_RBX);

	if (!possible_rip(v, rip))
		return ZOO_BAD_ARGUMENT;
	v->zoo->resumes = true;
	v->zoo->resume_rip = rip;
	v->zoo->resume_rsp = argument(v, REG_RCX);
	return ZOO_DONE;
}

static enum zoo_answer carry_out(struct vcpu *v, u64 call)
{
	switch (call) {
	case ZOO_HELLO:
		return hello(v);
	case ZOO_CONTROLS:
		return tell_controls(v);
	case ZOO_QUIET:
		return be_quiet(v);
	case ZOO_ARM:
		return arm(v);
	case ZOO_SWITCH:
		return switch_exits(v);
	case ZOO_RESUME:
		return arm_resume(v);
	default:
		return ZOO_UNKNOWN;
	}
}

bool zoo_call(struct vcpu *v)
{
	u64 call = argument(v, REG_RAX);

	if (!v->zoo || (call & CALL_MASK) != ZOO_CALL)
		return false;
	v->gpr[REG_RAX] = carry_out(v, call);
	return true;
}

/** The shutdown state is not saved: what the VMCS holds is the state before the event that could
 * not be delivered (SDM volume 3, section 28.1 "Architectural State before a VM Exit"). Whatever
 *  was due on the boundary before it is gone with it. */
bool zoo_resume(struct vcpu *v)
{
	struct zoo *z = v->zoo;

	/* Its mode may not be that of the call any more. */
	if (!z || !z->resumes || !possible_rip(v, z->resume_rip))
		return false;
	z->resumes = false;
	vcpu_event_is_delivered(v);
	vmcs_writel(GUEST_RIP, z->resume_rip);
	vcpu_set_reg(v, REG_RSP, z->resume_rsp);
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO,
		     vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_NMI);
	vmcs_write32(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	return true;
}

/** Nothing of the exit information but reason and qualification is of this exit, and an event that
 * was to be injected is there still (SDM volume 3, section 27.8 "VM-Entry Failures During or After
 * Loading Guest State"). */
void zoo_entry_failed(struct vcpu *v)
{
	vcpu_event_is_delivered(v);
	if (vmcs_read32(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID)
		v->done |= INJECTING;
}

/** Put off what the hypervisor would interrupt the guest for. */
static void keep_quiet(struct vcpu *v)
{
	struct zoo *z = v->zoo;
	u64 now = machine_now(v->machine);

	if (now >= z->quiet_until) {
		z->quiet_until = 0;
		return;
	}
	v->deadline = v->machine->tsc_start + z->quiet_until;
	if (v->timer_shift == NO_PREEMPTION_TIMER) {
		host_timer_arm(v->deadline);
		/* Its interrupt may be pending already: run.c had armed it for something soon. */
		sti_nop_cli();
	} else {
		vmcs_write32(VMX_PREEMPTION_TIMER_VALUE,
			     (u32)((z->quiet_until - now) >> v->timer_shift) + 2);
	}
}

bool zoo_exited(struct vcpu *v)
{
	struct zoo *z = v->zoo;
	bool again;

	if (z->in_force != ZOO_NOTHING)
		zoo_event_end(v, z->in_force);
	again = vmx_exited(v);
	z->in_force = ZOO_NOTHING;
	if (!again) {
		cancel(v);
		return false;
	}
	if (z->quiet_until)
		keep_quiet(v);
	if (z->ordered != ZOO_NOTHING && zoo_event_begin(v, z->ordered)) {
		z->in_force = z->ordered;
		z->ordered = ZOO_NOTHING;
	}
	return true;
}
