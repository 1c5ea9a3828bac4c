/* SPDX-License-Identifier: MIT */
/* Crashing on purpose. */
#include "crash.h"

#include "console.h"
#include "options.h"
#include "panic.h"

/** Deeper than the stack is: ends on the guard page below it. The volatile array keeps the compiler
 *  from turning the recursion into a loop. */
static u64 exhaust_stack(u64 depth)
{
	volatile u64 frame[64] = {depth};

	return frame[0] ? exhaust_stack(frame[0] + 1) + frame[1] : 0;
}

void crash_on_purpose(u32 kind)
{
	switch (kind) {
	case CRASH_PANIC:
		panic("crash=panic was asked for");
	case CRASH_FAULT:
		*(volatile u64 *)0xdead000 = 1;
		break;
	case CRASH_STACK:
		klog("%llu frames", (unsigned long long)exhaust_stack(1));
		break;
	}
}
