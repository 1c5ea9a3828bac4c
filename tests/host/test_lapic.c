/* SPDX-License-Identifier: MIT */
/* The local APIC: acceptance, priorities, EOI, software disable, LINT pins, INIT. */
#include "lapic_fixture.h"

static void accept_and_priorities(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[0];

	accept_fixed(l, 0x31, false);
	accept_fixed(l, 0x91, false);
	accept_fixed(l, 0x92, true);
	assert_true(bit_of(l, LAPIC_IRR, 0x31) && bit_of(l, LAPIC_IRR, 0x91));
	assert_true(bit_of(l, LAPIC_TMR, 0x92) && !bit_of(l, LAPIC_TMR, 0x91));
	assert_int_equal(take(l), 0x92);
	assert_true(!bit_of(l, LAPIC_IRR, 0x92) && bit_of(l, LAPIC_ISR, 0x92));
	assert_int_equal(rd(l, 0xa0), 0x90);
	/* The same class waits; a higher one does not. */
	assert_int_equal(take(l), -1);
	accept_fixed(l, 0xa0, false);
	assert_int_equal(take(l), 0xa0);
	assert_int_equal(rd(l, 0xa0), 0xa0);
	wr(l, 0xb0, 0);
	assert_true(!bit_of(l, LAPIC_ISR, 0xa0) && bit_of(l, LAPIC_ISR, 0x92));
	assert_int_equal(rd(l, 0xa0), 0x90);
	wr(l, 0xb0, 0);
	assert_int_equal(take(l), 0x91);
	wr(l, 0xb0, 0);
	assert_int_equal(take(l), 0x31);
	wr(l, 0xb0, 0);
	assert_int_equal(take(l), -1);
	assert_int_equal(rd(l, 0xa0), 0);
	wr(l, 0xb0, 0); /* with nothing in service */
	/* One IRR bit holds one interrupt; the one in service makes room for a second. */
	accept_fixed(l, 0x55, false);
	accept_fixed(l, 0x55, false);
	assert_int_equal(take(l), 0x55);
	accept_fixed(l, 0x55, false);
	wr(l, 0xb0, 0);
	assert_int_equal(take(l), 0x55);
	wr(l, 0xb0, 0);
	assert_int_equal(take(l), -1);
}

static void task_priority(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[0];

	accept_fixed(l, 0x5f, false);
	wr(l, 0x80, 0x50);
	assert_int_equal(lapic_pending(l), -1);
	wr(l, 0x80, 0x4f);
	assert_int_equal(lapic_pending(l), 0x5f);
	assert_int_equal(rd(l, 0xa0), 0x4f);
	lapic_set_cr8(l, 5);
	assert_int_equal(rd(l, 0x80), 0x50);
	assert_int_equal(lapic_pending(l), -1);
	wr(l, 0x80, 0x3e);
	assert_int_equal(lapic_get_cr8(l), 3);
	lapic_set_cr8(l, ~0ull);
	assert_int_equal(rd(l, 0x80), 0xf0);
	/* The processor may change the TPR in the page itself, without telling. */
	l->page[0x80] = 0x10;
	assert_int_equal(take(l), 0x5f);
	/* PPR: the task's low bits only while the task decides. */
	wr(l, 0x80, 0x45);
	assert_int_equal(rd(l, 0xa0), 0x50);
	wr(l, 0x80, 0x55);
	assert_int_equal(rd(l, 0xa0), 0x55);
	wr(l, 0x80, 0x67);
	assert_int_equal(rd(l, 0xa0), 0x67);
}

static void random_against_model(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[0];
	bool irr[256] = {0}, isr[256] = {0};
	u64 seed = 42;

	for (unsigned i = 0; i < 20000; i++) {
		int best_irr = -1, best_isr = -1, want;
		u8 v, tpr;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		v = (u8)(seed >> 40);
		if (seed >> 61 < 3 && v >= 16) {
			accept_fixed(l, v, seed >> 50 & 1);
			irr[v] = true;
		} else if (seed >> 61 == 3) {
			wr(l, 0x80, v);
		}
		tpr = (u8)rd(l, 0x80);
		for (int n = 0; n < 256; n++) {
			best_irr = irr[n] ? n : best_irr;
			best_isr = isr[n] ? n : best_isr;
		}
		want = best_irr >> 4 > MAX(tpr >> 4, best_isr >> 4) ? best_irr : -1;
		assert_int_equal(lapic_pending(l), want);
		if (seed >> 61 == 5 && want >= 0) {
			lapic_ack(l, (u8)want);
			irr[want] = false;
			isr[want] = true;
		} else if (seed >> 61 >= 6) {
			wr(l, 0xb0, 0);
			if (best_isr >= 0)
				isr[best_isr] = false;
		}
	}
	for (int n = 0; n < 256; n++) {
		assert_int_equal(bit_of(l, LAPIC_IRR, (u8)n), irr[n]);
		assert_int_equal(bit_of(l, LAPIC_ISR, (u8)n), isr[n]);
	}
}

static void eoi_broadcast(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];

	accept_fixed(l, 0x60, true);
	take(l);
	wr(l, 0xb0, 0);
	assert_int_equal(r->nr_eoi, 1);
	assert_int_equal(r->eoi_vector, 0x60);
	/* TMR is loaded at acceptance and stays till then. */
	assert_true(bit_of(l, LAPIC_TMR, 0x60));
	accept_fixed(l, 0x60, false);
	assert_false(bit_of(l, LAPIC_TMR, 0x60));
	take(l);
	wr(l, 0xb0, 0);
	assert_int_equal(r->nr_eoi, 1);
	/* Suppressed by SVR bit 12. */
	wr(l, 0xf0, 0x11ff);
	accept_fixed(l, 0x61, true);
	take(l);
	wr(l, 0xb0, 0);
	assert_int_equal(r->nr_eoi, 1);
	assert_false(bit_of(l, LAPIC_ISR, 0x61));
}

