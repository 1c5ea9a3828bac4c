/* SPDX-License-Identifier: MIT */
/* The guest's kernel, what goes with it, and the tables of the firmware it never had. */
#ifndef TV_GUEST_IMAGE_H
#define TV_GUEST_IMAGE_H

#include "types.h"

struct machine;

/** Is the guest's kernel of the kind that test kernels are (Multiboot), so that it may look for
 *  the test device's memory (guest/testdev.h)? */
bool guest_image_wants_testdev(void);

/** Write firmware tables, kernel and initrd or modules into guest memory, and set vcpu 0 to the
 *  kernel's entry point. Panics on what boot/ should have refused. */
void guest_image_load(struct machine *m);

#endif
