/* SPDX-License-Identifier: MIT */
/*
 * The physical machine's screen, where the firmware left a linear framebuffer: the same text as on
 * the serial line, for machines without one. Output only.
 */
#ifndef TV_FBCON_H
#define TV_FBCON_H

#include "boot_info.h"
#include "lib/fbtext.h"
#include "types.h"

struct fbcon {
	bool present;
	bool busy; /* painting: a fault in it must not lead into it again */
	struct fbtext text;
};

/** Map the framebuffer and clear the screen. Needs the host's own page tables. Returns NULL, or why
 *  this screen cannot be used; where there is none, "". */
const char *fbcon_init(struct fbcon *s, const struct boot_info *boot);

/** One byte of the console's. Not painted yet. */
void fbcon_put(struct fbcon *s, u8 byte);

/** Paint at most `cells` changed characters; true where some are left. */
bool fbcon_draw(struct fbcon *s, u32 cells);

#endif
