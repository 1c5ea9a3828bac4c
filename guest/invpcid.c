/* SPDX-License-Identifier: MIT */
/* The conditions for #GP of INVPCID, but for the privilege level. */
#include "guest/invpcid.h"

#include "x86.h"

#define PCID_MASK 0xfffull

bool invpcid_valid(u64 type, const struct invpcid_desc *d, bool pcide)
{
	if (type > INVPCID_ALL_BUT_GLOBALS || (d->pcid & ~PCID_MASK))
		return false;
	if (type <= INVPCID_CONTEXT && d->pcid && !pcide)
		return false;
	return type != INVPCID_ADDRESS || is_canonical(d->gva.v);
}
