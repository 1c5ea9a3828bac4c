/* SPDX-License-Identifier: MIT */
/* INVLPG and INVPCID: on page tables of the hypervisor's, and where exit+=invlpg asks for them. */
#include "event.h"
#include "guest/invpcid.h"
#include "guest/walk.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "vmx/mem_operand.h"
#include "vmxon.h"

#define CR3_PCID 0xfffull

static void invalidate_address(struct vcpu *v, gva_t gva)
{
	struct machine *m = v->machine;

	/* Where the processor walks the guest's tables, INVVPID. That of one address would leave
	 * the paging-structure caches of others, which INVLPG does not (SDM volume 3, section
	 * 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches"). */
	if (m->controls.own_tables)
		m->paging->ops->invlpg(m->paging, v->index, &v->walk, gva);
	else
		vmx_flush_linear(m);
}

/** On page tables of the hypervisor's, or where exit+=invlpg asks. The qualification is the
 *  linear address; of one that is not canonical nothing is cached. */
enum exit_action handle_invlpg(struct vcpu *v)
{
	gva_t gva = GVA(vcpu_qual(v));

	if (is_canonical(gva.v))
		invalidate_address(v, gva);
	return EXIT_ADVANCE;
}

/** The descriptor. False: an exception is queued, or the guest has ended. */
static bool read_descriptor(struct vcpu *v, const struct walk_regs *r, u32 info,
			    struct invpcid_desc *d)
{
	const struct vmx_mem_operand o = {
		.info = info, .displacement = vcpu_qual(v), .gpr = v->gpr};
	unsigned reg = vmx_operand_segment(info);
	enum segment_mode mode = vcpu_segment_mode(v);
	struct segment seg = vcpu_segment(mode, reg);
	struct walk_result out;
	enum walk_status status;
	gva_t gva, fault;
	u64 offset;

	vcpu_reg(v, REG_RSP); /* it may be part of the address */
	offset = vmx_operand_offset(&o);
	if (!segment_allows(mode, &seg, offset, sizeof(*d), false)) {
		event_exception_error(v, segment_vector(reg), 0);
		return false;
	}
	gva = segment_linear(mode, seg.base, offset);
	status = guest_virt_read(&v->machine->pc.mem, r, gva, d, sizeof(*d), WALK_READ, &out,
				 &fault);
	if (status == WALK_FAULT)
		event_emulated_page_fault(v, fault, out.pferr);
	else if (status == WALK_NOT_RAM)
		stop_unsupported(v, "INVPCID with a descriptor outside memory, at 0x%llx",
				 (unsigned long long)out.gpa.v);
	return status == WALK_OK;
}

static void invalidate(struct vcpu *v, u64 type, const struct invpcid_desc *d)
{
	struct paging *p = v->machine->paging;

	if (!v->machine->controls.own_tables) {
		vmx_flush_linear(v->machine);
		return;
	}
	bool present = d->pcid == (v->walk.cr4 & X86_CR4_PCIDE ? v->walk.cr3 & CR3_PCID : 0);

	if (present && type == INVPCID_ADDRESS)
		invalidate_address(v, d->gva);
	else if (present || type > INVPCID_CONTEXT)
		p->ops->flush(p, v->index);
	else
		p->ops->invpcid(p, v->index, (u16)d->pcid,
				type == INVPCID_ADDRESS ? &d->gva : NULL);
}

/** INVPCID, with "enable INVPCID" and "INVLPG exiting". Its descriptor is read and checked as the
 *  processor would; then as INVLPG, but for whole PCIDs. */
enum exit_action handle_invpcid(struct vcpu *v)
{
	u32 info = vmcs_read32(VMX_INSTRUCTION_INFO);
	struct invpcid_desc d;
	struct walk_regs r;
	u64 type;

	/* The SDM has the processor check the privilege level before this exit; Bochs 2.7 does not.
	 */
	if (vcpu_cpl() != 0)
		return event_gp(v);
	type = vcpu_reg(v, vmx_operand_reg2(info));
	if (vcpu_code_bits(v) != 64)
		type = (u32)type;
	vcpu_walk_regs(v, &r);
	if (!read_descriptor(v, &r, info, &d))
		return v->machine->outcome == OUTCOME_NONE ? EXIT_RETRY : EXIT_STOP;
	if (!invpcid_valid(type, &d, r.cr4 & X86_CR4_PCIDE))
		return event_gp(v);
	invalidate(v, type, &d);
	return EXIT_ADVANCE;
}
