/* SPDX-License-Identifier: MIT */
/*
 * The guest's page tables. They are a random graph on TABLE_PAGES pages: each page has a usual
 * level, whose tables mostly point to the level below, but any page may be met at any level, as
 * data, or below itself. Only a few indices of each table are used, so that addresses meet.
 *
 * The pages at the end stay out of the game: RESERVED_PDPT holds PAE page-directory-pointer tables,
 * and the last three map all of the pages once more for the supervisor, at the window, which every
 * root has at index WINDOW_INDEX: through it the guest modifies its tables. Three more are the way
 * to a page table that grows, with 4-level paging: mostly there is but one.
 */
#include "oracle.h"

#define WINDOW_INDEX 300u
#define GROWING_INDEX 301u

enum {
	FREE_PAGES = TABLE_FREE_PAGES,
	RESERVED_PDPT = FREE_PAGES,
	GROWING_3,
	GROWING_2,
	GROWING_1,
	WINDOW_3,
	WINDOW_2,
	WINDOW_1
};
_Static_assert(WINDOW_1 == TABLE_PAGES - 1, "the pages for tables");

/* Frames of 4 KiB: memory of all kinds, devices, nothing. */
static const u64 data_frames[] = {
	0x100000,
	0x101000,
	0x102000,
	0x103000,
	0x104000,
	0x1ff000,
	0x200000,
	0x2ff000,
	0x3ff000,
	0x400000,
	0x7ff000,
	0x800000,
	HIGH_GPA,
	HIGH_GPA + 0x1000,
	HIGH_GPA + 0x1ff000,
	HIGH_GPA + 0x3ff000,
	HUGE_GPA,
	HUGE_GPA + 0x1000,
	HUGE_GPA + MIB(6),
	DEVICE_GPA,
	DEVICE_GPA + 0xf000,
	DEVICE_GPA + 0x10000,
	OVERLAY_GPA,
	0xd0000000,
};

/* Where large pages may be: wholly memory, partly, not at all. */
static const u64 large_frames[] = {
	0,
	MIB(2),
	MIB(4),
	MIB(6),
	MIB(8),
	HIGH_GPA,
	HIGH_GPA + MIB(2),
	HUGE_GPA,
	HUGE_GPA + MIB(4),
	DEVICE_GPA,
	OVERLAY_GPA & ~(MIB(4) - 1),
	0xd0000000,
};

static const u64 huge_frames[] = {0, HUGE_GPA, GIB(2), GIB(3), HIGH_GPA};

static const u16 indices[] = {0, 1, 2, 3, 4, 5, 16, 17, 20, 24, 256, 510, 511};
static const u16 indices_32bit[] = {0, 1, 2, 3, 4, 5, 16, 17, 20, 24, 768, 1022, 1023};

static u64 page_gpa(unsigned page)
{
	return TABLES_GPA + page * PAGE_SIZE;
}

static u64 pick_from(struct oracle *o, const u64 *list, unsigned nr)
{
	return list[pick(o, nr)];
}

u64 tables_data_page(struct oracle *o)
{
	return pick_from(o, data_frames, ARRAY_SIZE(data_frames));
}

/** A page whose usual level is `level`. */
static unsigned page_of_level(struct oracle *o, const struct vcpu *v, unsigned level)
{
	unsigned top = MAX(v->arch.top, 2u);

	return pick(o, FREE_PAGES / top) * top + level - 1;
}

static unsigned usual_level(const struct vcpu *v, unsigned page)
{
	return 1 + page % MAX(v->arch.top, 2u);
}

static u64 pick_flag(struct oracle *o, u64 flag, unsigned percent)
{
	return pick(o, 100) < percent ? flag : 0;
}

static u64 large_address(const struct vcpu *v, u64 frame)
{
	if (v->arch.mode == ARCH_32BIT)
		return (frame & 0xffc00000) | (frame >> 32 & 0xff) << 13;
	return frame;
}

/** A bit that is reserved, mostly; or any. */
static u64 strange_bit(struct oracle *o, const struct vcpu *v)
{
	unsigned m = v->r.maxphyaddr;

	switch (pick(o, 4)) {
	case 0:
		return BIT(m < 52 ? m + pick(o, 52 - m) : 51);
	case 1:
		return BIT(52 + pick(o, 12));
	case 2:
		return BIT(12 + pick(o, 18));
	default:
		return PTE_PS;
	}
}