static void software_disable(void **state)
{
	struct rig *r = *state;
	struct lapic *l = &r->l[0];
	struct apic_msg nmi = {.mode = APIC_NMI, .assert = true};

	wr(l, 0x350, 0x700);
	wr(l, 0x320, 0x40);
	accept_fixed(l, 0x70, false);
	wr(l, 0xf0, 0xff);
	for (u32 off = 0x320; off <= 0x370; off += 16)
		assert_true(rd(l, off) & MASKED);
	wr(l, 0x350, 0x700);
	assert_int_equal(rd(l, 0x350), 0x10700);
	assert_false(lapic_accepts_extint(l));
	/* New fixed interrupts are lost; what was pending is kept; NMIs come through. */
	accept_fixed(l, 0x80, false);
	assert_int_equal(lapic_pending(l), 0x70);
	lapic_accept(l, &nmi);
	assert_true(l->nmi_pending);
	/* Enabling does not unmask. */
	wr(l, 0xf0, 0x1ff);
	assert_int_equal(rd(l, 0x320), 0x10040);
}

static void virtual_wire(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[0];

	assert_false(lapic_accepts_extint(l));
	lapic_virtual_wire(l);
	assert_true(lapic_accepts_extint(l));
	lapic_set_lint(l, 1, true);
	assert_true(l->nmi_pending);
	wr(l, 0x350, 0x10700);
	assert_false(lapic_accepts_extint(l));
	wr(l, 0x350, 0x30);
	assert_false(lapic_accepts_extint(l));
}

static void lint_edge(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[0];

	wr(l, 0x350, 0x44);
	lapic_set_lint(l, 0, true);
	assert_int_equal(take(l), 0x44);
	wr(l, 0xb0, 0);
	lapic_set_lint(l, 0, true); /* no rise */
	assert_int_equal(take(l), -1);
	lapic_set_lint(l, 0, false);
	wr(l, 0x350, 0x10044);
	lapic_set_lint(l, 0, true); /* masked: lost */
	wr(l, 0x350, 0x44);
	assert_int_equal(take(l), -1);
	wr(l, 0x360, 0x400);
	lapic_set_lint(l, 2, true);
	assert_false(l->nmi_pending);
	lapic_set_lint(l, 1, true);
	assert_true(l->nmi_pending);
	wr(l, 0x360, 0x500);
	lapic_set_lint(l, 1, false);
	lapic_set_lint(l, 1, true);
	assert_true(l->init_pending);
	/* ExtINT is the 8259's business. */
	wr(l, 0x350, 0x744);
	lapic_set_lint(l, 0, false);
	lapic_set_lint(l, 0, true);
	assert_int_equal(take(l), -1);
}

static void lint_level(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[0];

	wr(l, 0x350, 0x18044);
	lapic_set_lint(l, 0, true);
	assert_int_equal(take(l), -1);
	wr(l, 0x350, 0x8044);
	assert_int_equal(rd(l, 0x350), 0xc044); /* remote IRR */
	assert_int_equal(take(l), 0x44);
	lapic_set_lint(l, 0, true);
	wr(l, 0x350, 0x8044);
	assert_int_equal(lapic_pending(l), -1);
	/* Still high at the EOI: again. */
	wr(l, 0xb0, 0);
	assert_int_equal(take(l), 0x44);
	lapic_set_lint(l, 0, false);
	wr(l, 0xb0, 0);
	assert_int_equal(take(l), -1);
	assert_int_equal(rd(l, 0x350), 0x8044);
	/* Edge-triggered clears remote IRR. */
	lapic_set_lint(l, 0, true);
	assert_int_equal(rd(l, 0x350), 0xc044);
	wr(l, 0x350, 0x44);
	assert_int_equal(rd(l, 0x350), 0x44);
}

static void init_reset(void **state)
{
	struct lapic *l = &((struct rig *)*state)->l[1];

	l->nmi_pending = l->sipi_pending = true;
	accept_fixed(l, 0x40, false);
	wr(l, 0x380, 1000);
	wr(l, 0x320, 0x40);
	(void)rd(l, 0x40); /* an error not yet read */
	lapic_init_reset(l);
	wr(l, 0x280, 0);
	assert_int_equal(rd(l, 0x280), 0);
	assert_int_equal(rd(l, 0xf0), 0xff);
	assert_int_equal(rd(l, 0x320), MASKED);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(rd(l, 0x390), 0);
	assert_true(l->nmi_pending && l->sipi_pending);
	to_x2apic(l);
	lapic_init_reset(l);
	assert_true(lapic_x2apic(l));
	assert_int_equal(rdmsr(l, 0x80d), 2);
	assert_true(wrmsr(l, 0x1b, 0xfee00000));
	lapic_set_cr8(l, 7);
	lapic_init_reset(l);
	assert_int_equal(rdmsr(l, 0x1b), 0xfee00000);
	assert_int_equal(lapic_get_cr8(l), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENABLED(accept_and_priorities),
		ENABLED(task_priority),
		ENABLED(random_against_model),
		ENABLED(eoi_broadcast),
		ENABLED(software_disable),
		RAW(virtual_wire),
		ENABLED(lint_edge),
		ENABLED(lint_level),
		ENABLED(init_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
