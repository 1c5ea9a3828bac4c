/* SPDX-License-Identifier: MIT */
/* Machine checks: the host's, always. */
#ifndef TV_MCE_H
#define TV_MCE_H

/** Print what the machine-check banks say and stop. `when` completes "machine check ...". */
_Noreturn void panic_machine_check(const char *when);

#endif
