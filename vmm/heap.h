/* SPDX-License-Identifier: MIT */
/*
 * The page pool: physically contiguous memory that boot/ set aside. Pages are handed out in order
 * and taken back all at once to a mark, because what the core allocates lives as long as the
 * machine it is for.
 */
#ifndef TV_HEAP_H
#define TV_HEAP_H

#include "types.h"

struct heap {
	hpa_t base;
	u64 pages, used;
};

/** The pool is [base, base+size). */
void heap_init(hpa_t base, u64 size);

/** `pages` contiguous zeroed pages, or NULL; `hpa` (may be NULL) gets their address. */
void *heap_alloc(u64 pages, hpa_t *hpa);

/** `bytes`, in zeroed pages, that the core cannot go on without: panics, naming `what`. */
void *heap_need(u64 bytes, hpa_t *hpa, const char *what);

/** Take back everything allocated after `mark` was read from heap_mark(). */
u64 heap_mark(void);
void heap_release(u64 mark);

#endif
