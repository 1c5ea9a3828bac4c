/* SPDX-License-Identifier: MIT */
/* Page faults: the guest's own, and those of entries that are not there yet. */
#include "entry.h"

/** Entries looked at around one that was asked for, and how many of them before it. A guest maps
 *  the pages of a file many at a time, of which it uses those that are near. */
#define PREFETCH_WINDOW 10u
#define PREFETCH_BEFORE 5u

/** As often as one fault may come back for which nothing is missing. */
#define SPURIOUS_MAX 2

/** Pages that one fault can need: one at each level. */
#define PAGES_NEEDED 5

/** A page fault on its way. */
struct fault {
	struct shadow *s;
	struct shadow_vcpu *vc;
	const struct walk_regs *regs;
	u64 gva;
	u32 access; /* WALK_* */
	u32 pferr;  /* the processor's error code */
	u8 before;  /* times in a row that the same fault came and nothing was missing */
	bool made;  /* a link on the way */
	struct paging_fault *out;
	enum shadow_counter outcome; /* what an entry that is made counts as */
};

/** A page fault invalidates what the guest's processor has cached of the address, as INVLPG does
 *  (section 4.10.4.1): the guest may count on it. */
static void forget_stale(struct fault *f)
{
	struct shadow *s = f->s;
	const struct shadow_page *sp = root_of(s, f->vc, f->gva);

	while (sp && !sp->role.direct) {
		unsigned index = level_index(f->gva, sp->role.level);
		u32 ref = ref_of(sp, index);

		if (!spte_present(s->spt[ref]))
			return;
		if (read_guest_entry(sp, index) != s->snap[ref]) {
			spte_drop(s, ref);
			return;
		}
		if (spte_is_leaf(s->spt[ref], sp->role.level))
			return;
		sp = child_of(s, s->spt[ref]);
	}
}

/** A directory entry of 32-bit paging is two entries here: the other one is of it, too. */
static void forget_other_half(struct fault *f)
{
	struct shadow *s = f->s;
	const struct shadow_page *sp = root_of(s, f->vc, f->gva);
	unsigned index = level_index(f->gva, 2) ^ 1;
	u32 ref;

	if (!sp || sp->role.mode != MODE_32BIT || sp->role.direct)
		return;
	ref = ref_of(sp, index);
	if (spte_present(s->spt[ref]) && read_guest_entry(sp, index) != s->snap[ref])
		spte_drop(s, ref);
}

static enum paging_verdict reflect(struct fault *f, u32 pferr)
{
	if (f->vc->levels == 2)
		forget_other_half(f);
	f->out->pferr = pferr;
	count(f->s, SHADOW_REFLECTED);
	return PAGING_REFLECT;
}

static enum paging_verdict mmio(struct fault *f, u64 gfn)
{
	f->out->gpa = GPA(gfn << PAGE_SHIFT | (f->gva & ~PAGE_MASK));
	count(f->s, SHADOW_MMIO);
	return PAGING_MMIO;
}

/** All that the guest's tables ask for was there. It was made by this very fault, beside what was
 * asked for; or another processor was faster; or this one had kept less of it, which the fault has
 * made it forget. Else it was an implicit access of the supervisor's, to a descriptor table for
 * example: SMAP forbids those whatever RFLAGS.AC says, and nothing but coming back tells them apart
 * from others. */
static enum paging_verdict spurious(struct fault *f)
{
	const u64 smap = X86_CR4_SMAP;
	struct walk_result out;

	if (f->made) {
		count(f->s, f->outcome);
		return PAGING_RETRY;
	}
	if (f->before == SPURIOUS_MAX && f->regs->cr4 & smap &&
	    !(f->access & (WALK_FETCH | WALK_USER | WALK_IMPLICIT)) &&
	    guest_walk(f->s->gm, f->regs, GVA(f->gva), f->access | WALK_IMPLICIT | WALK_NO_AD,
		       &out) == WALK_FAULT)
		return reflect(f, out.pferr);
	f->vc->spurious = f->pferr & PFERR_PRESENT ? MIN(f->before + 1, SPURIOUS_MAX) : 0;
	f->vc->spurious_gva = f->gva;
	count(f->s, SHADOW_SPURIOUS);
	return PAGING_RETRY;
}

/** Does the processor have to forget what it knows of `old`, now that it is `new`? More rights it
 *  finds out by itself. */
static bool lost_rights(u64 old, u64 new)
{
	return (old & ~new &(PTE_W | PTE_U)) || (new & ~old &PTE_NX) ||
	       ((old ^ new) & ~(PTE_W | PTE_U | PTE_NX | PTE_D));
}

