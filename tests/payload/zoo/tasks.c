/* SPDX-License-Identifier: MIT */
/* Task switches. In IA-32e mode there are none: what would be one is #GP, and no exit. */
#include "probe.h"

/** JMP m16:32 and CALL m16:32 through RAX. */
CODE(code_jmp, "ljmpl *(%rax)");
CODE(code_call, "lcalll *(%rax)");

static const struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) target = {0, TSS_OTHER};

/** CALL to a TSS and IRET from it, outside IA-32e mode; there a JMP or CALL is #GP. */
void zoo_TASK_SWITCH(void)
{
	struct exit_counts want, got;

	raises("CALL and IRET; in IA-32e mode #GP first");
	/* What it takes to get there, and the TSSs. */
	SHOOT("NOP", (struct code){0}, IN(PROTECTED0), .exit = NO_EXIT);
	legacy_exits(PROTECTED0, &want);
	legacy_tasks();
	exits_begin();
	legacy_tasks();
	exits_end(&got);
	want.n[EXIT_REASON_TASK_SWITCH] += 2;
	for (u32 i = 0; i < NR_EXIT_REASONS; i++)
		check(got.n[i] == want.n[i] || (!i && on_shadow()),
		      "two task switches: %u exits %u %s, not %u", got.n[i], i, exit_reason_name(i),
		      want.n[i]);
	SHOOT("JMP to a TSS", code_jmp, IN(RING0) | IN(COMPAT0), .exit = NO_EXIT,
	      .fault = GP_VECTOR, .error = TSS_OTHER, .in = {[REG_RAX] = VALUE(&target)});
	SHOOT("CALL of a TSS", code_call, IN(RING0) | IN(COMPAT0), .exit = NO_EXIT,
	      .fault = GP_VECTOR, .error = TSS_OTHER, .in = {[REG_RAX] = VALUE(&target)});
}
