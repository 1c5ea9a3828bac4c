/* SPDX-License-Identifier: MIT */
/*
 * The optional VMX features as bits of the capability MSRs (SDM volume 3, appendix A "VMX
 * Capability Reporting Facility"): taking them away, and telling which there are.
 */
#ifndef TV_VMX_FEATURE_BITS_H
#define TV_VMX_FEATURE_BITS_H

#include "caps.h"
#include "vmx_features.h"

/** What makes up a feature: control bits, and bits of IA32_VMX_EPT_VPID_CAP. All or none are there.
 */
struct vmx_feature_bits {
	u32 word[NR_VMX_WORDS];
	u64 ept_vpid;
};

const struct vmx_feature_bits *vmx_feature_bits(enum feature f);

/** Take the features of `off`, and what needs them, out of `c`. One with a control that the
 * processor insists on stays: see vmx_features_of(). */
void vmx_features_mask(struct vmx_caps *c, u32 off);

/** The features that `c` has. */
u32 vmx_features_of(const struct vmx_caps *c);

/** Those that are made use of with these control words. */
u32 vmx_features_used(const struct vmx_caps *c, const struct vmx_controls *controls);

#endif
