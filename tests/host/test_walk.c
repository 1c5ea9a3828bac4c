/* SPDX-License-Identifier: MIT */
/*
 * The page walker, rule by rule (SDM volume 3, chapter 4): formats, addresses, reserved bits.
 * test_walk_rights.c goes on with access rights; test_walk_random.c compares the walker with a
 * second, naive one over random tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "walk_fixture.h"

static void paging_off(void **state)
{
	(void)state;
	legacy_mode();
	t.r.cr0 = 1;
	t.r.cr4 = CR4_SMEP | CR4_SMAP;
	expect_gpa(0x12345678, WALK_FETCH, 0x12345678);
	expect_gpa(0xffffffff87654321, WALK_WRITE, 0x87654321);
}

static void four_levels(void **state)
{
	(void)state;
	long_mode();
	expect_gpa(GVA_4L, WALK_READ, 0x55123);
	assert_int_equal(t.out.page_size, PAGE_SIZE);
	assert_int_equal(t.out.leaf, 0x55000 | UWP | A);
	expect_gpa(GVA_4L | 0xffff000000000000, WALK_READ, 0x55123); /* bits 63:48 select nothing */
	/* 2 MiB, 1 GiB; bit 12 of the entry is PAT and not part of the address. */
	put64(PDE, 0x7fe00000 | BIT(12) | PS | UWP);
	expect_gpa(GVA_4L, WALK_READ, 0x7fe04123);
	assert_int_equal(t.out.page_size, MIB(2));
	put64(PDPTE, 0xffc0000000 | BIT(12) | PS | UWP);
	expect_gpa(GVA_4L, WALK_READ, 0xffc0604123);
	assert_int_equal(t.out.page_size, GIB(1));
	/* Every physical address bit below MAXPHYADDR counts. */
	long_mode();
	put64(PTE, 0xfffffff000 | P);
	expect_gpa(GVA_4L, WALK_READ, 0xfffffff123);
}

static void not_present_at_each_level(void **state)
{
	static const u32 entries[] = {PML4E, PDPTE, PDE, PTE};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		long_mode();
		/* Nothing else of an entry counts where P is 0. */
		put64(entries[i], ~1ull);
		expect_fault(GVA_4L, WALK_READ, 0);
		expect_fault(GVA_4L, WALK_WRITE | WALK_USER, PFERR_WRITE | PFERR_USER);
		expect_fault(GVA_4L, WALK_FETCH, PFERR_FETCH);
	}
	long_mode();
	t.r.cr3 = 0x8000; /* an empty root */
	expect_fault(GVA_4L, WALK_READ, 0);
}

static void expect_reserved_64(u32 where, u64 base, u64 gva, unsigned hi, unsigned lo,
			       bool reserved)
{
	for (unsigned bit = lo; bit <= hi; bit++) {
		put64(where, base | BIT(bit));
		if (reserved)
			expect_fault(gva, WALK_READ, PFERR_PRESENT | PFERR_RSVD);
		else if (walk(gva, WALK_READ) == WALK_FAULT)
			fail_msg("bit %u of the entry at 0x%x is not reserved", bit, where);
	}
	put64(where, base);
}

