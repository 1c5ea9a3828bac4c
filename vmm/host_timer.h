/* SPDX-License-Identifier: MIT */
/* The host's time: the rate of its TSC, and its local APIC's timer to wake it. */
#ifndef TV_HOST_TIMER_H
#define TV_HOST_TIMER_H

#include "types.h"

/** Measure the TSC and set up the local APIC. Panics where the machine has no usable clock. */
void host_timer_init(void);

/** Interrupt this processor when its TSC reaches `tsc` (at once if that is past). */
void host_timer_arm(u64 tsc);
void host_timer_stop(void);

/** End of interrupt at the host's local APIC. */
void host_timer_eoi(void);

/** Sleep until the host's TSC reaches `tsc` or any interrupt arrives. */
void host_sleep_until(u64 tsc);

#endif
