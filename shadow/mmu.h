/* SPDX-License-Identifier: MIT */
/*
 * The shadow MMU's own structures. docs/mmu.md tells the whole story; in short:
 *
 * A shadow page is one table that the processor walks. It shadows one table of the guest's in one
 * role, or ("direct") maps a run of guest-physical memory. Each present shadow entry keeps a copy
 * of the guest entry it was made from, and is on the list of what it leads to: a shadow page has a
 * list of its parents, a frame of guest memory (and each 2 MiB of it) a list of the entries that
 * map it.
 *
 * A shadow page is "in sync" while its guest table cannot be written without an exit, and "unsync"
 * otherwise. An unsync page is compared with the guest's table at the points where the architecture
 * has the guest invalidate translations; in between it may be stale, as a TLB may.
 */
#ifndef TV_SHADOW_MMU_H
#define TV_SHADOW_MMU_H

#include "guest/walk.h"
#include "paging_ops.h"
#include "shadow_counters.h"
#include "x86.h"

#define SHADOW_MAX_VCPUS 8

#define SHADOW_ENTRIES 512u

/** Page tables watched at a time: each new way to a table is held against all of them. */
#define SHADOW_WATCHED 64u

/** Entries remembered as filled last; a power of 2. */
#define SHADOW_RECENT 64u
#define SHADOW_ENTRY_BITS 9u

/** Bits 51:12. */
#define SPTE_ADDR_MASK 0x000ffffffffff000ull
#define SPTE_PAT_4K BIT(7)
#define SPTE_PAT_LARGE BIT(12)
#define SPTE_PKEY_MASK (15ull << 59)

/** The processor's IA32_PAT in this mode: byte n is a memory type, see pat_index_of(). Entries 0, 2
 *  and 3 are those of a reset, and 1 is what the host's own page tables use for the screen. */
#define SHADOW_PAT 0x0007050400070106ull

/** An entry about which nothing is known. Its address bits reach beyond any processor's memory: a
 *  page fault for a reserved bit, with P=1, and nothing that a processor could have in its cache.
 */
#define SPTE_UNKNOWN (SPTE_ADDR_MASK | PTE_P)

/** The guest's IA32_PAT at reset. */
#define SHADOW_PAT_RESET 0x0007040600070406ull

/** "No entry": shadow page 0 is not used. */
#define NO_REF 0u

/* A head of a list of entries: the first one's number, and flags. */
#define HEAD_REF_MASK 0x3fffffffu
#define HEAD_PROTECTED BIT(31) /* of a frame: a table is in sync: no entry may allow writes */
#define HEAD_HOLE BIT(30)      /* of a frame: a device covers it */

enum shadow_mode { MODE_32BIT, MODE_PAE, MODE_4LEVEL };

/** All that, besides the guest's table, decides what is in a shadow page. */
union role {
	struct {
		u32 level : 3;	  /* 1: page table */
		u32 mode : 2;	  /* enum shadow_mode; direct: 0 */
		u32 direct : 1;	  /* shadows no table: maps memory from `gfn` on */
		u32 quadrant : 2; /* 32-bit paging: which part of the guest's 1,024 entries */
		u32 nxe : 1;
		u32 pse : 1;  /* 32-bit paging: CR4.PSE */
		u32 wp0 : 1;  /* CR0.WP is 0: see compose_leaf() */
		u32 smep : 1; /* ... and CR4.SMEP is 1 */
		/* Of the path above, where the entries there do not say it: with wp0. Else 7. */
		u32 access : 3;
		/* Direct: of the large page that is mapped in small ones. */
		u32 pat : 4; /* PAT index, or ROLE_NO_PAT */
		u32 global : 1;
		u32 pkey : 4;
	};
	u32 word;
};

/** With paging off the PAT has no say. */
#define ROLE_NO_PAT 8u

#define ACCESS_W 1u
#define ACCESS_U 2u
#define ACCESS_X 4u
#define ACCESS_ALL 7u

