/* SPDX-License-Identifier: MIT */
/* Tests of the files in boot/ that never see the firmware: the core's ELF headers, the arithmetic
 * on memory maps, and LoadOptions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/core_elf.h"
#include "boot/load_options.h"
#include "boot/memmap.h"

/* ---- the core's ELF file ---- */

#define ELF_BYTES 0x3000
#define PH(i, field) (64 + 56 * (i) + (field))
enum { P_TYPE = 0, P_FLAGS = 4, P_OFFSET = 8, P_VADDR = 16, P_FILESZ = 32, P_MEMSZ = 40 };
enum { E_CLASS = 4, E_TYPE = 16, E_MACHINE = 18, E_ENTRY = 24, E_PHOFF = 32, E_PHNUM = 56 };
enum { R = 4, RW = 6, RX = 5, RWX = 7 };

static void put(u8 *file, size_t at, u64 value, size_t size)
{
	memcpy(file + at, &value, size);
}

static void put_segment(u8 *file, unsigned i, u64 flags, u64 offset, u64 vaddr, u64 filesz,
			u64 memsz)
{
	put(file, PH(i, P_TYPE), 1, 4);
	put(file, PH(i, P_FLAGS), flags, 4);
	put(file, PH(i, P_OFFSET), offset, 8);
	put(file, PH(i, P_VADDR), vaddr, 8);
	put(file, PH(i, P_FILESZ), filesz, 8);
	put(file, PH(i, P_MEMSZ), memsz, 8);
}

/** Text, constants, data with bss, a hole, a stack: as linker.ld makes it. */
static u8 *sample_elf(void)
{
	static const u8 ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	u8 *file = calloc(1, ELF_BYTES);

	memcpy(file, ident, sizeof(ident));
	put(file, E_TYPE, 2, 2);
	put(file, E_MACHINE, 62, 2);
	put(file, E_ENTRY, CORE_BASE + 0x10, 8);
	put(file, E_PHOFF, 64, 8);
	put(file, 54, 56, 2);
	put(file, E_PHNUM, 4, 2);
	put_segment(file, 0, RX, 0x1000, CORE_BASE, 0x800, 0x800);
	put_segment(file, 1, R, 0x2000, CORE_BASE + 0x1000, 0x10, 0x10);
	put_segment(file, 2, RW, 0x2100, CORE_BASE + 0x2000, 0x40, 0x5001);
	put_segment(file, 3, RW, 0, CORE_BASE + 0x9000, 0, 0x2000);
	return file;
}

static void test_elf_good(void **state)
{
	u8 *file = sample_elf();
	struct core_elf elf;
	char err[CORE_ERROR_MAX];

	(void)state;
	assert_true(core_elf_parse(file, ELF_BYTES, &elf, err));
	assert_int_equal(elf.entry, CORE_BASE + 0x10);
	assert_int_equal(elf.span, 0xb000);
	assert_int_equal(elf.nr_segments, 4);
	assert_true(elf.segment[0].executable && !elf.segment[0].writable);
	assert_false(elf.segment[1].executable || elf.segment[1].writable);
	assert_true(elf.segment[2].writable && !elf.segment[2].executable);
	assert_int_equal(elf.segment[2].offset, 0x2000);
	assert_int_equal(elf.segment[2].filesz, 0x40);
	assert_int_equal(elf.segment[2].memsz, 0x5001);
	assert_ptr_equal(elf.segment[2].bytes, file + 0x2100);

	/* Other headers and empty segments are passed over. */
	put(file, PH(1, P_TYPE), 4, 4);
	put(file, PH(3, P_MEMSZ), 0, 8);
	assert_true(core_elf_parse(file, ELF_BYTES, &elf, err));
	assert_int_equal(elf.nr_segments, 2);
	assert_int_equal(elf.span, 0x8000);
	free(file);
}

