/* SPDX-License-Identifier: MIT */
/*
 * The events of the exit zoo: each changes something of the VMCS or the processor for one entry,
 * and puts it back at the exit, before anything else looks. Whether an event is possible at all was
 * asked before (vmx/zoo_rules.h).
 */
#include "core.h"
#include "host_timer.h"
#include "insn.h"
#include "machine.h"
#include "msr_index.h"
#include "vmcs.h"
#include "vmx/zoo_rules.h"
#include "zoo_calls.h"

/** Written to the PML index: nothing fits (SDM volume 3, section 29.3.6). */
#define PML_FULL 0xffff

/** Of the guest interrupt status: the requesting virtual interrupt (section 25.4.2). */
#define RVI 0xff

/** An entry of an MSR-load area, SDM volume 3, table 25-15. */
struct msr_entry {
	u32 index, reserved;
	u64 value;
};

/** An area that names an MSR which must not be there (section 27.4 "Loading MSRs"). The entries
 * that it replaces are not missed: the guest is not entered. */
static void begin_msr_loading(struct zoo *z)
{
	struct msr_entry *e = (struct msr_entry *)z->table;

	z->saved.msr_load_count = vmcs_read32(VM_ENTRY_MSR_LOAD_COUNT);
	z->saved.msr_load_addr = vmcs_read64(VM_ENTRY_MSR_LOAD_ADDR);
	*e = (struct msr_entry){.index = MSR_FS_BASE};
	vmcs_write64(VM_ENTRY_MSR_LOAD_ADDR, z->table_hpa.v);
	vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, 1);
}

static void end_msr_loading(struct zoo *z)
{
	vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, z->saved.msr_load_count);
	vmcs_write64(VM_ENTRY_MSR_LOAD_ADDR, z->saved.msr_load_addr);
	*(struct msr_entry *)z->table = (struct msr_entry){.index = 0};
}

static void begin_secondary(struct zoo *z, u32 bits)
{
	z->saved.cpu2 = vmcs_read32(SECONDARY_VM_EXEC_CONTROL);
	vmcs_write32(SECONDARY_VM_EXEC_CONTROL, z->saved.cpu2 | bits);
}

static void end_secondary(struct zoo *z)
{
	vmcs_write32(SECONDARY_VM_EXEC_CONTROL, z->saved.cpu2);
}

static void begin_xss(struct zoo *z)
{
	z->saved.xss_bitmap = vmcs_read64(XSS_EXIT_BITMAP);
	vmcs_write64(XSS_EXIT_BITMAP, ~0ull);
	wrmsr(MSR_IA32_XSS, cpu_xss());
}

static void end_xss(struct zoo *z)
{
	wrmsr(MSR_IA32_XSS, 0);
	vmcs_write64(XSS_EXIT_BITMAP, z->saved.xss_bitmap);
}

bool zoo_event_prepare(struct vcpu *v, enum zoo_event event)
{
	static const enum paging_spoil how[NR_ZOO_EVENTS] = {
		[ZOO_EVENT_EPT_MISCONFIG] = PAGING_MISCONFIGURED,
		[ZOO_EVENT_PML_FULL] = PAGING_CLEAN,
		[ZOO_EVENT_SPP] = PAGING_SUBPAGES,
	};
	struct paging *p = v->machine->paging;

	return how[event] == PAGING_WHOLE || p->ops->spoil(p, v->zoo->page, how[event]);
}

/** Where an exit cuts short the delivery of a virtual interrupt, as one for the page of its stack,
 * Bochs 2.7 tells of some event before it (docs/hacking.md). There they wait for that exit. */
static void hold_back_virtual_interrupts(struct vcpu *v)
{
	if (!core.on_bochs || !v->machine->pc.lapic[v->index].virtual_delivery)
		return;
	vmcs_write16(GUEST_INTR_STATUS, vmcs_read16(GUEST_INTR_STATUS) & ~RVI);
	v->zoo->saved.held_back = true;
}

static void release_virtual_interrupts(struct vcpu *v)
{
	if (v->zoo->saved.held_back)
		v->requests |= REQ_EVENT;
	v->zoo->saved.held_back = false;
}

static void make_page_whole(struct vcpu *v)
{
	struct paging *p = v->machine->paging;

	p->ops->spoil(p, v->zoo->page, PAGING_WHOLE);
}

void zoo_event_cancel(struct vcpu *v, enum zoo_event event)
{
	if (zoo_event_has_page(event))
		make_page_whole(v);
}