static void reserved_bits_in_four_levels(void **state)
{
	static const struct {
		u32 where;
		u64 base;
	} tables[] = {{PML4E, 0x2000 | UWP},
		      {PDPTE, 0x3000 | UWP},
		      {PDE, 0x4000 | UWP},
		      {PTE, 0x55000 | UWP}};

	(void)state;
	long_mode();
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		u32 where = tables[i].where;
		u64 base = tables[i].base;

		expect_reserved_64(where, base, GVA_4L, 51, 40, true);
		expect_reserved_64(where, base, GVA_4L, 62, 52, false);
		expect_reserved_64(where, base, GVA_4L, 11, 8, false);
		t.r.efer = EFER_LMA;
		expect_reserved_64(where, base, GVA_4L, 63, 63, true);
		t.r.efer = EFER_LMA | EFER_NXE;
		expect_reserved_64(where, base, GVA_4L, 63, 63, false);
		t.r.maxphyaddr = 52; /* none left */
		expect_reserved_64(where, base, GVA_4L, 62, 52, false);
		t.r.maxphyaddr = 40;
	}
	expect_reserved_64(PML4E, 0x2000 | UWP, GVA_4L, 7, 7, true);
	expect_reserved_64(PTE, 0x55000 | UWP, GVA_4L, 7, 7, false); /* PAT */
	expect_reserved_64(PDE, PS | UWP, GVA_4L, 20, 13, true);
	expect_reserved_64(PDE, PS | UWP, GVA_4L, 12, 12, false);
	put64(PDE, 0x4000 | UWP);
	expect_reserved_64(PDPTE, PS | UWP, GVA_4L, 29, 13, true);
	expect_reserved_64(PDPTE, PS | UWP, GVA_4L, 12, 12, false);
	t.r.has_1g = false;
	expect_reserved_64(PDPTE, UWP, GVA_4L, 7, 7, true);
}

static void reserved_bits_come_before_rights(void **state)
{
	(void)state;
	long_mode();
	put64(PML4E, 0x2000 | P); /* no user access, no writes */
	put64(PTE, 0x55000 | UWP | BIT(45));
	expect_fault(GVA_4L, WALK_WRITE | WALK_USER,
		     PFERR_PRESENT | PFERR_RSVD | PFERR_WRITE | PFERR_USER);
	put64(PML4E, 0x2000 | P | NX); /* and a not-present entry before them all */
	put64(PTE, 0);
	expect_fault(GVA_4L, WALK_FETCH | WALK_USER, PFERR_FETCH | PFERR_USER);
}

static void legacy_tables(void **state)
{
	(void)state;
	legacy_mode();
	expect_gpa(GVA_32, WALK_READ, 0x66123);
	expect_gpa(GVA_32 | 0xabcd00000000, WALK_READ, 0x66123);
	/* Without PSE, bit 7 of a directory entry is ignored. */
	put32(PDE32, 0x2000 | PS | UWP);
	t.r.cr4 = 0;
	expect_gpa(GVA_32, WALK_READ, 0x66123);
	/* 4 MiB pages, with address bits 39:32 in bits 20:13. */
	t.r.cr4 = CR4_PSE;
	put32(PDE32, 0x80400000 | BIT(12) | PS | UWP);
	expect_gpa(GVA_32, WALK_READ, 0x80402123);
	assert_int_equal(t.out.page_size, MIB(4));
	put32(PDE32, 0x80400000 | 0xa5u << 13 | PS | UWP);
	expect_gpa(GVA_32, WALK_READ, 0xa580402123);
	/* CR3 has 32 bits here. */
	t.r.cr3 |= BIT(32);
	expect_gpa(GVA_32, WALK_READ, 0xa580402123);
}

static void reserved_bits_in_legacy_tables(void **state)
{
	static const struct {
		u8 maxphyaddr, lowest;
	} cases[] = {{52, 21}, {40, 21}, {39, 20}, {36, 17}, {32, 13}};

	(void)state;
	legacy_mode();
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		t.r.maxphyaddr = cases[i].maxphyaddr;
		for (unsigned bit = 12; bit <= 21; bit++) {
			put32(PDE32, PS | UWP | 1u << bit);
			if (bit >= cases[i].lowest)
				expect_fault(GVA_32, WALK_READ, PFERR_PRESENT | PFERR_RSVD);
			else
				assert_int_equal(walk(GVA_32, WALK_READ), WALK_OK);
		}
	}
	/* Small pages have no reserved bits: bit 7 of a PTE is PAT. */
	put32(PDE32, 0x2000 | UWP);
	put32(PTE32, 0x66000 | UWP | PS | 0xe00);
	expect_gpa(GVA_32, WALK_READ, 0x66123);
}

