/* SPDX-License-Identifier: MIT */
/* The ACPI tables, read back as an operating system reads them: by offsets of ACPI 6.4, chapter 5.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/pc.h"

struct fixture {
	struct gmem gm;
	u8 *mem;
	u64 rsdp;
};

static void init(struct fixture *f, unsigned nr_vcpus)
{
	memset(f, 0, sizeof(*f));
	f->mem = malloc(MIB(2));
	memset(f->mem, 0xcc, MIB(2));
	assert_true(gmem_add(&f->gm, GPA(0), MIB(2), HPA(MIB(2)), f->mem));
	f->rsdp = acpi_build(&f->gm, nr_vcpus);
}

static u64 get(const struct fixture *f, u64 gpa, unsigned size)
{
	u64 v = 0;

	assert_true(gmem_read(&f->gm, GPA(gpa), &v, size));
	return v;
}

static void assert_sum(const struct fixture *f, u64 gpa, u32 len)
{
	u8 sum = 0;

	for (u32 i = 0; i < len; i++)
		sum += get(f, gpa + i, 1);
	assert_int_equal(sum, 0);
}

static void assert_signature(const struct fixture *f, u64 gpa, const char *s)
{
	for (; *s; s++)
		assert_int_equal(get(f, gpa++, 1), *s);
}

/** A table with the common header: within the reserved area, whole, aligned. */
static u32 check_table(const struct fixture *f, u64 gpa, const char *signature)
{
	u32 len = get(f, gpa + 4, 4);

	assert_in_range(gpa, 0xe0000, 0xfffff);
	assert_true(gpa + len <= 0x100000);
	assert_int_equal(gpa % 4, 0);
	assert_signature(f, gpa, signature);
	assert_sum(f, gpa, len);
	return len;
}

static u64 find(const struct fixture *f, const char *signature)
{
	u64 xsdt = get(f, f->rsdp + 24, 8);
	unsigned nr = (get(f, xsdt + 4, 4) - 36) / 8;

	for (unsigned i = 0; i < nr; i++) {
		u64 t = get(f, xsdt + 36 + i * 8, 8);
		u32 s = get(f, t, 4);

		if (!memcmp(&s, signature, 4))
			return t;
	}
	fail_msg("no %s", signature);
	return 0;
}

static void test_roots(void **state)
{
	struct fixture f;
	u64 rsdt, xsdt;
	u32 nr;

	(void)state;
	init(&f, 1);
	assert_in_range(f.rsdp, 0xe0000, 0xfffff);
	assert_int_equal(f.rsdp % 16, 0);
	assert_signature(&f, f.rsdp, "RSD PTR ");
	assert_int_equal(get(&f, f.rsdp + 15, 1), 2);
	assert_int_equal(get(&f, f.rsdp + 20, 4), 36);
	assert_sum(&f, f.rsdp, 20);
	assert_sum(&f, f.rsdp, 36);
	rsdt = get(&f, f.rsdp + 16, 4);
	xsdt = get(&f, f.rsdp + 24, 8);
	nr = (check_table(&f, rsdt, "RSDT") - 36) / 4;
	assert_int_equal(check_table(&f, xsdt, "XSDT"), 36 + nr * 8);
	for (u32 i = 0; i < nr; i++) {
		u64 t = get(&f, xsdt + 36 + i * 8, 8);

		assert_int_equal(get(&f, rsdt + 36 + i * 4, 4), t);
		check_table(&f, t, "");
	}
	for (u64 gpa = 0; gpa < MIB(2); gpa += 8) /* nothing outside the area was touched */
		if (gpa < 0xe0000 || gpa >= 0x100000)
			assert_true(get(&f, gpa, 8) == 0xcccccccccccccccc);
	free(f.mem);
}

static void assert_gas(const struct fixture *f, u64 gpa, u8 bits, u16 port)
{
	assert_int_equal(get(f, gpa, 1), 1); /* system I/O */
	assert_int_equal(get(f, gpa + 1, 1), bits);
	assert_int_equal(get(f, gpa + 4, 8), port);
}

