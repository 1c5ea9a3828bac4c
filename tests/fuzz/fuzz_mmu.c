/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the shadow MMU: the architectural oracle (tests/host/mmu_oracle.h) with the
 * guest's choices from the input.
 *
 * Input: 4 bytes from which a machine and its first page tables follow, then choices, one to four
 * bytes each, until they are used up.
 */
#include <string.h>

#include "shadow/shadow.h"
#include "tests/host/mmu_oracle.h"

#define HEAD 4

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct oracle *o;
	u32 seed;

	if (size <= HEAD)
		return 0;
	if (!o)
		o = oracle_new(&(struct oracle_config){.ops = &shadow_ops});
	memcpy(&seed, data, HEAD);
	oracle_feed(o, seed, data + HEAD, size - HEAD);
	return 0;
}