/** The entry at `ref` becomes `spte`. */
static enum paging_verdict put(struct fault *f, u32 ref, u64 spte, u64 snap, const struct target *t)
{
	struct shadow *s = f->s;
	u64 old = s->spt[ref];

	if (old == spte) {
		s->snap[ref] = snap;
		return spurious(f);
	}
	count(s, f->outcome);
	if (spte_present(old) && !((old ^ spte) & (SPTE_ADDR_MASK | PTE_PS))) {
		__atomic_store_n(&s->spt[ref], spte, __ATOMIC_RELEASE);
		s->snap[ref] = snap;
		note_filled(s, ref);
		if (lost_rights(old, spte))
			want_flush_all(s);
		return PAGING_RETRY;
	}
	spte_drop(s, ref);
	spte_install(s, ref, spte, snap, t->list);
	return PAGING_RETRY;
}

/** Writes to what the supervisor may only read, or what the processor has just refused for its
 *  protection key, with CR0.WP=0. */
static enum fold fold(const struct fault *f)
{
	if ((f->access & (WALK_WRITE | WALK_USER)) != WALK_WRITE)
		return FOLD_NOTHING;
	return f->pferr & PFERR_PK ? FOLD_KEY : FOLD_READ_ONLY;
}

/** Must the hypervisor make this write? With CR0.WP=0 the supervisor writes implicitly, to a
 * descriptor, for an instruction that needs the same page as the user's: folding the page for one
 *  access takes it from the other, over and over. */
static bool folds_again(const struct fault *f)
{
	if (fold(f) == FOLD_NOTHING || !(f->access & WALK_IMPLICIT))
		return false;
	/* If it cannot make the write, the page is folded the next time. */
	f->vc->folded = !f->vc->folded || f->vc->folded_gva != f->gva;
	f->vc->folded_gva = f->gva;
	return !f->vc->folded;
}

static enum paging_verdict emulate(struct fault *f, u64 gfn)
{
	f->out->gpa = GPA(gfn << PAGE_SHIFT | (f->gva & ~PAGE_MASK));
	count(f->s, SHADOW_EMULATED);
	return PAGING_EMULATE;
}

/** `entry` lets the access pass: map the frame at `ref`, in a page table. */
static enum paging_verdict map_small(struct fault *f, u32 ref, u64 entry, u64 gfn)
{
	struct shadow *s = f->s;
	struct shadow_page *sp = page_of_ref(s, ref);
	union role role = sp->role;
	struct target t;
	u64 spte;

	if (!frames_find(s, gfn, &t))
		return mmio(f, gfn);
	if ((*t.list & HEAD_PROTECTED) && f->access & WALK_WRITE) {
		if (!(f->access & WALK_USER) && watch_emulates(s, gfn))
			return emulate(f, gfn);
		unprotect_frame(s, gfn, t.list);
		f->outcome = SHADOW_WRITE_PROTECT;
	}
	if (role.wp0 && folds_again(f))
		return emulate(f, gfn);
	spte = t.hpa | (role.wp0 || role.direct
				? compose_leaf(role, 1, role.direct ? role_entry(role) : entry,
					       frames_types(s, &t, gfn), fold(f))
				: compose_small(frames_types(s, &t, gfn), entry));
	if (*t.list & HEAD_PROTECTED)
		spte &= ~PTE_W;
	sp->referenced = true;
	return put(f, ref, spte, role.direct ? 0 : entry, &t);
}

static enum paging_verdict map_large(struct fault *f, u32 ref, u64 entry, u64 gfn,
				     const struct target *t)
{
	struct shadow *s = f->s;
	union role role = page_of_ref(s, ref)->role;
	u64 e = role.direct ? role_entry(role) : entry;

	if (role.wp0 && folds_again(f))
		return emulate(f, gfn);
	return put(f, ref, t->hpa | compose_leaf(role, 2, e, frames_types(s, t, gfn), fold(f)),
		   entry, t);
}

/** Page-table entries near `ref` that could be asked for next. */
static void prefetch_around(struct shadow *s, u32 ref)
{
	struct shadow_page *sp = page_of_ref(s, ref);
	unsigned index = ref % SHADOW_ENTRIES, i = index - MIN(index, PREFETCH_BEFORE);
	unsigned end = MIN(i + PREFETCH_WINDOW, SHADOW_ENTRIES);
	u64 made = s->counter[SHADOW_PREFETCHES];

	for (; i < end; i++) {
		if (!(sp->bitmap[i / 64] >> i % 64 & 1) &&
		    prefetch(s, sp, ref - index + i, read_guest_entry(sp, i)))
			made++;
	}
	s->counter[SHADOW_PREFETCHES] = made;
}

