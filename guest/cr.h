/* SPDX-License-Identifier: MIT */
/*
 * A guest's writes to CR0, CR3, CR4 and IA32_EFER: which of them the processor takes, what the
 * registers hold after it, and what has to follow (SDM volume 2, "MOV-Move to/from Control
 * Registers", and volume 3, sections 2.5, 4.1 and 10.8.5). Nothing here knows how the guest's
 * memory is virtualized.
 */
#ifndef TV_CR_H
#define TV_CR_H

#include "control_regs.h"

/** What besides the registers decides whether a write is taken. */
struct cr_limits {
	u64 cr4_allowed; /* bits of CR4 and of EFER that the guest's CPUID brings */
	u64 efer_allowed;
	u8 maxphyaddr; /* of the guest's CPUID */
	bool cs_l;     /* CS.L: 64-bit code, in IA-32e mode */
	bool tss16;    /* TR holds a 16-bit TSS */
};

/* What has to follow a write that was taken. */
#define CR_LOAD_PDPTES                                                                             \
	BIT(0)		/* load the PDPTE registers by the new CR3; if that fails, the write       \
			 * was #GP after all */
#define CR_FLUSH BIT(1) /* forget translations, but for global ones */
#define CR_FLUSH_GLOBAL BIT(2) /* ... and global ones, of every PCID */

/**
 * The write of `value` to a register of `r`. Outside 64-bit mode the caller has cut `value` to 32
 * bits. False: #GP, and `r` is as it was. True: `r` holds what the guest reads from now on, and
 * `effects` (CR_*) what has to follow.
 */
bool cr0_write(struct control_regs *r, u64 value, const struct cr_limits *l, u32 *effects);
bool cr3_write(struct control_regs *r, u64 value, const struct cr_limits *l, u32 *effects);
bool cr4_write(struct control_regs *r, u64 value, const struct cr_limits *l, u32 *effects);
bool efer_write(struct control_regs *r, u64 value, const struct cr_limits *l);

#endif
