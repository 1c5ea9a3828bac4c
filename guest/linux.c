/* SPDX-License-Identifier: MIT */
/*
 * Putting a Linux kernel into guest memory by the 64-bit or the 32-bit boot protocol (Linux
 * Documentation/arch/x86/boot.rst and zero-page.rst). linux_image.h has the picture.
 */
#include "guest/linux.h"
#include "guest/linux_image.h"
#include "guest/pc.h"
#include "lib/fmt.h"
#include "lib/mem.h"

#define LOADER_UNKNOWN 0xffu /* type_of_loader without an assigned number */
#define LOADED_HIGH BIT(0)   /* loadflags: protected-mode code is at or above 1 MiB */
#define VID_MODE_NORMAL 0xffffu
#define ENTRY_64 0x200u /* boot.rst, "64-bit Boot Protocol": from where the kernel was loaded */

/** zero-page.rst: the members of boot_params that a 64-bit loader fills in. */
struct boot_params {
	u8 screen_and_apm[0x70];
	u64 acpi_rsdp_addr;
	u8 bios_tables[0xc0 - 0x78];
	u32 ext_ramdisk_image, ext_ramdisk_size, ext_cmd_line_ptr; /* high halves */
	u8 edid_and_efi[0x1e8 - 0xcc];
	u8 e820_entries;
	u8 eddbuf_and_flags[6];
	u8 sentinel; /* not 0: the loader forgot to clear what it does not know */
	u8 pad;
	struct linux_setup_header hdr;
	u8 hdr_and_edd[0x2d0 - LINUX_HEADER_OFFSET - sizeof(struct linux_setup_header)];
	struct e820_entry e820_table[128];
	u8 rest[PAGE_SIZE - 0xcd0];
} __attribute__((packed));

_Static_assert(sizeof(struct boot_params) == PAGE_SIZE, "");
_Static_assert(offsetof(struct boot_params, e820_entries) == 0x1e8, "");
_Static_assert(offsetof(struct boot_params, sentinel) == 0x1ef, "");
_Static_assert(offsetof(struct boot_params, hdr) == LINUX_HEADER_OFFSET, "");
_Static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "");

static void fill_header(struct linux_setup_header *h, const struct linux_plan *plan,
			const struct linux_image *img)
{
	h->type_of_loader = LOADER_UNKNOWN;
	h->loadflags |= LOADED_HIGH;
	h->vid_mode = VID_MODE_NORMAL;
	h->code32_start = (u32)plan->load;
	h->ramdisk_image = (u32)plan->initrd;
	h->ramdisk_size = (u32)img->initrd_size;
	h->cmd_line_ptr = LINUX_CMDLINE;
	h->setup_data = 0;
}

static bool write_boot_params(const struct gmem *gm, const struct linux_plan *plan,
			      const struct linux_image *img)
{
	struct boot_params *bp = gmem_ptr(gm, GPA(LINUX_BOOT_PARAMS), sizeof(*bp));

	if (!bp)
		return false;
	memset(bp, 0, sizeof(*bp));
	memcpy((u8 *)bp + LINUX_HEADER_OFFSET, img->kernel + LINUX_HEADER_OFFSET,
	       plan->header_bytes);
	fill_header(&bp->hdr, plan, img);
	bp->acpi_rsdp_addr = img->rsdp;
	bp->ext_ramdisk_image = (u32)(plan->initrd >> 32);
	bp->ext_ramdisk_size = (u32)(img->initrd_size >> 32);
	bp->e820_entries = (u8)e820_build(gm, bp->e820_table, ARRAY_SIZE(bp->e820_table));
	return true;
}

static bool write_all(const struct gmem *gm, const struct linux_plan *plan,
		      const struct linux_image *img)
{
	return write_boot_params(gm, plan, img) && linux_write_gdt(gm, plan->wide) &&
	       (!plan->wide || linux_write_page_tables(gm)) &&
	       gmem_set(gm, GPA(LINUX_STACK), 0, LINUX_LOW_END - LINUX_STACK) &&
	       gmem_write(gm, GPA(LINUX_CMDLINE), img->cmdline, plan->cmdline_bytes) &&
	       gmem_write(gm, GPA(plan->load), img->kernel + plan->code_offset, plan->code_bytes) &&
	       gmem_write(gm, GPA(plan->initrd), img->initrd, img->initrd_size);
}

bool linux_load(const struct gmem *gm, const struct linux_image *img, struct linux_entry *entry,
		char *err)
{
	struct linux_plan plan;

	if (!linux_plan(&plan, gm, img->kernel, img->kernel_size, img->initrd_size, img->cmdline,
			err))
		return false;
	/* The plan found room for kernel and initrd; only the fixed places can be missing. */
	if (!write_all(gm, &plan, img)) {
		fmt_snprintf(err, LINUX_ERROR_MAX,
			     "the guest has no memory at 0x%x-0x%x, where the boot tables go",
			     LINUX_BOOT_PARAMS, LINUX_LOW_END);
		return false;
	}
	*entry = (struct linux_entry){
		.wide = plan.wide,
		.rip = plan.load + (plan.wide ? ENTRY_64 : 0),
		.rsi = LINUX_BOOT_PARAMS,
		.rsp = LINUX_CMDLINE, /* the end of the stack page */
		.cr3 = plan.wide ? LINUX_PML4 : 0,
		.gdt_base = LINUX_GDT,
		.gdt_limit = LINUX_GDT_BYTES - 1,
		.cs = LINUX_BOOT_CS,
		.ds = LINUX_BOOT_DS,
	};
	return true;
}
