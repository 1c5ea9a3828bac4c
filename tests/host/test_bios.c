/* SPDX-License-Identifier: MIT */
/* What code in real mode finds: vectors, data area, and the timer's interrupt. */
#include "guest/bios.h"
#include "pc_fixture.h"

struct rig {
	struct fixture f;
	u8 *mem;
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	init(&r->f, 1);
	r->mem = calloc(1, MIB(1));
	memset(r->mem, 0xa5, 0x600);
	r->f.pc.mem = (struct gmem){0};
	gmem_add(&r->f.pc.mem, GPA(0), MIB(1), HPA(0), r->mem);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	done(&r->f);
	free(r->mem);
	free(r);
	return 0;
}

static u32 get(const struct rig *r, u32 at, unsigned bytes)
{
	u32 v = 0;

	memcpy(&v, r->mem + at, bytes);
	return v;
}

/** The linear address that a vector leads to. */
static u32 handler(const struct rig *r, unsigned vector)
{
	return get(r, 4 * vector + 2, 2) * 16 + get(r, 4 * vector, 2);
}

#define IRET 0xcf

static void vectors(void **state)
{
	struct rig *r = *state;

	assert_true(bios_build(&r->f.pc));
	for (unsigned v = 0; v < 256; v++) {
		bool master = v > 8 && v < 0x10, slave = v >= 0x70 && v < 0x78;

		assert_in_range(handler(r, v), 0xfff08, 0xfffef);
		if (v == 8)
			assert_true(handler(r, v) != handler(r, 9));
		else if (master)
			assert_int_equal(handler(r, v), handler(r, 9));
		else if (slave)
			assert_int_equal(handler(r, v), handler(r, 0x70));
		else
			assert_int_equal(r->mem[handler(r, v)], IRET);
	}
	assert_true(handler(r, 9) != handler(r, 0x70));
	assert_int_not_equal(r->mem[handler(r, 9)], IRET);
	assert_int_not_equal(r->mem[handler(r, 0x70)], IRET);
	assert_int_equal(r->mem[0x500], 0xa5); /* no further than the data area */
}

static void data_area_and_reset(void **state)
{
	struct rig *r = *state;

	assert_true(bios_build(&r->f.pc));
	assert_int_equal(get(r, 0x400, 2), 0x3f8);
	assert_int_equal(get(r, 0x402, 4), 0);
	assert_int_equal(get(r, 0x40e, 2), 0x9fc0);
	assert_int_equal(get(r, 0x410, 2), 0x0202);
	assert_int_equal(get(r, 0x413, 2), 639);
	assert_int_equal(get(r, 0x46c, 4), 0);
	assert_int_equal(get(r, 0xffff0, 4), 0x64e6feb0); /* mov al, 0xfe; out 0x64, al */
	r->f.pc.mem.slot[0].size = 0xff000;
	assert_false(bios_build(&r->f.pc));
}

/* 18.2 interrupts a second at vector 8, and no others; each waits for its EOI. */
static void timer(void **state)
{
	struct rig *r = *state;
	struct pc *pc = &r->f.pc;
	u64 start = r->f.now;
	unsigned ticks = 0;

	assert_true(bios_build(pc));
	pc_irq_set(pc, 1, true);
	pc_irq_set(pc, 11, true);
	assert_int_equal(pc_pending_irq(pc, 0), -1);
	while (r->f.now < start + HZ) {
		r->f.now += HZ / 1000;
		pc_advance(pc, r->f.now);
		if (pc_pending_irq(pc, 0) < 0)
			continue;
		assert_int_equal(pc_ack_irq(pc, 0), 8);
		assert_int_equal(pc_pending_irq(pc, 0), -1);
		out(&r->f, 0x20, 1, 0x20);
		ticks++;
	}
	assert_int_equal(ticks, 18);
	/* The slave's vectors, once somebody unmasks it. */
	out(&r->f, 0xa1, 1, 0xf7);
	assert_int_equal(pc_ack_irq(pc, 0), 0x73);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(vectors), T(data_area_and_reset), T(timer)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
