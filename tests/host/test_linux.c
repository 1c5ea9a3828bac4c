/* SPDX-License-Identifier: MIT */
/* The Linux loader on made-up kernels: what it refuses and how it says so, where it puts things,
 * and what the kernel finds at its entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest/linux.h"
#include "guest/pc.h"
#include "guest/walk.h"

#define RAM_SIZE MIB(64)
#define SETUP_SECTS 7u
#define CODE_OFFSET ((SETUP_SECTS + 1) * 512)
#define CODE_SIZE 0x3210u
#define FILE_SIZE (CODE_OFFSET + CODE_SIZE)
#define BOOT_PARAMS 0x10000u

/* Offsets in the file and in boot_params, from boot.rst and zero-page.rst. */
enum {
	RSDP = 0x070,
	EXT_RAMDISK_IMAGE = 0x0c0,
	EXT_CMD_LINE = 0x0c8,
	E820_ENTRIES = 0x1e8,
	SENTINEL = 0x1ef,
	SECTS = 0x1f1,
	SYSSIZE = 0x1f4,
	BOOT_FLAG = 0x1fe,
	JUMP = 0x200,
	HEADER = 0x202,
	VERSION = 0x206,
	LOADER = 0x210,
	LOADFLAGS = 0x211,
	CODE32_START = 0x214,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	ALIGNMENT = 0x230,
	RELOCATABLE = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	SETUP_DATA = 0x250,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_END = 0x26c,
	E820_TABLE = 0x2d0,
};

struct fixture {
	u8 file[FILE_SIZE + 64];
	u8 initrd[0x2345];
	u8 *ram;
	struct gmem gm;
	struct linux_image img;
	struct linux_entry entry;
	char err[LINUX_ERROR_MAX];
};

static void put(u8 *p, u64 value, unsigned bytes)
{
	memcpy(p, &value, bytes);
}

static u64 get(const u8 *p, unsigned bytes)
{
	u64 value = 0;

	memcpy(&value, p, bytes);
	return value;
}

static void build_kernel(u8 *f)
{
	for (unsigned i = 0; i < FILE_SIZE; i++)
		f[i] = (u8)(i * 7 + i / 256);
	f[SECTS] = SETUP_SECTS;
	put(f + SYSSIZE, CODE_SIZE / 16, 4);
	put(f + BOOT_FLAG, 0xaa55, 2);
	f[JUMP] = 0xeb;
	f[JUMP + 1] = HEADER_END - HEADER;
	put(f + HEADER, 0x53726448, 4);
	put(f + VERSION, 0x20f, 2);
	put(f + LOADFLAGS, 0, 1);
	put(f + INITRD_ADDR_MAX, 0x7fffffff, 4);
	put(f + ALIGNMENT, MIB(2), 4);
	f[RELOCATABLE] = 1;
	put(f + XLOADFLAGS, 3, 2);
	put(f + CMDLINE_SIZE, 2047, 4);
	put(f + SETUP_DATA, 0xbad, 8);
	put(f + PREF_ADDRESS, MIB(16), 8);
	put(f + INIT_SIZE, MIB(3), 4);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	build_kernel(x->file);
	memset(x->initrd, 0x5a, sizeof(x->initrd));
	x->ram = aligned_alloc(PAGE_SIZE, RAM_SIZE);
	memset(x->ram, 0xcc, MIB(1)); /* left over from before */
	gmem_add(&x->gm, GPA(0), RAM_SIZE, HPA(0), x->ram);
	x->img = (struct linux_image){.kernel = x->file,
				      .kernel_size = FILE_SIZE,
				      .initrd = x->initrd,
				      .initrd_size = sizeof(x->initrd),
				      .cmdline = "console=ttyS0 quiet",
				      .rsdp = 0xe0010};
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
	return linux_load(&x->gm, &x->img, &x->entry, x->err);
}

/* Both the check and the load refuse, and the sentence names this. */
static void refused(struct fixture *x, const char *words)
{
	for (int i = 0; i < 2; i++) {
		memset(x->err, 0, sizeof(x->err));
		if (i)
			assert_false(load(x));
		else
			assert_false(linux_check(x->img.kernel, x->img.kernel_size,
						 x->img.initrd_size, x->img.cmdline, RAM_SIZE,
						 x->err));
		if (!strstr(x->err, words))
			fail_msg("'%s' does not say '%s'", x->err, words);
		assert_true(strlen(x->err) < LINUX_ERROR_MAX - 1); /* not cut */
	}
}