struct shadow_page {
	u64 gfn;	   /* the guest's table, or (direct) the first frame mapped */
	const void *table; /* the guest's entries, where this program sees them; direct: NULL */
	union role role;
	u32 number;    /* of this page, counted from the start of the pool */
	u32 hash_next; /* the next one with this hash, or free */
	u32 parents;   /* head of the list of entries that lead here */
	u32 owner;     /* see adopt(): the only root that leads here, OWNER_NONE or OWNER_SHARED */
	/* The list of unsync pages this one is on, and its neighbours there; NULL: in sync. */
	u32 *unsync_head;
	u32 unsync_next, unsync_prev;
	u32 unsync[2]; /* of a root: heads of the lists of its own unsync pages */
	u64 synced[2]; /* ... and the operation that compared them last */
	u16 present;   /* entries */
	u16 pins;      /* vcpus that have it as a root */
	u16 clean;     /* times in a row that a comparison found nothing */
	u16 patience;  /* times until the guest's table is write-protected */
	u8 grown;      /* faults of the guest's on entries that were not present */
	u8 rewritten;  /* watched: entries written that were present */
	bool used;
	bool in_sync;
	bool watched;			 /* see watch.c */
	bool referenced;		 /* since the clock of reclaim last came by */
	u64 bitmap[SHADOW_ENTRIES / 64]; /* present entries */
};

#define OWNER_NONE 0u
#define OWNER_SHARED ~0u

/* Unsync lists: page tables apart from the tables above them, all of which an INVLPG concerns. */
enum unsync_kind { UNSYNC_LEAF, UNSYNC_UPPER };

struct shadow_link {
	u32 next, prev;
};

/** 2 MiB of guest-physical space. */
struct shadow_region {
	u32 head;	  /* large entries that map it */
	u16 small;	  /* reasons to map it in small pages: protected tables, holes */
	u8 fit;		  /* enum region_fit */
	const u64 *types; /* its row of shadow.type_bits; NULL: unknown, or it has several */
};

enum region_fit { FIT_UNKNOWN, FIT_LARGE, FIT_SMALL };

/** A run of guest memory. */
struct shadow_slot {
	u64 gfn, nr; /* frames */
	u64 hpa;
	u8 *hva;
	u32 *head;		      /* one for each frame */
	struct shadow_region *region; /* from the one that holds `gfn` on */
};

/** A PCID when it was last in use. */
struct shadow_pcid {
	u64 gfn;     /* of the root */
	u64 filled;  /* shadow.filled at the end */
	u64 flushed; /* shadow_vcpu.nr_flushed at the end */
	u16 pcid;
	bool known;
};

#define SHADOW_PCIDS 16

/** Addresses remembered as flushed last. */
#define SHADOW_FLUSHED 16

/** What load() was told, made ready for use. */
struct shadow_vcpu {
	struct walk_regs regs;
	bool paging;
	bool silent;	 /* see paging_ops.silent */
	u8 levels;	 /* of the guest's tables: 4 or 2 */
	union role role; /* of the root, without quadrant */
	u32 root[4];	 /* shadow pages; 4-level: the first only */
	u64 *pdpt;	 /* PAE format: four PDPTEs for the processor */
	hpa_t pdpt_hpa;
	struct shadow_pcid pcid[SHADOW_PCIDS]; /* by pcid_slot() */
	/* By INVLPG: address n of all is at n % SHADOW_FLUSHED. */
	u64 flushed[SHADOW_FLUSHED];
	u64 nr_flushed;
	u8 spurious; /* faults in a row for which nothing was missing, at spurious_gva */
	u64 spurious_gva;
	bool folded; /* for an implicit write at folded_gva, the last one */
	u64 folded_gva;
};

enum shadow_flush { FLUSH_NOTHING, FLUSH_ADDRESS, FLUSH_ALL };

struct shadow {
	struct paging base;
	struct paging_env env;
	const struct gmem *gm;

	/* The pool. Arrays, one element for each entry ("ref": page number * 512 + index). */
	u64 *spt;  /* what the processor reads */
	u64 *snap; /* the guest entries they were made from */
	struct shadow_link *link;
	u64 spt_hpa;
	struct shadow_page *page;
	u32 nr_pages, free_list, nr_free, clock;

	u32 *hash;
	u32 hash_mask;

	struct shadow_slot slot[GMEM_MAX_SLOTS + 1];
	unsigned nr_slots;
	const struct shadow_slot *last_slot;
	u64 overlay_gfn, overlay_hpa; /* hpa 0: none */
	u32 overlay_head;

	u32 unsync[2]; /* shared unsync pages */
	u64 synced[2]; /* the operation that compared them last */
	/* The entries filled last: entry n of all is at n % SHADOW_RECENT. */
	u32 recent[SHADOW_RECENT];
	u64 filled;
	enum shadow_flush flush;
	gva_t flush_gva;

