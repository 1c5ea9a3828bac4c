/* SPDX-License-Identifier: MIT */
/* Guest memory with page tables in it, for the tests of the page walker. cmocka.h comes first. */
#ifndef TV_WALK_FIXTURE_H
#define TV_WALK_FIXTURE_H

#include <stdlib.h>

#include "guest/walk.h"
#include "lib/mem.h"

#define CR0_WP BIT(16)
#define CR0_PG (BIT(31) | 1)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define EFER_LMA (BIT(10) | BIT(8))
#define EFER_NXE BIT(11)
#define AC BIT(18)

enum { P = 1, W = 2, U = 4, A = 32, D = 64, PS = 128 };
#define NX BIT(63)
#define UWP (U | W | P)

#define RAM_SIZE MIB(1)

static struct {
	u8 *ram;
	struct gmem gm;
	struct walk_regs r;
	struct walk_result out;
} t;

static inline void put64(u64 gpa, u64 entry)
{
	memcpy(t.ram + gpa, &entry, 8);
}

static inline void put32(u64 gpa, u32 entry)
{
	memcpy(t.ram + gpa, &entry, 4);
}

static inline u64 get64(u64 gpa)
{
	u64 entry;

	memcpy(&entry, t.ram + gpa, 8);
	return entry;
}

static inline u32 get32(u64 gpa)
{
	u32 entry;

	memcpy(&entry, t.ram + gpa, 4);
	return entry;
}

/* 4-level tables: PML4 0x1000, PDPT 0x2000, PD 0x3000, PT 0x4000; GVA_4L uses slots 1, 2, 3, 4 and
 * maps 0x55000. */
#define GVA_4L (BIT(39) + 2 * BIT(30) + 3 * BIT(21) + 4 * BIT(12) + 0x123)
#define PML4E 0x1008u
#define PDPTE 0x2010u
#define PDE 0x3018u
#define PTE 0x4020u

static inline void long_mode(void)
{
	memset(t.ram, 0, RAM_SIZE);
	t.r = (struct walk_regs){
		.cr0 = CR0_PG | CR0_WP,
		.cr3 = 0x1fff, /* PCID and flags in the low bits do not matter */
		.cr4 = CR4_PAE,
		.efer = EFER_LMA | EFER_NXE,
		.maxphyaddr = 40,
		.has_1g = true,
	};
	put64(PML4E, 0x2000 | UWP);
	put64(PDPTE, 0x3000 | UWP);
	put64(PDE, 0x4000 | UWP);
	put64(PTE, 0x55000 | UWP);
}

/* 32-bit tables: directory 0x1000, table 0x2000; GVA_32 uses slots 1 and 2 and maps 0x66000. */
#define GVA_32 0x00402123u
#define PDE32 0x1004u
#define PTE32 0x2008u

static inline void legacy_mode(void)
{
	memset(t.ram, 0, RAM_SIZE);
	t.r = (struct walk_regs){
		.cr0 = CR0_PG | CR0_WP, .cr3 = 0x1018, .cr4 = CR4_PSE, .maxphyaddr = 40};
	put32(PDE32, 0x2000 | UWP);
	put32(PTE32, 0x66000 | UWP);
}

/* PAE tables: PDPTE register 3 to directory 0x1000, table 0x2000; slots 3, 4, 5; maps 0x77000. */
#define GVA_PAE 0xc0805123u
#define PDE_PAE 0x1020u
#define PTE_PAE 0x2028u

static inline void pae_mode(void)
{
	memset(t.ram, 0, RAM_SIZE);
	t.r = (struct walk_regs){.cr0 = CR0_PG | CR0_WP,
				 .cr4 = CR4_PAE,
				 .efer = EFER_NXE,
				 .maxphyaddr = 40,
				 .pdpte = {[3] = 0x1001}};
	put64(PDE_PAE, 0x2000 | UWP);
	put64(PTE_PAE, 0x77000 | UWP);
}

static enum walk_status walk(u64 gva, u32 access)
{
	return guest_walk(&t.gm, &t.r, GVA(gva), access, &t.out);
}

#define expect_gpa(gva, access, result)                                                            \
	do {                                                                                       \
		assert_int_equal(walk(gva, access), WALK_OK);                                      \
		assert_int_equal(t.out.gpa.v, result);                                             \
	} while (0)

#define expect_fault(gva, access, error)                                                           \
	do {                                                                                       \
		assert_int_equal(walk(gva, access), WALK_FAULT);                                   \
		assert_int_equal(t.out.pferr, error);                                              \
	} while (0)

static int setup(void **state)
{
	(void)state;
	t.ram = aligned_alloc(PAGE_SIZE, RAM_SIZE);
	return !t.ram || !gmem_add(&t.gm, GPA(0), RAM_SIZE, HPA(0), t.ram);
}

static int teardown(void **state)
{
	(void)state;
	free(t.ram);
	return 0;
}

#endif