static void test_elf_bad(void **state)
{
	static const struct {
		size_t at;
		u64 value;
		size_t size;
		const char *fault;
	} row[] = {
		{0, 0, 1, "is no ELF64 executable"},
		{E_CLASS, 1, 1, "is no ELF64 executable"},
		{E_TYPE, 3, 2, "is no ELF64 executable"},
		{E_MACHINE, 3, 2, "is no ELF64 executable"},
		{54, 32, 2, "is no ELF64 executable"},
		{E_PHOFF, ELF_BYTES + 1, 8, "is truncated"},
		{E_PHOFF, ~0ull, 8, "is truncated"},
		{E_PHOFF, ELF_BYTES - 56 * 4 + 1, 8, "is truncated"},
		{E_PHNUM, 0xffff, 2, "is truncated"},
		{E_PHNUM, 0, 2, "has no code"},
		{E_ENTRY, CORE_BASE + 0x800, 8, "has no code"},
		{E_ENTRY, CORE_BASE + 0x2000, 8, "has no code"},
		{E_ENTRY, CORE_BASE - 1, 8, "has no code"},
		{PH(0, P_FLAGS), RWX, 4, "both writable and executable"},
		{PH(2, P_OFFSET), ELF_BYTES - 0x3f, 8, "is truncated"},
		{PH(2, P_OFFSET), ~0ull, 8, "is truncated"},
		{PH(2, P_FILESZ), ELF_BYTES, 8, "is truncated"},
		{PH(0, P_MEMSZ), 0x7ff, 8, "is truncated"}, /* less than in the file */
		{PH(0, P_VADDR), CORE_BASE - 0x1000, 8, "outside its address range"},
		{PH(3, P_VADDR), CORE_BASE + CORE_SPAN_MAX, 8, "outside its address range"},
		{PH(3, P_MEMSZ), CORE_SPAN_MAX - 0x9000 + 1, 8, "outside its address range"},
		{PH(3, P_MEMSZ), ~0ull, 8, "outside its address range"},
		{PH(2, P_VADDR), CORE_BASE + 0x2800, 8, "begins within a page"},
		{PH(3, P_VADDR), CORE_BASE + 0x7000, 8, "overlap or are out of order"},
	};
	struct core_elf elf;
	char err[CORE_ERROR_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		u8 *file = sample_elf();

		put(file, row[i].at, row[i].value, row[i].size);
		if (core_elf_parse(file, ELF_BYTES, &elf, err))
			fail_msg("row %zu was accepted", i);
		if (!strstr(err, row[i].fault))
			fail_msg("row %zu: \"%s\" instead of \"%s\"", i, err, row[i].fault);
		free(file);
	}
}

static void test_elf_any_length(void **state)
{
	u8 *file = sample_elf();
	struct core_elf elf;
	char err[CORE_ERROR_MAX];

	(void)state;
	/* The data end at 0x2140; ASan watches the copies, each of its own length. */
	for (size_t n = 0; n <= 0x2140; n += n < 400 ? 1 : 61) {
		u8 *copy = malloc(n ? n : 1);

		memcpy(copy, file, n);
		assert_false(core_elf_parse(copy, n, &elf, err));
		free(copy);
	}
	assert_true(core_elf_parse(file, 0x2140, &elf, err));
	free(file);
}

static void test_elf_too_many_segments(void **state)
{
	u8 *file = sample_elf();
	struct core_elf elf;
	char err[CORE_ERROR_MAX];

	(void)state;
	for (unsigned i = 0; i <= CORE_MAX_SEGMENTS; i++)
		put_segment(file, i, RX, 0x1000, CORE_BASE + i * 0x1000, 0x100, 0x100);
	put(file, E_PHNUM, CORE_MAX_SEGMENTS, 2);
	assert_true(core_elf_parse(file, ELF_BYTES, &elf, err));
	put(file, E_PHNUM, CORE_MAX_SEGMENTS + 1, 2);
	assert_false(core_elf_parse(file, ELF_BYTES, &elf, err));
	assert_non_null(strstr(err, "too many segments"));
	free(file);
}

/* ---- guest memory ---- */