static u64 entry_address(struct oracle *o, const struct vcpu *v, unsigned level, u64 *flags)
{
	unsigned what = pick(o, 100);

	if (level == 1)
		return what < 30 ? page_gpa(pick(o, TABLE_PAGES)) : tables_data_page(o);
	if (what < 20 && level < 4) {
		*flags |= PTE_PS;
		if (level == 3)
			return pick_from(o, huge_frames, ARRAY_SIZE(huge_frames));
		return large_address(v, pick_from(o, large_frames, ARRAY_SIZE(large_frames)));
	}
	if (what < 90)
		return page_gpa(page_of_level(o, v, level - 1));
	if (what < 97)
		return page_gpa(pick(o, TABLE_PAGES));
	return tables_data_page(o);
}

u64 tables_entry(struct oracle *o, const struct vcpu *v, unsigned level)
{
	u64 flags = 0, e = entry_address(o, v, level, &flags);

	flags |= pick_flag(o, PTE_P, 94) | pick_flag(o, PTE_W, 80) | pick_flag(o, PTE_U, 75) |
		 pick_flag(o, PTE_A, 75) | pick_flag(o, PTE_D, 50) | pick_flag(o, PTE_G, 20) |
		 pick_flag(o, PTE_PWT, 8) | pick_flag(o, PTE_PCD, 8) | pick_flag(o, BIT(9), 10);
	if (v->arch.mode == ARCH_4LEVEL && one_in(o, 3))
		flags |= (u64)pick(o, 128) << 52 | (u64)pick(o, 16) << 59;
	if (v->arch.bytes == 8 && v->arch.nxe)
		flags |= pick_flag(o, PTE_NX, 15);
	if (one_in(o, 40))
		flags ^= strange_bit(o, v);
	e |= flags;
	return v->arch.bytes == 4 ? (u32)e : e;
}

/** One thing about the entry is different. */
u64 tables_mutate(struct oracle *o, const struct vcpu *v, unsigned level, u64 entry)
{
	u64 other;

	switch (pick(o, 16)) {
	case 0:
	case 1:
		return entry & ~(u64)(PTE_A | PTE_D);
	case 2:
		return entry & ~(u64)PTE_D;
	case 3:
		return entry ^ PTE_A;
	case 4:
	case 5:
		return entry ^ PTE_W;
	case 6:
		return entry ^ PTE_U;
	case 7:
	case 8:
		return entry ^ PTE_P;
	case 9:
		return v->arch.bytes == 8 ? entry ^ PTE_NX : entry ^ PTE_G;
	case 10:
		return v->arch.mode == ARCH_4LEVEL ? entry ^ BIT(59 + pick(o, 4)) : entry ^ PTE_W;
	case 11:
		return entry ^ (one_in(o, 2) ? PTE_G : one_in(o, 2) ? PTE_PWT : PTE_PCD);
	case 12:
		return entry ^ strange_bit(o, v);
	case 13:
	case 14: /* the same, of something else */
		other = tables_entry(o, v, level);
		return (entry & ~v->arch.frame) | (other & v->arch.frame) | (other & PTE_PS);
	default:
		return tables_entry(o, v, level);
	}
}

static void store_entry(struct oracle *o, const struct vcpu *v, unsigned page, unsigned index,
			u64 entry)
{
	unsigned bytes = MAX(v->arch.bytes, 4u);

	memory_store(o, page_gpa(page) + index * bytes, &entry, bytes);
}

void tables_fill_page(struct oracle *o, const struct vcpu *v, unsigned page)
{
	const u16 *list = v->arch.bytes == 4 ? indices_32bit : indices;
	unsigned level = usual_level(v, page);

	if (page >= FREE_PAGES)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(indices); i++)
		store_entry(o, v, page, list[i], tables_entry(o, v, level));
	if (level == v->arch.top)
		store_entry(o, v, page, WINDOW_INDEX,
			    page_gpa(v->arch.top == 4 ? WINDOW_3 : WINDOW_1) | PTE_P | PTE_W |
				    pick_flag(o, PTE_A, 70));
	if (level == 4 && one_in(o, 2))
		store_entry(o, v, page, GROWING_INDEX,
			    page_gpa(GROWING_3) | PTE_P | PTE_W | PTE_U | PTE_A);
}

