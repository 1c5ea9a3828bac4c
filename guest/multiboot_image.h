/* SPDX-License-Identifier: MIT */
/*
 * What is inside a Multiboot kernel file, and where its pieces go in guest memory: shared by the
 * file that checks (multiboot_plan.c) and the one that loads (multiboot.c).
 *
 * Guest-physical memory at the kernel's first instruction:
 *
 *   where the file says    the kernel, outside of what the e820 map reserves
 *   above it, and 1 MiB    the modules, each at the first free page
 *   0x9000                 multiboot information and all it points to, GDT included; the first free
 *                          page from there on where the kernel is in the way
 */
#ifndef TV_MULTIBOOT_IMAGE_H
#define TV_MULTIBOOT_IMAGE_H

#include "guest/multiboot.h"
#include "guest/pc.h"

#define MULTIBOOT_INFO_FROM 0x9000u

/** What the kernel reads as its boot loader's name, and the size of the GDT. */
#define MULTIBOOT_LOADER_NAME "Tallyvisor"
#define MULTIBOOT_GDT_BYTES 24

/** At most so many entries of the e820 map are handed on. */
#define MULTIBOOT_E820_MAX 32

/** Section 3.3 "Boot information format". */
struct multiboot_info {
	u32 flags;
	u32 mem_lower, mem_upper; /* KiB from 0 and from 1 MiB on */
	u32 boot_device;
	u32 cmdline;
	u32 mods_count, mods_addr;
	u32 syms[4];
	u32 mmap_length, mmap_addr;
	u32 drives_length, drives_addr;
	u32 config_table;
	u32 boot_loader_name;
	u32 apm_table;
	u8 video[44]; /* VBE and framebuffer: none */
};
_Static_assert(sizeof(struct multiboot_info) == 116, "");

struct multiboot_mod {
	u32 start, end, cmdline, reserved;
};

/** An entry of the memory map; `size` does not count itself. */
struct multiboot_mmap {
	u32 size;
	struct e820_entry e820;
} __attribute__((packed));
_Static_assert(sizeof(struct multiboot_mmap) == 24, "");

/** A part of the kernel in memory: `filesz` bytes of the file, and zeroes up to `memsz`. */
struct multiboot_segment {
	u64 gpa, offset, filesz, memsz;
};

/** Bytes from `start` up to `end`, guest-physical. */
struct multiboot_span {
	u64 start, end;
};

/** Where the pieces of one kernel go. */
struct multiboot_plan {
	bool elf;
	u32 phoff;		       /* ELF: program headers in the file ... */
	unsigned nr;		       /* ... and their number */
	struct multiboot_segment only; /* else the one segment */
	u32 entry;
	struct multiboot_span kernel; /* from its first byte to its last, gaps included */
	u64 module[MULTIBOOT_MODULES_MAX];
	u64 info, info_bytes;
};

/** The kernel's segment number `i`, i < plan->nr; nothing to load where memsz is 0. */
struct multiboot_segment multiboot_segment(const struct multiboot_plan *plan, const u8 *kernel,
					   unsigned i);

/** Check the kernel file and find places for modules and information. False, with a sentence in
 *  `err`. */
bool multiboot_plan(struct multiboot_plan *plan, const struct gmem *gm,
		    const struct multiboot_image *img, char *err);

#endif
