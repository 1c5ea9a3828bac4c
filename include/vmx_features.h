/* SPDX-License-Identifier: MIT */
/*
 * Names and sets of the optional VMX features (include/vmx_features.def). What a feature is in
 * terms of the processor's capabilities is in vmx/feature_bits.h.
 */
#ifndef TV_VMX_FEATURES_H
#define TV_VMX_FEATURES_H

#include "types.h"

enum feature {
#define FEATURE(id, name, needs, without, ...) FEATURE_##id,
#include "vmx_features.def"
	NR_FEATURES
};

/** A set of features is a word with a bit for each. */
#define FEATURE_BIT(id) ((u32)BIT(FEATURE_##id))

_Static_assert(NR_FEATURES <= 32, "a set of features is a u32");

/** The name for the boot line, and what is lost without it. */
const char *feature_name(enum feature f);
const char *feature_without(enum feature f);

/** `set`, and all features that need one of it. */
u32 features_with_dependents(u32 set);

/**
 * Add the features named by `list`, separated by commas, to `set`.
 * False: one of them is none, or cannot be done without; `err` (`size` bytes) holds a sentence that
 * names it and says why.
 */
bool features_parse(u32 *set, const char *list, char *err, size_t size);

/** The names of a set, each behind a blank, into `out`; cut short where they do not fit. */
#define FEATURES_NAMES_MAX 320
void features_names(u32 set, char out[FEATURES_NAMES_MAX]);

#endif
