/* SPDX-License-Identifier: MIT */
/* Building and reading EPT tables, and the paging interface over them. */
#include "ept.h"

#include "lib/fmt.h"
#include "vmx.h"
#include "x86.h"

/** The entry for `gpa` at `level`, its tables made on the way; NULL: no page, or a leaf above. */
static u64 *walk_to(struct ept *e, gpa_t gpa, unsigned level)
{
	u64 *table = e->env.page_ptr(e->env.ctx, e->root);

	for (unsigned l = EPT_LEVELS; l > level; l--) {
		u64 *entry = &table[ept_level_index(gpa, l)];

		if (!*entry) {
			hpa_t hpa;

			if (!ept_take_table(e, &hpa))
				return NULL;
			e->summary.table_pages++;
			*entry = hpa.v | EPT_RWX;
		} else if (ept_is_leaf(*entry, l)) {
			return NULL;
		}
		table = ept_entry_table(e, *entry);
	}
	return &table[ept_level_index(gpa, level)];
}

u64 *ept_entry(const struct ept *e, gpa_t gpa)
{
	u64 *table = e->env.page_ptr(e->env.ctx, e->root);

	for (unsigned l = EPT_LEVELS; l > 1; l--) {
		u64 entry = table[ept_level_index(gpa, l)];

		if (!entry || ept_is_leaf(entry, l))
			return NULL;
		table = ept_entry_table(e, entry);
	}
	return &table[ept_level_index(gpa, 1)];
}

/** The highest level at which one leaf can map the start of the range. */
static unsigned pick_level(const struct ept *e, gpa_t gpa, hpa_t hpa, u64 size)
{
	unsigned level = 1;

	for (unsigned l = 2; l <= 3; l++) {
		u64 bytes = ept_level_size(l);

		if (bytes > e->max_leaf || size < bytes || ((gpa.v | hpa.v) & (bytes - 1)) ||
		    e->env.memtype(e->env.ctx, hpa, bytes) < 0)
			break;
		level = l;
	}
	return level;
}

static void count_leaf(struct ept *e, unsigned level)
{
	if (level == 1)
		e->summary.pages_4k++;
	else if (level == 2)
		e->summary.pages_2m++;
	else
		e->summary.pages_1g++;
}

bool ept_map(struct ept *e, gpa_t gpa, hpa_t hpa, u64 size)
{
	while (size) {
		unsigned level = pick_level(e, gpa, hpa, size);
		u64 bytes = ept_level_size(level);
		int type = e->env.memtype(e->env.ctx, hpa, bytes);
		u64 *entry = walk_to(e, gpa, level);

		if (!entry || *entry)
			return false;
		/* MTRRs are set per page or coarser, so that a 4 KiB page always has one type;
		 * uncacheable is the safe answer should a processor ever disagree. */
		if (type < 0)
			type = MEMTYPE_UC;
		*entry = hpa.v | EPT_RWX | (u64)type << EPT_MEMTYPE_SHIFT |
			 (level > 1 ? EPT_LARGE : 0);
		count_leaf(e, level);
		gpa.v += bytes;
		hpa.v += bytes;
		size -= bytes;
	}
	return true;
}

static void visit(const struct ept *e, const u64 *table, unsigned level, gpa_t base, ept_leaf_fn fn,
		  void *ctx)
{
	for (unsigned i = 0; i < EPT_ENTRIES; i++) {
		gpa_t gpa = GPA(base.v + i * ept_level_size(level));

		if (!(table[i] & EPT_RWX))
			continue;
		if (ept_is_leaf(table[i], level))
			fn(ctx, gpa, table[i], ept_level_size(level));
		else
			visit(e, ept_entry_table(e, table[i]), level - 1, gpa, fn, ctx);
	}
}

void ept_for_each_leaf(const struct ept *e, ept_leaf_fn fn, void *ctx)
{
	visit(e, e->env.page_ptr(e->env.ctx, e->root), EPT_LEVELS, GPA(0), fn, ctx);
}

