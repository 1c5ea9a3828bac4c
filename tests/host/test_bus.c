/* SPDX-License-Identifier: MIT */
/* The PIO/MMIO bus: claiming, finding, splitting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "device.h"

/** A device that logs what reaches it and reads as its own offsets. */
struct probe {
	unsigned nr;
	struct {
		u64 offset, value;
		unsigned size;
	} log[16];
};

static u64 probe_read(void *dev, u64 offset, unsigned size)
{
	struct probe *p = dev;
	u64 v = 0;

	p->log[p->nr].offset = offset;
	p->log[p->nr++].size = size;
	for (unsigned i = 0; i < size; i++)
		v |= (0x10 + offset + i) << (i * 8);
	return v | (size < 8 ? 0xa5ull << 56 : 0);
}

static void probe_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct probe *p = dev;

	p->log[p->nr].offset = offset;
	p->log[p->nr].value = value;
	p->log[p->nr++].size = size;
}

static bool claim(struct bus *bus, struct probe *p, u64 base, u64 len, unsigned width)
{
	struct bus_range r = {"probe", base, len, p, probe_read, probe_write, width};

	return bus_claim(bus, &r);
}

static void test_claim(void **state)
{
	struct bus bus = {0};
	struct probe p = {0};

	(void)state;
	assert_true(claim(&bus, &p, 0x60, 1, 0));
	assert_true(claim(&bus, &p, 0x40, 4, 0));
	assert_true(claim(&bus, &p, 0x64, 1, 0));
	assert_true(claim(&bus, &p, 0x61, 3, 0)); /* exactly the gap */
	assert_false(claim(&bus, &p, 0x43, 1, 0));
	assert_false(claim(&bus, &p, 0x3f, 2, 0));
	assert_false(claim(&bus, &p, 0x30, 0x100, 0));
	assert_false(claim(&bus, &p, 0x40, 4, 0));
	assert_false(claim(&bus, &p, 0x80, 0, 0));
	assert_false(claim(&bus, &p, ~0ull, 2, 0));
	assert_true(claim(&bus, &p, ~0ull, 1, 0));
	assert_int_equal(bus.nr, 5);
	for (unsigned i = 1; i < bus.nr; i++)
		assert_true(bus.range[i - 1].base < bus.range[i].base);
}

static void test_full(void **state)
{
	struct bus bus = {0};
	struct probe p = {0};

	(void)state;
	for (unsigned i = 0; i < BUS_MAX_RANGES; i++)
		assert_true(claim(&bus, &p, 1000 - i * 8, 8, 0));
	assert_false(claim(&bus, &p, 5000, 1, 0));
	for (unsigned i = 0; i < BUS_MAX_RANGES; i++) {
		const struct bus_range *r = bus_find(&bus, 1000 - i * 8 + 7, 1);

		assert_non_null(r);
		assert_int_equal(r->base, 1000 - i * 8);
	}
	assert_null(bus_find(&bus, 1008, 1));
	assert_null(bus_find(&bus, 1000 - 31 * 8 - 1, 1));
}

static void test_find(void **state)
{
	struct bus bus = {0};
	struct probe p = {0};

	(void)state;
	assert_null(bus_find(&bus, 0, 1));
	claim(&bus, &p, 0x3f8, 8, 1);
	assert_non_null(bus_find(&bus, 0x3f8, 8));
	assert_non_null(bus_find(&bus, 0x3ff, 1));
	assert_null(bus_find(&bus, 0x3ff, 2));
	assert_null(bus_find(&bus, 0x3f7, 2));
	assert_null(bus_find(&bus, 0x400, 1));
	assert_null(bus_find(&bus, ~0ull, 8));
}

static void test_unclaimed(void **state)
{
	struct bus bus = {0};
	u64 v;

	(void)state;
	assert_false(bus_read(&bus, 0x80, 1, &v));
	assert_int_equal(v, 0xff);
	assert_false(bus_read(&bus, 0x80, 4, &v));
	assert_int_equal(v, 0xffffffff);
	assert_false(bus_read(&bus, ~0ull, 8, &v));
	assert_true(v == ~0ull);
	assert_false(bus_write(&bus, 0x80, 4, 0));
}

