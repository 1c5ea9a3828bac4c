/* SPDX-License-Identifier: MIT */
/* Shadow pages: the pool they come from, how they are found, and how they go. */
#include "lib/fmt.h"
#include "entry.h"

/** Fewer pages than one fault of each vcpu may need, and a few to work with. */
#define POOL_MIN_PAGES 64u

/** Reclaimed at a time: each time costs a flush. */
#define RECLAIM_BATCH 16u

#define PATIENCE_FIRST 6

/** The arrays of a pool, in bytes for each shadow page. */
#define PAGE_COST                                                                                  \
	(SHADOW_ENTRIES * (2 * sizeof(u64) + sizeof(struct shadow_link)) +                         \
	 sizeof(struct shadow_page) + 2 * sizeof(u32))

static bool take_pool(struct shadow *s, u32 nr)
{
	hpa_t hpa, spt;
	u32 buckets = 64;

	while (buckets < nr)
		buckets *= 2;
	s->spt = shadow_take(&s->env, (u64)nr * PAGE_SIZE, &spt);
	s->snap = shadow_take(&s->env, (u64)nr * PAGE_SIZE, &hpa);
	s->link = shadow_take(&s->env, (u64)nr * SHADOW_ENTRIES * sizeof(*s->link), &hpa);
	s->page = shadow_take(&s->env, (u64)nr * sizeof(*s->page), &hpa);
	s->hash = shadow_take(&s->env, (u64)buckets * sizeof(*s->hash), &hpa);
	s->hash_mask = buckets - 1;
	s->spt_hpa = spt.v;
	return s->spt && s->snap && s->link && s->page && s->hash;
}

bool pool_init(struct shadow *s, char *err)
{
	u32 nr = (u32)MIN(s->env.shadow_pool / PAGE_COST, HEAD_REF_MASK >> SHADOW_ENTRY_BITS);

	if (nr < POOL_MIN_PAGES) {
		fmt_snprintf(err, PAGING_ERROR_MAX,
			     "shadow_pool= gives %u shadow pages, and %u are needed", nr,
			     POOL_MIN_PAGES);
		return false;
	}
	if (!take_pool(s, nr)) {
		fmt_snprintf(err, PAGING_ERROR_MAX,
			     "no memory left for %u shadow pages: make shadow_pool= smaller", nr);
		return false;
	}
	s->nr_pages = nr;
	s->unknown = s->env.maxphyaddr < 52 ? SPTE_UNKNOWN : 0;
	for (u64 i = 0; i < (u64)nr * SHADOW_ENTRIES; i++)
		s->spt[i] = s->unknown;
	for (u32 i = nr - 1; i > 0; i--) {
		s->page[i].hash_next = s->free_list;
		s->free_list = i;
	}
	s->nr_free = nr - 1;
	return true;
}

static u32 *bucket(struct shadow *s, u64 gfn)
{
	/* Not by role: all pages of one frame are in one bucket. */
	return &s->hash[(u32)(gfn * 0x9e3779b97f4a7c15ull >> 32) & s->hash_mask];
}

static struct shadow_page *same_frame(struct shadow *s, u32 from, u64 gfn)
{
	for (; from; from = s->page[from].hash_next) {
		if (s->page[from].gfn == gfn && !s->page[from].role.direct)
			return &s->page[from];
	}
	return NULL;
}

struct shadow_page *page_first(struct shadow *s, u64 gfn)
{
	return same_frame(s, *bucket(s, gfn), gfn);
}

struct shadow_page *page_next(struct shadow *s, const struct shadow_page *sp)
{
	return same_frame(s, sp->hash_next, sp->gfn);
}

struct shadow_page *page_find(struct shadow *s, u64 gfn, union role role)
{
	for (u32 n = *bucket(s, gfn); n; n = s->page[n].hash_next) {
		if (s->page[n].gfn == gfn && s->page[n].role.word == role.word)
			return &s->page[n];
	}
	return NULL;
}

struct shadow_page *page_create(struct shadow *s, u64 gfn, union role role, const void *table)
{
	u32 *head = bucket(s, gfn), n = s->free_list;
	struct shadow_page *sp = &s->page[n];

	/* Whoever may still walk a page that was taken down must have forgotten it first. */
	if (s->flush != FLUSH_NOTHING)
		flush_now(s);
	s->free_list = sp->hash_next;
	s->nr_free--;
	*sp = (struct shadow_page){
		.gfn = gfn,
		.role = role,
		.table = table,
		.number = n,
		.hash_next = *head,
		.patience = PATIENCE_FIRST,
		.used = true,
		.referenced = true,
	};
	*head = n;
	if (!role.direct)
		unsync_add(s, sp);
	count(s, SHADOW_TABLES);
	return sp;
}

static void unhash(struct shadow *s, struct shadow_page *sp)
{
	u32 *at = bucket(s, sp->gfn), n = sp->number;

	while (*at != n)
		at = &s->page[*at].hash_next;
	*at = sp->hash_next;
}

