/* SPDX-License-Identifier: MIT */
/*
 * Power management: the ACPI fixed registers (PM1a event and control, PM timer; ACPI 6.4, section
 * 4.8 "ACPI Register Model"), the ways a PC is reset (ports 0xcf9 and 0x92, the keyboard
 * controller), and the port by which a test kernel ends with a verdict (QEMU's isa-debug-exit).
 * Asking for S5, a reset or that ends the guest: the outcome is noted here, and the run loop looks
 * at it.
 *
 * The machine has no legacy mode, so SCI_EN reads as 1 always. The PM timer has 32 bits
 * (TMR_VAL_EXT in the FADT), and TMR_STS is set whenever bit 31 changes.
 */
#ifndef TV_PM_H
#define TV_PM_H

#include "device.h"
#include "types.h"

#define PM_BASE 0x600
#define PM_LEN 0x10
#define PM1_EVT 0x00 /* offsets from PM_BASE: PM1a_EVT_BLK, 4 bytes (status, enable) */
#define PM1_CNT 0x04 /* PM1a_CNT_BLK, 2 bytes */
#define PM_TMR 0x08  /* PM_TMR_BLK, 4 bytes */
#define PM_TIMER_HZ 3579545ull
#define PM_S5_TYPE 5
#define PM_SCI_GSI 9
#define PM_RESET_PORT 0xcf9
#define PM_RESET_VALUE 0x06
#define PM_PORT92 0x92
#define PM_DEBUG_EXIT_PORT 0xf4
#define PM_DEBUG_EXIT_LEN 4

enum pm_request { PM_NONE, PM_POWEROFF, PM_RESET, PM_DEBUG_EXIT };

struct pm {
	u16 pm1_sts, pm1_en, pm1_cnt;
	u8 cf9, port92, kbd_command;
	bool sci;    /* level of the SCI line */
	u64 seen;    /* TMR_STS is up to date until this PM timer tick (not cut to 32 bits) */
	u64 tmr_due; /* guest TSC at which TMR_STS raises the SCI, or NEVER */
	enum pm_request request; /* the first one the guest made */
	u32 exit_code;		 /* of PM_DEBUG_EXIT: the value written */
	struct irq_sink irq;
	const struct gclock *clock;
};

/** `irq` is copied. */
void pm_init(struct pm *p, const struct gclock *clock, const struct irq_sink *irq);

/** The fixed registers, PM_LEN bytes from PM_BASE, in accesses of any size: bytes that no register
 *  has read as 0. */
u64 pm_read(void *p, u64 offset, unsigned size);
void pm_write(void *p, u64 offset, unsigned size, u64 value);

/** Port 0xcf9: the reset control register; bit 2 rising resets. One byte. */
u64 pm_cf9_read(void *p, u64 offset, unsigned size);
void pm_cf9_write(void *p, u64 offset, unsigned size, u64 value);

/** Port 0x92, system control port A: bit 0 rising resets, and A20 (bit 1) is on, whatever is
 *  written: processors since Haswell cannot mask it either. One byte. */
u64 pm_port92_read(void *p, u64 offset, unsigned size);
void pm_port92_write(void *p, u64 offset, unsigned size, u64 value);

/** The keyboard controller that is not there: ports 0x60 (data) and 0x64 (command) read as 0xff, by
 *  which drivers know; what resets a PC does so: command 0xfe, and bit 0 of the output port. */
u64 pm_kbd_read(void *p, u64 offset, unsigned size);
void pm_kbd_command(void *p, u64 offset, unsigned size, u64 value);
void pm_kbd_data(void *p, u64 offset, unsigned size, u64 value);

/** Ports 0xf4-0xf7: a write of 1, 2 or 4 bytes ends the guest, its value is the exit code (of which
 *  QEMU makes its exit status, (value << 1) | 1). Reads as 0. */
u64 pm_debug_exit_read(void *p, u64 offset, unsigned size);
void pm_debug_exit_write(void *p, u64 offset, unsigned size, u64 value);

/** Guest TSC of the next SCI from the timer, or NEVER; raise what is due at `now`. */
static inline u64 pm_next_deadline(const struct pm *p)
{
	return p->tmr_due;
}
void pm_advance(struct pm *p, u64 now);

#endif