void tables_fill(struct oracle *o, const struct vcpu *v)
{
	u64 leaf = PTE_P | PTE_W | pick_flag(o, PTE_G, 50);

	for (unsigned page = 0; page < FREE_PAGES; page++)
		tables_fill_page(o, v, page);
	for (unsigned i = 0; i < PAGE_SIZE / 8; i++) {
		u64 pdpte = page_gpa(page_of_level(o, v, 2)) | (one_in(o, 12) ? 0 : PTE_P);

		memory_store(o, page_gpa(RESERVED_PDPT) + 8 * i, &pdpte, 8);
	}
	if (v->arch.top == 4) {
		store_entry(o, v, GROWING_3, 0, page_gpa(GROWING_2) | PTE_P | PTE_W | PTE_U);
		store_entry(o, v, GROWING_2, 0, page_gpa(GROWING_1) | PTE_P | PTE_W | PTE_U);
		store_entry(o, v, WINDOW_3, 0, page_gpa(WINDOW_2) | PTE_P | PTE_W);
		store_entry(o, v, WINDOW_2, 0,
			    one_in(o, 2) ? leaf | PTE_PS
					 : page_gpa(WINDOW_1) | PTE_P | PTE_W | PTE_A);
	}
	for (unsigned page = 0; page < TABLE_PAGES; page++)
		store_entry(o, v, WINDOW_1, page_gpa(page) >> PAGE_SHIFT,
			    page_gpa(page) | leaf | pick_flag(o, PTE_A | PTE_D, 50));
}

u64 tables_growing(void)
{
	return 0xffffull << 48 | (u64)GROWING_INDEX << 39;
}

u64 tables_window(const struct vcpu *v, u64 gpa)
{
	switch (v->arch.mode) {
	case ARCH_4LEVEL:
		return (0xffffull << 48 | (u64)WINDOW_INDEX << 39) + gpa;
	case ARCH_PAE:
		return ((u64)WINDOW_INDEX << 21) + gpa;
	case ARCH_32BIT:
		return ((u64)WINDOW_INDEX << 22) + gpa;
	default:
		return gpa;
	}
}

u64 tables_root(struct oracle *o, const struct vcpu *v)
{
	if (v->arch.mode == ARCH_PAE)
		return page_gpa(RESERVED_PDPT) + 32 * pick(o, 6);
	/* Few of them, so that one that was left is met again. */
	return page_gpa((pick(o, 4) + 1) * MAX(v->arch.top, 2u) - 1);
}

static u64 offset_in_page(struct oracle *o)
{
	if (one_in(o, 2))
		return indices[pick(o, ARRAY_SIZE(indices))] * 8;
	return pick(o, PAGE_SIZE / 8) * 8;
}

u64 tables_gva(struct oracle *o, const struct vcpu *v)
{
	static const u16 top[] = {0, 1, 256, 511}, upper[] = {0, 1, 2, 3, 511};
	static const u16 upper_32bit[] = {0, 1, 2, 768, 1023};
	u64 gva = offset_in_page(o);

	switch (v->arch.mode) {
	case ARCH_4LEVEL:
		gva |= (u64)top[pick(o, 4)] << 39;
		gva |= (u64)upper[pick(o, 3)] << 30;
		gva |= (u64)upper[pick(o, 5)] << 21;
		gva |= (u64)indices[pick(o, ARRAY_SIZE(indices))] << 12;
		return gva >> 47 ? gva | 0xffffull << 48 : gva;
	case ARCH_PAE:
		return gva | (u64)pick(o, 4) << 30 | (u64)upper[pick(o, 5)] << 21 |
		       (u64)indices[pick(o, ARRAY_SIZE(indices))] << 12;
	case ARCH_32BIT:
		return gva | (u64)upper_32bit[pick(o, 5)] << 22 |
		       (u64)indices_32bit[pick(o, ARRAY_SIZE(indices))] << 12;
	default:
		return gva |
		       (one_in(o, 3) ? page_gpa(pick(o, TABLE_PAGES)) : (u32)tables_data_page(o));
	}
}
