/* SPDX-License-Identifier: MIT */
/* One access, through a fresh walk, EPT, and the MMU under test. */
#include "oracle.h"

/** As often as an access may be tried again before it counts as never getting done. */
#define MAX_TRIES 10

static u64 entry_value(const struct oracle *o, const struct arch *a, u64 gpa)
{
	u64 quad = memory_quad(o, gpa);

	return a->bytes == 4 ? (u32)(quad >> 8 * (gpa & 4)) : quad;
}

struct outcome fresh_walk(struct oracle *o, const struct vcpu *v, const struct access *x,
			  struct path *p)
{
	const struct arch *a = &v->arch;
	struct outcome out = {.kind = OUTCOME_FAULT};
	u64 table;

	*p = (struct path){.rights = {true, true, false}};
	if (a->mode == ARCH_OFF)
		return memory_land_typed(o, x->gva, 1, 0);
	if (!arch_root(a, v->r.cr3, v->r.pdpte, x->gva, &table)) {
		out.pferr = arch_pferr(a, x, 0);
		return out;
	}
	for (unsigned level = a->top;; level--) {
		u64 at = arch_entry_at(a, level, table, x->gva), entry;

		if (!gmem_ptr(&o->gm, GPA(at), a->bytes))
			return (struct outcome){.kind = OUTCOME_LOST, .at = at};
		entry = entry_value(o, a, at);
		p->odd |= memory_in_hole(o, at);
		p->entry[p->depth].gpa = at;
		p->entry[p->depth].level = level;
		p->entry[p->depth++].value = entry;
		switch (arch_step(a, level, entry, &p->rights)) {
		case STEP_ABSENT:
			out.pferr = arch_pferr(a, x, 0);
			return out;
		case STEP_RESERVED:
			out.pferr = arch_pferr(a, x, PFERR_PRESENT | PFERR_RSVD);
			return out;
		case STEP_TABLE:
			table = arch_table(a, entry);
			break;
		case STEP_PAGE:
			p->complete = true;
			if (!arch_allows(a, x, &p->rights, entry, &out.pferr))
				return out;
			return memory_land_typed(o, arch_page(a, level, entry, x->gva), level,
						 entry);
		}
	}
}

static struct walk_regs regs_of(const struct vcpu *v, const struct access *x)
{
	struct walk_regs r = v->r;

	r.rflags = x->ac ? X86_EFLAGS_AC : 0;
	r.pkru = x->pkru;
	r.cpl = x->cpl;
	return r;
}

/** The walker of guest/, which the MMU uses, says the same. */
static void check_walker(struct oracle *o, const struct vcpu *v, const struct access *x,
			 const struct outcome *fresh)
{
	struct walk_regs r = regs_of(v, x);
	struct walk_result w;
	enum walk_status status = guest_walk(&o->gm, &r, GVA(x->gva), x->kind | WALK_NO_AD, &w);
	bool same = false;

	switch (status) {
	case WALK_OK:
		same = fresh->kind <= OUTCOME_MMIO;
		if (same) {
			struct outcome land = memory_land(o, w.gpa.v);

			same = land.kind == fresh->kind && land.at == fresh->at;
		}
		break;
	case WALK_FAULT:
		same = fresh->kind == OUTCOME_FAULT && fresh->pferr == w.pferr;
		break;
	case WALK_NOT_RAM:
		same = fresh->kind == OUTCOME_LOST && fresh->at == w.gpa.v;
		break;
	}
	if (same)
		return;
	trace_walks(o, v, x);
	oracle_fail(o, v, "guest_walk() says %d, gpa %llx, error code %x", status,
		    (unsigned long long)w.gpa.v, w.pferr);
}

/** The hypervisor emulates the guest's store to a table, or lets the guest do it; always, if it is
 * no instruction's own. */
static bool emulates(struct oracle *o, struct vcpu *v, const struct access *x, u64 gpa,
		     struct outcome *out)
{
	if (!(x->kind & WALK_WRITE))
		oracle_fail(o, v, "PAGING_EMULATE for what is no write");
	if (x->kind & WALK_IMPLICIT || one_in(o, 8)) {
		o->mmu->ops->unprotect(o->mmu, GPA(gpa));
		hw_enter(o, v);
		return false;
	}
	*out = memory_land(o, gpa);
	out->type = ANY_TYPE;
	out->emulated = true;
	return true;
}

/** What was filled just now, the MMU finds by itself where the processor has found it. */
static void check_peek(struct oracle *o, struct vcpu *v, u64 gva, u64 hpa)
{
	const void *seen = o->mmu->ops->peek(o->mmu, v - o->vcpu, GVA(gva));
	u64 gpa;

	if (seen != (memory_gpa_of(o, hpa, &gpa) ? gmem_ptr(&o->gm, GPA(gpa), 1) : NULL))
		oracle_fail(o, v, "peek() at %llx sees another byte than the processor at %llx",
			    (unsigned long long)gva, (unsigned long long)hpa);
}

