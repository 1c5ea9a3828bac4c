/* SPDX-License-Identifier: MIT */
/*
 * Making and taking away shadow entries: the steps that a page fault and a comparison of tables do
 * so many times that they are written for speed.
 */
#ifndef TV_SHADOW_ENTRY_H
#define TV_SHADOW_ENTRY_H

#include "mmu.h"

/** A list is doubly linked by entry numbers, so that an entry leaves it in one step however long a
 *  guest makes it. Flags stay in the head. */
static inline void list_add(struct shadow *s, u32 *head, u32 ref)
{
	u32 next = *head & HEAD_REF_MASK;

	s->link[ref] = (struct shadow_link){.next = next, .prev = NO_REF};
	if (next)
		s->link[next].prev = ref;
	*head = (*head & ~HEAD_REF_MASK) | ref;
}

static inline void list_remove(struct shadow *s, u32 *head, u32 ref)
{
	struct shadow_link l = s->link[ref];

	if (l.prev)
		s->link[l.prev].next = l.next;
	else
		*head = (*head & ~HEAD_REF_MASK) | l.next;
	if (l.next)
		s->link[l.next].prev = l.prev;
}

static inline void note_filled(struct shadow *s, u32 ref)
{
	s->recent[s->filled++ % SHADOW_RECENT] = ref;
}

/** A table from the cache was linked: more was filled by that than anybody could look up. */
static inline void note_linked(struct shadow *s)
{
	s->filled += SHADOW_RECENT + 1;
}

/** Put a new entry where none is: `spte` as made from the guest's `snap`, on `list`. */
static inline void spte_install(struct shadow *s, u32 ref, u64 spte, u64 snap, u32 *list)
{
	struct shadow_page *sp = page_of_ref(s, ref);

	s->snap[ref] = snap;
	note_filled(s, ref);
	list_add(s, list, ref);
	sp->bitmap[ref / 64 % ARRAY_SIZE(sp->bitmap)] |= BIT(ref % 64);
	sp->present++;
	__atomic_store_n(&s->spt[ref], spte, __ATOMIC_RELEASE);
}

/** Take away the entry at `ref`, which is on `list`. */
static inline void spte_remove(struct shadow *s, u32 ref, u32 *list)
{
	struct shadow_page *sp = page_of_ref(s, ref);

	__atomic_store_n(&s->spt[ref], s->unknown, __ATOMIC_RELEASE);
	list_remove(s, list, ref);
	sp->bitmap[ref / 64 % ARRAY_SIZE(sp->bitmap)] &= ~BIT(ref % 64);
	sp->present--;
	want_flush_all(s);
}

/** Take away the entry at `ref` of a page table; nothing happens where none is present. */
static inline void spte_drop_small(struct shadow *s, u32 ref)
{
	const struct shadow_slot *slot = s->last_slot;
	u64 spte = s->spt[ref], n = ((spte & SPTE_ADDR_MASK) - slot->hpa) >> PAGE_SHIFT;

	if (n < slot->nr && spte_present(spte))
		spte_remove(s, ref, &slot->head[n]);
	else
		spte_drop(s, ref);
}

/** Make the entry `ref` of the page table `sp`, where none is present, of the guest's `entry`
 * without anybody's access, if that can be: it is present, accessed, and maps memory. */
static inline bool prefetch(struct shadow *s, const struct shadow_page *sp, u32 ref, u64 entry)
{
	const struct shadow_slot *slot = s->last_slot;
	u64 n = ((entry & SPTE_ADDR_MASK) >> PAGE_SHIFT) - slot->gfn, spte;
	const u64 *types;
	u32 *head;

	if ((entry & (PTE_P | PTE_A)) != (PTE_P | PTE_A) ||
	    entry & s->pte_reserved[sp->role.mode][sp->role.nxe])
		return false;
	types = n < slot->nr ? region_of(slot, slot->gfn + n)->types : NULL;
	if (!types || sp->role.wp0)
		return prefetch_rare(s, sp, ref, entry);
	head = &slot->head[n];
	if (*head & HEAD_HOLE)
		return false;
	spte = (slot->hpa + (n << PAGE_SHIFT)) | compose_small(types, entry);
	if (*head & HEAD_PROTECTED)
		spte &= ~PTE_W;
	spte_install(s, ref, spte, entry, head);
	return true;
}

#endif
