/* SPDX-License-Identifier: MIT */
/* The optional VMX features as bits of the capability MSRs. */
#include "feature_bits.h"

static const struct vmx_feature_bits bits[NR_FEATURES] = {
#define FEATURE(id, name, needs, without, ...) [FEATURE_##id] = {__VA_ARGS__},
#include "vmx_features.def"
};

const struct vmx_feature_bits *vmx_feature_bits(enum feature f)
{
	return &bits[f];
}

/** Does the processor insist on one of its controls? */
static bool is_fixed(const struct vmx_caps *c, const struct vmx_feature_bits *b)
{
	for (unsigned w = 0; w < NR_VMX_WORDS; w++) {
		if (c->must1[w] & b->word[w])
			return true;
	}
	return false;
}

void vmx_features_mask(struct vmx_caps *c, u32 off)
{
	off = features_with_dependents(off);
	for (u32 f = 0; f < NR_FEATURES; f++) {
		if (!(off & BIT(f)) || is_fixed(c, &bits[f]))
			continue;
		for (unsigned w = 0; w < NR_VMX_WORDS; w++)
			c->may1[w] &= ~bits[f].word[w];
		c->ept_vpid &= ~bits[f].ept_vpid;
	}
}

u32 vmx_features_of(const struct vmx_caps *c)
{
	/* Whatever may be set: the controls of everything there is. */
	struct vmx_controls all;

	for (unsigned w = 0; w < NR_VMX_WORDS; w++)
		all.word[w] = c->may1[w];
	return vmx_features_used(c, &all);
}

u32 vmx_features_used(const struct vmx_caps *c, const struct vmx_controls *controls)
{
	u64 ept_vpid = controls->word[WORD_CPU2] & CPU2_EPT ? c->ept_vpid : 0;
	u32 set = 0;

	for (u32 f = 0; f < NR_FEATURES; f++) {
		bool all = (ept_vpid & bits[f].ept_vpid) == bits[f].ept_vpid;

		for (unsigned w = 0; w < NR_VMX_WORDS; w++)
			all = all && (controls->word[w] & bits[f].word[w]) == bits[f].word[w];
		if (all)
			set |= (u32)BIT(f);
	}
	return set;
}
