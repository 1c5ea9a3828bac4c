/* SPDX-License-Identifier: MIT */
/*
 * The guest's page tables, walked by the rules of SDM volume 3, chapter 4 "Paging". The modes
 * differ in a table of formats; one loop descends through any of them; the access rights are
 * worked out once, at the end, from what the loop gathered.
 *
 * The accessed and dirty flags are set only where the access is allowed. (The processor may set
 * accessed flags on the way to a fault as well; it need not.)
 */
#include "guest/walk.h"
#include "lib/mem.h"

#define CR0_WP BIT(16)
#define CR0_PG BIT(31)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define RFLAGS_AC BIT(18)

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)
#define PTE_PKEY(e) ((e) >> 59 & 0xf)

/** Bits hi:lo; none where hi < lo. */
static u64 bits(unsigned hi, unsigned lo)
{
	return hi < lo ? 0 : (~0ull >> (63 - hi)) & (~0ull << lo);
}

/** May an entry of this level map a page? */
enum large { LARGE_NEVER, LARGE_PSE, LARGE_ALWAYS, LARGE_1G };

#define MAX_LEVELS WALK_MAX_DEPTH

/** One row for each paging mode: its structures from the root to the page table. */
struct format {
	u8 entry_bytes;
	u8 index_bits;
	u8 high_reserved; /* from bit MAXPHYADDR up to here reserved; 0: none */
	u8 levels;
	bool ps_reserved; /* PS is a reserved bit in an entry that may not map a page */
	struct {
		u8 shift; /* of the index in the linear address = log2 of what an entry covers */
		u8 large; /* enum large */
	} level[MAX_LEVELS];
};

/* Section 4.3 "32-Bit Paging", tables 4-4 to 4-6 */
static const struct format format_32bit = {
	.entry_bytes = 4,
	.index_bits = 10,
	.levels = 2,
	.level = {{22, LARGE_PSE}, {12, LARGE_NEVER}},
};

/* Section 4.4 "PAE Paging", tables 4-9 to 4-11. The PDPTEs are registers, not part of the walk. */
static const struct format format_pae = {
	.entry_bytes = 8,
	.index_bits = 9,
	.high_reserved = 62,
	.levels = 2,
	.level = {{21, LARGE_ALWAYS}, {12, LARGE_NEVER}},
};

/* Section 4.5 "4-Level Paging and 5-Level Paging", tables 4-15 to 4-20 */
static const struct format format_4level = {
	.entry_bytes = 8,
	.index_bits = 9,
	.high_reserved = 51,
	.levels = 4,
	.ps_reserved = true,
	.level = {{39, LARGE_NEVER}, {30, LARGE_1G}, {21, LARGE_ALWAYS}, {12, LARGE_NEVER}},
};

/** A walk on its way. */
struct walk {
	const struct gmem *gm;
	const struct walk_regs *regs;
	const struct format *format;
	u64 gva;
	u32 access;
	unsigned depth; /* entries in `path`; the last one is the leaf */
	struct {
		void *ptr;
		u64 table, entry;
	} path[MAX_LEVELS];
	struct walk_rights rights;
};

/** MAXPHYADDR within what the formats can express, whatever the caller's number. */
static unsigned phys_bits(u8 maxphyaddr)
{
	return MIN(MAX(maxphyaddr, 32u), 52u);
}

static const struct format *select_format(const struct walk_regs *r)
{
	if (!(r->cr0 & CR0_PG))
		return NULL;
	if (r->efer & EFER_LMA)
		return &format_4level;
	return r->cr4 & CR4_PAE ? &format_pae : &format_32bit;
}

/** Execute-disable exists where EFER.NXE is set and entries have a bit 63. */
static bool nx_enabled(const struct walk_regs *r, const struct format *f)
{
	return r->efer & EFER_NXE && f->entry_bytes == 8;
}

static bool is_leaf(const struct walk_regs *r, const struct format *f, unsigned level, u64 entry)
{
	if (level == f->levels - 1u)
		return true;
	if (!(entry & PTE_PS))
		return false;
	switch (f->level[level].large) {
	case LARGE_PSE:
		return r->cr4 & CR4_PSE;
	case LARGE_1G:
		return r->has_1g;
	case LARGE_ALWAYS:
		return true;
	}
	return false;
}