static void not_kernels(void **state)
{
	struct fixture *x = *state;

	x->img.kernel_size = 0;
	refused(x, "0 bytes are too few");
	x->img.kernel_size = 1023;
	refused(x, "1023 bytes are too few");
	memcpy(x->file, "\177ELF", 4); /* a bzImage may begin with anything */
	x->img.kernel_size = FILE_SIZE;
	assert_true(load(x));
	x->file[HEADER] ^= 1;
	refused(x, "ELF file");
	x->file[0] = 0x1f;
	x->file[1] = 0x8b;
	refused(x, "gzip");
	x->file[1] = 0;
	refused(x, "no HdrS");
	x->file[HEADER] ^= 1;
	x->file[BOOT_FLAG] = 0;
	refused(x, "no HdrS");
}

static void unfit_kernels(void **state)
{
	struct fixture *x = *state;

	put(x->file + VERSION, 0x20b, 2);
	refused(x, "boot protocol 2.11 is too old");
	put(x->file + VERSION, 0x20c, 2);
	assert_true(load(x));
}

static void damaged_kernels(void **state)
{
	struct fixture *x = *state;

	x->img.kernel_size = FILE_SIZE - 1;
	refused(x, "promises 16912 bytes, it has 16911");
	x->img.kernel_size = FILE_SIZE;
	assert_true(load(x));
	put(x->file + SYSSIZE, 0xffffffff, 4);
	refused(x, "promises 68719480816 bytes");
	put(x->file + SYSSIZE, 0, 4);
	refused(x, "syssize 0");

	build_kernel(x->file);
	x->file[JUMP + 1] = 0x261 - HEADER;
	refused(x, "ends at 0x261");
	x->file[JUMP + 1] = 0x264 - HEADER;
	assert_true(load(x));
	put(x->file + ALIGNMENT, 0x300000, 4);
	refused(x, "alignment of 0x300000");
	put(x->file + ALIGNMENT, 0, 4);
	refused(x, "alignment of 0x0");
	x->file[RELOCATABLE] = 0; /* then nobody asks */
	assert_true(load(x));
}

static void command_lines(void **state)
{
	struct fixture *x = *state;
	char line[0x8000];

	memset(line, 'x', sizeof(line));
	line[2048] = 0;
	x->img.cmdline = line;
	refused(x, "2048 characters, and this kernel takes 2047");
	line[2047] = 0;
	assert_true(load(x));
	assert_memory_equal(x->ram + 0x19000, line, 2048);
	/* A kernel that claims to take more than there is room for. */
	put(x->file + CMDLINE_SIZE, 0xffffffff, 4);
	line[2047] = line[2048] = 'x';
	line[0x7000] = 0;
	refused(x, "this kernel takes 28671");
	line[0x6fff] = 0;
	assert_true(load(x));
	assert_int_equal(x->ram[0x20000], 0xcc);
	x->img.cmdline = NULL;
	assert_true(load(x));
	assert_int_equal(x->ram[0x19000], 0);
}

static void kernel_in_its_place(void **state)
{
	struct fixture *x = *state;

	memset(x->ram + MIB(16), 0, MIB(8));
	assert_true(load(x));
	assert_memory_equal(x->ram + MIB(16), x->file + CODE_OFFSET, CODE_SIZE);
	assert_int_equal(x->ram[MIB(16) + CODE_SIZE], 0);
	assert_int_equal(x->entry.rip, MIB(16) + 0x200);
	assert_int_equal(get(x->ram + BOOT_PARAMS + CODE32_START, 4), MIB(16));
	/* setup_sects 0 means 4. */
	x->file[SECTS] = 0;
	x->img.kernel_size = FILE_SIZE;
	assert_true(load(x));
	assert_memory_equal(x->ram + MIB(16), x->file + 5 * 512, CODE_SIZE);
}

static void relocation(void **state)
{
	struct fixture *x = *state;
	struct gmem gm = {.nr = 0};

	/* pref_address is rounded up to the alignment, as the kernel itself would. */
	put(x->file + PREF_ADDRESS, MIB(16) + 0x1000, 8);
	assert_true(load(x));
	assert_int_equal(x->entry.rip, MIB(18) + 0x200);
	x->file[RELOCATABLE] = 0;
	assert_true(load(x));
	assert_int_equal(x->entry.rip, MIB(16) + 0x1200);
	/* Never into the first MiB, where the tables are. */
	put(x->file + PREF_ADDRESS, 0x10000, 8);
	refused(x, "0x10000, outside 1 MiB-4 GiB");
	x->file[RELOCATABLE] = 1;
	assert_true(load(x));
	assert_int_equal(x->entry.rip, MIB(2) + 0x200);
	put(x->file + PREF_ADDRESS, GIB(4), 8);
	refused(x, "0x100000000, outside");

	/* A hole in memory: up to the next aligned place. The 1 MiB before it is too small. */
	put(x->file + PREF_ADDRESS, MIB(16), 8);
	gmem_add(&gm, GPA(MIB(21)), MIB(20), HPA(0), x->ram + MIB(21));
	gmem_add(&gm, GPA(0), MIB(17), HPA(0), x->ram);
	assert_true(linux_load(&gm, &x->img, &x->entry, x->err));
	assert_int_equal(x->entry.rip, MIB(22) + 0x200);
	x->file[RELOCATABLE] = 0;
	assert_false(linux_load(&gm, &x->img, &x->entry, x->err));
}

