/* SPDX-License-Identifier: MIT */
/* The local APIC's registers in xAPIC mode, and its errors. */
#include "lapic_fixture.h"

static void power_up(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[2];

	assert_int_equal(rd(l, 0x20), 2u << 24);
	assert_int_equal(rd(l, 0x30), 0x01050014);
	assert_int_equal(rd(l, 0x80), 0);
	assert_int_equal(rd(l, 0xd0), 0);
	assert_int_equal(rd(l, 0xe0), 0xffffffff);
	assert_int_equal(rd(l, 0xf0), 0xff);
	for (u32 off = 0x100; off <= 0x270; off += 16)
		assert_int_equal(rd(l, off), 0);
	for (u32 off = 0x320; off <= 0x370; off += 16)
		assert_int_equal(rd(l, off), MASKED);
	assert_int_equal(rd(l, 0x380) | rd(l, 0x390) | rd(l, 0x3e0) | rd(l, 0x280), 0);
	assert_int_equal(rdmsr(l, 0x1b), 0xfee00800);
	assert_int_equal(rdmsr(&r->l[0], 0x1b), 0xfee00900);
	assert_int_equal(lapic_pending(l), -1);
	assert_true(lapic_next_deadline(l) == NEVER);
}

static void writable_bits(void **state)
{
	static const struct {
		u32 offset, ones, zeros;
	} reg[] = {
		{0x20, 1u << 24, 1u << 24},
		{0x30, 0x01050014, 0x01050014},
		{0x80, 0xff, 0},
		{0x90, 0, 0},
		{0xa0, 0, 0},
		{0xb0, 0, 0},
		{0xc0, 0, 0},
		{0xd0, 0xff000000, 0},
		{0xe0, ~0u, 0x0fffffff},
		{0x100, 0, 0},
		{0x180, 0, 0},
		{0x200, 0, 0},
		{0x310, 0xff000000, 0},
		{0x320, 0x700ff, 0},
		{0x330, 0x107ff, 0},
		{0x340, 0x107ff, 0},
		{0x350, 0x1a7ff, 0},
		{0x360, 0x1a7ff, 0},
		{0x370, 0x100ff, 0},
		{0x390, 0, 0},
		{0x3e0, 0xb, 0},
		{0xf0, 0x13ff, 0x0},
	};
	struct lapic *l = &((struct rig *)*state)->l[1];

	for (unsigned i = 0; i < ARRAY_SIZE(reg); i++) {
		wr(l, reg[i].offset, ~0u);
		assert_int_equal(rd(l, reg[i].offset), reg[i].ones);
		wr(l, reg[i].offset, 0);
		assert_int_equal(rd(l, reg[i].offset), reg[i].zeros);
	}
}

static void odd_accesses(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[3];

	/* Parts of a register can be read; nothing else. */
	assert_int_equal(lapic_mmio_read(l, 0x20, 4), 0x03000000);
	assert_int_equal(lapic_mmio_read(l, 0x23, 1), 3);
	assert_int_equal(lapic_mmio_read(l, 0x22, 2), 0x300);
	assert_int_equal(lapic_mmio_read(l, 0x23, 2), 0);
	assert_int_equal(lapic_mmio_read(l, 0x20, 8), 0);
	assert_int_equal(lapic_mmio_read(l, 0x24, 4), 0);
	assert_int_equal(lapic_mmio_read(l, 0xffd, 8), 0);
	assert_int_equal(lapic_mmio_read(l, 0x1020, 4), 0);
	assert_int_equal(lapic_mmio_read(l, ~0ull, 4), 0);
	lapic_mmio_write(l, 0x80, 1, 0x50);
	lapic_mmio_write(l, 0x80, 2, 0x50);
	lapic_mmio_write(l, 0x80, 8, 0x50);
	lapic_mmio_write(l, 0x81, 4, 0x50);
	lapic_mmio_write(l, 0x84, 4, 0x50);
	lapic_mmio_write(l, 0x1080, 4, 0x50);
	lapic_mmio_write(l, ~0ull - 3, 4, 0x50);
	assert_int_equal(rd(l, 0x80), 0);
	/* Undefined accesses are no illegal registers. */
	wr(l, 0x280, 0);
	assert_int_equal(rd(l, 0x280), 0);
}

static void all_offsets(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[0];
	u64 seed = 1;

	for (u64 off = 0; off < 0x1000; off++) {
		for (unsigned size = 1; size <= 8; size *= 2) {
			u64 v = lapic_mmio_read(l, off, size);

			assert_true(size == 8 || v < BIT(8 * size));
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			lapic_mmio_write(l, off, size, seed >> 32);
			take(l);
			lapic_advance(l, seed);
		}
	}
}

static void errors(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[0];

	wr(l, 0x370, 0xfe);
	accept_fixed(l, 15, false);
	assert_int_equal(rd(l, 0x280), 0); /* not before the ESR is written */
	assert_int_equal(take(l), 0xfe);
	wr(l, 0xb0, 0);
	/* A second error before the write: noted, but no second interrupt. */
	(void)rd(l, 0x40);
	assert_int_equal(take(l), -1);
	wr(l, 0x280, 0xffffffff);
	assert_int_equal(rd(l, 0x280), 0xc0);
	/* The write has rearmed it, and the next one clears. */
	wr(l, 0x2f0, 0);
	assert_int_equal(take(l), 0xfe);
	wr(l, 0xb0, 0);
	wr(l, 0x280, 0);
	assert_int_equal(rd(l, 0x280), 0x80);
	wr(l, 0x280, 0);
	assert_int_equal(rd(l, 0x280), 0);
	/* An IPI with an illegal vector, to oneself: sent and received. */
	wr(l, 0x300, 0x40005);
	wr(l, 0x280, 0);
	assert_int_equal(rd(l, 0x280), 0x60);
	assert_int_equal(take(l), 0xfe);
	/* An illegal vector in the error entry itself does not run away. */
	wr(l, 0x370, 3);
	(void)rd(l, 0x3f0);
	wr(l, 0x280, 0);
	assert_int_equal(rd(l, 0x280), 0xc0);
}

static void reserved_registers(void **state)
{
	static const u32 reserved[] = {0,     0x10,  0x40,  0x70,  0x290, 0x2e0, 0x2f0,
				       0x3a0, 0x3d0, 0x3f0, 0x400, 0x800, 0xff0};
	static const u32 quiet[] = {0x20, 0x30, 0x90, 0xa0, 0xb0, 0xc0, 0x390, 0x270, 0x310};
	struct lapic *l = &((struct rig *)*state)->l[0];

	for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++) {
		assert_int_equal(rd(l, reserved[i]), 0);
		wr(l, 0x280, 0);
		assert_int_equal(rd(l, 0x280), 0x80);
		wr(l, reserved[i], 0);
		wr(l, 0x280, 0);
		assert_int_equal(rd(l, 0x280), 0x80);
	}
	wr(l, 0x280, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(quiet); i++) {
		(void)rd(l, quiet[i]);
		wr(l, quiet[i], 0);
		wr(l, 0x280, 0);
		assert_int_equal(rd(l, 0x280), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW(power_up),	      ENABLED(writable_bits), RAW(odd_accesses),
		ENABLED(all_offsets), ENABLED(errors),	      ENABLED(reserved_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
