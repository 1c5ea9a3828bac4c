/* SPDX-License-Identifier: MIT */
/* Entering VMX operation (SDM volume 3, section 24.7 "Enabling and Entering VMX Operation"). */
#include "vmxon.h"

#include "core.h"
#include "insn.h"
#include "msr_index.h"
#include "panic.h"
#include "vmx/feature_bits.h"
#include "x86.h"

#define CPUID_1_ECX_VMX BIT(5)
#define CPUID_1_ECX_RDRAND BIT(30)
#define CPUID_7_EBX_RDSEED BIT(18)
#define VPID_OF(m, index) (1 + (index))

static u64 read_cap(void *ctx, u32 msr)
{
	(void)ctx;
	return rdmsr(msr);
}

/** boot/ has refused what it could see; a virtual machine's firmware may still differ. */
static void unlock(void)
{
	struct cpuid_regs r;
	u64 fc;

	cpuid(1, 0, &r);
	if (!(r.ecx & CPUID_1_ECX_VMX))
		panic("this processor has no VMX");
	fc = rdmsr(MSR_IA32_FEATURE_CONTROL);
	if (!(fc & FEAT_CTL_LOCKED)) {
		klog("IA32_FEATURE_CONTROL was left unlocked by the firmware: VMX enabled, locked");
		fc |= FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
		wrmsr(MSR_IA32_FEATURE_CONTROL, fc);
	}
	if (!(fc & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX))
		panic("VMX is locked off in IA32_FEATURE_CONTROL: enable \"Intel Virtualization "
		      "Technology\" (VT-x) in the firmware setup");
}

u8 *vmx_region(hpa_t *hpa)
{
	u8 *region = heap_need(PAGE_SIZE, hpa, "VMCS");

	/* Section 25.2: bits 30:0 are the revision; bit 31 (shadow VMCS) stays 0. */
	*(u32 *)region = (u32)core.caps.basic & 0x7fffffff;
	return region;
}

void vmx_on(void)
{
	hpa_t hpa;

	unlock();
	vmx_caps_read(&core.caps, core.boot->options.features_off, read_cap, NULL);
	write_cr0((read_cr0() | core.caps.cr0_fixed0) & core.caps.cr0_fixed1);
	write_cr4((read_cr4() | X86_CR4_VMXE | core.caps.cr4_fixed0) & core.caps.cr4_fixed1);
	vmx_region(&hpa);
	if (!vmxon(hpa))
		panic("VMXON failed: is another hypervisor already in VMX operation?");
}

void vmx_off(void)
{
	if (!vmxoff())
		panic("VMXOFF failed");
	write_cr4(read_cr4() & ~X86_CR4_VMXE);
}

static void say_missing(void *ctx, const struct vmx_control *k)
{
	(void)ctx;
	if (k->required)
		klog("missing VMX control: %s", k->name);
}

/** One line for each optional feature that is not there, and what that means. */
static void say_lacking_features(void)
{
	u32 there = vmx_features_of(&core.caps), off = core.boot->options.features_off;

	for (u32 f = 0; f < NR_FEATURES; f++) {
		if (!(there & BIT(f)))
			klog("without %s (%s): %s", feature_name(f),
			     features_with_dependents(off) & BIT(f) ? "switched off"
								    : "not in this processor",
			     feature_without(f));
	}
}

void vmx_say_features(const struct machine *m)
{
	char names[FEATURES_NAMES_MAX], switched[EXIT_SWITCHES_NAMES_MAX];

	/* The features last: what else is known of a run stands before them, where no guest can
	 * have said it (tools/tallyvisor/outcome.py). */
	exit_switches_names(&m->exits, switched);
	if (*switched)
		klog("run %u exits switched:%s", m->run, switched);
	features_names(vmx_features_used(&core.caps, &m->vmx), names);
	klog("run %u features:%s", m->run, names);
}

