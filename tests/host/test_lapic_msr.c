/* SPDX-License-Identifier: MIT */
/* IA32_APIC_BASE and the x2APIC's MSRs. */
#include "lapic_fixture.h"

#define BASE 0xfee00000ull
#define OFF (BASE | 0x100)
#define INVALID (BASE | 0x500)
#define XAPIC (BASE | 0x900)
#define X2APIC (BASE | 0xd00)

/* SDM figure 11-27 "Local x2APIC State Transitions...": every pair of states. */
static void transitions(void **state)
{
	static const u64 mode[] = {OFF, XAPIC, X2APIC, INVALID};
	static const bool allowed[3][4] = {
		{true, true, false, false}, /* from disabled */
		{true, true, true, false},  /* from xAPIC */
		{true, false, true, false}, /* from x2APIC */
	};
	struct lapic *l = &((struct rig *)*state)->l[0];

	for (unsigned from = 0; from < 3; from++) {
		for (unsigned to = 0; to < 4; to++) {
			assert_true(wrmsr(l, 0x1b, OFF));
			if (from > 0)
				assert_true(wrmsr(l, 0x1b, XAPIC));
			if (from > 1)
				assert_true(wrmsr(l, 0x1b, X2APIC));
			assert_int_equal(wrmsr(l, 0x1b, mode[to]), allowed[from][to]);
			assert_true(rdmsr(l, 0x1b) == mode[allowed[from][to] ? to : from]);
		}
	}
}

static void base_bits(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	static const u8 maxphyaddr[] = {36, 39, 52};

	for (unsigned i = 0; i < ARRAY_SIZE(maxphyaddr); i++) {
		l->maxphyaddr = maxphyaddr[i];
		for (unsigned bit = 0; bit < 64; bit++) {
			bool base = bit >= 12 && bit < maxphyaddr[i];

			if (bit == 8 || bit == 10 || bit == 11)
				continue;
			assert_int_equal(wrmsr(l, 0x1b, XAPIC ^ BIT(bit)), base);
			assert_true(rdmsr(l, 0x1b) == (base ? XAPIC ^ BIT(bit) : XAPIC));
			assert_true(wrmsr(l, 0x1b, XAPIC));
		}
	}
	/* The BSP bit is what it was. */
	assert_true(wrmsr(l, 0x1b, BASE | 0x800));
	assert_true(rdmsr(l, 0x1b) == XAPIC);
	assert_true(wrmsr(&r->l[1], 0x1b, XAPIC));
	assert_true(rdmsr(&r->l[1], 0x1b) == (BASE | 0x800));
	l->has_x2apic = false;
	assert_false(wrmsr(l, 0x1b, X2APIC));
	assert_true(rdmsr(l, 0x1b) == XAPIC);
}

/* A move alone, and one with a change of mode: what is in the registers is the mode's business. */
static void relocation(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[1];

	wr(l, 0x80, 0x30);
	assert_true(lapic_xapic(l));
	assert_true(lapic_base(l) == BASE);
	assert_true(wrmsr(l, 0x1b, 0x12345800));
	assert_true(lapic_base(l) == 0x12345000);
	assert_int_equal(rd(l, 0x80), 0x30);
	assert_true(wrmsr(l, 0x1b, 0x800));
	assert_true(lapic_base(l) == 0);
	assert_int_equal(rd(l, 0x80), 0x30);
	assert_false(wrmsr(l, 0x1b, 0x54321400));
	assert_true(lapic_base(l) == 0);
	assert_true(wrmsr(l, 0x1b, 0xfed40c00)); /* to x2APIC */
	assert_true(lapic_base(l) == 0xfed40000);
	assert_false(lapic_xapic(l));
	assert_int_equal(rdmsr(l, 0x808), 0x30);
	assert_true(wrmsr(l, 0x1b, 0xfed40000)); /* off */
	assert_false(lapic_xapic(l));
	assert_true(wrmsr(l, 0x1b, 0xfed41800)); /* at power-up, but elsewhere */
	assert_true(lapic_base(l) == 0xfed41000);
	assert_int_equal(rd(l, 0x80), 0);
	assert_int_equal(rd(l, 0x30), 0x01050014);
	lapic_init_reset(l); /* an INIT moves nothing */
	assert_true(rdmsr(l, 0x1b) == 0xfed41800);
}

