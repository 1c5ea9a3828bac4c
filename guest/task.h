/* SPDX-License-Identifier: MIT */
/* What the parts of a task switch share: guest/task_switch.c, task_load.c, tss.c. */
#ifndef TV_TASK_H
#define TV_TASK_H

#include "task_switch.h"

/** A task switch under way. */
struct task {
	struct task_state *st;
	const struct task_request *rq;
	const struct task_mem_ops *mem;
	struct task_result *out;
	bool failed; /* out->exception is set; the first one counts */
	bool lost;
	/* Of the new task's TSS. */
	struct segment_reg tss;
	bool wide; /* 32-bit */
	bool trap; /* flag T */
	u32 cr3;
};

/** Note an exception, unless there is one already. Returns false. */
bool task_raise(struct task *t, u8 vector, u16 selector);

/** Note what became of an access. False: it was not made. */
bool task_accessed(struct task *t, enum task_access outcome, const struct task_exception *e);

bool task_read(struct task *t, u32 at, void *dst, u32 len);

/*
 * A TSS in memory (figures 8-2 "32-Bit Task-State Segment (TSS)" and 8-10 "16-Bit TSS Format").
 */

#define TSS_MAX_BYTES 104

/** Bytes of it that a switch to the task reads; its limit is not below them. */
static inline u32 tss_bytes(bool wide)
{
	return wide ? TSS_MAX_BYTES : 44;
}

/** Where the fields begin that a switch away from the task writes, and where they end. */
static inline u32 tss_saved_begin(bool wide)
{
	return wide ? 0x20 : 0x0e;
}

static inline u32 tss_saved_end(bool wide)
{
	return wide ? 0x60 : 0x2a;
}

/** Put `st` into the fields that are written. `image` is the TSS from its first byte on. */
void tss_save(u8 *image, bool wide, const struct task_state *st);

/** Registers and flags, selectors without their hidden parts, and t->cr3 and t->trap. */
void tss_load(const u8 *image, struct task *t);

/** Load LDTR and the segment registers by the selectors in them, in the new task's address space,
 *  as table 8-1 "Exception Conditions Checked During a Task Switch" says. */
void task_load_segments(struct task *t);

#endif
