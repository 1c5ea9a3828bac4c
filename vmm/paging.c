/* SPDX-License-Identifier: MIT */
/* Choosing a paging implementation, and what it needs from the machine. */
#include "paging.h"

#include "core.h"
#include "ept/ept.h"
#include "guest/mtrr.h"
#include "panic.h"
#include "shadow/shadow.h"
#include "vmxon.h"

static const struct paging_ops *const implementations[PAGING_MODES] = {
	[PAGING_EPT] = &ept_ops,
	[PAGING_SHADOW] = &shadow_ops,
};

static void *env_alloc_page(void *ctx, hpa_t *hpa)
{
	(void)ctx;
	return heap_alloc(1, hpa);
}

static void *env_page_ptr(void *ctx, hpa_t hpa)
{
	(void)ctx;
	return phys_ptr(hpa);
}

static int env_memtype(void *ctx, hpa_t hpa, u64 size)
{
	(void)ctx;
	return mtrrs_type(&core.mtrrs, hpa.v, size);
}

static void env_invalidate(void *ctx)
{
	struct machine *m = ctx;

	vmx_invalidate(m);
}

/** On page tables of the hypervisor's: no EPT. */
static void env_invalidate_linear(void *ctx)
{
	vmx_flush_linear(ctx);
}

static void env_invalidate_gva(void *ctx, gva_t gva)
{
	vmx_flush_address(ctx, gva);
}

/** The MTRRs are the package's: those of the first vcpu stand for all. */
static int env_guest_memtype(void *ctx, gpa_t gpa, u64 size)
{
	const struct machine *m = ctx;

	return mtrr_range_type(&m->vcpu[0]->msr, gpa, size);
}

/** The paging structures are all vcpus' together: a page that one local APIC covers is a hole for
 *  the others, too, who find memory there by emulation (vmm/exits_mmio.c). */
static bool covered_by_apic(const struct machine *m, gpa_t page)
{
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		const struct lapic *apic = &m->pc.lapic[i];

		if (lapic_xapic(apic) && lapic_base(apic) == page.v)
			return true;
	}
	return false;
}

bool paging_follow_apic(struct vcpu *v, gpa_t from)
{
	struct machine *m = v->machine;
	const gpa_t pages[] = {from, GPA(lapic_base(&m->pc.lapic[v->index]))};

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		bool covered = covered_by_apic(m, pages[i]);

		/* Where there is no memory, the APIC-access page may be (vmm/apicv.c). */
		if (gmem_slot(&m->pc.mem, pages[i]) &&
		    !m->paging->ops->set_hole(m->paging, pages[i], covered))
			return false;
	}
	return true;
}

void paging_create(struct machine *m, u32 mode)
{
	const struct options *o = &core.boot->options;
	char err[PAGING_ERROR_MAX];

	ASSERT(mode < PAGING_MODES && implementations[mode]);
	m->paging_env = (struct paging_env){
		.alloc_page = env_alloc_page,
		.page_ptr = env_page_ptr,
		.memtype = env_memtype,
		.invalidate = mode == PAGING_SHADOW ? env_invalidate_linear : env_invalidate,
		.invalidate_gva = env_invalidate_gva,
		.guest_memtype = env_guest_memtype,
		.ctx = m,
		.ept_vpid_cap = core.caps.ept_vpid,
		.track_dirty = o->dirty,
		.shadow_pool = options_shadow_pool(o, gmem_size(&m->pc.mem)),
		.nr_vcpus = m->nr_vcpus,
		.maxphyaddr = core.mtrrs.maxphyaddr,
	};
	m->paging = implementations[mode]->create(&m->paging_env, &m->pc.mem, err);
	if (!m->paging)
		panic("paging %s: %s", paging_name(mode), err);
	if (o->dirty && !m->paging->ops->dirty)
		panic("paging %s cannot count the pages that the guest writes: leave dirty=1 out",
		      paging_name(mode));
	m->paging->ops->controls(m->paging, &m->controls);
}

void paging_map_rom(struct machine *m, gpa_t gpa, hpa_t hpa)
{
	if (!m->paging->ops->map_rom(m->paging, gpa, hpa))
		panic("paging %s: no memory left to map 0x%llx", m->paging->ops->name,
		      (unsigned long long)gpa.v);
	m->paging->ops->controls(m->paging, &m->controls);
}
