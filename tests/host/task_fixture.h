/* SPDX-License-Identifier: MIT */
/*
 * A machine for task switches: two address spaces of 64 KiB, in which linear addresses wrap, with a
 * protection for each page. CR3 chooses the space. Shared with the fuzz target: no cmocka here.
 */
#ifndef TASK_FIXTURE_H
#define TASK_FIXTURE_H

#include <string.h>

#include "guest/task_switch.h"
#include "x86.h"

#define SPACE 0x10000u
#define SPACE_PAGES (SPACE / 0x1000)

#define CR3_OLD 0x1000u
#define CR3_NEW 0x2000u
#define CR3_BAD 0x3000u /* a reserved bit in its PDPTEs */

/* Protections of a page. */
#define PAGE_ABSENT 1
#define PAGE_READ_ONLY 2
#define PAGE_SUPERVISOR 4
#define PAGE_LOST 8

struct machine {
	u8 ram[2][SPACE];
	u8 page[2][SPACE_PAGES];
	unsigned space;
	unsigned modified; /* how often modify() was called */
	unsigned loads_of_cr3;
	u64 cr0_at_load; /* of CR3 */
	struct task_state st;
};

static inline void put(struct machine *m, unsigned space, u32 at, unsigned len, u64 value)
{
	for (unsigned i = 0; i < len; i++)
		m->ram[space][(at + i) % SPACE] = (u8)(value >> 8 * i);
}

static inline u32 get(const struct machine *m, unsigned space, u32 at, unsigned len)
{
	u32 value = 0;

	for (unsigned i = 0; i < len; i++)
		value |= (u32)m->ram[space][(at + i) % SPACE] << 8 * i;
	return value;
}

static inline enum task_access judge(struct machine *m, u32 at, u32 len, bool write, bool user,
				     struct task_exception *e)
{
	for (u32 i = 0; i < len; i++) {
		u8 page = m->page[m->space][(at + i) % SPACE / 0x1000];

		if ((page & PAGE_ABSENT) || (write && (page & PAGE_READ_ONLY)) ||
		    (user && (page & PAGE_SUPERVISOR))) {
			*e = (struct task_exception){.vector = PF_VECTOR,
						     .error = (page & PAGE_ABSENT ? 0 : 1) |
							      write << 1 | user << 2,
						     .gva = GVA(at + i)};
			return TASK_ACCESS_FAULT;
		}
		if (page & PAGE_LOST)
			return TASK_ACCESS_LOST;
	}
	return TASK_ACCESS_OK;
}

static inline enum task_access fake_read(void *ctx, u32 at, void *dst, u32 len,
					 struct task_exception *e)
{
	struct machine *m = ctx;
	enum task_access a = judge(m, at, len, false, false, e);

	for (u32 i = 0; a == TASK_ACCESS_OK && i < len; i++)
		((u8 *)dst)[i] = m->ram[m->space][(at + i) % SPACE];
	return a;
}

static inline enum task_access store(struct machine *m, u32 at, const void *src, u32 len, bool user,
				     struct task_exception *e)
{
	enum task_access a = judge(m, at, len, true, user, e);

	for (u32 i = 0; a == TASK_ACCESS_OK && i < len; i++)
		m->ram[m->space][(at + i) % SPACE] = ((const u8 *)src)[i];
	return a;
}

static inline enum task_access fake_write(void *ctx, u32 at, const void *src, u32 len,
					  struct task_exception *e)
{
	return store(ctx, at, src, len, false, e);
}

static inline enum task_access fake_probe(void *ctx, u32 at, u32 len, bool write,
					  struct task_exception *e)
{
	return judge(ctx, at, len, write, false, e);
}

static inline enum task_access fake_modify(void *ctx, u32 at, u8 clear, u8 set,
					   struct task_exception *e)
{
	struct machine *m = ctx;
	enum task_access a = judge(m, at, 1, true, false, e);
	u8 *p = &m->ram[m->space][at % SPACE];

	if (a == TASK_ACCESS_OK)
		*p = (u8)((*p & ~clear) | set);
	m->modified++;
	return a;
}

static inline enum task_access fake_push(void *ctx, const struct task_state *st, u32 at,
					 const void *src, u32 len, struct task_exception *e)
{
	return store(ctx, at, src, len, task_cpl(st) == 3, e);
}

static inline bool fake_load_cr3(void *ctx, const struct task_state *st, u32 cr3)
{
	struct machine *m = ctx;

	m->loads_of_cr3++;
	m->cr0_at_load = st->cr0;
	if (cr3 == CR3_BAD)
		return false;
	m->space = cr3 == CR3_NEW;
	return true;
}

static inline void run_switch(struct machine *m, const struct task_request *rq,
			      struct task_result *r)
{
	const struct task_mem_ops mem = {fake_read, fake_write,	   fake_probe, fake_modify,
					 fake_push, fake_load_cr3, m};

	task_switch(&m->st, rq, &mem, r);
}

/*
 * SDM volume 3, section 27.3.1.2 "Checks on Guest Segment Registers", with "unrestricted guest" or,
 * SS.RPL being the CPL, without: the rule that is broken, or NULL.
 */

