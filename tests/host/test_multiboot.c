/* SPDX-License-Identifier: MIT */
/* The Multiboot loader: kernels built here by hand, by the offsets of the Multiboot Specification
 * 0.6.96 and of the ELF specification, loaded into a small memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/multiboot.h"
#include "guest/pc.h"

#define RAM_SIZE MIB(16)
#define FILE_SIZE 0x6000u

/* Where things are in the ELF file built below. */
enum { PH = 0x40, HEADER = 0x400, TEXT = 0x1000, TEXT_SIZE = 0x2345, DATA = 0x4000 };

/* Offsets in ELF's headers. */
enum {
	E_CLASS = 4,
	E_DATA = 5,
	E_MACHINE = 18,
	E_ENTRY = 24,
	E_PHOFF = 28,
	E_PHENTSIZE = 42,
	E_PHNUM = 44,
	P_TYPE = 0,
	P_OFFSET = 4,
	P_VADDR = 8,
	P_PADDR = 12,
	P_FILESZ = 16,
	P_MEMSZ = 20,
};

struct fixture {
	u8 file[FILE_SIZE];
	u8 *ram;
	struct gmem gm;
	struct multiboot_module module[MULTIBOOT_MODULES_MAX + 1];
	struct multiboot_image img;
	struct multiboot_entry entry;
	char err[MULTIBOOT_ERROR_MAX];
};

static void put(u8 *p, u64 value, unsigned bytes)
{
	memcpy(p, &value, bytes);
}

static u32 get(const u8 *p)
{
	u32 value;

	memcpy(&value, p, 4);
	return value;
}

static void put_header(u8 *p, u32 flags)
{
	put(p, 0x1badb002, 4);
	put(p + 4, flags, 4);
	put(p + 8, -(0x1badb002 + flags), 4);
}

static void put_segment(u8 *ph, u32 type, u32 offset, u32 paddr, u32 filesz, u32 memsz)
{
	put(ph + P_TYPE, type, 4);
	put(ph + P_OFFSET, offset, 4);
	put(ph + P_VADDR, paddr, 4);
	put(ph + P_PADDR, paddr, 4);
	put(ph + P_FILESZ, filesz, 4);
	put(ph + P_MEMSZ, memsz, 4);
}

/** Text at 4 MiB, a note, data at 5 MiB with a bss behind it. */
static void build_elf(u8 *f)
{
	for (unsigned i = 0; i < FILE_SIZE; i++)
		f[i] = (u8)(i * 7 + i / 256);
	memset(f, 0, HEADER);
	memcpy(f, "\177ELF\1\1\1", 7);
	put(f + 16, 2, 2);
	put(f + E_MACHINE, 3, 2);
	put(f + E_ENTRY, 0x400010, 4);
	put(f + E_PHOFF, PH, 4);
	put(f + E_PHENTSIZE, 32, 2);
	put(f + E_PHNUM, 3, 2);
	put_segment(f + PH, 1, TEXT, 0x400000, TEXT_SIZE, TEXT_SIZE);
	put_segment(f + PH + 32, 4, 0xffffff00, 0xfffff000, 0x100000, 0x100000);
	put_segment(f + PH + 64, 1, DATA, 0x500000, 0x800, 0x12345);
	put_header(f + HEADER, 3);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	build_elf(x->file);
	x->ram = aligned_alloc(PAGE_SIZE, RAM_SIZE);
	memset(x->ram, 0xcc, RAM_SIZE); /* left over from before */
	gmem_add(&x->gm, GPA(0), RAM_SIZE, HPA(0), x->ram);
	x->img = (struct multiboot_image){.kernel = x->file,
					  .kernel_size = FILE_SIZE,
					  .path = "\\boot\\test.flat",
					  .cmdline = "one \\two=3",
					  .module = x->module};
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	free(x->ram);
	free(x);
	return 0;
}

static bool load(struct fixture *x)
{
	return multiboot_load(&x->gm, &x->img, &x->entry, x->err);
}

