/* SPDX-License-Identifier: MIT */
/*
 * The last part of a task switch, behind the point of no return: LDTR and the segment registers.
 * The checks come in the order of table 8-1, "the order used in the P6 family processors", but that
 * LDTR is done with first, since the others may need the LDT. After the first exception the rest is
 * loaded as far as that is possible, "but not checked for validity" (section 6.15, interrupt 10).
 */
#include "task.h"
#include "x86.h"

#define LIMIT_MAX 0xffffffffu

/** The table that a selector leads into, and where in it. False: beyond its end. */
static bool descriptor_address(const struct task_state *st, u16 selector, u32 *at)
{
	u32 offset = selector & SELECTOR_INDEX;

	if (!(selector & SELECTOR_TI)) {
		*at = st->gdt_base + offset;
		return offset + 7 <= st->gdt_limit;
	}
	*at = st->ldtr.base + offset;
	return offset + 7 <= st->ldtr.limit; /* 0 where it is unusable */
}

/** What a selector leads to. */
struct found {
	bool there;
	u32 at; /* of the descriptor */
	struct segment_reg s;
};

/** A null selector leads nowhere, nor does one beyond its table, nor one to where a page fault is:
 *  that is noted. */
static void find(struct task *t, u16 selector, struct found *f)
{
	u64 descriptor;

	*f = (struct found){.s = {.selector = selector}};
	if (selector_is_null(selector) || !descriptor_address(t->st, selector, &f->at) ||
	    !task_read(t, f->at, &descriptor, sizeof(descriptor)))
		return;
	f->there = true;
	f->s = segment_from_descriptor(selector, descriptor);
}

static struct segment_reg unusable(u16 selector)
{
	return (struct segment_reg){.selector = selector, .ar = SEGMENT_UNUSABLE};
}

static void load_ldtr(struct task *t)
{
	struct segment_reg *ldtr = &t->st->ldtr;
	u16 selector = ldtr->selector;
	struct found f;

	*ldtr = unusable(selector);
	if (selector_is_null(selector))
		return;
	/* One in an LDT leads nowhere: there is none at present. */
	find(t, selector, &f);
	if (f.there &&
	    (f.s.ar & (SEGMENT_P | SEGMENT_S | SEGMENT_TYPE)) == (SEGMENT_P | SEGMENT_LDT))
		*ldtr = f.s;
	else
		task_raise(t, TS_VECTOR, selector);
}

/** Put what was found into a register; where all is well, say so in the descriptor. */
static void load(struct task *t, unsigned reg, const struct found *f)
{
	struct task_exception e;

	if (!t->failed && !(f->s.ar & SEGMENT_ACCESSED))
		task_accessed(t,
			      t->mem->modify(t->mem->ctx, f->at + DESCRIPTOR_ACCESS_BYTE, 0,
					     SEGMENT_ACCESSED, &e),
			      &e);
	t->st->seg[reg] = f->s;
	t->st->seg[reg].ar |= SEGMENT_ACCESSED;
}

static bool code_privilege_ok(const struct segment_reg *cs, unsigned cpl)
{
	return segment_is_conforming(cs) ? segment_dpl(cs) <= cpl : segment_dpl(cs) == cpl;
}

static void check_code_and_stack(struct task *t, const struct found *cs, const struct found *ss)
{
	unsigned cpl = cs->s.selector & SELECTOR_RPL;

	if (cs->there && segment_is_code(&cs->s) && !code_privilege_ok(&cs->s, cpl))
		task_raise(t, TS_VECTOR, cs->s.selector);
	if (!ss->there || !segment_is_stack(&ss->s))
		task_raise(t, TS_VECTOR, ss->s.selector);
	else if (!(ss->s.ar & SEGMENT_P))
		task_raise(t, SS_VECTOR, ss->s.selector);
	else if (segment_dpl(&ss->s) != cpl)
		task_raise(t, TS_VECTOR, ss->s.selector);
	if (!cs->there || !segment_is_code(&cs->s))
		task_raise(t, TS_VECTOR, cs->s.selector);
	else if (!(cs->s.ar & SEGMENT_P))
		task_raise(t, NP_VECTOR, cs->s.selector);
	if (segment_dpl(&ss->s) != (ss->s.selector & SELECTOR_RPL))
		task_raise(t, TS_VECTOR, ss->s.selector);
}

/** Present, and of the CPL: what of a segment that broke a rule is loaded all the same. */
static void coerce(struct segment_reg *s, unsigned cpl)
{
	s->ar = (s->ar & ~SEGMENT_DPL) | SEGMENT_P | cpl << SEGMENT_DPL_SHIFT;
}

static void load_code_and_stack(struct task *t)
{
	unsigned cpl = t->st->seg[SEG_CS].selector & SELECTOR_RPL;
	struct found cs, ss;

	find(t, t->st->seg[SEG_CS].selector, &cs);
	find(t, t->st->seg[SEG_SS].selector, &ss);
	check_code_and_stack(t, &cs, &ss);
	if (t->failed) {
		/* No instruction runs with it: the exception's handler brings its own CS. */
		if (!cs.there || !segment_is_code(&cs.s)) {
			cs.s.base = 0;
			cs.s.limit = LIMIT_MAX;
			cs.s.ar = SEGMENT_G | SEGMENT_DB | SEGMENT_S | SEGMENT_CODE;
		}
		coerce(&cs.s, cpl);
		if (!ss.there || !segment_is_stack(&ss.s))
			ss.s = unusable(ss.s.selector);
		coerce(&ss.s, cpl);
	}
	load(t, SEG_SS, &ss);
	load(t, SEG_CS, &cs);
}

static void load_data(struct task *t, unsigned reg)
{
	u16 selector = t->st->seg[reg].selector;
	unsigned cpl = task_cpl(t->st);
	struct found f;

	t->st->seg[reg] = unusable(selector);
	if (selector_is_null(selector))
		return;
	find(t, selector, &f);
	if (!f.there || !segment_is_readable(&f.s))
		task_raise(t, TS_VECTOR, selector);
	else if (!(f.s.ar & SEGMENT_P))
		task_raise(t, NP_VECTOR, selector);
	else if (!segment_is_conforming(&f.s) &&
		 (segment_dpl(&f.s) < cpl || segment_dpl(&f.s) < (selector & SELECTOR_RPL)))
		task_raise(t, TS_VECTOR, selector);
	else
		load(t, reg, &f);
}

void task_load_segments(struct task *t)
{
	struct task_state *st = t->st;
	static const u8 data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};

	load_ldtr(t);
	if (st->eflags & X86_EFLAGS_VM) {
		for (unsigned i = 0; i < ARRAY_SIZE(st->seg); i++)
			st->seg[i] = segment_v86(st->seg[i].selector);
		return;
	}
	load_code_and_stack(t);
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		load_data(t, data[i]);
}
