/* SPDX-License-Identifier: MIT */
/*
 * Reading a bzImage's setup header, and finding room for kernel and initrd. The file comes from
 * the user: nothing in it is believed before it was checked.
 */
#include "guest/linux.h"
#include "guest/linux_image.h"
#include "guest/pc.h"
#include "lib/fmt.h"
#include "lib/mem.h"

#define HDRS 0x53726448u /* "HdrS" */
#define BOOT_FLAG 0xaa55u
#define VERSION_MIN 0x020cu /* 2.12: xloadflags */
#define XLF_KERNEL_64 BIT(0)
#define SECTOR 512u
#define MIN_FILE (2 * SECTOR) /* the header is in the first two sectors */
#define HEADER_MAX_END 0x290u /* boot_params has something else there */
#define LOW_LIMIT GIB(4)      /* the end of the identity map, and of 32-bit addresses */

#define FAIL(err, ...) (fmt_snprintf((err), LINUX_ERROR_MAX, __VA_ARGS__), false)

/** Say what a file is that is no bzImage, as far as its first bytes tell. */
static bool not_a_kernel(const u8 *file, u64 size, char *err)
{
	if (size >= 4 && !memcmp(file, "\177ELF", 4))
		return FAIL(err,
			    "kernel: this is an ELF file (a vmlinux?); give the bzImage, which "
			    "a kernel build leaves in arch/x86/boot and a distribution in /boot");
	if (size >= 2 && file[0] == 0x1f && file[1] == 0x8b)
		return FAIL(err,
			    "kernel: this is a gzip file; unpack it, or give the bzImage itself");
	if (size < MIN_FILE)
		return FAIL(err,
			    "kernel: %lu bytes are too few for a kernel; give a bzImage such as "
			    "/boot/vmlinuz of a distribution for PCs",
			    size);
	return FAIL(err, "kernel: no HdrS signature, so not a bzImage; give a file such as "
			 "/boot/vmlinuz of a distribution for PCs");
}

static bool check_header(struct linux_plan *plan, const u8 *file, u64 size, char *err)
{
	struct linux_setup_header *h = &plan->hdr;
	u64 end, setup_bytes;

	if (size < MIN_FILE)
		return not_a_kernel(file, size, err);
	memcpy(h, file + LINUX_HEADER_OFFSET, sizeof(*h));
	if (h->boot_flag != BOOT_FLAG || h->header != HDRS)
		return not_a_kernel(file, size, err);
	if (h->version < VERSION_MIN)
		return FAIL(err,
			    "kernel: boot protocol %u.%02u is too old, 2.12 is needed; give "
			    "Linux 3.8 or later",
			    h->version >> 8, h->version & 0xffu);
	plan->wide = h->xloadflags & XLF_KERNEL_64;

	end = 0x202u + (h->jump >> 8);
	if (end < LINUX_HEADER_OFFSET + offsetof(struct linux_setup_header, handover_offset))
		return FAIL(err,
			    "kernel: its setup header ends at 0x%lx, before init_size: the file "
			    "is damaged; copy it again",
			    end);
	plan->header_bytes = MIN(end, HEADER_MAX_END) - LINUX_HEADER_OFFSET;

	setup_bytes = ((h->setup_sects ? h->setup_sects : 4u) + 1u) * SECTOR;
	plan->code_offset = setup_bytes;
	plan->code_bytes = (u64)h->syssize * 16;
	if (!plan->code_bytes)
		return FAIL(err,
			    "kernel: its header says that it has no code (syssize 0): the file is "
			    "damaged; copy it again");
	if (size < setup_bytes + plan->code_bytes)
		return FAIL(err,
			    "kernel: the file is cut short: its header promises %lu bytes, it has "
			    "%lu; copy it again",
			    setup_bytes + plan->code_bytes, size);
	plan->run_bytes = MAX(plan->code_bytes, h->init_size);

	if (h->relocatable_kernel &&
	    (h->kernel_alignment < PAGE_SIZE || h->kernel_alignment & (h->kernel_alignment - 1)))
		return FAIL(err,
			    "kernel: its header asks for an alignment of 0x%x, which is no power "
			    "of two: the file is damaged; copy it again",
			    h->kernel_alignment);
	return true;
}

static bool check_cmdline(struct linux_plan *plan, const char *cmdline, char *err)
{
	u64 room = MIN(plan->hdr.cmdline_size, LINUX_LOW_END - LINUX_CMDLINE - 1u);

	plan->cmdline_bytes = cmdline ? strlen(cmdline) : 0;
	if (plan->cmdline_bytes > room)
		return FAIL(err,
			    "the guest's command line has %lu characters, and this kernel takes "
			    "%lu; shorten it",
			    plan->cmdline_bytes, room);
	return true;
}

/** The end of the unbroken run of RAM that holds `gpa`, at most LOW_LIMIT; `gpa`: not RAM. */
static u64 ram_end(const struct gmem *gm, u64 gpa)
{
	const struct gmem_slot *s;

	while (gpa < LOW_LIMIT && (s = gmem_slot(gm, GPA(gpa))))
		gpa = MIN(s->gpa.v + s->size, LOW_LIMIT);
	return gpa;
}

