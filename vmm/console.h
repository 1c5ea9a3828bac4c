/* SPDX-License-Identifier: MIT */
/*
 * The operator's console: COM1 of the physical machine, and its screen where it has one. The
 * guest's output and the hypervisor's log share them. Output goes into a ring that has two readers,
 * the line and the screen, so that a guest that prints waits neither for 115,200 baud nor for a
 * framebuffer, and the exit that carried the byte is not charged for them. Input is the line's
 * alone.
 */
#ifndef TV_CONSOLE_H
#define TV_CONSOLE_H

#include <stdarg.h>

#include "exit_stats.h"
#include "fbcon.h"
#include "types.h"

#define CONSOLE_RING KIB(64)
#define CONSOLE_FIFO 16 /* bytes a 16550A takes once its transmitter is empty */

struct console {
	u16 port;
	bool present;
	bool escape; /* the operator typed Ctrl-]: the next key is a command, whoever runs then */
	bool in_wire_line; /* console_wire() is at work */
	unsigned column;   /* of the line so far: the log begins lines of its own */
	u32 head;	   /* ring: written ... */
	u32 tail;	   /* ... sent to the line ... */
	u32 shown;	   /* ... and interpreted for the screen; free-running */
	struct fbcon screen;
	u8 ring[CONSOLE_RING];
};

/** Look for a 16550 at `port` and set it to 115200 8N1 with FIFOs. */
void console_init(u16 port);

/** Use the screen that the firmware left, if there is one, and show on it what has been said so
 * far. Needs the host's own page tables. */
void console_init_screen(void);

/** One byte of the guest's. */
void console_put(void *unused, u8 byte);

/** A line of the hypervisor's, with its prefix and a newline; printf-like. */
void klog(const char *f, ...) __attribute__((format(printf, 1, 2)));

/** A finished line (newline included) as it stands. */
void console_line(void *unused, const char *line);

/** Lines of the hypervisor's, for what formats text. */
extern const struct text_out console_text;

/** Lines for programs follow, on the serial line only: on the screen there would be no end of them.
 * Everything else is sent first. Where they begin in the midst of a line of the guest's, two
 * carriage returns before a newline tell programs that the line goes on behind. */
void console_wire_begin(void);

/** Such a line, newline included: sent when this returns. */
void console_wire(void *unused, const char *line);

/** A panic has come, perhaps amid such a line: what follows is a line of its own. */
void console_wire_cut(void);

/** Send what the transmitter takes now; returns true while something is left. */
bool console_pump(void);

/** Bring the screen up to date, or a part of it where much has changed: to be called often. No exit
 *  is charged for it. */
void console_draw(void);

/** Send and show everything. */
void console_flush(void);

/** A byte that the operator typed, or -1. */
int console_get(void);

#endif
