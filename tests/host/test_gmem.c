/* SPDX-License-Identifier: MIT */
/* Guest memory: slots that must not overlap, and copies that must not reach beyond them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gmem.h"
#include "lib/mem.h"

/* Slots 0x0-0x1fff and 0x2000-0x2fff touch; 0x8000-0x8fff stands alone. Separate allocations, so
 * that ASan sees a copy that runs on in host memory. */
struct memory {
	struct gmem gm;
	u8 *low, *next, *alone;
};

static int setup(void **state)
{
	struct memory *m = calloc(1, sizeof(*m));

	m->alone = calloc(1, PAGE_SIZE);
	m->next = calloc(1, PAGE_SIZE);
	m->low = calloc(2, PAGE_SIZE);
	assert_true(gmem_add(&m->gm, GPA(0x8000), PAGE_SIZE, HPA(0x100000), m->alone));
	assert_true(gmem_add(&m->gm, GPA(0), 2 * PAGE_SIZE, HPA(0x200000), m->low));
	assert_true(gmem_add(&m->gm, GPA(0x2000), PAGE_SIZE, HPA(0x300000), m->next));
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct memory *m = *state;

	free(m->low);
	free(m->next);
	free(m->alone);
	free(m);
	return 0;
}

static void adding(void **state)
{
	struct gmem gm = {.nr = 0};
	u8 byte;

	(void)state;
	assert_true(gmem_add(&gm, GPA(0x4000), 0x4000, HPA(0), &byte));
	assert_false(gmem_add(&gm, GPA(0x7000), 0x1000, HPA(0), &byte)); /* its last page */
	assert_false(gmem_add(&gm, GPA(0x3000), 0x2000, HPA(0), &byte)); /* its first */
	assert_false(gmem_add(&gm, GPA(0x5000), 0x1000, HPA(0), &byte)); /* within */
	assert_false(gmem_add(&gm, GPA(0), 0x10000, HPA(0), &byte));	 /* around */
	assert_false(gmem_add(&gm, GPA(0x10001), 0x1000, HPA(0), &byte));
	assert_false(gmem_add(&gm, GPA(0x10000), 0x1001, HPA(0), &byte));
	assert_false(gmem_add(&gm, GPA(0x10000), 0x1000, HPA(0x80), &byte));
	assert_false(gmem_add(&gm, GPA(0x10000), 0, HPA(0), &byte));
	assert_false(gmem_add(&gm, GPA(BIT(52) - 0x1000), 0x2000, HPA(0), &byte));
	assert_false(gmem_add(&gm, GPA(0 - PAGE_SIZE), 0x1000, HPA(0), &byte));
	assert_int_equal(gm.nr, 1);
	assert_true(
		gmem_add(&gm, GPA(0x3000), 0x1000, HPA(0), &byte)); /* touching is not overlap */
	assert_true(gmem_add(&gm, GPA(0x8000), 0x1000, HPA(0), &byte));
	assert_true(gmem_add(&gm, GPA(BIT(52) - 0x1000), 0x1000, HPA(0), &byte));
	assert_int_equal(gmem_size(&gm), 0x7000);
	while (gm.nr < GMEM_MAX_SLOTS)
		assert_true(
			gmem_add(&gm, GPA(0x100000 + gm.nr * PAGE_SIZE), PAGE_SIZE, HPA(0), &byte));
	assert_false(gmem_add(&gm, GPA(0x200000), PAGE_SIZE, HPA(0), &byte));
	assert_int_equal(gm.nr, GMEM_MAX_SLOTS);
}

static void finding(void **state)
{
	struct memory *m = *state;

	assert_ptr_equal(gmem_slot(&m->gm, GPA(0)), &m->gm.slot[1]);
	assert_ptr_equal(gmem_slot(&m->gm, GPA(0x1fff)), &m->gm.slot[1]);
	assert_ptr_equal(gmem_slot(&m->gm, GPA(0x2000)), &m->gm.slot[2]);
	assert_null(gmem_slot(&m->gm, GPA(0x3000)));
	assert_null(gmem_slot(&m->gm, GPA(0x7fff)));
	assert_ptr_equal(gmem_slot(&m->gm, GPA(0x8fff)), &m->gm.slot[0]);
	assert_null(gmem_slot(&m->gm, GPA(0x9000)));
	assert_null(gmem_slot(&m->gm, GPA(~0ull)));
}

