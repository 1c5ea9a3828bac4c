/* SPDX-License-Identifier: MIT */
/* The physical machine's calendar clock. */
#ifndef TV_HOST_RTC_H
#define TV_HOST_RTC_H

#include "types.h"

/** The date, in seconds since 1970; the year 2000 where the clock does not tell a possible one. */
u64 host_rtc_read(void);

#endif
