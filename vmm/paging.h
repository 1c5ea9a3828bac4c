/* SPDX-License-Identifier: MIT */
/* The one place that knows which paging implementations there are. */
#ifndef TV_PAGING_H
#define TV_PAGING_H

#include "machine.h"

/** Put guest memory under `m` in the given mode (enum paging_mode); fills m->paging and
 *  m->controls. Panics where the processor lacks what boot/ should have checked. */
void paging_create(struct machine *m, u32 mode);

/** The local APIC of `v` has changed its mode or its base address, which was `from`: its page of
 *  registers covers memory that is there, and what it covered before comes back. False: there is no
 *  memory left for the paging structures. */
bool paging_follow_apic(struct vcpu *v, gpa_t from);

/** A page of the hypervisor's at `gpa`, see map_rom() in paging_ops.h. Only before the guest's VMCS
 *  is made. */
void paging_map_rom(struct machine *m, gpa_t gpa, hpa_t hpa);

#endif
