/* SPDX-License-Identifier: MIT */
/* What has to come of an access: the SDM's rules on one way through the tables (volume 3, chapter 4
 * "Paging"), written down without a look at any page walker. */
#include "paging.h"

const struct mode_info mode_info[NR_MODES] = {
	[MODE_OFF] = {"no paging", 0, 0, 4},
	[MODE_32] = {"32-bit paging", 2, 10, 4},
	[MODE_PAE] = {"PAE paging", 3, 9, 8},
	[MODE_64] = {"4-level paging", 4, 9, 8},
};

unsigned level_shift(enum paging_mode mode, unsigned level)
{
	return PAGE_SHIFT + (level - 1) * mode_info[mode].index_bits;
}

/** May an entry of this level map a page by its PS flag? */
static bool level_has_pages(const struct controls *c, unsigned level)
{
	if (c->mode == MODE_32)
		return level == 2 && (c->cr4 & X86_CR4_PSE);
	return level == 2 || (level == 3 && c->mode == MODE_64 && has.gib_pages);
}

bool entry_is_leaf(const struct controls *c, unsigned level, u64 entry)
{
	return level == 1 || ((entry & PTE_PS) && level_has_pages(c, level));
}

/** Bits that must be 0 in a present entry: tables 4-3 to 4-20 of the SDM, "Format of ...". */
static u64 reserved_bits(const struct controls *c, unsigned level, u64 entry)
{
	bool large = level > 1 && entry_is_leaf(c, level, entry);
	u64 reserved = 0;

	if (c->mode == MODE_32) /* with PSE-36, whose bits 20:13 are those 39:32 of the address */
		return large ? PDE_4M_RESERVED : 0;
	for (unsigned bit = has.maxphyaddr; bit < (c->mode == MODE_PAE ? 63 : 52); bit++)
		reserved |= BIT(bit);
	if (!(c->efer & EFER_NX))
		reserved |= PTE_NX;
	if (large) {
		for (unsigned bit = 13; bit < level_shift(c->mode, level); bit++)
			reserved |= BIT(bit);
	}
	if (c->mode == MODE_64 && level >= 3 && !large)
		reserved |= PTE_PS;
	return reserved;
}

/** The rights of a translation: section 4.6 "Access Rights", 4.6.2 "Protection Keys". */
static u32 denied(const struct controls *c, u64 all, u64 any, u64 leaf, u32 access)
{
	bool user = access & ACCESS_USER, user_page = all & PTE_U;
	bool write = (access & ACCESS_KIND) == ACCESS_WRITE;
	bool wp = c->cr0 & X86_CR0_WP;
	unsigned key = (unsigned)(leaf >> 59 & 15);
	u32 rights = c->pkru >> 2 * key & 3; /* access-disable, write-disable */
	u32 error = 0;

	if ((access & ACCESS_KIND) == ACCESS_FETCH) {
		if (any & PTE_NX && c->efer & EFER_NX)
			return PF_P;
		if (user)
			return user_page ? 0 : PF_P;
		return user_page && c->cr4 & X86_CR4_SMEP ? PF_P : 0;
	}
	if (user && !user_page)
		error = PF_P;
	if (!user && user_page && c->cr4 & X86_CR4_SMAP && !(access & ACCESS_AC))
		error = PF_P;
	if (write && !(all & PTE_W) && (user || wp))
		error = PF_P;
	if (c->mode == MODE_64 && c->cr4 & X86_CR4_PKE && user_page &&
	    (rights & 1 || (rights & 2 && write && (user || wp))))
		error |= PF_P | PF_PK;
	return error;
}

static u32 error_of_access(const struct controls *c, u32 access)
{
	bool fetch_told = c->cr4 & X86_CR4_SMEP || (c->cr4 & X86_CR4_PAE && c->efer & EFER_NX);
	u32 kind = access & ACCESS_KIND;

	return (kind == ACCESS_WRITE ? PF_W : 0) | (access & ACCESS_USER ? PF_U : 0) |
	       (kind == ACCESS_FETCH && fetch_told ? PF_I : 0);
}

static void page_fault(const struct controls *c, u32 access, u32 error, struct verdict *v)
{
	v->fault = true;
	v->error = error | error_of_access(c, access);
}

static u64 page_of(enum paging_mode mode, unsigned level, u64 entry, u64 addr)
{
	u64 offset = BIT(level_shift(mode, level)) - 1;
	u64 base = entry & PTE_ADDRESS & ~offset;

	if (mode == MODE_32 && level == 2) /* PSE-36 */
		base = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
	return base | (addr & offset);
}

void predict(const struct controls *c, const u64 *entry, u64 addr, u32 access, struct verdict *v)
{
	unsigned levels = mode_info[c->mode].levels, level;
	u64 all = PTE_W | PTE_U, any = 0;
	u32 error;

	*v = (struct verdict){.phys = addr};
	for (level = 1; level <= levels; level++)
		v->after[level] = entry[level];
	for (level = levels; level; level--) {
		bool pdpte =
			c->mode == MODE_PAE && level == 3; /* a register: no rights, no flags */

		if (!(entry[level] & PTE_P))
			return page_fault(c, access, 0, v);
		if (!pdpte && entry[level] & reserved_bits(c, level, entry[level]))
			return page_fault(c, access, PF_P | PF_RSVD, v);
		if (!pdpte) {
			all &= entry[level];
			any |= entry[level];
		}
		if (entry_is_leaf(c, level, entry[level]))
			break;
		if (!pdpte)
			v->may[level] = PTE_A;
	}
	if (!level)
		return;
	error = denied(c, all, any, entry[level], access);
	if (error)
		return page_fault(c, access, error, v);
	v->phys = page_of(c->mode, level, entry[level], addr);
	if ((access & ACCESS_KIND) == ACCESS_WRITE)
		v->after[level] |= PTE_D;
	for (; level <= levels && !(c->mode == MODE_PAE && level == 3); level++) {
		v->after[level] |= PTE_A;
		v->may[level] = 0;
	}
}
