/* SPDX-License-Identifier: MIT */
/*
 * Task switches behind the point of no return: LDTR and segment registers, the address space, the
 * error code, EIP. Every descriptor in every register against the rules of SDM volume 3, table 6-6
 * "Conditions for #TS" and table 8-1, written down one by one; and what comes of it against VM
 * entry's rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "task_fixture.h"

#define REG_LDTR 6 /* beside enum segment_register */
#define NO_VECTOR 0

static struct machine m, before;
static struct task_result result;

static void put_selector(unsigned reg, u16 selector)
{
	put_both(&m, NEW_TSS + (reg == REG_LDTR ? 0x60 : 0x48 + 4 * reg), 2, selector);
}

static void call_task(bool ext)
{
	struct task_request rq = {.selector = SEL_NEW, .source = TASK_GATE, .ext = ext};

	run_switch(&m, &rq, &result);
}

static struct segment_reg *segment_of(unsigned reg)
{
	return reg == REG_LDTR ? &m.st.ldtr : &m.st.seg[reg];
}

/*
 * The rules.
 */

/** What a selector is put together from. */
struct trial {
	unsigned reg;
	unsigned where; /* enum */
	unsigned type;	/* with S */
	bool present;
	unsigned dpl, rpl, cpl;
};

enum { IN_GDT, IN_LDT, BEYOND_GDT, BEYOND_LDT, NULL_SELECTOR, NR_WHERE };

static u16 selector_of(const struct trial *t)
{
	static const u16 selectors[] = {SEL_TEST, SEL_LDT_TEST, SEL_BEYOND, SEL_LDT_BEYOND, 0};

	return (u16)(selectors[t->where] | t->rpl);
}

static bool is_data(unsigned type)
{
	return type >= 16 && type < 24;
}

static bool is_code(unsigned type)
{
	return type >= 24;
}

static u8 rule_for_ldtr(const struct trial *t)
{
	if (t->where == NULL_SELECTOR)
		return NO_VECTOR;
	return t->where == IN_GDT && t->type == 2 && t->present ? NO_VECTOR : TS_VECTOR;
}

static u8 rule_for_cs(const struct trial *t)
{
	bool conforming = t->type & 4;

	if (t->where > IN_LDT || !is_code(t->type))
		return TS_VECTOR;
	if (conforming ? t->dpl > t->rpl : t->dpl != t->rpl)
		return TS_VECTOR;
	return t->present ? NO_VECTOR : NP_VECTOR;
}

static u8 rule_for_ss(const struct trial *t)
{
	if (t->where > IN_LDT || !is_data(t->type) || !(t->type & 2))
		return TS_VECTOR;
	if (!t->present)
		return SS_VECTOR;
	return t->dpl == t->cpl && t->dpl == t->rpl ? NO_VECTOR : TS_VECTOR;
}

static u8 rule_for_data(const struct trial *t)
{
	if (t->where == NULL_SELECTOR)
		return NO_VECTOR;
	if (t->where > IN_LDT || !(is_data(t->type) || (is_code(t->type) && (t->type & 2))))
		return TS_VECTOR;
	if (!t->present)
		return NP_VECTOR;
	if (is_code(t->type) && (t->type & 4))
		return NO_VECTOR;
	return t->dpl >= t->cpl && t->dpl >= t->rpl ? NO_VECTOR : TS_VECTOR;
}

static u8 rule(const struct trial *t)
{
	switch (t->reg) {
	case REG_LDTR:
		return rule_for_ldtr(t);
	case SEG_CS:
		return rule_for_cs(t);
	case SEG_SS:
		return rule_for_ss(t);
	default:
		return rule_for_data(t);
	}
}

static void fail_trial(const struct trial *t, const char *what)
{
	fail_msg("%s: register %u, where %u, type %x, P %u, DPL %u, RPL %u, CPL %u: status %u, "
		 "vector %u, error %x",
		 what, t->reg, t->where, t->type, t->present, t->dpl, t->rpl, t->cpl, result.status,
		 result.exception.vector, result.exception.error);
}

