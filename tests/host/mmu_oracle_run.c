/* SPDX-License-Identifier: MIT */
/*
 * The shadow MMU against the oracle, as long as one likes: `make mmu-oracle OPS=10000000 SEED=1`.
 *
 * Usage: mmu-oracle OPERATIONS SEED [FIRST-WORLD]. Status 1: the MMU is wrong, and why is on
 * stderr.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mmu_oracle.h"
#include "shadow/shadow.h"

static void failed(void *ctx)
{
	(void)ctx;
	exit(1);
}

int main(int argc, char **argv)
{
	struct oracle_config config = {.ops = &shadow_ops, .failed = failed};
	const struct oracle_figures *f;
	struct oracle *o;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: mmu-oracle OPERATIONS SEED [FIRST-WORLD]\n");
		return 2;
	}
	config.seed = strtoull(argv[2], NULL, 0);
	config.first_world = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	o = oracle_new(&config);
	oracle_run(o, strtoull(argv[1], NULL, 0));
	f = oracle_figures(o);
#define FIGURE(name) printf("%-18s %llu\n", #name, (unsigned long long)f->name)
	FIGURE(operations);
	FIGURE(worlds);
	FIGURE(accesses);
	FIGURE(allowed);
	FIGURE(faults);
	FIGURE(mmio);
	FIGURE(lost);
	FIGURE(stale);
	FIGURE(folded);
	FIGURE(undecided);
	FIGURE(fills);
	FIGURE(stores_to_tables);
	FIGURE(emulated_stores);
	FIGURE(invalidations);
	FIGURE(invpcids);
	FIGURE(loads);
	FIGURE(kept);
	FIGURE(mode_changes);
	FIGURE(silent);
	FIGURE(zeros);
	FIGURE(meanwhile);
	FIGURE(leaves);
	printf("%-18s off %llu, 32-bit %llu, PAE %llu, 4-level %llu\n", "accesses by mode",
	       (unsigned long long)f->by_mode[0], (unsigned long long)f->by_mode[1],
	       (unsigned long long)f->by_mode[2], (unsigned long long)f->by_mode[3]);
	oracle_free(o);
	return 0;
}
