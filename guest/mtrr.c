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

/** Index into mtrr_fixed of an MSR of the fixed ranges, or -1. */
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
		*value = (msr & 1 ? s->mtrr_mask : s->mtrr_base)[variable_index(msr)];
	else if (i >= 0)
		*value = s->mtrr_fixed[i];
	else if (msr == MSR_MTRRdefType)
		*value = s->mtrr_def_type;
	else if (msr == MSR_MTRRcap)
		*value = MSR_MTRR_VAR | MTRRCAP_FIX | MTRRCAP_WC;
	else
		return false;
	return true;
}

bool mtrr_write(struct msr_state *s, u8 maxphyaddr, u32 msr, u64 value)
{
	int i = fixed_index(msr);

	if (is_variable(msr)) {
		if (!valid_variable(msr, value, maxphyaddr))
			return false;
		(msr & 1 ? s->mtrr_mask : s->mtrr_base)[variable_index(msr)] = value;
	} else if (i >= 0) {
		if (!valid_fixed(value))
			return false;
		s->mtrr_fixed[i] = value;
	} else if (msr == MSR_MTRRdefType) {
		if (value & ~(MTRR_DEF_TYPE_TYPE | MTRR_DEF_TYPE_FE | MTRR_DEF_TYPE_E) ||
		    !valid_type((u8)value))
			return false;
		s->mtrr_def_type = value;
	} else {
		return false; /* IA32_MTRRCAP is read-only */
	}
	return true;
}

/** The type that the fixed ranges give to an address below 1 MiB. */
static u8 fixed_type(const struct msr_state *s, u64 a)
{
	unsigned slot; /* one of 88: 8 of 64 KiB, 16 of 16 KiB, 64 of 4 KiB */

	if (a < 0x80000)
		slot = (unsigned)(a >> 16);
	else if (a < 0xc0000)
		slot = 8 + (unsigned)((a - 0x80000) >> 14);
	else
		slot = 24 + (unsigned)((a - 0xc0000) >> 12);
	return (u8)(s->mtrr_fixed[slot / 8] >> (slot % 8 * 8));
}

u8 mtrr_type(const struct msr_state *s, gpa_t gpa)
{
	bool found = false;
	u8 type = 0, t;

	if (!(s->mtrr_def_type & MTRR_DEF_TYPE_E))
		return MEMTYPE_UC;
	if (gpa.v < MIB(1) && (s->mtrr_def_type & MTRR_DEF_TYPE_FE))
		return fixed_type(s, gpa.v);

	for (unsigned i = 0; i < MSR_MTRR_VAR; i++) {
		u64 mask = s->mtrr_mask[i] & PAGE_MASK;

		if (!(s->mtrr_mask[i] & MTRR_PHYS_MASK_VALID) ||
		    (gpa.v & mask) != (s->mtrr_base[i] & mask))
			continue;
		t = (u8)s->mtrr_base[i];
		/* UC wins, then WT over WB; other mixtures are undefined, and UC is the safe
		 * reading of them. */
		if (!found || t == type)
			type = t;
		else if ((t == MEMTYPE_WT && type == MEMTYPE_WB) ||
			 (t == MEMTYPE_WB && type == MEMTYPE_WT))
			type = MEMTYPE_WT;
		else
			type = MEMTYPE_UC;
		found = true;
	}
	return found ? type : (u8)s->mtrr_def_type;
}

static void set_variable(struct msr_state *s, unsigned i, u8 maxphyaddr, u64 base, u64 size,
			 u8 type)
{
	s->mtrr_base[i] = base | type;
	s->mtrr_mask[i] = (~(size - 1) & ~beyond(maxphyaddr)) | MTRR_PHYS_MASK_VALID;
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

	for (unsigned i = 0; i < MSR_MTRR_FIXED; i++)
		s->mtrr_fixed[i] = ALL_WB;
	s->mtrr_fixed[fixed_index(MSR_MTRRfix16K_A0000)] = 0; /* the video window: UC */
	memset(s->mtrr_base, 0, sizeof(s->mtrr_base));
	memset(s->mtrr_mask, 0, sizeof(s->mtrr_mask));
	s->mtrr_def_type = MTRR_DEF_TYPE_E | MTRR_DEF_TYPE_FE | MEMTYPE_UC;

	next = cover(s, 0, maxphyaddr, 0, low_ram);
	next = cover(s, next, maxphyaddr, GIB(4), high_ram);
	if (next <= MSR_MTRR_VAR)
		return;
	memset(s->mtrr_base, 0, sizeof(s->mtrr_base));
	memset(s->mtrr_mask, 0, sizeof(s->mtrr_mask));
	s->mtrr_def_type = MTRR_DEF_TYPE_E | MTRR_DEF_TYPE_FE | MEMTYPE_WB;
	set_variable(s, 0, maxphyaddr, DEVICES_BASE, GIB(4) - DEVICES_BASE, MEMTYPE_UC);
}
