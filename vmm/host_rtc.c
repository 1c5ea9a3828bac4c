/* SPDX-License-Identifier: MIT */
/* Reading the MC146818 of the physical machine. */
#include "host_rtc.h"

#include "guest/date.h"
#include "insn.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define NMI_OFF 0x80

#define REG_A_UIP 0x80
#define REG_B_24H 0x02
#define REG_B_BINARY 0x04
#define HOUR_PM 0x80

#define YEAR_2000 946684800

static u8 cmos(u8 index)
{
	outb(CMOS_INDEX, NMI_OFF | index);
	return inb(CMOS_DATA);
}

static unsigned decode(u8 v, bool bcd)
{
	return bcd ? (v >> 4) * 10u + (v & 15) : v;
}

/** Hours are 0-23, or 1-12 with a bit for the afternoon. */
static unsigned read_hour(u8 reg_b, bool bcd)
{
	u8 raw = cmos(4);
	unsigned hour = decode(raw & ~HOUR_PM, bcd);

	if (reg_b & REG_B_24H)
		return hour;
	return hour % 12 + (raw & HOUR_PM ? 12 : 0);
}

u64 host_rtc_read(void)
{
	/* An update is under way, for 2 ms at most. */
	for (unsigned spins = 0; (cmos(10) & REG_A_UIP) && spins < 100000; spins++)
		cpu_pause();
	u8 reg_b = cmos(11);
	bool bcd = !(reg_b & REG_B_BINARY);
	unsigned second = decode(cmos(0), bcd), minute = decode(cmos(2), bcd);
	unsigned hour = read_hour(reg_b, bcd);
	struct date d = {.day = decode(cmos(7), bcd),
			 .month = decode(cmos(8), bcd),
			 .year = 2000 + decode(cmos(9), bcd)};

	if (d.month < 1 || d.month > 12 || d.day < 1 || d.year > 2099)
		return YEAR_2000;
	return (((u64)date_to_days(&d) * 24 + hour) * 60 + minute) * 60 + second;
}
