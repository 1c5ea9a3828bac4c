/* SPDX-License-Identifier: MIT */
/* Which memory type the MTRRs give a physical range. */
#include "mtrrs.h"

#include "msr_index.h"
#include "x86.h"

#define FIXED_END MIB(1)

/** The fixed-range register and byte of an address below 1 MiB, and where that range ends. */
static u8 fixed_type(const struct mtrrs *m, u64 addr, u64 *end)
{
	u64 start, unit;
	unsigned reg;

	if (addr < 0x80000) {
		start = 0, unit = KIB(64), reg = 0;
	} else if (addr < 0xc0000) {
		start = 0x80000, unit = KIB(16), reg = 1;
	} else {
		start = 0xc0000, unit = KIB(4), reg = 3;
	}
	u64 n = (addr - start) / unit;

	*end = start + (n + 1) * unit;
	return m->fixed[reg + n / 8] >> (n % 8 * 8) & 0xff;
}

/** Section 12.11.4.1 "MTRR Precedences": two overlapping variable ranges. */
static int combine(int a, int b)
{
	if (a < 0 || a == b)
		return b;
	if (a == MEMTYPE_UC || b == MEMTYPE_UC)
		return MEMTYPE_UC;
	if ((a == MEMTYPE_WT && b == MEMTYPE_WB) || (a == MEMTYPE_WB && b == MEMTYPE_WT))
		return MEMTYPE_WT;
	/* Undefined by the SDM; uncacheable is always correct. */
	return MEMTYPE_UC;
}

/** The type of the 4 KiB page at `addr` by the variable ranges and the default. */
static int variable_type(const struct mtrrs *m, u64 addr)
{
	u64 addr_bits = (BIT(m->maxphyaddr) - 1) & PAGE_MASK;
	int type = -1;

	for (unsigned i = 0; i < m->nr_var; i++) {
		u64 mask = m->mask[i] & addr_bits;

		if ((m->mask[i] & MTRR_PHYS_MASK_VALID) && (addr & mask) == (m->base[i] & mask))
			type = combine(type, m->base[i] & 0xff);
	}
	return type < 0 ? (int)(m->def_type & 0xff) : type;
}

/** Where, above `addr`, the answer of variable_type() may change: ranges begin and end at the
 *  lowest bit of their mask. */
static u64 variable_end(const struct mtrrs *m, u64 addr)
{
	u64 addr_bits = (BIT(m->maxphyaddr) - 1) & PAGE_MASK;
	u64 unit = BIT(m->maxphyaddr);

	for (unsigned i = 0; i < m->nr_var; i++) {
		u64 mask = m->mask[i] & addr_bits;

		if ((m->mask[i] & MTRR_PHYS_MASK_VALID) && mask && (mask & -mask) < unit)
			unit = mask & -mask;
	}
	return ALIGN_DOWN(addr, unit) + unit;
}

int mtrrs_type(const struct mtrrs *m, u64 addr, u64 size)
{
	u64 at = addr, end = addr + size;
	int type = -1;

	if (!(m->def_type & MTRR_DEF_TYPE_E))
		return MEMTYPE_UC;
	while (at < end) {
		u64 next;
		int t;

		if (at < FIXED_END && (m->def_type & MTRR_DEF_TYPE_FE)) {
			t = fixed_type(m, at, &next);
		} else {
			t = variable_type(m, at);
			next = variable_end(m, at);
			if (at < FIXED_END && next > FIXED_END)
				next = FIXED_END;
		}
		if (type >= 0 && t != type)
			return -1;
		type = t;
		at = next;
	}
	return type;
}
