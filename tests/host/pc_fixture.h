/* SPDX-License-Identifier: MIT */
/* What the tests of the whole PC share: the real devices, a settable clock, a log of kicks. */
#ifndef TV_TESTS_PC_FIXTURE_H
#define TV_TESTS_PC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/pc.h"

#define HZ 100000000ull

struct fixture {
	struct pc pc;
	u64 now;
	u8 *pages;
	unsigned kicks[PC_MAX_VCPUS];
	u8 kick_log[64];
	unsigned nr_kicks;
	char sent[64];
	unsigned nr_sent;
};

static u64 now(void *ctx)
{
	return ((struct fixture *)ctx)->now;
}

static void kick(void *ctx, unsigned vcpu)
{
	struct fixture *f = ctx;

	f->kicks[vcpu]++;
	f->kick_log[f->nr_kicks++ % 64] = vcpu;
}

static void tx(void *ctx, u8 byte)
{
	struct fixture *f = ctx;

	f->sent[f->nr_sent++ % 64] = byte;
}

static inline void init(struct fixture *f, unsigned nr_vcpus)
{
	struct gclock clock = {now, f, HZ};
	struct pc_config cfg = {
		.nr_vcpus = nr_vcpus,
		.epoch = 1795334399,
		.console_tx = tx,
		.console_ctx = f,
		.kick = kick,
		.kick_ctx = f,
	};

	memset(f, 0, sizeof(*f));
	f->pages = aligned_alloc(PAGE_SIZE, PC_MAX_VCPUS * PAGE_SIZE);
	f->now = 1000;
	for (unsigned i = 0; i < PC_MAX_VCPUS; i++)
		cfg.lapic_page[i] = f->pages + i * PAGE_SIZE;
	gmem_add(&f->pc.mem, GPA(0), MIB(256), HPA(0), NULL); /* for its size only */
	gmem_add(&f->pc.mem, GPA(MIB(256)), MIB(256), HPA(0), NULL);
	gmem_add(&f->pc.mem, GPA(GIB(4)), GIB(1), HPA(0), NULL);
	pc_init(&f->pc, &cfg, &clock);
	assert_int_equal(f->nr_kicks, 0);
}

static inline void done(struct fixture *f)
{
	free(f->pages);
}

static inline u64 in(struct fixture *f, u16 port, unsigned size)
{
	return pc_pio_read(&f->pc, 0, port, size);
}

static inline void out(struct fixture *f, u16 port, unsigned size, u32 v)
{
	pc_pio_write(&f->pc, 0, port, size, v);
}

static inline void apic_out(struct fixture *f, unsigned vcpu, u32 reg, u32 v)
{
	pc_mmio_write(&f->pc, vcpu, GPA(0xfee00000 + reg), 4, v);
}

static inline u32 apic_in(struct fixture *f, unsigned vcpu, u32 reg)
{
	return pc_mmio_read(&f->pc, vcpu, GPA(0xfee00000 + reg), 4);
}

static inline void apic_on(struct fixture *f)
{
	for (unsigned i = 0; i < f->pc.nr_vcpus; i++)
		apic_out(f, i, 0xf0, 0x1ff);
}

static inline void redir(struct fixture *f, unsigned pin, u32 low, u32 high)
{
	pc_mmio_write(&f->pc, 0, GPA(0xfec00000), 4, 0x11 + pin * 2);
	pc_mmio_write(&f->pc, 0, GPA(0xfec00010), 4, high);
	pc_mmio_write(&f->pc, 0, GPA(0xfec00000), 4, 0x10 + pin * 2);
	pc_mmio_write(&f->pc, 0, GPA(0xfec00010), 4, low);
}

/** The 8259s as operating systems set them up: vectors 0x20-0x2f; `mask` is both IMRs. */
static inline void pics(struct fixture *f, u16 mask)
{
	static const u8 icw[2][4] = {{0x11, 0x20, 0x04, 0x01}, {0x11, 0x28, 0x02, 0x01}};

	for (unsigned c = 0; c < 2; c++) {
		u16 port = c ? 0xa0 : 0x20;

		out(f, port, 1, icw[c][0]);
		for (unsigned i = 1; i < 4; i++)
			out(f, port + 1, 1, icw[c][i]);
		out(f, port + 1, 1, mask >> (c * 8) & 0xff);
	}
}

#endif
