/* SPDX-License-Identifier: MIT */
/*
 * What is at a guest-physical address: memory, a hole, the overlay page or nothing, with EPT as the
 * judge; and of which memory type it is.
 */
#include "oracle.h"

/* The guest's MTRRs: a few runs of memory that are not write-back. */
static const struct {
	u64 from, to;
	u8 type;
} mtrrs[] = {
	{0x102000, 0x103000, MEMTYPE_UC},
	{MIB(4), MIB(6), MEMTYPE_WT},
	{HIGH_GPA + 0x1ff000, HIGH_GPA + MIB(2), MEMTYPE_WC},
	{HUGE_GPA + MIB(4), HUGE_GPA + MIB(8), MEMTYPE_WP},
	{DEVICE_GPA, DEVICE_GPA + DEVICE_SIZE, MEMTYPE_WC},
};

int land_guest_memtype(void *ctx, gpa_t gpa, u64 size)
{
	(void)ctx;
	for (unsigned i = 0; i < ARRAY_SIZE(mtrrs); i++) {
		if (gpa.v >= mtrrs[i].to || gpa.v + size <= mtrrs[i].from)
			continue;
		if (gpa.v >= mtrrs[i].from && gpa.v + size <= mtrrs[i].to)
			return mtrrs[i].type;
		return -1;
	}
	return MEMTYPE_WB;
}

bool memory_in_hole(const struct oracle *o, u64 gpa)
{
	for (unsigned i = 0; i < NR_HOLES; i++) {
		if (o->hole[i] == (gpa & PAGE_MASK))
			return true;
	}
	return false;
}

/** (c): the same by EPT. */
static bool ept_translate(const struct oracle *o, u64 gpa, u64 *hpa)
{
	const struct ept *e = (const struct ept *)o->ept;
	u64 entry = e->root.v;

	if (gpa >= ept_level_size(EPT_LEVELS + 1))
		return false;
	for (unsigned level = EPT_LEVELS; level; level--) {
		entry = ept_entry_table(e, entry)[ept_level_index(GPA(gpa), level)];
		if (!(entry & EPT_R))
			return false;
		if (ept_is_leaf(entry, level)) {
			u64 offset = ept_level_size(level) - 1;

			*hpa = (entry & EPT_ADDR_MASK & ~offset) | (gpa & offset);
			return true;
		}
	}
	return false;
}

struct outcome memory_land(struct oracle *o, u64 gpa)
{
	const struct gmem_slot *s = gmem_slot(&o->gm, GPA(gpa));
	struct outcome out = {.kind = OUTCOME_MMIO, .at = gpa};
	u64 hpa = 0;

	if (o->overlay && (gpa & PAGE_MASK) == OVERLAY_GPA)
		out = (struct outcome){.kind = OUTCOME_ALLOWED,
				       .at = OVERLAY_HPA + gpa % PAGE_SIZE,
				       .type = ANY_TYPE};
	else if (s && !memory_in_hole(o, gpa))
		out = (struct outcome){.kind = OUTCOME_ALLOWED, .at = s->hpa.v + (gpa - s->gpa.v)};
	if (ept_translate(o, gpa, &hpa) != (out.kind == OUTCOME_ALLOWED) ||
	    (out.kind == OUTCOME_ALLOWED && hpa != out.at))
		oracle_fail(o, NULL, "EPT translates %llx to %llx, which ought to be %llx",
			    (unsigned long long)gpa, (unsigned long long)hpa,
			    (unsigned long long)out.at);
	return out;
}

/** SDM volume 3, table 12-7 "Effective Page-Level Memory Types ...": rows are the MTRRs' types,
 *  columns the PAT's, from UC to UC-. */
static u8 effective_type(u8 mtrr, u8 pat)
{
	enum {
		UC = MEMTYPE_UC,
		WC = MEMTYPE_WC,
		WT = MEMTYPE_WT,
		WP = MEMTYPE_WP,
		WB = MEMTYPE_WB
	};
	static const u8 table[][8] = {
		[UC] = {UC, WC, 0, 0, UC, UC, UC, UC}, [WC] = {UC, WC, 0, 0, UC, UC, WC, WC},
		[WT] = {UC, WC, 0, 0, WT, WP, WT, UC}, [WP] = {UC, WC, 0, 0, WT, WP, WP, WC},
		[WB] = {UC, WC, 0, 0, WT, WP, WB, UC},
	};

	return table[mtrr][pat];
}

/** The PAT's type for a leaf: bits PWT and PCD, and the PAT bit at 7 or, of a large page, 12. */
static u8 pat_type(u64 pat, unsigned level, u64 leaf)
{
	unsigned index = (leaf >> 3 & 3) | (leaf >> (level > 1 ? 12 : 7) & 1) << 2;

	return pat >> 8 * index & 7;
}

struct outcome memory_land_typed(struct oracle *o, u64 gpa, unsigned level, u64 leaf)
{
	struct outcome out = memory_land(o, gpa);
	int mtrr = MEMTYPE_WB;

	if (out.kind != OUTCOME_ALLOWED || out.type == ANY_TYPE)
		return out;
	if (o->mtrrs)
		mtrr = land_guest_memtype(o, GPA(gpa & PAGE_MASK), PAGE_SIZE);
	/* With paging off there is no leaf, and the PAT has no say: `leaf` is 0 then. */
	out.type = effective_type((u8)mtrr, leaf ? pat_type(o->pat, level, leaf) : MEMTYPE_WB);
	return out;
}

u8 memory_shadow_type(const struct oracle *o, u64 hpa, unsigned level, u64 leaf)
{
	if ((hpa & PAGE_MASK) == OVERLAY_HPA)
		return ANY_TYPE;
	return effective_type(MEMTYPE_WB, pat_type(o->controls.pat, level, leaf));
}