static void pointing(void **state)
{
	struct memory *m = *state;

	assert_ptr_equal(gmem_ptr(&m->gm, GPA(0x1234), 8), m->low + 0x1234);
	assert_ptr_equal(gmem_ptr(&m->gm, GPA(0x1fff), 1), m->low + 0x1fff);
	assert_null(gmem_ptr(&m->gm, GPA(0x1fff), 2)); /* goes on elsewhere on the host */
	assert_non_null(gmem_ptr(&m->gm, GPA(0), 0x2000));
	assert_null(gmem_ptr(&m->gm, GPA(0), 0x2001));
	assert_null(gmem_ptr(&m->gm, GPA(0x10), ~0ull));
	assert_null(gmem_ptr(&m->gm, GPA(0x10), 0 - 0x10ull));
	assert_null(gmem_ptr(&m->gm, GPA(0x3000), 1));
}

static void copying(void **state)
{
	struct memory *m = *state;
	u8 out[16], in[16];

	for (unsigned i = 0; i < 16; i++)
		in[i] = (u8)(i + 1);
	assert_true(gmem_write(&m->gm, GPA(0x1ffb), in, 16)); /* across two slots */
	assert_memory_equal(m->low + 0x1ffb, in, 5);
	assert_memory_equal(m->next, in + 5, 11);
	assert_true(gmem_read(&m->gm, GPA(0x1ffb), out, 16));
	assert_memory_equal(out, in, 16);
	assert_true(gmem_read(&m->gm, GPA(0x2ff0), out, 16)); /* to the last byte, and beyond */
	assert_false(gmem_read(&m->gm, GPA(0x2ff1), out, 16));
	assert_false(gmem_write(&m->gm, GPA(0x2ff1), in, 16));
	assert_false(gmem_read(&m->gm, GPA(0x7fff), out, 2));
	assert_false(gmem_write(&m->gm, GPA(~0ull), in, 2));
	assert_true(gmem_write(&m->gm, GPA(0x5000), in, 0)); /* nothing to do anywhere */
}

static void setting(void **state)
{
	struct memory *m = *state;

	assert_true(gmem_set(&m->gm, GPA(0x1f00), 0xa5, 0x1100));
	assert_int_equal(m->low[0x1eff], 0);
	assert_int_equal(m->low[0x1f00], 0xa5);
	assert_int_equal(m->low[0x1fff], 0xa5);
	assert_int_equal(m->next[0xfff], 0xa5);
	assert_false(gmem_set(&m->gm, GPA(0x8800), 1, 0x801));
	assert_true(gmem_set(&m->gm, GPA(0x8800), 1, 0x800));
}

/* Memory of a device is read and written like RAM, and counts for nothing else. */
static void device_memory(void **state)
{
	struct memory *m = *state;
	const u64 ram = gmem_size(&m->gm);
	const unsigned nr = m->gm.nr;
	u8 mem[PAGE_SIZE] = {0}, out[2];

	assert_false(gmem_set_device(&m->gm, GPA(0), PAGE_SIZE, HPA(0x100000), mem));
	assert_false(gmem_set_device(&m->gm, GPA(0xff000800), PAGE_SIZE, HPA(0x100000), mem));
	assert_false(gmem_set_device(&m->gm, GPA(0xff000000), 0, HPA(0x100000), mem));
	assert_null(gmem_slot(&m->gm, GPA(0xff000000)));
	assert_true(gmem_set_device(&m->gm, GPA(0xff000000), PAGE_SIZE, HPA(0x100000), mem));
	assert_false(gmem_add(&m->gm, GPA(0xff000000), PAGE_SIZE, HPA(0x200000), mem));
	assert_false(gmem_add(&m->gm, GPA(0xfefff000), 2 * PAGE_SIZE, HPA(0x200000), mem));
	assert_ptr_equal(gmem_slot(&m->gm, GPA(0xff000fff)), &m->gm.device);
	assert_null(gmem_slot(&m->gm, GPA(0xff001000)));
	assert_true(gmem_write(&m->gm, GPA(0xff000ffe), "ab", 2));
	assert_memory_equal(mem + 0xffe, "ab", 2);
	assert_true(gmem_read(&m->gm, GPA(0xff000ffe), out, 2));
	assert_false(gmem_read(&m->gm, GPA(0xff000fff), out, 2));
	assert_true(gmem_size(&m->gm) == ram);
	assert_int_equal(m->gm.nr, nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adding),
		cmocka_unit_test_setup_teardown(finding, setup, teardown),
		cmocka_unit_test_setup_teardown(pointing, setup, teardown),
		cmocka_unit_test_setup_teardown(copying, setup, teardown),
		cmocka_unit_test_setup_teardown(setting, setup, teardown),
		cmocka_unit_test_setup_teardown(device_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