/** Why Bochs 2.7 cannot deliver virtual interrupts to this machine; NULL: it can. */
static const char *bochs_virtual_delivery_lack(const struct machine *m)
{
	/* It takes any interrupt of the host's, which here is its timer, for the virtual one that
	 * is pending, and delivers that whatever RFLAGS.IF says. */
	if (!(m->vmx.word[WORD_PIN] & PIN_PREEMPTION_TIMER))
		return "without the VMX-preemption timer";
	/* An exit in the middle of the delivery, as of a page fault on the guest's stack, comes
	 * with the IDT-vectoring information of some event before it. */
	if (m->controls.own_tables)
		return "where page faults exit";
	if (m->exits.exceptions_on)
		return "with exit+=exceptions=";
	if (m->vmx.word[WORD_CPU2] & CPU2_PML)
		return "with dirty=1, where a full log exits";
	/* One that is recognized at VM entry does not wake a guest that halted. */
	if (!(m->vmx.word[WORD_CPU1] & CPU1_HLT_EXITING))
		return "where HLT does not exit";
	return NULL;
}

/** Controls that are there but cannot be used without their companions. */
static void drop_useless(const struct machine *m, struct vmx_controls *c)
{
	const u64 flush = VPID_CAP_INVVPID | VPID_CAP_SINGLE | VPID_CAP_ALL;
	struct cpuid_regs r;

	if ((c->word[WORD_CPU2] & CPU2_VPID) &&
	    (!(core.caps.ept_vpid & VPID_CAP_INVVPID) ||
	     !(core.caps.ept_vpid & flush & ~VPID_CAP_INVVPID))) {
		klog("VPID is not used: this processor lacks INVVPID");
		c->word[WORD_CPU2] &= ~(u32)CPU2_VPID;
	}
	cpuid(1, 0, &r);
	if ((c->word[WORD_PIN] & PIN_PREEMPTION_TIMER) && !core.on_bochs &&
	    vmx_preemption_timer_is_broken(r.eax)) {
		klog("the VMX-preemption timer is not used: by an erratum this processor's counts "
		     "at a wrong rate");
		c->word[WORD_PIN] &= ~(u32)PIN_PREEMPTION_TIMER;
	}
	if (core.on_bochs && (c->word[WORD_CPU2] & CPU2_VIRT_INTR_DELIVERY)) {
		const char *lack = bochs_virtual_delivery_lack(m);

		if (lack) {
			klog("virtual-interrupt delivery is not used: Bochs 2.7 cannot do it %s",
			     lack);
			c->word[WORD_CPU2] &= ~(u32)CPU2_VIRT_INTR_DELIVERY;
		}
	}
}

/** With reproducible=1: the exits of the random-number instructions that this processor has. */
static u64 hidden_random(void)
{
	struct cpuid_regs r;
	u64 exits;

	if (!core.boot->options.reproducible)
		return 0;
	cpuid(1, 0, &r);
	exits = r.ecx & CPUID_1_ECX_RDRAND ? CPU2_RDRAND_EXITING : 0;
	return exits | (cpu_leaf7_ebx() & CPUID_7_EBX_RDSEED ? CPU2_RDSEED_EXITING : 0);
}

/** The capability MSRs as they read, less what features-= took away: the bits that may be 1, and
 * below them those that must. */
static void say_capabilities(const struct vmx_caps *c)
{
	klog("VMX capabilities: basic %016llx, misc %016llx, EPT and VPID %016llx",
	     (unsigned long long)c->basic, (unsigned long long)c->misc,
	     (unsigned long long)c->ept_vpid);
	klog("VMX capabilities: pin %08x%08x, primary %08x%08x, secondary %08x%08x, exit %08x%08x, "
	     "entry %08x%08x",
	     c->may1[WORD_PIN], c->must1[WORD_PIN], c->may1[WORD_CPU1], c->must1[WORD_CPU1],
	     c->may1[WORD_CPU2], c->must1[WORD_CPU2], c->may1[WORD_EXIT], c->must1[WORD_EXIT],
	     c->may1[WORD_ENTRY], c->must1[WORD_ENTRY]);
	klog("VMX capabilities: CR0 %llx to %llx, CR4 %llx to %llx",
	     (unsigned long long)c->cr0_fixed0, (unsigned long long)c->cr0_fixed1,
	     (unsigned long long)c->cr4_fixed0, (unsigned long long)c->cr4_fixed1);
}

