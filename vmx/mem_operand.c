/* SPDX-License-Identifier: MIT */
/* Effective addresses of memory operands. */
#include "vmx/mem_operand.h"

static u64 register_of(const struct vmx_mem_operand *o, unsigned shift, unsigned invalid)
{
	return o->info & BIT(invalid) ? 0 : o->gpr[o->info >> shift & 15];
}

u64 vmx_operand_offset(const struct vmx_mem_operand *o)
{
	u64 base = register_of(o, 23, 27), index = register_of(o, 18, 22);

	return (base + (index << (o->info & 3)) + o->displacement) & vmx_operand_mask(o->info);
}