	u64 pat;	     /* the guest's */
	u64 op;		     /* number of the operation on hand */
	u64 type_bits[8][9]; /* entry bits by the guest's MTRR type, and PAT index or ROLE_NO_PAT */
	u64 pte_reserved[3][2]; /* bits that must be 0 in a page-table entry, by mode and NXE */
	u64 unknown;		/* SPTE_UNKNOWN; 0 where no bit of an address is reserved */
	u32 watched[SHADOW_WATCHED], nr_watched;
	u8 maxphyaddr; /* of the guest's CPUID */
	u64 cr3_mask;  /* the bits of an address */
	bool has_1g;
	bool narrow, wide; /* guest tables of 4 and of 8 bytes an entry are in use */
	struct shadow_vcpu vcpu[SHADOW_MAX_VCPUS];
	u64 counter[NR_SHADOW_COUNTERS];
};

static inline struct shadow *to_shadow(struct paging *p)
{
	return (struct shadow *)p;
}

static inline void count(struct shadow *s, enum shadow_counter c)
{
	s->counter[c]++;
}

/* --- entries ------------------------------------------------------------------------------- */

static inline u32 ref_of(const struct shadow_page *sp, unsigned index)
{
	return sp->number << SHADOW_ENTRY_BITS | index;
}

static inline struct shadow_page *page_of_ref(const struct shadow *s, u32 ref)
{
	return &s->page[ref >> SHADOW_ENTRY_BITS];
}

static inline u64 page_hpa(const struct shadow *s, const struct shadow_page *sp)
{
	return s->spt_hpa + (u64)sp->number * PAGE_SIZE;
}

/** The shadow page that a present entry leads to. */
static inline struct shadow_page *child_of(const struct shadow *s, u64 spte)
{
	return &s->page[((spte & SPTE_ADDR_MASK) - s->spt_hpa) >> PAGE_SHIFT];
}

static inline unsigned level_shift(unsigned level)
{
	return PAGE_SHIFT + SHADOW_ENTRY_BITS * (level - 1);
}

static inline unsigned level_index(u64 gva, unsigned level)
{
	return gva >> level_shift(level) & (SHADOW_ENTRIES - 1);
}

/** Frames that one entry of a table at this level covers. */
static inline u64 level_frames(unsigned level)
{
	return 1ull << (SHADOW_ENTRY_BITS * (level - 1));
}

/** Does an entry lead anywhere? Only then its A flag is set. */
static inline bool spte_present(u64 spte)
{
	return spte & PTE_A;
}

static inline bool spte_is_leaf(u64 spte, unsigned level)
{
	return level == 1 || (spte & PTE_PS);
}

/** The guest's entry that entry `index` of a page that is not direct shadows. */
static inline u64 read_guest_entry(const struct shadow_page *sp, unsigned index)
{
	if (sp->role.mode != MODE_32BIT)
		return __atomic_load_n((const u64 *)sp->table + index, __ATOMIC_RELAXED);
	/* A directory entry of 32-bit paging covers 4 MiB: two entries here. */
	return __atomic_load_n((const u32 *)sp->table + (sp->role.level == 2 ? index >> 1 : index),
			       __ATOMIC_RELAXED);
}

/** Entry bits that are the guest's own in a leaf. A reserved one would not have come here. */
#define LEAF_KEPT (PTE_U | PTE_G | PTE_NX | SPTE_PKEY_MASK)

/** The rights in a leaf of the guest's, which may be written to once it is dirty. The hardware's
 * own A and D are set, so that it has nothing to write here. */
static inline u64 leaf_rights(u64 entry)
{
	u64 w = entry & entry >> 5 & PTE_W; /* W and D, at the place of W */

	return (entry & LEAF_KEPT) | PTE_P | PTE_A | w | w << 5;
}

/** compose_leaf() of a page-table entry of the guest's where CR0.WP is 1. */
static inline u64 compose_small(const u64 *types, u64 entry)
{
	return leaf_rights(entry) | types[(entry >> 3 & 3) | (entry >> 5 & 4)];
}

/* spte.c */

/** What keeps the supervisor's write from a page of the user's, for the processor, whose CR0.WP is
 *  1, but not for a guest whose CR0.WP is 0. */
enum fold {
	FOLD_NOTHING,
	FOLD_READ_ONLY, /* the entries of its path */
	FOLD_KEY,	/* or its protection key */
};

/** Take an entry of any kind away; nothing happens where none is present. */
void spte_drop(struct shadow *s, u32 ref);

/** Take away all entries of a list. */
void spte_drop_list(struct shadow *s, u32 *list);

