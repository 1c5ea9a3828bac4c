/* SPDX-License-Identifier: MIT */
/* RDMSR and WRMSR: the policy is guest/msr.c's; what the VMCS holds is done here. */
#include "apicv.h"
#include "console.h"
#include "cr.h"
#include "event.h"
#include "insn.h"
#include "machine.h"
#include "msr_index.h"
#include "paging.h"
#include "run.h"
#include "vmcs.h"

/** The MSRs that the guest keeps in the processor while the host runs. They exit with
 * exit+=msr=all; that this guest has them, msr_read() or msr_write() has said. */
static bool is_live(u32 msr)
{
	return (msr >= MSR_STAR && msr <= MSR_SYSCALL_MASK) || msr == MSR_KERNEL_GS_BASE ||
	       msr == MSR_TSC_AUX;
}

/** Those that exit with it, too, and for which the VMCS has a field; 0: none. */
static u32 field_of(u32 msr)
{
	switch (msr) {
	case MSR_IA32_SYSENTER_ESP:
		return GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:
		return GUEST_SYSENTER_EIP;
	case MSR_FS_BASE:
		return GUEST_FS_BASE;
	case MSR_GS_BASE:
		return GUEST_GS_BASE;
	default:
		return 0;
	}
}

static bool read_vmcs_msr(struct vcpu *v, u32 msr, u64 *value)
{
	u32 field = field_of(msr);

	if (field || is_live(msr)) {
		*value = field ? vmcs_readl(field) : rdmsr(msr);
		return true;
	}
	switch (msr) {
	case MSR_IA32_SYSENTER_CS:
		*value = vmcs_read32(GUEST_SYSENTER_CS);
		return true;
	case MSR_EFER:
		*value = v->shadow.efer;
		return true;
	case MSR_IA32_CR_PAT:
		*value = v->machine->controls.own_tables ? v->pat : vmcs_read64(GUEST_IA32_PAT);
		return true;
	case MSR_IA32_DEBUGCTLMSR:
		*value = vmcs_read64(GUEST_IA32_DEBUGCTL);
		return true;
	case MSR_IA32_TSC:
		*value = machine_now(v->machine) + v->tsc_adjust;
		return true;
	}
	return false;
}

static bool write_efer(struct vcpu *v, u64 value)
{
	struct cr_limits limits;
	struct control_regs r;

	vcpu_control_regs(v, &r);
	vcpu_cr_limits(v, &limits);
	if (!efer_write(&r, value, &limits))
		return false;
	vcpu_load_control_regs(v, &r);
	return true;
}

