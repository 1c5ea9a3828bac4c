/* SPDX-License-Identifier: MIT */
/*
 * Loading a Multiboot kernel (Multiboot Specification version 0.6.96, "Multiboot 1") with its
 * command line and modules, as `qemu -kernel` does it: ELF files of the 32-bit class by their
 * program headers, or any file by the address fields of the Multiboot header.
 *
 * Where the specification leaves a choice:
 * - A header that asks for a video mode (flags bit 2) is accepted, and no mode is set: the kernel
 *   sees it by the flags it is given. Requirements that nobody has defined yet are refused.
 * - The command line is the kernel's path, a blank, and the guest's command line.
 * - An ELF file of the 64-bit class is refused: its entry point is 32-bit code all the same, and
 *   objcopy makes a 32-bit file of it, as test kernels do.
 */
#ifndef TV_MULTIBOOT_H
#define TV_MULTIBOOT_H

#include "gmem.h"
#include "types.h"

#define MULTIBOOT_ERROR_MAX 200
#define MULTIBOOT_MODULES_MAX 16

/** The processor state at the kernel's first instruction (section 3.2 "Machine state"): 32-bit
 *  protected mode, paging off, flat segments from a GDT at `gdt_base`. */
struct multiboot_entry {
	u32 eip, eax, ebx, gdt_base;
	u16 gdt_limit, cs, ds;
};

struct multiboot_module {
	const u8 *bytes;
	u64 size;
	const char *path; /* its command line is the path ... */
	const char *args; /* ... and, where this is not empty, a blank and this */
};

struct multiboot_image {
	const u8 *kernel;
	u64 kernel_size;
	const char *path; /* the kernel's; backslashes reach the guest as slashes */
	const char *cmdline;
	const struct multiboot_module *module;
	unsigned nr_modules; /* at most MULTIBOOT_MODULES_MAX */
};

/** Is this file a Multiboot kernel? A Linux bzImage is none, whatever it holds. */
bool multiboot_kernel(const u8 *kernel, u64 size);

/** Can this Multiboot kernel be booted? False, with a sentence in `err` (MULTIBOOT_ERROR_MAX bytes)
 *  that names the fault and the remedy. Pure, and without looking at the modules' bytes: boot/ asks
 *  before it leaves the firmware. `mem` is the guest memory in bytes. */
bool multiboot_check(const struct multiboot_image *img, u64 mem, char *err);

/** Put everything into guest memory. False with a sentence in `err`. */
bool multiboot_load(const struct gmem *gm, const struct multiboot_image *img,
		    struct multiboot_entry *entry, char *err);

#endif
