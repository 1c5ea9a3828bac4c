/* SPDX-License-Identifier: MIT */
/* Writes to guest memory by emulation. */
#include "guest_mem.h"

#include "machine.h"

static void wrote(struct machine *m, gpa_t gpa, u64 len)
{
	if (m->paging->ops->wrote)
		m->paging->ops->wrote(m->paging, gpa, len);
}

bool machine_phys_write(struct machine *m, gpa_t gpa, const void *src, u64 len)
{
	if (!gmem_write(&m->pc.mem, gpa, src, len))
		return false;
	wrote(m, gpa, len);
	return true;
}

enum walk_status machine_virt_write(struct machine *m, const struct walk_regs *r, gva_t gva,
				    const void *src, u64 len, u32 access, struct walk_result *out,
				    gva_t *fault_gva)
{
	const struct gmem *mem = &m->pc.mem;
	u64 first = MIN(len, PAGE_SIZE - (gva.v & ~PAGE_MASK));
	const gva_t second = GVA(gva.v + first);
	struct walk_result head = {.page_size = 0}, tail = {.page_size = 0};
	const u32 look = access | WALK_WRITE | WALK_NO_AD;
	enum walk_status status;

	if (!m->paging->ops->wrote)
		return guest_virt_write(mem, r, gva, src, len, access, out, fault_gva);
	/* Where it goes, before it changes what says so. */
	bool here = guest_walk(mem, r, gva, look, &head) == WALK_OK;
	bool there = len > first && guest_walk(mem, r, second, look, &tail) == WALK_OK;

	status = guest_virt_write(mem, r, gva, src, len, access, out, fault_gva);
	if (status == WALK_OK && here)
		wrote(m, head.gpa, first);
	if (status == WALK_OK && there)
		wrote(m, tail.gpa, len - first);
	return status;
}
