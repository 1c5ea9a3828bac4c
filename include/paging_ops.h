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
	void *ctx;
	u64 ept_vpid_cap; /* IA32_VMX_EPT_VPID_CAP */
	bool track_dirty; /* note which 4 KiB pages the guest writes, for paging_ops.dirty */
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
};

/** What became of an access that the paging hardware refused. */
enum paging_verdict {
	PAGING_RETRY,  /* mended: let the guest try again */
	PAGING_MMIO,   /* no memory there: a device, or nothing */
	PAGING_BROKEN, /* a state that cannot be: stop the guest */
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

struct paging;

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
};

/** First member of every implementation's own structure. */
struct paging {
	const struct paging_ops *ops;
};

#endif
