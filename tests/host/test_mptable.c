/* SPDX-License-Identifier: MIT */
/* The MP table, found and read as Linux does it (arch/x86/kernel/mpparse.c), by the offsets of the
 * MultiProcessor Specification 1.4, chapter 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/pc.h"

#define SIGNATURE 0x000306c3u
#define FEATURES 0x0fabfbffu
#define RAM MIB(2)

struct fixture {
	struct gmem gm;
	u8 *mem;
	bool built;
};

static void init(struct fixture *f, unsigned nr_vcpus)
{
	memset(f, 0, sizeof(*f));
	f->mem = malloc(RAM);
	memset(f->mem, 0xcc, RAM);
	assert_true(gmem_add(&f->gm, GPA(0), RAM, HPA(RAM), f->mem));
	f->built = mptable_build(&f->gm, nr_vcpus, SIGNATURE, FEATURES);
}

static u32 get(const struct fixture *f, u64 gpa, unsigned size)
{
	u32 v = 0;

	assert_true(gmem_read(&f->gm, GPA(gpa), &v, size));
	return v;
}

static u8 sum(const struct fixture *f, u64 gpa, u32 len)
{
	u8 s = 0;

	for (u32 i = 0; i < len; i++)
		s += f->mem[gpa + i];
	return s;
}

/** A valid floating pointer at this address. */
static bool is_pointer(const struct fixture *f, u64 at)
{
	u32 spec = get(f, at + 9, 1);

	return !memcmp(f->mem + at, "_MP_", 4) && get(f, at + 8, 1) == 1 && !sum(f, at, 16) &&
	       (spec == 1 || spec == 4);
}

/** smp_scan_config(): the number of places looked at before there was one; ~0: none. */
static unsigned scan(const struct fixture *f, u64 base, u64 len)
{
	for (u64 at = base; at < base + len; at += 16)
		if (is_pointer(f, at))
			return (at - base) / 16;
	return ~0u;
}

static void found_at_once(void **state)
{
	struct fixture f;
	u64 t;

	(void)state;
	init(&f, 1);
	assert_true(f.built);
	assert_int_equal(scan(&f, 0, 0x400), 0);	  /* Linux's first look */
	assert_int_equal(scan(&f, 639 * 1024, 0x400), 0); /* the specification's */
	t = get(&f, 4, 4);
	assert_int_equal(get(&f, 639 * 1024 + 4, 4), t);
	for (unsigned feature = 11; feature < 16; feature++) {
		assert_int_equal(f.mem[feature], 0);
		assert_int_equal(f.mem[639 * 1024 + feature], 0);
	}
	assert_memory_equal(f.mem + t, "PCMP", 4);
	assert_int_equal(sum(&f, t, get(&f, t + 4, 2)), 0);
	assert_int_equal(get(&f, t + 6, 1), 4);
	assert_memory_equal(f.mem + t + 8, "TALLYV  TALLYVISOR  ", 20);
	assert_int_equal(get(&f, t + 28, 4), 0); /* no OEM table */
	assert_int_equal(get(&f, t + 36, 4), 0xfee00000);
	assert_int_equal(get(&f, t + 40, 4), 0); /* no extended table */
	free(f.mem);
}

/** Nothing but the pointer in page 0, and the rest inside what the e820 map reserves. */
static void only_its_places(void **state)
{
	struct e820_entry map[16];
	struct fixture f;
	bool reserved = false;
	unsigned nr;

	(void)state;
	init(&f, PC_MAX_VCPUS);
	for (u64 at = 16; at < RAM; at++)
		if (at < 0x9fc00 || at >= 0xa0000)
			assert_int_equal(f.mem[at], 0xcc);
	nr = e820_build(&f.gm, map, ARRAY_SIZE(map));
	for (unsigned i = 0; i < nr; i++)
		reserved |= map[i].type == 2 && map[i].addr <= 0x9fc00 &&
			    map[i].addr + map[i].size >= 0xa0000;
	assert_true(reserved);
	free(f.mem);
}

struct seen {
	unsigned processors, buses, ioapics, locals;
	u32 irqs, pins; /* bit masks */
};

