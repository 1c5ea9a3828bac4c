/* SPDX-License-Identifier: MIT */
/*
 * The hand-off from the UEFI application (boot/) to the core (vmm/): one structure, passed by
 * host-physical address in RDI. boot/ lives under the firmware's identity map, so every pointer
 * in here is a host-physical address.
 */
#ifndef TV_BOOT_INFO_H
#define TV_BOOT_INFO_H

#include "options.h"
#include "types.h"

#define BOOT_INFO_MAGIC 0x726f736976796c54ull /* "Tlyvisor" */
#define BOOT_INFO_VERSION 2
#define BOOT_MAX_MEM 512
#define BOOT_MAX_GUEST_CHUNKS 8
#define BOOT_MAX_MODULES (OPT_MODULES_MAX + 1) /* initrd= is one, too */

/** Where the core is linked, and where boot/ maps it (4 KiB pages, per-segment permissions). */
#define CORE_BASE 0xffffffff80000000ull

/** The core's own view of all physical memory: hpa + DIRECT_MAP_BASE, NX. Made by vmm/. */
#define DIRECT_MAP_BASE 0xffff800000000000ull

struct boot_blob {
	u64 hpa;
	u64 size; /* bytes; 0: absent */
};

/** A module for a Multiboot kernel. */
struct boot_module {
	struct boot_blob file;
	struct option_module name;
};

/**
 * Kinds of memory that the core treats differently.
 *
 * BOOT_MEM_FREE still holds what the processor uses at the core's first instruction: the firmware's
 * GDT, IDT and the lower levels of its page tables. Nothing of it may be overwritten before the
 * core has its own. Holes between the entries are not described: nobody named them.
 */
enum boot_mem_kind {
	BOOT_MEM_FREE,	/* conventional, loader and boot-services memory */
	BOOT_MEM_CORE,	/* the core's segments, its heap, boot_info, the kernel and initrd blobs */
	BOOT_MEM_GUEST, /* guest memory */
	BOOT_MEM_RUNTIME, /* UEFI runtime code, data, and MMIO they use (efi_type 5, 6, 11): stays
			   * identity-mapped for ResetSystem. Merged only with its own efi_type */
	BOOT_MEM_ACPI,	  /* ACPI reclaim and NVS */
	BOOT_MEM_MMIO,	  /* memory-mapped I/O named by the firmware */
	BOOT_MEM_RESERVED,
};

struct boot_mem {
	u64 hpa;
	u64 size;     /* bytes */
	u32 kind;     /* enum boot_mem_kind */
	u32 efi_type; /* EFI_MEMORY_TYPE; of a merged run: of one of its pieces */
};

/** Linear framebuffer of the Graphics Output Protocol; width 0: none. */
struct boot_framebuffer {
	u64 hpa;
	u64 size;
	u32 width, height, pitch_pixels, format; /* EFI_GRAPHICS_PIXEL_FORMAT */
};

/**
 * At the core's entry point: RDI = hpa of this structure; CPL 0, 64-bit mode, 4-level paging, the
 * core mapped at CORE_BASE segment by segment and all memory one to one; RFLAGS.IF and DF clear,
 * EFER.NXE and CR0.WP set; RSP at the top of 16 KiB of BOOT_MEM_CORE memory, one to one.
 */
struct boot_info {
	u64 magic;
	u32 version;
	u32 size; /* sizeof(struct boot_info): both sides must agree */
	struct options options;
	struct boot_blob core;	 /* loaded image of the core, contiguous: CORE_BASE maps here */
	struct boot_blob heap;	 /* page pool of the core, contiguous, page-aligned, zeroed */
	struct boot_blob kernel; /* the guest's kernel file, pristine */
	struct boot_blob initrd; /* Linux's; a Multiboot kernel has modules instead */
	struct boot_module module[BOOT_MAX_MODULES];
	u32 nr_modules;
	struct boot_blob guest[BOOT_MAX_GUEST_CHUNKS]; /* guest memory, 2 MiB-aligned, sum = mem */
	u32 nr_guest;
	u32 nr_mem;
	struct boot_mem mem[BOOT_MAX_MEM]; /* the final memory map, sorted by address, merged */
	u32 modes_lacking;    /* a set of enum paging_mode: asked for by paging=compare, and beyond
			       * this processor */
	u64 runtime_services; /* EFI_RUNTIME_SERVICES *, physical */
	u64 reset_system;     /* its ResetSystem function, physical */
	u64 rsdp;	      /* host ACPI RSDP or 0 */
	struct boot_framebuffer fb;
	char firmware[64]; /* vendor and revision, for the log */
};

#endif
