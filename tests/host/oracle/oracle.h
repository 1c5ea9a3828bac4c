/* SPDX-License-Identifier: MIT */
/*
 * The oracle's parts:
 *
 *   arch.c       the rules of paging
 *   memory.c     guest memory, the log of its modifications, the pool
 *   land.c       where a guest-physical address is, and its memory type; EPT
 *   processor.c  walks the shadow tables, with a TLB and paging-structure caches
 *   access.c     one access through all three, compared
 *   others.c     what other vcpus do meanwhile
 *   history.c    what the processor was told to forget, and when
 *   judge.c      is an outcome that differs from the fresh one explained by stale entries?
 *   leaves.c     every leaf of the shadow tables, judged as if it were accessed
 *   silence.c    where faults do not exit, nobody can write to the tables
 *   tables.c     page tables made and changed at random
 *   guest.c      what the guest does: the operations
 *   spaces.c     ... with its address spaces: loads of CR3, INVLPG, INVPCID
 *   modify.c     those that modify page tables
 *   world.c      a machine for some thousand operations, and the run
 *   trace.c      what is said of a failure
 */
#ifndef TV_ORACLE_ORACLE_H
#define TV_ORACLE_ORACLE_H

#include <string.h>

#include "arch.h"
#include "ept/ept.h"
#include "tests/host/mmu_oracle.h"

#define MAX_VCPUS 2
#define HOST_MAXPHYADDR 46

/* Guest-physical space. The tables are in a run of pages that is small enough to be compared with
 * a copy all the time; a few large pages fit into memory, others only in part. */
#define TABLES_GPA 0x10000ull
#define TABLE_FREE_PAGES 44u
#define TABLE_PAGES 51u
#define LOW_SIZE MIB(8)
#define HIGH_GPA GIB(4)
#define HIGH_SIZE MIB(4)
#define HUGE_GPA GIB(1)
#define HUGE_SIZE GIB(1)
#define DEVICE_GPA 0xe0000000ull
#define DEVICE_SIZE KIB(64)
#define OVERLAY_GPA 0xfee00000ull

/* Host-physical space: alignment that allows large pages, and one that does not. */
#define POOL_HPA 0x10000000ull
#define POOL_SIZE MIB(64)
#define OVERLAY_HPA 0xfff0000ull
#define LOW_HPA 0x140000000ull
#define HIGH_HPA 0x200001000ull
#define DEVICE_HPA 0x300000000ull
#define HUGE_HPA 0x800000000ull

#define MAX_CHANGES 32768u
#define MAX_EPOCHS 320u
#define NR_PCIDS 5u
#define NR_HOLES 4u
#define TLB_SIZE 32u
#define PSC_SIZE 16u
#define NR_RECENT 16u
#define NR_TRACES 64u

/** An aligned quadword of guest memory had another value until `time`. */
struct change {
	u64 time, gpa, old, new;
	u32 previous; /* change of this quadword, index + 1; 0: none */
};

/** A translation that the processor keeps, or an upper entry. */
struct cached {
	u64 gva, size; /* what it covers; size 0: nothing */
	u64 hpa;       /* of the page, or of the table below */
	struct rights rights;
	u64 leaf;
	unsigned level; /* of the table at `hpa` */
};

/** What a processor forgets of a PCID when an epoch of its history begins (section 4.10.4.1
 *  "Operations that Invalidate TLBs and Paging-Structure Caches"). */
enum forgets {
	FORGETS_NOTHING, /* the PCID comes into use, or goes out of it */
	FORGETS_INVLPG,	 /* translations of the page, and all of the paging-structure caches */
	FORGETS_FAULT,	 /* translations of the page, and structure-cache entries on its way */
	FORGETS_GLOBAL,	 /* INVLPG while another PCID is in use: the page's global translations */
	FORGETS_ADDRESS, /* INVPCID of an address: as FAULT, but for global translations */
	FORGETS_CONTEXT, /* INVPCID of the PCID: all but global translations */
};

struct epoch {
	u64 from; /* until the next one's, or now */
	u64 cr3;  /* while the PCID is in use */
	u64 gva;
	enum forgets forgets;
	bool in_use;
};