static void assert_chunk(const struct boot_blob *chunk, u64 hpa, u64 size)
{
	assert_int_equal(chunk->hpa, hpa);
	assert_int_equal(chunk->size, size);
}

static void test_usable(void **state)
{
	const struct free_range low = {0, MIB(4)}; /* never below 1 MiB */
	const struct free_range free[] = {
		{0, 0xa0000},
		{MIB(1), MIB(3)},		/* 2-4 MiB */
		{MIB(6) + 4096, MIB(4) - 4096}, /* 8-10 MiB */
		{MIB(13), MIB(2)},		/* none */
		{MIB(100), MIB(50) + 4096},	/* 50 MiB */
	};

	(void)state;
	assert_int_equal(memmap_usable(free, ARRAY_SIZE(free)), MIB(54));
	assert_int_equal(memmap_usable(free, 1), 0);
	assert_int_equal(memmap_usable(&low, 1), MIB(2));
}

static void test_pick_largest_first(void **state)
{
	const struct free_range free[] = {
		{MIB(1), MIB(63)}, {MIB(100), MIB(200)}, {MIB(400), MIB(100)}};
	struct boot_blob chunk[BOOT_MAX_GUEST_CHUNKS];

	(void)state;
	assert_int_equal(memmap_pick_guest(free, 3, MIB(64), chunk), 1);
	assert_chunk(&chunk[0], MIB(100), MIB(64));
	assert_int_equal(memmap_pick_guest(free, 3, MIB(200), chunk), 1);
	assert_chunk(&chunk[0], MIB(100), MIB(200));
	assert_int_equal(memmap_pick_guest(free, 3, MIB(362), chunk), 3);
	assert_chunk(&chunk[0], MIB(100), MIB(200));
	assert_chunk(&chunk[1], MIB(400), MIB(100));
	assert_chunk(&chunk[2], MIB(2), MIB(62));
	assert_int_equal(memmap_pick_guest(free, 3, MIB(364), chunk), 0);
	assert_int_equal(memmap_pick_guest(free, 0, MIB(2), chunk), 0);
}

static void test_pick_gigabytes(void **state)
{
	const struct free_range free[] = {{MIB(16), GIB(3) - MIB(116)}, {GIB(4), GIB(2)}};
	struct boot_blob chunk[BOOT_MAX_GUEST_CHUNKS];

	(void)state;
	/* Less than 1 GiB: no reason to look for 1 GiB pages, and the largest piece is as good. */
	assert_int_equal(memmap_pick_guest(free, 2, MIB(512), chunk), 1);
	assert_chunk(&chunk[0], MIB(16), MIB(512));
	/* The aligned part of the first range is shorter than the second range. */
	assert_int_equal(memmap_pick_guest(free, 2, MIB(1536), chunk), 1);
	assert_chunk(&chunk[0], GIB(4), MIB(1536));
	assert_int_equal(memmap_pick_guest(free, 2, GIB(4), chunk), 3);
	assert_chunk(&chunk[0], GIB(4), GIB(2));
	assert_chunk(&chunk[1], GIB(1), GIB(2) - MIB(100));
	assert_chunk(&chunk[2], MIB(16), MIB(100));
}

static void test_pick_gives_alignment_up(void **state)
{
	struct free_range free[BOOT_MAX_GUEST_CHUNKS];
	struct boot_blob chunk[BOOT_MAX_GUEST_CHUNKS];
	u64 want = 0;

	(void)state;
	/* Eight ranges, all wanted whole: an aligned piece of any would make nine. */
	for (unsigned i = 0; i < BOOT_MAX_GUEST_CHUNKS; i++) {
		free[i] = (struct free_range){GIB(4 * i + 4) - MIB(2), GIB(1) + MIB(2)};
		want += free[i].size;
	}
	assert_int_equal(memmap_pick_guest(free, 8, want, chunk), 8);
	for (unsigned i = 0; i < BOOT_MAX_GUEST_CHUNKS; i++)
		assert_chunk(&chunk[i], free[i].hpa, free[i].size);
	assert_int_equal(memmap_pick_guest(free, 8, want + MIB(2), chunk), 0);
}