static void test_whole(void **state)
{
	struct bus bus = {0};
	struct probe p = {0};
	u64 v;

	(void)state;
	claim(&bus, &p, 0x600, 16, 0);
	assert_true(bus_read(&bus, 0x608, 4, &v));
	assert_int_equal(v, 0x1b1a1918); /* the device's stray high bits are cut off */
	assert_int_equal(p.nr, 1);
	assert_int_equal(p.log[0].size, 4);
	assert_true(bus_write(&bus, 0x604, 2, 0xdead2001));
	assert_int_equal(p.log[1].value, 0x2001);
	assert_int_equal(p.log[1].offset, 4);
	assert_true(bus_read(&bus, 0x608, 8, &v));
	assert_true(v == 0x1f1e1d1c1b1a1918);
}

static void test_narrow_device(void **state)
{
	struct bus bus = {0};
	struct probe p = {0};
	u64 v;

	(void)state;
	claim(&bus, &p, 0x3f8, 8, 1);
	assert_true(bus_read(&bus, 0x3f9, 4, &v));
	assert_int_equal(v, 0x14131211);
	assert_int_equal(p.nr, 4);
	p.nr = 0;
	assert_true(bus_write(&bus, 0x3f8, 2, 0x4241));
	assert_int_equal(p.nr, 2);
	assert_int_equal(p.log[0].offset, 0);
	assert_int_equal(p.log[0].value, 0x41);
	assert_int_equal(p.log[1].offset, 1);
	assert_int_equal(p.log[1].value, 0x42);

	claim(&bus, &p, 0x1000, 8, 4);
	p.nr = 0;
	assert_true(bus_write(&bus, 0x1000, 8, 0x1122334455667788));
	assert_int_equal(p.nr, 2);
	assert_int_equal(p.log[0].value, 0x55667788);
	assert_int_equal(p.log[1].value, 0x11223344);
}

static void test_crossing(void **state)
{
	struct bus bus = {0};
	struct probe a = {0}, b = {0};
	u64 v;

	(void)state;
	claim(&bus, &a, 0x40, 4, 0);
	claim(&bus, &b, 0x45, 1, 0);
	assert_true(bus_read(&bus, 0x43, 4, &v)); /* a's last, a hole, b's only, a hole */
	assert_int_equal(v, 0xff10ff13);
	assert_true(bus_read(&bus, 0x3f, 2, &v));
	assert_int_equal(v, 0x10ff);
	a.nr = b.nr = 0;
	assert_true(bus_write(&bus, 0x43, 4, 0x44332211));
	assert_int_equal(a.nr, 1);
	assert_int_equal(a.log[0].value, 0x11);
	assert_int_equal(b.nr, 1);
	assert_int_equal(b.log[0].value, 0x33);
	assert_true(bus_write(&bus, 0x3f, 2, 0xbbaa));
	assert_int_equal(a.log[1].value, 0xbb);
}

static void test_bad_sizes(void **state)
{
	struct bus bus = {0};
	struct probe p = {0};
	static const unsigned sizes[] = {0, 3, 5, 16, ~0u};
	u64 v;

	(void)state;
	claim(&bus, &p, 0, 0x100, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_false(bus_read(&bus, 0x10, sizes[i], &v));
		assert_true(v == ~0ull);
		assert_false(bus_write(&bus, 0x10, sizes[i], 0));
	}
	assert_int_equal(p.nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claim),	 cmocka_unit_test(test_full),
		cmocka_unit_test(test_find),	 cmocka_unit_test(test_unclaimed),
		cmocka_unit_test(test_whole),	 cmocka_unit_test(test_narrow_device),
		cmocka_unit_test(test_crossing), cmocka_unit_test(test_bad_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