static void check_good(const struct trial *t)
{
	const struct segment_reg *s = segment_of(t->reg);
	u32 ar = t->type | (u32)t->dpl << 5 | 0x80 | 0xc000;

	if (result.status != TASK_SWITCHED)
		fail_trial(t, "refused");
	if (t->where == NULL_SELECTOR) {
		if (s->selector != t->rpl || !(s->ar & SEGMENT_UNUSABLE))
			fail_trial(t, "null selector");
		return;
	}
	/* Code and data that were not accessed are now. */
	if (t->type & 16)
		ar |= 1;
	if (s->selector != selector_of(t) || s->base != 0x00345678 || s->limit != 0x12345fff ||
	    s->ar != ar)
		fail_trial(t, "loaded wrongly");
	if ((get(&m, 1, (t->where == IN_GDT ? GDT_AT + SEL_TEST : LDT_AT + 8) + 4, 4) >> 8 &
	     0xff) != (ar & 0xff))
		fail_trial(t, "descriptor");
}

static void check_bad(const struct trial *t, u8 vector, bool ext)
{
	if (result.status != TASK_FAULTED || result.exception.vector != vector ||
	    result.exception.error != ((selector_of(t) & 0xfffcu) | ext))
		fail_trial(t, "exception");
	if (segment_of(t->reg)->selector != selector_of(t))
		fail_trial(t, "selector");
	/* The descriptor was not used. */
	if (memcmp(m.ram[1], before.ram[1], SPACE) != 0)
		fail_trial(t, "written");
	if (task_cpl(&m.st) != t->cpl)
		fail_trial(t, "CPL");
	/* The rest is the new task's, whatever happened. */
	if (m.st.eip != 0x1234 || m.st.cr3 != CR3_NEW || m.st.tr.selector != SEL_NEW)
		fail_trial(t, "not switched");
}

static void try(const struct trial *t, bool ext)
{
	/* The limit reads as 0x12345fff: pages. */
	u64 descriptor = make_descriptor(0x00345678, 0x12345,
					 t->type | t->dpl << 5 | t->present << 7 | 0xc000u);
	u8 vector = rule(t);

	make_world(&m, TASK_GATE, true, true);
	put_new_tss(&m, true, t->cpl);
	for (unsigned reg = SEG_DS; reg <= SEG_GS; reg++)
		put_selector(reg, 0);
	put_selector(SEG_ES, 0);
	put_gdt(&m, SEL_TEST, descriptor);
	put_both(&m, LDT_AT + 8, 8, descriptor);
	put_selector(t->reg, selector_of(t));
	before = m;
	call_task(ext);
	if (vector == NO_VECTOR)
		check_good(t);
	else
		check_bad(t, vector, ext);
	for (unsigned unrestricted = 0; unrestricted < 2; unrestricted++) {
		const char *broken = entry_broken(&m.st, unrestricted);

		if (broken)
			fail_trial(t, broken);
	}
}

/** CPL is CS.RPL. */
static unsigned cpl_of(unsigned reg, unsigned n)
{
	return reg == SEG_CS ? n >> 8 & 3 : n >> 10 & 3;
}

static void test_every_descriptor_in_every_register(void **state)
{
	(void)state;
	for (unsigned reg = 0; reg <= REG_LDTR; reg++) {
		for (unsigned n = 0; n < 4096; n++) {
			for (unsigned where = 0; where < NR_WHERE; where++) {
				struct trial t = {.reg = reg,
						  .where = where,
						  .type = n & 31,
						  .present = n >> 5 & 1,
						  .dpl = n >> 6 & 3,
						  .rpl = n >> 8 & 3,
						  .cpl = cpl_of(reg, n)};

				try(&t, (n ^ where) & 1);
			}
		}
	}
}

