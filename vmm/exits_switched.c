/* SPDX-License-Identifier: MIT */
/* Exits that come only where the boot line asks for them (exit+=): what the guest would have had of
 * the processor. */
#include "event.h"
#include "guest/dr.h"
#include "insn.h"
#include "machine.h"
#include "msr_index.h"
#include "operand.h"
#include "run.h"
#include "vmcs.h"

/* Exit qualification for MOV DR, table 28-4. */
#define QUAL_DR(q) ((unsigned)(q)&15) /* bit 3: of Bochs 2.7's, for DR8 to DR15 */
#define QUAL_FROM_DR(q) ((q)&BIT(4))
#define QUAL_REG(q) ((unsigned)((q) >> 8) & 15)

#define ARITHMETIC_FLAGS                                                                           \
	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF |           \
	 X86_EFLAGS_OF)

static void load_tsc(struct vcpu *v)
{
	vcpu_set_edx_eax(v, machine_now(v->machine) + v->tsc_adjust);
}

/** With exit+=rdtsc. The value is that which the guest would have read: the machine's TSC with
 *  the offset of the VMCS. CR4.TSD was looked at before the exit. */
enum exit_action handle_rdtsc(struct vcpu *v)
{
	load_tsc(v);
	return EXIT_ADVANCE;
}

/** As RDTSC, and ECX from IA32_TSC_AUX, which is the guest's own: msr_policy.def. */
enum exit_action handle_rdtscp(struct vcpu *v)
{
	load_tsc(v);
	v->gpr[REG_RCX] = (u32)rdmsr(MSR_TSC_AUX);
	return EXIT_ADVANCE;
}

/** With exit+=pause: a hint, and there is no other vcpu to give the processor to. */
enum exit_action handle_pause(struct vcpu *v)
{
	(void)v;
	return EXIT_ADVANCE;
}

/** With exit+=mtf the guest exits after each instruction. What the exit interrupted is all in the
 *  VMCS: a trap that is due, what blocks interrupts. */
enum exit_action handle_monitor_trap(struct vcpu *v)
{
	(void)v;
	return EXIT_RETRY;
}

/** DR0 to DR3 and DR6 stay in the processor, DR7 is in the VMCS. */
static u64 read_dr(unsigned nr)
{
	switch (nr) {
	case 0:
		return read_dr0();
	case 1:
		return read_dr1();
	case 2:
		return read_dr2();
	case 3:
		return read_dr3();
	case 6:
		return read_dr6();
	default:
		return vmcs_readl(GUEST_DR7);
	}
}

static void write_dr(unsigned nr, u64 value)
{
	switch (nr) {
	case 0:
		write_dr0(value);
		break;
	case 1:
		write_dr1(value);
		break;
	case 2:
		write_dr2(value);
		break;
	case 3:
		write_dr3(value);
		break;
	case 6:
		write_dr6(value);
		break;
	default:
		vmcs_writel(GUEST_DR7, value);
	}
}

/** General detect: #DB, with DR7.GD off so that its handler gets at the registers. */
static enum exit_action general_detect(struct vcpu *v)
{
	/* A fault: section 18.3.1.1. */
	vcpu_set_rflags(v, vcpu_rflags(v) | X86_EFLAGS_RF);
	event_debug(v, DR6_BD);
	return EXIT_RETRY;
}

/** With exit+=mov-dr. It exits before any check of the instruction's own, so that all of them are
 *  made here, in their order: #UD for CR4.DE and DR4 or DR5, #GP for the privilege, #DB for
 *  DR7.GD, #GP for the value. DR0 to DR3 and DR6 stay in the processor, DR7 is in the VMCS. */
enum exit_action handle_dr_access(struct vcpu *v)
{
	const u64 qual = vcpu_qual(v);
	struct dr_access a = {
		.nr = QUAL_DR(qual),
		.write = !QUAL_FROM_DR(qual),
		.value = vcpu_reg(v, QUAL_REG(qual)),
		.cr4 = vcpu_cr4(v),
		.dr7 = vmcs_readl(GUEST_DR7),
		.cpl = vcpu_cpl(),
		.long_mode = vcpu_code_bits(v) == 64,
	};

	switch (dr_check(&a)) {
	case DR_UD:
		return event_ud(v);
	case DR_GP:
		return event_gp(v);
	case DR_DB:
		return general_detect(v);
	case DR_OK:
		break;
	}
	if (a.write)
		write_dr(a.nr, a.value);
	else
		vcpu_set_reg(v, QUAL_REG(qual), a.long_mode ? read_dr(a.nr) : (u32)read_dr(a.nr));
	return EXIT_ADVANCE;
}

/** With exit+=rdrand and exit+=rdseed, or hidden by reproducible=1, when they are #UD. The number
 *  is the processor's own. The instruction's bytes say how wide it is: of a width of 16 bits the
 *  VM-exit instruction information of Bochs 2.7 knows nothing. */
enum exit_action handle_random(struct vcpu *v)
{
	bool seed = vcpu_exit_reason(v) == EXIT_REASON_RDSEED, there;
	struct operand o;
	struct insn_0f in;
	u64 value = 0;

	if (v->machine->cpuid.hide_rdrand)
		return event_ud(v);
	operand_init(&o, v);
	if (!operand_insn(&o, &in))
		return operand_failed(&o);
	if (!insn_0f_is_random(&in, seed))
		return operand_changed(&o);
	there = seed ? rdseed(&value) : rdrand(&value);
	vcpu_set_reg(v, in.reg,
		     insn_0f_merge(vcpu_reg(v, in.reg), there ? value : 0, in.operand_bits));
	vcpu_set_rflags(v, (vcpu_rflags(v) & ~(u64)ARITHMETIC_FLAGS) | (there ? X86_EFLAGS_CF : 0));
	return EXIT_ADVANCE;
}