/** The bits that a leaf has besides its address: of a guest entry, at `level`, in a page with this
 *  role. @entry is the guest's, or role_entry(); `types` the row of shadow.type_bits for the frame;
 *  `fold`: with CR0.WP=0, let the supervisor write to the user's page all the same. */
u64 compose_leaf(union role role, unsigned level, u64 entry, const u64 *types, enum fold fold);

/** In a direct page: a guest entry that says what the role says, but for the PAT index. */
u64 role_entry(union role role);

/** The PAT index in a guest's entry that maps a page. */
unsigned guest_pat_index(u64 entry, bool large);

/** The bits of an entry that leads to another shadow page; `leaf`: for the guest it maps a page. */
u64 compose_link(union role parent, u64 entry, bool leaf);

/** The first frame that entry `index` of this page maps (`leaf`), or the table it leads to. */
u64 entry_frame(const struct shadow_page *sp, unsigned index, u64 entry, bool leaf);

void spte_init_types(struct shadow *s);

/* --- guest memory -------------------------------------------------------------------------- */

/** Where a guest frame is. */
struct target {
	u64 hpa;
	u32 *list;
	struct shadow_region *region; /* NULL: the overlay page */
	const struct shadow_slot *slot;
};

/** The slot that was found last has this frame: most have. */
static inline bool in_last_slot(const struct shadow *s, u64 gfn)
{
	return gfn - s->last_slot->gfn < s->last_slot->nr;
}

/* frames.c */

/** Make the arrays for all guest memory; a sentence in `err` where that fails. */
bool frames_init(struct shadow *s, char *err);

const struct shadow_slot *frames_slot(struct shadow *s, u64 gfn);

/** False: no memory there, or a device covers it. */
bool frames_find(struct shadow *s, u64 gfn, struct target *t);

/** May the 2 MiB that hold `gfn` be mapped by one entry? Then `*t` is what it maps. */
bool frames_find_large(struct shadow *s, u64 gfn, struct target *t);

/** A zeroed array from the page pool, contiguous in both address spaces; NULL: there is not so much
 *  of it in one piece. */
void *shadow_take(const struct paging_env *env, u64 bytes, hpa_t *hpa);

/** Where this program sees guest memory; NULL: it is none. */
const void *frames_ptr(const struct shadow *s, u64 hpa);

/** The list that a present leaf is on. */
u32 *frames_list(struct shadow *s, u64 spte, unsigned level);

/** The row of shadow.type_bits for the frame. */
const u64 *frames_types(struct shadow *s, const struct target *t, u64 gfn);

/** The guest's MTRRs or its PAT have changed: look at them again. */
void frames_new_types(struct shadow *s);

static inline struct shadow_region *region_of(const struct shadow_slot *slot, u64 gfn)
{
	return &slot->region[(gfn >> SHADOW_ENTRY_BITS) - (slot->gfn >> SHADOW_ENTRY_BITS)];
}

/* --- pages --------------------------------------------------------------------------------- */

/* page.c */

bool pool_init(struct shadow *s, char *err);

/** At least so many pages are free after this; unused ones are reclaimed. Pages that are not pinned
 * may be gone afterwards. */
void pool_reclaim(struct shadow *s, u32 nr);

static inline void pool_reserve(struct shadow *s, u32 nr)
{
	if (__builtin_expect(s->nr_free < nr, 0))
		pool_reclaim(s, nr);
}

struct shadow_page *page_find(struct shadow *s, u64 gfn, union role role);

/** The pages that shadow the guest's table in this frame: the first, or the next after `sp`. */
struct shadow_page *page_first(struct shadow *s, u64 gfn);
struct shadow_page *page_next(struct shadow *s, const struct shadow_page *sp);

/** A new page, empty; for one that shadows a table, `table` is where the guest's page is. A page is
 *  free: pool_reserve(). */
struct shadow_page *page_create(struct shadow *s, u64 gfn, union role role, const void *table);

/** Take a page down: its entries, those that lead to it, the page itself unless it is pinned. */
void page_zap(struct shadow *s, struct shadow_page *sp);

/** All pages; roots stay, but empty. */
void page_zap_all(struct shadow *s);

void unsync_add(struct shadow *s, struct shadow_page *sp);
void unsync_remove(struct shadow *s, struct shadow_page *sp);

/** `sp` gets a parent of this owner: note whether it can be reached from one root only. */
void adopt(struct shadow *s, struct shadow_page *sp, u32 owner);

/* sync.c */

/** Compare a page with the guest's table now. Does nothing for one that is in sync or direct. */
void sync_page(struct shadow *s, struct shadow_page *sp);