/*
 * The order of table 8-1: of two things that are wrong, the first counts. SS cannot be invalid and
 * not present; nor CS.
 */

struct defect {
	unsigned reg;
	u16 selector;
	u8 vector;
};

static const struct defect order[] = {
	{REG_LDTR, SEL_BEYOND, TS_VECTOR}, {SEG_CS, SEL_CODE(3) & ~3u, TS_VECTOR},
	{SEG_SS, SEL_BEYOND, TS_VECTOR},   {SEG_CS, SEL_DATA(0), TS_VECTOR},
	{SEG_DS, SEL_BEYOND, TS_VECTOR},   {SEG_ES, SEL_BEYOND, TS_VECTOR},
	{SEG_FS, SEL_BEYOND, TS_VECTOR},   {SEG_GS, SEL_BEYOND, TS_VECTOR},
};

static void test_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		for (unsigned j = i + 1; j < ARRAY_SIZE(order); j++) {
			if (order[i].reg == order[j].reg)
				continue;
			make_world(&m, TASK_GATE, true, true);
			put_selector(order[i].reg, order[i].selector);
			put_selector(order[j].reg, order[j].selector);
			put_both(&m, NEW_TSS + 0x20, 4, 0);
			call_task(false);
			assert_int_equal(result.exception.vector, order[i].vector);
			assert_int_equal(result.exception.error, order[i].selector);
			assert_null(entry_broken(&m.st, false));
		}
	}
}

/** SS: its DPL is compared with the CPL first, its presence before that, CS's presence between its
 *  DPL and its RPL. The error code is the same for the SS: what counts is the vector. */
static void test_order_of_ss_and_cs(void **state)
{
	(void)state;
	make_world(&m, TASK_GATE, true, true);
	put_gdt(&m, SEL_TEST, make_descriptor(0, 0xfffff, 0xc073)); /* not present, DPL 3 */
	put_selector(SEG_SS, SEL_TEST);
	call_task(false);
	assert_int_equal(result.exception.vector, SS_VECTOR);

	make_world(&m, TASK_GATE, true, true);
	put_gdt(&m, SEL_TEST, make_descriptor(0, 0xfffff, 0xc01b)); /* code, not present */
	put_selector(SEG_CS, SEL_TEST);
	put_selector(SEG_SS, SEL_DATA(0) | 1);
	call_task(false);
	assert_int_equal(result.exception.vector, NP_VECTOR);
	put_selector(SEG_SS, SEL_DATA(3) & ~3u);
	make_old_state(&m, true);
	put_descriptors(&m, true, true, false);
	put_gdt(&m, SEL_TEST, make_descriptor(0, 0xfffff, 0xc01b));
	m.space = 0;
	call_task(false);
	assert_int_equal(result.exception.vector, TS_VECTOR);
	assert_int_equal(result.exception.error, SEL_DATA(3) & ~3u);
}

/** What is right is loaded although something before it was wrong; but nothing is written. */
static void test_the_rest_after_a_fault(void **state)
{
	(void)state;
	make_world(&m, TASK_GATE, true, true);
	put_gdt(&m, SEL_DATA(0), make_descriptor(0x1000, 0x2345, 0x4092)); /* not accessed */
	put_selector(REG_LDTR, SEL_BEYOND);
	put_selector(SEG_ES, SEL_BEYOND);
	before = m;
	call_task(false);
	assert_int_equal(result.status, TASK_FAULTED);
	assert_int_equal(result.exception.error, SEL_BEYOND);
	assert_true(m.st.ldtr.ar & SEGMENT_UNUSABLE);
	assert_true(m.st.seg[SEG_ES].ar & SEGMENT_UNUSABLE);
	assert_int_equal(m.st.seg[SEG_SS].ar, 0x4093);
	assert_int_equal(m.st.seg[SEG_GS].base, 0x1000);
	assert_memory_equal(m.ram[1], before.ram[1], SPACE);
}

