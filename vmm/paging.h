/* SPDX-License-Identifier: MIT */
/* The one place that knows which paging implementations there are. */
#ifndef TV_PAGING_H
#define TV_PAGING_H

#include "machine.h"

/** Put guest memory under `m` in the given mode (enum paging_mode); fills m->paging and
 *  m->controls. Panics where the processor lacks what boot/ should have checked. */
void paging_create(struct machine *m, u32 mode);

#endif
