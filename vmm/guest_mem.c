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

void machine_phys_modify(struct machine *m, gpa_t gpa, u8 clear, u8 set)
{
	u8 *at = gmem_ptr(&m->pc.mem, gpa, 1);

	if (clear)
		__atomic_fetch_and(at, (u8)~clear, __ATOMIC_SEQ_CST);
	if (set)
		__atomic_fetch_or(at, set, __ATOMIC_SEQ_CST);
	wrote(m, gpa, 1);
}

void machine_span_write(struct machine *m, const struct walk_span *span, const void *src)
{
	guest_span_write(&m->pc.mem, span, src);
	for (unsigned i = 0; i < 2 && span->len[i]; i++)
		wrote(m, span->gpa[i], span->len[i]);
}

enum walk_status machine_virt_write(struct machine *m, const struct walk_regs *r, gva_t gva,
				    const void *src, u64 len, u32 access, struct walk_result *out,
				    gva_t *fault_gva)
{
	struct walk_span span;
	enum walk_status status = guest_virt_span(&m->pc.mem, r, gva, len, access | WALK_WRITE, out,
						  fault_gva, &span);

	if (status == WALK_OK)
		machine_span_write(m, &span, src);
	return status;
}
