/* SPDX-License-Identifier: MIT */
/* Guest memory: where chunks of host memory go, and the e820 map. Nothing here touches memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guest/pc.h"

/** What must hold for every layout: congruence, no overlap with the hole, and each host byte used
 *  once at most. */
static void check(const struct gmem *gm, u64 placed)
{
	assert_true(gmem_size(gm) == placed);
	for (unsigned i = 0; i < gm->nr; i++) {
		const struct gmem_slot *s = &gm->slot[i];

		assert_int_equal(s->gpa.v % MIB(2), s->hpa.v % MIB(2));
		assert_int_equal(s->size % MIB(2), 0);
		assert_true(s->gpa.v + s->size <= PC_LOW_RAM_MAX || s->gpa.v >= GIB(4));
		for (unsigned j = 0; j < i; j++) {
			const struct gmem_slot *o = &gm->slot[j];

			assert_true(s->hpa.v + s->size <= o->hpa.v ||
				    o->hpa.v + o->size <= s->hpa.v);
		}
	}
}

static u64 lay(struct gmem *gm, const struct gmem_slot *chunks, unsigned nr)
{
	u64 placed;

	memset(gm, 0, sizeof(*gm));
	placed = pc_place_memory(gm, chunks, nr);
	check(gm, placed);
	return placed;
}

static void test_small(void **state)
{
	struct gmem_slot c[] = {{.hpa = HPA(MIB(64)), .size = MIB(512)}};
	struct e820_entry e[8];
	struct gmem gm;

	(void)state;
	assert_true(lay(&gm, c, 1) == MIB(512));
	assert_int_equal(gm.nr, 1);
	assert_int_equal(e820_build(&gm, e, 8), 6);
	assert_int_equal(sizeof(e[0]), 20);
	assert_true(e[0].addr == 0 && e[0].size == 0x9fc00 && e[0].type == 1);
	assert_true(e[1].addr == 0x9fc00 && e[1].size == 0x60400 && e[1].type == 2);
	assert_true(e[2].addr == MIB(1) && e[2].size == MIB(511) && e[2].type == 1);
	assert_true(e[3].addr == 0xfec00000 && e[3].size == 0x1000 && e[3].type == 2);
	assert_true(e[4].addr == 0xfee00000 && e[4].size == 0x1000 && e[4].type == 2);
	assert_true(e[5].addr == 0xfffbc000 && e[5].size == 0x1000 && e[5].type == 2);
}

/** Chunks that follow each other in guest memory are one entry of the map. */
static void test_chunks(void **state)
{
	static u8 host[2];
	struct gmem_slot c[] = {{.hpa = HPA(MIB(512)), .size = MIB(128), .hva = &host[0]},
				{.hpa = HPA(MIB(16)), .size = MIB(32), .hva = &host[1]},
				{.hpa = HPA(GIB(5)), .size = MIB(64)}};
	struct e820_entry e[8];
	struct gmem gm;

	(void)state;
	assert_true(lay(&gm, c, 3) == MIB(224));
	assert_int_equal(gm.nr, 3);
	assert_true(gmem_slot(&gm, GPA(MIB(130)))->hpa.v == MIB(16));
	assert_ptr_equal(gmem_slot(&gm, GPA(MIB(130)))->hva, &host[1]);
	assert_true(gmem_slot(&gm, GPA(MIB(200)))->hpa.v == GIB(5));
	assert_int_equal(e820_build(&gm, e, 8), 6);
	assert_true(e[2].addr == MIB(1) && e[2].size == MIB(223));
	assert_int_equal(e820_build(&gm, e, 2), 2); /* never more than there is room for */
	assert_true(e[1].addr == 0x9fc00);
}

static void test_split(void **state)
{
	struct gmem_slot c[] = {{.hpa = HPA(GIB(4)), .size = GIB(8)}};
	struct e820_entry e[8];
	struct gmem gm;
	const struct gmem_slot *high;

	(void)state;
	assert_true(lay(&gm, c, 1) == GIB(8));
	assert_int_equal(gm.nr, 2);
	high = gmem_slot(&gm, GPA(GIB(4)));
	assert_true(high->hpa.v == GIB(7) && high->size == GIB(5));
	assert_null(gmem_slot(&gm, GPA(PC_LOW_RAM_MAX)));
	assert_true(pc_low_ram(&gm) == PC_LOW_RAM_MAX);
	assert_int_equal(e820_build(&gm, e, 8), 7);
	assert_true(e[2].addr + e[2].size == PC_LOW_RAM_MAX);
	assert_true(e[6].addr == GIB(4) && e[6].size == GIB(5) && e[6].type == 1);
}