static inline const char *data_segment_broken(const struct segment_reg *s, bool unrestricted)
{
	if (s->ar & SEGMENT_UNUSABLE)
		return NULL;
	if (!(s->ar & SEGMENT_S) || !(s->ar & SEGMENT_ACCESSED))
		return "type of a data segment";
	if ((s->ar & SEGMENT_CODE) && !(s->ar & SEGMENT_WRITABLE))
		return "code that cannot be read";
	if (!unrestricted && (s->ar & SEGMENT_TYPE) < 12 && segment_dpl(s) < (s->selector & 3u))
		return "DPL below RPL";
	return s->ar & SEGMENT_P ? NULL : "not present";
}

static inline const char *stack_segment_broken(const struct segment_reg *s,
					       const struct segment_reg *cs, bool unrestricted)
{
	unsigned rpl = unrestricted ? s->selector & 3u : segment_dpl(s);

	if (!unrestricted && (rpl != (cs->selector & 3u) || segment_dpl(s) != rpl))
		return "SS: RPL or DPL";
	if (s->ar & SEGMENT_UNUSABLE)
		return NULL;
	if ((s->ar & SEGMENT_TYPE) != 3 && (s->ar & SEGMENT_TYPE) != 7)
		return "SS: type";
	return (s->ar & SEGMENT_S) && (s->ar & SEGMENT_P) ? NULL : "SS: S or P";
}

static inline const char *code_segment_broken(const struct segment_reg *s,
					      const struct segment_reg *ss)
{
	unsigned type = s->ar & SEGMENT_TYPE;

	if (s->ar & SEGMENT_UNUSABLE)
		return "CS: unusable";
	if (type != 9 && type != 11 && type != 13 && type != 15)
		return "CS: type";
	if (!(s->ar & SEGMENT_S) || !(s->ar & SEGMENT_P))
		return "CS: S or P";
	if (type < 12 ? segment_dpl(s) != segment_dpl(ss) : segment_dpl(s) > segment_dpl(ss))
		return "CS: DPL";
	return NULL;
}

static inline bool limit_fits(const struct segment_reg *s)
{
	if (s->ar & SEGMENT_UNUSABLE)
		return true;
	return s->ar & SEGMENT_G ? (s->limit & 0xfff) == 0xfff : !(s->limit >> 20);
}

static inline const char *system_segments_broken(const struct task_state *st)
{
	unsigned tr = st->tr.ar & (SEGMENT_TYPE | SEGMENT_S | SEGMENT_P | SEGMENT_UNUSABLE);

	if ((tr != 0x83 && tr != 0x8b) || (st->tr.selector & SELECTOR_TI))
		return "TR";
	if (st->ldtr.ar & SEGMENT_UNUSABLE)
		return NULL;
	if ((st->ldtr.ar & (SEGMENT_TYPE | SEGMENT_S | SEGMENT_P)) != 0x82 ||
	    (st->ldtr.selector & SELECTOR_TI))
		return "LDTR";
	return limit_fits(&st->ldtr) && limit_fits(&st->tr) ? NULL : "limit";
}

static inline const char *v86_segments_broken(const struct task_state *st)
{
	for (unsigned i = 0; i < 6; i++) {
		const struct segment_reg *s = &st->seg[i];

		if (s->base != (u32)s->selector << 4 || s->limit != 0xffff || s->ar != 0xf3)
			return "a segment of virtual-8086 mode";
	}
	return NULL;
}

static inline const char *entry_broken(const struct task_state *st, bool unrestricted)
{
	static const u8 data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
	const struct segment_reg *cs = &st->seg[SEG_CS], *ss = &st->seg[SEG_SS];
	const char *broken = system_segments_broken(st);

	if (!(st->eflags & X86_EFLAGS_FIXED) || (st->eflags & 0xffc08028))
		return "RFLAGS";
	if (st->eflags & X86_EFLAGS_VM)
		return broken ? broken : v86_segments_broken(st);
	broken = broken ? broken : code_segment_broken(cs, ss);
	broken = broken ? broken : stack_segment_broken(ss, cs, unrestricted);
	for (unsigned i = 0; i < sizeof(data) && !broken; i++)
		broken = data_segment_broken(&st->seg[data[i]], unrestricted);
	for (unsigned i = 0; i < 6 && !broken; i++)
		broken = limit_fits(&st->seg[i]) ? NULL : "limit";
	return broken;
}

/*
 * A world in which every switch works: two tasks, with TSSs of either width.
 */

#define GDT_AT 0x1000u
#define LDT_AT 0x2000u
#define OLD_TSS 0x3000u
#define NEW_TSS 0x4000u
#define STACK_AT 0x5000u