static void loads(struct fixture *x)
{
	if (!load(x))
		fail_msg("refused: %s", x->err);
	assert_true(multiboot_check(&x->img, RAM_SIZE, x->err));
}

/* Both the check and the load refuse, and the sentence names this. */
static void refused(struct fixture *x, const char *words)
{
	for (int i = 0; i < 2; i++) {
		memset(x->err, 0, sizeof(x->err));
		assert_false(i ? load(x) : multiboot_check(&x->img, RAM_SIZE, x->err));
		if (!strstr(x->err, words))
			fail_msg("'%s' does not say '%s'", x->err, words);
		assert_true(strlen(x->err) < sizeof(x->err) - 1); /* not cut */
	}
}

static const u8 *info(const struct fixture *x)
{
	return x->ram + x->entry.ebx;
}

static const char *text(const struct fixture *x, u32 gpa)
{
	return (const char *)x->ram + gpa;
}

static bool is_kernel(struct fixture *x)
{
	return multiboot_kernel(x->img.kernel, x->img.kernel_size);
}

static void headers(void **state)
{
	struct fixture *x = *state;
	u8 *f = x->file;

	assert_true(is_kernel(x));
	put(f + HEADER + 8, 0, 4); /* a wrong checksum */
	assert_false(is_kernel(x));
	refused(x, "no Multiboot header");
	put_header(f + HEADER + 2, 3); /* not on a multiple of 4 */
	assert_false(is_kernel(x));
	build_elf(f);
	memset(f + HEADER, 0, 12);
	put_header(f + 8192 - 12, 3); /* the last place, and one too far */
	assert_true(is_kernel(x));
	memset(f + 8192 - 12, 0, 12);
	put_header(f + 8192 - 8, 3);
	assert_false(is_kernel(x));
	build_elf(f);
	put(f + 0x202, 0x53726448, 4); /* HdrS: a bzImage */
	assert_false(is_kernel(x));
	f[0x202] = 0;
	assert_true(is_kernel(x));
}

static void short_files(void **state)
{
	struct fixture *x = *state;

	for (u64 size = 0; size < 64; size++) {
		u8 *copy = malloc(size ? size : 1); /* ASan sees a step beyond it */

		memset(copy, 0, size);
		if (size >= 12)
			put_header(copy + ALIGN_DOWN(size - 12, 4), 0);
		x->img.kernel = copy;
		x->img.kernel_size = size;
		assert_int_equal(is_kernel(x), size >= 12);
		refused(x, size < 12 ? "no Multiboot header" : "is no ELF file");
		free(copy);
	}
	/* Address fields must be in the file, and in its first 8 KiB, too. */
	x->img.kernel = x->file;
	put_header(x->file + HEADER, 0x10000);
	x->img.kernel_size = HEADER + 31;
	assert_false(is_kernel(x));
	x->img.kernel_size++;
	assert_true(is_kernel(x));
	x->img.kernel_size = FILE_SIZE;
	memset(x->file + HEADER, 0, 12);
	put_header(x->file + 8192 - 28, 0x10000);
	assert_false(is_kernel(x));
}

static void unfit_kernels(void **state)
{
	struct fixture *x = *state;

	put_header(x->file + HEADER, 0xb);
	refused(x, "flags 0xb");
	put_header(x->file + HEADER, 0x8000);
	refused(x, "flags 0x8000");
	put_header(x->file + HEADER, 0xfffe0007); /* a video mode, and flags a loader may ignore */
	loads(x);
	x->file[E_CLASS] = 2;
	refused(x, "64-bit class; make a 32-bit one of it with objcopy -O elf32-i386");
	x->file[E_CLASS] = 1;
	x->file[E_DATA] = 2;
	refused(x, "another processor");
	x->file[E_DATA] = 1;
	x->file[E_MACHINE] = 62;
	refused(x, "ELF machine 62");
	x->file[E_MACHINE] = 3;
	x->file[E_PHENTSIZE] = 31;
	refused(x, "3 program headers of 31 bytes");
	x->file[E_PHENTSIZE] = 32;
	x->file[E_PHNUM] = 0;
	refused(x, "0 program headers");
	put(x->file + E_PHNUM, 257, 2);
	refused(x, "257 program headers");
	put(x->file + E_PHNUM, 3, 2);
	x->file[1] = 'e';
	refused(x, "is no ELF file");
}

