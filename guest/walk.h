/* SPDX-License-Identifier: MIT */
/*
 * The guest's page tables, walked in software by the SDM's rules (volume 3, chapter 4 "Paging"):
 * 32-bit, PAE and 4-level paging, with permissions, reserved bits, and the accessed and dirty
 * flags. Used to fetch and emulate instructions, and by the shadow MMU.
 */
#ifndef TV_WALK_H
#define TV_WALK_H

#include "gmem.h"
#include "types.h"

/** What of the vcpu's state decides how a linear address is translated. */
struct walk_regs {
	u64 cr0, cr3, cr4, efer, rflags;
	u32 pkru;
	u8 cpl;
	u8 maxphyaddr; /* of the guest's CPUID */
	bool has_1g;   /* 1 GiB pages in the guest's CPUID */
	u64 pdpte[4];  /* PAE paging: the PDPTE registers */
};

/** Kinds of access, or-ed. */
#define WALK_READ 0u
#define WALK_WRITE 1u
#define WALK_FETCH 2u
#define WALK_USER 4u	 /* as by CPL 3; else supervisor */
#define WALK_IMPLICIT 8u /* implicit supervisor access (GDT, TSS ...): SMAP ignores AC */
#define WALK_NO_AD 16u	 /* look only: leave the accessed and dirty flags alone */

/** #PF error-code bits (SDM volume 3, section 4.7 "Page-Fault Exceptions"). */
#define PFERR_PRESENT 1u
#define PFERR_WRITE 2u
#define PFERR_USER 4u
#define PFERR_RSVD 8u
#define PFERR_FETCH 16u
#define PFERR_PK 32u

enum walk_status {
	WALK_OK,
	WALK_FAULT,  /* the guest must see #PF with `pferr` */
	WALK_NOT_RAM /* a paging structure lies outside guest RAM, at `gpa`; of guest_virt_read()
		      * and guest_virt_span() also: the data does (a device, perhaps) */
};

struct walk_result {
	gpa_t gpa;     /* translation (or, WALK_NOT_RAM, what is not RAM) */
	u64 page_size; /* bytes mapped by the leaf; 4 KiB with paging off */
	u32 pferr;     /* error code of the fault */
	u64 leaf;      /* the leaf entry after A/D updates; 0 with paging off */
};

/** Translate `gva` for one access. Sets A and D in guest memory as the processor would, with an
 *  atomic compare-and-exchange, unless WALK_NO_AD. Outside 64-bit mode the upper half of `gva` is
 *  ignored; in it, a canonical address is the caller's duty. */
enum walk_status guest_walk(const struct gmem *gm, const struct walk_regs *r, gva_t gva, u32 access,
			    struct walk_result *out);

#define WALK_MAX_DEPTH 4

/** The entries that a translation went through, from the root on; none with paging off. */
struct walk_path {
	unsigned depth;
	struct walk_step {
		gpa_t table; /* the structure that holds the entry */
		u64 entry;   /* after A/D updates */
	} step[WALK_MAX_DEPTH];
};

/** guest_walk() that also tells, on WALK_OK, which way it went. */
enum walk_status guest_walk_path(const struct gmem *gm, const struct walk_regs *r, gva_t gva,
				 u32 access, struct walk_result *out, struct walk_path *path);

/*
 * The rules of a walk one by one, for those who keep translations. `level` counts from 1, the page
 * table, upwards.
 */

/** The rights that all entries of a path together give (section 4.6.1). */
struct walk_rights {
	bool user, writable, nx;
};

/** Does a present entry at `level` map a page? Paging is on. */
bool guest_entry_is_leaf(const struct walk_regs *r, unsigned level, u64 entry);

/** Bits that must be 0 in a present entry at `level` that maps a page, or does not. Paging is on.
 */
u64 guest_reserved_bits(const struct walk_regs *r, unsigned level, bool leaf);

/** Does this combination of rights forbid the access? 0, or the error code of the fault. `leaf`
 *  holds the protection key. */
u32 guest_access_denied(const struct walk_regs *r, u32 access, const struct walk_rights *rights,
			u64 leaf);

/** The error code of a fault with these P, RSVD and PK bits. */
u32 guest_fault_code(const struct walk_regs *r, u32 access, u32 pferr);

/** Load the PAE PDPTE registers from CR3; false where a reserved bit is set (#GP) or not RAM. */
bool guest_load_pdptes(const struct gmem *gm, u64 cr3, u8 maxphyaddr, u64 pdpte[4]);

/** Copy from guest-virtual memory to a buffer, page by page. On failure `fault_gva` and `out`
 *  describe the first fault. */
enum walk_status guest_virt_read(const struct gmem *gm, const struct walk_regs *r, gva_t gva,
				 void *dst, u64 len, u32 access, struct walk_result *out,
				 gva_t *fault_gva);

/** Where an operand in guest-virtual memory is: in one page, or in two (len[1] is not 0). */
struct walk_span {
	gpa_t gpa[2];
	u64 len[2];
};

/** Translate all of [gva, gva+len), at most a page long, for one access. On failure as
 *  guest_virt_read(). What is done to a span on WALK_OK can no longer fail: neither half way nor by
 *  what it writes, which may be the page table that the second part was found by. */
enum walk_status guest_virt_span(const struct gmem *gm, const struct walk_regs *r, gva_t gva,
				 u64 len, u32 access, struct walk_result *out, gva_t *fault_gva,
				 struct walk_span *span);

/** Write a span; `src` has len[0] + len[1] bytes. */
void guest_span_write(const struct gmem *gm, const struct walk_span *span, const void *src);

#endif