static void add_rights(struct walk_rights *rights, u64 entry)
{
	rights->user &= !!(entry & PTE_U);
	rights->writable &= !!(entry & PTE_W);
	rights->nx |= !!(entry & PTE_NX);
}

/** Down the links, as far as each was made from the guest's entry as it is now: the entry of the
 *  page table, or of the direct page, or NO_REF. `rights` are those of the entries above it, and
 *  `above` is the last of these. */
static u32 descend(const struct shadow *s, const struct shadow_vcpu *vc, u64 gva,
		   struct walk_rights *rights, u64 *above)
{
	u32 n = vc->levels == 4 ? vc->root[0] : vc->root[gva >> 30 & 3];
	u64 all = PTE_U | PTE_W, nx = 0, entry = 0;

	/* Page 0 has level 0. */
	for (unsigned level = s->page[n].role.level; level > 1; level--) {
		const struct shadow_page *sp = &s->page[n];
		unsigned index = level_index(gva, level);
		u32 ref = n << SHADOW_ENTRY_BITS | index;
		u64 spte = s->spt[ref];

		if ((spte & (PTE_A | PTE_PS)) != PTE_A || sp->role.direct)
			return NO_REF;
		entry = read_guest_entry(sp, index);
		if (entry != s->snap[ref])
			return NO_REF;
		all &= entry;
		nx |= entry;
		n = (u32)(((spte & SPTE_ADDR_MASK) - s->spt_hpa) >> PAGE_SHIFT);
	}
	if (!n)
		return NO_REF;
	*above = entry;
	*rights = (struct walk_rights){
		.user = all & PTE_U, .writable = all & PTE_W, .nx = nx & PTE_NX};
	return n << SHADOW_ENTRY_BITS | level_index(gva, 1);
}