static void memory_in_pieces(void **state)
{
	struct fixture *x = *state;
	struct gmem gm = {.nr = 0};
	u8 *second = malloc(MIB(16));

	/* Neighbours for the guest, not for the host: kernel and initrd go across. */
	x->initrd[5] = 0x77;
	put(x->file + PREF_ADDRESS, MIB(16) - 0x2000, 8);
	x->file[RELOCATABLE] = 0;
	put(x->file + INITRD_ADDR_MAX, MIB(48) + 0xfff, 4);
	gmem_add(&gm, GPA(MIB(16)), MIB(16), HPA(MIB(64)), second);
	gmem_add(&gm, GPA(MIB(32)), MIB(16), HPA(0), x->ram + MIB(16));
	gmem_add(&gm, GPA(MIB(48)), MIB(1), HPA(MIB(80)), x->ram + MIB(48));
	gmem_add(&gm, GPA(0), MIB(16), HPA(MIB(32)), x->ram);
	assert_true(linux_load(&gm, &x->img, &x->entry, x->err));
	assert_memory_equal(x->ram + MIB(16) - 0x2000, x->file + CODE_OFFSET, 0x2000);
	assert_memory_equal(second, x->file + CODE_OFFSET + 0x2000, CODE_SIZE - 0x2000);
	assert_int_equal(get(x->ram + BOOT_PARAMS + RAMDISK_IMAGE, 4), MIB(48) - 0x2000);
	assert_memory_equal(x->ram + MIB(32) - 0x2000, x->initrd, 0x2000);
	assert_memory_equal(x->ram + MIB(48), x->initrd + 0x2000, sizeof(x->initrd) - 0x2000);
	free(second);
}

static void too_little_memory(void **state)
{
	struct fixture *x = *state;

	put(x->file + INIT_SIZE, MIB(48) + 1, 4);
	x->img.initrd_size = 0;
	refused(x, "needs 49 MiB of memory from 0x1000000 on");
	assert_non_null(strstr(x->err, "at least 65 (MiB)"));
	/* What it asks for is enough, and one less is not. */
	assert_true(linux_check(x->file, FILE_SIZE, 0, "", MIB(65), x->err));
	assert_false(linux_check(x->file, FILE_SIZE, 0, "", MIB(64), x->err));
	assert_true(linux_check(x->file, FILE_SIZE, 0, "", 0, x->err)); /* not known */
	assert_true(linux_check(x->file, FILE_SIZE, 0, "", GIB(64), x->err));
	assert_false(linux_check(x->file, FILE_SIZE, 0, "", 1, x->err));
	/* The code itself counts where init_size is a lie; nothing fits beyond 3 GiB. */
	put(x->file + INIT_SIZE, 0, 4);
	put(x->file + PREF_ADDRESS, RAM_SIZE - 0x3000, 8);
	x->file[RELOCATABLE] = 0;
	refused(x, "needs 1 MiB");
	put(x->file + PREF_ADDRESS, GIB(3) - 0x1000, 8);
	assert_false(linux_check(x->file, FILE_SIZE, 0, "", GIB(64), x->err));
	put(x->file + PREF_ADDRESS, GIB(3) - 0x4000, 8);
	assert_true(linux_check(x->file, FILE_SIZE, 0, "", GIB(64), x->err));
}

static u64 initrd_at(struct fixture *x)
{
	assert_true(load(x));
	assert_int_equal(get(x->ram + BOOT_PARAMS + RAMDISK_SIZE, 4), x->img.initrd_size);
	return get(x->ram + BOOT_PARAMS + RAMDISK_IMAGE, 4);
}

