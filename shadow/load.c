/* SPDX-License-Identifier: MIT */
/* Address spaces: loading one, and what the guest invalidates in it. */
#include "entry.h"

#define PAGES_NEEDED 4

/** The "frame" of a root that lies where no memory is: nothing is ever filled there. */
#define NOWHERE (~0ull >> PAGE_SHIFT)

#define CR3_ADDR_32 0xfffff000ull
#define CR3_PCID 0xfffull
#define MODE_CR0 (X86_CR0_PG | X86_CR0_WP)
#define MODE_CR4 (X86_CR4_PAE | X86_CR4_PSE | X86_CR4_SMEP)
#define MODE_EFER (EFER_LMA | EFER_NX)

static bool same_mode(const struct walk_regs *a, const struct walk_regs *b)
{
	return !(((a->cr0 ^ b->cr0) & MODE_CR0) | ((a->cr4 ^ b->cr4) & MODE_CR4) |
		 ((a->efer ^ b->efer) & MODE_EFER));
}

/** The accessed and dirty flags that a walk sets are written past all write protection. That
 * changes nothing for a table that is in sync, but for one that is a table in both formats, of 4
 * and of 8 bytes an entry: there they are other bits. So tables of one format only are kept, and
 * none is write-protected while the vcpus use both. */
static void set_format(struct shadow *s)
{
	bool narrow = false, wide = false;

	for (unsigned i = 0; i < SHADOW_MAX_VCPUS; i++) {
		if (!s->vcpu[i].paging)
			continue;
		narrow |= s->vcpu[i].role.mode == MODE_32BIT;
		wide |= s->vcpu[i].role.mode != MODE_32BIT;
	}
	if ((narrow && !s->narrow) || (wide && !s->wide))
		page_zap_all(s);
	if (narrow || wide) {
		s->narrow = narrow;
		s->wide = wide;
	}
}

/** Work out what the registers mean. */
static void set_mode(struct shadow *s, struct shadow_vcpu *vc, const struct walk_regs *r)
{
	bool pae = r->cr4 & X86_CR4_PAE, lma = r->efer & EFER_LMA;

	if (!vc->levels)
		frames_new_types(s);
	s->maxphyaddr = r->maxphyaddr;
	s->cr3_mask = (1ull << r->maxphyaddr) - 1;
	s->has_1g = r->has_1g;
	vc->paging = r->cr0 & X86_CR0_PG;
	vc->silent = false;
	vc->levels = vc->paging && lma ? 4 : 2;
	vc->role = (union role){.level = vc->levels, .access = ACCESS_ALL};
	if (!vc->paging) {
		vc->role.direct = 1;
		vc->role.pat = ROLE_NO_PAT;
		return;
	}
	vc->role.mode = lma ? MODE_4LEVEL : pae ? MODE_PAE : MODE_32BIT;
	vc->role.nxe = pae && (r->efer & EFER_NX);
	vc->role.pse = vc->role.mode == MODE_32BIT && (r->cr4 & X86_CR4_PSE);
	vc->role.wp0 = !(r->cr0 & X86_CR0_WP);
	vc->role.smep = vc->role.wp0 && (r->cr4 & X86_CR4_SMEP);
	/* Without either, the error code of a fetch would tell that EFER.NXE is 1. */
	vc->silent = s->unknown && lma && ((r->cr4 & X86_CR4_SMEP) || (r->efer & EFER_NX));
	s->pte_reserved[vc->role.mode][vc->role.nxe] = guest_reserved_bits(r, 1, true);
	set_format(s);
}

static struct shadow_page *get_root(struct shadow *s, u64 gfn, union role role)
{
	struct shadow_page *sp = page_find(s, gfn, role);
	const void *table = NULL;

	if (sp) {
		count(s, SHADOW_ROOTS_CACHED);
		sp->referenced = true;
		return sp;
	}
	if (!role.direct) {
		table = guest_table(s, gfn, role);
		if (!table)
			return get_root(s, NOWHERE, (union role){.level = role.level, .direct = 1});
	}
	sp = page_create(s, gfn, role, table);
	adopt(s, sp, role.level == 4 ? sp->number : OWNER_SHARED);
	prefill_root(s, sp);
	return sp;
}

