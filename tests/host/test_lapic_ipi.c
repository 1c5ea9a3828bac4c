/* SPDX-License-Identifier: MIT */
/* Interprocessor interrupts: the ICR, destinations, lowest priority. */
#include "lapic_fixture.h"

/* Send through vcpu `from`'s xAPIC ICR. */
static void ipi(struct rig *r, unsigned from, u32 low, u32 dest)
{
	wr(&r->l[from], 0x310, dest << 24);
	wr(&r->l[from], 0x300, low);
}

/* Which LAPICs got the vector: a bit each. Takes it and ends it. */
static unsigned got(struct rig *r, u8 vector)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < NR; i++) {
		if (take(&r->l[i]) == vector) {
			mask |= 1u << i;
			lapic_eoi(&r->l[i]);
		}
		assert_int_equal(lapic_pending(&r->l[i]), -1);
	}
	return mask;
}

static void physical(void **state)
{
	struct rig *r = *state;

	ipi(r, 0, 0x4041, 2);
	assert_int_equal(got(r, 0x41), 4);
	ipi(r, 1, 0x41, 0); /* the level bit does not matter */
	assert_int_equal(got(r, 0x41), 1);
	ipi(r, 1, 0xc041, 1); /* nor the trigger bit: an edge */
	assert_false(bit_of(&r->l[1], LAPIC_TMR, 0x41));
	assert_int_equal(got(r, 0x41), 2);
	ipi(r, 0, 0x4041, 4);
	assert_int_equal(got(r, 0x41), 0);
	ipi(r, 0, 0x4041, 0xff);
	assert_int_equal(got(r, 0x41), 15);
	assert_int_equal(rd(&r->l[0], 0x300), 0x4041);
	assert_int_equal(rd(&r->l[0], 0x310), 0xff000000);
	/* A globally disabled APIC hears nothing. */
	assert_true(wrmsr(&r->l[3], 0x1b, 0xfee00000));
	ipi(r, 0, 0x4041, 0xff);
	assert_int_equal(got(r, 0x41), 7);
	assert_false(lapic_matches(&r->l[3], &r->l[0], &r->sent));
}

static void shorthands(void **state)
{
	struct rig *r = *state;

	ipi(r, 2, 0x44041, 0);
	assert_int_equal(got(r, 0x41), 4);
	ipi(r, 2, 0x84041, 0);
	assert_int_equal(got(r, 0x41), 15);
	ipi(r, 2, 0xc4041, 2);
	assert_int_equal(got(r, 0x41), 11);
}

static void logical_flat(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < NR; i++)
		wr(&r->l[i], 0xd0, 1u << (24 + i));
	ipi(r, 0, 0x4841, 0x0a);
	assert_int_equal(got(r, 0x41), 10);
	ipi(r, 0, 0x4841, 0xf0);
	assert_int_equal(got(r, 0x41), 0);
	ipi(r, 0, 0x4841, 0);
	assert_int_equal(got(r, 0x41), 0);
	wr(&r->l[3], 0xd0, 0);
	ipi(r, 0, 0x4841, 0xff);
	assert_int_equal(got(r, 0x41), 15);
}

static void logical_cluster(void **state)
{
	static const u32 ldr[NR] = {0x11, 0x12, 0x21, 0x23};
	struct rig *r = *state;

	for (unsigned i = 0; i < NR; i++) {
		wr(&r->l[i], 0xd0, ldr[i] << 24);
		wr(&r->l[i], 0xe0, 0);
	}
	ipi(r, 0, 0x4841, 0x13);
	assert_int_equal(got(r, 0x41), 3);
	ipi(r, 0, 0x4841, 0x22);
	assert_int_equal(got(r, 0x41), 8);
	ipi(r, 0, 0x4841, 0x30);
	assert_int_equal(got(r, 0x41), 0);
	ipi(r, 0, 0x4841, 0xff);
	assert_int_equal(got(r, 0x41), 15);
	/* A model that does not exist matches nothing but a broadcast. */
	for (unsigned i = 0; i < NR; i++)
		wr(&r->l[i], 0xe0, 0x70000000);
	ipi(r, 0, 0x4841, 0x13);
	assert_int_equal(got(r, 0x41), 0);
}