/** Everything was fresh when the first epoch began. */
struct history {
	unsigned nr; /* 0: nothing is cached */
	struct epoch epoch[MAX_EPOCHS];
};

struct vcpu {
	struct walk_regs r;
	struct arch arch;

	/* The processor, in the guest: its rules, CR3 and PDPTE registers are the hypervisor's. */
	struct arch hw;
	hpa_t hw_cr3;
	u64 hw_pdpte[4];
	bool silent; /* page faults with P=0 do not exit */
	struct cached tlb[TLB_SIZE], psc[PSC_SIZE];

	struct history history[NR_PCIDS]; /* by the number of a PCID in history_pcids */

	u64 recent[NR_RECENT]; /* linear addresses that were of interest */
	u64 root[NR_PCIDS];    /* what each PCID was loaded with last, or 0 */
};

/** The path of a fresh walk. */
struct path {
	unsigned depth;
	struct {
		u64 gpa, value;
		unsigned level;
	} entry[ARCH_MAX_LEVEL];
	bool complete; /* the last entry maps a page */
	bool odd;      /* a table lies in a hole: nothing is said about where it is read from */
	struct rights rights;
};

enum outcome_kind { OUTCOME_ALLOWED, OUTCOME_MMIO, OUTCOME_FAULT, OUTCOME_LOST };

struct outcome {
	enum outcome_kind kind;
	u64 at; /* ALLOWED: hpa; MMIO: gpa; LOST: gpa of the table */
	u32 pferr;
	u8 type;       /* ALLOWED: memory type, or ANY_TYPE */
	bool silent;   /* FAULT: the hypervisor has not seen it */
	bool emulated; /* ALLOWED: the hypervisor stores for the guest */
};

/** The page of the hypervisor's that the guest has no MTRR for. */
#define ANY_TYPE 0xff

/** An access on its way: what is known of it before the MMU has a say. */
struct pending {
	const struct access *x;
	struct outcome fresh;
	struct outcome looks; /* the same, or how it ends as what it looks like */
	struct path path;
	u64 before[ARCH_MAX_LEVEL]; /* the quadwords with the path's entries */
	/* What these were until other vcpus changed something. */
	struct outcome earlier[64];
	unsigned nr_earlier;
};

struct trace {
	u64 operation, time, a, b, c;
	const char *format; /* of a, b and c */
	unsigned vcpu;
};

struct oracle {
	struct oracle_config config;
	struct oracle_figures figures;

	/* Choices (world.c) */
	u64 rng;
	const u8 *bytes;
	size_t nr_bytes;
	bool building; /* from the random numbers, though there are bytes */
	bool dry;      /* the bytes are used up */

	/* Memory (memory.c) */
	struct gmem gm;
	u8 *memory[GMEM_MAX_SLOTS], *touched[GMEM_MAX_SLOTS];
	u8 *pool;
	u64 pool_used, pool_limit; /* bytes */
	u8 copy[TABLE_PAGES * PAGE_SIZE];
	u64 now; /* moments since the world began: modifications and invalidations */
	u64 before_access;
	struct change *changes;
	u32 nr_changes, *bucket;
	u64 hole[NR_HOLES];
	bool overlay;
	bool mtrrs; /* the guest has memory of several types */
	u64 pat;    /* the guest's */
	struct paging_env env;
	struct paging *ept;
	u8 *ept_pool;
	u64 ept_used;

	/* The world */
	struct paging *mmu;
	struct paging_controls controls;
	struct vcpu vcpu[MAX_VCPUS];
	unsigned nr_vcpus;
	struct vcpu *running;	 /* the one whose exit the MMU handles */
	bool stopped;		 /* no other is in the guest */
	struct pending *pending; /* the access whose fault the MMU handles */
	u64 left;		 /* operations */
	u64 lost;		 /* tables that lay where no memory is */
	u8 maxphyaddr, host_maxphyaddr;
	bool has_1g, huge;
	bool keys;    /* CR4.PKE was 1 in 64-bit mode */
	bool no_vpid; /* VM entries and exits forget everything */

	struct trace trace[NR_TRACES];
	u64 nr_traces;
};

/* world.c: choices */
u32 pick(struct oracle *o, u32 n); /* one of 0..n-1 */
u64 pick64(struct oracle *o);
static inline bool one_in(struct oracle *o, u32 n)
{
	return pick(o, n) == 0;
}