/** The frame in CR3 or a PDPTE. */
static inline u64 frame_of(const struct shadow *s, u64 cr3)
{
	return (cr3 & s->cr3_mask) >> PAGE_SHIFT;
}

/** The frame and quadrant of root `i`; false: there is none. */
static bool root_frame(const struct shadow *s, const struct shadow_vcpu *vc, unsigned i, u64 *gfn,
		       union role *role)
{
	const struct walk_regs *r = &vc->regs;

	*role = vc->role;
	if (!vc->paging) {
		*gfn = (u64)i << (30 - PAGE_SHIFT);
		return true;
	}
	switch (vc->role.mode) {
	case MODE_4LEVEL:
		*gfn = frame_of(s, r->cr3);
		return i == 0;
	case MODE_PAE:
		*gfn = frame_of(s, r->pdpte[i]);
		return r->pdpte[i] & PTE_P;
	default:
		role->quadrant = i & 3;
		*gfn = (r->cr3 & CR3_ADDR_32) >> PAGE_SHIFT;
		return true;
	}
}

/** The new root in place of the old one; pinned, so that nothing reclaims it. */
static void set_root(struct shadow *s, struct shadow_vcpu *vc, unsigned i, struct shadow_page *sp)
{
	u32 old = vc->root[i], n = sp ? sp->number : 0;

	if (sp)
		sp->pins++;
	if (old)
		s->page[old].pins--;
	vc->root[i] = n;
	vc->pdpt[i] = sp ? page_hpa(s, sp) | PTE_P : 0;
}

static void set_roots(struct shadow *s, struct shadow_vcpu *vc)
{
	for (unsigned i = 0; i < 4; i++) {
		union role role;
		u64 gfn;

		set_root(s, vc, i,
			 root_frame(s, vc, i, &gfn, &role) ? get_root(s, gfn, role) : NULL);
	}
}

static void sync_all(struct shadow *s, const struct shadow_vcpu *vc)
{
	u32 owner = root_owner(vc);
	const struct shadow_page *root = &s->page[vc->root[0]];
	u64 changes = s->counter[SHADOW_SYNC_CHANGES];

	want_flush_all(s);
	/* Mostly all that can be reached is in sync. */
	if (!(s->unsync[UNSYNC_UPPER] | s->unsync[UNSYNC_LEAF] | root->unsync[UNSYNC_UPPER] |
	      root->unsync[UNSYNC_LEAF]))
		return;
	sync_lists(s, owner, UNSYNC_UPPER);
	sync_lists(s, owner, UNSYNC_LEAF);
	if (s->counter[SHADOW_SYNC_CHANGES] != changes)
		prune_lists(s, owner);
}

/** Compare the entries on the way to `gva` below `sp`. True: one that concerns other addresses,
 * too, had changed. */
static bool invalidate_entry(struct shadow *s, struct shadow_page *sp, u64 gva)
{
	while (sp && !sp->role.direct) {
		unsigned index = level_index(gva, sp->role.level);
		u32 ref = ref_of(sp, index);
		u64 entry = read_guest_entry(sp, index);

		if (sp->role.level > 1) {
			if (!spte_present(s->spt[ref]))
				return false;
			if (entry != s->snap[ref]) {
				spte_drop(s, ref);
				count(s, SHADOW_SYNC_CHANGES);
				return true;
			}
			if (s->spt[ref] & PTE_PS)
				return false;
			sp = child_of(s, s->spt[ref]);
			continue;
		}
		if (spte_present(s->spt[ref])) {
			count(s, SHADOW_INVLPG_MAPPED);
			if (entry == s->snap[ref])
				return false;
			spte_drop_small(s, ref);
			count(s, SHADOW_SYNC_CHANGES);
		}
		prefetch(s, sp, ref, entry);
		break;
	}
	return false;
}

