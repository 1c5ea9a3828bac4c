/* SPDX-License-Identifier: MIT */
/* The paging interface over shadow page tables. */
#include "shadow.h"

#include "lib/fmt.h"
#include "mmu.h"
#include "vmx.h"

static struct paging *shadow_create(const struct paging_env *env, const struct gmem *gm, char *err)
{
	hpa_t hpa;
	struct shadow *s = shadow_take(env, sizeof(*s), &hpa);

	if (!s || env->nr_vcpus > SHADOW_MAX_VCPUS) {
		fmt_snprintf(err, PAGING_ERROR_MAX, s ? "at most %u vcpus" : "no memory left",
			     SHADOW_MAX_VCPUS);
		return NULL;
	}
	s->base.ops = &shadow_ops;
	s->env = *env;
	s->gm = gm;
	for (unsigned i = 0; i < MAX(env->nr_vcpus, 1u); i++) {
		s->vcpu[i].pdpt = env->alloc_page(env->ctx, &s->vcpu[i].pdpt_hpa);
		/* CR3 has 32 bits where four PDPTEs are loaded from it. */
		if (!s->vcpu[i].pdpt || s->vcpu[i].pdpt_hpa.v >> 32) {
			fmt_snprintf(err, PAGING_ERROR_MAX, "no memory left below 4 GiB");
			return NULL;
		}
	}
	if (!frames_init(s, err) || !pool_init(s, err))
		return NULL;
	s->pat = SHADOW_PAT_RESET;
	return &s->base;
}

static void shadow_controls(const struct paging *p, struct paging_controls *c)
{
	(void)p;
	*c = (struct paging_controls){
		.cpu1 = CPU1_CR3_LOAD_EXITING | CPU1_CR3_STORE_EXITING | CPU1_INVLPG_EXITING,
		.cpu2_wanted = CPU2_INVPCID,
		.exceptions = BIT(PF_VECTOR),
		/* Whatever changes a translation or a right is the hypervisor's. */
		.cr0_guest_owned = X86_CR0_TS | X86_CR0_MP | X86_CR0_EM | X86_CR0_AM,
		.cr4_guest_owned = X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE |
				   X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT |
				   X86_CR4_FSGSBASE,
		.own_tables = true,
		.pat = SHADOW_PAT,
	};
}

void shadow_memtypes(struct paging *p, u64 pat)
{
	struct shadow *s = to_shadow(p);

	s->pat = pat;
	frames_new_types(s);
	page_zap_all(s);
	want_flush_all(s);
	op_end(s);
}

/** NULL: no memory there. */
static u32 *frame_head(struct shadow *s, u64 gfn)
{
	const struct shadow_slot *slot = frames_slot(s, gfn);

	return slot ? &slot->head[gfn - slot->gfn] : NULL;
}

static void shadow_wrote(struct paging *p, gpa_t gpa, u64 len)
{
	struct shadow *s = to_shadow(p);

	for (u64 gfn = gpa.v >> PAGE_SHIFT; len && gfn <= (gpa.v + len - 1) >> PAGE_SHIFT; gfn++) {
		u32 *head = frame_head(s, gfn);

		if (head && *head & HEAD_PROTECTED && !watch_wrote(s, gpa, len))
			unprotect_frame(s, gfn, head);
	}
	op_end(s);
}

static void shadow_unprotect(struct paging *p, gpa_t gpa)
{
	struct shadow *s = to_shadow(p);
	u32 *head = frame_head(s, gpa.v >> PAGE_SHIFT);

	if (head && *head & HEAD_PROTECTED)
		unprotect_frame(s, gpa.v >> PAGE_SHIFT, head);
}

static bool shadow_silent(const struct paging *p, unsigned vcpu)
{
	return ((const struct shadow *)p)->vcpu[vcpu].silent;
}

