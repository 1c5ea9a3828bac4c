/* SPDX-License-Identifier: MIT */
/* Counting the pages that the guest writes. */
#include "dirty.h"

#include "core.h"
#include "machine.h"
#include "panic.h"
#include "run.h"
#include "vmcs.h"
#include "zoo_calls.h"

/** The log is a page of guest-physical addresses, filled from its end. The index is that of the
 * next entry; below 0 it is full (SDM volume 3, section 29.3.6). */
#define PML_ENTRIES 512

void dirty_init(struct machine *m)
{
	struct dirty_log *log = &m->dirty;

	if (!(m->vmx.word[WORD_CPU2] & CPU2_PML))
		return;
	/* A page of memory, the device's too, is logged when its dirty flag becomes 1, and they are
	 * all cleared together: at most once in between. */
	log->max = (gmem_size(&m->pc.mem) + m->pc.mem.device.size) >> PAGE_SHIFT;
	log->gfn = heap_need(log->max * sizeof(*log->gfn), NULL, "log of written pages");
}

void dirty_init_log(struct vcpu *v)
{
	v->pml = heap_need(PAGE_SIZE, &v->pml_hpa, "page-modification log");
	vmcs_write64(PML_ADDRESS, v->pml_hpa.v);
	vmcs_write16(GUEST_PML_INDEX, PML_ENTRIES - 1);
}

void dirty_drain(struct machine *m)
{
	struct dirty_log *log = &m->dirty;
	u16 next;

	if (!log->gfn)
		return;
	ASSERT(m->nr_vcpus == 1); /* each further one would drain its own, before a count */
	next = (u16)(vmcs_read16(GUEST_PML_INDEX) + 1); /* the newest entry; full: 0xffff + 1 */
	for (unsigned i = next; i < PML_ENTRIES; i++) {
		gpa_t gpa = GPA(m->vcpu[0]->pml[i]);

		/* The APIC-access page is no memory, and comes and goes as the guest likes. */
		if (!gmem_slot(&m->pc.mem, gpa))
			continue;
		ASSERT(log->nr < log->max);
		log->gfn[log->nr++] = (u32)(gpa.v >> PAGE_SHIFT);
	}
	vmcs_write16(GUEST_PML_INDEX, PML_ENTRIES - 1);
}

void dirty_count(struct machine *m, bool clear)
{
	struct dirty_log *log = &m->dirty;
	struct paging_dirty d;

	if (!m->paging_env.track_dirty)
		return;
	if (core.machine)
		dirty_drain(m);
	m->paging->ops->dirty(m->paging, log->gfn, log->nr, clear, &d);
	if (clear)
		log->nr = 0;
	m->snapshot.pages_written = d.pages;
	m->snapshot.pages_ever = d.ever;
}

/** With dirty=1: the log of 512 pages that were written is full. They are counted, the log is
 *  emptied, and the write that did not fit is tried again, and logged then. Without a log it comes
 *  only where a guest with zoo=1 has ordered it. */
enum exit_action handle_pml_full(struct vcpu *v)
{
	if (!v->pml && !zoo_ordered(v, ZOO_EVENT_PML_FULL))
		return stop_impossible(v, "although its control is 0");
	vcpu_undo_nmi_unblocking(v, vcpu_qual(v));
	dirty_drain(v->machine);
	return EXIT_RETRY;
}
