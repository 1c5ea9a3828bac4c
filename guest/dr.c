/* SPDX-License-Identifier: MIT */
/* The faults of MOV DR, in their order, and the reserved bits of DR6 and DR7. */
#include "guest/dr.h"

#include "x86.h"

#define DR6_DEFINED 0xe00full /* B0 to B3, BD, BS, BT */
#define DR7_ZEROS 0xd000ull   /* bits 12, 14 and 15 */

enum dr_result dr_check(struct dr_access *a)
{
	const bool alias = a->nr == 4 || a->nr == 5;

	if (alias && (a->cr4 & X86_CR4_DE))
		return DR_UD;
	if (a->cpl != 0)
		return DR_GP;
	if (a->dr7 & DR7_GD)
		return DR_DB;
	if (alias)
		a->nr += 2;
	if (!a->write)
		return DR_OK;
	if (!a->long_mode)
		a->value = (u32)a->value;
	if (a->nr < 6)
		return DR_OK;
	if (a->value >> 32)
		return DR_GP;
	a->value = a->nr == 6 ? (a->value & DR6_DEFINED) | DR6_ONES
			      : (a->value & ~DR7_ZEROS) | DR7_ONES;
	return DR_OK;
}
