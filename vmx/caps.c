/* SPDX-License-Identifier: MIT */
/* VMX capabilities and the choice of controls. */
#include "caps.h"

#include "feature_bits.h"
#include "msr_index.h"

/*
 * The controls, in the order of the SDM. A control that a paging mode asks for is listed here as
 * wanted, so that it has a name; vmx_choose_controls() makes it required.
 */
static const struct vmx_control controls[] = {
	{WORD_PIN, PIN_EXTERNAL_INTERRUPT, true, "external-interrupt exiting"},
	{WORD_PIN, PIN_NMI_EXITING, true, "NMI exiting"},
	{WORD_PIN, PIN_VIRTUAL_NMIS, true, "virtual NMIs"},
	{WORD_PIN, PIN_PREEMPTION_TIMER, false, "VMX-preemption timer"},

	{WORD_CPU1, CPU1_TSC_OFFSETTING, true, "use TSC offsetting"},
	{WORD_CPU1, CPU1_HLT_EXITING, true, "HLT exiting"},
	{WORD_CPU1, CPU1_INVLPG_EXITING, false, "INVLPG exiting"},
	{WORD_CPU1, CPU1_MWAIT_EXITING, true, "MWAIT exiting"},
	{WORD_CPU1, CPU1_RDPMC_EXITING, true, "RDPMC exiting"},
	{WORD_CPU1, CPU1_CR3_LOAD_EXITING, false, "CR3-load exiting"},
	{WORD_CPU1, CPU1_CR3_STORE_EXITING, false, "CR3-store exiting"},
	{WORD_CPU1, CPU1_CR8_LOAD_EXITING, true, "CR8-load exiting"},
	{WORD_CPU1, CPU1_CR8_STORE_EXITING, true, "CR8-store exiting"},
	{WORD_CPU1, CPU1_TPR_SHADOW, false, "use TPR shadow"},
	{WORD_CPU1, CPU1_IO_BITMAPS, true, "use I/O bitmaps"},
	{WORD_CPU1, CPU1_MSR_BITMAPS, true, "use MSR bitmaps"},
	{WORD_CPU1, CPU1_MONITOR_EXITING, true, "MONITOR exiting"},
	{WORD_CPU1, CPU1_SECONDARY, true, "activate secondary controls"},

	{WORD_CPU2, CPU2_APIC_ACCESSES, false, "virtualize APIC accesses"},
	{WORD_CPU2, CPU2_EPT, false, "enable EPT"},
	{WORD_CPU2, CPU2_RDTSCP, false, "enable RDTSCP"},
	{WORD_CPU2, CPU2_X2APIC_MODE, false, "virtualize x2APIC mode"},
	{WORD_CPU2, CPU2_VPID, false, "enable VPID"},
	{WORD_CPU2, CPU2_WBINVD_EXITING, false, "WBINVD exiting"},
	{WORD_CPU2, CPU2_UNRESTRICTED_GUEST, false, "unrestricted guest"},
	{WORD_CPU2, CPU2_APIC_REGISTER_VIRT, false, "APIC-register virtualization"},
	{WORD_CPU2, CPU2_VIRT_INTR_DELIVERY, false, "virtual-interrupt delivery"},
	{WORD_CPU2, CPU2_INVPCID, false, "enable INVPCID"},
	{WORD_CPU2, CPU2_PML, false, "enable PML"},
	{WORD_CPU2, CPU2_XSAVES, false, "enable XSAVES/XRSTORS"},
	{WORD_CPU2, CPU2_RDRAND_EXITING, false, "RDRAND exiting"},
	{WORD_CPU2, CPU2_RDSEED_EXITING, false, "RDSEED exiting"},

	{WORD_EXIT, EXIT_SAVE_DEBUG_CONTROLS, true, "save debug controls"},
	{WORD_EXIT, EXIT_HOST_ADDR_SPACE_SIZE, true, "host address-space size"},
	{WORD_EXIT, EXIT_ACK_INTERRUPT, true, "acknowledge interrupt on exit"},
	{WORD_EXIT, EXIT_SAVE_PAT, false, "save IA32_PAT"},
	{WORD_EXIT, EXIT_LOAD_PAT, false, "load IA32_PAT (exit)"},
	{WORD_EXIT, EXIT_SAVE_EFER, false, "save IA32_EFER"},
	{WORD_EXIT, EXIT_LOAD_EFER, false, "load IA32_EFER (exit)"},

	{WORD_ENTRY, ENTRY_LOAD_DEBUG_CONTROLS, true, "load debug controls"},
	{WORD_ENTRY, ENTRY_LOAD_PAT, false, "load IA32_PAT (entry)"},
	{WORD_ENTRY, ENTRY_LOAD_EFER, false, "load IA32_EFER (entry)"},
};

#define NR_CONTROLS (sizeof(controls) / sizeof(controls[0]))
#define BASIC_TRUE_CONTROLS BIT(55)

static void read_word(struct vmx_caps *c, enum vmx_word word, u64 v)
{
	c->must1[word] = (u32)v;
	c->may1[word] = (u32)(v >> 32);
}

