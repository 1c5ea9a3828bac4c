/* SPDX-License-Identifier: MIT */
/* A guest processor at the first instruction of a Multiboot kernel (Multiboot Specification version
 * 0.6.96, section 3.2 "Machine state"). */
#include "guest/multiboot.h"
#include "machine.h"
#include "panic.h"
#include "vmcs.h"
#include "vmcs_setup.h"

void vcpu_set_multiboot_entry(struct vcpu *v, const struct multiboot_entry *e)
{
	const struct machine *m = v->machine;

	if (!(m->vmx.word[WORD_CPU2] & CPU2_UNRESTRICTED_GUEST))
		panic("a Multiboot kernel begins with paging off, and this processor lacks \"%s\", "
		      "without which a guest must have it on: use a newer CPU",
		      vmx_control_name(WORD_CPU2, CPU2_UNRESTRICTED_GUEST));
	/* Not in IA-32e mode, in which a guest would otherwise begin. */
	vmcs_write32(VM_ENTRY_CONTROLS, m->vmx.word[WORD_ENTRY]);
	vcpu_set_control_registers(v, X86_CR0_PE | X86_CR0_ET, 0);
	vmcs_writel(GUEST_CR3, 0);
	vmcs_write64(GUEST_IA32_EFER, 0);
	for (u32 f = GUEST_ES_SELECTOR; f <= GUEST_GS_SELECTOR; f += 2) {
		bool code = f == GUEST_CS_SELECTOR;

		vmcs_set_segment(f, code ? e->cs : e->ds, 0, ~0u, code ? AR_CODE32 : AR_DATA);
	}
	vmcs_writel(GUEST_GDTR_BASE, e->gdt_base);
	vmcs_write32(GUEST_GDTR_LIMIT, e->gdt_limit);
	vmcs_writel(GUEST_RIP, e->eip);
	vmcs_writel(GUEST_RSP, 0);
	v->gpr[REG_RAX] = e->eax;
	v->gpr[REG_RBX] = e->ebx;
}