static u64 reserved_bits(const struct walk_regs *r, const struct format *f, unsigned level,
			 bool leaf)
{
	unsigned shift = f->level[level].shift, m = phys_bits(r->maxphyaddr);
	bool large = leaf && level < f->levels - 1u;
	u64 mask = 0;

	if (f->entry_bytes == 4) /* table 4-4: bits 20:13 are address bits 39:32 (PSE-36) */
		return large ? bits(21, MIN(m, 40u) - 19) : 0;
	mask = bits(f->high_reserved, m);
	if (!nx_enabled(r, f))
		mask |= PTE_NX;
	if (large)
		mask |= bits(shift - 1, 13); /* bit 12 is PAT */
	else if (!leaf && f->ps_reserved)
		mask |= PTE_PS; /* it would be a leaf if this level had large pages */
	return mask;
}

u64 guest_reserved_bits(const struct walk_regs *r, unsigned level, bool leaf)
{
	const struct format *f = select_format(r);

	return reserved_bits(r, f, f->levels - level, leaf);
}

bool guest_entry_is_leaf(const struct walk_regs *r, unsigned level, u64 entry)
{
	const struct format *f = select_format(r);

	return is_leaf(r, f, f->levels - level, entry);
}

/** The physical address in an entry that maps 2^shift bytes, or a table (shift 12). */
static u64 entry_address(const struct walk *w, u64 entry, unsigned shift)
{
	if (w->format->entry_bytes == 4 && shift > PAGE_SHIFT)
		return (entry & bits(31, 22)) | (entry >> 13 & 0xff) << 32;
	return entry & bits(phys_bits(w->regs->maxphyaddr) - 1, shift);
}

static u64 load_entry(const struct format *f, const void *ptr)
{
	return f->entry_bytes == 4 ? __atomic_load_n((const u32 *)ptr, __ATOMIC_RELAXED)
				   : __atomic_load_n((const u64 *)ptr, __ATOMIC_RELAXED);
}

/** Replace an entry if it is still what the walk saw. */
static bool replace_entry(const struct format *f, void *ptr, u64 old, u64 new)
{
	u32 old32 = (u32)old, new32 = (u32) new;

	return f->entry_bytes == 4
		       ? __atomic_compare_exchange_n((u32 *)ptr, &old32, new32, false,
						     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)
		       : __atomic_compare_exchange_n((u64 *)ptr, &old, new, false, __ATOMIC_SEQ_CST,
						     __ATOMIC_RELAXED);
}

static bool is_user(u32 access)
{
	return (access & (WALK_USER | WALK_IMPLICIT)) == WALK_USER;
}

/** Section 4.7 "Page-Fault Exceptions". */
u32 guest_fault_code(const struct walk_regs *r, u32 access, u32 pferr)
{
	if (access & WALK_WRITE)
		pferr |= PFERR_WRITE;
	if (is_user(access))
		pferr |= PFERR_USER;
	if (access & WALK_FETCH && (r->cr4 & CR4_SMEP || (r->efer & EFER_NXE && r->cr4 & CR4_PAE)))
		pferr |= PFERR_FETCH;
	return pferr;
}

static enum walk_status fault(const struct walk *w, u32 pferr, struct walk_result *out)
{
	out->pferr = guest_fault_code(w->regs, w->access, pferr);
	return WALK_FAULT;
}

/** Section 4.6.2 "Protection Keys": PKRU governs data accesses to user-mode addresses, a
 *  supervisor's as well. */
static bool pkru_denies(const struct walk_regs *r, u32 access, u64 leaf)
{
	u32 key_bits = r->pkru >> (2 * PTE_PKEY(leaf));
	bool ad = key_bits & 1, wd = key_bits & 2;

	return ad || (wd && access & WALK_WRITE && (is_user(access) || r->cr0 & CR0_WP));
}

