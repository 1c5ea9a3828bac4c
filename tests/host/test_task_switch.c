/* SPDX-License-Identifier: MIT */
/*
 * Task switches up to the point of no return, and what they leave: SDM volume 3, section 8.3 and
 * tables 8-1 (its first half) and 8-2. What follows is test_task_load.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "task_fixture.h"

static struct machine m, before;
static struct task_result result;

static void switch_by(enum task_source source)
{
	struct task_request rq = {.selector = SEL_NEW, .source = source};

	run_switch(&m, &rq, &result);
}

static bool nested(enum task_source source)
{
	return source == TASK_CALL || source == TASK_GATE;
}

/** Every source from every width to every width. */
#define FOR_EACH_SWITCH(source, from, to)                                                          \
	for (unsigned n_ = 0; n_ < 16; n_++)                                                       \
		for (enum task_source source = n_ >> 2, *once_ = &source; once_; once_ = NULL)     \
			for (bool from = n_ >> 1 & 1, to = n_ & 1, *two_ = &from; two_; two_ = NULL)

static void check_saved(bool wide, enum task_source source)
{
	const struct task_state *st = &before.st;
	u32 flags = (u32)(st->eflags & (source == TASK_IRET ? ~X86_EFLAGS_NT : ~0ull));
	unsigned size = wide ? 4 : 2;
	u32 mask = wide ? 0xffffffff : 0xffff;

	assert_int_equal(get(&m, 0, OLD_TSS + tss_field(wide, 0x20, 0x0e), size), st->eip & mask);
	assert_int_equal(get(&m, 0, OLD_TSS + tss_field(wide, 0x24, 0x10), size), flags & mask);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(get(&m, 0, OLD_TSS + tss_field(wide, 0x28, 0x12) + size * i, size),
				 st->gpr[i] & mask);
	for (unsigned i = 0; i < (wide ? 6 : 4); i++)
		assert_int_equal(get(&m, 0, OLD_TSS + tss_field(wide, 0x48, 0x22) + size * i, 2),
				 st->seg[i].selector);
}

static void check_loaded(bool wide, enum task_source source)
{
	const struct task_state *st = &m.st;
	u32 flags = (u32)(X86_EFLAGS_FIXED | X86_EFLAGS_CF | (nested(source) ? X86_EFLAGS_NT : 0));

	assert_int_equal(st->eip, 0x1234);
	assert_int_equal(st->eflags, flags);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(st->gpr[i],
				 wide ? 0x01010101u * (i + 1) : 0xffff0000u | 0x0101u * (i + 1));
	for (unsigned i = 0; i < 6; i++) {
		if (!wide && i >= SEG_FS) {
			assert_int_equal(st->seg[i].selector, 0);
			assert_true(st->seg[i].ar & SEGMENT_UNUSABLE);
			continue;
		}
		assert_int_equal(st->seg[i].selector, i == SEG_CS ? SEL_CODE(0) : SEL_DATA(0));
		assert_int_equal(st->seg[i].ar, i == SEG_CS ? 0xc09b : 0xc093);
		assert_int_equal(st->seg[i].limit, 0xffffffff);
	}
	assert_int_equal(st->ldtr.selector, SEL_LDT);
	assert_int_equal(st->ldtr.base, LDT_AT);
	assert_int_equal(st->cr3, wide ? CR3_NEW : CR3_OLD);
}

/** Table 8-2 "Effect of a Task Switch on Busy Flag, NT Flag, Previous Task Link Field, and TS
 *  Flag". */
static void check_table_8_2(enum task_source source, bool to)
{
	assert_true(access_byte(&m, 0, SEL_NEW) & 2);
	assert_int_equal(access_byte(&m, 0, SEL_OLD) & 2, nested(source) ? 2 : 0);
	assert_int_equal(get(&m, 0, NEW_TSS, 2), nested(source) ? SEL_OLD : 0);
	assert_int_equal(get(&m, 0, OLD_TSS, 2), 0);
	assert_int_equal(m.st.cr0, before.st.cr0 | X86_CR0_TS);
	assert_int_equal(m.st.dr7, 0x6aa);
	assert_int_equal(m.st.tr.selector, SEL_NEW);
	assert_int_equal(m.st.tr.base, NEW_TSS);
	assert_int_equal(m.st.tr.limit, to ? 103 : 43);
	assert_int_equal(m.st.tr.ar, to ? 0x8b : 0x83);
}

