/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the Multiboot loader: any bytes as a kernel file, loaded with modules into a
 * memory of any shape.
 *
 * Input: struct head, then the kernel file.
 */
#include <stdlib.h>

#include "guest/multiboot.h"
#include "guest/pc.h"
#include "lib/mem.h"

#define RAM_SIZE MIB(8)
#define MODULE_MAX KIB(64)

struct head {
	u16 mem_pages, hole_page, hole_pages; /* 4 KiB each */
	u16 module_size, cmdline_len;
	u8 nr_modules;
} __attribute__((packed));

/** Where the information says that something is. */
struct found {
	u64 start, end;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static u32 get(const u8 *p)
{
	u32 v;

	memcpy(&v, p, 4);
	return v;
}

/** Guest memory as one slot, or as two with a hole between them. */
static void build_memory(struct gmem *gm, u8 *ram, const struct head *h)
{
	u64 size = h->mem_pages * PAGE_SIZE % (RAM_SIZE + PAGE_SIZE);
	u64 hole = MIN(h->hole_page * PAGE_SIZE, size);
	u64 after = MIN(hole + h->hole_pages * PAGE_SIZE, size);

	gmem_add(gm, GPA(after), size - after, HPA(0), ram + after);
	gmem_add(gm, GPA(0), hole, HPA(0), ram);
}

/** All of it RAM, and none of it in what the PC reserves. */
static void require_ram(const struct gmem *gm, u64 start, u64 end)
{
	require(start <= end && end <= RAM_SIZE);
	for (u64 at = start; at < end; at = (at | (PAGE_SIZE - 1)) + 1)
		require(gmem_slot(gm, GPA(at)) != NULL);
	require(end <= PC_EBDA || start >= MIB(1));
}

static void require_apart(const struct found *f, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		for (unsigned k = 0; k < i; k++)
			require(f[i].end <= f[k].start || f[k].end <= f[i].start);
	}
}

static void check_loaded(const struct gmem *gm, const struct multiboot_image *img,
			 const struct multiboot_entry *e, const u8 *ram)
{
	const u8 *info = ram + e->ebx, *mods;
	struct found found[MULTIBOOT_MODULES_MAX + 1];
	u32 cmdline = get(info + 16), path = strlen(img->path);

	require_ram(gm, e->eip, e->eip + 1ull);
	require(get(info + 20) == img->nr_modules);
	mods = ram + get(info + 24);
	for (unsigned i = 0; i < img->nr_modules; i++, mods += 16) {
		found[i] = (struct found){get(mods), get(mods + 4)};
		require(!(found[i].start % PAGE_SIZE));
		require(found[i].end - found[i].start == img->module[i].size);
		require_ram(gm, found[i].start, found[i].end);
		require(!memcmp(ram + found[i].start, img->module[i].bytes, img->module[i].size));
		require(get(mods + 8) > e->ebx && get(mods + 8) < cmdline);
	}
	/* The command line is the last but one of the texts, the loader's name the last. */
	require(!memcmp(ram + cmdline, img->path, path));
	require(!memcmp(ram + cmdline + path + !!*img->cmdline, img->cmdline,
			strlen(img->cmdline) + 1));
	found[img->nr_modules] = (struct found){e->ebx, get(info + 64) + 11};
	require_ram(gm, e->ebx, found[img->nr_modules].end);
	require(e->gdt_base > e->ebx && e->gdt_base < cmdline);
	require_apart(found, img->nr_modules + 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 *ram, *bytes;
	static char cmdline[65536];
	struct multiboot_module module[MULTIBOOT_MODULES_MAX];
	struct gmem gm = {.nr = 0};
	struct multiboot_entry entry;
	struct multiboot_image img;
	char err[MULTIBOOT_ERROR_MAX] = "";
	struct head h;
	bool checked;

	if (!ram) {
		ram = calloc(1, RAM_SIZE);
		bytes = malloc(MODULE_MAX);
		memset(bytes, 0x5a, MODULE_MAX);
		memset(cmdline, 'c', sizeof(cmdline));
	}
	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	cmdline[h.cmdline_len] = 0;
	for (unsigned i = 0; i < MULTIBOOT_MODULES_MAX; i++)
		module[i] = (struct multiboot_module){bytes, h.module_size / (i + 1u), "/m", ""};
	img = (struct multiboot_image){.kernel = data + sizeof(h),
				       .kernel_size = size - sizeof(h),
				       .path = "/kernel",
				       .cmdline = cmdline,
				       .module = module,
				       .nr_modules = h.nr_modules % (MULTIBOOT_MODULES_MAX + 1)};
	build_memory(&gm, ram, &h);
	checked = multiboot_check(&img, gmem_size(&gm), err);
	require(checked || (err[0] && strlen(err) < MULTIBOOT_ERROR_MAX - 1));
	require(!checked || multiboot_kernel(img.kernel, img.kernel_size) ||
		!memcmp(img.kernel + 0x202, "HdrS", 4));
	if (multiboot_load(&gm, &img, &entry, err)) {
		check_loaded(&gm, &img, &entry, ram);
	} else {
		require(err[0] && strlen(err) < MULTIBOOT_ERROR_MAX - 1);
		/* In memory without a hole the check knew it all. */
		require(!checked || h.hole_pages);
	}
	cmdline[h.cmdline_len] = 'c';
	return 0;
}
