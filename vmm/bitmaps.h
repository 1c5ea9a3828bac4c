/* SPDX-License-Identifier: MIT */
/* The I/O and MSR bitmaps (SDM volume 3, sections 25.6.4 and 25.6.9): everything is intercepted but
 * what a list with reasons lets through, and what APIC virtualization does. */
#ifndef TV_BITMAPS_H
#define TV_BITMAPS_H

#include "machine.h"

enum msr_access { MSR_READ, MSR_WRITE };

/** The I/O bitmaps, which all vcpus share. */
void bitmaps_init(struct machine *m);

/** A vcpu's MSR bitmap, and its address. */
hpa_t bitmaps_init_msr(struct vcpu *v);

/** Fill it in anew, after exit+= or exit-= of msr=all; the local APIC's MSRs are vmm/apicv.c's. */
void bitmaps_fill_msr(struct vcpu *v);

/** Let the vcpu's accesses of one kind to `msr` go to the processor, or have them exit. With
 *  exit+=msr=all they exit whatever is asked for. */
void bitmaps_pass_msr(struct vcpu *v, u32 msr, enum msr_access access, bool pass);

#endif
