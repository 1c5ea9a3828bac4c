/* SPDX-License-Identifier: MIT */
/*
 * Putting a Multiboot kernel, its modules and the boot information into guest memory (Multiboot
 * Specification version 0.6.96). multiboot_image.h has the picture.
 */
#include "guest/multiboot.h"
#include "guest/multiboot_image.h"
#include "lib/fmt.h"
#include "lib/mem.h"

#define BOOTLOADER_MAGIC 0x2badb002u

/* Flags of the information: which of its fields are valid. */
#define INFO_MEMORY BIT(0)
#define INFO_CMDLINE BIT(2)
#define INFO_MODS BIT(3)
#define INFO_MMAP BIT(6)
#define INFO_LOADER_NAME BIT(9)

/* SDM volume 3, section 3.4.5 "Segment Descriptors": base 0, limit 4 GiB, present, DPL 0. */
#define DESC_CODE32 0x00cf9b000000ffffull /* execute/read, accessed, D */
#define DESC_DATA32 0x00cf93000000ffffull /* read/write, accessed, B */
#define BOOT_CS 0x08
#define BOOT_DS 0x10

/** The pages of information, as they are filled from the lowest address up. */
struct writer {
	const struct gmem *gm;
	u64 at, end;
	bool ok;
};

/** Append; returns where it is. */
static u32 put(struct writer *w, const void *bytes, u64 len)
{
	u64 at = w->at;

	w->ok = w->ok && len <= w->end - at && gmem_write(w->gm, GPA(at), bytes, len);
	if (w->ok)
		w->at = at + len;
	return at;
}

/** A path with the separators that kernels know. */
static u32 put_path(struct writer *w, const char *path)
{
	u32 at = w->at;

	for (; *path; path++)
		put(w, *path == '\\' ? "/" : path, 1);
	return at;
}

/** A path, and what follows it, as one line. */
static u32 put_line(struct writer *w, const char *path, const char *args)
{
	u32 at = put_path(w, path);

	if (*args)
		put(w, " ", 1);
	put(w, args, strlen(args) + 1);
	return at;
}

static u32 put_mmap(struct writer *w, u32 *length)
{
	struct e820_entry e820[MULTIBOOT_E820_MAX];
	unsigned nr = e820_build(w->gm, e820, ARRAY_SIZE(e820));
	u32 at = w->at;

	for (unsigned i = 0; i < nr; i++) {
		struct multiboot_mmap m = {sizeof(m.e820), e820[i]};

		put(w, &m, sizeof(m));
	}
	*length = w->at - at;
	return at;
}

static u32 put_modules(struct writer *w, const struct multiboot_plan *plan,
		       const struct multiboot_image *img)
{
	struct multiboot_mod mod[MULTIBOOT_MODULES_MAX] = {{0}};
	u64 bytes = img->nr_modules * sizeof(mod[0]);
	u32 at = put(w, mod, bytes); /* its place; the texts come behind it */

	for (unsigned i = 0; i < img->nr_modules; i++)
		mod[i] = (struct multiboot_mod){
			.start = plan->module[i],
			.end = plan->module[i] + img->module[i].size,
			.cmdline = put_line(w, img->module[i].path, img->module[i].args),
		};
	w->ok = w->ok && gmem_write(w->gm, GPA(at), mod, bytes);
	return at;
}

/** KiB of RAM from 0 on, as the map shows it: what is reserved at its end does not count. */
static u32 lower_kib(const struct gmem *gm)
{
	return MIN(pc_low_ram(gm), PC_EBDA) >> 10;
}

static u32 upper_kib(const struct gmem *gm)
{
	u64 end = pc_low_ram(gm);

	return end > MIB(1) ? (end - MIB(1)) >> 10 : 0;
}

static bool write_info(const struct gmem *gm, const struct multiboot_plan *plan,
		       const struct multiboot_image *img, struct multiboot_entry *entry)
{
	static const u64 gdt[] = {[BOOT_CS / 8] = DESC_CODE32, [BOOT_DS / 8] = DESC_DATA32};
	struct multiboot_info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_LOADER_NAME,
		.mem_lower = lower_kib(gm),
		.mem_upper = upper_kib(gm),
		.mods_count = img->nr_modules,
	};
	struct writer w = {gm, plan->info + sizeof(info), plan->info + plan->info_bytes, true};

	_Static_assert(sizeof(gdt) == MULTIBOOT_GDT_BYTES, "");
	entry->gdt_base = put(&w, gdt, sizeof(gdt));
	info.mmap_addr = put_mmap(&w, &info.mmap_length);
	info.mods_addr = put_modules(&w, plan, img);
	info.cmdline = put_line(&w, img->path, img->cmdline);
	info.boot_loader_name = put(&w, MULTIBOOT_LOADER_NAME, sizeof(MULTIBOOT_LOADER_NAME));
	return w.ok && gmem_write(gm, GPA(plan->info), &info, sizeof(info));
}

static bool write_kernel(const struct gmem *gm, const struct multiboot_plan *plan,
			 const struct multiboot_image *img)
{
	for (unsigned i = 0; i < plan->nr; i++) {
		struct multiboot_segment s = multiboot_segment(plan, img->kernel, i);

		if (s.memsz && (!gmem_write(gm, GPA(s.gpa), img->kernel + s.offset, s.filesz) ||
				!gmem_set(gm, GPA(s.gpa + s.filesz), 0, s.memsz - s.filesz)))
			return false;
	}
	return true;
}

static bool write_modules(const struct gmem *gm, const struct multiboot_plan *plan,
			  const struct multiboot_image *img)
{
	for (unsigned i = 0; i < img->nr_modules; i++) {
		if (!gmem_write(gm, GPA(plan->module[i]), img->module[i].bytes,
				img->module[i].size))
			return false;
	}
	return true;
}

bool multiboot_load(const struct gmem *gm, const struct multiboot_image *img,
		    struct multiboot_entry *entry, char *err)
{
	struct multiboot_plan plan;

	if (!multiboot_plan(&plan, gm, img, err))
		return false;
	*entry = (struct multiboot_entry){
		.eip = plan.entry,
		.eax = BOOTLOADER_MAGIC,
		.ebx = plan.info,
		.gdt_limit = MULTIBOOT_GDT_BYTES - 1,
		.cs = BOOT_CS,
		.ds = BOOT_DS,
	};
	if (write_kernel(gm, &plan, img) && write_modules(gm, &plan, img) &&
	    write_info(gm, &plan, img, entry))
		return true;
	fmt_snprintf(err, MULTIBOOT_ERROR_MAX, "the guest's memory is not where the plan saw it");
	return false;
}