/** (b): until the access is done or the guest has to see what became of it. */
static struct outcome shadow_access(struct oracle *o, struct vcpu *v, const struct access *x)
{
	struct walk_regs r = regs_of(v, x);
	u64 meanwhile = o->figures.meanwhile;

	for (unsigned tries = 0; tries < MAX_TRIES; tries++) {
		struct paging_fault f = {.gpa = GPA(~0ull), .pferr = ~0u};
		enum paging_verdict verdict;
		struct outcome out = {.at = 0};

		if (hw_access(o, v, x, &out) == HW_DONE) {
			if (tries)
				check_peek(o, v, x->gva, out.at);
			return out;
		}
		if (v->silent && !(out.pferr & PFERR_PRESENT)) {
			o->figures.silent++;
			return (struct outcome){
				.kind = OUTCOME_FAULT, .pferr = out.pferr, .silent = true};
		}
		verdict = o->mmu->ops->page_fault(o->mmu, v - o->vcpu, &r, GVA(x->gva), out.pferr,
						  &f);
		trace(o, v, "  #PF %llx error %llx: verdict %llu", x->gva, out.pferr, verdict);
		switch (verdict) {
		case PAGING_RETRY:
			o->figures.fills++;
			/* What other vcpus change over and over is not the MMU's fault. */
			if (o->figures.meanwhile != meanwhile)
				tries = 0;
			meanwhile = o->figures.meanwhile;
			hw_enter(o, v);
			continue;
		case PAGING_EMULATE:
			if (emulates(o, v, x, f.gpa.v, &out))
				return out;
			continue;
		case PAGING_MMIO:
			return (struct outcome){.kind = OUTCOME_MMIO, .at = f.gpa.v};
		case PAGING_REFLECT:
			return (struct outcome){.kind = OUTCOME_FAULT, .pferr = f.pferr};
		case PAGING_LOST_TABLE:
			o->lost++;
			return (struct outcome){.kind = OUTCOME_LOST, .at = f.gpa.v};
		case PAGING_BROKEN:
			break;
		}
		trace_walks(o, v, x);
		oracle_fail(o, v, "page_fault() says %d at %llx", verdict,
			    (unsigned long long)x->gva);
	}
	trace_walks(o, v, x);
	oracle_fail(o, v, "the access to %llx is tried again and again",
		    (unsigned long long)x->gva);
}

/** Which bits of the quadword at `gpa` may an access along this path set (section 4.8)? The
 * accessed flags of entries that are present, and the dirty flag of a leaf that it may write. */
static u64 flags_it_may_set(const struct arch *a, const struct path *p, u64 gpa, bool dirties)
{
	u64 may = 0;

	for (unsigned i = 0; i < p->depth; i++) {
		bool last = i == p->depth - 1;
		u64 flags = last && dirties ? PTE_A | PTE_D : PTE_A;

		if ((p->entry[i].gpa & ~7ull) == gpa && (!last || p->complete))
			may |= flags << (a->bytes == 4 ? 8 * (p->entry[i].gpa & 4) : 0);
	}
	return may;
}

/** A write that an MMU of the hypervisor's cannot tell from one that is allowed, until it comes
 * back: implicit at CPL 0 with RFLAGS.AC set, for the error code says nothing of it. */
static bool looks_allowed(const struct vcpu *v, const struct access *x)
{
	return v->arch.smap && x->kind & WALK_IMPLICIT && x->ac && x->cpl < 3;
}

void access_check_flags(struct oracle *o, const struct vcpu *v, const struct pending *a)
{
	const struct path *p = &a->path;
	bool dirties = a->x->kind & WALK_WRITE &&
		       (a->fresh.kind <= OUTCOME_MMIO || looks_allowed(v, a->x));

	for (unsigned i = 0; i < p->depth; i++) {
		u64 gpa = p->entry[i].gpa & ~7ull, now = memory_quad(o, gpa), was = a->before[i];
		const struct change *last = memory_last_change(o, gpa);
		u64 may = flags_it_may_set(&v->arch, p, gpa, dirties);

		/* One of another level, which was looked at already, or another vcpu's store. */
		if (last && last->time > o->before_access)
			was = last->new;
		if (now == was)
			continue;
		memory_changed(o, gpa, was);
		if ((now & was) != was || (now ^ was) & ~may) {
			trace_walks(o, v, a->x);
			oracle_fail(o, v, "the entry at %llx was %llx and is %llx",
				    (unsigned long long)gpa, (unsigned long long)was,
				    (unsigned long long)now);
		}
	}
}

bool same_outcome(const struct outcome *a, const struct outcome *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == OUTCOME_ALLOWED && a->type != b->type && !a->emulated && !b->emulated)
		return false;
	return a->kind == OUTCOME_FAULT ? a->pferr == b->pferr : a->at == b->at;
}

bool flags_set(const struct oracle *o, const struct vcpu *v, const struct access *x,
	       const struct path *p)
{
	for (unsigned i = 0; i < p->depth; i++) {
		u64 must = PTE_A;

		if (i == p->depth - 1 && x->kind & WALK_WRITE)
			must |= PTE_D;
		if ((entry_value(o, &v->arch, p->entry[i].gpa) & must) != must)
			return false;
	}
	return true;
}