static void logical_x2apic(void **state)
{
	struct rig *r = *state;

	for (u32 i = 0; i < NR; i++) {
		lapic_init(&r->l[i], i < 2 ? i : 0x20 + i, false, r->page[i], &r->clock, &r->ops);
		to_x2apic(&r->l[i]);
		assert_true(wrmsr(&r->l[i], 0x80f, 0x1ff));
	}
	assert_true(wrmsr(&r->l[0], 0x830, 0x300000841ull));
	assert_int_equal(got(r, 0x41), 3);
	assert_true(wrmsr(&r->l[0], 0x830, 0x2000800000841ull));
	assert_int_equal(got(r, 0x41), 8);
	assert_true(wrmsr(&r->l[0], 0x830, 0x1000800000841ull));
	assert_int_equal(got(r, 0x41), 0);
	assert_true(wrmsr(&r->l[0], 0x830, 0xffffffff00000841ull));
	assert_int_equal(got(r, 0x41), 15);
	assert_true(wrmsr(&r->l[0], 0x830, 0xffffffff00000041ull));
	assert_int_equal(got(r, 0x41), 15);
	/* 0xff is an address here, not a broadcast. */
	assert_true(wrmsr(&r->l[0], 0x830, 0xff00000041ull));
	assert_int_equal(got(r, 0x41), 0);
	assert_true(wrmsr(&r->l[0], 0x830, 0x2200000041ull));
	assert_int_equal(got(r, 0x41), 4);
}

/* The 8-bit destinations of IOAPICs and MSIs, at LAPICs of both modes. */
static void from_outside(void **state)
{
	struct rig *r = *state;
	struct apic_msg msg = {.dest = 0xff, .vector = 0x41, .assert = true};

	to_x2apic(&r->l[1]);
	for (unsigned i = 0; i < NR; i++)
		assert_true(lapic_matches(&r->l[i], NULL, &msg));
	msg.dest = 1;
	assert_true(lapic_matches(&r->l[1], NULL, &msg));
	assert_false(lapic_matches(&r->l[0], NULL, &msg));
	msg.logical = true;
	msg.dest = 2;
	assert_true(lapic_matches(&r->l[1], NULL, &msg));
	/* De-assert messages do nothing. */
	msg.assert = false;
	lapic_accept(&r->l[1], &msg);
	assert_int_equal(lapic_pending(&r->l[1]), -1);
	/* A 32-bit logical destination does not alias an 8-bit one. */
	wr(&r->l[0], 0xd0, 0x01000000);
	msg.dest = 0x101;
	assert_false(lapic_matches(&r->l[0], &r->l[1], &msg));
	msg.dest = ~0u;
	assert_true(lapic_matches(&r->l[0], &r->l[1], &msg));
}

