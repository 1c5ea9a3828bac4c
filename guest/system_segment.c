/* SPDX-License-Identifier: MIT */
/* The checks of LLDT and LTR. */
#include "guest/system_segment.h"

#define SELECTOR_TI BIT(2)
#define SELECTOR_ERROR 0xfffcu

#define TYPE_TSS16 1
#define TYPE_LDT 2
#define TYPE_TSS 9

static struct system_fault no_fault(void)
{
	return (struct system_fault){.raised = false};
}

static struct system_fault fault_of(u8 vector, u32 error)
{
	return (struct system_fault){.raised = true, .vector = vector, .error = error};
}

struct system_fault system_check_selector(const struct system_load *l)
{
	const u32 error = l->selector & SELECTOR_ERROR;
	const u32 last = (l->selector & ~7u) + system_descriptor_bytes(l) - 1;

	if (system_selector_is_null(l->selector))
		return fault_of(GP_VECTOR, 0);
	if ((l->selector & SELECTOR_TI) || last > l->gdt_limit)
		return fault_of(GP_VECTOR, error);
	return no_fault();
}

/** S and type: is it what this instruction loads? */
static bool type_fits(const struct system_load *l, u64 low)
{
	const unsigned type = low >> 40 & 31; /* S is bit 4: 0 for a system descriptor */

	if (!l->tr)
		return type == TYPE_LDT;
	return type == TYPE_TSS || (type == TYPE_TSS16 && !l->lma);
}

struct system_fault system_check_descriptor(const struct system_load *l, const u64 descriptor[2],
					    struct segment *s)
{
	const u64 low = descriptor[0], high = l->mode64 ? descriptor[1] : 0;
	const u32 error = l->selector & SELECTOR_ERROR;

	if (!type_fits(l, low))
		return fault_of(GP_VECTOR, error);
	if (!(low >> 47 & 1))
		return fault_of(NP_VECTOR, error);
	*s = (struct segment){
		.base = (low >> 16 & 0xffffff) | (low >> 56) << 24 | high << 32,
		.limit = (u32)((low & 0xffff) | (low >> 32 & 0xf0000)),
		/* Bits 7:0 and 15:12 are the descriptor's; those between are the limit's there. */
		.ar = (u32)(low >> 40 & 0xf0ff),
	};
	/* Figure 8-4: bits 12:8 of the last double word are a type, which must be 0. */
	if ((high >> 40 & 31) || !is_canonical(s->base))
		return fault_of(GP_VECTOR, error);
	if (low >> 55 & 1)
		s->limit = s->limit << 12 | 0xfff;
	if (l->tr)
		s->ar |= TSS_BUSY;
	return no_fault();
}
