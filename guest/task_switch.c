/* SPDX-License-Identifier: MIT */
/* Task switches, in the steps of SDM volume 3, section 8.3 "Task Switching". */
#include "task_switch.h"

#include "task.h"
#include "x86.h"

/* DR7: L0 to L3 and LE, which are the old task's (section 18.2.4 "Debug Control Register (DR7)").
 */
#define DR7_LOCAL 0x155ull

bool task_raise(struct task *t, u8 vector, u16 selector)
{
	if (!t->failed)
		t->out->exception = (struct task_exception){
			.vector = vector, .error = (selector & SELECTOR_ERROR) | t->rq->ext};
	t->failed = true;
	return false;
}

bool task_accessed(struct task *t, enum task_access outcome, const struct task_exception *e)
{
	if (outcome == TASK_ACCESS_LOST)
		t->lost = true;
	if (outcome != TASK_ACCESS_OK && !t->failed) {
		t->failed = true;
		t->out->exception = *e;
	}
	return outcome == TASK_ACCESS_OK;
}

bool task_read(struct task *t, u32 at, void *dst, u32 len)
{
	struct task_exception e = {0};

	return task_accessed(t, t->mem->read(t->mem->ctx, at, dst, len, &e), &e);
}

static bool write(struct task *t, u32 at, const void *src, u32 len)
{
	struct task_exception e = {0};

	return task_accessed(t, t->mem->write(t->mem->ctx, at, src, len, &e), &e);
}

static bool probe(struct task *t, u32 at, u32 len, bool writing)
{
	struct task_exception e = {0};

	return task_accessed(t, t->mem->probe(t->mem->ctx, at, len, writing, &e), &e);
}

/** Does the new task come back to the old one by IRET? */
static bool nests(const struct task *t)
{
	return t->rq->source == TASK_CALL || t->rq->source == TASK_GATE;
}

static bool is_wide(const struct segment_reg *tss)
{
	return (tss->ar & SEGMENT_TYPE & ~SEGMENT_TSS_BUSY) == SEGMENT_TSS32;
}

/** Is this a TSS that may be switched to: a busy one by IRET, else one that is not busy? */
static bool is_eligible(const struct task *t, const struct segment_reg *tss)
{
	u32 type = tss->ar & (SEGMENT_S | SEGMENT_TYPE);

	if (t->rq->source == TASK_IRET)
		type ^= SEGMENT_TSS_BUSY;
	return type == SEGMENT_TSS16 || type == SEGMENT_TSS32;
}

/** Steps 1 to 4: the way to the new TSS; also table 8-1. */
static bool find_new_tss(struct task *t)
{
	u16 selector = t->rq->selector;
	u8 wrong = t->rq->source == TASK_IRET ? TS_VECTOR : GP_VECTOR;
	u64 descriptor;

	if (selector_is_null(selector) || (selector & SELECTOR_TI) ||
	    (selector & SELECTOR_INDEX) + 7 > t->st->gdt_limit)
		return task_raise(t, wrong, selector);
	if (!task_read(t, t->st->gdt_base + (selector & SELECTOR_INDEX), &descriptor,
		       sizeof(descriptor)))
		return false;
	t->tss = segment_from_descriptor(selector, descriptor);
	if (!is_eligible(t, &t->tss))
		return task_raise(t, wrong, selector);
	if (!(t->tss.ar & SEGMENT_P))
		return task_raise(t, NP_VECTOR, selector);
	t->wide = is_wide(&t->tss);
	if (t->tss.limit < tss_bytes(t->wide) - 1)
		return task_raise(t, TS_VECTOR, selector);
	return true;
}

/** The byte of a TSS's descriptor that has the busy flag. Nobody checks that of the old TSS to be
 *  within the GDT, which may have moved since LTR. */
static u32 busy_byte(const struct task *t, const struct segment_reg *tss)
{
	return t->st->gdt_base + (tss->selector & SELECTOR_INDEX) + DESCRIPTOR_ACCESS_BYTE;
}

/** Step 5: whatever is going to be read and written before the new address space is there can be.
 *  From here on nothing stands in the way of the switch. */
static bool check_pages(struct task *t)
{
	const struct segment_reg *old = &t->st->tr;
	bool wide = is_wide(old);
	u32 begin = tss_saved_begin(wide), end = tss_saved_end(wide);

	/* LTR takes a TSS of any limit. */
	if (old->limit < end - 1)
		return task_raise(t, TS_VECTOR, old->selector);
	return probe(t, t->tss.base, tss_bytes(t->wide), false) &&
	       (!nests(t) || probe(t, t->tss.base, sizeof(u16), true)) &&
	       (nests(t) || probe(t, busy_byte(t, old), 1, true)) &&
	       (t->rq->source == TASK_IRET || probe(t, busy_byte(t, &t->tss), 1, true)) &&
	       probe(t, old->base + begin, end - begin, true);
}