/* ---- the map for the core ---- */

static void assert_mem(const struct boot_info *info, unsigned i, u64 from, u64 to, u32 kind)
{
	assert_true(i < info->nr_mem);
	assert_int_equal(info->mem[i].hpa, from);
	assert_int_equal(info->mem[i].size, to - from);
	assert_int_equal(info->mem[i].kind, kind);
}

static void test_map_kinds(void **state)
{
	static const enum boot_mem_kind kind[] = {
		[EFI_MEMORY_RESERVED] = BOOT_MEM_RESERVED,
		[EFI_MEMORY_LOADER_CODE] = BOOT_MEM_FREE,
		[EFI_MEMORY_LOADER_DATA] = BOOT_MEM_FREE,
		[EFI_MEMORY_BOOT_CODE] = BOOT_MEM_FREE,
		[EFI_MEMORY_BOOT_DATA] = BOOT_MEM_FREE,
		[EFI_MEMORY_RUNTIME_CODE] = BOOT_MEM_RUNTIME,
		[EFI_MEMORY_RUNTIME_DATA] = BOOT_MEM_RUNTIME,
		[EFI_MEMORY_CONVENTIONAL] = BOOT_MEM_FREE,
		[8] = BOOT_MEM_RESERVED, /* unusable */
		[EFI_MEMORY_ACPI_RECLAIM] = BOOT_MEM_ACPI,
		[EFI_MEMORY_ACPI_NVS] = BOOT_MEM_ACPI,
		[EFI_MEMORY_MMIO] = BOOT_MEM_MMIO,
		[EFI_MEMORY_MMIO_PORTS] = BOOT_MEM_MMIO,
		[13] = BOOT_MEM_RESERVED, /* PAL code */
		[14] = BOOT_MEM_RESERVED, /* persistent */
		[15] = BOOT_MEM_RESERVED, /* unaccepted */
	};
	struct boot_info *info = calloc(1, sizeof(*info));

	(void)state;
	for (u32 type = 0; type < ARRAY_SIZE(kind); type++) {
		info->nr_mem = 0;
		assert_true(memmap_add(info, NULL, 0, 0x1000, 0x1000, type, 0));
		assert_mem(info, 0, 0x1000, 0x2000, kind[type]);
		assert_int_equal(info->mem[0].efi_type, type);
	}
	/* Whatever it is, what runtime services use stays mapped for them. */
	info->nr_mem = 0;
	assert_true(memmap_add(info, NULL, 0, 0, 0x1000, EFI_MEMORY_MMIO,
			       EFI_MEMORY_ATTRIBUTE_RUNTIME));
	assert_mem(info, 0, 0, 0x1000, BOOT_MEM_RUNTIME);
	free(info);
}

static void test_map_sorts_and_merges(void **state)
{
	struct boot_info *info = calloc(1, sizeof(*info));

	(void)state;
	assert_true(memmap_add(info, NULL, 0, 0x5000, 0x1000, EFI_MEMORY_BOOT_DATA, 0));
	assert_true(memmap_add(info, NULL, 0, 0x1000, 0x1000, EFI_MEMORY_CONVENTIONAL, 0));
	assert_true(memmap_add(info, NULL, 0, 0x3000, 0x2000, EFI_MEMORY_LOADER_CODE, 0));
	assert_int_equal(info->nr_mem, 2);
	assert_mem(info, 1, 0x3000, 0x6000, BOOT_MEM_FREE);
	/* The missing piece joins both sides. */
	assert_true(memmap_add(info, NULL, 0, 0x2000, 0x1000, EFI_MEMORY_CONVENTIONAL, 0));
	assert_int_equal(info->nr_mem, 1);
	assert_mem(info, 0, 0x1000, 0x6000, BOOT_MEM_FREE);
	/* Another kind, and runtime code beside runtime data, stay apart. */
	assert_true(memmap_add(info, NULL, 0, 0x6000, 0x1000, EFI_MEMORY_RUNTIME_CODE, 0));
	assert_true(memmap_add(info, NULL, 0, 0x7000, 0x1000, EFI_MEMORY_RUNTIME_DATA, 0));
	assert_true(memmap_add(info, NULL, 0, 0x8000, 0x1000, EFI_MEMORY_RUNTIME_DATA, 0));
	assert_int_equal(info->nr_mem, 3);
	assert_mem(info, 2, 0x7000, 0x9000, BOOT_MEM_RUNTIME);
	free(info);
}

