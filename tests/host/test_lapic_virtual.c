/* SPDX-License-Identifier: MIT */
/*
 * The local APIC whose page the processor uses as its virtual-APIC page. A processor made by the
 * rules of SDM volume 3, chapter 30, works on one page; on another machine everything goes through
 * the register accesses; after every step both must look the same.
 */
#include "lapic_fixture.h"

/* Registers that an APIC-write exit may be about (section 30.4.3.1), but EOI and self-IPI. */
static const u16 written[] = {0x020, 0x0d0, 0x0e0, 0x0f0, 0x280, 0x300, 0x310, 0x320,
			      0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0};

struct pair {
	struct rig *soft, *virt;
};

static u32 *reg(struct rig *r, u32 offset)
{
	return (u32 *)(void *)(r->page[0] + offset);
}

static int highest(struct rig *r, u32 base)
{
	for (int v = 255; v >= 0; v--) {
		if (*reg(r, base + (unsigned)v / 32 * 16) >> v % 32 & 1)
			return v;
	}
	return -1;
}

static void flip(struct rig *r, u32 base, int vector)
{
	*reg(r, base + (unsigned)vector / 32 * 16) ^= 1u << vector % 32;
}

/* Section 30.2.2 "Virtual-Interrupt Delivery". */
static int cpu_take(struct rig *r)
{
	int irr = highest(r, LAPIC_IRR), isr = highest(r, LAPIC_ISR);
	int tpr = (int)(*reg(r, LAPIC_TPR) >> 4 & 15);

	if (irr < 0 || irr >> 4 <= MAX(tpr, isr >> 4))
		return -1;
	flip(r, LAPIC_IRR, irr);
	flip(r, LAPIC_ISR, irr);
	return irr;
}

/* Section 30.1.4 "EOI Virtualization". */
static void cpu_eoi(struct rig *r)
{
	int isr = highest(r, LAPIC_ISR);

	if (isr < 0)
		return;
	flip(r, LAPIC_ISR, isr);
	if (lapic_tmr(&r->l[0], (unsigned)isr / 32) >> isr % 32 & 1) /* the EOI-exit bitmap */
		lapic_eoi_virtualized(&r->l[0], (u8)isr);
}

static void cpu_write(struct rig *r, u32 offset, u32 value)
{
	*reg(r, offset) = value;
	if (offset != LAPIC_TPR)
		lapic_written(&r->l[0], offset);
}

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	void *s;

	assert_non_null(p);
	rig_enabled(&s);
	p->soft = s;
	rig_enabled(&s);
	p->virt = s;
	p->virt->l[0].virtual_delivery = true;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	free(p->soft);
	free(p->virt);
	free(p);
	return 0;
}

static void alike(struct pair *p)
{
	for (u32 offset = 0; offset < 0x400; offset += 16)
		assert_int_equal(*reg(p->virt, offset), *reg(p->soft, offset));
	assert_int_equal(lapic_pending(&p->virt->l[0]), lapic_pending(&p->soft->l[0]));
	assert_int_equal(lapic_ppr(&p->virt->l[0]), lapic_ppr(&p->soft->l[0]));
	assert_int_equal(lapic_highest_irr(&p->virt->l[0]), lapic_highest_irr(&p->soft->l[0]));
	assert_int_equal(lapic_highest_isr(&p->virt->l[0]), lapic_highest_isr(&p->soft->l[0]));
	assert_int_equal(p->virt->nr_eoi, p->soft->nr_eoi);
	assert_int_equal(p->virt->nr_sent, p->soft->nr_sent);
	assert_int_equal(lapic_next_deadline(&p->virt->l[0]), lapic_next_deadline(&p->soft->l[0]));
}

static u64 next(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

static void step(struct pair *p, u64 *seed)
{
	unsigned what = next(seed) % 8;
	u32 value = (u32)next(seed) ^ (u32)(next(seed) << 20);

	switch (what) {
	case 0:
	case 1:
		accept_fixed(&p->soft->l[0], (u8)value, value & 0x100);
		accept_fixed(&p->virt->l[0], (u8)value, value & 0x100);
		break;
	case 2:
		wr(&p->soft->l[0], LAPIC_TPR, value & 0xff);
		cpu_write(p->virt, LAPIC_TPR, value & 0xff);
		break;
	case 3:
		assert_int_equal(take(&p->soft->l[0]), cpu_take(p->virt));
		break;
	case 4:
		wr(&p->soft->l[0], LAPIC_EOI, 0);
		cpu_eoi(p->virt);
		break;
	case 5:
		p->soft->tsc += value % 1000000;
		p->virt->tsc = p->soft->tsc;
		lapic_advance(&p->soft->l[0], p->soft->tsc);
		lapic_advance(&p->virt->l[0], p->virt->tsc);
		break;
	default: {
		u32 offset = written[next(seed) % ARRAY_SIZE(written)];

		/* Software-disabled for a time, not for ever. */
		if (offset == LAPIC_SVR && next(seed) % 4)
			value |= SVR_ENABLE;
		wr(&p->soft->l[0], offset, value);
		cpu_write(p->virt, offset, value);
	}
	}
}

static void as_without_virtualization(void **state)
{
	u64 seed = 20260101;

	for (unsigned i = 0; i < 200000; i++) {
		step(*state, &seed);
		alike(*state);
	}
}

/* What software may not change stays, whatever the processor has put into the page. */
static void written_read_only_bits(void **state)
{
	struct rig *r = ((struct pair *)*state)->virt;
	struct lapic *l = &r->l[0];

	cpu_write(r, LAPIC_LVT_LINT0, LVT_LEVEL | 0x45);
	lapic_set_lint(l, 0, true);
	assert_int_equal(*reg(r, LAPIC_LVT_LINT0), LVT_LEVEL | LVT_REMOTE_IRR | 0x45);
	cpu_write(r, LAPIC_LVT_LINT0, LVT_LEVEL | LVT_MASKED | 0x46);
	assert_int_equal(*reg(r, LAPIC_LVT_LINT0), LVT_LEVEL | LVT_REMOTE_IRR | LVT_MASKED | 0x46);
	cpu_write(r, LAPIC_ID, 0x55000000);
	assert_int_equal(*reg(r, LAPIC_ID), 0);
}

static void tmr_changes_are_noticed(void **state)
{
	struct lapic *l = &((struct pair *)*state)->virt->l[0];

	l->tmr_changed = false;
	accept_fixed(l, 0x41, false);
	assert_false(l->tmr_changed);
	accept_fixed(l, 0x42, true);
	assert_true(l->tmr_changed);
	assert_int_equal(lapic_tmr(l, 2), 4);
	l->tmr_changed = false;
	accept_fixed(l, 0x42, true);
	assert_false(l->tmr_changed);
	accept_fixed(l, 0x42, false);
	assert_true(l->tmr_changed);
	l->tmr_changed = false;
	assert_true(wrmsr(l, 0x1b, l->apic_base & ~0x800ull)); /* a reset clears the TMR */
	assert_true(l->tmr_changed);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(as_without_virtualization),
		T(written_read_only_bits),
		T(tmr_changes_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