static bool was_so_earlier(const struct pending *a, const struct outcome *seen)
{
	for (unsigned i = 0; i < MIN(a->nr_earlier, ARRAY_SIZE(a->earlier)); i++) {
		/* What the processor itself allows is judged by its caches. */
		if (seen->kind == OUTCOME_ALLOWED && !seen->emulated)
			break;
		if (same_outcome(&a->earlier[i], seen))
			return true;
	}
	return false;
}

/** ... though it is not what a fresh walk gives. */
static bool is_allowed(struct oracle *o, const struct vcpu *v, const struct pending *a,
		       const struct outcome *seen)
{
	bool folded = false;

	if (was_so_earlier(a, seen) || same_outcome(&a->looks, seen))
		return true;
	if (a->path.odd && (seen->kind == OUTCOME_LOST || seen->kind == OUTCOME_MMIO))
		return true;
	if (judge(o, v, a->x, seen, &folded)) {
		if (folded)
			o->figures.folded++;
		else
			o->figures.stale++;
		trace(o, v, "  stale or folded", 0, 0, 0);
		return true;
	}
	return false;
}

static void compare(struct oracle *o, struct vcpu *v, const struct pending *a,
		    const struct outcome *seen)
{
	char was[OUTCOME_TEXT], is[OUTCOME_TEXT];
	bool flags = flags_set(o, v, a->x, &a->path);

	if (same_outcome(&a->fresh, seen) && (seen->kind != OUTCOME_ALLOWED || flags))
		return;
	/* Not present is never cached: what nobody has looked at is fresh, or wrong. */
	if (!seen->silent && is_allowed(o, v, a, seen))
		return;
	trace_walks(o, v, a->x);
	oracle_fail(o, v, "gva %llx: fresh %s; shadow %s, flags %s", (unsigned long long)a->x->gva,
		    outcome_text(&a->fresh, was), outcome_text(seen, is),
		    flags ? "set" : "not all set");
}

static void count(struct oracle *o, const struct vcpu *v, const struct outcome *out)
{
	struct oracle_figures *f = &o->figures;
	u64 *of[] = {&f->allowed, &f->mmio, &f->faults, &f->lost};

	f->accesses++;
	f->by_mode[v->arch.mode]++;
	++*of[out->kind];
}

/** An access that looks like another one which is allowed ends like that one at a device. */
static struct outcome as_it_looks(struct oracle *o, const struct vcpu *v, const struct access *x,
				  const struct outcome *fresh)
{
	struct access explicit = *x;
	struct outcome out;
	struct path p;

	if (!looks_allowed(v, x))
		return *fresh;
	explicit.kind &= ~WALK_IMPLICIT;
	out = fresh_walk(o, v, &explicit, &p);
	return out.kind == OUTCOME_MMIO ? out : *fresh;
}

void access_begin(struct oracle *o, const struct vcpu *v, const struct access *x, struct pending *a)
{
	a->x = x;
	a->fresh = fresh_walk(o, v, x, &a->path);
	a->looks = as_it_looks(o, v, x, &a->fresh);
	for (unsigned i = 0; i < a->path.depth; i++)
		a->before[i] = memory_quad(o, a->path.entry[i].gpa);
	o->before_access = o->now;
}

/** The hypervisor emulates an access to a device: it walks as well, and sets flags. */
static void emulate(struct oracle *o, const struct vcpu *v, const struct access *x)
{
	struct walk_regs r = regs_of(v, x);
	struct walk_result w;
	struct pending a = {.nr_earlier = 0};

	access_begin(o, v, x, &a);
	guest_walk(&o->gm, &r, GVA(x->gva), x->kind, &w);
	access_check_flags(o, v, &a);
}

struct outcome oracle_access(struct oracle *o, struct vcpu *v, const struct access *x, u64 data,
			     unsigned len)
{
	struct outcome seen;
	struct pending a = {.nr_earlier = 0};
	u64 begun = ++o->now, gpa;

	access_begin(o, v, x, &a);
	check_walker(o, v, x, &a.fresh);
	other_vcpus_prepare(o, &a.path);
	o->pending = &a;
	seen = shadow_access(o, v, x);
	o->pending = NULL;
	access_check_flags(o, v, &a);
	compare(o, v, &a, &seen);
	count(o, v, &seen);

	if (seen.kind == OUTCOME_FAULT)
		history_fault(o, v, x->gva, begun);
	if (seen.kind == OUTCOME_MMIO)
		emulate(o, v, x);
	if (seen.kind == OUTCOME_ALLOWED && x->kind & WALK_WRITE &&
	    memory_gpa_of(o, seen.at, &gpa)) {
		o->figures.stores_to_tables += gpa - TABLES_GPA < sizeof(o->copy);
		memory_store(o, gpa, &data, len);
		if (seen.emulated) {
			trace(o, v, "  emulated: %llx at %llx", data, gpa, 0);
			o->mmu->ops->wrote(o->mmu, GPA(gpa), len);
			hw_enter(o, v);
			o->figures.emulated_stores++;
		}
	}
	return seen;
}