static void nmi_init_sipi(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[1];

	ipi(r, 0, 0x0400, 1);
	assert_true(l->nmi_pending && !r->l[0].nmi_pending);
	ipi(r, 0, 0xc4500, 0);
	assert_true(l->init_pending && r->l[3].init_pending && !r->l[0].init_pending);
	l->init_pending = false;
	/* INIT level de-assert: not sent at all. */
	r->nr_sent = 0;
	ipi(r, 0, 0x8500, 1);
	assert_int_equal(r->nr_sent, 0);
	assert_false(l->init_pending);
	ipi(r, 0, 0xc500, 1); /* level, asserted */
	assert_true(l->init_pending);
	l->init_pending = false;
	ipi(r, 0, 0x4608, 1);
	assert_true(l->sipi_pending);
	assert_int_equal(l->sipi_vector, 8);
	/* A newer INIT undoes it; an edge INIT without the level bit is an INIT. */
	ipi(r, 0, 0x0500, 1);
	assert_true(l->init_pending && !l->sipi_pending);
	/* They need no software-enabled APIC at either end. */
	wr(l, 0xf0, 0xff);
	wr(&r->l[0], 0xf0, 0xff);
	ipi(r, 0, 0x4609, 1);
	assert_int_equal(l->sipi_vector, 9);
	/* No error for their vectors. */
	wr(&r->l[0], 0x280, 0);
	wr(l, 0x280, 0);
	assert_int_equal(rd(l, 0x280) | rd(&r->l[0], 0x280), 0);
	/* SMI and the reserved modes. */
	ipi(r, 0, 0x4200, 2);
	ipi(r, 0, 0x4341, 2);
	ipi(r, 0, 0x4741, 2);
	assert_int_equal(got(r, 0x41), 0);
}

static void illegal_vector(void **state)
{
	struct rig *r = *state;

	ipi(r, 0, 0x400f, 1);
	wr(&r->l[0], 0x280, 0);
	wr(&r->l[1], 0x280, 0);
	assert_int_equal(rd(&r->l[0], 0x280), 0x20);
	assert_int_equal(rd(&r->l[1], 0x280), 0x40);
	assert_int_equal(rd(&r->l[1], 0x200), 0);
	ipi(r, 0, 0x4010, 1);
	assert_int_equal(got(r, 0x10), 2);
}

static void lowest_priority(void **state)
{
	struct rig *r = *state;
	struct apic_msg msg = {.dest = 0x0f, .logical = true, .mode = APIC_LOWEST, .assert = true};

	for (unsigned i = 0; i < NR; i++) {
		wr(&r->l[i], 0xd0, 1u << (24 + i));
		wr(&r->l[i], 0x80, 0x30);
	}
	wr(&r->l[2], 0x80, 0x20);
	msg.vector = 0x41;
	assert_ptr_equal(lapic_lowest(r->l, NR, NULL, &msg), &r->l[2]);
	/* What is in service counts too. */
	accept_fixed(&r->l[2], 0x90, false);
	take(&r->l[2]);
	wr(&r->l[1], 0x80, 0x2f);
	assert_ptr_equal(lapic_lowest(r->l, NR, NULL, &msg), &r->l[1]);
	/* Only destinations, and enabled ones. */
	msg.dest = 0x0c;
	assert_ptr_equal(lapic_lowest(r->l, NR, NULL, &msg), &r->l[3]);
	wr(&r->l[3], 0xf0, 0xff);
	assert_ptr_equal(lapic_lowest(r->l, NR, NULL, &msg), &r->l[2]);
	msg.dest = 0x08;
	assert_null(lapic_lowest(r->l, NR, NULL, &msg));
	assert_null(lapic_lowest(r->l, 0, NULL, &msg));
	/* Equals take turns. */
	rig_free(state);
	rig_enabled(state);
	r = *state;
	msg.dest = 0xff;
	for (u8 v = 0x20; v < 0x40; v++) {
		msg.vector = v;
		assert_ptr_equal(lapic_lowest(r->l, NR, NULL, &msg), &r->l[v % 4]);
	}
	/* Through the ICR. */
	wr(&r->l[0], 0x80, 0x10);
	wr(&r->l[1], 0x80, 0x10);
	wr(&r->l[3], 0x80, 0x10);
	ipi(r, 0, 0x4141, 0xff);
	assert_int_equal(got(r, 0x41), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENABLED(physical),	  ENABLED(shorthands),	   ENABLED(logical_flat),
		ENABLED(logical_cluster), RAW(logical_x2apic),	   ENABLED(from_outside),
		ENABLED(nmi_init_sipi),	  ENABLED(illegal_vector), ENABLED(lowest_priority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