static bool set_busy(struct task *t, const struct segment_reg *tss, bool busy)
{
	struct task_exception e = {0};

	return task_accessed(t,
			     t->mem->modify(t->mem->ctx, busy_byte(t, tss),
					    busy ? 0 : SEGMENT_TSS_BUSY,
					    busy ? SEGMENT_TSS_BUSY : 0, &e),
			     &e);
}

/** Steps 6 to 8: the old task leaves. */
static bool save_old_task(struct task *t)
{
	struct task_state *st = t->st;
	bool wide = is_wide(&st->tr);
	u32 begin = tss_saved_begin(wide), end = tss_saved_end(wide);
	u8 image[TSS_MAX_BYTES];

	if (!nests(t) && !set_busy(t, &st->tr, false))
		return false;
	if (t->rq->source == TASK_IRET)
		st->eflags &= ~(u32)X86_EFLAGS_NT;
	if (!task_read(t, st->tr.base + begin, image + begin, end - begin))
		return false;
	tss_save(image, wide, st);
	return write(t, st->tr.base + begin, image + begin, end - begin);
}

/** Steps 9 to 12, but for CR3: the new task comes, as far as it is in its TSS. This is read where
 *  the old task's page tables have it; they are to agree with the new task's (section 8.6.1). */
static bool load_new_task(struct task *t)
{
	struct task_state *st = t->st;
	u16 link = st->tr.selector;
	u8 image[TSS_MAX_BYTES];

	if (nests(t) && !write(t, t->tss.base, &link, sizeof(link)))
		return false;
	if (!task_read(t, t->tss.base, image, tss_bytes(t->wide)))
		return false;
	if (t->rq->source != TASK_IRET && !set_busy(t, &t->tss, true))
		return false;
	tss_load(image, t);
	if (nests(t))
		st->eflags |= (u32)X86_EFLAGS_NT;
	st->tr = t->tss;
	st->tr.ar |= SEGMENT_TSS_BUSY;
	st->cr0 |= X86_CR0_TS;
	st->dr7 &= ~DR7_LOCAL;
	return true;
}

/** A 16-bit TSS has no CR3, and one that stays the same is not loaded (section 4.10.4.1). Of PDPTEs
 *  with reserved bits the SDM says what it says for MOV to CR3: #GP(0), and they are not loaded. */
static void load_address_space(struct task *t)
{
	struct task_state *st = t->st;

	if (!t->wide || !(st->cr0 & X86_CR0_PG) || t->cr3 == st->cr3)
		return;
	if (t->mem->load_cr3(t->mem->ctx, st, t->cr3))
		st->cr3 = t->cr3;
	else
		task_raise(t, GP_VECTOR, 0);
}

/** The error code, on the new task's stack, in the new TSS's width. */
static void push_error(struct task *t)
{
	struct task_state *st = t->st;
	const struct segment_reg *ss = &st->seg[SEG_SS];
	u32 mask = ss->ar & SEGMENT_DB ? 0xffffffff : 0xffff;
	u32 size = t->wide ? sizeof(u32) : sizeof(u16);
	u32 sp = (st->gpr[REG_RSP] - size) & mask;
	const struct segment stack = {ss->base, ss->limit, ss->ar};
	struct task_exception e = {0};

	if (!segment_allows(SEGMENT_PROTECTED, &stack, sp, size, true))
		task_raise(t, SS_VECTOR, 0);
	else if (task_accessed(
			 t, t->mem->push(t->mem->ctx, st, ss->base + sp, &t->rq->error, size, &e),
			 &e))
		st->gpr[REG_RSP] = (st->gpr[REG_RSP] & ~mask) | sp;
}

/** Step 13, and what follows in the pseudo-code of CALL, JMP, IRET and INT n: in the context of the
 *  new task. */
static void enter_new_task(struct task *t)
{
	load_address_space(t);
	task_load_segments(t);
	if (!t->failed && t->rq->has_error)
		push_error(t);
	if (!t->failed && t->st->eip > t->st->seg[SEG_CS].limit)
		task_raise(t, GP_VECTOR, 0);
}

void task_switch(struct task_state *st, const struct task_request *rq,
		 const struct task_mem_ops *mem, struct task_result *out)
{
	struct task t = {.st = st, .rq = rq, .mem = mem, .out = out};

	*out = (struct task_result){.status = TASK_REFUSED};
	if (find_new_tss(&t) && check_pages(&t) && save_old_task(&t) && load_new_task(&t)) {
		enter_new_task(&t);
		out->status = t.failed ? TASK_FAULTED : TASK_SWITCHED;
		out->trap = t.trap && !t.failed;
	}
	if (t.lost)
		out->status = TASK_LOST;
}