static void cut_files(void **state)
{
	struct fixture *x = *state;

	put(x->file + E_PHOFF, FILE_SIZE - 95, 4);
	refused(x, "program headers lie outside");
	put(x->file + E_PHOFF, 0xffffffe0, 4);
	refused(x, "program headers lie outside");
	put(x->file + E_PHOFF, PH, 4);
	x->img.kernel_size = DATA + 0x800;
	loads(x);
	x->img.kernel_size--;
	refused(x, "0x800 bytes at 0x4000 of a file of 0x47ff");
	x->img.kernel_size = FILE_SIZE;
	put(x->file + PH + P_OFFSET, 0xfffff000, 4);
	refused(x, "bytes at 0xfffff000");
	put(x->file + PH + P_OFFSET, TEXT, 4);
	put(x->file + PH + P_MEMSZ, TEXT_SIZE - 1, 4);
	refused(x, "is 0x2345 bytes");
	put(x->file + PH + P_FILESZ, 0xffffffff, 4);
	put(x->file + PH + P_MEMSZ, 0xffffffff, 4);
	refused(x, "is 0xffffffff bytes");
}

static void segments_in_their_places(void **state)
{
	struct fixture *x = *state;

	loads(x);
	assert_int_equal(x->entry.eip, 0x400010);
	assert_memory_equal(x->ram + 0x400000, x->file + TEXT, TEXT_SIZE);
	assert_int_equal(x->ram[0x400000 + TEXT_SIZE], 0xcc);
	assert_int_equal(x->ram[0x3fffff], 0xcc);
	assert_memory_equal(x->ram + 0x500000, x->file + DATA, 0x800);
	for (u32 at = 0x500800; at < 0x512345; at++)
		assert_int_equal(x->ram[at], 0);
	assert_int_equal(x->ram[0x512345], 0xcc);
	assert_int_equal(x->ram[0], 0xcc);
}

/** The kernel's end is the highest, not the last. */
static void segments_in_any_order(void **state)
{
	struct fixture *x = *state;

	put_segment(x->file + PH + 64, 1, DATA, 0x300000, 0x800, 0x800);
	x->module[0] = (struct multiboot_module){x->file, 1, "\\m", ""};
	x->img.nr_modules = 1;
	loads(x);
	assert_memory_equal(x->ram + 0x400000, x->file + TEXT, TEXT_SIZE);
	assert_int_equal(get(x->ram + get(info(x) + 24)), 0x403000);
}

static void entry_points(void **state)
{
	struct fixture *x = *state;

	/* Linked high, loaded low. */
	put(x->file + PH + P_VADDR, 0xc0400000, 4);
	put(x->file + E_ENTRY, 0xc0400010, 4);
	loads(x);
	assert_int_equal(x->entry.eip, 0x400010);
	put(x->file + E_ENTRY, 0xc0400000 + TEXT_SIZE - 1, 4);
	loads(x);
	put(x->file + E_ENTRY, 0xc0400000 + TEXT_SIZE, 4);
	refused(x, "entry point 0xc0402345 is in nothing");
	put(x->file + E_ENTRY, 0x512344, 4); /* in the bss, as far as a loader can tell */
	loads(x);
	put(x->file + E_ENTRY, 0x512345, 4);
	refused(x, "entry point 0x512345");
	put(x->file + PH + P_TYPE, 0, 4);
	put(x->file + PH + 64 + P_TYPE, 0, 4);
	refused(x, "is in nothing");
}