static void test_fadt(void **state)
{
	struct fixture f;
	u64 t, facs, dsdt;
	u32 flags;

	(void)state;
	init(&f, 1);
	t = find(&f, "FACP");
	assert_int_equal(check_table(&f, t, "FACP"), 276);
	assert_int_equal(get(&f, t + 8, 1), 6);
	facs = get(&f, t + 36, 4);
	assert_int_equal(facs % 64, 0);
	assert_signature(&f, facs, "FACS");
	assert_int_equal(get(&f, facs + 4, 4), 64);
	assert_int_equal(get(&f, facs + 32, 1), 2);
	assert_int_equal(get(&f, t + 132, 8), 0);
	dsdt = get(&f, t + 40, 4);
	assert_int_equal(get(&f, t + 140, 8), dsdt);
	check_table(&f, dsdt, "DSDT");
	assert_int_equal(get(&f, t + 46, 2), 9); /* SCI_INT */
	assert_int_equal(get(&f, t + 48, 4), 0); /* SMI_CMD */
	assert_int_equal(get(&f, t + 56, 4), 0x600);
	assert_int_equal(get(&f, t + 64, 4), 0x604);
	assert_int_equal(get(&f, t + 76, 4), 0x608);
	assert_int_equal(get(&f, t + 88, 1), 4);
	assert_int_equal(get(&f, t + 89, 1), 2);
	assert_int_equal(get(&f, t + 91, 1), 4);
	assert_gas(&f, t + 148, 32, 0x600);
	assert_gas(&f, t + 172, 16, 0x604);
	assert_gas(&f, t + 208, 32, 0x608);
	assert_int_equal(get(&f, t + 108, 1), 0x32); /* century */
	assert_int_equal(get(&f, t + 109, 2), 0x05); /* legacy devices, no 8042, no VGA */
	flags = get(&f, t + 112, 4);
	assert_true(flags & 1 << 0);
	assert_true(flags & 1 << 8);   /* 32-bit PM timer */
	assert_true(flags & 1 << 10);  /* reset register */
	assert_false(flags & 1 << 20); /* not hardware-reduced */
	assert_gas(&f, t + 116, 8, 0xcf9);
	assert_int_equal(get(&f, t + 128, 1), 6);
	free(f.mem);
}

/** The DSDT as committed: \_S5 with SLP_TYP 5 (in AML: Name _S5_ Package, 4 elements). */
static void test_dsdt(void **state)
{
	static const u8 s5[] = {0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, 5, 0x0a, 5};
	struct fixture f;
	bool found = false;
	u64 dsdt;
	u32 len;

	(void)state;
	init(&f, 1);
	dsdt = get(&f, find(&f, "FACP") + 40, 4);
	len = get(&f, dsdt + 4, 4);
	for (u32 i = 36; i + sizeof(s5) <= len; i++)
		found |= !memcmp(f.mem + dsdt + i, s5, sizeof(s5));
	assert_true(found);
	free(f.mem);
}

static void test_madt(void **state)
{
	for (unsigned nr = 1; nr <= PC_MAX_VCPUS; nr++) {
		unsigned lapics = 0, ioapics = 0, isos = 0, nmis = 0;
		struct fixture f;
		u64 t, end;

		(void)state;
		init(&f, nr);
		t = find(&f, "APIC");
		end = t + get(&f, t + 4, 4);
		assert_int_equal(get(&f, t + 36, 4), 0xfee00000);
		assert_int_equal(get(&f, t + 40, 4), 1);
		for (u64 e = t + 44; e < end; e += get(&f, e + 1, 1)) {
			switch (get(&f, e, 1)) {
			case 0:
				assert_int_equal(get(&f, e + 1, 1), 8);
				assert_int_equal(get(&f, e + 3, 1), lapics++);
				assert_int_equal(get(&f, e + 4, 4), 1);
				break;
			case 1:
				assert_int_equal(get(&f, e + 1, 1), 12);
				assert_true(get(&f, e + 2, 1) >= PC_MAX_VCPUS);
				assert_int_equal(get(&f, e + 4, 4), 0xfec00000);
				assert_int_equal(get(&f, e + 8, 4), 0);
				ioapics++;
				break;
			case 2: /* bus 0; IRQ 0 is pin 2; IRQ 9 is active high, level */
				assert_int_equal(get(&f, e + 1, 1), 10);
				assert_int_equal(get(&f, e + 2, 1), 0);
				assert_int_equal(get(&f, e + 3, 1), isos ? 9 : 0);
				assert_int_equal(get(&f, e + 4, 4), isos ? 9 : 2);
				assert_int_equal(get(&f, e + 8, 2), isos ? 0xd : 0);
				isos++;
				break;
			case 4:
				assert_int_equal(get(&f, e + 1, 1), 6);
				assert_int_equal(get(&f, e + 2, 1), 0xff);
				assert_int_equal(get(&f, e + 5, 1), 1);
				nmis++;
				break;
			default:
				fail();
			}
		}
		assert_int_equal(lapics, nr);
		assert_int_equal(ioapics, 1);
		assert_int_equal(isos, 2);
		assert_int_equal(nmis, 1);
		free(f.mem);
	}
}

static void test_no_memory(void **state)
{
	struct gmem gm = {0};
	struct fixture f;

	(void)state;
	assert_int_equal(acpi_build(&gm, 1), 0);
	f.mem = malloc(KIB(640));
	assert_true(gmem_add(&gm, GPA(0), KIB(640), HPA(0), f.mem));
	assert_int_equal(acpi_build(&gm, 1), 0);
	free(f.mem);
	init(&f, PC_MAX_VCPUS + 1);
	assert_int_equal(f.rsdp, 0);
	free(f.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roots),	  cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_dsdt),	  cmocka_unit_test(test_madt),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
