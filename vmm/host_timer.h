/* SPDX-License-Identifier: MIT */
/* The host's time: the rate of its TSC, and its local APIC's timer to wake it. */
#ifndef TV_HOST_TIMER_H
#define TV_HOST_TIMER_H

#include "types.h"

/** What the 8254 counts with. */
#define PIT_HZ 1193182ull

/* Delivery modes: of the interrupt command register and of the I/O APIC (SDM volume 3, section
 * 11.6.1). */
#define IPI_FIXED (0u << 8)
#define IPI_NMI (4u << 8)
#define IPI_INIT (5u << 8)

/** Measure the TSC and set up the local APIC. Panics where the machine has no usable clock. */
void host_timer_init(void);

/** Interrupt this processor when its TSC reaches `tsc` (at once if that is past). */
void host_timer_arm(u64 tsc);
void host_timer_stop(void);

/** End of interrupt at the host's local APIC. */
void host_timer_eoi(void);

/** Send this processor an interprocessor interrupt: IPI_* and the vector. It
 *  has been accepted when this returns. */
void host_ipi_self(u32 command);

/** The physical processor's local APIC id, for physical destinations of 8 bits. */
u8 host_apic_id(void);

/** Sleep until the host's TSC reaches `tsc` or any interrupt arrives. */
void host_sleep_until(u64 tsc);

#endif
