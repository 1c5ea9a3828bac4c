/* SPDX-License-Identifier: MIT */
/* Accesses to control registers (SDM volume 3, table 28-3). What a write means is guest/cr.c's. */
#include "core.h"
#include "cr.h"
#include "event.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "vmx_features.h"
#include "vmxon.h"

/* Exit qualification for control-register accesses, table 28-3. */
#define QUAL_CR(q) ((q)&15)
#define QUAL_TYPE(q) ((q) >> 4 & 3)
#define QUAL_REG(q) ((q) >> 8 & 15)
#define QUAL_LMSW_SOURCE(q) ((q) >> 16 & 0xffff)

enum { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

static enum exit_action stop_real_mode(struct vcpu *v)
{
	u32 off = features_with_dependents(core.boot->options.features_off);
	const char *which;

	if (v->machine->controls.own_tables &&
	    vmx_caps_has(&core.caps, WORD_CPU2, CPU2_EPT | CPU2_UNRESTRICTED_GUEST))
		which = "needs EPT: write paging=ept";
	else if (off & FEATURE_BIT(UNRESTRICTED_GUEST))
		which = "features-= switched off: leave that out";
	else
		which = "this processor does not have: use a newer one";
	return stop_unsupported(v,
				"it switched protected mode off (CR0.PE=0), and real mode needs "
				"\"unrestricted guest\", which %s",
				which);
}

typedef bool (*cr_write_fn)(struct control_regs *r, u64 value, const struct cr_limits *l,
			    u32 *effects);

static enum exit_action write_cr(struct vcpu *v, cr_write_fn write, u64 value)
{
	struct control_regs r;
	struct cr_limits limits;
	u32 effects;

	vcpu_control_regs(v, &r);
	vcpu_cr_limits(v, &limits);
	if (!write(&r, value, &limits, &effects))
		return event_gp(v);
	if (!vmx_can_run(&v->machine->cr_policy, &r))
		return stop_real_mode(v);
	if ((effects & CR_LOAD_PDPTES) && !vcpu_load_pdptes(v, r.cr3))
		return event_gp(v);
	vcpu_load_control_regs(v, &r);
	/* Section 29.4.3.3: with a VPID, an emulated write flushes nothing by itself. On page
	 * tables of the hypervisor's, loading has. */
	if ((effects & (CR_FLUSH | CR_FLUSH_GLOBAL)) && !v->machine->controls.own_tables)
		vmx_flush_linear(v->machine);
	return EXIT_ADVANCE;
}

/** On page tables of the hypervisor's every MOV to CR3 is an exit. It needs nothing that is in the
 *  VMCS: what else decides about it is the host's. */
static enum exit_action write_own_cr3(struct vcpu *v, u64 value)
{
	const struct cr_limits limits = {.maxphyaddr = v->walk.maxphyaddr};
	u64 old = v->shadow.cr3;
	u32 effects;

	v->log.last->cr3 = old; /* for people: exit_log.h */
	/* In place: on the way of every switch of address spaces, a copy is felt. */
	if (!cr3_write(&v->shadow, value, &limits, &effects))
		return event_gp(v);
	if ((effects & CR_LOAD_PDPTES) && !vcpu_load_pdptes(v, v->shadow.cr3)) {
		v->shadow.cr3 = old;
		return event_gp(v);
	}
	vcpu_load_cr3(v, !(effects & CR_FLUSH));
	return EXIT_ADVANCE;
}

static enum exit_action set_cr8(struct vcpu *v, u64 value)
{
	if (value >> 4)
		return event_gp(v);
	lapic_set_cr8(&v->machine->pc.lapic[v->index], value);
	v->requests |= REQ_EVENT;
	return EXIT_ADVANCE;
}

static enum exit_action mov_to_cr(struct vcpu *v, unsigned cr, u64 value)
{
	switch (cr) {
	case 0:
		return write_cr(v, cr0_write, value);
	case 3:
		return v->machine->controls.own_tables ? write_own_cr3(v, value)
						       : write_cr(v, cr3_write, value);
	case 4:
		return write_cr(v, cr4_write, value);
	case 8:
		return set_cr8(v, value);
	default:
		return stop_unsupported(v, "exit for MOV to CR%u, which nobody asked for", cr);
	}
}

static enum exit_action mov_from_cr(struct vcpu *v, unsigned cr, unsigned reg)
{
	switch (cr) {
	case 3: {
		u64 value = vcpu_cr3(v);

		/* Above 4 GiB, and read in compatibility mode. */
		if (value >> 32 && vcpu_code_bits(v) != 64)
			value = (u32)value;
		vcpu_set_reg(v, reg, value);
		return EXIT_ADVANCE;
	}
	case 8:
		vcpu_set_reg(v, reg, lapic_get_cr8(&v->machine->pc.lapic[v->index]));
		return EXIT_ADVANCE;
	default:
		return stop_unsupported(v, "exit for MOV from CR%u, which nobody asked for", cr);
	}
}

/** MOV to and from control registers, CLTS and LMSW. CR0 and CR4 exit where the write changes a
 *  bit that the guest/host mask keeps from the guest; CR3 on page tables of the hypervisor's, CR8
 *  without a TPR shadow. The qualification (table 28-3) has the register, the direction and the
 *  general register. Faults of the SDM's come as #GP, and a mode that this processor cannot run a
 *  guest in ends it by name. */
enum exit_action handle_cr_access(struct vcpu *v)
{
	u64 qual = vcpu_qual(v);
	unsigned cr = QUAL_CR(qual), reg = QUAL_REG(qual);

	v->stats.cr_accesses[qual % NR_CR_ACCESSES]++;
	switch (QUAL_TYPE(qual)) {
	case CR_MOV_TO: {
		u64 value = vcpu_reg(v, reg);

		if (value >> 32 && vcpu_code_bits(v) != 64)
			value = (u32)value;
		return mov_to_cr(v, cr, value);
	}
	case CR_MOV_FROM:
		return mov_from_cr(v, cr, reg);
	case CR_CLTS:
		return write_cr(v, cr0_write, vcpu_cr0(v) & ~X86_CR0_TS);
	default: /* LMSW writes bits 3:0 and cannot clear PE */
		return write_cr(v, cr0_write,
				(vcpu_cr0(v) & ~0xeull) | (QUAL_LMSW_SOURCE(qual) & 15));
	}
}
