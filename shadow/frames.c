/* SPDX-License-Identifier: MIT */
/* Guest memory: where a frame is, and which entries map it. */
#include "lib/fmt.h"
#include "mmu.h"

/** A zeroed array from the page pool, contiguous in both address spaces; NULL: there is not so much
 *  of it in one piece. */
void *shadow_take(const struct paging_env *env, u64 bytes, hpa_t *hpa)
{
	u64 pages = ALIGN_UP(bytes, PAGE_SIZE) / PAGE_SIZE;
	u8 *first = env->alloc_page(env->ctx, hpa);

	for (u64 i = 1; i < pages && first; i++) {
		hpa_t next;

		if (env->alloc_page(env->ctx, &next) != first + i * PAGE_SIZE ||
		    next.v != hpa->v + i * PAGE_SIZE)
			return NULL;
	}
	return first;
}

static bool add_slot(struct shadow *s, const struct gmem_slot *from)
{
	u64 gfn = from->gpa.v >> PAGE_SHIFT, nr = from->size >> PAGE_SHIFT;
	u64 regions = ((gfn + nr - 1) >> SHADOW_ENTRY_BITS) - (gfn >> SHADOW_ENTRY_BITS) + 1;
	struct shadow_slot *slot = &s->slot[s->nr_slots];
	hpa_t hpa;

	*slot = (struct shadow_slot){.gfn = gfn, .nr = nr, .hpa = from->hpa.v, .hva = from->hva};
	slot->head = shadow_take(&s->env, nr * sizeof(*slot->head), &hpa);
	slot->region = shadow_take(&s->env, regions * sizeof(*slot->region), &hpa);
	s->nr_slots++;
	return slot->head && slot->region;
}

bool frames_init(struct shadow *s, char *err)
{
	for (unsigned i = 0; i <= s->gm->nr; i++) {
		const struct gmem_slot *from = i < s->gm->nr ? &s->gm->slot[i] : &s->gm->device;

		if (from->size && !add_slot(s, from)) {
			fmt_snprintf(err, PAGING_ERROR_MAX,
				     "no memory left for the lists of guest memory at 0x%llx",
				     (unsigned long long)from->gpa.v);
			return false;
		}
	}
	s->last_slot = &s->slot[0];
	return true;
}

const struct shadow_slot *frames_slot(struct shadow *s, u64 gfn)
{
	if (in_last_slot(s, gfn))
		return s->last_slot;
	for (unsigned i = 0; i < s->nr_slots; i++) {
		if (gfn - s->slot[i].gfn < s->slot[i].nr)
			return s->last_slot = &s->slot[i];
	}
	return NULL;
}

bool frames_find(struct shadow *s, u64 gfn, struct target *t)
{
	const struct shadow_slot *slot = frames_slot(s, gfn);
	u64 n;

	if (!slot) {
		*t = (struct target){.hpa = s->overlay_hpa, .list = &s->overlay_head};
		return s->overlay_hpa && gfn == s->overlay_gfn;
	}
	n = gfn - slot->gfn;
	*t = (struct target){.hpa = slot->hpa + (n << PAGE_SHIFT),
			     .list = &slot->head[n],
			     .region = region_of(slot, gfn),
			     .slot = slot};
	return !(*t->list & HEAD_HOLE);
}

/** What is the memory type of the region, and can one entry map it, as long as nothing in it wants
 *  small pages? */
static void judge_region(struct shadow *s, const struct shadow_slot *slot,
			 struct shadow_region *region, u64 first)
{
	u64 hpa = slot->hpa + ((first - slot->gfn) << PAGE_SHIFT), size = MIB(2);
	bool whole = first >= slot->gfn && first + SHADOW_ENTRIES <= slot->gfn + slot->nr;
	int type = MEMTYPE_WB;

	if (s->env.guest_memtype)
		type = s->env.guest_memtype(s->env.ctx, GPA(first << PAGE_SHIFT), size);
	region->types = type < 0 ? NULL : s->type_bits[type];
	region->fit = FIT_SMALL;
	if (type >= 0 && whole && !(hpa & (size - 1)) &&
	    s->env.memtype(s->env.ctx, HPA(hpa), size) >= 0)
		region->fit = FIT_LARGE;
}

bool frames_find_large(struct shadow *s, u64 gfn, struct target *t)
{
	const struct shadow_slot *slot = frames_slot(s, gfn);
	u64 first = gfn & ~(u64)(SHADOW_ENTRIES - 1);
	struct shadow_region *region;

	if (!slot)
		return false;
	region = region_of(slot, gfn);
	if (region->fit == FIT_UNKNOWN)
		judge_region(s, slot, region, first);
	if (region->fit != FIT_LARGE || region->small)
		return false;
	*t = (struct target){.hpa = slot->hpa + ((first - slot->gfn) << PAGE_SHIFT),
			     .list = &region->head,
			     .region = region,
			     .slot = slot};
	return true;
}

const u64 *frames_types(struct shadow *s, const struct target *t, u64 gfn)
{
	int type;

	if (!t->slot)
		return s->type_bits[MEMTYPE_WB];
	if (t->region->fit == FIT_UNKNOWN)
		judge_region(s, t->slot, t->region, gfn & ~(u64)(SHADOW_ENTRIES - 1));
	if (t->region->types)
		return t->region->types;
	type = s->env.guest_memtype(s->env.ctx, GPA(gfn << PAGE_SHIFT), PAGE_SIZE);
	return s->type_bits[type < 0 ? MEMTYPE_UC : type];
}

void frames_new_types(struct shadow *s)
{
	spte_init_types(s);
	for (unsigned i = 0; i < s->nr_slots; i++) {
		const struct shadow_slot *slot = &s->slot[i];
		u64 last = slot->gfn + slot->nr - 1;

		for (struct shadow_region *r = slot->region; r <= region_of(slot, last); r++) {
			r->fit = FIT_UNKNOWN;
			r->types = NULL;
		}
	}
}

const void *frames_ptr(const struct shadow *s, u64 hpa)
{
	for (unsigned i = 0; i < s->nr_slots; i++) {
		u64 offset = hpa - s->slot[i].hpa;

		if (offset < s->slot[i].nr << PAGE_SHIFT)
			return s->slot[i].hva + offset;
	}
	return NULL;
}

u32 *frames_list(struct shadow *s, u64 spte, unsigned level)
{
	u64 hpa = spte & SPTE_ADDR_MASK & ~((1ull << level_shift(level)) - 1);

	for (unsigned i = 0; i < s->nr_slots; i++) {
		const struct shadow_slot *slot = &s->slot[i];
		u64 n = (hpa - slot->hpa) >> PAGE_SHIFT;

		if (hpa < slot->hpa || n >= slot->nr)
			continue;
		return level == 1 ? &slot->head[n] : &region_of(slot, slot->gfn + n)->head;
	}
	return &s->overlay_head;
}
