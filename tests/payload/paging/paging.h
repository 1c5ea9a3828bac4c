/* SPDX-License-Identifier: MIT */
/*
 * Paging as software sees it: what a page-table entry and the control registers allow, in every
 * paging mode, in ring 0 and in ring 3.
 *
 * A test is a list of steps (store an entry, INVLPG, read, write, fetch ...), each with what has to
 * come of it. run_steps() executes the list in the paging mode that a world describes, and compares
 * afterwards: 32-bit modes are entered once for a whole list, and the TLB lives as long as that.
 * What has to come of an access is written down by hand, or said by the model in model.c.
 */
#ifndef TV_PAYLOAD_PAGING_H
#define TV_PAYLOAD_PAGING_H

#include "control_regs.h"
#include "payload.h"
#include "types.h"
#include "x86.h"

/* Bits of entries that x86.h has not got. */
#define PTE_PAT BIT(7)		   /* of a 4 KiB page */
#define PTE_LARGE_PAT BIT(12)	   /* of a large one */
#define PTE_LARGE_RESERVED BIT(13) /* the lowest address bit that no 2 MiB page has */
#define PDE_4M_RESERVED BIT(21)
#define PTE_PKEY(n) ((u64)(n) << 59)
#define PTE_ADDRESS 0x000ffffffffff000ull

/** A page or table that everybody may use for everything. */
#define OPEN (PTE_P | PTE_W | PTE_U | PTE_A)

/* Error codes (SDM volume 3, section 4.7 "Page-Fault Exceptions"). */
#define PF_P BIT(0)
#define PF_W BIT(1)
#define PF_U BIT(2)
#define PF_RSVD BIT(3)
#define PF_I BIT(4)
#define PF_PK BIT(5)

enum paging_mode { MODE_OFF, MODE_32, MODE_PAE, MODE_64, NR_MODES };

/** The shape of a mode's tables. Levels are counted from 1, the table that maps 4 KiB pages. */
struct mode_info {
	const char *name;
	unsigned levels, index_bits, entry_bytes;
};
extern const struct mode_info mode_info[NR_MODES];

/** The lowest bit of the linear address that selects an entry of `level`. */
unsigned level_shift(enum paging_mode mode, unsigned level);

/** What the processor has. */
struct cpu_features {
	bool nx, smep, smap, pge, pcid, invpcid, pku, gib_pages, hypervisor;
	unsigned maxphyaddr;
};
extern struct cpu_features has;

/** The control registers of a world. EFER: only NX counts. */
struct controls {
	enum paging_mode mode;
	u64 cr0, cr4, efer;
	u32 pkru;
};

/* access.asm */

enum access_kind {
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_FETCH, /* CALL it: there should be a RET */
	NR_ACCESS_KINDS,
	ACCESS_READ4 = NR_ACCESS_KINDS, /* 32 bits in all modes */
	ACCESS_WRITE4,
	ACCESS_PUSH, /* with the stack pointer at the address: in 32-bit modes from ring 3 only */
	ACCESS_CALL, /* a routine at another address, the same way */
};
#define ACCESS_KIND 7u
#define ACCESS_USER BIT(4)
#define ACCESS_AC BIT(5) /* with RFLAGS.AC set */

/* model.c */

#define MAX_LEVELS 4

struct verdict {
	bool fault;
	u32 error;
	u64 phys;
	u64 after[MAX_LEVELS + 1]; /* the entries then */
	u64 may[MAX_LEVELS + 1]; /* bits that may be set besides, or not: A on the way to a fault */
};

/** What comes of an access to `addr` whose way leads through entry[levels] to entry[1] (or ends
 *  earlier), by the SDM. */
void predict(const struct controls *c, const u64 *entry, u64 addr, u32 access, struct verdict *v);

/** Is this entry the last one of the way: does it map a page? */
bool entry_is_leaf(const struct controls *c, unsigned level, u64 entry);

/* world.c: memory, tables and address spaces. */

