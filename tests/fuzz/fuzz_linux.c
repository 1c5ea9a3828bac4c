/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the Linux loader: any bytes as a kernel file, loaded into a memory of any shape.
 *
 * Input: struct head, then the kernel file.
 */
#include <stdlib.h>

#include "guest/linux.h"
#include "guest/pc.h"
#include "lib/mem.h"

#define RAM_SIZE MIB(24)
#define INITRD_MAX KIB(64)

struct head {
	u16 mem_pages, hole_page, hole_pages; /* 4 KiB each */
	u16 initrd_size, cmdline_len;
} __attribute__((packed));

static void require(bool holds)
{
	if (!holds)
		abort();
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

static void check_loaded(const struct gmem *gm, const struct linux_image *img,
			 const struct linux_entry *e, const u8 *ram)
{
	u64 setup_sects = img->kernel[0x1f1] ? img->kernel[0x1f1] : 4;
	const u8 *code = img->kernel + (setup_sects + 1) * 512;
	u64 load = e->rip - (e->wide ? 0x200 : 0), bytes;
	u32 syssize, initrd;

	memcpy(&syssize, img->kernel + 0x1f4, 4);
	memcpy(&initrd, ram + e->rsi + 0x218, 4);
	bytes = (u64)syssize * 16;
	require(load >= MIB(1) && load + bytes <= RAM_SIZE);
	require(!memcmp(ram + load, code, bytes));
	require(!img->initrd_size == !initrd);
	require(!(initrd & ~PAGE_MASK));
	require(!initrd || initrd >= load + bytes || initrd + img->initrd_size <= load);
	require(!memcmp(ram + initrd, img->initrd, img->initrd_size));
	for (u64 at = load; at < load + bytes; at += PAGE_SIZE)
		require(gmem_slot(gm, GPA(at)) != NULL);
	require(e->wide == (img->kernel[0x236] & 1));
	require(e->rsi + PAGE_SIZE <= MIB(1) && e->cr3 < MIB(1) && e->rsp <= MIB(1));
	require(e->wide == !!e->cr3);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 *ram, *initrd;
	static char cmdline[65536];
	struct gmem gm = {.nr = 0};
	struct linux_entry entry;
	struct linux_image img;
	char err[LINUX_ERROR_MAX] = "";
	struct head h;
	bool checked;

	if (!ram) {
		ram = calloc(1, RAM_SIZE);
		initrd = malloc(INITRD_MAX);
		memset(initrd, 0x5a, INITRD_MAX);
		memset(cmdline, 'c', sizeof(cmdline));
	}
	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	cmdline[h.cmdline_len] = 0;
	img = (struct linux_image){.kernel = data + sizeof(h),
				   .kernel_size = size - sizeof(h),
				   .initrd = initrd,
				   .initrd_size = h.initrd_size,
				   .cmdline = cmdline};
	build_memory(&gm, ram, &h);
	checked = linux_check(img.kernel, img.kernel_size, h.initrd_size, cmdline, gmem_size(&gm),
			      err);
	require(checked || (err[0] && strlen(err) < LINUX_ERROR_MAX - 1));
	if (linux_load(&gm, &img, &entry, err)) {
		check_loaded(&gm, &img, &entry, ram);
	} else {
		require(err[0] && strlen(err) < LINUX_ERROR_MAX - 1);
		/* In memory without a hole, and with the low part there, the check knew it all. */
		require(!checked || h.hole_pages || gmem_size(&gm) < MIB(1));
	}
	cmdline[h.cmdline_len] = 'c';
	return 0;
}
