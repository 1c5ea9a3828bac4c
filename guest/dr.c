/* SPDX-License-Identifier: MIT */
/* The faults of MOV DR, in their order, the reserved bits of DR7, and what a debug exception does.
 */
#include "guest/dr.h"

#include "x86.h"

#define DR6_B 0xfull		  /* B0 to B3 */
#define DR6_ACTIVE_HIGH 0xe00full /* and BD, BS, BT */
#define DR7_ZEROS 0xd000ull	  /* bits 12, 14 and 15 */

enum dr_result dr_check(struct dr_access *a)
{
	const bool alias = a->nr == 4 || a->nr == 5;

	if (a->nr > 7 || (alias && (a->cr4 & X86_CR4_DE)))
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
	if (a->nr == 7)
		a->value = (a->value & ~DR7_ZEROS) | DR7_ONES;
	return DR_OK;
}

void debug_state_raise(struct debug_state *s, u64 causes)
{
	/* Section 18.2.3: of what DR6 has, only B0 to B3 go, and RTM becomes 1, if it is not the
	 * cause. */
	s->dr6 = (s->dr6 & ~DR6_B) | DR6_RTM | (causes & DR6_ACTIVE_HIGH);
	s->dr6 &= ~(causes & (DR6_BLD | DR6_RTM));
	s->dr7 &= ~DR7_GD;
	/* Section 18.4.3 "Single-Stepping on Branches"; Linux relies on it. */
	s->debugctl &= ~DEBUGCTL_BTF;
}