static void kernels_out_of_place(void **state)
{
	struct fixture *x = *state;
	u8 *text_segment = x->file + PH;

	put(x->file + PH + 64 + P_PADDR, RAM_SIZE - 0x12345, 4);
	loads(x);
	put(x->file + PH + 64 + P_PADDR, RAM_SIZE - 0x12344, 4);
	refused(x, "at 0xfedcbc-0x1000001, where the guest has no memory");
	put(x->file + PH + 64 + P_PADDR, 0xffffff00, 4);
	refused(x, "no memory");
	put(x->file + PH + 64 + P_PADDR, 0x500000, 4);
	put(text_segment + P_PADDR, 0x9fc00 - TEXT_SIZE, 4);
	put(x->file + E_ENTRY, 0x9d900, 4);
	put(text_segment + P_VADDR, 0x9fc00 - TEXT_SIZE, 4);
	loads(x);
	put(text_segment + P_PADDR, 0x9fc01 - TEXT_SIZE, 4);
	refused(x, "0x9fc00-0x100000 is reserved");
	put(text_segment + P_PADDR, 0xfffff, 4);
	refused(x, "is reserved");
	put(text_segment + P_PADDR, 0x100000, 4);
	put(text_segment + P_VADDR, 0x100000, 4);
	put(x->file + E_ENTRY, 0x100000, 4);
	loads(x);
	/* Nobody has RAM up there for it. */
	gmem_add(&x->gm, GPA(0xfffff000), PAGE_SIZE, HPA(0), x->ram);
	put(text_segment + P_PADDR, 0xfffff000, 4);
	put(text_segment + P_FILESZ, 8, 4);
	put(text_segment + P_MEMSZ, 8, 4);
	refused(x, "no memory");
}

/** The file as a flat binary that begins at `load`, its header at HEADER. */
static void by_addresses(struct fixture *x, u32 load, u32 load_end, u32 bss_end, u32 entry)
{
	put_header(x->file + HEADER, 0x10003);
	put(x->file + HEADER + 12, load + HEADER, 4);
	put(x->file + HEADER + 16, load, 4);
	put(x->file + HEADER + 20, load_end, 4);
	put(x->file + HEADER + 24, bss_end, 4);
	put(x->file + HEADER + 28, entry, 4);
}

static void address_fields(void **state)
{
	struct fixture *x = *state;

	/* The ELF header is there, and does not count. */
	by_addresses(x, 0x200000, 0x200000 + 0x5000, 0x210000, 0x200500);
	loads(x);
	assert_int_equal(x->entry.eip, 0x200500);
	assert_memory_equal(x->ram + 0x200000, x->file, 0x5000);
	for (u32 at = 0x205000; at < 0x210000; at++)
		assert_int_equal(x->ram[at], 0);
	assert_int_equal(x->ram[0x210000], 0xcc);
	/* 0: the whole file, and no bss. */
	by_addresses(x, 0x300000, 0, 0, 0x300500);
	x->file[1] = 'e';
	loads(x);
	assert_memory_equal(x->ram + 0x300000, x->file, FILE_SIZE);
	assert_int_equal(x->ram[0x300000 + FILE_SIZE], 0xcc);
	/* A part of the file: the segment begins before the header, in the midst of the file. */
	by_addresses(x, 0x200000, 0, 0, 0x200500);
	put(x->file + HEADER + 12, 0x200100, 4);
	loads(x);
	assert_memory_equal(x->ram + 0x200000, x->file + HEADER - 0x100,
			    FILE_SIZE - HEADER + 0x100);
	/* At least the header itself. */
	put(x->file + HEADER + 12, 0x200000, 4);
	put(x->file + HEADER + 28, 0x200000, 4);
	loads(x);
	assert_int_equal(get(x->ram + 0x200000), 0x1badb002);
}

