/* SPDX-License-Identifier: MIT */
/*
 * Keeping up with the guest's page tables: comparing, and write protection.
 *
 * A table begins unsync. One in which comparisons find nothing for a while is write-protected, and
 * costs nothing any more until the guest writes to it: that exits once, and the table is unsync
 * again, for twice as long.
 */
#include "entry.h"

#define PATIENCE_MAX 64

bool prefetch_rare(struct shadow *s, const struct shadow_page *sp, u32 ref, u64 entry)
{
	u64 gfn = (entry & SPTE_ADDR_MASK) >> PAGE_SHIFT, spte;
	struct target t;

	if (!frames_find(s, gfn, &t))
		return false;
	spte = t.hpa | compose_leaf(sp->role, 1, entry, frames_types(s, &t, gfn), FOLD_NOTHING);
	if (*t.list & HEAD_PROTECTED)
		spte &= ~PTE_W;
	spte_install(s, ref, spte, entry, t.list);
	return true;
}

/** SMEP and SMAP give the supervisor more where there is less for the user. */
static bool more_rights(u64 old, u64 new)
{
	return (new & ~old &PTE_W) || ((new ^ old) & PTE_U) || (old & ~new &PTE_NX);
}

/** An entry that leads to a table still does, to the same one: only its rights may have changed.
 *  Not to more of them: what is stale below was never to be had with those (as a write, say, to a
 *  frame that the guest replaced while the table above was read-only). */
