/* SPDX-License-Identifier: MIT */
/* Extended page tables (SDM volume 3, section 29.3 "The Extended Page Table Mechanism (EPT)"). */
#ifndef TV_EPT_H
#define TV_EPT_H

#include "paging_ops.h"

/* EPT entries, tables 29-1 to 29-7. */
#define EPT_R BIT(0)
#define EPT_W BIT(1)
#define EPT_X BIT(2)
#define EPT_RWX (EPT_R | EPT_W | EPT_X)
#define EPT_MEMTYPE_SHIFT 3
#define EPT_IPAT BIT(6)
#define EPT_LARGE BIT(7)
#define EPT_ACCESSED BIT(8)
#define EPT_DIRTY BIT(9)
#define EPT_SUBPAGES BIT(61)
#define EPT_ADDR_MASK 0x000ffffffffff000ull

/** Ours, in an entry that leads to a table, where the processor ignores bits 63:52: the table took
 *  the place of a large page (hole.c). */
#define EPT_SPLIT BIT(52)

#define EPT_LEVELS 4
#define EPT_ENTRIES 512

/* The EPT pointer, table 25-9. */
#define EPTP_WALK_4 (3ull << 3)

/** A page that is not guest memory and that nothing writes to. */
struct ept_rom {
	gpa_t gpa;
	hpa_t hpa;
};

struct ept {
	struct paging base;
	struct paging_env env;
	hpa_t root;
	u64 eptp;
	u64 max_leaf; /* the largest page the processor has, bytes */
	hpa_t spare;  /* tables that are not needed now, each with the next one's address; 0: end */
	struct paging_summary summary;
	u64 ever_dirty; /* pages found dirty so far, each counted once */
	u64 overlay;	/* the entry of the APIC-access page, 0: not mapped */
	gpa_t overlay_gpa;
	u64 spoiled; /* the entry that ept_spoil() changed, as it was; 0: none */
	struct ept_rom rom[1];
	unsigned rom_pages;
};

extern const struct paging_ops ept_ops;

/**
 * Map [gpa, gpa+size) to [hpa, ...) with read, write and execute permission, in the largest pages
 * that both alignments, the processor and the memory types allow.
 * False: the page pool is used up, or part of the range is mapped already.
 */
bool ept_map(struct ept *e, gpa_t gpa, hpa_t hpa, u64 size);

/** The entry that maps the 4 KiB page at `gpa`; NULL: there is none of that size. */
u64 *ept_entry(const struct ept *e, gpa_t gpa);

/** paging_ops.dirty (dirty.c). */
void ept_dirty(struct paging *p, const u32 *gfn, u64 nr, bool clear, struct paging_dirty *d);

/** Called for each leaf: guest-physical address, entry, bytes mapped. */
typedef void (*ept_leaf_fn)(void *ctx, gpa_t gpa, u64 entry, u64 size);

/** Visit every present leaf, in ascending order. */
void ept_for_each_leaf(const struct ept *e, ept_leaf_fn fn, void *ctx);

/** paging_ops.set_hole, in hole.c. */
bool ept_set_hole(struct paging *p, gpa_t gpa, bool hole);

/** Split large pages until `gpa` is in one of 4 KiB. The caller invalidates translations. False:
 *  there is no page, or the page pool is used up. */
bool ept_make_small(struct ept *e, gpa_t gpa);

/** paging_ops.spoil, in spoil.c. */
bool ept_spoil(struct paging *p, gpa_t gpa, enum paging_spoil how);

/** An empty table, from those that are not needed now or else from the pool, and its address.
 *  NULL: the pool is used up. */
u64 *ept_take_table(struct ept *e, hpa_t *hpa);

/** The table that `entry` leads to is not needed now. */
void ept_give_table(struct ept *e, u64 entry);

/** Bytes that one entry of a table at `level` covers; level 1 is the page table. */
static inline u64 ept_level_size(unsigned level)
{
	return PAGE_SIZE << (9 * (level - 1));
}

static inline unsigned ept_level_index(gpa_t gpa, unsigned level)
{
	return (gpa.v / ept_level_size(level)) % EPT_ENTRIES;
}

static inline u64 *ept_entry_table(const struct ept *e, u64 entry)
{
	return e->env.page_ptr(e->env.ctx, HPA(entry & EPT_ADDR_MASK));
}

static inline bool ept_is_leaf(u64 entry, unsigned level)
{
	return level == 1 || (entry & EPT_LARGE);
}

#endif
