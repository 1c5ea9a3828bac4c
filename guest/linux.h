/* SPDX-License-Identifier: MIT */
/*
 * Loading a Linux bzImage (Linux Documentation/arch/x86/boot.rst and zero-page.rst): kernel,
 * initrd, command line, boot_params, e820 and GDT. A kernel that has a 64-bit entry gets the 64-bit
 * boot protocol, and the identity page tables that this one wants; any other the 32-bit boot
 * protocol, with paging off.
 */
#ifndef TV_LINUX_H
#define TV_LINUX_H

#include "gmem.h"
#include "types.h"

#define LINUX_ERROR_MAX 200

/** The processor state at the kernel's first instruction: registers that are not named are 0. */
struct linux_entry {
	bool wide; /* 64-bit mode; else 32-bit protected mode, with paging off and CR3 0 */
	u64 rip, rsi, rsp, cr3, gdt_base;
	u16 gdt_limit, cs, ds;
};

struct linux_image {
	const u8 *kernel;
	u64 kernel_size;
	const u8 *initrd;
	u64 initrd_size; /* 0: none */
	const char *cmdline;
	u64 rsdp; /* guest-physical, from acpi_build() */
};

/** Is this a kernel that can be booted? False, with a sentence in `err` (LINUX_ERROR_MAX bytes)
 *  that names the fault and the remedy. Pure: boot/ asks before it leaves the firmware.
 *  `mem` is the guest memory in bytes; 0: not yet known. */
bool linux_check(const u8 *kernel, u64 size, u64 initrd_size, const char *cmdline, u64 mem,
		 char *err);

/** Put everything into guest memory. False with a sentence in `err`. */
bool linux_load(const struct gmem *gm, const struct linux_image *img, struct linux_entry *entry,
		char *err);

#endif
