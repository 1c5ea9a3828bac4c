/* SPDX-License-Identifier: MIT */
/*
 * The processor in the guest: it walks the tables of the hypervisor's by the rules of paging, with
 * CR0.WP, EFER.NXE and CR4.PAE set, and caches what it may in a TLB and in paging-structure caches,
 * keeping and dropping entries at random. Nothing but the callbacks of struct paging_env, a page
 * fault (section 4.10.4.1), and VM entries and exits without VPIDs make it forget.
 */
#include "oracle.h"

#define NOT_CACHED (-1)

static bool covers(const struct cached *c, u64 gva)
{
	return gva - c->gva < c->size;
}

/** Any of the entries that cover `gva`, wherever the search begins. */
static int find(struct oracle *o, const struct cached *cache, unsigned size, u64 gva)
{
	unsigned start = pick(o, size);

	for (unsigned i = 0; i < size; i++) {
		unsigned at = (start + i) % size;

		if (covers(&cache[at], gva))
			return at;
	}
	return NOT_CACHED;
}

static void forget_gva(struct vcpu *v, u64 gva)
{
	for (unsigned i = 0; i < TLB_SIZE; i++) {
		if (covers(&v->tlb[i], gva))
			v->tlb[i].size = 0;
	}
	for (unsigned i = 0; i < PSC_SIZE; i++) {
		if (covers(&v->psc[i], gva))
			v->psc[i].size = 0;
	}
}

static void forget_all(struct vcpu *v)
{
	memset(v->tlb, 0, sizeof(v->tlb));
	memset(v->psc, 0, sizeof(v->psc));
}

void hw_invalidate(struct oracle *o)
{
	for (unsigned i = 0; i < o->nr_vcpus; i++)
		forget_all(&o->vcpu[i]);
}

/* INVVPID of one address: the upper entries that would be used for it go, too (section 29.4.3.1).
 */
void hw_invalidate_gva(struct oracle *o, u64 gva)
{
	for (unsigned i = 0; i < o->nr_vcpus; i++)
		forget_gva(&o->vcpu[i], gva);
}

void hw_enter(struct oracle *o, struct vcpu *v)
{
	if (o->no_vpid)
		forget_all(v);
	if (v->hw.mode != ARCH_PAE)
		return;
	/* Section 27.3.1.6: VM entry loads the PDPTEs and checks them. */
	for (unsigned i = 0; i < 4; i++) {
		const u64 *p = memory_pool_entry(o, v->hw_cr3.v + 8 * i);
		u64 reserved = ~v->hw.frame & ~(u64)(PTE_P | PTE_PWT | PTE_PCD | 7ull << 9);

		if (!p)
			oracle_fail(o, v, "CR3 %llx is outside of the pool",
				    (unsigned long long)v->hw_cr3.v);
		v->hw_pdpte[i] = *p;
		if (*p & PTE_P && *p & reserved)
			oracle_fail(o, v, "PDPTE %u is %llx: VM entry fails", i,
				    (unsigned long long)*p);
	}
}

void hw_load(struct oracle *o, struct vcpu *v, hpa_t cr3)
{
	bool paging = v->r.cr0 & X86_CR0_PG;
	struct walk_regs r = {
		.cr0 = X86_CR0_PG | X86_CR0_WP,
		.cr4 = X86_CR4_PAE |
		       (paging ? v->r.cr4 & (X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE) : 0),
		.efer = EFER_NX | (v->r.efer & EFER_LMA),
		.maxphyaddr = o->host_maxphyaddr,
		.has_1g = v->r.has_1g,
	};

	arch_init(&v->hw, &r);
	if (cr3.v & (PAGE_SIZE - 1) & ~(u64)(PTE_PWT | PTE_PCD) || cr3.v >> o->host_maxphyaddr)
		oracle_fail(o, v, "load() returned the CR3 %llx", (unsigned long long)cr3.v);
	if (v->hw.mode == ARCH_PAE && cr3.v >> 32)
		oracle_fail(o, v, "load() returned the CR3 %llx for PAE paging",
			    (unsigned long long)cr3.v);
	v->hw_cr3 = cr3;
	hw_enter(o, v);
}

bool hw_is_unknown(const struct vcpu *v, u64 entry)
{
	return entry == (0xffffffffff000ull | PTE_P) && v->hw.frame >> 51 == 0;
}

