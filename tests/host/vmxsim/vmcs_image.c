/* SPDX-License-Identifier: MIT */
/* A VMCS as plain data: fields, which of them exist, and the rules for events at VM entry. */
#include "vmcs_image.h"

#include "x86.h"

static const u32 encodings[NR_VMCS_ROWS] = {
#define VMCS_FIELD(encoding, name) encoding,
#include "vmcs_fields.def"
#undef VMCS_FIELD
};

int vmcs_row(u64 field)
{
	for (int i = 0; i < NR_VMCS_ROWS; i++) {
		if (encodings[i] == field)
			return i;
	}
	return -1;
}

u32 vmcs_row_field(int row)
{
	return encodings[row];
}

u64 vmcs_truncate(u32 field, u64 value)
{
	switch (field >> 13 & 3) {
	case 0:
		return (u16)value;
	case 2:
		return (u32)value;
	default:
		return value;
	}
}

#define PROC3 NR_VMX_WORDS /* tertiary controls: none here */

/** Fields that not every processor has, and a control with which they come. */
static const struct optional {
	u32 first, last;
	unsigned word;
	u64 bit;
} optional[] = {
	{VIRTUAL_PROCESSOR_ID, VIRTUAL_PROCESSOR_ID, WORD_CPU2, CPU2_VPID},
	{POSTED_INTR_NV, POSTED_INTR_NV, WORD_PIN, PIN_POSTED_INTERRUPTS},
	{EPTP_INDEX, EPTP_INDEX, WORD_CPU2, BIT(18)}, /* #VE */
	{HLAT_PREFIX_SIZE, LAST_PID_POINTER_INDEX, PROC3, 0},
	{GUEST_INTR_STATUS, GUEST_INTR_STATUS, WORD_CPU2, CPU2_VIRT_INTR_DELIVERY},
	{GUEST_PML_INDEX, GUEST_PML_INDEX, WORD_CPU2, CPU2_PML},
	{GUEST_UINV, GUEST_UINV, PROC3, 0},
	{MSR_BITMAP, MSR_BITMAP, WORD_CPU1, CPU1_MSR_BITMAPS},
	{PML_ADDRESS, PML_ADDRESS, WORD_CPU2, CPU2_PML},
	{VIRTUAL_APIC_PAGE_ADDR, VIRTUAL_APIC_PAGE_ADDR, WORD_CPU1, CPU1_TPR_SHADOW},
	{APIC_ACCESS_ADDR, APIC_ACCESS_ADDR, WORD_CPU2, CPU2_APIC_ACCESSES},
	{POSTED_INTR_DESC_ADDR, POSTED_INTR_DESC_ADDR, WORD_PIN, PIN_POSTED_INTERRUPTS},
	{VM_FUNCTION_CONTROL, VM_FUNCTION_CONTROL, WORD_CPU2, CPU2_VMFUNC},
	{EPT_POINTER, EPT_POINTER, WORD_CPU2, CPU2_EPT},
	{EOI_EXIT_BITMAP0, EOI_EXIT_BITMAP3, WORD_CPU2, CPU2_VIRT_INTR_DELIVERY},
	{EPTP_LIST_ADDRESS, EPTP_LIST_ADDRESS, WORD_CPU2, CPU2_VMFUNC},
	{VMREAD_BITMAP, VMWRITE_BITMAP, WORD_CPU2, BIT(14)}, /* VMCS shadowing */
	{VE_INFO_ADDRESS, VE_INFO_ADDRESS, WORD_CPU2, BIT(18)},
	{XSS_EXIT_BITMAP, XSS_EXIT_BITMAP, WORD_CPU2, CPU2_XSAVES},
	{ENCLS_EXITING_BITMAP, ENCLS_EXITING_BITMAP, WORD_CPU2, BIT(15)},
	{SPP_TABLE_POINTER, SPP_TABLE_POINTER, WORD_CPU2, BIT(23)},
	{TSC_MULTIPLIER, TSC_MULTIPLIER, WORD_CPU2, BIT(25)},
	{TERTIARY_VM_EXEC_CONTROL, TERTIARY_VM_EXEC_CONTROL, WORD_CPU1, CPU1_TERTIARY},
	{ENCLV_EXITING_BITMAP, ENCLV_EXITING_BITMAP, WORD_CPU2, BIT(28)},
	{LOW_PASID_DIRECTORY, HIGH_PASID_DIRECTORY, WORD_CPU2, BIT(21)},
	{SHARED_EPT_POINTER, SHARED_EPT_POINTER, PROC3, 0},
	{PCONFIG_EXITING_BITMAP, PCONFIG_EXITING_BITMAP, WORD_CPU2, BIT(27)},
	{HLATP, IA32_SPEC_CTRL_SHADOW, PROC3, 0},
	{GUEST_PHYSICAL_ADDRESS, GUEST_PHYSICAL_ADDRESS, WORD_CPU2, CPU2_EPT},
	{GUEST_IA32_PAT, GUEST_IA32_PAT, WORD_ENTRY, ENTRY_LOAD_PAT},
	{GUEST_IA32_EFER, GUEST_IA32_EFER, WORD_ENTRY, ENTRY_LOAD_EFER},
	{GUEST_IA32_PERF_GLOBAL_CTRL, GUEST_IA32_PERF_GLOBAL_CTRL, WORD_ENTRY,
	 ENTRY_LOAD_PERF_GLOBAL_CTRL},
	{GUEST_PDPTE0, GUEST_PDPTE3, WORD_CPU2, CPU2_EPT},
	{GUEST_BNDCFGS, GUEST_IA32_PKRS, PROC3, 0},
	{HOST_IA32_PAT, HOST_IA32_PAT, WORD_EXIT, EXIT_LOAD_PAT},
	{HOST_IA32_EFER, HOST_IA32_EFER, WORD_EXIT, EXIT_LOAD_EFER},
	{HOST_IA32_PERF_GLOBAL_CTRL, HOST_IA32_PERF_GLOBAL_CTRL, WORD_EXIT,
	 EXIT_LOAD_PERF_GLOBAL_CTRL},
	{HOST_IA32_PKRS, HOST_IA32_PKRS, PROC3, 0},
	{TPR_THRESHOLD, TPR_THRESHOLD, WORD_CPU1, CPU1_TPR_SHADOW},
	{SECONDARY_VM_EXEC_CONTROL, SECONDARY_VM_EXEC_CONTROL, WORD_CPU1, CPU1_SECONDARY},
	{PLE_GAP, PLE_WINDOW, WORD_CPU2, CPU2_PAUSE_LOOP_EXITING},
	{NOTIFY_WINDOW, NOTIFY_WINDOW, WORD_CPU2, BIT(31)},
	{VMX_PREEMPTION_TIMER_VALUE, VMX_PREEMPTION_TIMER_VALUE, WORD_PIN, PIN_PREEMPTION_TIMER},
	{GUEST_S_CET, GUEST_INTR_SSP_TABLE, PROC3, 0},
	{HOST_S_CET, HOST_INTR_SSP_TABLE, PROC3, 0},
};