static void drop_entries(struct shadow *s, struct shadow_page *sp)
{
	u32 first = ref_of(sp, 0);

	for (unsigned w = 0; w < ARRAY_SIZE(sp->bitmap); w++) {
		while (sp->bitmap[w])
			spte_drop(s, first + w * 64 + (u32)__builtin_ctzll(sp->bitmap[w]));
	}
}

static void set_owner(struct shadow *s, struct shadow_page *sp, u32 owner)
{
	u16 clean = sp->clean;

	if (!sp->unsync_head) {
		sp->owner = owner;
		return;
	}
	unsync_remove(s, sp);
	sp->owner = owner;
	unsync_add(s, sp);
	sp->clean = clean;
}

/** A root goes. What it owned may stay, and be linked to others, with parents that are shared
 *  already: all of it is shared from now on, also what is in sync and on no list. */
static void disown(struct shadow *s, const struct shadow_page *root)
{
	u32 n = root->number;

	if (root->owner != n)
		return;
	for (u32 i = 1; i < s->nr_pages; i++) {
		if (s->page[i].used && s->page[i].owner == n)
			set_owner(s, &s->page[i], OWNER_SHARED);
	}
}

void page_zap(struct shadow *s, struct shadow_page *sp)
{
	unwatch(s, sp);
	drop_entries(s, sp);
	if (sp->pins) {
		if (sp->in_sync) {
			unsync_add(s, sp);
			protection_over(s, sp->gfn);
		}
		return;
	}
	spte_drop_list(s, &sp->parents);
	disown(s, sp);
	if (sp->unsync_head)
		unsync_remove(s, sp);
	unhash(s, sp);
	sp->used = false;
	if (sp->in_sync) {
		sp->in_sync = false;
		protection_over(s, sp->gfn);
	}
	sp->hash_next = s->free_list;
	s->free_list = sp->number;
	s->nr_free++;
	want_flush_all(s);
	count(s, SHADOW_ZAPS);
}

void page_zap_all(struct shadow *s)
{
	/* At once, and not for each root apart: a guest may have made thousands of them. */
	for (u32 i = 1; i < s->nr_pages; i++) {
		if (s->page[i].used && !s->page[i].pins)
			set_owner(s, &s->page[i], OWNER_SHARED);
	}
	for (u32 i = 1; i < s->nr_pages; i++) {
		if (s->page[i].used)
			page_zap(s, &s->page[i]);
	}
}

/** The clock: pages that were used since the hand last came by are passed once. */
static void reclaim(struct shadow *s)
{
	for (u64 steps = 2ull * s->nr_pages; steps; steps--) {
		struct shadow_page *sp;

		s->clock = s->clock + 1 < s->nr_pages ? s->clock + 1 : 1;
		sp = &s->page[s->clock];
		if (!sp->used || sp->pins)
			continue;
		if (sp->referenced) {
			sp->referenced = false;
			continue;
		}
		page_zap(s, sp);
		count(s, SHADOW_RECLAIMS);
		return;
	}
}

void pool_reclaim(struct shadow *s, u32 nr)
{
	for (u32 i = 0; i < nr + RECLAIM_BATCH; i++)
		reclaim(s);
}

/* --- unsync lists and owners ---------------------------------------------------------------- */

void unsync_add(struct shadow *s, struct shadow_page *sp)
{
	enum unsync_kind kind = sp->role.level > 1 ? UNSYNC_UPPER : UNSYNC_LEAF;
	bool own = sp->owner != OWNER_SHARED && sp->owner != OWNER_NONE;
	u32 *head = own ? &s->page[sp->owner].unsync[kind] : &s->unsync[kind];

	sp->in_sync = false;
	sp->clean = 0;
	/* Perhaps not compared in this operation yet. */
	*(own ? &s->page[sp->owner].synced[kind] : &s->synced[kind]) = 0;
	sp->unsync_head = head;
	sp->unsync_prev = 0;
	sp->unsync_next = *head;
	if (*head)
		s->page[*head].unsync_prev = sp->number;
	*head = sp->number;
}

void unsync_remove(struct shadow *s, struct shadow_page *sp)
{
	if (sp->unsync_prev)
		s->page[sp->unsync_prev].unsync_next = sp->unsync_next;
	else
		*sp->unsync_head = sp->unsync_next;
	if (sp->unsync_next)
		s->page[sp->unsync_next].unsync_prev = sp->unsync_prev;
	sp->unsync_head = NULL;
}

/**
 * A page that only one root leads to need not be compared when another is loaded. The owner is
 * never taken back to that: a page stays shared until it goes.
 */
void adopt(struct shadow *s, struct shadow_page *sp, u32 owner)
{
	if (sp->role.direct || sp->owner == owner || sp->owner == OWNER_SHARED)
		return;
	set_owner(s, sp, sp->owner == OWNER_NONE ? owner : OWNER_SHARED);
	for (unsigned i = 0; sp->role.level > 1 && sp->present && i < SHADOW_ENTRIES; i++) {
		u64 spte = s->spt[ref_of(sp, i)];

		if (spte_present(spte) && !spte_is_leaf(spte, sp->role.level))
			adopt(s, child_of(s, spte), sp->owner);
	}
}
