/* SPDX-License-Identifier: MIT */
/* Switching IA32_EFER. */
#include "efer.h"

#include "core.h"
#include "insn.h"
#include "machine.h"
#include "msr_index.h"
#include "vmcs.h"

/** An entry of an area of MSRs, SDM volume 3, table 25-15. */
struct msr_entry {
	u32 index, reserved;
	u64 value;
};

/** The areas: one entry each, for the way in and for the way out. */
struct efer_areas {
	struct msr_entry guest, host;
};

static bool has_fields(const struct vcpu *v)
{
	const u32 *word = v->machine->vmx.word;

	return (word[WORD_ENTRY] & ENTRY_LOAD_EFER) && (word[WORD_EXIT] & EXIT_LOAD_EFER);
}

void efer_init(struct vcpu *v)
{
	u64 host = rdmsr(MSR_EFER);
	hpa_t hpa;

	if (has_fields(v)) {
		vmcs_write64(HOST_IA32_EFER, host);
		return;
	}
	v->efer = heap_need(sizeof(*v->efer), &hpa, "MSR-load areas");
	v->efer->guest.index = v->efer->host.index = MSR_EFER;
	v->efer->guest.value = v->efer->host.value = host;
	vmcs_write64(VM_ENTRY_MSR_LOAD_ADDR, hpa.v + offsetof(struct efer_areas, guest));
	vmcs_write64(VM_EXIT_MSR_LOAD_ADDR, hpa.v + offsetof(struct efer_areas, host));
}

void efer_load(struct vcpu *v, const struct vmx_control_regs *f)
{
	u64 by_entry, differ;

	if (!v->efer) {
		vmcs_write64(GUEST_IA32_EFER, f->efer);
		return;
	}
	/* Entry and exit set LMA, and LME where paging is on, by the controls that say whose mode
	 * is IA-32e (sections 27.3.2.1 and 28.5.1); nothing else of EFER changes. */
	by_entry = EFER_LMA | (f->cr0 & X86_CR0_PG ? EFER_LME : 0);
	differ = (f->efer ^ v->efer->host.value) & ~by_entry;
	v->efer->guest.value = f->efer;
	vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, differ ? 1 : 0);
	vmcs_write32(VM_EXIT_MSR_LOAD_COUNT, differ ? 1 : 0);
}

u64 efer_of_guest(const struct vcpu *v)
{
	return v->efer ? v->efer->guest.value : vmcs_read64(GUEST_IA32_EFER);
}