/** Section 4.6.1 "Determination of Access Rights", bullet by bullet. */
static bool rights_allow(const struct walk_regs *r, u32 access, const struct walk_rights *rights)
{
	bool write = access & WALK_WRITE, fetch = access & WALK_FETCH;

	if (is_user(access)) {
		if (!rights->user || (fetch && rights->nx))
			return false;
		return !write || rights->writable;
	}
	if (fetch)
		return !rights->nx && !(rights->user && r->cr4 & CR4_SMEP);
	if (rights->user && r->cr4 & CR4_SMAP &&
	    (access & WALK_IMPLICIT || !(r->rflags & RFLAGS_AC)))
		return false;
	return !write || rights->writable || !(r->cr0 & CR0_WP);
}

u32 guest_access_denied(const struct walk_regs *r, u32 access, const struct walk_rights *rights,
			u64 leaf)
{
	bool keys =
		r->cr4 & CR4_PKE && r->efer & EFER_LMA && rights->user && !(access & WALK_FETCH);

	if (keys && pkru_denies(r, access, leaf))
		return guest_fault_code(r, access, PFERR_PRESENT | PFERR_PK);
	if (!rights_allow(r, access, rights))
		return guest_fault_code(r, access, PFERR_PRESENT);
	return 0;
}

/** From the root to the leaf: fills `path` and the rights. */
static enum walk_status descend(struct walk *w, u64 table, struct walk_result *out)
{
	const struct format *f = w->format;

	for (unsigned level = 0;; level++) {
		u64 index = w->gva >> f->level[level].shift & (BIT(f->index_bits) - 1);
		gpa_t at = GPA(table + index * f->entry_bytes);
		void *ptr = gmem_ptr(w->gm, at, f->entry_bytes);
		u64 entry;
		bool leaf;

		if (!ptr) {
			out->gpa = at;
			return WALK_NOT_RAM;
		}
		entry = load_entry(f, ptr);
		if (!(entry & PTE_P))
			return fault(w, 0, out);
		leaf = is_leaf(w->regs, f, level, entry);
		if (entry & reserved_bits(w->regs, f, level, leaf))
			return fault(w, PFERR_PRESENT | PFERR_RSVD, out);

		w->path[level].ptr = ptr;
		w->path[level].table = table;
		w->path[level].entry = entry;
		w->depth = level + 1;
		w->rights.user &= !!(entry & PTE_U);
		w->rights.writable &= !!(entry & PTE_W);
		w->rights.nx |= entry & PTE_NX && nx_enabled(w->regs, f);
		if (leaf)
			return WALK_OK;
		table = entry_address(w, entry, PAGE_SHIFT);
	}
}

/** Section 4.8 "Accessed and Dirty Flags". False: an entry changed meanwhile; walk again. */
static bool set_accessed_dirty(struct walk *w)
{
	for (unsigned i = 0; i < w->depth; i++) {
		u64 old = w->path[i].entry, new = old | PTE_A;

		if (i == w->depth - 1 && w->access & WALK_WRITE)
			new |= PTE_D;
		if (new != old && !replace_entry(w->format, w->path[i].ptr, old, new))
			return false;
		w->path[i].entry = new;
	}
	return true;
}

/** Where the walk begins: CR3, or for PAE paging a PDPTE register. False: that is not present. */
static bool root(const struct walk *w, u64 *table)
{
	const struct walk_regs *r = w->regs;
	u64 mask = bits(phys_bits(r->maxphyaddr) - 1, PAGE_SHIFT);

	if (w->format == &format_pae) {
		u64 pdpte = r->pdpte[w->gva >> 30 & 3];

		*table = pdpte & mask;
		return pdpte & PTE_P;
	}
	*table = r->cr3 & mask & (w->format == &format_32bit ? 0xffffffff : ~0ull);
	return true;
}

static u64 effective_gva(const struct walk_regs *r, u64 gva)
{
	return select_format(r) == &format_4level ? gva : (u32)gva;
}

static void store_path(const struct walk *w, struct walk_path *path)
{
	path->depth = w->depth;
	for (unsigned i = 0; i < w->depth; i++)
		path->step[i] = (struct walk_step){.table = GPA(w->path[i].table),
						   .entry = w->path[i].entry};
}

enum walk_status guest_walk(const struct gmem *gm, const struct walk_regs *r, gva_t gva, u32 access,
			    struct walk_result *out)
{
	return guest_walk_path(gm, r, gva, access, out, NULL);
}