static void wrong_addresses(void **state)
{
	struct fixture *x = *state;

	by_addresses(x, 0x200000, 0, 0, 0x200500);
	put(x->file + HEADER + 12, 0x200000 + HEADER + 1, 4);
	refused(x, "would have to begin earlier");
	put(x->file + HEADER + 12, 0x1fffff, 4);
	refused(x, "would have to begin earlier");
	by_addresses(x, 0x200000, 0x200000 + FILE_SIZE, 0, 0x200500);
	loads(x);
	by_addresses(x, 0x200000, 0x200001 + FILE_SIZE, 0, 0x200500);
	refused(x, "wants 0x200000-0x206001 loaded, and the file has 0x6000");
	/* Of a segment that begins at byte 0x300 of the file. */
	by_addresses(x, 0x200000, 0x200000 + FILE_SIZE - 0x300, 0, 0x200500);
	put(x->file + HEADER + 12, 0x200100, 4);
	loads(x);
	put(x->file + HEADER + 20, 0x200001 + FILE_SIZE - 0x300, 4);
	refused(x, "wants 0x200000-0x205d01 loaded, and the file has 0x5d00");
	by_addresses(x, 0x200000, 0x1fffff, 0, 0x200500);
	refused(x, "loaded, and the file has");
	by_addresses(x, 0x200000, 0x201000, 0x200fff, 0x200500);
	refused(x, "ends the bss at 0x200fff");
	by_addresses(x, 0x200000, 0x201000, 0x202000, 0x202000);
	refused(x, "entry point 0x202000");
	by_addresses(x, 0x200000, 0x201000, 0xfffffff0, 0x200500);
	refused(x, "no memory");
	by_addresses(x, 0xfffff000, 0, 0, 0xfffff000);
	refused(x, "no memory");
}

static void the_information(void **state)
{
	struct fixture *x = *state;
	struct e820_entry e820[32];
	unsigned nr, flags;
	const u8 *m;

	loads(x);
	assert_int_equal(x->entry.ebx, 0x9000);
	flags = get(info(x));
	assert_int_equal(flags, 0x1 | 0x4 | 0x8 | 0x40 | 0x200);
	assert_int_equal(get(info(x) + 4), 639);
	assert_int_equal(get(info(x) + 8), (RAM_SIZE >> 10) - 1024);
	assert_string_equal(text(x, get(info(x) + 16)), "/boot/test.flat one \\two=3");
	assert_int_equal(get(info(x) + 20), 0);
	assert_string_equal(text(x, get(info(x) + 64)), "Tallyvisor");
	for (unsigned at = 68; at < 116; at++)
		assert_int_equal(info(x)[at], 0);
	nr = e820_build(&x->gm, e820, 32);
	assert_int_equal(get(info(x) + 44), nr * 24);
	m = x->ram + get(info(x) + 48);
	for (unsigned i = 0; i < nr; i++, m += 24) {
		assert_int_equal(get(m), 20);
		assert_memory_equal(m + 4, &e820[i], 20);
	}
	x->img.cmdline = ""; /* then not even a blank */
	loads(x);
	assert_string_equal(text(x, get(info(x) + 16)), "/boot/test.flat");
}

static void processor_state(void **state)
{
	struct fixture *x = *state;
	u64 descriptor;

	loads(x);
	assert_int_equal(x->entry.eax, 0x2badb002);
	assert_true(x->entry.gdt_limit >= x->entry.ds + 7);
	assert_int_equal(get(x->ram + x->entry.gdt_base), 0);
	memcpy(&descriptor, x->ram + x->entry.gdt_base + x->entry.cs, 8);
	assert_true(descriptor == 0x00cf9b000000ffff);
	memcpy(&descriptor, x->ram + x->entry.gdt_base + x->entry.ds, 8);
	assert_true(descriptor == 0x00cf93000000ffff);
}