static void test_map_names_what_is_owned(void **state)
{
	const struct owned owned[] = {
		{0x4000, 0x2000, BOOT_MEM_GUEST},
		{0x1000, 0x1000, BOOT_MEM_CORE},
		{0x6000, 0x1000, BOOT_MEM_CORE},
		{0x9000, 0x2000, BOOT_MEM_CORE}, /* over the end of the first descriptor */
		{0xc000, 0x1000, BOOT_MEM_FREE},
	};
	struct boot_info *info = calloc(1, sizeof(*info));

	(void)state;
	assert_true(memmap_add(info, owned, 5, 0, 0xa000, EFI_MEMORY_LOADER_DATA, 0));
	assert_true(memmap_add(info, owned, 5, 0xa000, 0x6000, EFI_MEMORY_BOOT_CODE, 0));
	assert_int_equal(info->nr_mem, 8);
	assert_mem(info, 0, 0, 0x1000, BOOT_MEM_FREE);
	assert_mem(info, 1, 0x1000, 0x2000, BOOT_MEM_CORE);
	assert_mem(info, 2, 0x2000, 0x4000, BOOT_MEM_FREE);
	assert_mem(info, 3, 0x4000, 0x6000, BOOT_MEM_GUEST);
	assert_mem(info, 4, 0x6000, 0x7000, BOOT_MEM_CORE);
	assert_mem(info, 5, 0x7000, 0x9000, BOOT_MEM_FREE);
	assert_mem(info, 6, 0x9000, 0xb000, BOOT_MEM_CORE);
	assert_mem(info, 7, 0xb000, 0x10000, BOOT_MEM_FREE);
	free(info);
}

static void test_map_full(void **state)
{
	struct boot_info *info = calloc(1, sizeof(*info));

	(void)state;
	for (u64 i = 0; i < BOOT_MAX_MEM; i++)
		assert_true(memmap_add(info, NULL, 0, 0x2000 * i, 0x1000, EFI_MEMORY_BOOT_DATA, 0));
	assert_false(memmap_add(info, NULL, 0, 0x2000 * (u64)BOOT_MAX_MEM, 0x1000,
				EFI_MEMORY_BOOT_DATA, 0));
	/* What merges needs no room. */
	assert_true(memmap_add(info, NULL, 0, 0x1000, 0x1000, EFI_MEMORY_BOOT_DATA, 0));
	assert_int_equal(info->nr_mem, BOOT_MAX_MEM - 1);
	free(info);
}

/* ---- LoadOptions ---- */

/** Decode ASCII `text` as UCS-2, with `extra` zero characters behind it. */
static size_t decode(const char *text, size_t extra, char out[LOAD_OPTIONS_MAX])
{
	size_t n = strlen(text), result;
	u8 *wide = calloc(n + extra + 1, 2), *exact = malloc(2 * (n + extra) + 1);

	for (size_t i = 0; i < n; i++)
		wide[2 * i] = (u8)text[i];
	memcpy(exact, wide, 2 * (n + extra));
	result = load_options_decode(exact, 2 * (n + extra), "tallyvisor.efi", out);
	assert_int_equal(strlen(out), result);
	free(wide);
	free(exact);
	return result;
}

static void assert_decoded(const char *text, const char *want)
{
	char out[LOAD_OPTIONS_MAX];

	for (size_t extra = 0; extra < 3; extra++) {
		decode(text, extra, out);
		assert_string_equal(out, want);
	}
}