void vmx_caps_read(struct vmx_caps *c, u32 off, u64 (*rdmsr)(void *ctx, u32 msr), void *ctx)
{
	*c = (struct vmx_caps){.basic = rdmsr(ctx, MSR_IA32_VMX_BASIC)};
	bool t = c->basic & BASIC_TRUE_CONTROLS;

	read_word(c, WORD_PIN,
		  rdmsr(ctx, t ? MSR_IA32_VMX_TRUE_PINBASED_CTLS : MSR_IA32_VMX_PINBASED_CTLS));
	read_word(c, WORD_CPU1,
		  rdmsr(ctx, t ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS : MSR_IA32_VMX_PROCBASED_CTLS));
	read_word(c, WORD_EXIT,
		  rdmsr(ctx, t ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS));
	read_word(c, WORD_ENTRY,
		  rdmsr(ctx, t ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS));
	c->misc = rdmsr(ctx, MSR_IA32_VMX_MISC);
	c->cr0_fixed0 = rdmsr(ctx, MSR_IA32_VMX_CR0_FIXED0);
	c->cr0_fixed1 = rdmsr(ctx, MSR_IA32_VMX_CR0_FIXED1);
	c->cr4_fixed0 = rdmsr(ctx, MSR_IA32_VMX_CR4_FIXED0);
	c->cr4_fixed1 = rdmsr(ctx, MSR_IA32_VMX_CR4_FIXED1);
	if (vmx_caps_has(c, WORD_CPU1, CPU1_SECONDARY))
		read_word(c, WORD_CPU2, rdmsr(ctx, MSR_IA32_VMX_PROCBASED_CTLS2));
	/* Appendix A.10: the MSR exists only where EPT or VPID can be enabled. */
	if (c->may1[WORD_CPU2] & (CPU2_EPT | CPU2_VPID))
		c->ept_vpid = rdmsr(ctx, MSR_IA32_VMX_EPT_VPID_CAP);
	/* What is missing takes along what needs it, too. */
	vmx_features_mask(c, off | ~vmx_features_of(c));
}

/** How this control is asked for in this mode: not at all, wanted, or required. */
enum ask { ASK_NOT, ASK_WANTED, ASK_REQUIRED };

static enum ask ask_for(const struct vmx_control *k, u64 cpu1, u64 cpu2, u64 cpu2_wanted)
{
	/* Not by themselves, but where the paging mode or an option asks. */
	const u64 on_request1 =
		CPU1_INVLPG_EXITING | CPU1_CR3_LOAD_EXITING | CPU1_CR3_STORE_EXITING;
	const u64 on_request2 = CPU2_EPT | CPU2_UNRESTRICTED_GUEST | CPU2_INVPCID | CPU2_PML |
				CPU2_RDRAND_EXITING | CPU2_RDSEED_EXITING;

	if ((k->word == WORD_CPU1 && (cpu1 & k->bit)) || (k->word == WORD_CPU2 && (cpu2 & k->bit)))
		return ASK_REQUIRED;
	if (k->word == WORD_CPU1 && (k->bit & on_request1))
		return ASK_NOT;
	if (k->word == WORD_CPU2 && (k->bit & on_request2) && !(cpu2_wanted & k->bit))
		return ASK_NOT;
	return k->required ? ASK_REQUIRED : ASK_WANTED;
}

/** Controls that replace others, or that the SDM forbids without a companion (volume 3, section
 *  27.2.1.1 "VM-Execution Control Fields"). */
static void resolve(struct vmx_controls *c)
{
	if (c->word[WORD_CPU1] & CPU1_TPR_SHADOW)
		c->word[WORD_CPU1] &= ~(u32)(CPU1_CR8_LOAD_EXITING | CPU1_CR8_STORE_EXITING);
	else
		c->word[WORD_CPU2] &= ~(u32)(CPU2_X2APIC_MODE | CPU2_APIC_REGISTER_VIRT |
					     CPU2_VIRT_INTR_DELIVERY);
}

bool vmx_choose_controls(const struct vmx_caps *c, u64 cpu1, u64 cpu2, u64 cpu2_wanted,
			 struct vmx_controls *out, vmx_missing_fn missing, void *ctx)
{
	bool ok = true;

	*out = (struct vmx_controls){0};
	for (unsigned i = 0; i < NR_CONTROLS; i++) {
		struct vmx_control k = controls[i];
		enum ask ask = ask_for(&k, cpu1, cpu2, cpu2_wanted);

		if (ask == ASK_NOT)
			continue;
		if (vmx_caps_has(c, k.word, k.bit)) {
			out->word[k.word] |= (u32)k.bit;
			continue;
		}
		k.required = ask == ASK_REQUIRED;
		ok = ok && !k.required;
		if (missing)
			missing(ctx, &k);
	}
	resolve(out);
	for (unsigned w = 0; w < NR_VMX_WORDS; w++)
		out->word[w] |= c->must1[w];
	return ok;
}

bool vmx_preemption_timer_is_broken(u32 signature)
{
	/* Nehalem, Lynnfield, Westmere and Nehalem-EX, and a stepping of Ivy Bridge. */
	static const u32 broken[] = {0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x106e5,
				     0x206e6, 0x20652, 0x20655, 0x306a8};
	const u32 no_type = 0x0fff3fff; /* without the processor type and the reserved bits */

	for (unsigned i = 0; i < ARRAY_SIZE(broken); i++) {
		if ((signature & no_type) == broken[i])
			return true;
	}
	return false;
}

const char *vmx_ept_missing(const struct vmx_caps *c)
{
	if (!(c->ept_vpid & EPT_CAP_PAGE_WALK_4))
		return "EPT page walks of length 4";
	if (!(c->ept_vpid & EPT_CAP_WB))
		return "write-back EPT paging structures";
	if (!(c->ept_vpid & EPT_CAP_INVEPT) ||
	    !(c->ept_vpid & (EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL)))
		return "INVEPT";
	return NULL;
}
