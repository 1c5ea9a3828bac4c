/* SPDX-License-Identifier: MIT */
/* Choosing a paging implementation, and what it needs from the machine. */
#include "paging.h"

#include "core.h"
#include "ept/ept.h"
#include "panic.h"
#include "vmxon.h"

static const struct paging_ops *const implementations[PAGING_MODES] = {
	[PAGING_EPT] = &ept_ops,
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

void paging_create(struct machine *m, u32 mode)
{
	char err[PAGING_ERROR_MAX];

	ASSERT(mode < PAGING_MODES && implementations[mode]);
	m->paging_env = (struct paging_env){
		.alloc_page = env_alloc_page,
		.page_ptr = env_page_ptr,
		.memtype = env_memtype,
		.invalidate = env_invalidate,
		.ctx = m,
		.ept_vpid_cap = core.caps.ept_vpid,
		.track_dirty = core.boot->options.dirty,
	};
	m->paging = implementations[mode]->create(&m->paging_env, &m->pc.mem, err);
	if (!m->paging)
		panic("paging %s: %s", paging_name(mode), err);
	m->paging->ops->controls(m->paging, &m->controls);
}