bool vmcs_field_exists(const struct vmx_caps *caps, u32 field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(optional); i++) {
		const struct optional *o = &optional[i];

		if (field >= o->first && field <= o->last)
			return o->word != PROC3 && (caps->may1[o->word] & o->bit);
	}
	return true;
}

/** Section 27.2.1.3: the event to be injected, by itself. */
static const char *injection_broken(u32 info, u32 error, u64 len, bool protected_mode)
{
	const u32 type = info & INTR_INFO_TYPE_MASK, vector = info & INTR_INFO_VECTOR_MASK;
	const u32 with_error = BIT(DF_VECTOR) | BIT(TS_VECTOR) | BIT(NP_VECTOR) | BIT(SS_VECTOR) |
			       BIT(GP_VECTOR) | BIT(PF_VECTOR) | BIT(AC_VECTOR);
	bool hard = type == INTR_TYPE_HARD_EXCEPTION;
	bool soft = type == INTR_TYPE_SOFT_INTERRUPT || type == INTR_TYPE_PRIV_SW_EXCEPTION ||
		    type == INTR_TYPE_SOFT_EXCEPTION;
	bool has_error = info & INTR_INFO_ERROR_CODE;

	if (type == 1u << 8 || type == 7u << 8)
		return "interruption type";
	if ((type == INTR_TYPE_NMI && vector != NMI_VECTOR) || (hard && vector > 31))
		return "vector does not fit the interruption type";
	if (has_error != (protected_mode && hard && vector < 32 && (with_error & BIT(vector))))
		return "deliver-error-code bit";
	if (info & ~((u32)INTR_INFO_VALID | INTR_INFO_ERROR_CODE | INTR_INFO_TYPE_MASK |
		     INTR_INFO_VECTOR_MASK))
		return "reserved bits of the interruption information";
	if (has_error && error >> 16)
		return "exception error code";
	if (soft && (len < 1 || len > 15))
		return "VM-entry instruction length";
	return NULL;
}