/* world.c: control bits at random, in a mode at random */
void world_mode(struct oracle *o, struct vcpu *v);

/* memory.c */
void memory_new(struct oracle *o);
void memory_free(struct oracle *o);
/** All of it zero, the pools empty; with the 1 GiB slot or without. */
void memory_reset(struct oracle *o);
void memory_empty_pool(struct oracle *o);
void memory_env(struct oracle *o, unsigned nr_vcpus, u64 shadow_pool);
/** A guest-physical quadword's value now. */
u64 memory_quad(const struct oracle *o, u64 gpa);
/** The guest-physical address of a host one; false: it is no guest memory. */
bool memory_gpa_of(const struct oracle *o, u64 hpa, u64 *gpa);
/** Write, and log it. */
void memory_store(struct oracle *o, u64 gpa, const void *data, unsigned len);
/** Somebody may have modified the quadword, which was `old`: log it. */
void memory_changed(struct oracle *o, u64 gpa, u64 old);
/** Nobody has modified a table but by what the log says. */
void memory_check(struct oracle *o);
/** Latest change of a quadword, or NULL; the one before. */
const struct change *memory_last_change(const struct oracle *o, u64 gpa);
const struct change *memory_previous(const struct oracle *o, const struct change *c);
void memory_forget_changes(struct oracle *o);
u64 *memory_pool_entry(struct oracle *o, u64 hpa);

/* land.c */
/** What is at a guest-physical address: memory, hole, overlay, or nothing. Checks EPT against it.
 */
struct outcome memory_land(struct oracle *o, u64 gpa);
/** memory_land(), with the memory type by the guest's PAT and MTRRs for a leaf of the guest's. */
struct outcome memory_land_typed(struct oracle *o, u64 gpa, unsigned level, u64 leaf);
/** The type that a shadow leaf gives. */
u8 memory_shadow_type(const struct oracle *o, u64 hpa, unsigned level, u64 leaf);
bool memory_in_hole(const struct oracle *o, u64 gpa);
/** paging_env.guest_memtype */
int land_guest_memtype(void *ctx, gpa_t gpa, u64 size);

/* processor.c */
enum { HW_DONE, HW_FAULT };
/** Translate by the tables that load() gave: HW_DONE with address and type, HW_FAULT with the error
 *  code. */
int hw_access(struct oracle *o, struct vcpu *v, const struct access *x, struct outcome *out);
/** VM entry with the CR3 that the MMU wants. */
void hw_enter(struct oracle *o, struct vcpu *v);
void hw_load(struct oracle *o, struct vcpu *v, hpa_t cr3);
/** Cache something without an access. */
void hw_speculate(struct oracle *o, struct vcpu *v, u64 gva);
void hw_invalidate(struct oracle *o);
void hw_invalidate_gva(struct oracle *o, u64 gva);
/** The entry about which the MMU knows nothing, on purpose: it has reserved bits. */
bool hw_is_unknown(const struct vcpu *v, u64 entry);
/** Rules that any present shadow entry obeys, and any that is not. */
void hw_check_entry(struct oracle *o, struct vcpu *v, unsigned level, u64 entry);

/* access.c */
struct outcome fresh_walk(struct oracle *o, const struct vcpu *v, const struct access *x,
			  struct path *p);
/** One access through all three, and what it stores (`data`, if it writes). */
struct outcome oracle_access(struct oracle *o, struct vcpu *v, const struct access *x, u64 data,
			     unsigned len);

/** What is known of an access beforehand. */
void access_begin(struct oracle *o, const struct vcpu *v, const struct access *x,
		  struct pending *a);
/** See what became of the entries of its path, and log it. One quadword may be several of them. */
void access_check_flags(struct oracle *o, const struct vcpu *v, const struct pending *a);
bool same_outcome(const struct outcome *a, const struct outcome *b);
/** After an access with the fresh outcome: are the flags set that it must have set? Of one to a
 *  device they will be when the instruction is emulated. */
bool flags_set(const struct oracle *o, const struct vcpu *v, const struct access *x,
	       const struct path *p);

