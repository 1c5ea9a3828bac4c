/* SPDX-License-Identifier: MIT */
/*
 * Reading a Multiboot header and an ELF file's program headers, and finding room for what goes with
 * the kernel. The file comes from the user: nothing in it is believed before it was checked.
 */
#include "guest/multiboot_image.h"
#include "lib/fmt.h"
#include "lib/mem.h"

#define FAIL(err, ...) (fmt_snprintf((err), MULTIBOOT_ERROR_MAX, __VA_ARGS__), false)

/* Section 3.1 "OS image format". */
#define HEADER_MAGIC 0x1badb002u
#define SEARCH_BYTES 8192u
#define SEARCH_STEP 4u
#define WANT_PAGE_ALIGN BIT(0)
#define WANT_MEMORY BIT(1)
#define WANT_VIDEO BIT(2)
#define WANT_MASK 0xffffu /* what a loader must obey, or refuse */
#define HAS_ADDRESSES BIT(16)

struct header {
	u32 magic, flags, checksum;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr; /* HAS_ADDRESSES */
};
#define HEADER_BYTES 12u

/* The ELF specification's file and program headers, 32-bit class. */
struct elf_header {
	u8 ident[16];
	u16 type, machine;
	u32 version, entry, phoff, shoff, flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct program_header {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
_Static_assert(sizeof(struct elf_header) == 52 && sizeof(struct program_header) == 32, "");

#define ELF_CLASS 4 /* indices into ident */
#define ELF_DATA 5
#define ELFCLASS32 1
#define ELFCLASS64 2
#define ELFDATA2LSB 1
#define EM_386 3
#define PT_LOAD 1
#define PHNUM_MAX 256u /* more than any kernel has */

/* Below 4 GiB; and what the e820 map reserves below 1 MiB is no place for a kernel. */
#define LIMIT PC_LOW_RAM_MAX
static const struct multiboot_span reserved = {PC_EBDA, MIB(1)};

/* Linux's boot.rst: what makes a file a bzImage. */
#define BZIMAGE_MAGIC_AT 0x202u
#define BZIMAGE_MAGIC 0x53726448u

/*
 * The file.
 */

/** The header, its missing fields 0. False: there is none. */
static bool find_header(const u8 *file, u64 size, struct header *h, u64 *at)
{
	u64 end = MIN(size, SEARCH_BYTES);

	for (*at = 0; *at + HEADER_BYTES <= end; *at += SEARCH_STEP) {
		memset(h, 0, sizeof(*h));
		memcpy(h, file + *at, MIN(sizeof(*h), end - *at));
		if (h->magic == HEADER_MAGIC && !(h->magic + h->flags + h->checksum) &&
		    (!(h->flags & HAS_ADDRESSES) || end - *at >= sizeof(*h)))
			return true;
	}
	return false;
}

bool multiboot_kernel(const u8 *kernel, u64 size)
{
	struct header h;
	u32 magic;
	u64 at;

	if (size >= BZIMAGE_MAGIC_AT + sizeof(magic)) {
		memcpy(&magic, kernel + BZIMAGE_MAGIC_AT, sizeof(magic));
		if (magic == BZIMAGE_MAGIC)
			return false;
	}
	return find_header(kernel, size, &h, &at);
}

static bool plan_addresses(struct multiboot_plan *plan, const struct header *h, u64 at, u64 size,
			   char *err)
{
	struct multiboot_segment *s = &plan->only;
	u64 before = (u64)h->header_addr - h->load_addr; /* the header, from the segment's start */
	u64 load_end, bss_end;

	if (h->load_addr > h->header_addr || before > at)
		return FAIL(err,
			    "kernel: its Multiboot header says that it is loaded at 0x%x, and its "
			    "load address is 0x%x: the file would have to begin earlier",
			    h->header_addr, h->load_addr);
	s->offset = at - before;
	load_end = h->load_end_addr ? h->load_end_addr : h->load_addr + (size - s->offset);
	bss_end = h->bss_end_addr ? h->bss_end_addr : load_end;
	if (load_end < h->load_addr || load_end - h->load_addr > size - s->offset)
		return FAIL(err,
			    "kernel: its Multiboot header wants 0x%x-0x%lx loaded, and the file "
			    "has 0x%lx bytes for it; copy it again",
			    h->load_addr, load_end, size - s->offset);
	if (bss_end < load_end)
		return FAIL(err,
			    "kernel: its Multiboot header ends the bss at 0x%lx, before the data's "
			    "end at 0x%lx: build it again",
			    bss_end, load_end);
	s->gpa = h->load_addr;
	s->filesz = load_end - h->load_addr;
	s->memsz = bss_end - h->load_addr;
	plan->nr = 1;
	plan->entry = h->entry_addr;
	return true;
}

static struct program_header program_header(const struct multiboot_plan *plan, const u8 *kernel,
					    unsigned i)
{
	struct program_header ph;

	memcpy(&ph, kernel + plan->phoff + i * sizeof(ph), sizeof(ph));
	return ph;
}

struct multiboot_segment multiboot_segment(const struct multiboot_plan *plan, const u8 *kernel,
					   unsigned i)
{
	struct program_header ph;

	if (!plan->elf)
		return plan->only;
	ph = program_header(plan, kernel, i);
	if (ph.type != PT_LOAD)
		return (struct multiboot_segment){0};
	return (struct multiboot_segment){ph.paddr, ph.offset, ph.filesz, ph.memsz};
}

static bool check_elf_header(const struct elf_header *e, char *err)
{
	if (memcmp(e->ident, "\177ELF", 4))
		return FAIL(err, "kernel: it has a Multiboot header without addresses, and is no "
				 "ELF file: build it as one");
	if (e->ident[ELF_CLASS] == ELFCLASS64)
		return FAIL(err, "kernel: a Multiboot kernel in an ELF file of the 64-bit class; "
				 "make a 32-bit one of it with objcopy -O elf32-i386");
	if (e->ident[ELF_CLASS] != ELFCLASS32 || e->ident[ELF_DATA] != ELFDATA2LSB ||
	    e->machine != EM_386)
		return FAIL(err,
			    "kernel: a Multiboot kernel, but for another processor (ELF machine "
			    "%u): build it for i386",
			    e->machine);
	if (e->phentsize != sizeof(struct program_header) || !e->phnum || e->phnum > PHNUM_MAX)
		return FAIL(err,
			    "kernel: its ELF header promises %u program headers of %u bytes: the "
			    "file is damaged, or not linked; build it again",
			    e->phnum, e->phentsize);
	return true;
}

/** The entry point is a virtual address; where the loaded segments are elsewhere in physical
 *  memory, that is where it is. */
static u32 physical_entry(const struct multiboot_plan *plan, const u8 *kernel, u32 entry)
{
	for (unsigned i = 0; i < plan->nr; i++) {
		struct program_header ph = program_header(plan, kernel, i);

		if (ph.type == PT_LOAD && entry >= ph.vaddr && entry - ph.vaddr < ph.memsz)
			return entry - ph.vaddr + ph.paddr;
	}
	return entry;
}

static bool plan_elf(struct multiboot_plan *plan, const u8 *kernel, u64 size, char *err)
{
	struct elf_header e;

	memset(&e, 0, sizeof(e));
	memcpy(&e, kernel, MIN(sizeof(e), size));
	if (!check_elf_header(&e, err))
		return false;
	plan->elf = true;
	plan->phoff = e.phoff;
	plan->nr = e.phnum;
	if (plan->phoff > size || plan->nr * sizeof(struct program_header) > size - plan->phoff)
		return FAIL(err,
			    "kernel: its program headers lie outside the file (at 0x%x of 0x%lx "
			    "bytes): it is cut short; copy it again",
			    plan->phoff, size);
	plan->entry = physical_entry(plan, kernel, e.entry);
	return true;
}

/*
 * The memory.
 */

/** The end of the unbroken run of RAM that holds `gpa`, at most LIMIT; `gpa`: not RAM. */
static u64 ram_end(const struct gmem *gm, u64 gpa)
{
	const struct gmem_slot *s;

	while (gpa < LIMIT && (s = gmem_slot(gm, GPA(gpa))))
		gpa = MIN(s->gpa.v + s->size, LIMIT);
	return gpa;
}

static bool overlap(const struct multiboot_span *s, u64 start, u64 end)
{
	return start < s->end && s->start < end;
}

static bool check_segment(struct multiboot_plan *plan, const struct gmem *gm,
			  const struct multiboot_segment *s, u64 size, char *err)
{
	u64 end = s->gpa + s->memsz;

	if (s->filesz > s->memsz || s->offset > size || s->filesz > size - s->offset)
		return FAIL(err,
			    "kernel: its segment for 0x%lx is 0x%lx bytes at 0x%lx of a file of "
			    "0x%lx: the file is damaged; copy it again",
			    s->gpa, s->filesz, s->offset, size);
	if (ram_end(gm, s->gpa) < end)
		return FAIL(err,
			    "kernel: it wants to be loaded at 0x%lx-0x%lx, where the guest has no "
			    "memory; raise mem=",
			    s->gpa, end);
	if (overlap(&reserved, s->gpa, end))
		return FAIL(err,
			    "kernel: it wants to be loaded at 0x%lx-0x%lx, and 0x%lx-0x%lx is "
			    "reserved on a PC: link it for 1 MiB or above",
			    s->gpa, end, reserved.start, reserved.end);
	plan->kernel.start = MIN(plan->kernel.start, s->gpa);
	plan->kernel.end = MAX(plan->kernel.end, end);
	return true;
}

static bool check_segments(struct multiboot_plan *plan, const struct gmem *gm, const u8 *kernel,
			   u64 size, char *err)
{
	bool entry_inside = false;

	plan->kernel = (struct multiboot_span){LIMIT, 0};
	for (unsigned i = 0; i < plan->nr; i++) {
		struct multiboot_segment s = multiboot_segment(plan, kernel, i);

		if (!s.memsz)
			continue;
		if (!check_segment(plan, gm, &s, size, err))
			return false;
		entry_inside |= plan->entry >= s.gpa && plan->entry - s.gpa < s.memsz;
	}
	if (!entry_inside)
		return FAIL(err,
			    "kernel: its entry point 0x%x is in nothing that it loads: build it "
			    "again",
			    plan->entry);
	return true;
}

/** What is taken already: the PC's own, the kernel, the modules, the information. */
struct taken {
	unsigned nr;
	struct multiboot_span span[2 + MULTIBOOT_MODULES_MAX + 1];
};

static const struct multiboot_span *in_the_way(const struct taken *t, u64 start, u64 end)
{
	for (unsigned i = 0; i < t->nr; i++) {
		if (overlap(&t->span[i], start, end))
			return &t->span[i];
	}
	return NULL;
}

/** The start of the lowest slot above `gpa`, or LIMIT. */
static u64 next_ram(const struct gmem *gm, u64 gpa)
{
	u64 best = LIMIT;

	for (unsigned i = 0; i < gm->nr; i++) {
		if (gm->slot[i].gpa.v > gpa)
			best = MIN(best, gm->slot[i].gpa.v);
	}
	return best;
}

/** Take the first `size` free bytes of RAM from `from` on, page-aligned. 0: there are none. */
static u64 take(struct taken *t, const struct gmem *gm, u64 from, u64 size)
{
	const struct multiboot_span *s;
	u64 at = ALIGN_UP(from, PAGE_SIZE);

	while (at < LIMIT && size <= LIMIT - at) {
		if (ram_end(gm, at) - at < MAX(size, 1))
			at = next_ram(gm, at);
		else if ((s = in_the_way(t, at, at + MAX(size, 1))))
			at = ALIGN_UP(s->end, PAGE_SIZE);
		else {
			t->span[t->nr++] = (struct multiboot_span){at, at + size};
			return at;
		}
	}
	return 0;
}

/** Bytes of a text of two words with a blank between and a zero behind, or more. */
static u64 text_bytes(const char *a, const char *b)
{
	return strlen(a) + strlen(b) + 2;
}

static u64 info_bytes(const struct multiboot_image *img)
{
	u64 bytes = sizeof(struct multiboot_info) + MULTIBOOT_GDT_BYTES +
		    img->nr_modules * sizeof(struct multiboot_mod) +
		    MULTIBOOT_E820_MAX * sizeof(struct multiboot_mmap) +
		    sizeof(MULTIBOOT_LOADER_NAME) + text_bytes(img->path, img->cmdline);

	for (unsigned i = 0; i < img->nr_modules; i++)
		bytes += text_bytes(img->module[i].path, img->module[i].args);
	return bytes;
}

static bool place(struct multiboot_plan *plan, const struct gmem *gm,
		  const struct multiboot_image *img, char *err)
{
	struct taken t = {2, {reserved, plan->kernel}};

	if (img->nr_modules > MULTIBOOT_MODULES_MAX)
		return FAIL(err, "modules: %u are too many: at most %u are possible",
			    img->nr_modules, MULTIBOOT_MODULES_MAX);
	for (unsigned i = 0; i < img->nr_modules; i++) {
		plan->module[i] = take(&t, gm, MAX(plan->kernel.end, MIB(1)), img->module[i].size);
		if (!plan->module[i])
			return FAIL(err,
				    "module %.60s: no room for its %lu KiB above the kernel's end "
				    "at 0x%lx; raise mem=",
				    img->module[i].path,
				    ALIGN_UP(img->module[i].size, KIB(1)) >> 10, plan->kernel.end);
	}
	plan->info_bytes = info_bytes(img);
	plan->info = take(&t, gm, MULTIBOOT_INFO_FROM, plan->info_bytes);
	if (!plan->info)
		return FAIL(err, "kernel: no room for the boot information beside it; raise mem=");
	return true;
}

bool multiboot_plan(struct multiboot_plan *plan, const struct gmem *gm,
		    const struct multiboot_image *img, char *err)
{
	struct header h;
	u64 at;

	memset(plan, 0, sizeof(*plan));
	if (!find_header(img->kernel, img->kernel_size, &h, &at))
		return FAIL(err, "kernel: no Multiboot header in its first 8 KiB");
	if (h.flags & WANT_MASK & ~(WANT_PAGE_ALIGN | WANT_MEMORY | WANT_VIDEO))
		return FAIL(err,
			    "kernel: its Multiboot header asks for what nobody has defined (flags "
			    "0x%x): build it with flags 0 to 7",
			    h.flags);
	if (h.flags & HAS_ADDRESSES ? !plan_addresses(plan, &h, at, img->kernel_size, err)
				    : !plan_elf(plan, img->kernel, img->kernel_size, err))
		return false;
	return check_segments(plan, gm, img->kernel, img->kernel_size, err) &&
	       place(plan, gm, img, err);
}

bool multiboot_check(const struct multiboot_image *img, u64 mem, char *err)
{
	struct gmem paper = {.nr = 0}; /* memory to plan with, not to touch */
	struct multiboot_plan plan;

	gmem_add(&paper, GPA(0), ALIGN_DOWN(MIN(mem, LIMIT), PAGE_SIZE), HPA(0), NULL);
	return multiboot_plan(&plan, &paper, img, err);
}