/** Compare the unsync pages of a kind that can be reached from this root, or from any; once in an
 *  operation. */
void sync_lists(struct shadow *s, u32 owner, enum unsync_kind kind);

/** Take down the unsync pages that have no entries left. */
void prune_lists(struct shadow *s, u32 owner);

/** The guest is about to write, or has written, to a frame that is protected. */
void unprotect_frame(struct shadow *s, u64 gfn, u32 *head);

/** A page of this frame is in sync no longer: perhaps none is. */
void protection_over(struct shadow *s, u64 gfn);

/** prefetch() (entry.h), in the cases that are not common. */
bool prefetch_rare(struct shadow *s, const struct shadow_page *sp, u32 ref, u64 entry);

/** Write-protect the guest's table of an unsync page, and compare it. */
void sync_and_protect(struct shadow *s, struct shadow_page *sp);

/* watch.c */

/** The guest faulted on an entry of `sp`, a page table in which it is not present. */
void watch_growth(struct shadow *s, struct shadow_vcpu *vc, struct shadow_page *sp, u64 gva);

void unwatch(struct shadow *s, struct shadow_page *sp);
void unwatch_all(struct shadow *s);

/** There are new ways to tables: whatever has more than one now, or one that is not in sync, is not
 *  watched any more. */
void unwatch_reached(struct shadow *s);

/** Is a write to this frame, which is protected, worth emulating? */
bool watch_emulates(struct shadow *s, u64 gfn);

/** [gpa, gpa+len) of a frame that is protected was written. False: unprotect it. */
bool watch_wrote(struct shadow *s, gpa_t gpa, u64 len);

/* link.c */

/** Lead from the entry `ref`, made from the guest's `entry`, to the page for the role that it asks
 *  for, which is made where there is none. `leaf`: the guest's entry maps a page. */
struct shadow_page *link_child(struct shadow *s, u32 ref, u64 entry, bool leaf);

/** The role of the page below entry `index`. */
union role child_role(const struct shadow_page *sp, unsigned index, u64 entry, bool leaf);

/** A guest's table in host memory, or NULL: no memory there. */
const void *guest_table(struct shadow *s, u64 gfn, union role role);

/** Link a new root with those tables below it that are in the cache: the kernel's, most likely. */
void prefill_root(struct shadow *s, struct shadow_page *sp);

/** The registers that decide what an entry in a page with this role means. */
void role_regs(const struct shadow *s, union role role, struct walk_regs *r);

/* fault.c */
enum paging_verdict shadow_page_fault(struct paging *p, unsigned vcpu, const struct walk_regs *r,
				      gva_t gva, u32 pferr, struct paging_fault *out);

/* load.c */
hpa_t shadow_load(struct paging *p, unsigned vcpu, const struct walk_regs *r);
hpa_t shadow_load_cr3(struct paging *p, unsigned vcpu, const struct walk_regs *r, bool keep);
const void *shadow_peek(const struct paging *p, unsigned vcpu, gva_t gva);
void shadow_invpcid(struct paging *p, unsigned vcpu, u16 pcid, const gva_t *gva);
void shadow_invlpg(struct paging *p, unsigned vcpu, const struct walk_regs *r, gva_t gva);
void shadow_flush(struct paging *p, unsigned vcpu);

/* shadow.c */
void shadow_memtypes(struct paging *p, u64 pat);

/** The root for `gva`; NULL: none, a PDPTE is not present. */
static inline struct shadow_page *root_of(const struct shadow *s, const struct shadow_vcpu *vc,
					  u64 gva)
{
	u32 n = vc->levels == 4 ? vc->root[0] : vc->root[gva >> 30 & 3];

	return n ? &s->page[n] : NULL;
}

/** Who owns what the vcpu's roots lead to. */
static inline u32 root_owner(const struct shadow_vcpu *vc)
{
	return vc->levels == 4 ? vc->root[0] : OWNER_SHARED;
}

/* --- operations ----------------------------------------------------------------------------- */

static inline void want_flush_all(struct shadow *s)
{
	s->flush = FLUSH_ALL;
}

/** The beginning of every operation that compares tables. */
static inline void op_begin(struct shadow *s)
{
	s->op++;
}

/** Have the processors forget what they must. */
void flush_now(struct shadow *s);

/** The end of every operation: nothing that was taken away may be used once the guest runs. */
static inline void op_end(struct shadow *s)
{
	if (s->flush != FLUSH_NOTHING)
		flush_now(s);
}

#endif
