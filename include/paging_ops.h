/* SPDX-License-Identifier: MIT */
/*
 * Paging as an interface: how guest-physical memory is put under a guest. ept/ implements it with
 * the processor's extended page tables; shadow/ will with page tables of its own. Nobody but
 * vmm/paging.c knows which of them runs.
 */
#ifndef TV_PAGING_OPS_H
#define TV_PAGING_OPS_H

#include "gmem.h"
#include "types.h"

#define PAGING_ERROR_MAX 160

/** What an implementation needs from the machine. All callbacks get `ctx`. */
struct paging_env {
	/** A zeroed 4 KiB page and its host-physical address; NULL: the pool is used up. */
	void *(*alloc_page)(void *ctx, hpa_t *hpa);
	/** A page of the pool by its host-physical address. */
	void *(*page_ptr)(void *ctx, hpa_t hpa);
	/** Memory type (MEMTYPE_*) of [hpa, hpa+size) by the host's MTRRs; -1: not uniform. */
	int (*memtype)(void *ctx, hpa_t hpa, u64 size);
	/** Forget every cached translation of this guest (INVEPT, INVVPID, whatever is needed). */
	void (*invalidate)(void *ctx);
	/** Forget what is cached of one linear address, on all vcpus. NULL: invalidate() does. */
	void (*invalidate_gva)(void *ctx, gva_t gva);
	/** Memory type (MEMTYPE_*) of [gpa, gpa+size) by the guest's MTRRs; -1: not uniform. NULL:
	 *  all of it is write-back. Not before the first load(). */
	int (*guest_memtype)(void *ctx, gpa_t gpa, u64 size);
	void *ctx;
	u64 ept_vpid_cap; /* IA32_VMX_EPT_VPID_CAP */
	bool track_dirty; /* note which 4 KiB pages the guest writes, for paging_ops.dirty */
	u64 shadow_pool;  /* bytes for shadow page tables and what belongs to them */
	unsigned nr_vcpus;
	u8 maxphyaddr; /* of the processor */
};

/** What an implementation wants in the VMCS. vmm/ combines this with its own needs. */
struct paging_controls {
	u64 cpu1;	     /* primary controls that must be 1 */
	u64 cpu2;	     /* secondary controls that must be 1 */
	u64 cpu2_wanted;     /* secondary controls to be 1 where the processor has them */
	u32 exceptions;	     /* exception-bitmap bits */
	u64 cr0_guest_owned; /* bits the guest may change without an exit */
	u64 cr4_guest_owned;
	u64 eptp; /* 0: none */
	/** The processor walks page tables of the hypervisor's: CR0.WP, CR0.PG, CR4.PAE and
	 *  EFER.NXE are 1 for it, CR4.PCIDE is 0, its CR3 comes from load(), and its IA32_PAT is
	 *  `pat` whatever the guest writes there. */
	bool own_tables;
	u64 pat;
};

/** What became of an access that the paging hardware refused. */
enum paging_verdict {
	PAGING_RETRY,	   /* mended: let the guest try again */
	PAGING_MMIO,	   /* no memory there: a device, or nothing */
	PAGING_BROKEN,	   /* a state that cannot be: stop the guest */
	PAGING_REFLECT,	   /* the guest's own tables forbid it: it must see a page fault */
	PAGING_LOST_TABLE, /* a paging structure of the guest's lies where no memory is */
	PAGING_EMULATE,	   /* the supervisor's write, to a table of the guest's or, in ring 3, of a
			    * descriptor's accessed flag: emulate it, and say so to wrote(); or, if
			    * that cannot be, unprotect() and let the guest try again */
};

/** More about the verdict on a page fault. */
struct paging_fault {
	gpa_t gpa; /* PAGING_MMIO, PAGING_EMULATE: of the access; PAGING_LOST_TABLE: of the
		    * structure */
	u32 pferr; /* PAGING_REFLECT: the error code */
};

/** Figures for the boot log. */
struct paging_summary {
	u64 pages_4k, pages_2m, pages_1g; /* leaf entries */
	u64 table_pages;
};

/** Guest pages of 4 KiB that were written. */
struct paging_dirty {
	u64 pages; /* since the flags were last cleared */
	u64 ever;  /* since the guest began, as far as anybody looked */
};

/** What the exit zoo does to the entry of one page of guest memory. */
enum paging_spoil {
	PAGING_WHOLE,	      /* it is as it was */
	PAGING_MISCONFIGURED, /* it allows writes but no reads, which no entry may */
	PAGING_CLEAN,	      /* its dirty flag is 0 */
	PAGING_SUBPAGES,      /* it allows writes to those sub-pages that a table names */
};

struct paging;
struct walk_regs; /* guest/walk.h: what decides how a linear address is translated */