/** Whether or not the machine has a log of its own, nothing can be logged for so long. */
static void begin_pml_full(struct vcpu *v)
{
	struct zoo *z = v->zoo;

	begin_secondary(z, CPU2_PML);
	if (v->pml)
		z->saved.pml_index = vmcs_read16(GUEST_PML_INDEX);
	else
		vmcs_write64(PML_ADDRESS, z->table_hpa.v);
	vmcs_write16(GUEST_PML_INDEX, PML_FULL);
}

static void end_pml_full(struct vcpu *v)
{
	if (v->pml)
		vmcs_write16(GUEST_PML_INDEX, v->zoo->saved.pml_index);
	end_secondary(v->zoo);
	make_page_whole(v);
}

static void begin_spp(struct zoo *z)
{
	begin_secondary(z, CPU2_SPP);
	vmcs_write64(SPP_TABLE_POINTER, z->table_hpa.v);
}

/** There is one slot for events, and what was chosen for it must not be lost. Nor must what Bochs
 * 2.7 forgets beside any event there (docs/hacking.md). */
static bool begin_mtf(const struct vcpu *v)
{
	const u32 shadows = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS;

	if (v->done & INJECTING)
		return false;
	if (core.on_bochs && (vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS) ||
			      (vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & shadows)))
		return false;
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, INTR_TYPE_OTHER | (u32)INTR_INFO_VALID);
	return true;
}

static void set_flag(u32 field, u64 flag, bool on)
{
	u64 value = vmcs_readl(field);

	vmcs_writel(field, on ? value | flag : value & ~flag);
}

bool zoo_event_begin(struct vcpu *v, enum zoo_event event)
{
	struct zoo *z = v->zoo;

	if (zoo_event_has_page(event))
		hold_back_virtual_interrupts(v);
	switch (event) {
	case ZOO_EVENT_NMI:
		zoo_nmi_begin(v);
		break;
	case ZOO_EVENT_INTERRUPT:
		zoo_interrupt_begin(v);
		break;
	case ZOO_EVENT_INIT:
		host_ipi_self(IPI_INIT);
		break;
	case ZOO_EVENT_TIMER:
		vmcs_write32(VMX_PREEMPTION_TIMER_VALUE, 0);
		break;
	case ZOO_EVENT_MTF:
		return begin_mtf(v);
	case ZOO_EVENT_GUEST_STATE:
		set_flag(GUEST_RFLAGS, X86_EFLAGS_FIXED, false);
		break;
	case ZOO_EVENT_MSR_LOADING:
		begin_msr_loading(z);
		break;
	case ZOO_EVENT_EPT_MISCONFIG:
		break;
	case ZOO_EVENT_PML_FULL:
		begin_pml_full(v);
		break;
	case ZOO_EVENT_SMXE:
		set_flag(GUEST_CR4, X86_CR4_SMXE, true);
		break;
	case ZOO_EVENT_XSS:
		begin_xss(z);
		break;
	case ZOO_EVENT_VMFUNC:
		vmcs_write64(VM_FUNCTION_CONTROL, 0);
		begin_secondary(z, CPU2_VMFUNC);
		break;
	case ZOO_EVENT_SPP:
		begin_spp(z);
		break;
	case NR_ZOO_EVENTS:
		break;
	}
	return true;
}

void zoo_event_end(struct vcpu *v, enum zoo_event event)
{
	struct zoo *z = v->zoo;

	release_virtual_interrupts(v);
	switch (event) {
	case ZOO_EVENT_NMI:
		zoo_nmi_end(v);
		break;
	case ZOO_EVENT_INTERRUPT:
		zoo_interrupt_end(v);
		break;
	case ZOO_EVENT_GUEST_STATE:
		set_flag(GUEST_RFLAGS, X86_EFLAGS_FIXED, true);
		break;
	case ZOO_EVENT_MSR_LOADING:
		end_msr_loading(z);
		break;
	case ZOO_EVENT_EPT_MISCONFIG:
		make_page_whole(v);
		break;
	case ZOO_EVENT_PML_FULL:
		end_pml_full(v);
		break;
	case ZOO_EVENT_SMXE:
		set_flag(GUEST_CR4, X86_CR4_SMXE, false);
		break;
	case ZOO_EVENT_XSS:
		end_xss(z);
		break;
	case ZOO_EVENT_VMFUNC:
		end_secondary(z);
		break;
	case ZOO_EVENT_SPP:
		end_secondary(z);
		make_page_whole(v);
		break;
	case ZOO_EVENT_INIT:
	case ZOO_EVENT_TIMER: /* every exit sets it anew */
	case ZOO_EVENT_MTF:   /* every exit takes it away (section 25.8.3) */
	case NR_ZOO_EVENTS:
		break;
	}
}