static void initrd_up_high(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(initrd_at(x), RAM_SIZE - 0x3000);
	assert_memory_equal(x->ram + RAM_SIZE - 0x3000, x->initrd, sizeof(x->initrd));
	/* The highest address is that of the last byte. */
	put(x->file + INITRD_ADDR_MAX, MIB(32) - 1, 4);
	assert_int_equal(initrd_at(x), MIB(32) - 0x3000);
	put(x->file + INITRD_ADDR_MAX, MIB(32) - 2, 4);
	assert_int_equal(initrd_at(x), MIB(32) - 0x3000);
	put(x->file + INITRD_ADDR_MAX, MIB(32) - 0x1000, 4);
	assert_int_equal(initrd_at(x), MIB(32) - 0x4000);
	put(x->file + INITRD_ADDR_MAX, 0xffffffff, 4);
	assert_int_equal(initrd_at(x), RAM_SIZE - 0x3000);
	/* An initrd of whole pages may end right there. */
	x->img.initrd_size = 0x2000;
	put(x->file + INITRD_ADDR_MAX, MIB(32) - 1, 4);
	assert_int_equal(initrd_at(x), MIB(32) - 0x2000);
	put(x->file + INITRD_ADDR_MAX, MIB(32) - 2, 4);
	assert_int_equal(initrd_at(x), MIB(32) - 0x3000);
}

static void initrd_and_kernel(void **state)
{
	struct fixture *x = *state;

	/* Just room above the kernel's 3 MiB; then not; then below it; then nowhere. */
	put(x->file + INITRD_ADDR_MAX, MIB(19) + 0x2fff, 4);
	assert_int_equal(initrd_at(x), MIB(19));
	put(x->file + INITRD_ADDR_MAX, MIB(19) + 0x1fff, 4);
	assert_int_equal(initrd_at(x), MIB(16) - 0x3000);
	put(x->file + INITRD_ADDR_MAX, MIB(16) + 5, 4);
	assert_int_equal(initrd_at(x), MIB(16) - 0x3000);
	put(x->file + INITRD_ADDR_MAX, MIB(1) + 0x2fff, 4);
	assert_int_equal(initrd_at(x), MIB(1));
	put(x->file + INITRD_ADDR_MAX, MIB(1) + 0x1fff, 4);
	refused(x, "no room for its 9 KiB");
	put(x->file + INITRD_ADDR_MAX, 0, 4);
	refused(x, "no room");
	put(x->file + INITRD_ADDR_MAX, 0x7fffffff, 4);
	x->img.initrd_size = ~0ull;
	assert_false(linux_check(x->file, FILE_SIZE, ~0ull, "", RAM_SIZE, x->err));
	assert_true(linux_check(x->file, FILE_SIZE, MIB(45), "", RAM_SIZE, x->err));
	assert_false(linux_check(x->file, FILE_SIZE, MIB(45) + 1, "", RAM_SIZE, x->err));
	/* None at all. */
	x->img.initrd_size = 0;
	assert_int_equal(initrd_at(x), 0);
}

static void the_zero_page(void **state)
{
	struct fixture *x = *state;
	const u8 *bp = x->ram + BOOT_PARAMS;
	struct e820_entry e820[128];
	unsigned nr;

	assert_true(load(x));
	assert_int_equal(get(bp + RSDP, 8), 0xe0010);
	assert_int_equal(bp[SENTINEL], 0);
	assert_int_equal(bp[LOADER], 0xff);
	assert_int_equal(bp[LOADFLAGS], 1);
	assert_int_equal(get(bp + CMD_LINE_PTR, 4), 0x19000);
	assert_int_equal(get(bp + EXT_RAMDISK_IMAGE, 8), 0);
	assert_int_equal(get(bp + EXT_CMD_LINE, 4), 0);
	assert_int_equal(get(bp + SETUP_DATA, 8), 0);
	assert_string_equal((const char *)x->ram + 0x19000, "console=ttyS0 quiet");
	/* The setup header as in the file, up to where it says it ends; nothing behind. */
	assert_memory_equal(bp + VERSION, x->file + VERSION, 8);
	assert_memory_equal(bp + 0x238, x->file + 0x238, SETUP_DATA - 0x238);
	assert_memory_equal(bp + PREF_ADDRESS, x->file + PREF_ADDRESS, HEADER_END - PREF_ADDRESS);
	for (unsigned i = HEADER_END; i < E820_TABLE; i++)
		assert_int_equal(bp[i], 0);
	for (unsigned i = RSDP + 8; i < E820_ENTRIES; i++)
		assert_int_equal(bp[i], 0);
	nr = e820_build(&x->gm, e820, 128);
	assert_int_equal(bp[E820_ENTRIES], nr);
	assert_true(nr > 1);
	assert_memory_equal(bp + E820_TABLE, e820, nr * sizeof(e820[0]));
	/* A header that claims the rest of the page gets what boot_params has for it. */
	x->file[JUMP + 1] = 0xff;
	assert_true(load(x));
	assert_int_equal(bp[0x28f], x->file[0x28f]);
	assert_int_equal(bp[0x290], 0);
}

