/* SPDX-License-Identifier: MIT */
/*
 * The page walker, rule by rule (SDM volume 3, sections 4.6 "Access Rights", 4.7 "Page-Fault
 * Exceptions" and 4.8 "Accessed and Dirty Flags"), and copying by guest-virtual address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "walk_fixture.h"

static void fetch_bit_of_the_error_code(void **state)
{
	(void)state;
	long_mode();
	put64(PTE, 0);
	t.r.efer = EFER_LMA;
	expect_fault(GVA_4L, WALK_FETCH | WALK_USER, PFERR_USER);
	t.r.cr4 |= CR4_SMEP;
	expect_fault(GVA_4L, WALK_FETCH | WALK_USER, PFERR_USER | PFERR_FETCH);
	legacy_mode();
	t.r.efer = EFER_NXE; /* without PAE this means nothing */
	put32(PTE32, 0);
	expect_fault(GVA_32, WALK_FETCH, 0);
	t.r.cr4 |= CR4_SMEP;
	expect_fault(GVA_32, WALK_FETCH, PFERR_FETCH);
}

static void all_levels_must_allow(void **state)
{
	static const u32 entries[] = {PML4E, PDPTE, PDE, PTE};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		long_mode();
		put64(entries[i], get64(entries[i]) & ~(u64)W);
		expect_gpa(GVA_4L, WALK_READ | WALK_USER, 0x55123);
		expect_fault(GVA_4L, WALK_WRITE | WALK_USER,
			     PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
		expect_fault(GVA_4L, WALK_WRITE, PFERR_PRESENT | PFERR_WRITE);
		t.r.cr0 &= ~CR0_WP;
		expect_fault(GVA_4L, WALK_WRITE | WALK_USER,
			     PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
		expect_gpa(GVA_4L, WALK_WRITE, 0x55123);

		long_mode();
		put64(entries[i], get64(entries[i]) & ~(u64)U);
		expect_gpa(GVA_4L, WALK_READ, 0x55123);
		expect_fault(GVA_4L, WALK_READ | WALK_USER, PFERR_PRESENT | PFERR_USER);

		long_mode();
		put64(entries[i], get64(entries[i]) | NX);
		expect_gpa(GVA_4L, WALK_READ | WALK_USER, 0x55123);
		expect_fault(GVA_4L, WALK_FETCH, PFERR_PRESENT | PFERR_FETCH);
		expect_fault(GVA_4L, WALK_FETCH | WALK_USER,
			     PFERR_PRESENT | PFERR_FETCH | PFERR_USER);
	}
}

static void smep(void **state)
{
	(void)state;
	long_mode();
	expect_gpa(GVA_4L, WALK_FETCH, 0x55123);
	t.r.cr4 |= CR4_SMEP;
	expect_fault(GVA_4L, WALK_FETCH, PFERR_PRESENT | PFERR_FETCH);
	expect_gpa(GVA_4L, WALK_READ, 0x55123);
	expect_gpa(GVA_4L, WALK_FETCH | WALK_USER, 0x55123);
	/* One supervisor level makes it a supervisor page, at which SMEP does not look. */
	put64(PDPTE, 0x3000 | W | P);
	expect_gpa(GVA_4L, WALK_FETCH, 0x55123);
	legacy_mode();
	t.r.cr4 |= CR4_SMEP;
	expect_fault(GVA_32, WALK_FETCH, PFERR_PRESENT | PFERR_FETCH);
}

static void smap(void **state)
{
	(void)state;
	long_mode();
	t.r.cr4 |= CR4_SMAP;
	expect_fault(GVA_4L, WALK_READ, PFERR_PRESENT);
	expect_fault(GVA_4L, WALK_WRITE, PFERR_PRESENT | PFERR_WRITE);
	expect_gpa(GVA_4L, WALK_FETCH, 0x55123); /* data only */
	expect_gpa(GVA_4L, WALK_READ | WALK_USER, 0x55123);
	t.r.rflags = AC;
	expect_gpa(GVA_4L, WALK_READ, 0x55123);
	expect_gpa(GVA_4L, WALK_WRITE, 0x55123);
	expect_fault(GVA_4L, WALK_READ | WALK_IMPLICIT, PFERR_PRESENT);
	/* An implicit access is a supervisor's even at CPL 3. */
	expect_fault(GVA_4L, WALK_WRITE | WALK_IMPLICIT | WALK_USER, PFERR_PRESENT | PFERR_WRITE);
	/* AC does not lift write protection; WP=0 does not lift SMAP. */
	put64(PTE, 0x55000 | U | P);
	expect_fault(GVA_4L, WALK_WRITE, PFERR_PRESENT | PFERR_WRITE);
	t.r.cr0 &= ~CR0_WP;
	expect_gpa(GVA_4L, WALK_WRITE, 0x55123);
	t.r.rflags = 0;
	expect_fault(GVA_4L, WALK_WRITE, PFERR_PRESENT | PFERR_WRITE);
	put64(PTE, 0x55000 | P);
	expect_gpa(GVA_4L, WALK_WRITE | WALK_IMPLICIT, 0x55123);
}

static void protection_keys(void **state)
{
	enum { AD = 1, WD = 2 };
	const u64 key9 = 9ull << 59;

	(void)state;
	long_mode();
	put64(PTE, 0x55000 | UWP | key9);
	t.r.pkru = AD << 18;
	expect_gpa(GVA_4L, WALK_READ | WALK_USER, 0x55123); /* CR4.PKE is 0 */
	t.r.cr4 |= CR4_PKE;
	expect_fault(GVA_4L, WALK_READ | WALK_USER, PFERR_PRESENT | PFERR_USER | PFERR_PK);
	expect_fault(GVA_4L, WALK_READ, PFERR_PRESENT | PFERR_PK);
	expect_fault(GVA_4L, WALK_WRITE, PFERR_PRESENT | PFERR_WRITE | PFERR_PK);
	expect_gpa(GVA_4L, WALK_FETCH | WALK_USER, 0x55123); /* data only */
	t.r.pkru = WD << 18;
	expect_gpa(GVA_4L, WALK_READ | WALK_USER, 0x55123);
	expect_fault(GVA_4L, WALK_WRITE | WALK_USER,
		     PFERR_PRESENT | PFERR_WRITE | PFERR_USER | PFERR_PK);
	expect_fault(GVA_4L, WALK_WRITE, PFERR_PRESENT | PFERR_WRITE | PFERR_PK);
	t.r.cr0 &= ~CR0_WP;
	expect_gpa(GVA_4L, WALK_WRITE, 0x55123);
	expect_fault(GVA_4L, WALK_WRITE | WALK_USER,
		     PFERR_PRESENT | PFERR_WRITE | PFERR_USER | PFERR_PK);
	t.r.pkru = ~(3u << 18); /* all other keys */
	expect_gpa(GVA_4L, WALK_WRITE | WALK_USER, 0x55123);
	/* Supervisor pages have no keys; the large leaf's key counts, a table entry's does not. */
	t.r.pkru = AD << 18;
	put64(PTE, 0x55000 | W | P | key9);
	expect_gpa(GVA_4L, WALK_READ, 0x55123);
	put64(PTE, 0x55000 | UWP);
	put64(PDE, 0x4000 | UWP | key9);
	expect_gpa(GVA_4L, WALK_READ, 0x55123);
	put64(PDE, PS | UWP | key9);
	expect_fault(GVA_4L, WALK_READ, PFERR_PRESENT | PFERR_PK);
	/* No access for two reasons: PK says that the key is one of them. */
	put64(PDE, PS | U | P | key9);
	t.r.cr0 |= CR0_WP;
	expect_fault(GVA_4L, WALK_WRITE, PFERR_PRESENT | PFERR_WRITE | PFERR_PK);
}

static void accessed_and_dirty(void **state)
{
	(void)state;
	long_mode();
	expect_gpa(GVA_4L, WALK_READ | WALK_NO_AD, 0x55123);
	assert_int_equal(get64(PML4E) | get64(PTE), 0x2000 | 0x55000 | UWP);
	expect_gpa(GVA_4L, WALK_READ, 0x55123);
	assert_int_equal(get64(PML4E), 0x2000 | UWP | A);
	assert_int_equal(get64(PDPTE), 0x3000 | UWP | A);
	assert_int_equal(get64(PDE), 0x4000 | UWP | A);
	assert_int_equal(get64(PTE), 0x55000 | UWP | A);
	expect_gpa(GVA_4L, WALK_WRITE, 0x55123);
	assert_int_equal(get64(PDE), 0x4000 | UWP | A); /* dirty is the leaf's */
	assert_int_equal(get64(PTE), 0x55000 | UWP | A | D);
	assert_int_equal(t.out.leaf, 0x55000 | UWP | A | D);

	long_mode(); /* a fault leaves them alone */
	put64(PTE, 0x55000 | P);
	expect_fault(GVA_4L, WALK_WRITE, PFERR_PRESENT | PFERR_WRITE);
	assert_int_equal(get64(PML4E), 0x2000 | UWP);
	assert_int_equal(get64(PTE), 0x55000 | P);

	legacy_mode(); /* entries of four bytes: the neighbours stay as they are */
	put32(PDE32 + 4, 0xdeadbeef);
	put32(PTE32 + 4, 0xdeadbeef);
	expect_gpa(GVA_32, WALK_WRITE, 0x66123);
	assert_int_equal(get32(PDE32), 0x2000 | UWP | A);
	assert_int_equal(get32(PTE32), 0x66000 | UWP | A | D);
	assert_int_equal(get32(PDE32 + 4), 0xdeadbeef);
	assert_int_equal(get32(PTE32 + 4), 0xdeadbeef);

	pae_mode();
	expect_gpa(GVA_PAE, WALK_WRITE, 0x77123);
	assert_int_equal(get64(PTE_PAE), 0x77000 | UWP | A | D);
	assert_int_equal(t.r.pdpte[3], 0x1001);
}

static void one_page_at_two_levels(void **state)
{
	(void)state;
	long_mode(); /* the PML4's slot 1 points to itself: the same entry is walked four times */
	put64(PML4E, 0x1000 | W | P);
	expect_gpa(BIT(39) + BIT(30) + BIT(21) + BIT(12) + 8, WALK_WRITE, 0x1008);
	assert_int_equal(get64(PML4E), 0x1000 | W | P | A | D);
}

/** Translate, and then write. */
static enum walk_status write_span(u64 gva, const void *src, u64 len, u32 access, gva_t *at)
{
	struct walk_span span;
	enum walk_status status =
		guest_virt_span(&t.gm, &t.r, GVA(gva), len, access | WALK_WRITE, &t.out, at, &span);

	if (status == WALK_OK)
		guest_span_write(&t.gm, &span, src);
	return status;
}

static void copying_across_pages(void **state)
{
	u8 buf[8] = {1, 2, 3, 4, 5, 6, 7, 8}, back[8] = {0};
	u64 end = ALIGN_UP(GVA_4L, PAGE_SIZE) - 3;
	gva_t at = GVA(0);

	(void)state;
	long_mode();
	put64(PTE + 8, 0x33000 | UWP);
	assert_int_equal(write_span(end, buf, 8, WALK_USER, &at), WALK_OK);
	assert_memory_equal(t.ram + 0x55ffd, buf, 3);
	assert_memory_equal(t.ram + 0x33000, buf + 3, 5);
	assert_int_equal(get64(PTE + 8), 0x33000 | UWP | A | D);
	assert_int_equal(guest_virt_read(&t.gm, &t.r, GVA(end), back, 8, WALK_USER, &t.out, &at),
			 WALK_OK);
	assert_memory_equal(back, buf, 8);
	/* The second page refuses: the fault is there, and nothing was written. */
	put64(PTE + 8, 0x33000 | U | P);
	memset(t.ram + 0x55000, 0, PAGE_SIZE);
	assert_int_equal(write_span(end, buf, 8, WALK_USER, &at), WALK_FAULT);
	assert_true(at.v == end + 3);
	assert_int_equal(t.out.pferr, PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
	assert_int_equal(t.ram[0x55ffd], 0);
	/* Data that is no RAM. */
	put64(PTE + 8, 0xfee00000 | UWP);
	assert_int_equal(guest_virt_read(&t.gm, &t.r, GVA(end), back, 8, WALK_USER, &t.out, &at),
			 WALK_NOT_RAM);
	assert_int_equal(t.out.gpa.v, 0xfee00000);
	assert_true(at.v == end + 3);
}

/** The first part clears the entry that the second part is found by: as with the processor, that
 * goes to where its page was when the access began. */
static void a_write_that_takes_its_second_page_away(void **state)
{
	const u64 data[2] = {0, 0x1122334455667788};
	const u64 table = ALIGN_DOWN(GVA_4L, MIB(2)) + 510 * PAGE_SIZE;
	gva_t at = GVA(7);

	(void)state;
	long_mode();
	put64(0x4000 + 8 * 510, 0x4000 | UWP); /* the page table maps itself */
	put64(0x4000 + 8 * 511, 0x33000 | UWP);
	assert_int_equal(write_span(table + PAGE_SIZE - 8, data, 16, 0, &at), WALK_OK);
	assert_true(get64(0x4000 + 8 * 511) == 0);
	assert_true(get64(0x33000) == data[1]);
	assert_int_equal(at.v, 7);
}

static void copying_wraps_at_4_gib(void **state)
{
	u8 buf[4] = {0};
	gva_t at = GVA(7);

	(void)state;
	legacy_mode();
	put32(0x1ffc, 0x2000 | UWP); /* directory slot 1023 */
	put32(0x2ffc, 0x66000 | UWP);
	put32(0x1000, 0x2000 | UWP);
	t.ram[0x66fff] = 0x11;
	assert_int_equal(guest_virt_read(&t.gm, &t.r, GVA(0xffffffff), buf, 4, 0, &t.out, &at),
			 WALK_FAULT);
	assert_int_equal(at.v, 0);
	assert_int_equal(buf[0], 0x11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetch_bit_of_the_error_code),
		cmocka_unit_test(all_levels_must_allow),
		cmocka_unit_test(smep),
		cmocka_unit_test(smap),
		cmocka_unit_test(protection_keys),
		cmocka_unit_test(accessed_and_dirty),
		cmocka_unit_test(one_page_at_two_levels),
		cmocka_unit_test(copying_across_pages),
		cmocka_unit_test(a_write_that_takes_its_second_page_away),
		cmocka_unit_test(copying_wraps_at_4_gib),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
