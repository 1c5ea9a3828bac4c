/* SPDX-License-Identifier: MIT */
/*
 * A second page walker, written apart from guest/walk.c straight from the SDM's sentences (volume
 * 3, chapter 4), slow and plain: what tests and the fuzzer hold the real one against.
 */
#ifndef TV_NAIVE_WALK_H
#define TV_NAIVE_WALK_H

#include "guest/walk.h"
#include "lib/mem.h"

enum mode { MODE_OFF, MODE_32BIT, MODE_PAE, MODE_LONG };

struct outcome {
	enum walk_status status;
	u64 gpa, page_size;
	u32 pferr;
};

struct access {
	bool write, fetch, supervisor, implicit;
};

static bool is(u64 reg, unsigned bit)
{
	return reg >> bit & 1;
}

static enum mode mode_of(const struct walk_regs *r)
{
	if (!is(r->cr0, 31))
		return MODE_OFF;
	if (!is(r->cr4, 5))
		return MODE_32BIT;
	return is(r->efer, 10) ? MODE_LONG : MODE_PAE;
}

/* `level` counts from the page table, which is 1. */
static bool maps_page(enum mode mode, const struct walk_regs *r, int level, u64 entry)
{
	if (level == 1)
		return true;
	if (!is(entry, 7) || level == 4)
		return false;
	if (mode == MODE_32BIT)
		return is(r->cr4, 4);
	return level == 2 || r->has_1g;
}

static bool bit_is_reserved(enum mode mode, const struct walk_regs *r, int level, bool page,
			    unsigned bit)
{
	bool large = page && level > 1;

	if (mode == MODE_32BIT) {
		unsigned m = r->maxphyaddr < 40 ? r->maxphyaddr : 40;

		/* "Bits (M-20):13 are bits (M-1):32 of the address; 21:(M-19) are reserved" */
		return large && bit <= 21 && bit >= m - 19;
	}
	if (bit == 63)
		return !is(r->efer, 11);
	if (bit >= 52)
		return mode == MODE_PAE;
	if (bit >= r->maxphyaddr)
		return true;
	if (large && level == 2)
		return bit >= 13 && bit <= 20;
	if (large && level == 3)
		return bit >= 13 && bit <= 29;
	return bit == 7 && mode == MODE_LONG && level >= 3;
}

static u32 error_code(const struct walk_regs *r, const struct access *a, u32 why)
{
	if (a->write)
		why |= PFERR_WRITE;
	if (!a->supervisor)
		why |= PFERR_USER;
	if (a->fetch && (is(r->cr4, 20) || (is(r->cr4, 5) && is(r->efer, 11))))
		why |= PFERR_FETCH;
	return why;
}

static bool key_forbids(enum mode mode, const struct walk_regs *r, const struct access *a, u64 leaf,
			bool user_page)
{
	unsigned key = leaf >> 59 & 15;

	if (mode != MODE_LONG || !is(r->cr4, 22) || a->fetch || !user_page)
		return false;
	if (is(r->pkru, 2 * key))
		return true;
	if (!a->write || !is(r->pkru, 2 * key + 1))
		return false;
	return !a->supervisor || is(r->cr0, 16);
}

static bool rights_forbid(const struct walk_regs *r, const struct access *a, bool user_page,
			  bool writable, bool nx)
{
	bool wp = is(r->cr0, 16), smep = is(r->cr4, 20), smap = is(r->cr4, 21);
	bool ac = is(r->rflags, 18) && !a->implicit;

	if (a->supervisor && a->fetch)
		return user_page ? smep || nx : nx;
	if (a->supervisor && a->write) {
		if (!user_page)
			return wp && !writable;
		return (smap && !ac) || (wp && !writable);
	}
	if (a->supervisor)
		return user_page && smap && !ac;
	if (!user_page)
		return true;
	if (a->fetch)
		return nx;
	return a->write && !writable;
}

/** Translate by tables in `ram`, which is all the guest's memory, `ram_size` bytes from 0 on. */
static struct outcome naive_walk(u8 *ram, u64 ram_size, const struct walk_regs *r, u64 gva,
				 u32 access)
{
	struct access a = {access & WALK_WRITE, access & WALK_FETCH,
			   !(access & WALK_USER) || access & WALK_IMPLICIT, access & WALK_IMPLICIT};
	enum mode mode = mode_of(r);
	unsigned bytes = mode == MODE_32BIT ? 4 : 8, index_bits = mode == MODE_32BIT ? 10 : 9;
	int level = mode == MODE_LONG ? 4 : 2;
	u64 m_mask = (1ull << r->maxphyaddr) - 1, table = r->cr3 & m_mask & ~0xfffull, entry;
	bool user_page = true, writable = true, nx = false;
	u8 *path[4];
	int depth = 0;

	if (mode != MODE_LONG)
		gva &= 0xffffffff;
	if (mode == MODE_OFF)
		return (struct outcome){WALK_OK, gva, 4096, 0};
	if (mode == MODE_32BIT)
		table &= 0xffffffff;
	if (mode == MODE_PAE) {
		u64 pdpte = r->pdpte[gva >> 30];

		if (!is(pdpte, 0))
			return (struct outcome){WALK_FAULT, 0, 0, error_code(r, &a, 0)};
		table = pdpte & m_mask & ~0xfffull;
	}
	for (;; level--) {
		unsigned shift = 12 + (level - 1) * index_bits;
		u64 at = table + (gva >> shift) % (1u << index_bits) * bytes;
		bool page;

		if (at >= ram_size)
			return (struct outcome){WALK_NOT_RAM, at, 0, 0};
		entry = 0;
		memcpy(&entry, ram + at, bytes);
		if (!is(entry, 0))
			return (struct outcome){WALK_FAULT, 0, 0, error_code(r, &a, 0)};
		page = maps_page(mode, r, level, entry);
		for (unsigned bit = 0; bit < 64; bit++) {
			if (is(entry, bit) && bit_is_reserved(mode, r, level, page, bit))
				return (struct outcome){
					WALK_FAULT, 0, 0,
					error_code(r, &a, PFERR_PRESENT | PFERR_RSVD)};
		}
		path[depth++] = ram + at;
		user_page = user_page && is(entry, 2);
		writable = writable && is(entry, 1);
		nx = nx || (mode != MODE_32BIT && is(r->efer, 11) && is(entry, 63));
		if (page) {
			bool key = key_forbids(mode, r, &a, entry, user_page);
			u64 size = 1ull << shift, base = entry & m_mask;

			if (mode == MODE_32BIT && level == 2)
				base = (entry & 0xffc00000) + (entry / 0x2000 % 256) * 0x100000000;
			if (key || rights_forbid(r, &a, user_page, writable, nx))
				return (struct outcome){
					WALK_FAULT, 0, 0,
					error_code(r, &a, PFERR_PRESENT | (key ? PFERR_PK : 0))};
			for (int i = 0; i < depth && !(access & WALK_NO_AD); i++)
				*path[i] |= 0x20 | (i == depth - 1 && a.write ? 0x40 : 0);
			return (struct outcome){WALK_OK, base / size * size + gva % size, size, 0};
		}
		table = entry & m_mask & ~0xfffull;
	}
}

#endif
