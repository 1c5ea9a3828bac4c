/* SPDX-License-Identifier: MIT */
/*
 * The headers of the core's ELF file ("ELF-64 Object File Format", and the System V ABI's AMD64
 * supplement). The file is a part of tallyvisor.efi, so a fault in it is a fault of the build or of
 * the copy: it is found here, not by a jump into nowhere.
 */
#include "boot/core_elf.h"

#include "boot_info.h"
#include "lib/fmt.h"
#include "lib/mem.h"

#define ELF_MAGIC 0x464c457fu /* "\x7f" "ELF" */
#define ELFCLASS64 2
#define ELFDATA2LSB 1
#define ET_EXEC 2
#define EM_X86_64 62
#define PT_LOAD 1
#define PF_X 1
#define PF_W 2

struct elf64_header {
	u32 magic;
	u8 class, data, version, pad[9];
	u16 type, machine;
	u32 version2;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf64_header) == 64, "");

struct elf64_program_header {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf64_program_header) == 56, "");

static bool refuse(char *err, const char *fault)
{
	fmt_snprintf(err, CORE_ERROR_MAX,
		     "the core inside this tallyvisor.efi %s: copy or build it anew", fault);
	return false;
}

static bool parse_header(const u8 *file, u64 size, struct elf64_header *h, char *err)
{
	if (size < sizeof(*h))
		return refuse(err, "is truncated");
	memcpy(h, file, sizeof(*h));
	if (h->magic != ELF_MAGIC || h->class != ELFCLASS64 || h->data != ELFDATA2LSB ||
	    h->type != ET_EXEC || h->machine != EM_X86_64 ||
	    h->phentsize != sizeof(struct elf64_program_header))
		return refuse(err, "is no ELF64 executable for x86-64");
	if (h->phoff > size || h->phnum > (size - h->phoff) / h->phentsize)
		return refuse(err, "is truncated");
	return true;
}

static bool add_segment(struct core_elf *out, const u8 *file, u64 size,
			const struct elf64_program_header *p, char *err)
{
	struct core_segment *s = &out->segment[out->nr_segments];

	if (out->nr_segments == CORE_MAX_SEGMENTS)
		return refuse(err, "has too many segments");
	if (p->offset > size || p->filesz > size - p->offset || p->filesz > p->memsz)
		return refuse(err, "is truncated");
	if (p->vaddr < CORE_BASE || p->vaddr - CORE_BASE >= CORE_SPAN_MAX ||
	    p->memsz > CORE_SPAN_MAX - (p->vaddr - CORE_BASE))
		return refuse(err, "has a segment outside its address range");
	if (p->vaddr & (PAGE_SIZE - 1))
		return refuse(err, "has a segment that begins within a page");
	if (p->vaddr - CORE_BASE < out->span)
		return refuse(err, "has segments that overlap or are out of order");
	if ((p->flags & (PF_W | PF_X)) == (PF_W | PF_X))
		return refuse(err, "has a segment that is both writable and executable");

	*s = (struct core_segment){
		.offset = p->vaddr - CORE_BASE,
		.memsz = p->memsz,
		.filesz = p->filesz,
		.bytes = file + p->offset,
		.writable = p->flags & PF_W,
		.executable = p->flags & PF_X,
	};
	out->span = ALIGN_UP(s->offset + s->memsz, PAGE_SIZE);
	out->nr_segments++;
	return true;
}

static bool entry_is_executable(const struct core_elf *elf)
{
	for (unsigned i = 0; i < elf->nr_segments; i++) {
		const struct core_segment *s = &elf->segment[i];

		if (s->executable && elf->entry >= CORE_BASE + s->offset &&
		    elf->entry - CORE_BASE - s->offset < s->memsz)
			return true;
	}
	return false;
}

bool core_elf_parse(const u8 *file, u64 size, struct core_elf *out, char *err)
{
	struct elf64_header h;
	struct elf64_program_header p;

	memset(out, 0, sizeof(*out));
	if (!parse_header(file, size, &h, err))
		return false;
	for (unsigned i = 0; i < h.phnum; i++) {
		memcpy(&p, file + h.phoff + i * sizeof(p), sizeof(p));
		if (p.type == PT_LOAD && p.memsz && !add_segment(out, file, size, &p, err))
			return false;
	}
	out->entry = h.entry;
	if (!entry_is_executable(out))
		return refuse(err, "has no code at its entry point");
	return true;
}
