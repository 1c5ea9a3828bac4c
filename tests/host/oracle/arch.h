/* SPDX-License-Identifier: MIT */
/*
 * The SDM's rules of paging (volume 3, chapter 4), as a table for one state of the control
 * registers and as steps, one per entry: the oracle composes outcomes from entries of its choice,
 * those in memory now or those that were there a moment ago, and walks the shadow tables with them.
 */
#ifndef TV_ORACLE_ARCH_H
#define TV_ORACLE_ARCH_H

#include "guest/walk.h"
#include "x86.h"

enum arch_mode { ARCH_OFF, ARCH_32BIT, ARCH_PAE, ARCH_4LEVEL };

/** Levels count from the page table, which is 1. */
#define ARCH_MAX_LEVEL 4

struct arch {
	enum arch_mode mode;
	unsigned top;	/* level of the root table; 2 for PAE paging, whose PDPTEs are registers */
	unsigned bytes; /* of an entry */
	u64 frame;	/* bits of an entry that are an address: MAXPHYADDR-1:12 */
	bool nxe, smep, smap, pke, wp;
	struct {
		unsigned shift, index_mask;
		bool may_map; /* PS = 1 makes a page of it */
		u64 reserved_table, reserved_page;
	} level[ARCH_MAX_LEVEL + 1];
};

/** One access by an instruction. */
struct access {
	u64 gva;
	u32 kind; /* WALK_READ, _WRITE or _FETCH, with _USER or _IMPLICIT */
	u32 pkru;
	bool ac;
	u8 cpl;
};

/** What the entries of a path allow together. */
struct rights {
	bool user, writable, nx;
};

enum arch_step { STEP_ABSENT, STEP_RESERVED, STEP_TABLE, STEP_PAGE };

void arch_init(struct arch *a, const struct walk_regs *r);

/** The root table for `gva`, given CR3 and the PDPTE registers. False: the PDPTE is not present. */
bool arch_root(const struct arch *a, u64 cr3, const u64 pdpte[4], u64 gva, u64 *table);

/** What `entry` at `level` is; on STEP_TABLE and STEP_PAGE its rights are added to `rights`. */
enum arch_step arch_step(const struct arch *a, unsigned level, u64 entry, struct rights *rights);

/** The physical address that a page entry translates `gva` to, and that of a table. */
u64 arch_page(const struct arch *a, unsigned level, u64 entry, u64 gva);
u64 arch_table(const struct arch *a, u64 entry);

/** Address of the entry for `gva` in a table. */
static inline u64 arch_entry_at(const struct arch *a, unsigned level, u64 table, u64 gva)
{
	return table + (gva >> a->level[level].shift & a->level[level].index_mask) * a->bytes;
}

/** The error code of a fault for the reason `why` (P, RSVD and PK). */
u32 arch_pferr(const struct arch *a, const struct access *x, u32 why);

/** May it be done, by a path with these rights and this leaf? Else the error code is in `pferr`. */
bool arch_allows(const struct arch *a, const struct access *x, const struct rights *rights,
		 u64 leaf, u32 *pferr);

/** Is it allowed but for what folding gives away? The shadow MMU runs the guest with CR0.WP = 1
 *  always. A guest with CR0.WP = 0 whose supervisor writes to a user page that its entries or its
 *  protection key make read-only gets a supervisor page for it: then SMAP and PKRU.AD do not apply
 *  to the supervisor's data accesses there, until the page is the user's again. `keys`: protection
 *  keys were in use, perhaps when the page was folded. */
bool arch_fold_allows(const struct arch *a, const struct access *x, const struct rights *rights,
		      bool keys);

#endif