static bool refresh_link(struct shadow *s, struct shadow_page *sp, unsigned index, u64 entry)
{
	u32 ref = ref_of(sp, index);
	unsigned level = sp->role.level;
	struct shadow_page *child;
	struct walk_regs r;
	bool leaf;

	if (spte_is_leaf(s->spt[ref], level) || (entry & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
		return false;
	role_regs(s, sp->role, &r);
	leaf = guest_entry_is_leaf(&r, level, entry);
	if (entry & guest_reserved_bits(&r, level, leaf) ||
	    (!leaf && more_rights(s->snap[ref], entry)))
		return false;
	child = child_of(s, s->spt[ref]);
	if (child->gfn != entry_frame(sp, index, entry, leaf) ||
	    child->role.word != child_role(sp, index, entry, leaf).word)
		return false;
	__atomic_store_n(&s->spt[ref], page_hpa(s, child) | compose_link(sp->role, entry, leaf),
			 __ATOMIC_RELEASE);
	s->snap[ref] = entry;
	note_filled(s, ref);
	want_flush_all(s);
	return true;
}

/** The guest's entry is not what it was. */
static void refresh(struct shadow *s, struct shadow_page *sp, unsigned index, u64 entry)
{
	u32 ref = ref_of(sp, index);

	count(s, SHADOW_SYNC_CHANGES);
	if (sp->role.level == 1) {
		spte_drop_small(s, ref);
		prefetch(s, sp, ref, entry);
	} else if (!refresh_link(s, sp, index, entry)) {
		spte_drop(s, ref);
	}
}

/** From now on nobody writes to the guest's table without an exit. */
static void protect(struct shadow *s, struct shadow_page *sp)
{
	const struct shadow_slot *slot = frames_slot(s, sp->gfn);
	u32 *head = &slot->head[sp->gfn - slot->gfn];

	if (!(*head & HEAD_PROTECTED)) {
		struct shadow_region *region = region_of(slot, sp->gfn);

		region->small++;
		spte_drop_list(s, &region->head);
		for (u32 ref = *head & HEAD_REF_MASK; ref; ref = s->link[ref].next)
			__atomic_fetch_and(&s->spt[ref], ~PTE_W, __ATOMIC_SEQ_CST);
		*head |= HEAD_PROTECTED;
		count(s, SHADOW_PROTECTS);
	}
	unsync_remove(s, sp);
	sp->in_sync = true;
	/* Before the guest's entries are read, for other processors may be writing them. */
	want_flush_all(s);
	flush_now(s);
}

void protection_over(struct shadow *s, u64 gfn)
{
	const struct shadow_slot *slot = frames_slot(s, gfn);

	for (struct shadow_page *sp = page_first(s, gfn); sp; sp = page_next(s, sp)) {
		if (sp->in_sync)
			return;
	}
	slot->head[gfn - slot->gfn] &= ~HEAD_PROTECTED;
	region_of(slot, gfn)->small--;
}

void unprotect_frame(struct shadow *s, u64 gfn, u32 *head)
{
	for (struct shadow_page *sp = page_first(s, gfn); sp; sp = page_next(s, sp)) {
		if (!sp->in_sync)
			continue;
		/* The way to what is watched is to be protected, all of it. */
		if (sp->role.level > 1)
			unwatch_all(s);
		unwatch(s, sp);
		sp->patience = (u16)MIN(2 * sp->patience, PATIENCE_MAX);
		unsync_add(s, sp);
	}
	*head &= ~HEAD_PROTECTED;
	region_of(frames_slot(s, gfn), gfn)->small--;
}

/** Entries of 64 bits, the ones that `left` has bits of, from `first` on. */
static void compare(struct shadow *s, struct shadow_page *sp, unsigned first, u64 left)
{
	const u32 ref = ref_of(sp, first);
	const u64 *snap = &s->snap[ref], *table = (const u64 *)sp->table + first;

	for (; left; left &= left - 1) {
		unsigned bit = (unsigned)__builtin_ctzll(left);
		u64 entry = __atomic_load_n(&table[bit], __ATOMIC_RELAXED);

		if (__builtin_expect(entry == snap[bit], 1))
			continue;
		if (!entry && sp->role.level == 1) {
			count(s, SHADOW_SYNC_CHANGES);
			spte_drop_small(s, ref + bit);
		} else {
			refresh(s, sp, first + bit, entry);
		}
	}
}

static void compare_32bit(struct shadow *s, struct shadow_page *sp, unsigned first, u64 left)
{
	for (; left; left &= left - 1) {
		unsigned index = first + (unsigned)__builtin_ctzll(left);
		u64 entry = read_guest_entry(sp, index);

		if (entry != s->snap[ref_of(sp, index)])
			refresh(s, sp, index, entry);
	}
}

static void compare_page(struct shadow *s, struct shadow_page *sp)
{
	u64 changes = s->counter[SHADOW_SYNC_CHANGES];

	count(s, SHADOW_SYNCS);
	for (unsigned w = 0; w < ARRAY_SIZE(sp->bitmap); w++) {
		if (!sp->bitmap[w])
			continue;
		if (sp->role.mode == MODE_32BIT)
			compare_32bit(s, sp, w * 64, sp->bitmap[w]);
		else
			compare(s, sp, w * 64, sp->bitmap[w]);
	}
	sp->clean = changes == s->counter[SHADOW_SYNC_CHANGES] ? sp->clean + 1 : 0;
}

void sync_page(struct shadow *s, struct shadow_page *sp)
{
	if (sp->in_sync || sp->role.direct)
		return;
	if (sp->clean >= sp->patience && !(s->narrow && s->wide))
		protect(s, sp);
	compare_page(s, sp);
}

void sync_and_protect(struct shadow *s, struct shadow_page *sp)
{
	if (sp->in_sync)
		return;
	protect(s, sp);
	compare_page(s, sp);
}

static inline void sync_list(struct shadow *s, u32 head, u64 *synced)
{
	if (!head || *synced == s->op)
		return;
	*synced = s->op;
	for (u32 n = head, next; n; n = next) {
		next = s->page[n].unsync_next;
		sync_page(s, &s->page[n]);
	}
}

static bool is_root_number(u32 owner)
{
	return owner != OWNER_NONE && owner != OWNER_SHARED;
}

void sync_lists(struct shadow *s, u32 owner, enum unsync_kind kind)
{
	if (is_root_number(owner))
		sync_list(s, s->page[owner].unsync[kind], &s->page[owner].synced[kind]);
	sync_list(s, s->unsync[kind], &s->synced[kind]);
}

static void prune_list(struct shadow *s, u32 head)
{
	for (u32 n = head, next; n; n = next) {
		struct shadow_page *sp = &s->page[n];

		next = sp->unsync_next;
		if (!sp->present && !sp->pins)
			page_zap(s, sp);
	}
}

void prune_lists(struct shadow *s, u32 owner)
{
	for (unsigned kind = 0; kind < 2; kind++) {
		if (is_root_number(owner))
			prune_list(s, s->page[owner].unsync[kind]);
		prune_list(s, s->unsync[kind]);
	}
}