const void *shadow_peek(const struct paging *p, unsigned vcpu, gva_t gva)
{
	const struct shadow *s = (const struct shadow *)p;
	const struct shadow_vcpu *vc = &s->vcpu[vcpu];
	u64 at = vc->levels == 4 ? gva.v : (u32)gva.v, spte = 0;
	const struct shadow_page *sp = root_of(s, vc, at);
	unsigned level;

	for (level = sp ? sp->role.level : 0; level; level--) {
		spte = s->spt[ref_of(sp, level_index(at, level))];
		if (!spte_present(spte))
			return NULL;
		if (spte_is_leaf(spte, level))
			break;
		sp = child_of(s, spte);
	}
	if (!level)
		return NULL;
	at &= (1ull << level_shift(level)) - 1;
	return frames_ptr(s, (spte & SPTE_ADDR_MASK & ~((1ull << level_shift(level)) - 1)) | at);
}

/* --- PCIDs ---------------------------------------------------------------------------------- */

static struct shadow_pcid *pcid_slot(struct shadow_vcpu *vc, u16 pcid)
{
	/* Linux has a few small numbers, and with PTI the same ones with bit 11. */
	return &vc->pcid[(pcid ^ pcid >> 8) % SHADOW_PCIDS];
}

static void forget_pcids(struct shadow_vcpu *vc)
{
	for (unsigned i = 0; i < SHADOW_PCIDS; i++)
		vc->pcid[i].known = false;
}

/** The address is to be compared in each PCID that comes into use again. */
static void note_flushed(struct shadow_vcpu *vc, u64 gva)
{
	vc->flushed[vc->nr_flushed++ % SHADOW_FLUSHED] = gva;
}

/** The present PCID goes out of use for now. */
static void leave_pcid(struct shadow *s, struct shadow_vcpu *vc)
{
	u16 pcid = vc->regs.cr3 & CR3_PCID;

	*pcid_slot(vc, pcid) = (struct shadow_pcid){.gfn = frame_of(s, vc->regs.cr3),
						    .filled = s->filled,
						    .flushed = vc->nr_flushed,
						    .pcid = pcid,
						    .known = true};
}

/** An entry that was filled while another PCID was in use: a processor could not have it for this
 *  one if the guest has changed it since. */
static void drop_if_stale(struct shadow *s, u32 ref)
{
	const struct shadow_page *sp = page_of_ref(s, ref);

	if (!sp->used || sp->in_sync || sp->role.direct || !spte_present(s->spt[ref]) ||
	    read_guest_entry(sp, ref % SHADOW_ENTRIES) == s->snap[ref])
		return;
	spte_drop(s, ref);
	count(s, SHADOW_SYNC_CHANGES);
}

/** The guest loads a PCID and keeps its translations. What was stale when the PCID went out of use
 * may still be so. Looked at is only what was filled since then, and what INVLPG has invalidated,
 * which for global translations it does for all PCIDs. False: that is not known. */
static bool keep_pcid(struct shadow *s, struct shadow_vcpu *vc)
{
	u16 pcid = vc->regs.cr3 & CR3_PCID;
	const struct shadow_pcid *last = pcid_slot(vc, pcid);

	if (!last->known || last->pcid != pcid || last->gfn != frame_of(s, vc->regs.cr3) ||
	    s->filled - last->filled > SHADOW_RECENT ||
	    vc->nr_flushed - last->flushed > SHADOW_FLUSHED)
		return false;
	for (u64 n = last->filled; n != s->filled; n++)
		drop_if_stale(s, s->recent[n % SHADOW_RECENT]);
	for (u64 n = last->flushed; n != vc->nr_flushed; n++)
		invalidate_entry(s, &s->page[vc->root[0]], vc->flushed[n % SHADOW_FLUSHED]);
	want_flush_all(s);
	return true;
}

static hpa_t processor_cr3(const struct shadow_vcpu *vc)
{
	return vc->levels == 4 ? HPA(vc->pdpt[0] & SPTE_ADDR_MASK) : vc->pdpt_hpa;
}

