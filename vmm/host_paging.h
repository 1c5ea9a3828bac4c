/* SPDX-License-Identifier: MIT */
/*
 * The host's own address space (4-level paging):
 *
 *   0 ...                       identity map of the UEFI runtime regions only, for ResetSystem;
 *                               page 0 is never mapped
 *   DIRECT_MAP_BASE + hpa       memory, read-write, never executable; devices uncacheable
 *   CORE_BASE ...               the core's segments, W^X, with guard pages between the stacks
 */
#ifndef TV_HOST_PAGING_H
#define TV_HOST_PAGING_H

#include "types.h"

/** Build the tables from the memory map and switch to them. Stops with a panic where the pool is
 *  too small. */
void host_paging_init(void);

/** Map device registers into the direct map, uncacheable, and return the pointer. */
volatile void *mmio_map(hpa_t hpa, u64 size);

/** The same for a framebuffer: writes may be combined, where the processor can. */
volatile void *mmio_map_write_combining(hpa_t hpa, u64 size);

#endif