static const char *blocking_broken(const struct vmcs_image *i, u32 info)
{
	const u32 blocking = (u32)vmcs_get(i, GUEST_INTERRUPTIBILITY_INFO);
	const u32 shadow = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS;
	const u32 type = info & INTR_INFO_TYPE_MASK;

	if (blocking >> 5)
		return "reserved bits of the interruptibility state";
	if ((blocking & shadow) == shadow)
		return "blocking by STI and by MOV SS";
	if ((blocking & INTERRUPTIBILITY_STI) && !(vmcs_get(i, GUEST_RFLAGS) & X86_EFLAGS_IF))
		return "blocking by STI with RFLAGS.IF=0";
	if (!(info & INTR_INFO_VALID))
		return NULL;
	if (type == INTR_TYPE_EXTERNAL && (blocking & shadow))
		return "interrupt into a shadow";
	/* Of STI, "a processor may require" it; of NMIs, with virtual NMIs. */
	if (type == INTR_TYPE_NMI && (blocking & (shadow | INTERRUPTIBILITY_NMI)))
		return "NMI while it is blocked";
	return NULL;
}

static const char *activity_broken(const struct vmcs_image *i, u32 info)
{
	const u32 type = info & INTR_INFO_TYPE_MASK, vector = info & INTR_INFO_VECTOR_MASK;
	const u64 activity = vmcs_get(i, GUEST_ACTIVITY_STATE);
	const u32 shadow = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS;

	if (activity == ACTIVITY_ACTIVE)
		return NULL;
	if (vmcs_get(i, GUEST_INTERRUPTIBILITY_INFO) & shadow)
		return "not active in a shadow";
	if (activity != ACTIVITY_HLT || !(info & INTR_INFO_VALID))
		return activity == ACTIVITY_HLT ? NULL : "activity state";
	if (type == INTR_TYPE_EXTERNAL || type == INTR_TYPE_NMI ||
	    (type == INTR_TYPE_HARD_EXCEPTION && (vector == DB_VECTOR || vector == MC_VECTOR)))
		return NULL;
	return "event that cannot end HLT";
}

static const char *debug_broken(const struct vmcs_image *i)
{
	const u64 pending = vmcs_get(i, GUEST_PENDING_DBG_EXCEPTIONS);
	const u32 shadow = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS;
	bool held = (vmcs_get(i, GUEST_INTERRUPTIBILITY_INFO) & shadow) ||
		    vmcs_get(i, GUEST_ACTIVITY_STATE) == ACTIVITY_HLT;
	bool steps = (vmcs_get(i, GUEST_RFLAGS) & X86_EFLAGS_TF) &&
		     !(vmcs_get(i, GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);

	if (pending & ~0x1500full)
		return "reserved bits of the pending debug exceptions";
	if (held && steps != !!(pending & PENDING_DBG_BS))
		return "pending debug exceptions: BS";
	return NULL;
}

const char *vmcs_event_rule_broken(const struct vmcs_image *i)
{
	const u32 info = (u32)vmcs_get(i, VM_ENTRY_INTR_INFO_FIELD);
	const char *broken = NULL;

	if (info & INTR_INFO_VALID) {
		broken = injection_broken(info, (u32)vmcs_get(i, VM_ENTRY_EXCEPTION_ERROR_CODE),
					  vmcs_get(i, VM_ENTRY_INSTRUCTION_LEN),
					  vmcs_get(i, GUEST_CR0) & X86_CR0_PE);
		if (!broken && (info & INTR_INFO_TYPE_MASK) == INTR_TYPE_EXTERNAL &&
		    !(vmcs_get(i, GUEST_RFLAGS) & X86_EFLAGS_IF))
			broken = "interrupt with RFLAGS.IF=0"; /* section 27.3.1.4 */
	}
	broken = broken ? broken : blocking_broken(i, info);
	broken = broken ? broken : activity_broken(i, info);
	return broken ? broken : debug_broken(i);
}