static void test_every_switch(void **state)
{
	(void)state;
	FOR_EACH_SWITCH(source, from, to)
	{
		make_world(&m, source, from, to);
		memset(m.ram[0] + OLD_TSS + 0x40, 0xee, 0x40);
		before = m;
		switch_by(source);
		assert_int_equal(result.status, TASK_SWITCHED);
		assert_false(result.trap);
		check_saved(from, source);
		check_loaded(to, source);
		check_table_8_2(source, to);
		assert_null(entry_broken(&m.st, false));
		assert_int_equal(m.loads_of_cr3, to);
		/* What is no register's is as it was: the other half of a selector, and what is
		 * behind. */
		assert_int_equal(get(&m, 0, OLD_TSS + 0x60, 4), 0xeeeeeeee);
		if (from)
			assert_int_equal(get(&m, 0, OLD_TSS + 0x5e, 2), 0xeeee);
		/* The other address space has seen descriptors only, which are accessed already. */
		if (to)
			assert_memory_equal(m.ram[1], before.ram[1], SPACE);
	}
}

/** Two processors may change a byte of the GDT at a time: nothing but modify() writes there. */
static void test_busy_bits_are_changed_atomically(void **state)
{
	(void)state;
	FOR_EACH_SWITCH(source, from, to)
	{
		make_world(&m, source, from, to);
		switch_by(source);
		assert_int_equal(m.modified, source == TASK_JMP ? 2 : 1);
	}
}

static void test_flag_t(void **state)
{
	(void)state;
	FOR_EACH_SWITCH(source, from, to)
	{
		make_world(&m, source, from, to);
		put_both(&m, NEW_TSS + 0x64, 2, 1); /* a 16-bit TSS has no such flag */
		switch_by(source);
		assert_int_equal(result.status, TASK_SWITCHED);
		assert_int_equal(result.trap, to);
		/* A fault comes instead. */
		make_world(&m, source, from, to);
		put_both(&m, NEW_TSS + 0x64, 2, 1);
		put_both(&m, NEW_TSS + tss_field(to, 0x4c, 0x24), 2, 0);
		switch_by(source);
		assert_int_equal(result.status, TASK_FAULTED);
		assert_false(result.trap);
	}
}

static void test_flags_are_those_that_exist(void **state)
{
	(void)state;
	make_world(&m, TASK_JMP, true, true);
	put_both(&m, NEW_TSS + 0x24, 4, 0xffffffff & ~X86_EFLAGS_VM);
	switch_by(TASK_JMP);
	assert_int_equal(m.st.eflags, 0x003d7fd7);
	make_world(&m, TASK_JMP, true, false);
	put_both(&m, NEW_TSS + 0x10, 2, 0xffff);
	switch_by(TASK_JMP);
	assert_int_equal(m.st.eflags, 0x7fd7);
}

/** NT comes from the TSS where nothing nests. */
static void test_nt_from_the_tss(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		enum task_source source = i ? TASK_JMP : TASK_IRET;

		make_world(&m, source, true, true);
		put_both(&m, NEW_TSS + 0x24, 4, X86_EFLAGS_FIXED | X86_EFLAGS_NT);
		switch_by(source);
		assert_int_equal(m.st.eflags, X86_EFLAGS_FIXED | X86_EFLAGS_NT);
	}
}

/** A task that links to itself: what is saved is what is loaded. */
static void test_iret_to_itself(void **state)
{
	(void)state;
	make_world(&m, TASK_IRET, true, true);
	m.st.tr.selector = SEL_NEW;
	m.st.tr.base = NEW_TSS;
	before = m;
	switch_by(TASK_IRET);
	assert_int_equal(result.status, TASK_SWITCHED);
	assert_int_equal(m.st.eip, before.st.eip);
	assert_int_equal(m.st.eflags, before.st.eflags & ~X86_EFLAGS_NT);
	assert_memory_equal(m.st.gpr, before.st.gpr, sizeof(m.st.gpr));
	assert_false(access_byte(&m, 0, SEL_NEW) & 2); /* cleared, and IRET sets none */
}

/*
 * Refusals.
 */