static bool set_guest_entry(const struct shadow_page *sp, unsigned index, u64 old, u64 new)
{
	u32 old32 = (u32)old;

	if (sp->role.mode == MODE_32BIT)
		return __atomic_compare_exchange_n((u32 *)sp->table + index, &old32, (u32) new,
						   false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((u64 *)sp->table + index, &old, new, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

#define ALLOWED (~0u)

/** The error code with which `entry` of a page table forbids the access, or ALLOWED; `rights` are
 *  those of the entries above it. */
static u32 denied(const struct fault *f, const struct shadow_page *sp, u64 entry,
		  struct walk_rights *rights)
{
	u32 pferr;

	if (!(entry & PTE_P))
		return guest_fault_code(f->regs, f->access, 0);
	if (entry & f->s->pte_reserved[sp->role.mode][sp->role.nxe])
		return guest_fault_code(f->regs, f->access, PFERR_PRESENT | PFERR_RSVD);
	add_rights(rights, entry);
	pferr = guest_access_denied(f->regs, f->access, rights, entry);
	return pferr ? pferr : ALLOWED;
}

/** Quick in the small pages of `large`, the guest's entry for all of them. */
static bool quick_direct(struct fault *f, u32 ref, const struct walk_rights *rights, u64 large,
			 enum paging_verdict *verdict)
{
	u32 pferr = guest_access_denied(f->regs, f->access, rights, large);

	if (pferr)
		*verdict = reflect(f, pferr);
	else if (f->access & WALK_WRITE && !(large & PTE_D))
		return false;
	else
		*verdict = map_small(f, ref, 0, page_of_ref(f->s, ref)->gfn + ref % SHADOW_ENTRIES);
	return true;
}

/** The common case: every table on the way is known. False: it was not so after all. */
static bool quick(struct fault *f, enum paging_verdict *verdict)
{
	struct shadow *s = f->s;
	struct walk_rights rights;
	u64 above, entry, new;
	u32 ref = descend(s, f->vc, f->gva, &rights, &above), pferr;
	struct shadow_page *sp = page_of_ref(s, ref);
	unsigned index = ref % SHADOW_ENTRIES;

	if (ref == NO_REF)
		return false;
	if (sp->role.direct)
		return quick_direct(f, ref, &rights, above, verdict);
	entry = read_guest_entry(sp, index);
	pferr = denied(f, sp, entry, &rights);
	if (pferr != ALLOWED) {
		/* See forget_stale(); the entries above are not stale. */
		if (entry != s->snap[ref])
			spte_drop_small(s, ref);
		/* What is read is often a file's, of which kernels map more than was asked for. */
		if (!(entry & PTE_P) && f->vc->silent && f->access & WALK_WRITE)
			watch_growth(s, f->vc, sp, f->gva);
		*verdict = reflect(f, pferr);
		return true;
	}
	new = entry | PTE_A | (f->access & WALK_WRITE ? PTE_D : 0);
	if (new != entry && !set_guest_entry(sp, index, entry, new))
		return false;
	*verdict = map_small(f, ref, new, (new &SPTE_ADDR_MASK) >> PAGE_SHIFT);
	if (*verdict == PAGING_RETRY)
		prefetch_around(s, ref);
	return true;
}

/** From the root down to what maps `gfn`, with the guest's entries in `path`; tables that are
 * missing are made. */
static enum paging_verdict map(struct fault *f, const struct walk_path *path, u64 gfn)
{
	struct shadow *s = f->s;
	struct shadow_page *sp = root_of(s, f->vc, f->gva);
	struct target t;

	for (unsigned step = 0;; step++) {
		unsigned level = sp->role.level, index = level_index(f->gva, level);
		u32 ref = ref_of(sp, index);
		u64 entry = sp->role.direct ? 0 : path->step[step].entry, before;
		bool leaf = sp->role.direct || step == path->depth - 1;
		bool linked = (s->spt[ref] & (PTE_A | PTE_PS)) == PTE_A && s->snap[ref] == entry;

		/* Another processor has changed it since the walk, perhaps just before this table
		 * was write-protected on the way: then nobody would compare it again. */
		if (!sp->role.direct && read_guest_entry(sp, index) != entry) {
			count(s, SHADOW_SPURIOUS);
			return PAGING_RETRY;
		}
		if (level == 1)
			return map_small(f, ref, entry, gfn);
		/* What is mapped in small pages already stays so. */
		if (leaf && level == 2 && !linked && frames_find_large(s, gfn, &t))
			return map_large(f, ref, entry, gfn, &t);
		before = s->spt[ref];
		sp = link_child(s, ref, entry, leaf);
		f->made |= s->spt[ref] != before;
	}
}

/** By the guest's tables themselves. */
static enum paging_verdict slow(struct fault *f)
{
	struct walk_result out;
	struct walk_path path = {0};
	struct target t;

	switch (guest_walk_path(f->s->gm, f->regs, GVA(f->gva), f->access, &out, &path)) {
	case WALK_FAULT:
		forget_stale(f);
		return reflect(f, out.pferr);
	case WALK_NOT_RAM:
		f->out->gpa = out.gpa;
		return PAGING_LOST_TABLE;
	case WALK_OK:
		break;
	}
	/* No tables are made for what is not memory. */
	if (!frames_find(f->s, out.gpa.v >> PAGE_SHIFT, &t))
		return mmio(f, out.gpa.v >> PAGE_SHIFT);
	return map(f, &path, out.gpa.v >> PAGE_SHIFT);
}

static u32 access_of(const struct walk_regs *r, u32 pferr)
{
	u32 access = pferr & PFERR_WRITE ? WALK_WRITE : WALK_READ;

	/* EFER.NXE is 1 for the processor: the bit tells of every fetch. */
	if (pferr & PFERR_FETCH)
		access |= WALK_FETCH;
	if (pferr & PFERR_USER)
		access |= WALK_USER;
	else if (r->cpl == 3)
		access |= WALK_IMPLICIT;
	return access;
}

enum paging_verdict shadow_page_fault(struct paging *p, unsigned vcpu, const struct walk_regs *r,
				      gva_t gva, u32 pferr, struct paging_fault *out)
{
	struct shadow *s = to_shadow(p);
	struct shadow_vcpu *vc = &s->vcpu[vcpu];
	/* An entry about which nothing is known has a reserved bit of ours. */
	if (pferr & PFERR_RSVD)
		pferr &= ~(PFERR_RSVD | PFERR_PRESENT);
	struct fault f = {
		.s = s,
		.vc = vc,
		.regs = r,
		.gva = vc->levels == 4 ? gva.v : (u32)gva.v,
		.access = access_of(r, pferr),
		.pferr = pferr,
		.before = vc->spurious_gva == gva.v ? vc->spurious : 0,
		.out = out,
		.outcome = SHADOW_FILLS,
	};
	enum paging_verdict verdict;

	op_begin(s);
	vc->spurious = 0;
	count(s, SHADOW_FAULTS);
	pool_reserve(s, PAGES_NEEDED);
	if (!quick(&f, &verdict))
		verdict = slow(&f);
	op_end(s);
	return verdict;
}