static bool shadow_overlay(struct paging *p, gpa_t gpa, hpa_t hpa)
{
	struct shadow *s = to_shadow(p);

	if (frames_slot(s, gpa.v >> PAGE_SHIFT))
		return !hpa.v;
	spte_drop_list(s, &s->overlay_head);
	s->overlay_gfn = gpa.v >> PAGE_SHIFT;
	s->overlay_hpa = hpa.v;
	op_end(s);
	return true;
}

static bool shadow_set_hole(struct paging *p, gpa_t gpa, bool hole)
{
	struct shadow *s = to_shadow(p);
	u64 gfn = gpa.v >> PAGE_SHIFT;
	const struct shadow_slot *slot = frames_slot(s, gfn);
	u32 *head = slot ? &slot->head[gfn - slot->gfn] : NULL;
	struct shadow_region *region;

	if (!head || !!(*head & HEAD_HOLE) == hole)
		return true;
	region = region_of(slot, gfn);
	if (hole) {
		*head |= HEAD_HOLE;
		region->small++;
		spte_drop_list(s, head);
		spte_drop_list(s, &region->head);
	} else {
		*head &= ~HEAD_HOLE;
		region->small--;
	}
	/* Also where no entry was left: an address that INVLPG was not told of may be cached. */
	want_flush_all(s);
	op_end(s);
	return true;
}

static void shadow_summary(const struct paging *p, struct paging_summary *sum)
{
	const struct shadow *s = (const struct shadow *)p;

	*sum = (struct paging_summary){.table_pages = s->nr_pages - 1};
	for (u32 i = 1; i < s->nr_pages; i++) {
		for (unsigned j = 0; s->page[i].used && j < SHADOW_ENTRIES; j++) {
			u64 spte = s->spt[ref_of(&s->page[i], j)];

			if (!spte_present(spte) || !spte_is_leaf(spte, s->page[i].role.level))
				continue;
			if (s->page[i].role.level == 1)
				sum->pages_4k++;
			else
				sum->pages_2m++;
		}
	}
}

static bool leads_to_guest(const struct shadow *s, const struct gmem *gm, u64 spte, unsigned level)
{
	u64 size = 1ull << level_shift(level), hpa = spte & SPTE_ADDR_MASK & ~(size - 1);

	if (level == 1 && s->overlay_hpa && hpa == s->overlay_hpa)
		return true;
	for (unsigned i = 0; i <= gm->nr; i++) {
		const struct gmem_slot *slot = i < gm->nr ? &gm->slot[i] : &gm->device;

		if (hpa >= slot->hpa.v && hpa + size <= slot->hpa.v + slot->size)
			return true;
	}
	return false;
}

static u64 shadow_audit(const struct paging *p, const struct gmem *gm)
{
	const struct shadow *s = (const struct shadow *)p;
	u64 bad = 0;

	for (u32 i = 1; i < s->nr_pages; i++) {
		unsigned level = s->page[i].role.level;

		for (unsigned j = 0; s->page[i].used && j < SHADOW_ENTRIES; j++) {
			u64 spte = s->spt[ref_of(&s->page[i], j)];

			if (spte_present(spte) && spte_is_leaf(spte, level) &&
			    !leads_to_guest(s, gm, spte, level))
				bad++;
		}
	}
	return bad;
}

static const u64 *shadow_counters(const struct paging *p)
{
	return ((const struct shadow *)p)->counter;
}

const struct paging_ops shadow_ops = {
	.name = "shadow",
	.create = shadow_create,
	.controls = shadow_controls,
	.overlay = shadow_overlay,
	.summary = shadow_summary,
	.set_hole = shadow_set_hole,
	.audit = shadow_audit,
	.load = shadow_load,
	.load_cr3 = shadow_load_cr3,
	.invpcid = shadow_invpcid,
	.page_fault = shadow_page_fault,
	.invlpg = shadow_invlpg,
	.flush = shadow_flush,
	.wrote = shadow_wrote,
	.peek = shadow_peek,
	.unprotect = shadow_unprotect,
	.silent = shadow_silent,
	.memtypes = shadow_memtypes,
	.counters = shadow_counters,
};
