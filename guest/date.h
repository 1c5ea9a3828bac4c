/* SPDX-License-Identifier: MIT */
/* Dates of the proleptic Gregorian calendar as numbers of days. */
#ifndef TV_DATE_H
#define TV_DATE_H

#include "types.h"

struct date {
	u32 year, month, day; /* month and day from 1 */
};

/** Division that rounds down; b > 0. */
static inline s64 floor_div(s64 a, s64 b)
{
	return a / b - (a % b < 0);
}

/** Days since 1970-01-01, and back. The month must be 1-12; a day beyond its end counts on. */
s64 date_to_days(const struct date *d);
struct date date_from_days(s64 days);

#endif