/** A first chunk of odd size: the part above 4 GiB is still congruent modulo 1 GiB. */
static void test_split_1g(void **state)
{
	struct gmem_slot c[] = {{.hpa = HPA(MIB(256)), .size = MIB(512)},
				{.hpa = HPA(GIB(4)), .size = GIB(8)},
				{.hpa = HPA(GIB(1)), .size = MIB(64)}};
	struct gmem gm;
	const struct gmem_slot *s;

	(void)state;
	assert_true(lay(&gm, c, 3) == GIB(8) + MIB(576));
	assert_int_equal(gm.nr, 5);
	s = gmem_slot(&gm, GPA(GIB(4)));
	assert_int_equal(s->hpa.v % GIB(1), 0);
	assert_true(s->hpa.v == GIB(6) && s->size == GIB(5) + MIB(512));
	s = gmem_slot(&gm, GPA(PC_LOW_RAM_MAX - MIB(512)));
	assert_true(s->hpa.v == GIB(11) + MIB(512) && s->size == MIB(512));
	s = gmem_slot(&gm, GPA(GIB(9) + MIB(512)));
	assert_true(s->hpa.v == GIB(1) && s->size == MIB(64));

	/* An unaligned chunk reaches a boundary inside, too. */
	c[0] = (struct gmem_slot){.hpa = HPA(GIB(4) + MIB(256)), .size = GIB(6)};
	assert_true(lay(&gm, c, 1) == GIB(6));
	assert_int_equal(gmem_slot(&gm, GPA(GIB(4)))->hpa.v % GIB(1), 0);

	/* With less than 1 GiB to spare it is cut where the limit falls. */
	c[0].size = GIB(3) + MIB(512);
	assert_true(lay(&gm, c, 1) == GIB(3) + MIB(512));
	assert_int_equal(gm.nr, 2);
	assert_true(gmem_slot(&gm, GPA(GIB(4)))->hpa.v == GIB(7) + MIB(256));
}

static void test_exact_boundary(void **state)
{
	struct gmem_slot c[] = {{.hpa = HPA(GIB(1)), .size = GIB(3)},
				{.hpa = HPA(GIB(8)), .size = MIB(2)}};
	struct gmem gm;

	(void)state;
	assert_true(lay(&gm, c, 2) == GIB(3) + MIB(2));
	assert_int_equal(gm.nr, 2);
	assert_true(gmem_slot(&gm, GPA(GIB(4)))->hpa.v == GIB(8));
}

/** Chunks that are not cut from 2 MiB pages lose their edges, not their congruence. */
static void test_misaligned(void **state)
{
	struct gmem_slot c[] = {{.hpa = HPA(MIB(3)), .size = MIB(6)},
				{.hpa = HPA(MIB(101)), .size = MIB(2)},
				{.hpa = HPA(MIB(200)), .size = KIB(4)},
				{.hpa = HPA(MIB(301)), .size = KIB(4)}};
	struct gmem gm;

	(void)state;
	assert_true(lay(&gm, c, 4) == MIB(4));
	assert_int_equal(gm.nr, 1);
	assert_true(gm.slot[0].hpa.v == MIB(4));
}

static void test_too_many(void **state)
{
	struct gmem_slot c[GMEM_MAX_SLOTS + 4];
	struct gmem gm;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(c); i++)
		c[i] = (struct gmem_slot){.hpa = HPA(MIB(8) * i), .size = MIB(2)};
	assert_true(lay(&gm, c, ARRAY_SIZE(c)) == MIB(2) * GMEM_MAX_SLOTS);
}

static void test_map_of_odd_memory(void **state)
{
	struct e820_entry e[16];
	struct gmem gm = {0};

	(void)state;
	gmem_add(&gm, GPA(GIB(5)), MIB(2), HPA(0), NULL); /* unsorted, with gaps */
	gmem_add(&gm, GPA(MIB(4)), MIB(2), HPA(0), NULL);
	gmem_add(&gm, GPA(0), KIB(512), HPA(0), NULL);
	assert_true(pc_low_ram(&gm) == KIB(512));
	assert_int_equal(e820_build(&gm, e, 16), 7);
	assert_true(e[0].size == KIB(512));
	assert_true(e[2].addr == MIB(4) && e[2].size == MIB(2));
	assert_true(e[6].addr == GIB(5));
	for (unsigned i = 1; i < 7; i++)
		assert_true(e[i - 1].addr + e[i - 1].size <= e[i].addr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),	       cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_split),	       cmocka_unit_test(test_split_1g),
		cmocka_unit_test(test_exact_boundary), cmocka_unit_test(test_misaligned),
		cmocka_unit_test(test_too_many),       cmocka_unit_test(test_map_of_odd_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