static bool ept_map_rom(struct paging *p, gpa_t gpa, hpa_t hpa)
{
	struct ept *e = (struct ept *)p;
	u64 *entry = walk_to(e, gpa, 1);

	if (!entry || *entry || e->rom_pages == ARRAY_SIZE(e->rom))
		return false;
	*entry = hpa.v | EPT_R | MEMTYPE_WB << EPT_MEMTYPE_SHIFT;
	count_leaf(e, 1);
	e->rom[e->rom_pages++] = (struct ept_rom){gpa, hpa};
	/* With accessed and dirty flags for EPT, the processor's reads of guest paging structures
	 * count as writes (section 29.3.5), which this page does not allow. */
	e->eptp &= ~EPTP_AD;
	return true;
}

static u64 max_leaf(u64 cap)
{
	if (cap & EPT_CAP_1G)
		return GIB(1);
	return cap & EPT_CAP_2M ? MIB(2) : PAGE_SIZE;
}

static struct paging *ept_create(const struct paging_env *env, const struct gmem *gm, char *err)
{
	hpa_t self, root;
	struct ept *e = env->alloc_page(env->ctx, &self);

	if (env->track_dirty && !(env->ept_vpid_cap & EPT_CAP_AD)) {
		fmt_snprintf(err, PAGING_ERROR_MAX,
			     "there are no accessed and dirty flags to track pages by");
		return NULL;
	}
	if (!e || !env->alloc_page(env->ctx, &root)) {
		fmt_snprintf(err, PAGING_ERROR_MAX, "no memory left for the EPT tables");
		return NULL;
	}
	e->base.ops = &ept_ops;
	e->env = *env;
	e->root = root;
	/* A large page has one dirty flag for all of it. */
	e->max_leaf = env->track_dirty ? PAGE_SIZE : max_leaf(env->ept_vpid_cap);
	e->summary.table_pages = 1;
	e->eptp = root.v | EPTP_WALK_4 |
		  (env->ept_vpid_cap & EPT_CAP_WB ? MEMTYPE_WB : MEMTYPE_UC) |
		  (env->ept_vpid_cap & EPT_CAP_AD ? EPTP_AD : 0);

	for (unsigned i = 0; i <= gm->nr; i++) {
		const struct gmem_slot *s = i < gm->nr ? &gm->slot[i] : &gm->device;

		if (!ept_map(e, s->gpa, s->hpa, s->size)) {
			fmt_snprintf(err, PAGING_ERROR_MAX,
				     "no memory left for the EPT tables of guest memory at 0x%llx",
				     (unsigned long long)s->gpa.v);
			return NULL;
		}
	}
	return &e->base;
}

static const struct ept *to_ept(const struct paging *p)
{
	return (const struct ept *)p;
}

static const struct ept_rom *find_rom(const struct ept *e, gpa_t gpa)
{
	for (unsigned i = 0; i < e->rom_pages; i++) {
		if (e->rom[i].gpa.v == (gpa.v & PAGE_MASK))
			return &e->rom[i];
	}
	return NULL;
}

static void ept_controls(const struct paging *p, struct paging_controls *c)
{
	u64 pml = to_ept(p)->env.track_dirty ? CPU2_PML : 0;

	*c = (struct paging_controls){
		.cpu2 = CPU2_EPT,
		.cpu2_wanted = CPU2_UNRESTRICTED_GUEST | CPU2_INVPCID | pml,
		/* The guest's own page tables are the processor's business: only bits that change
		 * the processor's mode, or that the hypervisor must keep set, need an exit. */
		.cr0_guest_owned = X86_CR0_TS | X86_CR0_MP | X86_CR0_EM | X86_CR0_AM | X86_CR0_WP,
		.cr4_guest_owned = X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE |
				   X86_CR4_PSE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR |
				   X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE | X86_CR4_SMEP |
				   X86_CR4_SMAP | X86_CR4_PKE,
		.eptp = to_ept(p)->eptp,
	};
}