static void check_io_interrupt(const struct fixture *f, u64 e, struct seen *s)
{
	u32 irq = get(f, e + 5, 1), pin = get(f, e + 7, 1);

	assert_int_equal(get(f, e + 1, 1), 0);
	assert_int_equal(get(f, e + 2, 2), irq == 9 ? 0xd : 0);
	assert_int_equal(get(f, e + 4, 1), 0);
	assert_int_equal(get(f, e + 6, 1), PC_IOAPIC_ID);
	assert_int_equal(pin, irq ? irq : 2);
	assert_false(s->irqs & 1u << irq || s->pins & 1u << pin);
	s->irqs |= 1u << irq;
	s->pins |= 1u << pin;
}

/** One entry: its length. */
static unsigned check_entry(const struct fixture *f, u64 e, struct seen *s)
{
	switch (get(f, e, 1)) {
	case 0:
		assert_int_equal(get(f, e + 1, 1), s->processors);
		assert_int_equal(get(f, e + 2, 1), 0x14);
		assert_int_equal(get(f, e + 3, 1), s->processors ? 1 : 3);
		assert_int_equal(get(f, e + 4, 4), SIGNATURE);
		assert_int_equal(get(f, e + 8, 4), FEATURES);
		s->processors++;
		return 20;
	case 1:
		assert_int_equal(get(f, e + 1, 1), 0);
		assert_memory_equal(f->mem + e + 2, "ISA   ", 6);
		s->buses++;
		return 8;
	case 2:
		assert_int_equal(get(f, e + 1, 1), PC_IOAPIC_ID);
		assert_int_equal(get(f, e + 2, 1), 0x20);
		assert_int_equal(get(f, e + 3, 1), 1);
		assert_int_equal(get(f, e + 4, 4), 0xfec00000);
		s->ioapics++;
		return 8;
	case 3:
		check_io_interrupt(f, e, s);
		return 8;
	case 4: /* ExtINT at the BSP's LINT0, NMI at every LINT1 */
		assert_int_equal(get(f, e + 1, 1), s->locals ? 1 : 3);
		assert_int_equal(get(f, e + 6, 1), s->locals ? 0xff : 0);
		assert_int_equal(get(f, e + 7, 1), s->locals ? 1 : 0);
		s->locals++;
		return 8;
	}
	fail();
	return 0;
}

static void the_machine(void **state)
{
	(void)state;
	for (unsigned nr = 1; nr <= PC_MAX_VCPUS; nr++) {
		struct seen s = {0};
		struct fixture f;
		unsigned entries = 0, type = 0;
		u64 t, e;

		init(&f, nr);
		t = get(&f, 4, 4);
		for (e = t + 44; e < t + get(&f, t + 4, 2); entries++) {
			assert_true(get(&f, e, 1) >= type); /* in order of their types */
			type = get(&f, e, 1);
			e += check_entry(&f, e, &s);
		}
		assert_int_equal(e, t + get(&f, t + 4, 2));
		assert_int_equal(get(&f, t + 34, 2), entries);
		assert_int_equal(s.processors, nr);
		assert_int_equal(s.buses, 1);
		assert_int_equal(s.ioapics, 1);
		assert_int_equal(s.locals, 2);
		assert_int_equal(s.irqs, 0xffff & ~(1u << 2));
		assert_int_equal(s.pins, 0xffff & ~(1u << 0));
		free(f.mem);
	}
}

static void no_place(void **state)
{
	struct gmem gm = {0};
	struct fixture f;

	(void)state;
	assert_false(mptable_build(&gm, 1, 0, 0));
	f.mem = calloc(1, KIB(640));
	assert_true(gmem_add(&gm, GPA(0), KIB(636), HPA(0), f.mem));
	assert_false(mptable_build(&gm, 1, 0, 0));
	assert_int_equal(f.mem[0], 0);
	free(f.mem);
	init(&f, PC_MAX_VCPUS + 1);
	assert_false(f.built);
	assert_int_equal(f.mem[0], 0xcc);
	free(f.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_at_once),
		cmocka_unit_test(only_its_places),
		cmocka_unit_test(the_machine),
		cmocka_unit_test(no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
