/* SPDX-License-Identifier: MIT */
/* A guest processor at the first instruction of a Multiboot kernel (Multiboot Specification version
 * 0.6.96, section 3.2 "Machine state"). */
#include "cr.h"
#include "guest/multiboot.h"
#include "machine.h"
#include "vmcs.h"
#include "vmcs_setup.h"

void vcpu_set_multiboot_entry(struct vcpu *v, const struct multiboot_entry *e)
{
	vcpu_load_control_regs(v, &(struct control_regs){.cr0 = X86_CR0_PE | X86_CR0_ET});
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
