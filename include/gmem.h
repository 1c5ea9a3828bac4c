/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory as a short list of slots. Everything that reads or writes
 * guest memory goes through here, so that a guest-physical address is checked once,
 * in one place, and never reaches beyond what was given to the guest.
 */
#ifndef TV_GMEM_H
#define TV_GMEM_H

#include "types.h"

#define GMEM_MAX_SLOTS 16

/** A run of guest memory that is contiguous in guest-physical and host-physical space. */
struct gmem_slot {
	gpa_t gpa; /* first guest-physical address, page-aligned */
	u64 size;  /* bytes, a multiple of the page size */
	hpa_t hpa; /* where the memory is (meaningless on a test host) */
	u8 *hva;   /* where this program sees it */
};

struct gmem {
	unsigned nr;
	struct gmem_slot slot[GMEM_MAX_SLOTS];
	struct gmem_slot device; /* a device's memory: as good as RAM to a program, but it is in no
				  * memory map, and nothing is loaded there. Size 0: none */
};

/** Add a slot. Returns false where it overlaps another, is misaligned, or the list is full. */
bool gmem_add(struct gmem *gm, gpa_t gpa, u64 size, hpa_t hpa, void *hva);

/** Set the device's memory; false as for gmem_add(). */
bool gmem_set_device(struct gmem *gm, gpa_t gpa, u64 size, hpa_t hpa, void *hva);

/** The slot that holds `gpa`, the device's included, or NULL: not memory. */
const struct gmem_slot *gmem_slot(const struct gmem *gm, gpa_t gpa);

/** A pointer to `len` bytes at `gpa` that lie within one slot, or NULL. */
void *gmem_ptr(const struct gmem *gm, gpa_t gpa, u64 len);

/** Copy out of or into guest memory, across slots. False (and nothing promised about a partial
 *  copy) where any byte is not RAM. */
bool gmem_read(const struct gmem *gm, gpa_t gpa, void *dst, u64 len);
bool gmem_write(const struct gmem *gm, gpa_t gpa, const void *src, u64 len);
bool gmem_set(const struct gmem *gm, gpa_t gpa, u8 byte, u64 len);

/** Sum of all slots of RAM, bytes. */
u64 gmem_size(const struct gmem *gm);

#endif
