/* SPDX-License-Identifier: MIT */
/* The rules of paging, sentence by sentence; written apart from guest/walk.c. */
#include "arch.h"

static u64 mask(unsigned hi, unsigned lo)
{
	return hi < lo ? 0 : ((u64)-1 >> (63 - hi)) >> lo << lo;
}

/* Section 4.3: 4 MiB pages where CR4.PSE = 1, with address bits 39:32 in bits 20:13 as far as
 * MAXPHYADDR goes. */
static void init_32bit(struct arch *a, const struct walk_regs *r)
{
	unsigned m = MIN(r->maxphyaddr, 40);

	a->top = 2;
	a->bytes = 4;
	a->frame = mask(31, 12);
	for (unsigned level = 1; level <= 2; level++) {
		a->level[level].shift = level == 1 ? 12 : 22;
		a->level[level].index_mask = 1023;
	}
	a->level[2].may_map = r->cr4 & X86_CR4_PSE;
	a->level[2].reserved_page = mask(21, m - 19);
}

/* Sections 4.4 and 4.5 */
static void init_64bit(struct arch *a, const struct walk_regs *r)
{
	unsigned m = r->maxphyaddr;
	u64 high = a->mode == ARCH_PAE ? mask(62, m) : mask(51, m);

	if (!a->nxe)
		high |= BIT(63);
	a->top = a->mode == ARCH_PAE ? 2 : 4;
	a->bytes = 8;
	a->frame = mask(m - 1, 12);
	for (unsigned level = 1; level <= a->top; level++) {
		a->level[level].shift = 3 + 9 * level;
		a->level[level].index_mask = 511;
		a->level[level].may_map = level == 2 || (level == 3 && r->has_1g);
		a->level[level].reserved_table = high;
		a->level[level].reserved_page = high | mask(2 + 9 * level, 13);
	}
	a->level[1].reserved_page = high;
	/* Where an entry cannot map a page, bit 7 is reserved: a PML4E, or a PDPTE without 1G. */
	a->level[4].reserved_table |= BIT(7);
	if (!r->has_1g)
		a->level[3].reserved_table |= BIT(7);
}

void arch_init(struct arch *a, const struct walk_regs *r)
{
	bool paging = r->cr0 & X86_CR0_PG, pae = r->cr4 & X86_CR4_PAE;

	*a = (struct arch){
		.wp = r->cr0 & X86_CR0_WP,
		.smep = r->cr4 & X86_CR4_SMEP,
		.smap = r->cr4 & X86_CR4_SMAP,
	};
	if (!paging)
		return;
	a->mode = !pae ? ARCH_32BIT : r->efer & EFER_LMA ? ARCH_4LEVEL : ARCH_PAE;
	a->nxe = pae && r->efer & EFER_NX;
	a->pke = a->mode == ARCH_4LEVEL && r->cr4 & X86_CR4_PKE;
	if (pae)
		init_64bit(a, r);
	else
		init_32bit(a, r);
}

bool arch_root(const struct arch *a, u64 cr3, const u64 pdpte[4], u64 gva, u64 *table)
{
	if (a->mode == ARCH_PAE) {
		*table = pdpte[gva >> 30 & 3] & a->frame;
		return pdpte[gva >> 30 & 3] & PTE_P;
	}
	*table = cr3 & a->frame;
	return true;
}

enum arch_step arch_step(const struct arch *a, unsigned level, u64 entry, struct rights *rights)
{
	bool page = level == 1 || (entry & PTE_PS && a->level[level].may_map);

	if (!(entry & PTE_P))
		return STEP_ABSENT;
	if (entry & (page ? a->level[level].reserved_page : a->level[level].reserved_table))
		return STEP_RESERVED;
	if (!(entry & PTE_U))
		rights->user = false;
	if (!(entry & PTE_W))
		rights->writable = false;
	if (a->nxe && entry >> 63)
		rights->nx = true;
	return page ? STEP_PAGE : STEP_TABLE;
}

u64 arch_table(const struct arch *a, u64 entry)
{
	return entry & a->frame;
}

u64 arch_page(const struct arch *a, unsigned level, u64 entry, u64 gva)
{
	u64 offset = BIT(a->level[level].shift) - 1;

	if (a->mode == ARCH_32BIT && level == 2)
		return (entry & mask(31, 22)) | (entry & mask(20, 13)) << 19 | (gva & offset);
	return (entry & a->frame & ~offset) | (gva & offset);
}

static bool by_user(const struct access *x)
{
	return x->kind & WALK_USER && !(x->kind & WALK_IMPLICIT);
}

/* Section 4.7 */
u32 arch_pferr(const struct arch *a, const struct access *x, u32 why)
{
	if (x->kind & WALK_WRITE)
		why |= PFERR_WRITE;
	if (by_user(x))
		why |= PFERR_USER;
	if (x->kind & WALK_FETCH && (a->smep || a->nxe))
		why |= PFERR_FETCH;
	return why;
}

/* Section 4.6.2 */
static bool key_denies(const struct arch *a, const struct access *x, const struct rights *rights,
		       u64 leaf)
{
	unsigned key = leaf >> 59 & 15;
	bool access_disabled = x->pkru >> 2 * key & 1, write_disabled = x->pkru >> 2 * key & 2;

	if (!a->pke || !rights->user || x->kind & WALK_FETCH)
		return false;
	if (access_disabled)
		return true;
	return write_disabled && x->kind & WALK_WRITE && (by_user(x) || a->wp);
}

/* Section 4.6.1 */
static bool rights_deny(const struct arch *a, const struct access *x, const struct rights *rights)
{
	bool write = x->kind & WALK_WRITE, fetch = x->kind & WALK_FETCH;

	if (by_user(x))
		return !rights->user || (write && !rights->writable) || (fetch && rights->nx);
	if (fetch)
		return rights->nx || (rights->user && a->smep);
	if (rights->user && a->smap && (!x->ac || x->kind & WALK_IMPLICIT))
		return true;
	return write && !rights->writable && a->wp;
}

bool arch_allows(const struct arch *a, const struct access *x, const struct rights *rights,
		 u64 leaf, u32 *pferr)
{
	bool key = key_denies(a, x, rights, leaf);

	if (!key && !rights_deny(a, x, rights))
		return true;
	*pferr = arch_pferr(a, x, PFERR_PRESENT | (key ? PFERR_PK : 0));
	return false;
}

bool arch_fold_allows(const struct arch *a, const struct access *x, const struct rights *rights,
		      bool keys)
{
	return !a->wp && !by_user(x) && !(x->kind & WALK_FETCH) && rights->user &&
	       (!rights->writable || keys);
}
