/* SPDX-License-Identifier: MIT */
/* The end of the hypervisor when it can no longer be trusted: everything known goes to the
 * console, and the machine stops. */
#ifndef TV_PANIC_H
#define TV_PANIC_H

#include "cpu.h"
#include "types.h"

/** Print the sentence, a backtrace and the last exits; stop. */
_Noreturn void panic(const char *f, ...) __attribute__((format(printf, 1, 2)));

/** The same for an unexpected exception, with its registers. */
_Noreturn void panic_trap(const struct trap_frame *f);

/** The symbol that holds `addr` and the offset into it; "?" outside the core's code. */
const char *symbol_name(u64 addr, u64 *offset);

#define ASSERT(cond)                                                                               \
	do {                                                                                       \
		if (!(cond))                                                                       \
			panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond);           \
	} while (0)

#endif
