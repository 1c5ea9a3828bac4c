/* SPDX-License-Identifier: MIT */
/*
 * The UEFI application: its state, and the steps that main.c goes through. Each step returns an EFI
 * status; where it fails it has put one sentence into b->why, and what it allocated is noted in
 * b->owned[], so that main.c can give everything back.
 */
#ifndef TV_BOOT_BOOT_H
#define TV_BOOT_BOOT_H

#include <efi.h>

#include "boot/core_elf.h"
#include "boot/memmap.h"
#include "boot_info.h"
#include "types.h"

#define BOOT_MAX_OWNED 32
#define BOOT_WHY_MAX 448
#define BOOT_STACK_SIZE KIB(16)

struct boot {
	EFI_HANDLE image;
	EFI_SYSTEM_TABLE *st;
	EFI_BOOT_SERVICES *bs;
	EFI_LOADED_IMAGE *self;
	EFI_FILE *root; /* of the volume we were started from */
	bool serial;	/* write to COM1 as well: no console of the firmware does */

	struct boot_info *info; /* what the core will receive, in pages of BOOT_MEM_CORE */
	struct core_elf core;
	u64 stack_top; /* for the core's first instructions */
	u64 *pml4;     /* hand-off page tables: PML4 ... */
	u64 pdpt;      /* ... and what its entry for CORE_BASE points to, hpa */
	u8 *map;       /* buffer for the final memory map */
	UINTN map_bytes;

	struct owned owned[BOOT_MAX_OWNED];
	unsigned nr_owned;
	char why[BOOT_WHY_MAX]; /* why the last step refused: one sentence, no full stop */
};

/* console.c */
void console_init(struct boot *b);
void say(struct boot *b, const char *f, ...) __attribute__((format(printf, 2, 3)));
/** Put the sentence into b->why and return `status`. */
EFI_STATUS refuse(struct boot *b, EFI_STATUS status, const char *f, ...)
	__attribute__((format(printf, 3, 4)));

/* memory.c */

/** The firmware's current memory map. */
struct firmware_map {
	u8 *bytes;
	UINTN size, stride, key;
};

/** Where a descriptor of the map is; NULL behind the last one. */
const EFI_MEMORY_DESCRIPTOR *map_entry(const struct firmware_map *m, UINTN i);

/** Allocate whole pages, aligned (a power of two), for good or until release_all(). Not zeroed.
 *  0 where there is no such block; b->why is not touched. */
u64 own_pages(struct boot *b, u64 bytes, u64 align, enum boot_mem_kind kind);
void release(struct boot *b, u64 hpa);
void release_all(struct boot *b);

/** Size guest memory (b->info->options.mem_mib becomes the true size). */
EFI_STATUS choose_guest_size(struct boot *b);
/** Allocate the core's heap and guest memory. */
EFI_STATUS allocate_guest(struct boot *b);
/** Allocate the buffer for the last look at the memory map. */
EFI_STATUS allocate_map(struct boot *b);
/** Fill info->mem[] from a map. False where it has more pieces than info can hold. */
bool describe_memory(struct boot *b, const struct firmware_map *m);

/* files.c */
EFI_STATUS open_volume(struct boot *b);
/** Read a whole file into pages of its own. `remedy` ends the sentence where there is none. */
EFI_STATUS read_file(struct boot *b, const char *path, const char *remedy, struct boot_blob *out);

/* settings.c */
EFI_STATUS get_options(struct boot *b);

/* payload.c */
EFI_STATUS allocate_info(struct boot *b);
EFI_STATUS load_core(struct boot *b);
EFI_STATUS read_guest_files(struct boot *b);
EFI_STATUS check_kernel(struct boot *b);

/* firmware.c */
EFI_STATUS describe_firmware(struct boot *b);

/* cpu.c */
EFI_STATUS check_cpu(struct boot *b);

/* handoff.c */
EFI_STATUS build_page_tables(struct boot *b);
/** End the firmware's boot services and enter the core. Returns only where that failed. */
EFI_STATUS leave_firmware(struct boot *b);

#endif