static enum paging_verdict ept_violation(struct paging *p, gpa_t gpa, u64 qualification)
{
	/* Everything that is memory was mapped, with all permissions, before the guest started: a
	 * violation means a device, an address where nothing is, or ROM, which loses what is
	 * written to it. Bits 5:3 say what the entry allowed; one of memory that exists and still
	 * refused the access cannot be. */
	if (!(qualification & (7 << 3)) || find_rom(to_ept(p), gpa))
		return PAGING_MMIO;
	return PAGING_BROKEN;
}

static bool is_empty(const u64 *table)
{
	for (unsigned i = 0; i < EPT_ENTRIES; i++) {
		if (table[i])
			return false;
	}
	return true;
}

/** Give back the tables on the way to `gpa` that lead nowhere: a guest may move a page through all
 *  of its address space, in steps that need a new table each. */
static void prune(struct ept *e, gpa_t gpa)
{
	u64 *table = e->env.page_ptr(e->env.ctx, e->root), *path[EPT_LEVELS + 1];
	unsigned l = EPT_LEVELS;

	for (; l > 1; l--) {
		path[l] = &table[ept_level_index(gpa, l)];
		if (!*path[l] || ept_is_leaf(*path[l], l))
			break;
		table = ept_entry_table(e, *path[l]);
	}
	for (l++; l <= EPT_LEVELS && is_empty(ept_entry_table(e, *path[l])); l++) {
		ept_give_table(e, *path[l]);
		*path[l] = 0;
		e->summary.table_pages--;
	}
}

static bool ept_overlay(struct paging *p, gpa_t gpa, hpa_t hpa)
{
	struct ept *e = (struct ept *)p;
	u64 *entry;

	/* walk_to() looks at no bits beyond: it would find the page of another address. */
	if (gpa.v >= ept_level_size(EPT_LEVELS + 1))
		return false;
	entry = walk_to(e, gpa, 1);
	if (!entry || (hpa.v && *entry)) {
		prune(e, gpa);
		return false;
	}
	e->overlay = hpa.v ? hpa.v | EPT_RWX | (u64)MEMTYPE_WB << EPT_MEMTYPE_SHIFT : 0;
	e->overlay_gpa = gpa;
	*entry = e->overlay;
	if (!hpa.v)
		prune(e, gpa);
	return true;
}

static void ept_summary(const struct paging *p, struct paging_summary *s)
{
	*s = to_ept(p)->summary;
}

struct audit {
	const struct ept *e;
	const struct gmem *gm;
	u64 bad;
};

static void audit_leaf(void *ctx, gpa_t gpa, u64 entry, u64 size)
{
	struct audit *a = ctx;
	const struct gmem_slot *s = gmem_slot(a->gm, gpa);
	const struct ept_rom *rom = find_rom(a->e, gpa);
	u64 hpa = entry & EPT_ADDR_MASK & ~(size - 1);

	/* The processor's flags may have come to it. */
	if ((entry & ~(EPT_ACCESSED | EPT_DIRTY)) == a->e->overlay && gpa.v == a->e->overlay_gpa.v)
		return;
	if (rom && size == PAGE_SIZE && hpa == rom->hpa.v && (entry & EPT_RWX) == EPT_R)
		return;
	if (!s || gpa.v + size > s->gpa.v + s->size || hpa != s->hpa.v + (gpa.v - s->gpa.v))
		a->bad++;
}

static u64 ept_audit(const struct paging *p, const struct gmem *gm)
{
	struct audit a = {.e = to_ept(p), .gm = gm};

	ept_for_each_leaf(a.e, audit_leaf, &a);
	return a.bad;
}

const struct paging_ops ept_ops = {
	.name = "ept",
	.create = ept_create,
	.map_rom = ept_map_rom,
	.controls = ept_controls,
	.ept_violation = ept_violation,
	.overlay = ept_overlay,
	.summary = ept_summary,
	.audit = ept_audit,
	.dirty = ept_dirty,
	.set_hole = ept_set_hole,
	.spoil = ept_spoil,
};
