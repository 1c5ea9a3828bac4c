/* SPDX-License-Identifier: MIT */
/*
 * What the processor must have, as far as it can be asked without VMX instructions: here the
 * firmware can still show the answer.
 */
#include "boot/boot.h"

#include "boot/io.h"
#include "lib/fmt.h"
#include "msr_index.h"
#include "vmx/feature_bits.h"
#include "vmx/switch_exits.h"
#include "x86.h"

#define CPUID_1_ECX_VMX BIT(5)
#define CPUID_80000001_EDX_NX BIT(20)

/** Controls that a paging mode cannot do without. */
static const struct {
	u64 cpu1, cpu2;
	u32 exceptions;
} mode_requires[PAGING_MODES] = {
	[PAGING_EPT] = {.cpu2 = CPU2_EPT},
	[PAGING_SHADOW] = {.cpu1 = CPU1_CR3_LOAD_EXITING | CPU1_CR3_STORE_EXITING |
				   CPU1_INVLPG_EXITING,
			   .exceptions = (u32)BIT(PF_VECTOR)},
};

/** Names of what is missing, as a list. */
struct missing {
	char names[160];
	int length;
	bool ept; /* EPT is among it */
};

static bool has_nx(void)
{
	return cpuid(0x80000000).eax >= 0x80000001 && cpuid(0x80000001).edx & CPUID_80000001_EDX_NX;
}

static u64 read_capability(void *ctx, u32 msr)
{
	(void)ctx;
	return rdmsr(msr);
}

static void add_name(struct missing *m, const char *name)
{
	if (m->length < (int)sizeof(m->names))
		m->length +=
			fmt_snprintf(m->names + m->length, sizeof(m->names) - (size_t)m->length,
				     "%s%s", m->length ? ", " : "", name);
}

static void note_missing(void *ctx, const struct vmx_control *control)
{
	if (control->required)
		add_name(ctx, control->name);
}

/** What is there of EPT may be too little. */
static void check_ept(const struct vmx_caps *caps, struct missing *missing)
{
	bool there = vmx_caps_has(caps, WORD_CPU2, CPU2_EPT);
	const char *lack = vmx_ept_missing(caps);

	missing->ept = !there || lack;
	if (there && lack)
		add_name(missing, lack);
}

/** What `mode` requires and the processor lacks. True: nothing. */
static bool check_mode(const struct vmx_caps *caps, u32 mode, struct missing *missing)
{
	struct vmx_controls chosen;

	*missing = (struct missing){.length = 0};
	vmx_choose_controls(caps, mode_requires[mode].cpu1, mode_requires[mode].cpu2, 0, &chosen,
			    note_missing, missing);
	if (mode_requires[mode].cpu2 & CPU2_EPT)
		check_ept(caps, missing);
	return !missing->length;
}

/** The modes that paging= asks for. Of two to be compared one will do: the core says what it leaves
 *  out. */
static EFI_STATUS check_modes(struct boot *b, const struct vmx_caps *caps)
{
	u32 modes[PAGING_COMPARED], off = b->info->options.features_off, last = 0;
	unsigned nr = paging_modes(b->info->options.paging, modes), lacking = 0;
	struct missing missing = {.length = 0};

	for (unsigned i = 0; i < nr; i++) {
		if (check_mode(caps, modes[i], &missing))
			continue;
		last = modes[i];
		b->info->modes_lacking |= (u32)BIT(last);
		lacking++;
	}
	if (lacking < nr)
		return EFI_SUCCESS;
	return refuse(b, EFI_UNSUPPORTED,
		      "the VMX of this CPU lacks what paging=%s requires (%s%s): %suse a newer "
		      "CPU, or if this is a virtual machine, a richer CPU model",
		      paging_name(last), missing.names,
		      missing.ept && off & FEATURE_BIT(EPT) ? ", for features-= takes it away" : "",
		      missing.ept ? "write paging=shadow, " : "");
}

/** exit+= and exit-=, in each mode that will run. */
static EFI_STATUS check_exits(struct boot *b, const struct vmx_caps *caps)
{
	const struct options *o = &b->info->options;
	u32 modes[PAGING_COMPARED];
	unsigned nr = paging_modes(o->paging, modes);

	for (unsigned i = 0; i < nr; i++) {
		const struct exit_needs needs = {
			.mode = paging_name(modes[i]),
			.cpu1 = mode_requires[modes[i]].cpu1,
			.exceptions = mode_requires[modes[i]].exceptions,
			.hidden_random = o->reproducible,
			.features_off = o->features_off,
		};
		struct vmx_controls chosen;
		char err[OPT_ERROR_MAX];

		if (b->info->modes_lacking & BIT(modes[i]))
			continue;
		vmx_choose_controls(caps, needs.cpu1, mode_requires[modes[i]].cpu2, 0, &chosen,
				    NULL, NULL);
		if (!exit_switches_apply(&o->exits, caps, &needs, &chosen, err, sizeof(err)))
			return refuse(b, EFI_UNSUPPORTED, "%s", err);
	}
	return EFI_SUCCESS;
}

static EFI_STATUS check_vmx_controls(struct boot *b)
{
	u32 off = b->info->options.features_off, stuck;
	char names[FEATURES_NAMES_MAX];
	struct vmx_caps caps;
	EFI_STATUS status;

	vmx_caps_read(&caps, off, read_capability, NULL);
	stuck = vmx_features_of(&caps) & off;
	if (stuck) {
		features_names(stuck, names);
		return refuse(b, EFI_UNSUPPORTED,
			      "features-= is not possible for%s: this CPU insists on it", names);
	}
	if (b->info->options.dirty && !(vmx_features_of(&caps) & FEATURE_BIT(EPT_AD)))
		return refuse(
			b, EFI_UNSUPPORTED,
			"dirty=1 is not possible: this CPU lacks accessed and dirty flags for "
			"EPT (%s)%s",
			feature_name(FEATURE_EPT_AD),
			off & FEATURE_BIT(EPT_AD) ? ", for features-= takes them away" : "");
	status = check_modes(b, &caps);
	return EFI_ERROR(status) ? status : check_exits(b, &caps);
}

EFI_STATUS check_cpu(struct boot *b)
{
	u64 feature_control;

	if (!(cpuid(1).ecx & CPUID_1_ECX_VMX))
		return refuse(b, EFI_UNSUPPORTED,
			      "this CPU has no VMX, or the hypervisor it runs under hides it: use "
			      "an Intel "
			      "CPU with VT-x, or switch nested virtualization on");
	feature_control = rdmsr(MSR_IA32_FEATURE_CONTROL);
	if (feature_control & FEAT_CTL_LOCKED &&
	    !(feature_control & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX))
		return refuse(
			b, EFI_UNSUPPORTED,
			"VMX is locked off in IA32_FEATURE_CONTROL (0x%lx): switch on \"Intel "
			"Virtualization Technology\" (VT-x) in the BIOS setup, then power off and "
			"on",
			feature_control);
	if (!has_nx())
		return refuse(b, EFI_UNSUPPORTED,
			      "this CPU has no execute-disable bit (NX): switch on \"Execute "
			      "Disable Bit\" in "
			      "the BIOS setup");
	if (read_cr4() & X86_CR4_LA57)
		return refuse(b, EFI_UNSUPPORTED,
			      "the firmware runs with 5-level paging (CR4.LA57): switch \"5-level "
			      "paging\" "
			      "(LA57) off in the BIOS setup");
	return check_vmx_controls(b);
}