/* Physical memory of 64 MiB: the payload itself is below ARENA. */
#define ARENA MIB(16)
#define ARENA_END MIB(36)
#define STEPS MIB(36) /* the list of steps */
#define STEPS_END MIB(40)
#define FRAME_1G 0ull /* frames for large pages, by their start ... */
#define FRAME_4M MIB(48)
#define FRAME_2M MIB(44)
#define WINDOW_PDE 20u /* ... and the window's place in them: 40 MiB in that of 1 GiB */
#define WINDOW_PTE 7u

#define SELECTOR_CODE64 0x08
#define SELECTOR_DATA 0x10

/** An address space with a window: one page whose way through the tables is there to be varied. */
struct world {
	struct controls c;
	u64 root;		   /* CR3 */
	u64 window;		   /* linear address */
	u64 slot[MAX_LEVELS + 1];  /* physical addresses of the window's entries */
	u64 user_code, user_stack; /* linear addresses */
};

/** Before everything else: descriptors, interrupt table, what the processor has. */
void world_init(void);

/** Begin anew: all memory of the arena is free. */
void arena_reset(void);

/** A page of the arena, cleared; its physical, and in 64-bit mode its linear address. */
u64 page_new(void);

/** A page whose words say which it is: mark() of their address, and begin with a RET. */
u64 frame_new(void);
void frame_mark(u64 phys);
u64 mark(u64 phys);

/** Build a world: the payload mapped one to one for ring 0, the code of ring 3 for ring 3, and
 *  tables for the window whose entries are all OPEN, to a frame_new(). */
void world_build(struct world *w, enum paging_mode mode);

/** Put an entry of `level` (1: of a 4 KiB page) where `addr` finds it; tables on the way are OPEN
 * and made as needed. */
void world_map(struct world *w, u64 addr, u64 entry, unsigned level);

u64 entry_read(enum paging_mode mode, u64 slot);

/** The physical address of the entry of `level` for `addr`; tables on the way must be there. */
u64 world_slot(const struct world *w, u64 addr, unsigned level);

/** The page that the entry at `slot` leads to. */
static inline u64 leads_to(const struct world *w, u64 slot)
{
	return entry_read(w->c.mode, slot) & PTE_ADDRESS;
}

/** Where a page at `addr` that shows a table has the entry at `slot`. */
static inline u64 shown(u64 addr, u64 slot)
{
	return addr | (slot & ~PAGE_MASK);
}

/** The size of an entry. */
static inline u64 entry_bytes(const struct world *w)
{
	return mode_info[w->c.mode].entry_bytes;
}
void entry_write(enum paging_mode mode, u64 slot, u64 value);

/* steps.c */

/** What came of an access: NO_VECTOR, or an exception. */
struct access_result {
	u32 vector, error;
	u64 cr2, value;
};

enum step_op {
	STEP_END,
	STEP_STORE, /* an entry, by its physical address */
	STEP_LOAD,  /* an entry: compare */
	STEP_INVLPG,
	STEP_ACCESS,
	STEP_CR0,
	STEP_CR3,
	STEP_CR4,
	STEP_INVPCID, /* in 64-bit mode: the descriptor is `value`, then `address` */
};

#define NO_VECTOR 0xffffffffu

/** Known to legacy.asm, too. */
struct step {
	u32 op, access;
	u64 address, value;
	u64 got;
	u32 vector, error;
	u64 cr2;
	/* For the comparison. */
	u64 want, may;
	u32 want_vector, want_error;
	u64 want_cr2;
	u8 begins;   /* the first step of a check */
	u8 spurious; /* it may also work, or the other way round */
	u8 either;   /* the value may also be want_cr2 */
	u8 type;     /* of INVPCID */
	u32 reserved;
};
#define STEP_BYTES 88
_Static_assert(sizeof(struct step) == STEP_BYTES, "legacy.asm knows it");

/** Throw away the list and begin another one, for this world. */
void steps_begin(const struct world *w);

/** Begin another check: what a message about a mismatch shows starts here. */
void step_check(void);

void step_store(u64 slot, u64 value);
void step_load(u64 slot, u64 want, u64 may);
void step_invlpg(u64 addr);
void step_cr(enum step_op op, u64 value);
void step_cr_faults(enum step_op op, u64 value, u32 vector);