static void disable_and_enable(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[1];

	accept_fixed(l, 0x80, true);
	accept_fixed(l, 0x90, false);
	take(l);
	wr(l, 0xd0, 0x02000000);
	wr(l, 0x370, 0xfe);
	assert_true(wrmsr(l, 0x1b, BASE));
	assert_false(lapic_enabled(l));
	assert_int_equal(lapic_pending(l), -1);
	assert_true(lapic_accepts_extint(l));
	/* Nothing is there. */
	assert_int_equal(lapic_mmio_read(l, 0x30, 4), 0xffffffff);
	assert_int_equal(lapic_mmio_read(l, 0x30, 1), 0xff);
	assert_true(lapic_mmio_read(l, 0x33, 8) == ~0ull);
	memset(l->page + 0x80, 0, 4);
	for (u32 off = 0; off < 0x1000; off += 4)
		lapic_mmio_write(l, off, 4, ~0u);
	assert_true(rdmsr_faults(l, 0x802));
	/* CR8 works, and nothing arrives. */
	assert_int_equal(lapic_get_cr8(l), 0);
	lapic_set_cr8(l, 9);
	assert_int_equal(lapic_get_cr8(l), 9);
	lapic_set_cr8(l, 0);
	accept_fixed(l, 0x80, false);
	assert_int_equal(lapic_pending(l), -1);
	/* Back at power-up. */
	assert_true(wrmsr(l, 0x1b, BASE | 0x800));
	assert_int_equal(rd(l, 0x20), 1u << 24);
	assert_int_equal(rd(l, 0x30), 0x01050014);
	assert_int_equal(rd(l, 0xf0), 0xff);
	assert_int_equal(rd(l, 0xd0) | rd(l, 0x80), 0);
	assert_int_equal(rd(l, 0x370), MASKED);
	assert_int_equal(rd(l, 0x240) | rd(l, 0x140) | rd(l, 0x1c0), 0);
	wr(l, 0xf0, 0x1ff);
	accept_fixed(l, 0x80, false);
	assert_int_equal(take(l), 0x80);
}

/* Entering x2APIC mode keeps the state, derives LDR, and hides the MMIO registers. */
static void enter_x2apic(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[3];

	accept_fixed(l, 0x77, false);
	wr(l, 0x80, 0x20);
	wr(l, 0x310, 0xff000000);
	wr(l, 0x340, 0x432);
	wr(l, 0xd0, 0x80000000);
	to_x2apic(l);
	assert_int_equal(rdmsr(l, 0x802), 3);
	assert_int_equal(rdmsr(l, 0x80d), 8);
	assert_int_equal(rdmsr(l, 0x803), 0x01050014);
	assert_int_equal(rdmsr(l, 0x808), 0x20);
	assert_int_equal(rdmsr(l, 0x80a), 0x20);
	assert_int_equal(rdmsr(l, 0x80f), 0x1ff);
	assert_int_equal(rdmsr(l, 0x834), 0x432);
	assert_int_equal(rdmsr(l, 0x823), 1u << 23);
	assert_true(rdmsr(l, 0x830) == 0); /* not the xAPIC's destination */
	assert_int_equal(lapic_pending(l), 0x77);
	assert_int_equal(rd(l, 0x30), ~0u);
	wr(l, 0x80, 0xff);
	assert_int_equal(rdmsr(l, 0x808), 0x20);
}

static void logical_id(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	lapic_init(l, 0x1234567, false, r->page[0], &r->clock, &r->ops);
	to_x2apic(l);
	assert_int_equal(rdmsr(l, 0x802), 0x1234567);
	assert_int_equal(rdmsr(l, 0x80d), 0x34560080); /* 16 bits of cluster only */
}

