/* SPDX-License-Identifier: MIT */
/* Switching optional causes of exits while the guest runs. */
#include "switches.h"

#include "apicv.h"
#include "bitmaps.h"
#include "core.h"
#include "machine.h"
#include "vmcs.h"
#include "vmxon.h"

/** What the control words hold beside the machine's: windows that are asked for at present, and
 *  CR3's exits where the guest does not keep it. */
static u32 present_cpu1(const struct vcpu *v)
{
	u32 bits = v->cpu1 & (u32)(CPU1_INTERRUPT_WINDOW | CPU1_NMI_WINDOW);

	if (!v->keeps_cr3)
		bits |= CPU1_CR3_LOAD_EXITING | CPU1_CR3_STORE_EXITING;
	return bits;
}

/** Tell the processor what m->vmx and m->exits say. */
static void put_in_force(struct vcpu *v, enum exit_switch x)
{
	const struct machine *m = v->machine;
	const u32 cpu1 = m->vmx.word[WORD_CPU1] | present_cpu1(v);
	const bool on = m->exits.on & BIT(x);

	vcpu_set_cpu1(v, ~cpu1, false);
	vcpu_set_cpu1(v, cpu1, true);
	if (x == EXIT_SWITCH_MSR)
		bitmaps_fill_msr(v);
	if (x == EXIT_SWITCH_XSAVES && (m->vmx.word[WORD_CPU2] & CPU2_XSAVES))
		vmcs_write64(XSS_EXIT_BITMAP, on ? ~0ull : 0);
	/* The secondary controls, and the MSRs of the local APIC. */
	apicv_mode_changed(v);
}

enum zoo_answer vcpu_switch_exit(struct vcpu *v, enum exit_switch x, bool on)
{
	struct machine *m = v->machine;
	struct exit_needs needs;

	vmx_exit_needs(m, &needs);
	/* vmxon.c: bochs_virtual_delivery_lack() */
	if (core.on_bochs && x == EXIT_SWITCH_HLT && !on &&
	    (m->vmx.word[WORD_CPU2] & CPU2_VIRT_INTR_DELIVERY))
		return ZOO_NO_EMULATOR;
	switch (exit_switch_change(x, on, &core.caps, &needs, &m->vmx)) {
	case SWITCH_LACKING:
		return ZOO_NO_CPU;
	case SWITCH_NEEDED:
		return ZOO_REFUSED;
	case SWITCH_CHANGED:
		break;
	}
	m->exits.on &= ~(u32)BIT(x);
	m->exits.off &= ~(u32)BIT(x);
	*(on ? &m->exits.on : &m->exits.off) |= (u32)BIT(x);
	put_in_force(v, x);
	return ZOO_DONE;
}
