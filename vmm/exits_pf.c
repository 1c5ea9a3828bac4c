/* SPDX-License-Identifier: MIT */
/* Page faults of a guest on page tables of the hypervisor's. */
#include "event.h"
#include "exits_mmio.h"
#include "guest/walk.h"
#include "machine.h"
#include "run.h"
#include "table_write.h"
#include "vmcs.h"

/** The tables that the processor walks are not the guest's: is something missing in them (retry),
 *  or is the fault the guest's own (reflect), is there a device (emulate the access), or a table
 *  of the guest's that is write-protected (emulate the write)? docs/mmu.md has the whole story.
 *  The qualification is the linear address. */
enum exit_action handle_page_fault(struct vcpu *v)
{
	struct paging *p = v->machine->paging;
	gva_t gva = GVA(vcpu_qual(v));
	u32 pferr = vmcs_read32(VM_EXIT_INTR_ERROR_CODE);
	struct paging_fault f;

	switch (p->ops->page_fault(p, v->index, vcpu_own_walk_regs(v), gva, pferr, &f)) {
	case PAGING_RETRY:
		/* An IRET that faulted has unblocked NMIs, for the guest's handler too. Not so
		 * where the IRET is made once more, and the guest has seen no fault
		 * (section 32.7.1.2). */
		vcpu_undo_nmi_unblocking(v, vmcs_read32(VM_EXIT_INTR_INFO));
		return EXIT_RETRY;
	case PAGING_REFLECT:
		event_page_fault(v, gva, f.pferr);
		return EXIT_RETRY;
	case PAGING_MMIO:
		return access_mmio(v, f.gpa, pferr & PFERR_FETCH);
	case PAGING_EMULATE:
		if (!emulate_write(v, gva, f.gpa))
			vcpu_undo_nmi_unblocking(v, vmcs_read32(VM_EXIT_INTR_INFO));
		return EXIT_RETRY;
	case PAGING_LOST_TABLE:
		return stop_on_paging(v, f.gpa);
	case PAGING_BROKEN:
		break;
	}
	return stop_unsupported(v, "page fault at 0x%llx, error code 0x%x, which cannot be",
				(unsigned long long)gva.v, pferr);
}
