/* SPDX-License-Identifier: MIT */
/*
 * Interprocessor interrupts: what an ICR write sends, and whom a message reaches. SDM volume 3,
 * section 11.6 "Issuing Interprocessor Interrupts" and 11.12.10 "Determining IPI Destination in
 * x2APIC Mode".
 */
#include "guest/lapic_regs.h"

#define XAPIC_BROADCAST 0xffu
#define X2APIC_BROADCAST 0xffffffffu

#define DFR_FLAT 15
#define DFR_CLUSTER 0

enum shorthand { DEST_FIELD, DEST_SELF, DEST_ALL, DEST_OTHERS };

void lapic_send_icr(struct lapic *l, u32 low, u32 dest)
{
	struct apic_msg msg = {
		.dest = dest,
		.logical = low & ICR_LOGICAL,
		.mode = low >> 8 & 7,
		.vector = (u8)low,
		.assert = true,
		.shorthand = low >> 18 & 3,
	};

	/* INIT level de-assert only ever set arbitration ids, which went with the APIC bus. */
	if (msg.mode == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
		return;
	if (msg.mode == APIC_SMI || msg.mode == APIC_EXTINT)
		return;
	if ((msg.mode == APIC_FIXED || msg.mode == APIC_LOWEST) && msg.vector < 16)
		lapic_error(l, ESR_SEND_ILLEGAL_VECTOR);
	l->ops->send_ipi(l->ops->ctx, l, &msg);
}

void lapic_send_self(struct lapic *l, u8 vector)
{
	lapic_send_icr(l, (u32)DEST_SELF << 18 | vector, 0);
}

static bool is_broadcast(const struct lapic *from, u32 dest)
{
	return dest == (from && lapic_x2apic(from) ? X2APIC_BROADCAST : XAPIC_BROADCAST);
}

/* Section 11.12.10.1 "Logical Destination Mode in x2APIC Mode": 16-bit cluster, 16-bit set. */
static bool matches_x2apic_logical(u32 ldr, u32 dest)
{
	return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
}

/* Section 11.6.2.2 "Logical Destination Mode". */
static bool matches_xapic_logical(const struct lapic *l, u32 dest)
{
	u32 ldr = lapic_reg(l, LAPIC_LDR) >> 24;

	if (dest > 0xff)
		return false;
	switch (lapic_reg(l, LAPIC_DFR) >> 28) {
	case DFR_FLAT:
		return ldr & dest;
	case DFR_CLUSTER:
		return ldr >> 4 == dest >> 4 && (ldr & dest & 15);
	default:
		return false;
	}
}

static bool matches_dest(const struct lapic *l, const struct lapic *from,
			 const struct apic_msg *msg)
{
	if (is_broadcast(from, msg->dest))
		return true;
	if (!msg->logical)
		return msg->dest == l->id;
	if (lapic_x2apic(l))
		return matches_x2apic_logical(lapic_reg(l, LAPIC_LDR), msg->dest);
	return matches_xapic_logical(l, msg->dest);
}

bool lapic_matches(const struct lapic *l, const struct lapic *from, const struct apic_msg *msg)
{
	if (!lapic_enabled(l))
		return false;
	switch (msg->shorthand) {
	case DEST_SELF:
		return l == from;
	case DEST_ALL:
		return true;
	case DEST_OTHERS:
		return l != from;
	default:
		return matches_dest(l, from, msg);
	}
}

struct lapic *lapic_lowest(struct lapic *set, unsigned nr, const struct lapic *from,
			   const struct apic_msg *msg)
{
	struct lapic *best = NULL;

	for (unsigned i = 0; i < nr; i++) {
		struct lapic *l = &set[(msg->vector + i) % nr];

		if (!lapic_software_enabled(l) || !lapic_matches(l, from, msg))
			continue;
		if (!best || lapic_ppr(l) < lapic_ppr(best))
			best = l;
	}
	return best;
}
