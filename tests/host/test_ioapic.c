/* SPDX-License-Identifier: MIT */
/* The I/O APIC against the 82093AA data sheet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "guest/ioapic.h"

#define LEVEL 0x8000u
#define MASKED 0x10000u
#define REMOTE_IRR 0x4000u

struct rig {
	struct ioapic io;
	struct apic_msg last;
	unsigned nr;
};

static struct rig rig;

static void deliver(void *ctx, const struct apic_msg *msg)
{
	struct rig *r = ctx;

	r->last = *msg;
	r->nr++;
}

static int setup(void **state)
{
	memset(&rig, 0, sizeof(rig));
	ioapic_init(&rig.io, 5, deliver, &rig);
	*state = &rig;
	return 0;
}

static u32 rd(struct rig *r, u8 reg)
{
	ioapic_mmio_write(&r->io, 0, 4, reg);
	return (u32)ioapic_mmio_read(&r->io, 0x10, 4);
}

static void wr(struct rig *r, u8 reg, u32 value)
{
	ioapic_mmio_write(&r->io, 0, 4, reg);
	ioapic_mmio_write(&r->io, 0x10, 4, value);
}

/* Messages sent since the last call. */
static unsigned sent(struct rig *r)
{
	unsigned n = r->nr;

	r->nr = 0;
	return n;
}

static void registers(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rd(r, 1), 0x00170020);
	wr(r, 1, ~0u);
	assert_int_equal(rd(r, 1), 0x00170020);
	assert_int_equal(rd(r, 0), 5u << 24);
	wr(r, 0, ~0u);
	assert_int_equal(rd(r, 0), 15u << 24);
	assert_int_equal(rd(r, 2), 15u << 24);
	wr(r, 2, 0);
	assert_int_equal(rd(r, 2), 15u << 24);
	for (u8 n = 0; n < 24; n++) {
		assert_int_equal(rd(r, 0x10 + 2 * n), MASKED);
		assert_int_equal(rd(r, 0x11 + 2 * n), 0);
	}
	wr(r, 0x3f, ~0u);
	assert_int_equal(rd(r, 0x3f), 0xff000000);
	/* Delivery status and remote IRR cannot be set. */
	wr(r, 0x3e, ~0u);
	assert_int_equal(rd(r, 0x3e), 0x1afff);
	assert_int_equal(rd(r, 0x3f), 0xff000000);
	wr(r, 0x3e, 0);
	assert_int_equal(rd(r, 0x3e), 0);
	for (unsigned reg = 3; reg < 256; reg++) {
		if (reg >= 0x10 && reg < 0x40)
			continue;
		wr(r, (u8)reg, ~0u);
		assert_int_equal(rd(r, (u8)reg), 0);
	}
}

static void odd_accesses(void **state)
{
	struct rig *r = *state;

	/* The index is a byte, however wide the access. */
	ioapic_mmio_write(&r->io, 0, 8, 0xffffffffffffff01ull);
	assert_int_equal(ioapic_mmio_read(&r->io, 0, 8), 1);
	assert_int_equal(ioapic_mmio_read(&r->io, 0x10, 1), 0x20);
	assert_int_equal(ioapic_mmio_read(&r->io, 0x10, 8), 0x170020);
	ioapic_mmio_write(&r->io, 0, 1, 0);
	ioapic_mmio_write(&r->io, 0x10, 1, 0);
	ioapic_mmio_write(&r->io, 0x10, 2, 0);
	assert_int_equal(rd(r, 0), 5u << 24);
	ioapic_mmio_write(&r->io, 0x10, 8, ~0ull);
	assert_int_equal(rd(r, 0), 15u << 24);
	/* Every other offset. */
	for (u64 off = 1; off < 0x1000; off++) {
		if (off == 0x10)
			continue;
		for (unsigned size = 1; size <= 8; size *= 2) {
			ioapic_mmio_write(&r->io, off, size, ~0ull);
			assert_int_equal(ioapic_mmio_read(&r->io, off, size), 0);
		}
	}
	assert_int_equal(rd(r, 0), 15u << 24);
	ioapic_set(&r->io, 24, true);
	ioapic_set(&r->io, 32, true);
	ioapic_set(&r->io, ~0u, true);
	assert_int_equal(r->io.level, 0);
	assert_int_equal(sent(r), 0);
}

static void edge(void **state)
{
	struct rig *r = *state;

	wr(r, 0x10 + 2 * 14, 0x0976);
	wr(r, 0x11 + 2 * 14, 0x0d000000);
	ioapic_set(&r->io, 14, true);
	assert_int_equal(sent(r), 1);
	assert_int_equal(r->last.vector, 0x76);
	assert_int_equal(r->last.dest, 0x0d);
	assert_int_equal(r->last.mode, APIC_LOWEST);
	assert_true(r->last.logical && r->last.assert && !r->last.level);
	assert_int_equal(r->last.shorthand, 0);
	ioapic_set(&r->io, 14, true);
	assert_int_equal(sent(r), 0);
	ioapic_set(&r->io, 14, false);
	assert_int_equal(sent(r), 0);
	ioapic_set(&r->io, 14, true);
	assert_int_equal(sent(r), 1);
	assert_int_equal(rd(r, 0x10 + 2 * 14), 0x0976);
	ioapic_eoi(&r->io, 0x76);
	assert_int_equal(sent(r), 0);
}

/* An edge on a masked pin is lost. */
static void edge_masked(void **state)
{
	struct rig *r = *state;

	wr(r, 0x12, MASKED | 0x40);
	ioapic_set(&r->io, 1, true);
	wr(r, 0x12, 0x40);
	assert_int_equal(sent(r), 0);
	ioapic_set(&r->io, 1, false);
	ioapic_set(&r->io, 1, true);
	assert_int_equal(sent(r), 1);
}

