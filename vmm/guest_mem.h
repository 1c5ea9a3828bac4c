/* SPDX-License-Identifier: MIT */
/*
 * Writing guest memory in the guest's name, once it runs: what an emulated instruction does. Where
 * the processor walks page tables of the hypervisor's, they hear of it, for what was written may be
 * a page table of the guest's.
 */
#ifndef TV_GUEST_MEM_H
#define TV_GUEST_MEM_H

#include "guest/walk.h"

struct machine;

/** gmem_write(). */
bool machine_phys_write(struct machine *m, gpa_t gpa, const void *src, u64 len);

/** Clear, then set bits of the byte of memory at `gpa`, each atomically. */
void machine_phys_modify(struct machine *m, gpa_t gpa, u8 clear, u8 set);

/** guest_span_write(). */
void machine_span_write(struct machine *m, const struct walk_span *span, const void *src);

/** Write at most a page: guest_virt_span(), for WALK_WRITE and `access`, and then all of it. */
enum walk_status machine_virt_write(struct machine *m, const struct walk_regs *r, gva_t gva,
				    const void *src, u64 len, u32 access, struct walk_result *out,
				    gva_t *fault_gva);

#endif