static void test_page_faults(void **state)
{
	(void)state;
	/* Reading a descriptor, in the new address space. */
	make_world(&m, TASK_GATE, true, true);
	m.page[1][GDT_AT / 0x1000] = PAGE_ABSENT;
	call_task(true);
	assert_int_equal(result.status, TASK_FAULTED);
	assert_int_equal(result.exception.vector, PF_VECTOR);
	assert_int_equal(result.exception.gva.v, GDT_AT + SEL_LDT);
	assert_int_equal(result.exception.error, 0);
	assert_null(entry_broken(&m.st, false));
	/* Writing the accessed flag. */
	make_world(&m, TASK_GATE, true, true);
	put_gdt(&m, SEL_DATA(0), make_descriptor(0, 0xfffff, 0xc092));
	m.page[1][GDT_AT / 0x1000] = PAGE_READ_ONLY;
	call_task(true);
	assert_int_equal(result.exception.vector, PF_VECTOR);
	assert_int_equal(result.exception.gva.v, GDT_AT + (SEL_DATA(0) & 0xfff8u) + 5);
	assert_int_equal(result.exception.error, 3);
	assert_null(entry_broken(&m.st, false));
}

/*
 * Address spaces.
 */

static void test_tss_by_the_old_tables_descriptors_by_the_new(void **state)
{
	(void)state;
	make_world(&m, TASK_CALL, true, true);
	put(&m, 1, NEW_TSS + 0x20, 4, 0x9999);
	put(&m, 1, GDT_AT + (SEL_DATA(0) & 0xfff8u), 8, make_descriptor(0x77000, 0xfffff, 0xc093));
	before = m;
	call_task(false);
	assert_int_equal(m.st.eip, 0x1234);
	assert_int_equal(m.st.seg[SEG_DS].base, 0x77000);
	assert_int_equal(m.cr0_at_load & X86_CR0_TS, X86_CR0_TS);
	assert_memory_equal(m.ram[1], before.ram[1], SPACE);
}

static void test_cr3_that_is_not_loaded(void **state)
{
	(void)state;
	/* Paging is off. */
	make_world(&m, TASK_CALL, true, true);
	m.st.cr0 &= ~X86_CR0_PG;
	call_task(false);
	assert_int_equal(result.status, TASK_SWITCHED);
	assert_int_equal(m.st.cr3, CR3_OLD);
	assert_int_equal(m.loads_of_cr3, 0);
	/* It is the same. */
	make_world(&m, TASK_CALL, true, true);
	put(&m, 0, NEW_TSS + 0x1c, 4, CR3_OLD);
	call_task(false);
	assert_int_equal(m.loads_of_cr3, 0);
	/* Its upper half is that of an address in 64-bit mode. */
	make_world(&m, TASK_CALL, true, true);
	put(&m, 0, NEW_TSS + 0x1c, 4, CR3_OLD);
	m.st.cr3 |= 1ull << 32;
	call_task(false);
	assert_int_equal(m.loads_of_cr3, 1);
	/* A 16-bit TSS. */
	make_world(&m, TASK_CALL, true, false);
	call_task(false);
	assert_int_equal(m.loads_of_cr3, 0);
}

static void test_bad_pdptes(void **state)
{
	(void)state;
	for (unsigned ext = 0; ext < 2; ext++) {
		make_world(&m, TASK_CALL, true, true);
		put(&m, 0, NEW_TSS + 0x1c, 4, CR3_BAD);
		call_task(ext);
		assert_int_equal(result.status, TASK_FAULTED);
		assert_int_equal(result.exception.vector, GP_VECTOR);
		assert_int_equal(result.exception.error, ext);
		assert_int_equal(m.st.cr3, CR3_OLD);
		assert_int_equal(m.st.tr.selector, SEL_NEW);
		assert_null(entry_broken(&m.st, false));
	}
}

