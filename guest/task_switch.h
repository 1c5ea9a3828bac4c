/* SPDX-License-Identifier: MIT */
/*
 * Task switches, which a processor in VMX non-root operation never makes by itself (SDM volume 3,
 * section 26.4.2 "Treatment of Task Switches"): chapter 8 "Task Management" in software, with
 * 32-bit and 16-bit TSSs. Pure: memory is reached through callbacks.
 *
 * What the processor has checked before such an exit is the way to the new TSS: task gate,
 * privilege, selector, descriptor. The descriptor is read and checked here once more, for other
 * processors may have changed it since; privilege is not, for the exit does not tell whether a gate
 * was used.
 */
#ifndef TV_TASK_SWITCH_H
#define TV_TASK_SWITCH_H

#include "descriptor.h"
#include "segment.h"
#include "types.h"

/** What asked for the switch: bits 31:30 of the exit qualification, table 28-2. */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

struct task_request {
	u16 selector; /* of the new task's TSS */
	enum task_source source;
	bool ext;	/* an event from outside the program: bit EXT of error codes */
	bool has_error; /* an exception with an error code, for the new task's stack */
	u32 error;
};

/** All that a task switch reads or changes in a processor. General registers are in the processor's
 *  numbering, segment registers in that of enum segment_register. */
struct task_state {
	u32 gpr[8];
	u32 eip; /* where the old task is to go on when it is switched to again */
	u32 eflags;
	u64 cr0, cr3, dr7;
	struct segment_reg seg[6], ldtr, tr;
	u32 gdt_base;
	u16 gdt_limit;
};

struct task_exception {
	u8 vector;
	u32 error;
	gva_t gva; /* #PF: goes into CR2 */
};

enum task_status {
	TASK_SWITCHED, /* the new task is there */
	TASK_REFUSED,  /* the exception is the old task's, whose state is as it was */
	TASK_FAULTED,  /* the exception is the new task's, before its first instruction */
	TASK_LOST,     /* something lies where no memory is */
};

struct task_result {
	enum task_status status;
	struct task_exception exception;
	bool trap; /* TASK_SWITCHED: flag T of the new TSS asks for a debug exception */
};

/** What became of an access. */
enum task_access { TASK_ACCESS_OK, TASK_ACCESS_FAULT, TASK_ACCESS_LOST };

/** Memory by linear addresses, which wrap at 4 GiB. TASK_ACCESS_FAULT: `e` holds the page fault.
 * All accesses are the processor's own ones (implicit, supervisor) but push(). */
struct task_mem_ops {
	enum task_access (*read)(void *ctx, u32 at, void *dst, u32 len, struct task_exception *e);
	enum task_access (*write)(void *ctx, u32 at, const void *src, u32 len,
				  struct task_exception *e);
	/** Could it be done? Sets accessed and dirty flags as it would. */
	enum task_access (*probe)(void *ctx, u32 at, u32 len, bool write, struct task_exception *e);
	/** Change bits of one byte, which other processors may be changing, too. */
	enum task_access (*modify)(void *ctx, u32 at, u8 clear, u8 set, struct task_exception *e);
	/** Write at the CPL and with the flags of `st`. */
	enum task_access (*push)(void *ctx, const struct task_state *st, u32 at, const void *src,
				 u32 len, struct task_exception *e);
	/** Go on in another address space. False: a PDPTE has a reserved bit set, and nothing has
	 *  changed. Its `st` is this function's, with the new CR0. */
	bool (*load_cr3)(void *ctx, const struct task_state *st, u32 cr3);
	void *ctx;
};

/** The CPL of a state in protected mode. */
static inline unsigned task_cpl(const struct task_state *st)
{
	return segment_dpl(&st->seg[SEG_SS]);
}

/** Switch tasks. After TASK_REFUSED and TASK_LOST, `st` is of no use. After TASK_FAULTED, segment
 *  registers that could not be loaded are unusable, but for CS, and SS.DPL is CS.RPL. */
void task_switch(struct task_state *st, const struct task_request *rq,
		 const struct task_mem_ops *mem, struct task_result *out);

#endif