struct paging_ops {
	const char *name;
	/** Put all of `gm`, the device's memory too, under a new guest. NULL with a sentence in
	 * `err` (PAGING_ERROR_MAX). */
	struct paging *(*create)(const struct paging_env *env, const struct gmem *gm, char *err);
	/** Put one page of the hypervisor's at `gpa`, where the guest has no memory: the guest can
	 *  read it, and the processor use it as a paging structure of the guest's, but nothing
	 *  writes to it. Before controls() is asked for the last time. False: no memory left.
	 *  NULL where a guest with paging off needs no page tables of its own. */
	bool (*map_rom)(struct paging *p, gpa_t gpa, hpa_t hpa);
	void (*controls)(const struct paging *p, struct paging_controls *c);
	/** An EPT violation at `gpa`, with its exit qualification. */
	enum paging_verdict (*ept_violation)(struct paging *p, gpa_t gpa, u64 qualification);
	/** Put one page of the hypervisor's at `gpa`, which is not guest memory: the APIC-access
	 * page, the only such page. `hpa` 0 takes it away again, and the tables that it needed. The
	 * caller invalidates translations; no vcpu may be in the guest meanwhile. False: it cannot
	 * be there, for the page pool is used up, the address is beyond what the paging structures
	 * translate, or something is there. */
	bool (*overlay)(struct paging *p, gpa_t gpa, hpa_t hpa);
	void (*summary)(const struct paging *p, struct paging_summary *s);
	/** Take the memory away from under the page at `gpa` (hole), so that accesses to it are
	 *  PAGING_MMIO, or give it back. Nothing happens where there is no memory, or where it is
	 *  as wanted. No vcpu may be in the guest meanwhile. False: the page pool is used up. */
	bool (*set_hole)(struct paging *p, gpa_t gpa, bool hole);
	/** Look at every leaf: is each within the memory of `gm`, at the right place? Returns the
	 *  number of leaves that are not (0: the guest can reach its own memory only). */
	u64 (*audit)(const struct paging *p, const struct gmem *gm);
	/** Count the pages that the guest wrote (env.track_dirty): among the `nr` of `gfn`, which
	 * hold all that can be dirty, each once; NULL: among all pages. `clear`: from now on they
	 * count as not written. */
	void (*dirty)(struct paging *p, const u32 *gfn, u64 nr, bool clear, struct paging_dirty *d);
	/** Make the entry of the page at `gpa`, which is guest memory, what it should not be, or
	 *  put it back; one page at a time. No vcpu may be in the guest meanwhile. False: there is
	 *  no memory at present, or the page pool is used up. NULL where there are no EPT entries.
	 */
	bool (*spoil)(struct paging *p, gpa_t gpa, enum paging_spoil how);

	/*
	 * Page tables of the hypervisor's (paging_controls.own_tables). NULL where the processor
	 * walks the guest's. Each call is made for one vcpu; what has to be forgotten of cached
	 * translations, on any vcpu, is forgotten through `env` before it returns.
	 */

	/** `vcpu` goes on with these control registers and PDPTE registers: after anything that
	 * changed them, and after a write of CR3 that changed nothing. Translations of CR3's
	 * address space, global ones included, are those of the guest's tables now. Returns what
	 * the processor's CR3 must hold. */
	hpa_t (*load)(struct paging *p, unsigned vcpu, const struct walk_regs *r);
	/** load() after a write of CR3 which changed nothing else. `keep`: bit 63 was set, so that
	 *  translations of this PCID may be those of when it was in use last. */
	hpa_t (*load_cr3)(struct paging *p, unsigned vcpu, const struct walk_regs *r, bool keep);
	/** A page fault of the guest's at `gva` with the processor's error code; `r` as of load(),
	 *  with RFLAGS, CPL and PKRU of the access. */
	enum paging_verdict (*page_fault)(struct paging *p, unsigned vcpu,
					  const struct walk_regs *r, gva_t gva, u32 pferr,
					  struct paging_fault *out);
	/** INVPCID of a PCID that is not the present one: of one address, which is canonical, or
	 *  (NULL) all of it. */
	void (*invpcid)(struct paging *p, unsigned vcpu, u16 pcid, const gva_t *gva);
	/** INVLPG, or INVPCID of one address in the present PCID. `gva` is canonical. */
	void (*invlpg)(struct paging *p, unsigned vcpu, const struct walk_regs *r, gva_t gva);
	/** Every translation is as the guest's tables are now, for whatever reason. */
	void (*flush)(struct paging *p, unsigned vcpu);
	/** [gpa, gpa+len) was written in the guest's name, by an emulated instruction. */
	void (*wrote)(struct paging *p, gpa_t gpa, u64 len);
	/** Where this program sees the byte at `gva`, if the processor has a translation of it now;
	 *  else NULL. For the instruction that has just exited. */
	const void *(*peek)(const struct paging *p, unsigned vcpu, gva_t gva);
	/** Let the guest write to the page at `gpa` without an exit. */
	void (*unprotect)(struct paging *p, gpa_t gpa);
	/** In the mode that was loaded last, page faults with P=0 in the processor's error code are
	 *  the guest's own, exactly as they are: they need not exit. */
	bool (*silent)(const struct paging *p, unsigned vcpu);
	/** The guest's IA32_PAT is `pat` from now on, or its MTRRs have changed. */
	void (*memtypes)(struct paging *p, u64 pat);
	/** The implementation's own counters (include/shadow_counters.def), NR_SHADOW_COUNTERS of
	 *  them, since create(). */
	const u64 *(*counters)(const struct paging *p);
};

/** First member of every implementation's own structure. */
struct paging {
	const struct paging_ops *ops;
};

#endif