static void test_virtual_8086_mode(void **state)
{
	(void)state;
	for (unsigned bad_ldt = 0; bad_ldt < 2; bad_ldt++) {
		make_world(&m, TASK_CALL, true, true);
		put_both(&m, NEW_TSS + 0x24, 4, X86_EFLAGS_FIXED | X86_EFLAGS_VM);
		for (unsigned i = 0; i < 6; i++)
			put_selector(i, (u16)(0x1234 + 0x1111 * i));
		if (bad_ldt)
			put_selector(REG_LDTR, SEL_BEYOND);
		call_task(false);
		assert_int_equal(result.status, bad_ldt ? TASK_FAULTED : TASK_SWITCHED);
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(m.st.seg[i].base, (0x1234u + 0x1111u * i) << 4);
		assert_int_equal(task_cpl(&m.st), 3);
		assert_null(entry_broken(&m.st, false));
		assert_true(m.st.eflags & X86_EFLAGS_NT);
	}
	/* EIP is limited, too. */
	make_world(&m, TASK_CALL, true, true);
	put_both(&m, NEW_TSS + 0x24, 4, X86_EFLAGS_FIXED | X86_EFLAGS_VM);
	put_both(&m, NEW_TSS + 0x20, 4, 0x10000);
	call_task(true);
	assert_int_equal(result.exception.vector, GP_VECTOR);
	assert_int_equal(result.exception.error, 1);
}

static void test_eip_beyond_the_limit(void **state)
{
	(void)state;
	for (unsigned beyond = 0; beyond < 2; beyond++) {
		make_world(&m, TASK_CALL, true, true);
		put_gdt(&m, SEL_CODE(0), make_descriptor(0, 0x1234 - beyond, 0x409b));
		call_task(beyond);
		assert_int_equal(result.status, beyond ? TASK_FAULTED : TASK_SWITCHED);
		if (beyond) {
			assert_int_equal(result.exception.vector, GP_VECTOR);
			assert_int_equal(result.exception.error, 1);
		}
	}
}

/*
 * The error code on the new stack.
 */

#define ERROR 0xabcd4321u
#define UNTOUCHED 0xeeeeeeeeu

struct push {
	const char *what;
	bool wide;
	u32 ar, limit; /* of SS */
	u32 esp;
	u32 at; /* of the error code, within the segment; SS begins at STACK_AT */
	u32 esp_then;
	bool fits;
};

#define SS16 0x0093u
#define SS32 0x4093u
#define SS16_DOWN 0x0097u
#define SS32_DOWN 0x4097u

static const struct push pushes[] = {
	{"32 bits", true, SS32, 0xffff, 0x800, 0x7fc, 0x7fc, true},
	{"16 bits", false, SS32, 0xffff, 0xffff0800, 0, 0, false}, /* such an ESP has no limit */
	{"16 bits, 16-bit stack", false, SS16, 0xffff, 0x800, 0x7fe, 0xffff07fe, true},
	{"32 bits, 16-bit stack", true, SS16, 0xffff, 0x77770800, 0x7fc, 0x777707fc, true},
	{"wraps to the top", true, SS16, 0xffff, 0x10000, 0xfffc, 0x1fffc, true},
	{"across the top", true, SS16, 0xffff, 2, 0, 0, false},
	{"to the limit", true, SS32, 0x7ff, 0x800, 0x7fc, 0x7fc, true},
	{"beyond the limit", true, SS32, 0x7fe, 0x800, 0, 0, false},
	{"expand-down, from the limit", true, SS32_DOWN, 0x7fb, 0x800, 0x7fc, 0x7fc, true},
	{"expand-down, below it", true, SS32_DOWN, 0x7fc, 0x800, 0, 0, false},
	{"expand-down, 16 bits, top", true, SS16_DOWN, 0xff, 0x10000, 0xfffc, 0x1fffc, true},
	{"expand-down, 16 bits, across", true, SS16_DOWN, 0xff, 2, 0, 0, false},
};

