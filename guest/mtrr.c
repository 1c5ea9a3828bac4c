/* SPDX-License-Identifier: MIT */
/* The virtual MTRRs (SDM volume 3, section 12.11 "Memory Type Range Registers (MTRRs)"). */
#include "mtrr.h"

#include "lib/mem.h"
#include "msr_index.h"
#include "x86.h"

#define ALL_WB 0x0606060606060606ull

/** Bits 11:8 of PhysBase and 10:0 of PhysMask are reserved. */
#define PHYS_BASE_RESERVED 0xf00ull
#define PHYS_MASK_RESERVED 0x7ffull

/** Where the devices are at the latest: the upper GiB below 4 GiB. */
#define DEVICES_BASE GIB(3)

/** Index into mtrrs.fixed of an MSR of the fixed ranges, or -1. */
static int fixed_index(u32 msr)
{
	switch (msr) {
	case MSR_MTRRfix64K_00000:
		return 0;
	case MSR_MTRRfix16K_80000:
	case MSR_MTRRfix16K_A0000:
		return 1 + (int)(msr - MSR_MTRRfix16K_80000);
	default:
		if (msr < MSR_MTRRfix4K_C0000 || msr > MSR_MTRRfix4K_F8000)
			return -1;
		return 3 + (int)(msr - MSR_MTRRfix4K_C0000);
	}
}

static bool is_variable(u32 msr)
{
	return msr >= MSR_MTRRphysBase0 && msr <= MSR_MTRRphysMask7;
}

/** The range that PhysBase (even) and PhysMask (odd) registers belong to. */
static u32 variable_index(u32 msr)
{
	return (msr - MSR_MTRRphysBase0) / 2;
}

static bool valid_type(u8 type)
{
	return type <= MEMTYPE_WB && type != 2 && type != 3;
}

static u64 beyond(u8 maxphyaddr)
{
	return maxphyaddr < 64 ? ~0ull << maxphyaddr : 0;
}

static bool valid_fixed(u64 value)
{
	for (unsigned i = 0; i < 64; i += 8)
		if (!valid_type((u8)(value >> i)))
			return false;
	return true;
}

static bool valid_variable(u32 msr, u64 value, u8 maxphyaddr)
{
	if (value & beyond(maxphyaddr))
		return false;
	if (msr & 1)
		return !(value & PHYS_MASK_RESERVED);
	return !(value & PHYS_BASE_RESERVED) && valid_type((u8)value);
}

bool mtrr_read(const struct msr_state *s, u32 msr, u64 *value)
{
	int i = fixed_index(msr);

	if (is_variable(msr))
		*value = (msr & 1 ? s->mtrrs.mask : s->mtrrs.base)[variable_index(msr)];
	else if (i >= 0)
		*value = s->mtrrs.fixed[i];
	else if (msr == MSR_MTRRdefType)
		*value = s->mtrrs.def_type;
	else if (msr == MSR_MTRRcap)
		*value = MSR_MTRR_VAR | MTRRCAP_FIX | MTRRCAP_WC;
	else
		return false;
	return true;
}

static void set(struct msr_state *s, u64 *reg, u64 value)
{
	s->mtrr_changes += *reg != value;
	*reg = value;
}

bool mtrr_write(struct msr_state *s, u8 maxphyaddr, u32 msr, u64 value)
{
	int i = fixed_index(msr);

	if (is_variable(msr)) {
		if (!valid_variable(msr, value, maxphyaddr))
			return false;
		set(s, &(msr & 1 ? s->mtrrs.mask : s->mtrrs.base)[variable_index(msr)], value);
	} else if (i >= 0) {
		if (!valid_fixed(value))
			return false;
		set(s, &s->mtrrs.fixed[i], value);
	} else if (msr == MSR_MTRRdefType) {
		if (value & ~(MTRR_DEF_TYPE_TYPE | MTRR_DEF_TYPE_FE | MTRR_DEF_TYPE_E) ||
		    !valid_type((u8)value))
			return false;
		set(s, &s->mtrrs.def_type, value);
	} else {
		return false; /* IA32_MTRRCAP is read-only */
	}
	return true;
}

u8 mtrr_type(const struct msr_state *s, gpa_t gpa)
{
	/* A page has one type: no range is finer. */
	return (u8)mtrrs_type(&s->mtrrs, gpa.v & PAGE_MASK, PAGE_SIZE);
}

int mtrr_range_type(const struct msr_state *s, gpa_t gpa, u64 size)
{
	return mtrrs_type(&s->mtrrs, gpa.v, size);
}

static void set_variable(struct msr_state *s, unsigned i, u8 maxphyaddr, u64 base, u64 size,
			 u8 type)
{
	s->mtrrs.base[i] = base | type;
	s->mtrrs.mask[i] = (~(size - 1) & ~beyond(maxphyaddr)) | MTRR_PHYS_MASK_VALID;
}

/** Cover [base, base + size) with write-back ranges, from range `i` on. Each is as large as its
 *  alignment and the rest allow. Returns the next free range, or more than there are. */
static unsigned cover(struct msr_state *s, unsigned i, u8 maxphyaddr, u64 base, u64 size)
{
	u64 part;

	for (; size >= PAGE_SIZE; i++, base += part, size -= part) {
		if (i >= MSR_MTRR_VAR)
			return MSR_MTRR_VAR + 1;
		part = base ? base & -base : BIT(63);
		while (part > size)
			part >>= 1;
		set_variable(s, i, maxphyaddr, base, part, MEMTYPE_WB);
	}
	return i;
}

void mtrr_init(struct msr_state *s, u8 maxphyaddr, u64 low_ram, u64 high_ram)
{
	unsigned next;

	s->mtrrs.nr_var = MSR_MTRR_VAR;
	s->mtrrs.maxphyaddr = maxphyaddr;
	for (unsigned i = 0; i < MTRR_FIXED; i++)
		s->mtrrs.fixed[i] = ALL_WB;
	s->mtrrs.fixed[fixed_index(MSR_MTRRfix16K_A0000)] = 0; /* the video window: UC */
	memset(s->mtrrs.base, 0, sizeof(s->mtrrs.base));
	memset(s->mtrrs.mask, 0, sizeof(s->mtrrs.mask));
	s->mtrrs.def_type = MTRR_DEF_TYPE_E | MTRR_DEF_TYPE_FE | MEMTYPE_UC;

	next = cover(s, 0, maxphyaddr, 0, low_ram);
	next = cover(s, next, maxphyaddr, GIB(4), high_ram);
	if (next <= MSR_MTRR_VAR)
		return;
	memset(s->mtrrs.base, 0, sizeof(s->mtrrs.base));
	memset(s->mtrrs.mask, 0, sizeof(s->mtrrs.mask));
	s->mtrrs.def_type = MTRR_DEF_TYPE_E | MTRR_DEF_TYPE_FE | MEMTYPE_WB;
	set_variable(s, 0, maxphyaddr, DEVICES_BASE, GIB(4) - DEVICES_BASE, MEMTYPE_UC);
}