void hw_check_entry(struct oracle *o, struct vcpu *v, unsigned level, u64 entry)
{
	struct rights rights;
	u64 gpa, hpa;

	switch (arch_step(&v->hw, level, entry, &rights)) {
	case STEP_ABSENT:
		/* L1TF: a processor may load from the address in an entry that is not present. */
		if (entry & v->hw.frame)
			oracle_fail(o, v, "a shadow entry that is not present, %llx, has a frame",
				    (unsigned long long)entry);
		return;
	case STEP_RESERVED:
		/* For the same reason there is no other one, and that one has no memory's address.
		 */
		if (hw_is_unknown(v, entry))
			return;
		oracle_fail(o, v, "a shadow entry of level %u has reserved bits: %llx", level,
			    (unsigned long long)entry);
	case STEP_TABLE:
		if (!memory_pool_entry(o, arch_table(&v->hw, entry)))
			oracle_fail(o, v, "a shadow entry of level %u leads nowhere: %llx", level,
				    (unsigned long long)entry);
		return;
	case STEP_PAGE:
		hpa = arch_page(&v->hw, level, entry, 0);
		if (o->overlay && level == 1 && hpa == OVERLAY_HPA)
			return;
		if (!memory_gpa_of(o, hpa, &gpa) ||
		    !memory_gpa_of(o, hpa + BIT(v->hw.level[level].shift) - 1, &gpa))
			oracle_fail(o, v, "a shadow leaf of level %u leads out of the guest: %llx",
				    level, (unsigned long long)entry);
	}
}

/** Keep it, or not. */
static void maybe_keep(struct oracle *o, struct cached *cache, unsigned size,
		       const struct cached *c)
{
	if (pick(o, 8) < 6)
		cache[pick(o, size)] = *c;
}

/** Where a walk begins: at a cached upper entry, or at the root. False: not present. */
static bool begin(struct oracle *o, struct vcpu *v, u64 gva, struct cached *at)
{
	int found = one_in(o, 3) ? NOT_CACHED : find(o, v->psc, PSC_SIZE, gva);

	if (found != NOT_CACHED) {
		*at = v->psc[found];
		return true;
	}
	*at = (struct cached){.rights = {true, true, false}, .level = v->hw.top};
	return arch_root(&v->hw, v->hw_cr3.v, v->hw_pdpte, gva, &at->hpa);
}

/** Walk to the leaf: what to cache of it, and the entry itself. NULL: one is not present, or has
 *  reserved bits, which `why` tells. */
static u64 *walk(struct oracle *o, struct vcpu *v, u64 gva, struct cached *leaf, u32 *why)
{
	struct cached at;

	*why = 0;
	if (!begin(o, v, gva, &at))
		return NULL;
	for (;;) {
		u64 *entry = memory_pool_entry(o, arch_entry_at(&v->hw, at.level, at.hpa, gva));
		u64 size = BIT(v->hw.level[at.level].shift);
		enum arch_step step;

		if (!entry)
			oracle_fail(o, v, "the processor looks for a table at %llx",
				    (unsigned long long)at.hpa);
		hw_check_entry(o, v, at.level, *entry);
		step = arch_step(&v->hw, at.level, *entry, &at.rights);
		if (step == STEP_RESERVED)
			*why = PFERR_PRESENT | PFERR_RSVD;
		if (step == STEP_ABSENT || step == STEP_RESERVED)
			return NULL;
		*entry |= PTE_A;
		at.gva = gva & ~(size - 1);
		at.size = size;
		if (step == STEP_PAGE) {
			at.leaf = *entry;
			at.hpa = arch_page(&v->hw, at.level, *entry, at.gva);
			*leaf = at;
			return entry;
		}
		at.hpa = arch_table(&v->hw, *entry);
		at.level--;
		maybe_keep(o, v->psc, PSC_SIZE, &at);
	}
}

/** Many processors cache a large page in pieces (section 4.10.2.3). */
static void keep_translation(struct oracle *o, struct vcpu *v, u64 gva, struct cached c)
{
	if (c.size > PAGE_SIZE && one_in(o, 2)) {
		u64 piece = gva & PAGE_MASK;

		c.hpa += piece - c.gva;
		c.gva = piece;
		c.size = PAGE_SIZE;
	}
	maybe_keep(o, v->tlb, TLB_SIZE, &c);
}

int hw_access(struct oracle *o, struct vcpu *v, const struct access *x, struct outcome *out)
{
	int found = one_in(o, 8) ? NOT_CACHED : find(o, v->tlb, TLB_SIZE, x->gva);
	bool write = x->kind & WALK_WRITE;
	struct cached c;
	u64 *entry = NULL;
	u32 why;

	/* A write that finds the dirty flag clear walks again to set it. */
	if (found != NOT_CACHED && !(write && !(v->tlb[found].leaf & PTE_D))) {
		c = v->tlb[found];
	} else {
		entry = walk(o, v, x->gva, &c, &why);
		if (!entry) {
			out->pferr = arch_pferr(&v->hw, x, why);
			forget_gva(v, x->gva);
			return HW_FAULT;
		}
	}
	if (!arch_allows(&v->hw, x, &c.rights, c.leaf, &out->pferr)) {
		forget_gva(v, x->gva);
		return HW_FAULT;
	}
	if (entry) {
		if (write)
			c.leaf = *entry |= PTE_D;
		keep_translation(o, v, x->gva, c);
	}
	out->kind = OUTCOME_ALLOWED;
	out->at = c.hpa + (x->gva - c.gva);
	out->type = memory_shadow_type(o, out->at, c.level, c.leaf);
	return HW_DONE;
}

void hw_speculate(struct oracle *o, struct vcpu *v, u64 gva)
{
	struct cached c;
	u32 why;

	if (walk(o, v, gva, &c, &why))
		keep_translation(o, v, gva, c);
}