static void level(void **state)
{
	struct rig *r = *state;

	wr(r, 0x3e, LEVEL | 0x2000 | 0x98); /* active low: only stored */
	ioapic_set(&r->io, 23, true);
	assert_int_equal(sent(r), 1);
	assert_true(r->last.level);
	assert_int_equal(r->last.vector, 0x98);
	assert_int_equal(rd(r, 0x3e), LEVEL | 0x2000 | REMOTE_IRR | 0x98);
	/* Held back by remote IRR, whatever the line does. */
	ioapic_set(&r->io, 23, false);
	ioapic_set(&r->io, 23, true);
	assert_int_equal(sent(r), 0);
	ioapic_eoi(&r->io, 0x97);
	assert_int_equal(sent(r), 0);
	/* Still high: again. */
	ioapic_eoi(&r->io, 0x98);
	assert_int_equal(sent(r), 1);
	assert_int_equal(rd(r, 0x3e) & REMOTE_IRR, REMOTE_IRR);
	ioapic_set(&r->io, 23, false);
	ioapic_eoi(&r->io, 0x98);
	assert_int_equal(sent(r), 0);
	assert_int_equal(rd(r, 0x3e) & REMOTE_IRR, 0);
	ioapic_set(&r->io, 23, true);
	assert_int_equal(sent(r), 1);
}

static void level_masked(void **state)
{
	struct rig *r = *state;

	wr(r, 0x10, LEVEL | MASKED | 0x82);
	ioapic_set(&r->io, 0, true);
	assert_int_equal(sent(r), 0);
	wr(r, 0x10, LEVEL | 0x82);
	assert_int_equal(sent(r), 1);
	/* Masked in service, ended, unmasked: again. */
	wr(r, 0x10, LEVEL | MASKED | 0x82);
	assert_int_equal(rd(r, 0x10), LEVEL | MASKED | REMOTE_IRR | 0x82);
	ioapic_eoi(&r->io, 0x82);
	assert_int_equal(rd(r, 0x10), LEVEL | MASKED | 0x82);
	assert_int_equal(sent(r), 0);
	wr(r, 0x10, LEVEL | 0x82);
	assert_int_equal(sent(r), 1);
	/* Unmasked when the line has gone: nothing. */
	ioapic_eoi(&r->io, 0x82);
	sent(r);
	wr(r, 0x10, LEVEL | MASKED | 0x82);
	ioapic_set(&r->io, 0, false);
	ioapic_eoi(&r->io, 0x82);
	wr(r, 0x10, LEVEL | 0x82);
	assert_int_equal(sent(r), 0);
}

static void eoi_register(void **state)
{
	struct rig *r = *state;

	wr(r, 0x14, LEVEL | 0x60);
	wr(r, 0x16, LEVEL | 0x60);
	wr(r, 0x18, LEVEL | 0x61);
	ioapic_set(&r->io, 2, true);
	ioapic_set(&r->io, 3, true);
	ioapic_set(&r->io, 4, true);
	ioapic_set(&r->io, 3, false);
	assert_int_equal(sent(r), 3);
	ioapic_mmio_write(&r->io, 0x40, 4, 0x60);
	assert_int_equal(sent(r), 1); /* pin 2 again */
	assert_int_equal(rd(r, 0x16) & REMOTE_IRR, 0);
	assert_int_equal(rd(r, 0x18) & REMOTE_IRR, REMOTE_IRR);
	assert_int_equal(ioapic_mmio_read(&r->io, 0x40, 4), 0);
}

static void trigger_mode_switch(void **state)
{
	struct rig *r = *state;

	wr(r, 0x14, LEVEL | 0x60);
	ioapic_set(&r->io, 2, true);
	assert_int_equal(sent(r), 1);
	/* Masked and edge, then back: an EOI without the EOI register. */
	wr(r, 0x14, MASKED | 0x60);
	assert_int_equal(rd(r, 0x14), MASKED | 0x60);
	wr(r, 0x14, LEVEL | 0x60);
	assert_int_equal(sent(r), 1);
	/* To edge while the line is high: no edge. */
	wr(r, 0x14, 0x60);
	assert_int_equal(sent(r), 0);
	/* A rewrite of a level entry in service keeps remote IRR. */
	wr(r, 0x14, LEVEL | 0x60);
	assert_int_equal(sent(r), 1);
	wr(r, 0x14, LEVEL | 0x60);
	wr(r, 0x15, 0x01000000);
	assert_int_equal(sent(r), 0);
	assert_int_equal(rd(r, 0x14), LEVEL | REMOTE_IRR | 0x60);
}

/* NMI, INIT and their like are edges whatever the trigger bit says. */
static void other_modes(void **state)
{
	static const u8 mode[] = {APIC_SMI, APIC_NMI, APIC_INIT, APIC_EXTINT};
	struct rig *r = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(mode); i++) {
		ioapic_set(&r->io, 7, false);
		wr(r, 0x1e, LEVEL | (u32)mode[i] << 8);
		ioapic_set(&r->io, 7, true);
		assert_int_equal(sent(r), 1);
		assert_int_equal(r->last.mode, mode[i]);
		assert_false(r->last.level);
		assert_int_equal(rd(r, 0x1e) & REMOTE_IRR, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(registers, setup),
		cmocka_unit_test_setup(odd_accesses, setup),
		cmocka_unit_test_setup(edge, setup),
		cmocka_unit_test_setup(edge_masked, setup),
		cmocka_unit_test_setup(level, setup),
		cmocka_unit_test_setup(level_masked, setup),
		cmocka_unit_test_setup(eoi_register, setup),
		cmocka_unit_test_setup(trigger_mode_switch, setup),
		cmocka_unit_test_setup(other_modes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
