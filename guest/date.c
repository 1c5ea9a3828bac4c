/* SPDX-License-Identifier: MIT */
/* The calendar, counted in eras of 400 years that begin on 1 March: so leap days come last. */
#include "date.h"

#define ERA_DAYS 146097
#define DAYS_TO_1970 719468 /* from 1 March of year 0 */

s64 date_to_days(const struct date *d)
{
	s64 y = (s64)d->year - (d->month <= 2);
	s64 era = floor_div(y, 400), yoe = y - era * 400;
	s64 doy = (153 * (d->month + (d->month > 2 ? -3 : 9)) + 2) / 5 + d->day - 1;

	return era * ERA_DAYS + yoe * 365 + yoe / 4 - yoe / 100 + doy - DAYS_TO_1970;
}

struct date date_from_days(s64 days)
{
	s64 z = days + DAYS_TO_1970, era = floor_div(z, ERA_DAYS);
	u32 doe = z - era * ERA_DAYS;
	u32 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	u32 doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	u32 mp = (5 * doy + 2) / 153;
	u32 month = mp < 10 ? mp + 3 : mp - 9;

	return (struct date){.year = yoe + era * 400 + (month <= 2),
			     .month = month,
			     .day = doy - (153 * mp + 2) / 5 + 1};
}
