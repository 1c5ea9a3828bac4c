/* SPDX-License-Identifier: MIT */
/*
 * The operator's console: COM1 of the physical machine. The guest's output and the hypervisor's
 * log share it. Output goes through a ring, so that a guest that prints does not wait for a
 * 115,200-baud line, and the exit that carried the byte is not charged for it.
 */
#ifndef TV_CONSOLE_H
#define TV_CONSOLE_H

#include <stdarg.h>

#include "types.h"

#define CONSOLE_RING KIB(64)
#define CONSOLE_FIFO 16 /* bytes a 16550A takes once its transmitter is empty */

struct console {
	u16 port;
	bool present;
	u64 waited; /* TSC ticks spent waiting for room in the ring, since account() took them */
	unsigned column; /* of the line so far: the log begins lines of its own */
	u32 head, tail;	 /* ring: head is written, tail is sent; free-running */
	u8 ring[CONSOLE_RING];
};

/** Look for a 16550 at `port` and set it to 115200 8N1 with FIFOs. */
void console_init(u16 port);

/** One byte of the guest's. */
void console_put(void *unused, u8 byte);

/** A line of the hypervisor's, with its prefix and a newline; printf-like. */
void klog(const char *f, ...) __attribute__((format(printf, 1, 2)));

/** A finished line (newline included) as it stands. */
void console_line(void *unused, const char *line);

/** Send what the transmitter takes now; returns true while something is left. */
bool console_pump(void);

/** Send everything. */
void console_flush(void);

/** A byte that the operator typed, or -1. */
int console_get(void);

#endif
