/* SPDX-License-Identifier: MIT */
/* The VMX instructions of the simulated processor, with one VMCS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exit_reasons.h"
#include "processor.h"
#include "vmm/vcpu.h"

/* VM-instruction errors. */
#define ERROR_NO_FIELD 12
#define ERROR_READ_ONLY 13

bool vmxon(hpa_t region)
{
	assert_int_equal(region.v % PAGE_SIZE, 0);
	assert_true(cpu.cr4 & X86_CR4_VMXE);
	cpu.vmx_on = true;
	return true;
}

bool vmxoff(void)
{
	cpu.vmx_on = false;
	return true;
}

bool vmclear(hpa_t vmcs)
{
	assert_int_equal(vmcs.v % PAGE_SIZE, 0);
	cpu.vmcs_current = false;
	return cpu.vmx_on;
}

bool vmptrld(hpa_t vmcs)
{
	assert_int_equal(vmcs.v % PAGE_SIZE, 0);
	cpu.vmcs_current = true;
	return cpu.vmx_on;
}

/** The row of a field that this processor has; -1, with the error noted: VMfail. */
static int accessed(u64 field)
{
	int row = vmcs_row(field);

	if (!cpu.vmcs_current)
		return -1; /* VMfailInvalid */
	if (row >= 0 && vmcs_field_exists(&cpu.caps, (u32)field))
		return row;
	vmcs_set(&cpu.vmcs, VM_INSTRUCTION_ERROR, ERROR_NO_FIELD);
	return -1;
}

bool vmread(u64 field, u64 *v)
{
	int row = accessed(field);

	if (row >= 0)
		*v = cpu.vmcs.value[row];
	return row >= 0;
}

bool vmwrite(u64 field, u64 v)
{
	int row = accessed(field);

	if (row < 0)
		return false;
	if (vmcs_field_is_read_only((u32)field)) {
		vmcs_set(&cpu.vmcs, VM_INSTRUCTION_ERROR, ERROR_READ_ONLY);
		return false;
	}
	assert_int_equal(vmcs_truncate((u32)field, v), v);
	cpu.vmcs.value[row] = v;
	return true;
}

u64 vmread_sure(u64 field)
{
	u64 v = 0;

	if (!vmread(field, &v))
		fail_msg("unchecked VMREAD of field 0x%x, which is not there", (u32)field);
	return v;
}

void vmread_to(u64 field, u64 *v)
{
	*v = vmread_sure(field);
}

void vmwrite_sure(u64 field, u64 v)
{
	/* arm_timer() in vmm/run.c writes to this one whether it exists or not, and cuts nothing
	 * off what does not fit. */
	if (field == VMX_PREEMPTION_TIMER_VALUE)
		v = (u32)v;
	if (!vmwrite(field, v) && field != VMX_PREEMPTION_TIMER_VALUE)
		fail_msg("unchecked VMWRITE of field 0x%x failed", (u32)field);
}

bool invept(u64 type, u64 eptp)
{
	assert_in_range(type, INVEPT_SINGLE, INVEPT_ALL);
	assert_int_not_equal(eptp, 0);
	cpu.invepts++;
	return true;
}

bool invvpid(u64 type, u16 vpid, gva_t gva)
{
	assert_in_range(type, INVVPID_INDIVIDUAL, INVVPID_SINGLE_RETAIN_GLOBALS);
	if (type != INVVPID_ALL)
		assert_int_not_equal(vpid, 0); /* else VMfail */
	if (type == INVVPID_INDIVIDUAL)
		assert_true(is_canonical(gva.v));
	cpu.invvpids++;
	return true;
}

/** vmm/entry.asm: VMLAUNCH, but no guest. Tests raise the exits. */
unsigned vmx_run(struct vcpu *v);

unsigned vmx_run(struct vcpu *v)
{
	(void)v;
	assert_true(vmwrite(HOST_RSP, 0xffffffff80100000));
	cpu.entries++;
	return cpu.entry_result;
}
