/* SPDX-License-Identifier: MIT */
/* Which memory type the MTRRs give a physical range. */
#include "host_mtrr.h"

#include "x86.h"

#define DEF_TYPE_E BIT(11)  /* MTRRs enabled */
#define DEF_TYPE_FE BIT(10) /* fixed-range MTRRs enabled */
#define MASK_V BIT(11)
#define FIXED_END MIB(1)

/** The fixed-range register and byte of an address below 1 MiB, and where that range ends. */
static u8 fixed_type(const struct mtrrs *m, u64 hpa, u64 *end)
{
	u64 start, unit;
	unsigned reg;

	if (hpa < 0x80000) {
		start = 0, unit = KIB(64), reg = 0;
	} else if (hpa < 0xc0000) {
		start = 0x80000, unit = KIB(16), reg = 1;
	} else {
		start = 0xc0000, unit = KIB(4), reg = 3;
	}
	u64 n = (hpa - start) / unit;

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

/** The type of the 4 KiB page at `hpa` by the variable ranges and the default. */
static int variable_type(const struct mtrrs *m, u64 hpa)
{
	u64 addr_bits = (BIT(m->maxphyaddr) - 1) & PAGE_MASK;
	int type = -1;

	for (unsigned i = 0; i < m->nr_var; i++) {
		u64 mask = m->mask[i] & addr_bits;

		if ((m->mask[i] & MASK_V) && (hpa & mask) == (m->base[i] & mask))
			type = combine(type, m->base[i] & 0xff);
	}
	return type < 0 ? (int)(m->def_type & 0xff) : type;
}

/** Where, above `hpa`, the answer of variable_type() may change: ranges begin and end at the
 *  lowest bit of their mask. */
static u64 variable_end(const struct mtrrs *m, u64 hpa)
{
	u64 addr_bits = (BIT(m->maxphyaddr) - 1) & PAGE_MASK;
	u64 unit = BIT(m->maxphyaddr);

	for (unsigned i = 0; i < m->nr_var; i++) {
		u64 mask = m->mask[i] & addr_bits;

		if ((m->mask[i] & MASK_V) && mask && (mask & -mask) < unit)
			unit = mask & -mask;
	}
	return ALIGN_DOWN(hpa, unit) + unit;
}

int host_mtrr_type(const struct mtrrs *m, hpa_t hpa, u64 size)
{
	u64 at = hpa.v, end = hpa.v + size;
	int type = -1;

	if (!(m->def_type & DEF_TYPE_E))
		return MEMTYPE_UC;
	while (at < end) {
		u64 next;
		int t;

		if (at < FIXED_END && (m->def_type & DEF_TYPE_FE)) {
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
