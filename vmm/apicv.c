/* SPDX-License-Identifier: MIT */
/* APIC virtualization: what the VMCS needs for it, and the exits that are left. */
#include "apicv.h"

#include "bitmaps.h"
#include "guest/lapic_regs.h"
#include "heap.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "vmxon.h"

#define X2APIC_MSR(offset) (MSR_X2APIC_FIRST + (offset) / 16)

static struct lapic *lapic_of(const struct vcpu *v)
{
	return &v->machine->pc.lapic[v->index];
}

static bool has(const struct vcpu *v, u32 cpu2)
{
	return v->machine->vmx.word[WORD_CPU2] & cpu2;
}

static bool virtual_delivery(const struct vcpu *v)
{
	return has(v, CPU2_VIRT_INTR_DELIVERY);
}

void apicv_init(struct vcpu *v)
{
	struct machine *m = v->machine;

	lapic_of(v)->virtual_delivery = virtual_delivery(v);
	if (m->vmx.word[WORD_CPU1] & CPU1_TPR_SHADOW) {
		vmcs_write64(VIRTUAL_APIC_PAGE_ADDR, m->lapic_hpa[v->index].v);
		vmcs_write32(TPR_THRESHOLD, 0);
	}
	if (has(v, CPU2_APIC_ACCESSES)) {
		/* Nothing is ever read from it or written to it: it is there to have an address. */
		if (!m->apic_access_hpa.v)
			heap_need(PAGE_SIZE, &m->apic_access_hpa, "APIC-access page");
		vmcs_write64(APIC_ACCESS_ADDR, m->apic_access_hpa.v);
	}
	if (virtual_delivery(v))
		vmcs_write16(GUEST_INTR_STATUS, 0);
	apicv_mode_changed(v);
}

/** The APIC-access page is where the registers are, if all vcpus have theirs at one address. */
static void place_access_page(struct machine *m)
{
	const struct lapic *first = &m->pc.lapic[0];
	gpa_t at = GPA(lapic_base(first));
	bool on = !gmem_slot(&m->pc.mem, at);

	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		const struct lapic *l = &m->pc.lapic[i];

		on = on && lapic_xapic(l) && lapic_base(l) == at.v;
	}
	if (on == m->apic_access_on && (!on || at.v == m->apic_access_gpa.v))
		return;
	if (m->apic_access_on)
		m->paging->ops->overlay(m->paging, m->apic_access_gpa, HPA(0));
	/* Where it cannot be, an access to the registers is an EPT violation or a page fault, and
	 * emulated. */
	m->apic_access_on = on && m->paging->ops->overlay(m->paging, at, m->apic_access_hpa);
	m->apic_access_gpa = at;
	vmx_invalidate(m);
}

/** The MSRs that the processor may serve in x2APIC mode: what it reads is the page, and what it
 *  writes has all its effects (sections 30.5 "Virtualizing MSR-Based APIC Accesses"). The processor
 *  priority and the current count are not kept in the page. */
static void set_x2apic_bitmap(struct vcpu *v, bool on)
{
	bool reads = on && has(v, CPU2_APIC_REGISTER_VIRT), eoi = on && virtual_delivery(v);

	for (u32 offset = 0; offset < LAPIC_KEPT * 16; offset += 16) {
		bool read = reads && offset != LAPIC_PPR && offset != LAPIC_TMCCT &&
			    lapic_reg_x2apic_readable(offset);

		bitmaps_pass_msr(v, X2APIC_MSR(offset), MSR_READ, read);
	}
	bitmaps_pass_msr(v, X2APIC_MSR(LAPIC_TPR), MSR_READ, on);
	bitmaps_pass_msr(v, X2APIC_MSR(LAPIC_TPR), MSR_WRITE, on);
	bitmaps_pass_msr(v, X2APIC_MSR(LAPIC_EOI), MSR_WRITE, eoi);
	bitmaps_pass_msr(v, X2APIC_MSR(LAPIC_SELF_IPI), MSR_WRITE, eoi);
}

void apicv_mode_changed(struct vcpu *v)
{
	const struct lapic *l = lapic_of(v);
	/* Section 27.2.1.1: not both at once. */
	u32 other_mode = lapic_x2apic(l) ? CPU2_APIC_ACCESSES : CPU2_X2APIC_MODE;

	vmcs_write32(SECONDARY_VM_EXEC_CONTROL, v->machine->vmx.word[WORD_CPU2] & ~other_mode);
	if (has(v, CPU2_APIC_ACCESSES))
		place_access_page(v->machine);
	if (has(v, CPU2_X2APIC_MODE))
		set_x2apic_bitmap(v, lapic_x2apic(l));
	v->requests |= REQ_EVENT;
}

void apicv_sync(struct vcpu *v, int irr, int isr)
{
	static const u32 eoi_exit[] = {EOI_EXIT_BITMAP0, EOI_EXIT_BITMAP1, EOI_EXIT_BITMAP2,
				       EOI_EXIT_BITMAP3};
	struct lapic *l = lapic_of(v);

	vmcs_write16(GUEST_INTR_STATUS, (u16)(MAX(isr, 0) << 8 | MAX(irr, 0)));
	if (!l->tmr_changed)
		return;
	l->tmr_changed = false;
	for (unsigned i = 0; i < ARRAY_SIZE(eoi_exit); i++)
		vmcs_write64(eoi_exit[i], (u64)lapic_tmr(l, 2 * i + 1) << 32 | lapic_tmr(l, 2 * i));
}

void apicv_set_tpr_threshold(struct vcpu *v)
{
	const struct lapic *l = lapic_of(v);
	int irr = lapic_highest_irr(l);
	u32 class = irr < 0 ? 0 : (u32)irr >> 4;

	/* Only where the TPR is what holds it back: the entry fails with a threshold above it. */
	vmcs_write32(TPR_THRESHOLD, class <= lapic_get_cr8(l) ? class : 0);
}

/** A trap: the write is done, and its value in the virtual-APIC page. The qualification says in
 *  which register. The model of the local APIC does the rest, as sending the IPI. */
enum exit_action handle_apic_write(struct vcpu *v)
{
	exit_detail_tally(&v->detail, TALLY_APIC_WRITE, vcpu_qual(v) & 0xff0);
	lapic_written(lapic_of(v), vcpu_qual(v) & 0xff0);
	v->requests |= REQ_EVENT | REQ_DEADLINE;
	return v->machine->outcome == OUTCOME_NONE ? EXIT_RETRY : EXIT_STOP;
}

/** A trap as well: the EOI is done, of a vector whose bit is 1 in the EOI-exit bitmap, because an
 *  I/O APIC has to hear of it (level-triggered). The qualification is the vector. */
enum exit_action handle_virtualized_eoi(struct vcpu *v)
{
	exit_detail_tally(&v->detail, TALLY_EOI, vcpu_qual(v) & 0xff);
	lapic_eoi_virtualized(lapic_of(v), vcpu_qual(v) & 0xff);
	v->requests |= REQ_EVENT;
	return EXIT_RETRY;
}
