/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic on memory maps, with no firmware in it: which memory the guest gets, and what the core
 * is told about all the rest.
 */
#ifndef TV_BOOT_MEMMAP_H
#define TV_BOOT_MEMMAP_H

#include "boot_info.h"
#include "types.h"

/** EFI_MEMORY_TYPE and EFI_MEMORY_RUNTIME, as the UEFI specification numbers them (section 7.2
 *  "Memory Allocation Services"). */
enum efi_memory {
	EFI_MEMORY_RESERVED = 0,
	EFI_MEMORY_LOADER_CODE = 1,
	EFI_MEMORY_LOADER_DATA = 2,
	EFI_MEMORY_BOOT_CODE = 3,
	EFI_MEMORY_BOOT_DATA = 4,
	EFI_MEMORY_RUNTIME_CODE = 5,
	EFI_MEMORY_RUNTIME_DATA = 6,
	EFI_MEMORY_CONVENTIONAL = 7,
	EFI_MEMORY_ACPI_RECLAIM = 9,
	EFI_MEMORY_ACPI_NVS = 10,
	EFI_MEMORY_MMIO = 11,
	EFI_MEMORY_MMIO_PORTS = 12,
};
#define EFI_MEMORY_ATTRIBUTE_RUNTIME BIT(63)

/** A run of physical memory that boot/ allocated, and what the core shall know it as. */
struct owned {
	u64 hpa;
	u64 size; /* bytes, whole pages; 0: given back */
	enum boot_mem_kind kind;
};

/** A run of free memory. */
struct free_range {
	u64 hpa;
	u64 size; /* bytes */
};

#define GUEST_CHUNK_ALIGN MIB(2)
#define MEMMAP_MAX_FREE 512

/** How much of free[] could become guest memory: whole 2 MiB units above 1 MiB. Bytes. */
u64 memmap_usable(const struct free_range *free, unsigned nr);

/**
 * Choose guest memory: at most BOOT_MAX_GUEST_CHUNKS chunks, 2 MiB-aligned, the largest first; and
 * of chunks of 1 GiB and more the part that begins at a multiple of 1 GiB, where that still leaves
 * enough, so that 1 GiB pages can map it.
 *
 * @free  free memory: at most MEMMAP_MAX_FREE disjoint ranges, in any order
 * @want  bytes, a multiple of 2 MiB
 * Returns the number of chunks, or 0 where there is too little.
 */
unsigned memmap_pick_guest(const struct free_range *free, unsigned nr, u64 want,
			   struct boot_blob chunk[BOOT_MAX_GUEST_CHUNKS]);

/**
 * Add one descriptor of the firmware's map to info->mem[], which stays sorted and merged. The parts
 * that are in owned[] get the kind noted there. False where mem[] is full.
 */
bool memmap_add(struct boot_info *info, const struct owned *owned, unsigned nr_owned, u64 hpa,
		u64 size, u32 efi_type, u64 attribute);

#endif