/** The start of the run of RAM that holds `gpa`, which is RAM. */
static u64 ram_start(const struct gmem *gm, u64 gpa)
{
	const struct gmem_slot *s = gmem_slot(gm, GPA(gpa));

	while (s) {
		gpa = s->gpa.v;
		s = gpa ? gmem_slot(gm, GPA(gpa - 1)) : NULL;
	}
	return gpa;
}

/** The end of RAM below `limit`: one more than the last byte of it; 0: there is none. */
static u64 ram_top(const struct gmem *gm, u64 limit)
{
	u64 top = 0;

	for (unsigned i = 0; i < gm->nr; i++) {
		if (gm->slot[i].gpa.v < limit)
			top = MAX(top, MIN(gm->slot[i].gpa.v + gm->slot[i].size, limit));
	}
	return top;
}

static bool kernel_fits(const struct gmem *gm, u64 at, u64 size)
{
	return at < LOW_LIMIT && ram_end(gm, at) - at >= size;
}

/**
 * boot.rst, init_size: a relocatable kernel that is loaded below pref_address moves itself up to
 * it, and any other place than a multiple of kernel_alignment is rounded up; so the right places
 * are pref_address and the aligned addresses above.
 */
static bool place_kernel(struct linux_plan *plan, const struct gmem *gm, char *err)
{
	const struct linux_setup_header *h = &plan->hdr;
	u64 first = h->pref_address, best = LOW_LIMIT;

	if (first >= LOW_LIMIT || (first < MIB(1) && !h->relocatable_kernel))
		return FAIL(err,
			    "kernel: it wants to be loaded at 0x%lx, outside 1 MiB-4 GiB; give "
			    "another kernel",
			    first);
	if (h->relocatable_kernel)
		first = ALIGN_UP(MAX(first, MIB(1)), h->kernel_alignment);
	if (kernel_fits(gm, first, plan->run_bytes))
		best = first;

	for (unsigned i = 0; h->relocatable_kernel && i < gm->nr; i++) {
		u64 at = MAX(gm->slot[i].gpa.v, first);

		if (at >= LOW_LIMIT)
			continue;
		at = ALIGN_UP(at, h->kernel_alignment);
		if (at < best && kernel_fits(gm, at, plan->run_bytes))
			best = at;
	}
	if (best == LOW_LIMIT)
		return FAIL(err,
			    "kernel: it needs %lu MiB of memory from 0x%lx on, and the guest has "
			    "not got that; raise mem= to at least %lu (MiB)",
			    ALIGN_UP(plan->run_bytes, MIB(1)) >> 20, first,
			    ALIGN_UP(first + plan->run_bytes, MIB(1)) >> 20);
	plan->load = best;
	return true;
}

/**
 * As high as it goes, for the kernel grows upwards from its own place: below initrd_addr_max (the
 * address of the last byte it may have), clear of the kernel, in one run of RAM.
 */
static bool place_initrd(struct linux_plan *plan, const struct gmem *gm, u64 size, char *err)
{
	u64 kernel_end = plan->load + plan->run_bytes;
	u64 max = MIN((u64)plan->hdr.initrd_addr_max + 1, LOW_LIMIT);
	u64 top, low;

	for (u64 limit = max; (top = ram_top(gm, limit)) > MIB(1); limit = low) {
		low = MAX(ram_start(gm, top - 1), MIB(1));
		if (top > plan->load && low < kernel_end) { /* the kernel is in this run */
			low = top > kernel_end ? kernel_end : plan->load;
			if (low == plan->load)
				continue;
		}
		if (size <= top - low && ALIGN_DOWN(top - size, PAGE_SIZE) >= low) {
			plan->initrd = ALIGN_DOWN(top - size, PAGE_SIZE);
			return true;
		}
	}
	return FAIL(err,
		    "initrd: no room for its %lu KiB beside the kernel (0x%lx-0x%lx) and below "
		    "0x%lx; raise mem=, or give a smaller initrd",
		    ALIGN_UP(size, KIB(1)) >> 10, plan->load, kernel_end, max);
}

bool linux_plan(struct linux_plan *plan, const struct gmem *gm, const u8 *kernel, u64 size,
		u64 initrd_size, const char *cmdline, char *err)
{
	memset(plan, 0, sizeof(*plan));
	if (!check_header(plan, kernel, size, err) || !check_cmdline(plan, cmdline, err))
		return false;
	if (!gm)
		return true;
	if (!place_kernel(plan, gm, err))
		return false;
	return !initrd_size || place_initrd(plan, gm, initrd_size, err);
}

bool linux_check(const u8 *kernel, u64 size, u64 initrd_size, const char *cmdline, u64 mem,
		 char *err)
{
	u64 low_ram = ALIGN_DOWN(MIN(mem, PC_LOW_RAM_MAX), PAGE_SIZE);
	struct gmem paper = {.nr = 0}; /* memory to plan with, not to touch */
	struct linux_plan plan;

	if (low_ram)
		gmem_add(&paper, GPA(0), low_ram, HPA(0), NULL);
	return linux_plan(&plan, mem ? &paper : NULL, kernel, size, initrd_size, cmdline, err);
}
