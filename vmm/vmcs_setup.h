/* SPDX-License-Identifier: MIT */
/* What the files that set up a VMCS share. */
#ifndef TV_VMCS_SETUP_H
#define TV_VMCS_SETUP_H

#include "types.h"

struct vcpu;
struct multiboot_entry;

/* Access rights of segments (SDM volume 3, table 25-2): type, S, P, L, D/B, G, unusable. */
#define AR_CODE64 0xa09b
#define AR_CODE32 0xc09b
#define AR_DATA 0xc093
#define AR_TSS_BUSY 0x008b
#define AR_UNUSABLE 0x10000

/** A segment register of the guest's, named by the VMCS field of its selector. */
void vmcs_set_segment(u32 selector_field, u16 selector, u64 base, u32 limit, u32 ar);

/** The guest's state at a Multiboot kernel's entry point: 32-bit protected mode without paging. */
void vcpu_set_multiboot_entry(struct vcpu *v, const struct multiboot_entry *e);

#endif
