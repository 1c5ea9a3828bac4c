/* SPDX-License-Identifier: MIT */
/* Effective and linear addresses of memory operands. */
#include "vmx/mem_operand.h"

#include "x86.h"

#define SEG_SS 2
#define SEG_FS 4

/* Access rights, SDM volume 3, table 25-2. */
#define AR_CODE BIT(3)
#define AR_EXPAND_DOWN BIT(2) /* of data; of code: conforming */
#define AR_READABLE BIT(1)    /* of code; of data: writable */
#define AR_DB BIT(14)
#define AR_UNUSABLE BIT(16)

static u64 register_of(const struct vmx_mem_operand *o, unsigned shift, unsigned invalid)
{
	return o->info & BIT(invalid) ? 0 : o->gpr[o->info >> shift & 15];
}

static u64 effective_address(const struct vmx_mem_operand *o)
{
	static const u64 mask[8] = {0xffff, 0xffffffff, ~0ull};
	u64 base = register_of(o, 23, 27), index = register_of(o, 18, 22);

	return (base + (index << (o->info & 3)) + o->displacement) & mask[o->info >> 7 & 7];
}

/** Volume 3, sections 5.3 "Limit Checking" and 5.5 "Privilege Levels ..."; outside 64-bit mode. */
static bool within(const struct vmx_segment *s, u64 first, u64 last)
{
	if (s->ar & AR_UNUSABLE)
		return false;
	if ((s->ar & AR_CODE) && !(s->ar & AR_READABLE))
		return false;
	if (!(s->ar & AR_CODE) && (s->ar & AR_EXPAND_DOWN))
		return first > s->limit && last <= (s->ar & AR_DB ? 0xffffffff : 0xffff);
	return last <= s->limit;
}

bool vmx_operand_address(const struct vmx_mem_operand *o, u64 len, gva_t *gva, u8 *vector)
{
	unsigned seg = vmx_operand_segment(o->info);
	u64 at = effective_address(o);
	bool ok;

	if (o->long_mode) {
		at += seg >= SEG_FS ? o->seg.base : 0;
		ok = is_canonical(at) && is_canonical(at + len - 1);
	} else {
		ok = within(&o->seg, at, at + len - 1);
		at = (u32)(at + o->seg.base);
	}
	*gva = GVA(at);
	*vector = seg == SEG_SS ? SS_VECTOR : GP_VECTOR;
	return ok;
}
