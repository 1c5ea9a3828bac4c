/* SPDX-License-Identifier: MIT */
/* What the files that fire shots share. */
#ifndef TV_PAYLOAD_ZOO_PROBE_H
#define TV_PAYLOAD_ZOO_PROBE_H

#include "zoo_guest.h"

#define LANDING 0x81 /* the vector of the INT behind the code */

/** Selectors; legacy.asm knows them, too. */
enum selector {
	CODE64_0 = 0x08,
	DATA_0 = 0x10,
	CODE32_0 = 0x18,
	DATA_3 = 0x20 | 3,
	CODE64_3 = 0x28 | 3,
	CODE32_3 = 0x30 | 3,
	TSS_64 = 0x38,
	TSS_MAIN = 0x48, /* 32-bit TSSs */
	TSS_OTHER = 0x50,
	CODE16 = 0x58,
	DATA16 = 0x60,
	GDT_END = 0x68,
};

u64 *probe_gdt(void);
u8 *legacy_stack(void);

/* legacy.c */

/** What legacy.asm flies with; it knows the offsets. */
struct flight {
	enum { FLIGHT_SHOT, FLIGHT_REAL, FLIGHT_TASKS } kind;
	u32 eip, cs, eflags, esp, ss;
	u32 eax, ecx, edx, ebx, esi, edi, ebp;
	u32 vector, error;
};

/** Where code must be to run there; NULL: anywhere. */
u8 *legacy_room(enum place p);

/** As zoo_enter(), for places outside IA-32e mode: what was left is in *out. */
void legacy_enter(enum place p, const struct trap_frame *in, struct trap_frame *out);

void legacy_permit_port(u16 port, bool yes);

#endif