enum walk_status guest_walk_path(const struct gmem *gm, const struct walk_regs *r, gva_t gva,
				 u32 access, struct walk_result *out, struct walk_path *path)
{
	struct walk w = {.gm = gm, .regs = r, .format = select_format(r), .access = access};
	enum walk_status status;
	unsigned shift;
	u64 table;

	*out = (struct walk_result){.page_size = PAGE_SIZE};
	w.gva = effective_gva(r, gva.v);
	if (!w.format) {
		out->gpa = GPA(w.gva);
		return WALK_OK;
	}
	do {
		w.rights = (struct walk_rights){.user = true, .writable = true};
		if (!root(&w, &table))
			return fault(&w, 0, out);
		status = descend(&w, table, out);
		if (status != WALK_OK)
			return status;
		out->pferr = guest_access_denied(r, access, &w.rights, w.path[w.depth - 1].entry);
		if (out->pferr)
			return WALK_FAULT;
	} while (!(access & WALK_NO_AD) && !set_accessed_dirty(&w));

	shift = w.format->level[w.depth - 1].shift;
	out->leaf = w.path[w.depth - 1].entry;
	out->page_size = BIT(shift);
	out->gpa = GPA(entry_address(&w, out->leaf, shift) | (w.gva & (BIT(shift) - 1)));
	if (path)
		store_path(&w, path);
	return WALK_OK;
}

bool guest_load_pdptes(const struct gmem *gm, u64 cr3, u8 maxphyaddr, u64 pdpte[4])
{
	/* Table 4-8 "Format of a PAE Page-Directory-Pointer-Table Entry (PDPTE)" */
	u64 reserved = bits(2, 1) | bits(8, 5) | bits(63, phys_bits(maxphyaddr));
	u64 loaded[4];

	if (!gmem_read(gm, GPA(cr3 & bits(31, 5)), loaded, sizeof(loaded)))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (loaded[i] & PTE_P && loaded[i] & reserved)
			return false;
	}
	memcpy(pdpte, loaded, sizeof(loaded));
	return true;
}

/** The piece of [gva, gva+len) that begins at `gva` and is all in one page: where it is, and how
 * much of it there is. */
static enum walk_status translate_piece(const struct gmem *gm, const struct walk_regs *r, u64 gva,
					u64 len, u32 access, struct walk_result *out,
					gva_t *fault_gva, u64 *n)
{
	u64 at = effective_gva(r, gva);
	enum walk_status status = guest_walk(gm, r, GVA(at), access, out);

	*n = MIN(len, PAGE_SIZE - (at & ~PAGE_MASK));
	if (status == WALK_OK && !gmem_ptr(gm, out->gpa, *n))
		status = WALK_NOT_RAM;
	if (status != WALK_OK)
		*fault_gva = GVA(at);
	return status;
}

enum walk_status guest_virt_read(const struct gmem *gm, const struct walk_regs *r, gva_t gva,
				 void *dst, u64 len, u32 access, struct walk_result *out,
				 gva_t *fault_gva)
{
	for (u64 done = 0, n; done < len; done += n) {
		enum walk_status status = translate_piece(gm, r, gva.v + done, len - done, access,
							  out, fault_gva, &n);

		if (status != WALK_OK)
			return status;
		gmem_read(gm, out->gpa, (u8 *)dst + done, n);
	}
	return WALK_OK;
}

enum walk_status guest_virt_span(const struct gmem *gm, const struct walk_regs *r, gva_t gva,
				 u64 len, u32 access, struct walk_result *out, gva_t *fault_gva,
				 struct walk_span *span)
{
	u64 done = 0;

	*span = (struct walk_span){.len = {0}};
	for (unsigned i = 0; i < 2 && done < len; i++) {
		enum walk_status status = translate_piece(gm, r, gva.v + done, len - done, access,
							  out, fault_gva, &span->len[i]);

		if (status != WALK_OK)
			return status;
		span->gpa[i] = out->gpa;
		done += span->len[i];
	}
	return WALK_OK;
}

void guest_span_write(const struct gmem *gm, const struct walk_span *span, const void *src)
{
	gmem_write(gm, span->gpa[0], src, span->len[0]);
	if (span->len[1])
		gmem_write(gm, span->gpa[1], (const u8 *)src + span->len[0], span->len[1]);
}