hpa_t shadow_load(struct paging *p, unsigned vcpu, const struct walk_regs *r)
{
	struct shadow *s = to_shadow(p);
	struct shadow_vcpu *vc = &s->vcpu[vcpu];

	op_begin(s);
	count(s, SHADOW_LOADS);
	pool_reserve(s, PAGES_NEEDED);
	if (!vc->levels || !same_mode(&vc->regs, r))
		set_mode(s, vc, r);
	vc->regs = *r;
	set_roots(s, vc);
	forget_pcids(vc);
	sync_all(s, vc);
	op_end(s);
	return processor_cr3(vc);
}

hpa_t shadow_load_cr3(struct paging *p, unsigned vcpu, const struct walk_regs *r, bool keep)
{
	struct shadow *s = to_shadow(p);
	struct shadow_vcpu *vc = &s->vcpu[vcpu];

	op_begin(s);
	count(s, SHADOW_LOADS);
	pool_reserve(s, PAGES_NEEDED);
	if (vc->levels == 4) {
		if (r->cr4 & X86_CR4_PCIDE)
			leave_pcid(s, vc);
		vc->regs.cr3 = r->cr3;
		set_root(s, vc, 0, get_root(s, frame_of(s, r->cr3), vc->role));
	} else {
		vc->regs = *r;
		set_roots(s, vc);
	}
	if (!keep || !keep_pcid(s, vc))
		sync_all(s, vc);
	op_end(s);
	return processor_cr3(vc);
}

void shadow_flush(struct paging *p, unsigned vcpu)
{
	struct shadow *s = to_shadow(p);

	op_begin(s);
	forget_pcids(&s->vcpu[vcpu]);
	sync_all(s, &s->vcpu[vcpu]);
	op_end(s);
}

void shadow_invlpg(struct paging *p, unsigned vcpu, const struct walk_regs *r, gva_t gva)
{
	struct shadow *s = to_shadow(p);
	struct shadow_vcpu *vc = &s->vcpu[vcpu];
	u64 at = vc->levels == 4 ? gva.v : (u32)gva.v;
	enum shadow_flush before;
	bool others;

	(void)r;
	op_begin(s);
	count(s, SHADOW_INVLPG);
	/* The processor's caches of the tables above page tables go, whatever the address (section
	 * 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches"). */
	sync_lists(s, root_owner(vc), UNSYNC_UPPER);
	before = s->flush;
	others = invalidate_entry(s, root_of(s, vc, at), at);
	/* A global translation goes for all PCIDs, and other roots may have it in other tables. */
	note_flushed(vc, at);
	/* Other addresses that the same entry maps are stale until the guest invalidates them, too:
	 * that flushes them, whether or not the entry changes then. */
	if (before == FLUSH_NOTHING && !others) {
		s->flush = FLUSH_ADDRESS;
		s->flush_gva = GVA(at);
	}
	op_end(s);
}

void shadow_invpcid(struct paging *p, unsigned vcpu, u16 pcid, const gva_t *gva)
{
	struct shadow *s = to_shadow(p);
	struct shadow_vcpu *vc = &s->vcpu[vcpu];
	struct shadow_pcid *last = pcid_slot(vc, pcid);

	if (!last->known || last->pcid != pcid)
		return; /* nothing of it is kept */
	/* What the guest changes from now on is not cached before the PCID is in use again: it is
	 * compared then. */
	if (gva)
		note_flushed(vc, gva->v);
	else
		last->known = false;
	count(s, SHADOW_INVLPG);
}

void flush_now(struct shadow *s)
{
	enum shadow_flush what = s->flush;

	s->flush = FLUSH_NOTHING;
	if (what == FLUSH_ADDRESS && s->env.invalidate_gva) {
		count(s, SHADOW_FLUSHES_GVA);
		s->env.invalidate_gva(s->env.ctx, s->flush_gva);
	} else if (what != FLUSH_NOTHING) {
		count(s, SHADOW_FLUSHES);
		s->env.invalidate(s->env.ctx);
	}
}