static void test_load_options_text(void **state)
{
	(void)state;
	assert_decoded("mem=64 -- a b", "mem=64 -- a b");
	assert_decoded("mem=64 ", "mem=64");
	assert_decoded("bogus", "bogus");
	assert_decoded("-- x.efi", "-- x.efi");
	assert_decoded("kernel=\\a.efi", "kernel=\\a.efi");
}

static void test_load_options_own_name(void **state)
{
	(void)state;
	assert_decoded("tallyvisor.efi mem=64", " mem=64");
	assert_decoded("  TALLYVISOR.EFI mem=64", " mem=64");
	assert_decoded("fs0:\\EFI\\BOOT\\BOOTX64.efi mem=64", " mem=64");
	assert_decoded("fs0:tallyvisor mem=64", " mem=64");
	assert_decoded("..\\Tallyvisor mem=64", " mem=64");
	assert_decoded("\"fs0:\\with space\\tallyvisor.efi\" mem=64", " mem=64");
	assert_decoded("tallyvisor.efi tallyvisor.efi", " tallyvisor.efi");
	assert_decoded("tallyvisors mem=64", "tallyvisors mem=64");
	assert_decoded("tallyvisox mem=64", "tallyvisox mem=64");
}

static void test_load_options_nothing(void **state)
{
	static const u8 guid[] = {0x4e, 0xac, 0x08, 0x81, 0x11, 0x9f, 0x59, 0x4d,
				  0x85, 0x0e, 0xe2, 0x1a, 0x52, 0x2c, 0x59, 0xb2};
	static const u8 control[] = {'B', 0, 1, 0, 'x', 0};
	char out[LOAD_OPTIONS_MAX];

	(void)state;
	assert_int_equal(decode("", 0, out), 0);
	assert_int_equal(decode("", 1, out), 0);
	assert_int_equal(decode(" \t", 1, out), 0);
	assert_int_equal(decode("tallyvisor.efi", 1, out), 0);
	assert_int_equal(decode("fs0:\\tallyvisor ", 1, out), 0);
	assert_int_equal(decode("\"tallyvisor.efi", 1, out), 0);
	assert_int_equal(load_options_decode(NULL, 100, "", out), 0);
	assert_int_equal(load_options_decode("x", 1, "", out), 0);
	assert_int_equal(load_options_decode(guid, sizeof(guid), "", out), 0);
	assert_int_equal(load_options_decode(control, sizeof(control), "", out), 0);
}

static void test_load_options_odd(void **state)
{
	static const u8 accent[] = {'a', 0, 0xe9, 0, 0xac, 0x20, 'b', 0, 'c'};
	size_t n = 3 * LOAD_OPTIONS_MAX;
	u8 *wide = malloc(n);
	char out[LOAD_OPTIONS_MAX];

	(void)state;
	assert_int_equal(load_options_decode(accent, sizeof(accent), "", out), 4);
	assert_string_equal(out, "a\xff\xff"
				 "b");
	for (size_t i = 0; i < n; i += 2) {
		wide[i] = 'x';
		wide[i + 1] = 0;
	}
	assert_int_equal(load_options_decode(wide, n, "", out), LOAD_OPTIONS_MAX - 1);
	free(wide);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf_good),
		cmocka_unit_test(test_elf_bad),
		cmocka_unit_test(test_elf_any_length),
		cmocka_unit_test(test_elf_too_many_segments),
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_pick_largest_first),
		cmocka_unit_test(test_pick_gigabytes),
		cmocka_unit_test(test_pick_gives_alignment_up),
		cmocka_unit_test(test_map_kinds),
		cmocka_unit_test(test_map_sorts_and_merges),
		cmocka_unit_test(test_map_names_what_is_owned),
		cmocka_unit_test(test_map_full),
		cmocka_unit_test(test_load_options_text),
		cmocka_unit_test(test_load_options_own_name),
		cmocka_unit_test(test_load_options_nothing),
		cmocka_unit_test(test_load_options_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