static void check_push(const struct push *p)
{
	struct task_request rq = {.selector = SEL_NEW,
				  .source = TASK_GATE,
				  .ext = true,
				  .has_error = true,
				  .error = ERROR};
	u32 field = tss_field(p->wide, 0x38, 0x1a), size = p->wide ? 4 : 2;

	make_world(&m, TASK_GATE, true, p->wide);
	put_both(&m, NEW_TSS + field, size, p->esp);
	put_both(&m, NEW_TSS + tss_field(p->wide, 0x50, 0x26), 2, SEL_TEST);
	put_gdt(&m, SEL_TEST, make_descriptor(STACK_AT, p->limit, p->ar));
	put_both(&m, STACK_AT + p->at, 4, UNTOUCHED);
	run_switch(&m, &rq, &result);
	if (p->fits != (result.status == TASK_SWITCHED))
		fail_msg("%s: status %u", p->what, result.status);
	if (!p->fits) {
		assert_int_equal(result.exception.vector, SS_VECTOR);
		assert_int_equal(result.exception.error, 1);
		assert_int_equal(m.st.gpr[REG_RSP] & 0xffff, p->esp & 0xffff);
		return;
	}
	assert_int_equal(m.st.gpr[REG_RSP], p->esp_then);
	assert_int_equal(get(&m, m.space, STACK_AT + p->at, 4),
			 p->wide ? ERROR : (UNTOUCHED & 0xffff0000) | (ERROR & 0xffff));
}

static void test_error_codes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(pushes); i++)
		check_push(&pushes[i]);
}

/** The stack is the task's: at CPL 3, an access of a user's. Nothing is popped that was not pushed.
 */
static void test_error_code_and_page_faults(void **state)
{
	struct task_request rq = {.selector = SEL_NEW, .source = TASK_GATE, .has_error = true};

	(void)state;
	for (unsigned ring = 0; ring < 4; ring += 3) {
		make_world(&m, TASK_GATE, true, true);
		put_new_tss(&m, true, ring);
		put_both(&m, NEW_TSS + 0x38, 4, STACK_AT + 0x800);
		m.page[1][STACK_AT / 0x1000] = PAGE_SUPERVISOR;
		run_switch(&m, &rq, &result);
		assert_int_equal(result.status, ring ? TASK_FAULTED : TASK_SWITCHED);
		if (!ring)
			continue;
		assert_int_equal(result.exception.vector, PF_VECTOR);
		assert_int_equal(result.exception.error, 7);
		assert_int_equal(result.exception.gva.v, STACK_AT + 0x7fc);
		assert_int_equal(m.st.gpr[REG_RSP], STACK_AT + 0x800);
	}
}

/** INT's pseudo-code: the error code first, then EIP. */
static void test_error_code_before_eip(void **state)
{
	struct task_request rq = {.selector = SEL_NEW, .source = TASK_GATE, .has_error = true};

	(void)state;
	make_world(&m, TASK_GATE, true, true);
	put_both(&m, NEW_TSS + 0x38, 4, STACK_AT + 0x800);
	put_gdt(&m, SEL_CODE(0), make_descriptor(0, 0x1233, 0x409b));
	run_switch(&m, &rq, &result);
	assert_int_equal(result.exception.vector, GP_VECTOR);
	assert_int_equal(m.st.gpr[REG_RSP], STACK_AT + 0x7fc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_descriptor_in_every_register),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_order_of_ss_and_cs),
		cmocka_unit_test(test_the_rest_after_a_fault),
		cmocka_unit_test(test_page_faults),
		cmocka_unit_test(test_tss_by_the_old_tables_descriptors_by_the_new),
		cmocka_unit_test(test_cr3_that_is_not_loaded),
		cmocka_unit_test(test_bad_pdptes),
		cmocka_unit_test(test_virtual_8086_mode),
		cmocka_unit_test(test_eip_beyond_the_limit),
		cmocka_unit_test(test_error_codes),
		cmocka_unit_test(test_error_code_and_page_faults),
		cmocka_unit_test(test_error_code_before_eip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