/* Which MSRs can be read, and which written with 0. */
static void access_map(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	for (u32 msr = 0x800; msr <= 0x8ff; msr++) {
		assert_true(rdmsr_faults(l, msr));
		assert_false(wrmsr(l, msr, 0));
	}
	to_x2apic(l);
	for (u32 msr = 0x800; msr <= 0x8ff; msr++) {
		bool rw = msr == 0x808 || msr == 0x80f || msr == 0x828 || msr == 0x830 ||
			  (msr >= 0x832 && msr <= 0x838) || msr == 0x83e;
		bool ro = msr == 0x802 || msr == 0x803 || msr == 0x80a || msr == 0x80d ||
			  (msr >= 0x810 && msr <= 0x827) || msr == 0x839;
		bool wo = msr == 0x80b || msr == 0x83f;

		assert_int_equal(!rdmsr_faults(l, msr), rw || ro);
		assert_int_equal(wrmsr(l, msr, 0), rw || wo);
	}
	assert_true(rdmsr_faults(l, 0x7ff) && rdmsr_faults(l, 0x900) && rdmsr_faults(l, 0x10));
	assert_false(wrmsr(l, 0x7ff, 0) || wrmsr(l, 0x900, 0) || wrmsr(l, 0x10, 0));
}

static void reserved_bits(void **state)
{
	static const struct {
		u32 msr;
		u64 writable;
	} reg[] = {
		{0x808, 0xff},	  {0x80b, 0},
		{0x80f, 0x11ff},  {0x828, 0},
		{0x832, 0x710ff}, {0x833, 0x117ff},
		{0x834, 0x117ff}, {0x835, 0x1f7ff},
		{0x836, 0x1f7ff}, {0x837, 0x110ff},
		{0x838, ~0u},	  {0x83e, 0xb},
		{0x83f, 0xff},	  {0x830, 0xffffffff000cdfffull},
	};
	struct lapic *l = &((struct rig *)*state)->l[2];

	to_x2apic(l);
	for (unsigned i = 0; i < ARRAY_SIZE(reg); i++)
		for (unsigned bit = 0; bit < 64; bit++)
			assert_int_equal(wrmsr(l, reg[i].msr, BIT(bit)),
					 reg[i].writable >> bit & 1);
}

static void icr(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	for (unsigned i = 0; i < NR; i++)
		to_x2apic(&r->l[i]);
	assert_true(wrmsr(l, 0x830, 0x200005041ull));
	assert_true(rdmsr(l, 0x830) == 0x200004041ull); /* delivery status reads idle */
	assert_int_equal(lapic_pending(&r->l[2]), 0x41);
	assert_int_equal(lapic_pending(&r->l[1]), -1);
	assert_int_equal(r->nr_sent, 1);
	/* Refused: nothing is sent, nothing changes. */
	assert_false(wrmsr(l, 0x830, 0x100002042ull));
	assert_true(rdmsr(l, 0x830) == 0x200004041ull);
	assert_int_equal(r->nr_sent, 1);
	/* Self IPI, one of them with an illegal vector. */
	assert_true(wrmsr(l, 0x83f, 0x51));
	assert_int_equal(take(l), 0x51);
	assert_true(wrmsr(l, 0x83f, 0x5));
	assert_true(wrmsr(l, 0x828, 0));
	assert_int_equal(rdmsr(l, 0x828), 0x60);
	assert_true(wrmsr(l, 0x80b, 0));
	assert_int_equal(rdmsr(l, 0x80a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENABLED(transitions),	     ENABLED(base_bits),     ENABLED(relocation),
		ENABLED(disable_and_enable), ENABLED(enter_x2apic),  RAW(logical_id),
		ENABLED(access_map),	     ENABLED(reserved_bits), ENABLED(icr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