static void processor_state(void **state)
{
	struct fixture *x = *state;
	struct walk_regs r = {.cr0 = 0x80000001, .cr4 = 0x20, .efer = 0x500, .maxphyaddr = 36};
	static const u64 addresses[] = {0, 0x10000, MIB(16), 0x3fe00000, 0xfee00020, 0xffffffff};
	struct walk_result out;
	struct linux_entry *e = &x->entry;

	assert_true(load(x));
	assert_int_equal(e->rsi, BOOT_PARAMS);
	assert_int_equal(e->cs, 0x10);
	assert_int_equal(e->ds, 0x18);
	assert_true(e->gdt_limit >= 0x1f);
	assert_int_equal(e->rsp % 16, 0);
	assert_int_equal(get(x->ram + e->gdt_base, 8), 0);
	assert_true(get(x->ram + e->gdt_base + e->cs, 8) == 0x00af9b000000ffff);
	assert_true(get(x->ram + e->gdt_base + e->ds, 8) == 0x00cf93000000ffff);
	/* The identity map, as the page walker sees it: writable, and nothing above 4 GiB. */
	r.cr3 = e->cr3;
	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
		assert_int_equal(guest_walk(&x->gm, &r, GVA(addresses[i]), WALK_WRITE, &out),
				 WALK_OK);
		assert_int_equal(out.gpa.v, addresses[i]);
		assert_int_equal(guest_walk(&x->gm, &r, GVA(addresses[i]), WALK_FETCH, &out),
				 WALK_OK);
	}
	assert_int_equal(guest_walk(&x->gm, &r, GVA(GIB(4)), WALK_READ, &out), WALK_FAULT);
	assert_int_equal(guest_walk(&x->gm, &r, GVA(GIB(512)), WALK_READ, &out), WALK_FAULT);
	/* Nothing outside the documented places below 1 MiB was touched. */
	assert_int_equal(x->ram[0xffff], 0xcc);
	assert_int_equal(x->ram[0x20000], 0xcc);
	assert_int_equal(x->ram[0], 0xcc);
}

/** A kernel of 32 bits: no XLF_KERNEL_64. */
static void processor_state_32(void **state)
{
	struct fixture *x = *state;
	struct linux_entry *e = &x->entry;

	assert_true(load(x));
	assert_true(e->wide);
	memset(x->ram, 0xcc, MIB(1));
	put(x->file + XLOADFLAGS, 2, 2);
	assert_true(load(x));
	assert_false(e->wide);
	assert_int_equal(e->rip, MIB(16)); /* code32_start, not the 64-bit entry behind it */
	assert_int_equal(get(x->ram + BOOT_PARAMS + CODE32_START, 4), e->rip);
	assert_int_equal(e->rsi, BOOT_PARAMS);
	assert_int_equal(e->cr3, 0);
	assert_int_equal(e->cs, 0x10);
	assert_int_equal(e->ds, 0x18);
	assert_true(get(x->ram + e->gdt_base + e->cs, 8) == 0x00cf9b000000ffff);
	assert_true(get(x->ram + e->gdt_base + e->ds, 8) == 0x00cf93000000ffff);
	/* No page tables, which nobody asked for: their place is left alone. */
	assert_int_equal(x->ram[0x12000], 0xcc);
	assert_int_equal(x->ram[0x17fff], 0xcc);
}

static void no_low_memory(void **state)
{
	struct fixture *x = *state;
	struct gmem gm = {.nr = 0};

	gmem_add(&gm, GPA(MIB(16)), MIB(16), HPA(0), x->ram + MIB(16));
	assert_false(linux_load(&gm, &x->img, &x->entry, x->err));
	assert_non_null(strstr(x->err, "no memory at 0x10000-0x20000"));
	gmem_add(&gm, GPA(0), 0x19000, HPA(0), x->ram); /* all but the command line's place */
	assert_false(linux_load(&gm, &x->img, &x->entry, x->err));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(processor_state_32), TEST(not_kernels),	   TEST(unfit_kernels),
		TEST(damaged_kernels),	  TEST(command_lines),	   TEST(kernel_in_its_place),
		TEST(relocation),	  TEST(memory_in_pieces),  TEST(too_little_memory),
		TEST(initrd_up_high),	  TEST(initrd_and_kernel), TEST(the_zero_page),
		TEST(processor_state),	  TEST(no_low_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