/** An access that works, and leads to `phys`: reads mark(phys), writes `value` there (and the list
 *  goes on to see that it did), executes a RET. */
void step_works(u32 access, u64 addr, u64 phys);

/** An access that raises #PF with this error code, and CR2 the address. */
void step_faults(u32 access, u64 addr, u64 error);

/** The same with another address in CR2. */
void step_faults_at(u32 access, u64 addr, u64 error, u64 cr2);

/** An access that may raise #PF, because the processor may still know lesser rights (SDM volume 3,
 *  section 4.10.4.3 "Optional Invalidation"); then it works at the next try. */
void step_gains(u32 access, u64 addr, u64 phys, u64 error);

/** A write that works, and nobody looks where to. */
void step_write(u32 access, u64 addr, u64 value);

/** A read that gives `want`, but for the bits of `may`. */
void step_reads(u32 access, u64 addr, u64 want, u64 may);

/** A read that gives mark(a) or mark(b): it is up to the processor. */
void step_reads_either(u32 access, u64 addr, u64 a, u64 b);

/** INVPCID of this type; NO_VECTOR, or the exception it has to raise. */
void step_invpcid(u64 type, u64 pcid, u64 addr, u32 vector);

/** Run the list in its world, compare, and begin another one. */
void steps_run(void);

/** Is there room for another check of at most 32 steps? */
bool steps_room(void);

/** Check what came of an access_now(): `vector` or NO_VECTOR; of an exception also the rest. */
bool check_result(const char *what, struct access_result r, u32 vector, u64 error, u64 cr2);

/** Print "name: N checks": what was compared since the last call. */
void say_count(const char *name);

/* exec.c: the processor. */

/** Descriptors, interrupt tables. */
void exec_init(void);

/** Entries of the interrupt stack table that #PF and #DF use. */
#define PF_STACK 1
#define DF_STACK 2

/** SDM volume 3, figure 8-11 "64-Bit TSS Format". */
struct tss64 {
	u32 reserved0;
	u64 rsp0, rsp1, rsp2, reserved1, ist[7], reserved2;
	u16 reserved3, io_map;
} __attribute__((packed));
extern struct tss64 tss64;

/** Into the mode of the world, through the list, and back. */
void exec_steps(const struct world *w, struct step *steps);

/** Enter or leave a world of 64-bit mode, for what is no list of steps. */
void world_enter(const struct world *w);

/** Build a world of 64-bit mode with CR0.WP and, where there is one, EFER.NXE, and enter it. */
void world_enter_64(struct world *w);
void world_leave(void);

/** One access in the 64-bit world that was entered. */
struct access_result access_now(u32 access, u64 addr, u64 value);

/* The cases. */

/** Run `fn` in a world of each mode that has page tables, with CR0.WP, and with CR4.PSE in 32-bit
 *  paging. The steps that it makes are run behind it. */
void for_paged_modes(void (*fn)(struct world *w));

/* permute.c */
void test_off(void);
void test_permute_64(void);
void test_permute_pae(void);
void test_permute_32(void);
void test_random_64(void);
void test_random_pae(void);
void test_random_32(void);

/* mixture.c */
void test_write_protect(void);
void test_pse(void);
void test_mixture(void);

/* tables.c */
void test_self_map(void);
void test_self_map_read_only(void);
void test_recursive(void);
void test_recursive_root(void);
void test_shared_table(void);
void test_aliases(void);

/* reuse.c */
void test_split_and_join(void);
void test_split_1g(void);
void test_recycled(void);
void test_endless(void);

/* tlb.c */
void test_present_at_once(void);
void test_more_rights(void);
void test_accessed_dirty(void);
void test_same_cr3(void);
void test_global(void);
void test_invlpg_anywhere(void);
void test_pdptes(void);

/* pcid.c */
void test_pcid(void);
void test_pcid_faults(void);
void test_invpcid(void);

/* faults.c */
void test_crossing(void);
void test_stack(void);
void test_mmio(void);
void test_writers(void);
void test_pkeys(void);

/* descriptors.c */
void test_double_fault(void);
void test_folded_smap(void);
void test_folded_descriptor(void);
void test_descriptors(void);

#endif
