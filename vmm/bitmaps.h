/* SPDX-License-Identifier: MIT */
/* The I/O and MSR bitmaps (SDM volume 3, sections 25.6.4 and 25.6.9): everything is intercepted but
 * what a list with reasons lets through. */
#ifndef TV_BITMAPS_H
#define TV_BITMAPS_H

#include "machine.h"

void bitmaps_init(struct machine *m);

#endif