struct refusal {
	const char *what;
	u16 selector;
	u32 ar;	   /* of the descriptor of SEL_NEW, or 0: as it should be */
	u32 limit; /* or 0 */
	u8 vector; /* of CALL, JMP and gates */
	u8 iret;   /* of IRET; 0: not refused */
};

#define OK 0

static const struct refusal refusals[] = {
	{"null", 0, 0, 0, GP_VECTOR, TS_VECTOR},
	{"null with an RPL", 3, 0, 0, GP_VECTOR, TS_VECTOR},
	{"in the LDT", SEL_NEW | 4, 0, 0, GP_VECTOR, TS_VECTOR},
	{"beyond the GDT", SEL_BEYOND, 0, 0, GP_VECTOR, TS_VECTOR},
	{"far beyond it", 0xfff8, 0, 0, GP_VECTOR, TS_VECTOR},
	{"available", SEL_NEW, 0x89, 103, OK, TS_VECTOR},
	{"busy", SEL_NEW, 0x8b, 103, GP_VECTOR, OK},
	{"16-bit, available", SEL_NEW, 0x81, 43, OK, TS_VECTOR},
	{"16-bit, busy", SEL_NEW, 0x83, 43, GP_VECTOR, OK},
	{"an LDT", SEL_NEW, 0x82, 103, GP_VECTOR, TS_VECTOR},
	{"a task gate", SEL_NEW, 0x85, 103, GP_VECTOR, TS_VECTOR},
	{"data", SEL_NEW, 0x93, 103, GP_VECTOR, TS_VECTOR},
	{"code", SEL_NEW, 0x9b, 103, GP_VECTOR, TS_VECTOR},
	{"available, not present", SEL_NEW, 0x09, 103, NP_VECTOR, TS_VECTOR},
	{"busy, not present", SEL_NEW, 0x0b, 103, GP_VECTOR, NP_VECTOR},
	{"available, short", SEL_NEW, 0x89, 102, TS_VECTOR, TS_VECTOR},
	{"busy, short", SEL_NEW, 0x8b, 102, GP_VECTOR, TS_VECTOR},
	{"16-bit, available, short", SEL_NEW, 0x81, 42, TS_VECTOR, TS_VECTOR},
	{"16-bit, busy, short", SEL_NEW, 0x83, 42, GP_VECTOR, TS_VECTOR},
	{"not present and short", SEL_NEW, 0x09, 42, NP_VECTOR, TS_VECTOR},
};

static void check_refusal(const struct refusal *r, enum task_source source, bool ext)
{
	struct task_request rq = {.selector = r->selector, .source = source, .ext = ext};
	u8 vector = source == TASK_IRET ? r->iret : r->vector;

	make_world(&m, source, true, true);
	if (r->ar)
		put_gdt(&m, SEL_NEW, make_descriptor(NEW_TSS, r->limit, r->ar));
	before = m;
	run_switch(&m, &rq, &result);
	if (vector == OK) {
		/* With a 16-bit TSS's type, what is in that TSS makes no sense. */
		assert_int_not_equal(result.status, TASK_REFUSED);
		return;
	}
	if (result.status != TASK_REFUSED || result.exception.vector != vector)
		fail_msg("%s, source %u: status %u, vector %u", r->what, source, result.status,
			 result.exception.vector);
	assert_int_equal(result.exception.error, (r->selector & 0xfffc) | ext);
	assert_memory_equal(m.ram, before.ram, sizeof(m.ram));
}

static void test_refusals(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
		for (unsigned source = 0; source < 4; source++)
			check_refusal(&refusals[i], source, false);
		check_refusal(&refusals[i], TASK_GATE, true);
	}
}

/** The descriptor's last byte has to be within the GDT. */
static void test_edge_of_the_gdt(void **state)
{
	(void)state;
	make_world(&m, TASK_CALL, true, true);
	m.st.gdt_limit = SEL_NEW + 6;
	switch_by(TASK_CALL);
	assert_int_equal(result.exception.vector, GP_VECTOR);
	make_world(&m, TASK_CALL, true, true);
	m.st.gdt_limit = SEL_NEW + 7;
	switch_by(TASK_CALL);
	/* The way there is right: what is wrong is behind it. */
	assert_int_equal(result.status, TASK_FAULTED);
}

