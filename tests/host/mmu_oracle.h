/* SPDX-License-Identifier: MIT */
/*
 * The architectural oracle for an MMU with page tables of its own (include/paging_ops.h): a small
 * machine whose guest builds page tables, changes them and accesses memory at random, and three
 * answers to each access that must agree:
 *
 *  (a) a fresh walk of the guest's tables by the SDM's rules;
 *  (b) the MMU under test, its tables walked by a software processor with a TLB and
 *      paging-structure caches that keep what a processor may keep;
 *  (c) the fresh walk's guest-physical address through EPT tables.
 *
 * Where (b) differs, it may still be right: translations may be stale until the guest invalidates
 * them as the architecture demands. judge.c decides that from a log of all that was modified.
 *
 * docs/testing.md has a guide; oracle/oracle.h the parts.
 */
#ifndef TV_MMU_ORACLE_H
#define TV_MMU_ORACLE_H

#include "paging_ops.h"

struct oracle;

struct oracle_config {
	const struct paging_ops *ops; /* the MMU under test */
	u64 seed;
	u64 first_world; /* worlds are independent: one that failed can be tried by itself */
	unsigned operations_per_world; /* 0: a usual number */
	/** Told once that the MMU is wrong, after everything about it was printed on stderr. Does
	 *  not return. */
	void (*failed)(void *ctx);
	void *ctx;
};

/** What happened, so that a test can see that enough did. */
struct oracle_figures {
	u64 operations, worlds, accesses;
	u64 allowed, faults, mmio, lost; /* outcomes of accesses */
	u64 stale;			 /* ... of them those that only stale entries explain */
	u64 folded;			 /* ... and those that only folding explains */
	u64 undecided;			 /* ... and those with too many compositions to try */
	u64 fills;			 /* page faults that were the MMU's own */
	u64 stores_to_tables, emulated_stores, invalidations, invpcids, mode_changes;
	u64 loads, kept; /* of them those with bit 63 set */
	u64 zeros;	 /* shadow entries that make such faults, one by one */
	u64 silent;	 /* faults that the processor delivered to the guest by itself */
	u64 meanwhile;	 /* stores by another vcpu while the MMU worked */
	u64 leaves;	 /* shadow leaves looked at, one by one */
	u64 by_mode[4];	 /* accesses in each enum arch_mode */
};

struct oracle *oracle_new(const struct oracle_config *config);

/** Do `nr` operations, in as many worlds as that takes. */
void oracle_run(struct oracle *o, u64 nr);

/** One world, from `seed`, with operations chosen by a fuzzer's bytes, until they are used up. */
void oracle_feed(struct oracle *o, u64 seed, const u8 *bytes, size_t nr);

const struct oracle_figures *oracle_figures(const struct oracle *o);

void oracle_free(struct oracle *o);

#endif