void vmx_exit_needs(const struct machine *m, struct exit_needs *needs)
{
	*needs = (struct exit_needs){
		.mode = m->paging->ops->name,
		.cpu1 = m->controls.cpu1,
		.exceptions = m->controls.exceptions,
		.hidden_random = hidden_random() != 0,
		.features_off = core.boot->options.features_off,
	};
}

/** Switch what exit+= and exit-= name. boot/ has refused what is not possible; see unlock(). */
static void switch_exits(struct machine *m)
{
	struct exit_needs needs;
	char err[OPT_ERROR_MAX];

	vmx_exit_needs(m, &needs);
	if (!exit_switches_apply(&m->exits, &core.caps, &needs, &m->vmx, err, sizeof(err)))
		panic("%s", err);
}

static void say_controls(const struct vmx_controls *c)
{
	klog("VMX controls: pin %08x, primary %08x, secondary %08x, exit %08x, entry %08x",
	     c->word[WORD_PIN], c->word[WORD_CPU1], c->word[WORD_CPU2], c->word[WORD_EXIT],
	     c->word[WORD_ENTRY]);
}

void vmx_choose_for(struct machine *m)
{
	const u64 random = hidden_random();
	const char *lack = m->controls.eptp ? vmx_ept_missing(&core.caps) : NULL;

	if (core.boot->options.verbose)
		say_capabilities(&core.caps);
	if (!vmx_choose_controls(&core.caps, m->controls.cpu1, m->controls.cpu2,
				 m->controls.cpu2_wanted | random, &m->vmx, say_missing, NULL))
		panic("this processor lacks a VMX control that Tallyvisor requires (named above)");
	switch_exits(m);
	drop_useless(m, &m->vmx);
	if (random & ~(u64)m->vmx.word[WORD_CPU2])
		klog("reproducible=1: this processor lets a guest that does not ask CPUID execute "
		     "RDRAND or RDSEED");
	say_lacking_features();
	if (core.boot->options.verbose)
		say_controls(&m->vmx);
	if (lack)
		panic("this processor's EPT lacks %s", lack);
	if (m->vmx.word[WORD_CPU2] & CPU2_VPID)
		m->flush_linear =
			core.caps.ept_vpid & VPID_CAP_SINGLE ? INVVPID_SINGLE : INVVPID_ALL;
}

void vmx_flush_linear(struct machine *m)
{
	if (!m->flush_linear)
		return; /* then every entry flushes */
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		if (!invvpid(m->flush_linear, VPID_OF(m, i), GVA(0)))
			panic("INVVPID failed");
	}
}

void vmx_flush_address(struct machine *m, gva_t gva)
{
	if (!(m->vmx.word[WORD_CPU2] & CPU2_VPID))
		return;
	if (!(core.caps.ept_vpid & VPID_CAP_INDIVIDUAL)) {
		vmx_flush_linear(m);
		return;
	}
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		if (!invvpid(INVVPID_INDIVIDUAL, VPID_OF(m, i), gva))
			panic("INVVPID failed");
	}
}

void vmx_invalidate(struct machine *m)
{
	u64 cap = core.caps.ept_vpid;

	if (m->controls.eptp &&
	    !invept(cap & EPT_CAP_INVEPT_SINGLE ? INVEPT_SINGLE : INVEPT_ALL, m->controls.eptp))
		panic("INVEPT failed");
	vmx_flush_linear(m);
}