/** SDM volume 3, table 12-10: each byte of the PAT is one of six memory types. */
static bool pat_valid(u64 pat)
{
	for (unsigned i = 0; i < 8; i++) {
		u8 type = pat >> (8 * i) & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/** The guest's PAT or MTRRs are new. */
static void memtypes_changed(struct vcpu *v)
{
	struct paging *p = v->machine->paging;

	if (p->ops->memtypes)
		p->ops->memtypes(p, v->pat);
}

static bool write_pat(struct vcpu *v, u64 value)
{
	if (!pat_valid(value))
		return false;
	if (!v->machine->controls.own_tables) {
		vmcs_write64(GUEST_IA32_PAT, value);
	} else if (value != v->pat) {
		v->pat = value;
		memtypes_changed(v);
	}
	return true;
}

/** The local APIC knows guest time only; the guest means its own TSC, which it may have moved. */
static u64 deadline_to_guest_time(const struct vcpu *v, u64 deadline)
{
	u64 now = machine_now(v->machine), tsc = now + v->tsc_adjust;

	if (deadline <= tsc)
		return 1; /* past: fires at once */
	return now + MIN(deadline - tsc, NEVER - 1 - now);
}

/** The guest's TSC moves; guest time, by which the devices run, does not. A TSC deadline is a value
 * of the TSC that moved. */
static void write_tsc(struct vcpu *v, u32 msr, u64 value)
{
	struct lapic *apic = &v->machine->pc.lapic[v->index];
	u64 now = machine_now(v->machine) + v->tsc_adjust, deadline = 0;

	if (lapic_msr_read(apic, MSR_IA32_TSC_DEADLINE, &deadline) && deadline)
		deadline += v->tsc_adjust;
	v->tsc_adjust += msr_tsc_write(&v->msr, msr, value, now);
	vmcs_write64(TSC_OFFSET, v->tsc_adjust - v->machine->tsc_start);
	if (deadline)
		lapic_msr_write(apic, MSR_IA32_TSC_DEADLINE, deadline_to_guest_time(v, deadline));
}

/** A value that the processor takes, or #GP: addresses are canonical, and two have 32 bits. */
static bool passed_value_valid(u32 msr, u64 value)
{
	switch (msr) {
	case MSR_STAR:
		return true;
	case MSR_SYSCALL_MASK:
	case MSR_TSC_AUX:
		return !(value >> 32);
	default:
		return is_canonical(value);
	}
}

static bool write_vmcs_msr(struct vcpu *v, u32 msr, u64 value)
{
	u32 field = field_of(msr);

	if (field || is_live(msr)) {
		if (!passed_value_valid(msr, value))
			return false;
		if (field)
			vmcs_writel(field, value);
		else
			wrmsr(msr, value);
		return true;
	}
	switch (msr) {
	case MSR_IA32_SYSENTER_CS:
		vmcs_write32(GUEST_SYSENTER_CS, (u32)value);
		return true;
	case MSR_EFER:
		return write_efer(v, value);
	case MSR_IA32_CR_PAT:
		return write_pat(v, value);
	case MSR_IA32_DEBUGCTLMSR:
		/* Branch records and BTS are hidden: only single-stepping on branches is left. */
		if (value & ~DEBUGCTL_BTF)
			return false;
		vmcs_write64(GUEST_IA32_DEBUGCTL, value);
		return true;
	case MSR_IA32_TSC:
	case MSR_IA32_TSC_ADJUST:
		write_tsc(v, msr, value);
		return true;
	}
	return false;
}

static enum exit_action refuse(struct vcpu *v, const char *insn, u32 msr)
{
	if (msr_note_unknown(&v->msr, &v->machine->cpuid, msr))
		klog("%s of MSR 0x%x, which the guest does not have: #GP (said once)", insn, msr);
	return event_gp(v);
}

/** An MSR whose bit in the read bitmap is 1, or one outside both of its ranges. guest/msr.c
 *  decides: read it, invent it, or #GP, which is said once for each MSR. ECX has the index. */
enum exit_action handle_rdmsr(struct vcpu *v)
{
	u32 msr = (u32)v->gpr[REG_RCX];
	struct lapic *apic = &v->machine->pc.lapic[v->index];
	u64 value = 0;

	exit_detail_tally(&v->detail, TALLY_RDMSR, msr);
	switch (msr_read(&v->msr, &v->machine->cpuid, apic, msr, &value)) {
	case MSR_OK:
		break;
	case MSR_VMCS:
		if (read_vmcs_msr(v, msr, &value))
			break;
		return refuse(v, "RDMSR", msr);
	case MSR_GP:
		return refuse(v, "RDMSR", msr);
	}
	if (msr == MSR_IA32_TSC_DEADLINE && value)
		value += v->tsc_adjust;
	vcpu_set_edx_eax(v, value);
	return EXIT_ADVANCE;
}

/** The same for writes. What would load an address checks that it is canonical first. */
enum exit_action handle_wrmsr(struct vcpu *v)
{
	u32 msr = (u32)v->gpr[REG_RCX];
	struct lapic *apic = &v->machine->pc.lapic[v->index];
	u64 apic_page = lapic_base(apic);
	u32 mtrr_changes = v->msr.mtrr_changes;
	u64 value = vcpu_edx_eax(v);

	exit_detail_tally(&v->detail, TALLY_WRMSR, msr);
	if (msr == MSR_IA32_TSC_DEADLINE && value)
		value = deadline_to_guest_time(v, value);
	switch (msr_write(&v->msr, &v->machine->cpuid, apic, msr, value)) {
	case MSR_OK:
		break;
	case MSR_VMCS:
		if (write_vmcs_msr(v, msr, value))
			break;
		return refuse(v, "WRMSR", msr);
	case MSR_GP:
		return refuse(v, "WRMSR", msr);
	}
	if (v->msr.mtrr_changes != mtrr_changes)
		memtypes_changed(v);
	if (msr == MSR_IA32_APIC_BASE) {
		apicv_mode_changed(v);
		if (!paging_follow_apic(v, GPA(apic_page)))
			return stop_unsupported(v,
						"no memory is left to move its local APIC's page");
	}
	if (msr == MSR_IA32_MISC_ENABLE)
		cpuid_misc_enable(&v->machine->cpuid, value);
	v->requests |= REQ_EVENT | REQ_DEADLINE;
	return EXIT_ADVANCE;
}