static void modules(void **state)
{
	struct fixture *x = *state;
	u8 *bytes = malloc(0x3001);
	const u8 *mods;

	memset(bytes, 0x5a, 0x3001);
	x->module[0] = (struct multiboot_module){bytes, 0x1001, "\\initrd.img", ""};
	x->module[1] = (struct multiboot_module){bytes, 0x1000, "\\a\\b", "c \\d"};
	x->module[2] = (struct multiboot_module){bytes, 0x3001, "\\e", "f"};
	x->img.nr_modules = 3;
	loads(x);
	assert_int_equal(get(info(x) + 20), 3);
	assert_int_equal(get(info(x) + 24) % 4, 0);
	mods = x->ram + get(info(x) + 24);
	/* The first pages above the kernel, one behind the other. */
	assert_int_equal(get(mods), 0x513000);
	assert_int_equal(get(mods + 4), 0x514001);
	assert_int_equal(get(mods + 16), 0x515000);
	assert_int_equal(get(mods + 20), 0x516000);
	assert_int_equal(get(mods + 32), 0x516000);
	assert_int_equal(get(mods + 36), 0x519001);
	for (unsigned i = 0; i < 3; i++) {
		assert_memory_equal(x->ram + get(mods + 16 * i), bytes, x->module[i].size);
		assert_int_equal(get(mods + 16 * i + 12), 0);
	}
	assert_int_equal(x->ram[0x514001], 0xcc);
	assert_string_equal(text(x, get(mods + 8)), "/initrd.img");
	assert_string_equal(text(x, get(mods + 24)), "/a/b c \\d");
	assert_string_equal(text(x, get(mods + 40)), "/e f");
	free(bytes);
}

static void modules_without_room(void **state)
{
	struct fixture *x = *state;
	u8 *bytes = calloc(1, RAM_SIZE);

	x->module[0] = (struct multiboot_module){bytes, RAM_SIZE - 0x513000, "\\m", ""};
	x->img.nr_modules = 1;
	loads(x);
	x->module[0].size++;
	refused(x, "module \\m: no room for its 11189 KiB above the kernel's end at 0x512345");
	x->module[0].size = ~0ull;
	refused(x, "no room");
	x->module[0].size = RAM_SIZE - 0x513000;
	x->module[1] = (struct multiboot_module){bytes, 1, "\\n", ""};
	x->img.nr_modules = 2;
	refused(x, "module \\n");
	for (unsigned i = 0; i <= MULTIBOOT_MODULES_MAX; i++)
		x->module[i] = (struct multiboot_module){bytes, 1, "\\m", ""};
	x->img.nr_modules = MULTIBOOT_MODULES_MAX;
	loads(x);
	x->img.nr_modules++;
	refused(x, "17 are too many");
	free(bytes);
}

/** The information moves out of the kernel's way, and its pieces stay off it. */
static void information_elsewhere(void **state)
{
	struct fixture *x = *state;
	char line[0x3000];

	/* A small kernel at 16 KiB, as real-mode tests are: up to 0x9001. */
	put_segment(x->file + PH, 1, TEXT, 0x4000, 0x1000, 0x5001);
	put(x->file + PH + 64 + P_TYPE, 0, 4);
	put(x->file + E_ENTRY, 0x4000, 4);
	loads(x);
	assert_int_equal(x->entry.ebx, 0xa000);
	put(x->file + PH + P_MEMSZ, 0x5000, 4);
	loads(x);
	assert_int_equal(x->entry.ebx, 0x9000);
	x->module[0] = (struct multiboot_module){x->file, 1, "\\m", ""};
	x->img.nr_modules = 1;
	loads(x); /* modules are above 1 MiB nevertheless */
	assert_int_equal(get(x->ram + get(info(x) + 24)), 0x100000);
	x->img.nr_modules = 0;
	/* Up to the last page below the reserved part, whose room is too small for a long line. */
	put(x->file + PH + P_MEMSZ, 0x9e000 - 0x4000, 4);
	loads(x);
	assert_int_equal(x->entry.ebx, 0x9e000);
	memset(line, 'x', sizeof(line));
	line[0x2fff] = 0;
	x->img.cmdline = line;
	loads(x);
	assert_int_equal(x->entry.ebx, 0x100000);
	assert_string_equal(text(x, get(info(x) + 16)) + 16, line);
	/* Below and above 1 MiB: behind all of it, and behind the module. */
	put_segment(x->file + PH + 32, 1, TEXT, 0x100000, 1, 1);
	x->img.nr_modules = 1;
	loads(x);
	assert_int_equal(get(x->ram + get(info(x) + 24)), 0x101000);
	assert_int_equal(x->entry.ebx, 0x102000);
}