static void pae_tables(void **state)
{
	(void)state;
	pae_mode();
	expect_gpa(GVA_PAE, WALK_READ, 0x77123);
	expect_fault(GVA_PAE - GIB(1), WALK_USER, PFERR_USER); /* PDPTE 2 is not present */
	put64(PDE_PAE, 0x5000000000 | PS | UWP);	       /* CR4.PSE is not asked */
	expect_gpa(GVA_PAE, WALK_READ, 0x5000005123);
	assert_int_equal(t.out.page_size, MIB(2));
	expect_reserved_64(PDE_PAE, PS | UWP, GVA_PAE, 20, 13, true);
	expect_reserved_64(PDE_PAE, 0x2000 | UWP, GVA_PAE, 62, 40, true);
	expect_reserved_64(PTE_PAE, 0x77000 | UWP, GVA_PAE, 62, 40, true);
	expect_reserved_64(PTE_PAE, 0x77000 | UWP, GVA_PAE, 11, 7, false);
	t.r.efer = 0;
	expect_reserved_64(PTE_PAE, 0x77000 | UWP, GVA_PAE, 63, 63, true);
	t.r.efer = EFER_NXE;
	put64(PTE_PAE, 0x77000 | UWP | NX);
	expect_fault(GVA_PAE, WALK_FETCH, PFERR_PRESENT | PFERR_FETCH);
	expect_gpa(GVA_PAE, WALK_READ, 0x77123);
}

static void loading_pdptes(void **state)
{
	u64 pdpte[4] = {7, 7, 7, 7};

	(void)state;
	pae_mode();
	put64(0x3020, 0x1000 | P);
	put64(0x3028, ~1ull); /* not present: may hold anything */
	put64(0x3030, 0xfffffff000 | P | 0xe18);
	put64(0x3038, 0);
	assert_true(guest_load_pdptes(&t.gm, 0xabc0000303f, 40, pdpte));
	assert_int_equal(pdpte[0], 0x1000 | P);
	assert_true(pdpte[1] == ~1ull);
	assert_int_equal(pdpte[2], 0xfffffff000 | P | 0xe18);
	for (unsigned bit = 1; bit < 64; bit++) {
		bool reserved = bit < 3 || (bit >= 5 && bit < 9) || bit >= 40;

		put64(0x3038, P | BIT(bit));
		pdpte[0] = 7;
		assert_int_equal(guest_load_pdptes(&t.gm, 0x3020, 40, pdpte), !reserved);
		assert_int_equal(pdpte[0], reserved ? 7 : 0x1000 | P);
	}
	assert_false(guest_load_pdptes(&t.gm, RAM_SIZE, 40, pdpte));
}

static void tables_outside_ram(void **state)
{
	static const u32 entries[] = {PML4E, PDPTE, PDE};
	static const u32 index[] = {2, 3, 4};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		long_mode();
		put64(entries[i], 0xfee00000 | UWP);
		assert_int_equal(walk(GVA_4L, WALK_READ), WALK_NOT_RAM);
		assert_int_equal(t.out.gpa.v, 0xfee00000 + 8 * index[i]);
	}
	long_mode();
	t.r.cr3 = 0xffffffffff000;
	assert_int_equal(walk(GVA_4L, WALK_READ), WALK_NOT_RAM);
	assert_int_equal(t.out.gpa.v, 0xfffffff008); /* bits above MAXPHYADDR are none */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paging_off),
		cmocka_unit_test(four_levels),
		cmocka_unit_test(not_present_at_each_level),
		cmocka_unit_test(reserved_bits_in_four_levels),
		cmocka_unit_test(reserved_bits_come_before_rights),
		cmocka_unit_test(legacy_tables),
		cmocka_unit_test(reserved_bits_in_legacy_tables),
		cmocka_unit_test(pae_tables),
		cmocka_unit_test(loading_pdptes),
		cmocka_unit_test(tables_outside_ram),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