static void test_short_old_tss(void **state)
{
	(void)state;
	FOR_EACH_SWITCH(source, from, to)
	{
		make_world(&m, source, from, to);
		m.st.tr.limit = from ? 0x5f : 0x29;
		switch_by(source);
		assert_int_equal(result.status, TASK_SWITCHED);
		make_world(&m, source, from, to);
		m.st.tr.limit = from ? 0x5e : 0x28;
		before = m;
		switch_by(source);
		assert_int_equal(result.status, TASK_REFUSED);
		assert_int_equal(result.exception.vector, TS_VECTOR);
		assert_int_equal(result.exception.error, SEL_OLD);
		assert_memory_equal(m.ram, before.ram, sizeof(m.ram));
	}
}

/*
 * Page faults: whatever page is missing or may not be written, either nothing happens but the
 * fault, or the switch does not need it.
 */

/** Every byte that the switch touches before the point of no return, in a page of its own. */
static bool needs(u32 page, bool write, enum task_source source)
{
	switch (page * 0x1000) {
	case GDT_AT: /* the old TSS's busy flag, or the new one's */
		return true;
	case OLD_TSS:
		return true;
	case NEW_TSS: /* the link */
		return !write || nested(source);
	default:
		return false;
	}
}

static void test_page_faults(void **state)
{
	(void)state;
	FOR_EACH_SWITCH(source, from, to)
	{
		for (u32 i = 0; i < 2 * SPACE_PAGES; i++) {
			u32 page = i / 2;
			bool write = i & 1;

			make_world(&m, source, from, to);
			m.page[0][page] = write ? PAGE_READ_ONLY : PAGE_ABSENT;
			before = m;
			switch_by(source);
			if (!needs(page, write, source)) {
				assert_int_equal(result.status, TASK_SWITCHED);
				continue;
			}
			assert_int_equal(result.status, TASK_REFUSED);
			assert_int_equal(result.exception.vector, PF_VECTOR);
			assert_int_equal(result.exception.gva.v / 0x1000, page);
			assert_memory_equal(m.ram, before.ram, sizeof(m.ram));
		}
	}
}

/** A TSS in two pages: the second one is looked at, too, and its address is the fault's. */
static void test_page_faults_in_the_middle(void **state)
{
	u32 cut = 0x1000 - 0x30;

	(void)state;
	for (unsigned old = 0; old < 2; old++) {
		make_world(&m, TASK_CALL, true, true);
		memmove(m.ram[0] + NEW_TSS + cut, m.ram[0] + NEW_TSS, 104);
		put_gdt(&m, SEL_NEW, make_descriptor(NEW_TSS + cut, 103, 0x89));
		if (old)
			m.st.tr.base = OLD_TSS - 0x1000 + cut;
		m.page[0][(old ? OLD_TSS : NEW_TSS + 0x1000) / 0x1000] = PAGE_ABSENT;
		before = m;
		switch_by(TASK_CALL);
		assert_int_equal(result.status, TASK_REFUSED);
		assert_int_equal(result.exception.gva.v, old ? OLD_TSS : NEW_TSS + 0x1000);
		assert_memory_equal(m.ram, before.ram, sizeof(m.ram));
	}
}

static void test_no_memory(void **state)
{
	static const u32 pages[] = {GDT_AT, OLD_TSS, NEW_TSS};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		make_world(&m, TASK_CALL, true, true);
		m.page[0][pages[i] / 0x1000] = PAGE_LOST;
		switch_by(TASK_CALL);
		assert_int_equal(result.status, TASK_LOST);
	}
	/* And behind it: the LDT, in the new address space. */
	make_world(&m, TASK_CALL, true, true);
	put_both(&m, NEW_TSS + 0x48, 2, SEL_LDT_TEST);
	m.page[1][LDT_AT / 0x1000] = PAGE_LOST;
	switch_by(TASK_CALL);
	assert_int_equal(result.status, TASK_LOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_switch),
		cmocka_unit_test(test_busy_bits_are_changed_atomically),
		cmocka_unit_test(test_flag_t),
		cmocka_unit_test(test_flags_are_those_that_exist),
		cmocka_unit_test(test_nt_from_the_tss),
		cmocka_unit_test(test_iret_to_itself),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_edge_of_the_gdt),
		cmocka_unit_test(test_short_old_tss),
		cmocka_unit_test(test_page_faults),
		cmocka_unit_test(test_page_faults_in_the_middle),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