static void memory_in_pieces(void **state)
{
	struct fixture *x = *state;
	u8 bytes[0x1800];

	/* 0-6 MiB in two slots that meet inside the text; a hole; one page at 7 MiB; a hole; 8-9.
	 */
	memset(bytes, 0x5a, sizeof(bytes));
	x->gm.nr = 0;
	gmem_add(&x->gm, GPA(0x800000), MIB(1), HPA(0), x->ram + 0x800000);
	gmem_add(&x->gm, GPA(0x401000), 0x600000 - 0x401000, HPA(0), x->ram + 0x401000);
	gmem_add(&x->gm, GPA(0x700000), PAGE_SIZE, HPA(0), x->ram + 0x700000);
	gmem_add(&x->gm, GPA(0), 0x401000, HPA(0), x->ram);
	put(x->file + PH + 64 + P_PADDR, 0x600000 - 0x12345, 4);
	x->module[0] = (struct multiboot_module){bytes, sizeof(bytes), "\\m", ""};
	x->module[1] = (struct multiboot_module){bytes, 0x1000, "\\n", ""};
	x->img.nr_modules = 2;
	assert_true(load(x));
	assert_memory_equal(x->ram + 0x400000, x->file + TEXT, TEXT_SIZE);
	assert_int_equal(get(info(x) + 8), 0x600000 / 1024 - 1024);
	assert_int_equal(get(x->ram + get(info(x) + 24)), 0x800000);
	assert_int_equal(get(x->ram + get(info(x) + 24) + 16), 0x700000);
	assert_memory_equal(x->ram + 0x800000, bytes, sizeof(bytes));
	put(x->file + PH + 64 + P_PADDR, 0x600000 - 0x12344, 4);
	assert_false(load(x)); /* over the edge */
	x->gm.nr = 0;
	assert_false(load(x));
	/* All the RAM there is for the kernel: no place for what goes with it. */
	gmem_add(&x->gm, GPA(0x400000), 0x3000, HPA(0), x->ram + 0x400000);
	put(x->file + PH + 64 + P_TYPE, 0, 4);
	x->img.nr_modules = 0;
	assert_false(load(x));
	assert_non_null(strstr(x->err, "no room for the boot information"));
}

/** The check before the memory is there says what the load says, for memory of any size. */
static void memory_on_paper(void **state)
{
	struct fixture *x = *state;

	assert_true(multiboot_check(&x->img, 0x513000, x->err));
	assert_false(multiboot_check(&x->img, 0x512000, x->err));
	assert_true(multiboot_check(&x->img, GIB(64), x->err));
	put(x->file + PH + 64 + P_PADDR, GIB(3) - 0x1000, 4);
	assert_false(multiboot_check(&x->img, GIB(64), x->err));
	put(x->file + PH + 64 + P_MEMSZ, 0x1000, 4);
	assert_true(multiboot_check(&x->img, GIB(64), x->err));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(headers),
		TEST(short_files),
		TEST(unfit_kernels),
		TEST(cut_files),
		TEST(segments_in_their_places),
		TEST(segments_in_any_order),
		TEST(entry_points),
		TEST(kernels_out_of_place),
		TEST(address_fields),
		TEST(wrong_addresses),
		TEST(the_information),
		TEST(processor_state),
		TEST(modules),
		TEST(modules_without_room),
		TEST(information_elsewhere),
		TEST(memory_in_pieces),
		TEST(memory_on_paper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
