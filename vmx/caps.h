/* SPDX-License-Identifier: MIT */
/*
 * What VMX a processor has (SDM volume 3, appendix A "VMX Capability Reporting Facility"), and
 * which VMX controls Tallyvisor uses: two lists, required and wanted. Pure: boot/ refuses with it
 * while the firmware can still return, vmm/ sets up the VMCS with it, tests run it on the host.
 */
#ifndef TV_VMX_CAPS_H
#define TV_VMX_CAPS_H

#include "types.h"
#include "vmx.h"

/** The control words of the VMCS. */
enum vmx_word { WORD_PIN, WORD_CPU1, WORD_CPU2, WORD_EXIT, WORD_ENTRY, NR_VMX_WORDS };

struct vmx_caps {
	u64 basic; /* IA32_VMX_BASIC */
	u64 misc;  /* IA32_VMX_MISC */
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u64 ept_vpid;		 /* IA32_VMX_EPT_VPID_CAP; 0 where the MSR does not exist */
	u32 must1[NR_VMX_WORDS]; /* bits that must be 1 */
	u32 may1[NR_VMX_WORDS];	 /* bits that may be 1 */
};

/**
 * Read the capability MSRs through `rdmsr`; only those that exist on this processor.
 *
 * @off  a set of features (include/vmx_features.h) that the processor shall be said not to have.
 * This is the one place where they are taken away. One that it insists on is still there
 * afterwards, see vmx_features_of().
 */
void vmx_caps_read(struct vmx_caps *c, u32 off, u64 (*rdmsr)(void *ctx, u32 msr), void *ctx);

static inline bool vmx_caps_has(const struct vmx_caps *c, enum vmx_word word, u64 bits)
{
	return (c->may1[word] & bits) == bits;
}

/** One control that Tallyvisor asks for. */
struct vmx_control {
	enum vmx_word word;
	u64 bit;
	bool required;	  /* else it is part of a feature: include/vmx_features.def */
	const char *name; /* the SDM's name */
};

/** The chosen control words. */
struct vmx_controls {
	u32 word[NR_VMX_WORDS];
};

/** Hears of each control that is asked for and not there. */
typedef void (*vmx_missing_fn)(void *ctx, const struct vmx_control *control);

/**
 * Choose the control words: every required control, every wanted one that exists, and what the
 * processor insists on.
 *
 * @cpu1, @cpu2   controls that the paging mode requires in the processor-based words
 * @cpu2_wanted   secondary controls that it, or an option, would like
 * @missing       called for each control that is missing, required or wanted; may be NULL
 * Returns false where a required one is missing.
 */
bool vmx_choose_controls(const struct vmx_caps *c, u64 cpu1, u64 cpu2, u64 cpu2_wanted,
			 struct vmx_controls *out, vmx_missing_fn missing, void *ctx);

/** Does the VMX-preemption timer of the processor with this signature (EAX of CPUID leaf 1) count
 * at a wrong rate, by Intel's specification updates (errata AAJ124, AAK139, AAM126, AAN92, AAO95,
 * AAP86, AAT59, AAU65, AAX65, BA86)? */
bool vmx_preemption_timer_is_broken(u32 signature);

/** What an EPT needs of the capability MSR, by name; NULL: all there. */
const char *vmx_ept_missing(const struct vmx_caps *c);

#endif