/* Selectors. For each ring, code and data of its own. */
#define SEL_OLD 0x08u
#define SEL_NEW 0x10u
#define SEL_LDT 0x18u
#define SEL_TEST 0x20u /* a descriptor to try things with */
#define SEL_CODE(ring) ((u16)(0x40u + 0x10u * (ring) + (ring)))
#define SEL_DATA(ring) ((u16)(0x48u + 0x10u * (ring) + (ring)))
#define SEL_BEYOND 0x80u
#define GDT_LIMIT (SEL_BEYOND - 1)
#define SEL_LDT_TEST 0x0cu
#define SEL_LDT_BEYOND 0x14u
#define LDT_LIMIT (SEL_LDT_BEYOND / 8 * 8 - 1)

static inline u64 make_descriptor(u32 base, u32 limit, u32 ar)
{
	return (u64)(limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(ar & 0xff) << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)(ar >> 12 & 0xf) << 52 |
	       (u64)(base >> 24) << 56;
}

static inline void put_both(struct machine *m, u32 at, unsigned len, u64 value)
{
	put(m, 0, at, len, value);
	put(m, 1, at, len, value);
}

static inline void put_gdt(struct machine *m, u16 selector, u64 descriptor)
{
	put_both(m, GDT_AT + (selector & SELECTOR_INDEX), 8, descriptor);
}

static inline u8 access_byte(const struct machine *m, unsigned space, u16 selector)
{
	return m->ram[space][GDT_AT + (selector & SELECTOR_INDEX) + 5];
}

/* Fields of the TSS for `wide` and not. */
static inline u32 tss_field(bool wide, u32 at32, u32 at16)
{
	return wide ? at32 : at16;
}

/** The TSS of the new task: registers n * 0x01010101, flat segments of ring `ring`. */
static inline void put_new_tss(struct machine *m, bool wide, unsigned ring)
{
	unsigned size = wide ? 4 : 2;

	put_both(m, NEW_TSS + tss_field(wide, 0x20, 0x0e), size, 0x1234);
	put_both(m, NEW_TSS + tss_field(wide, 0x24, 0x10), size, X86_EFLAGS_FIXED | X86_EFLAGS_CF);
	for (unsigned i = 0; i < 8; i++)
		put_both(m, NEW_TSS + tss_field(wide, 0x28, 0x12) + size * i, size,
			 0x01010101u * (i + 1));
	for (unsigned i = 0; i < (wide ? 6 : 4); i++)
		put_both(m, NEW_TSS + tss_field(wide, 0x48, 0x22) + size * i, size,
			 i == SEG_CS ? SEL_CODE(ring) : SEL_DATA(ring));
	put_both(m, NEW_TSS + tss_field(wide, 0x60, 0x2a), 2, SEL_LDT);
	if (wide)
		put_both(m, NEW_TSS + 0x1c, 4, CR3_NEW);
}

static inline void put_descriptors(struct machine *m, bool old_wide, bool new_wide, bool busy)
{
	put_gdt(m, SEL_OLD, make_descriptor(OLD_TSS, old_wide ? 103 : 43, old_wide ? 0x8b : 0x83));
	put_gdt(m, SEL_NEW,
		make_descriptor(NEW_TSS, new_wide ? 103 : 43,
				(new_wide ? 0x89u : 0x81u) | (busy ? 2u : 0)));
	put_gdt(m, SEL_LDT, make_descriptor(LDT_AT, LDT_LIMIT, 0x82));
	for (unsigned ring = 0; ring < 4; ring++) {
		put_gdt(m, SEL_CODE(ring), make_descriptor(0, 0xfffff, 0xc09bu | ring << 5));
		put_gdt(m, SEL_DATA(ring), make_descriptor(0, 0xfffff, 0xc093u | ring << 5));
	}
}

/** The old task, in ring 0. */
static inline void make_old_state(struct machine *m, bool wide)
{
	struct task_state *st = &m->st;

	*st = (struct task_state){
		.eip = 0x00abcdef,
		.eflags = (u32)(X86_EFLAGS_FIXED | X86_EFLAGS_NT | X86_EFLAGS_IF | X86_EFLAGS_RF),
		.cr0 = X86_CR0_PE | X86_CR0_PG,
		.cr3 = CR3_OLD,
		.dr7 = 0x7ff,
		.gdt_base = GDT_AT,
		.gdt_limit = GDT_LIMIT,
		.ldtr = {0, 0, 0, SEGMENT_UNUSABLE},
	};
	st->tr = segment_from_descriptor(
		SEL_OLD, make_descriptor(OLD_TSS, wide ? 103 : 43, wide ? 0x8b : 0x83));
	for (u32 i = 0; i < 8; i++)
		st->gpr[i] = 0xf0f0f000u + 0x111u * i;
	for (unsigned i = 0; i < 6; i++)
		st->seg[i] = segment_from_descriptor(
			(u16)(i == SEG_CS ? SEL_CODE(0) : SEL_DATA(0)),
			make_descriptor(0, 0xfffff, i == SEG_CS ? 0xc09b : 0xc093));
}

static inline void make_world(struct machine *m, enum task_source source, bool old_wide,
			      bool new_wide)
{
	*m = (struct machine){.space = 0};
	put_descriptors(m, old_wide, new_wide, source == TASK_IRET);
	make_old_state(m, old_wide);
	put_new_tss(m, new_wide, 0);
}

#endif
