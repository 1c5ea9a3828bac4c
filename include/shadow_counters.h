/* SPDX-License-Identifier: MIT */
/* Numbers and names of the shadow MMU's counters. */
#ifndef TV_SHADOW_COUNTERS_H
#define TV_SHADOW_COUNTERS_H

enum shadow_counter {
#define SHADOW_COUNTER(id, name, meaning) SHADOW_##id,
#include "shadow_counters.def"
#undef SHADOW_COUNTER
	NR_SHADOW_COUNTERS,
};

#endif
