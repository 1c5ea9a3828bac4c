/* SPDX-License-Identifier: MIT */
/* Names of model-specific registers, for people. */
#ifndef TV_MSR_NAMES_H
#define TV_MSR_NAMES_H

#include "types.h"

#define MSR_NAME_MAX 32

/** As the SDM or Linux has it; of an x2APIC register, "x2APIC-" and its offset in the APIC page; of
 *  one that is not known, its number. */
void msr_name(u32 msr, char name[MSR_NAME_MAX]);

#endif
