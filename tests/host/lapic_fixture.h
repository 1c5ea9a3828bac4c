/* SPDX-License-Identifier: MIT */
/* What the LAPIC tests share: a small machine of four LAPICs with a clock that only tests move. */
#ifndef TV_TESTS_LAPIC_FIXTURE_H
#define TV_TESTS_LAPIC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "guest/lapic.h"
#include "guest/lapic_regs.h"

#define NR 4
#define TSC_HZ 300000000ull /* three TSC ticks to a timer tick */
#define MASKED 0x10000u

struct rig {
	struct lapic l[NR];
	u8 page[NR][4096] __attribute__((aligned(4096)));
	u64 tsc;
	struct gclock clock;
	struct lapic_ops ops;
	struct apic_msg sent; /* the last IPI */
	unsigned nr_sent;
	u8 eoi_vector;
	unsigned nr_eoi;
};

static u64 rig_now(void *ctx)
{
	return ((struct rig *)ctx)->tsc;
}

/* Routes as a machine does. */
static void rig_send(void *ctx, struct lapic *from, const struct apic_msg *msg)
{
	struct rig *r = ctx;

	r->sent = *msg;
	r->nr_sent++;
	if (msg->mode == APIC_LOWEST) {
		struct lapic *l = lapic_lowest(r->l, NR, from, msg);

		if (l)
			lapic_accept(l, msg);
		return;
	}
	for (unsigned i = 0; i < NR; i++)
		if (lapic_matches(&r->l[i], from, msg))
			lapic_accept(&r->l[i], msg);
}

static void rig_eoi(void *ctx, u8 vector)
{
	struct rig *r = ctx;

	r->eoi_vector = vector;
	r->nr_eoi++;
}

static inline u32 rd(struct lapic *l, u32 offset)
{
	return (u32)lapic_mmio_read(l, offset, 4);
}

static inline void wr(struct lapic *l, u32 offset, u32 value)
{
	lapic_mmio_write(l, offset, 4, value);
}

static inline u64 rdmsr(struct lapic *l, u32 msr)
{
	u64 value = 0xdeadbeef;

	assert_true(lapic_msr_read(l, msr, &value));
	return value;
}

static inline bool wrmsr(struct lapic *l, u32 msr, u64 value)
{
	return lapic_msr_write(l, msr, value);
}

static inline bool rdmsr_faults(struct lapic *l, u32 msr)
{
	u64 value;

	return !lapic_msr_read(l, msr, &value);
}

static inline void accept_fixed(struct lapic *l, u8 vector, bool level)
{
	struct apic_msg msg = {.vector = vector, .level = level, .assert = true};

	lapic_accept(l, &msg);
}

/* Deliver what is pending, as the processor does; the vector, or -1. */
static inline int take(struct lapic *l)
{
	int vector = lapic_pending(l);

	if (vector >= 0)
		lapic_ack(l, (u8)vector);
	return vector;
}

static inline bool bit_of(struct lapic *l, u32 base, u8 vector)
{
	return rd(l, base + vector / 32u * 16) >> vector % 32 & 1;
}

static inline void to_x2apic(struct lapic *l)
{
	assert_true(wrmsr(l, 0x1b, l->apic_base | 0x400));
}

/* Four LAPICs at power-up, the first the BSP. */
static inline int rig_raw(void **state)
{
	struct rig *r = aligned_alloc(4096, (sizeof(*r) + 4095) & ~(size_t)4095);

	assert_non_null(r);
	memset(r, 0, sizeof(*r));
	memset(r->page, 0xa5, sizeof(r->page));
	r->tsc = 1000000;
	r->clock = (struct gclock){rig_now, r, TSC_HZ};
	r->ops = (struct lapic_ops){rig_send, rig_eoi, r};
	for (u32 i = 0; i < NR; i++)
		lapic_init(&r->l[i], i, i == 0, r->page[i], &r->clock, &r->ops);
	*state = r;
	return 0;
}

/* The same, software-enabled. */
static inline int rig_enabled(void **state)
{
	rig_raw(state);
	for (unsigned i = 0; i < NR; i++)
		wr(&((struct rig *)*state)->l[i], LAPIC_SVR, 0x1ff);
	return 0;
}

static inline int rig_free(void **state)
{
	free(*state);
	return 0;
}

#define RAW(test) cmocka_unit_test_setup_teardown(test, rig_raw, rig_free)
#define ENABLED(test) cmocka_unit_test_setup_teardown(test, rig_enabled, rig_free)

#endif
