/* SPDX-License-Identifier: MIT */
/*
 * What is inside a bzImage, and where its pieces go in guest memory: shared by the files that
 * check a kernel (linux_plan.c), load it (linux.c) and build its tables (linux_tables.c).
 *
 * Guest-physical memory at the kernel's first instruction:
 *
 *   0x00000000  page 0: left alone (the BIOS data area, zero unless the firmware tables fill it)
 *   0x00010000  boot_params, "the zero page"       one page
 *   0x00011000  GDT                                one page
 *   0x00012000  PML4                               one page (page tables for a 64-bit entry only)
 *   0x00013000  page-directory-pointer table       one page, 4 entries used
 *   0x00014000  page directories                   four pages: 4 GiB in 2 MiB pages
 *   0x00018000  stack, growing down from 0x19000   one page
 *   0x00019000  command line                       up to 0x20000
 *   0x00020000  free
 *   0x000a0000  what a PC has below 1 MiB: video memory, firmware tables
 *   0x00100000  free
 *   pref_address (16 MiB as a rule)                kernel, init_size bytes
 *               free
 *               initrd                             as high as initrd_addr_max and RAM below
 *                                                  4 GiB allow, page-aligned
 *
 * Everything below 0x20000 belongs to the kernel again as soon as it has its own tables: the e820
 * map calls it RAM.
 */
#ifndef TV_LINUX_IMAGE_H
#define TV_LINUX_IMAGE_H

#include "gmem.h"
#include "types.h"

#define LINUX_BOOT_PARAMS 0x10000u
#define LINUX_GDT 0x11000u
#define LINUX_PML4 0x12000u
#define LINUX_PDPT 0x13000u
#define LINUX_PD 0x14000u
#define LINUX_STACK 0x18000u
#define LINUX_CMDLINE 0x19000u
#define LINUX_LOW_END 0x20000u

/** Selectors that both boot protocols demand. */
#define LINUX_BOOT_CS 0x10u
#define LINUX_BOOT_DS 0x18u
#define LINUX_GDT_BYTES (LINUX_BOOT_DS + 8)

/** boot.rst, "The Real-Mode Kernel Header". */
struct linux_setup_header {
	u8 setup_sects;
	u16 root_flags;
	u32 syssize; /* protected-mode code, in units of 16 bytes */
	u16 ram_size, vid_mode, root_dev;
	u16 boot_flag; /* 0xaa55 */
	u16 jump;      /* its second byte tells where the header ends */
	u32 header;    /* "HdrS" */
	u16 version;
	u32 realmode_swtch;
	u16 start_sys_seg, kernel_version;
	u8 type_of_loader, loadflags;
	u16 setup_move_size;
	u32 code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
	u16 heap_end_ptr;
	u8 ext_loader_ver, ext_loader_type;
	u32 cmd_line_ptr, initrd_addr_max, kernel_alignment;
	u8 relocatable_kernel, min_alignment;
	u16 xloadflags;
	u32 cmdline_size, hardware_subarch;
	u64 hardware_subarch_data;
	u32 payload_offset, payload_length;
	u64 setup_data, pref_address;
	u32 init_size, handover_offset;
} __attribute__((packed));

#define LINUX_HEADER_OFFSET 0x1f1u /* in the file and in boot_params */
_Static_assert(LINUX_HEADER_OFFSET + offsetof(struct linux_setup_header, header) == 0x202, "");
_Static_assert(LINUX_HEADER_OFFSET + offsetof(struct linux_setup_header, init_size) == 0x260, "");

/** Where the pieces of one kernel go. */
struct linux_plan {
	struct linux_setup_header hdr; /* pristine copy */
	u64 header_bytes; /* from LINUX_HEADER_OFFSET on: what belongs into boot_params */
	u64 code_offset;  /* in the file: the protected-mode kernel */
	u64 code_bytes;
	u64 load;      /* guest-physical */
	u64 run_bytes; /* memory the kernel uses from `load` on until it has read the e820 map */
	u64 initrd;    /* guest-physical; 0: none */
	u64 cmdline_bytes; /* without the terminating zero */
	bool wide;	   /* by the 64-bit boot protocol */
};

/**
 * Check the kernel file and find places for kernel and initrd.
 *
 * @gm   the RAM; NULL: not yet known, `load` and `initrd` stay 0
 * @err  LINUX_ERROR_MAX bytes; on failure one sentence that names the fault and the remedy
 */
bool linux_plan(struct linux_plan *plan, const struct gmem *gm, const u8 *kernel, u64 size,
		u64 initrd_size, const char *cmdline, char *err);

/** Write GDT (with __BOOT_CS for 64-bit code, or for 32-bit code) and identity page tables to their
 *  places. False: not RAM. */
bool linux_write_gdt(const struct gmem *gm, bool wide);
bool linux_write_page_tables(const struct gmem *gm);

#endif
