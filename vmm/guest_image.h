/* SPDX-License-Identifier: MIT */
/* The guest's kernel, what goes with it, and the tables of the firmware it never had. */
#ifndef TV_GUEST_IMAGE_H
#define TV_GUEST_IMAGE_H

struct machine;

/** Write firmware tables, kernel and initrd or modules into guest memory, and set vcpu 0 to the
 *  kernel's entry point. Panics on what boot/ should have refused. */
void guest_image_load(struct machine *m);

#endif