/* others.c */
/** Other vcpus have cached where the entries are that the MMU is about to work with. */
void other_vcpus_prepare(struct oracle *o, const struct path *p);
/** They store something: called before each invalidation takes effect. */
void other_vcpus_store(struct oracle *o);

/* history.c */
extern const u16 history_pcids[NR_PCIDS];
/** Number of the PCID in use. */
unsigned history_present(const struct vcpu *v);
/** Everything is fresh now, for all PCIDs. */
void history_fresh(struct oracle *o, struct vcpu *v);
/** v->r.cr3 has just been loaded, and PCID number `was` was in use; `keep`: with bit 63 set. */
void history_cr3(struct oracle *o, struct vcpu *v, unsigned was, bool keep);
void history_invlpg(struct oracle *o, struct vcpu *v, u64 gva);
/** A page fault that the guest sees; `time`: nothing was invalidated for this vcpu since. */
void history_fault(struct oracle *o, struct vcpu *v, u64 gva, u64 time);
/** INVPCID of a PCID that is not the present one: of an address, or of all of it. */
void history_invpcid(struct oracle *o, struct vcpu *v, u16 pcid, const u64 *gva);
/** Soon there is no room for more. */
bool history_long(const struct vcpu *v);

/* judge.c */
/** May the access have had this outcome now, by entries that a processor may have kept? */
bool judge(struct oracle *o, const struct vcpu *v, const struct access *x,
	   const struct outcome *seen, bool *folded);

/* leaves.c */
void leaves_check(struct oracle *o, struct vcpu *v);

/* silence.c */
void silence_check(struct oracle *o, struct vcpu *v);

/* tables.c */
u64 tables_entry(struct oracle *o, const struct vcpu *v, unsigned level);
u64 tables_mutate(struct oracle *o, const struct vcpu *v, unsigned level, u64 entry);
void tables_fill(struct oracle *o, const struct vcpu *v);
void tables_fill_page(struct oracle *o, const struct vcpu *v, unsigned page);
u64 tables_root(struct oracle *o, const struct vcpu *v);
u64 tables_gva(struct oracle *o, const struct vcpu *v);
/** Where the table is that grows. */
u64 tables_growing(void);
u64 tables_window(const struct vcpu *v, u64 gpa);
u64 tables_data_page(struct oracle *o);

/* guest.c */
void guest_operation(struct oracle *o);
/** An address, preferably one that was of interest lately. */
u64 guest_gva(struct oracle *o, struct vcpu *v);
/** An access of any kind. */
struct access guest_access(struct oracle *o, struct vcpu *v, u64 gva);

/* spaces.c */
/** The guest goes on with v->r: all of its registers, or CR3 alone. */
void spaces_load(struct oracle *o, struct vcpu *v);
/** MOV to CR3 of a root and PCID; `keep`: with bit 63, if the guest has PCIDs. */
void spaces_cr3(struct oracle *o, struct vcpu *v, u64 cr3, bool keep);
/** Another address space, or the present one again. */
void spaces_switch(struct oracle *o, struct vcpu *v);
void spaces_invlpg(struct oracle *o, struct vcpu *v, u64 gva);
void spaces_invpcid(struct oracle *o, struct vcpu *v, u16 pcid, u64 gva);
void spaces_flush(struct oracle *o, struct vcpu *v);

/* modify.c: operations */
void op_modify(struct oracle *o, struct vcpu *v);
/** An entry of the path becomes another. */
void modify_path(struct oracle *o, struct vcpu *v, const struct path *p);
/** ... and later what it was. */
void modify_and_back(struct oracle *o, struct vcpu *v, const struct path *p);
void op_rights(struct oracle *o, struct vcpu *v);
void op_split(struct oracle *o, struct vcpu *v);
void op_copy(struct oracle *o, struct vcpu *v);
void op_recycle(struct oracle *o, struct vcpu *v);
void op_grow(struct oracle *o, struct vcpu *v);

/* trace.c */
#define OUTCOME_TEXT 64
const char *outcome_text(const struct outcome *out, char text[OUTCOME_TEXT]);
void trace(struct oracle *o, const struct vcpu *v, const char *format, u64 a, u64 b, u64 c);
_Noreturn void oracle_fail(struct oracle *o, const struct vcpu *v, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void trace_walks(struct oracle *o, const struct vcpu *v, const struct access *x);

#endif
