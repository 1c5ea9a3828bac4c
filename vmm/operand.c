/* SPDX-License-Identifier: MIT */
/* Bytes and memory operand of the instruction that exited. */
#include "operand.h"

#include "event.h"
#include "guest_mem.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "vmx/mem_operand.h"
#include "vmxon.h"

void operand_init(struct operand *o, struct vcpu *v)
{
	o->v = v;
	o->bits = vcpu_code_bits(v);
	o->info = vmcs_read32(VMX_INSTRUCTION_INFO);
	vcpu_walk_regs(v, &o->regs);
}

static u32 user(const struct operand *o)
{
	return o->regs.cpl == 3 ? WALK_USER : 0;
}

bool operand_done(const struct operand *o, enum walk_status status, gva_t fault,
		  const struct walk_result *out)
{
	if (status == WALK_FAULT)
		event_emulated_page_fault(o->v, fault, out->pferr);
	else if (status == WALK_NOT_RAM)
		stop_unsupported(o->v,
				 "an instruction that exited, or its operand, lies outside memory, "
				 "at 0x%llx",
				 (unsigned long long)out->gpa.v);
	return status == WALK_OK;
}

enum exit_action operand_failed(const struct operand *o)
{
	return o->v->machine->outcome == OUTCOME_NONE ? EXIT_RETRY : EXIT_STOP;
}

enum exit_action operand_changed(const struct operand *o)
{
	struct machine *m = o->v->machine;

	if (m->controls.own_tables)
		m->paging->ops->flush(m->paging, o->v->index);
	else
		vmx_flush_linear(m);
	return EXIT_RETRY;
}

bool operand_insn(const struct operand *o, struct insn_0f *in)
{
	const u32 len = MIN(vmcs_read32(VM_EXIT_INSTRUCTION_LEN), (u32)INSN_0F_MAX);
	gva_t at = GVA(vcpu_rip(o->v)), fault;
	struct walk_result out;
	u8 bytes[INSN_0F_MAX];

	if (o->bits != 64)
		at = GVA((u32)(at.v + vmcs_readl(GUEST_CS_BASE)));
	if (!operand_done(o,
			  guest_virt_read(&o->v->machine->pc.mem, &o->regs, at, bytes, len,
					  user(o) | WALK_FETCH, &out, &fault),
			  fault, &out))
		return false;
	if (insn_0f_decode(in, bytes, len, o->bits))
		return true;
	operand_changed(o);
	return false;
}

/** The linear address. False: the segment does not allow it, or it is not aligned. */
static bool locate(const struct operand *o, unsigned len, bool write, gva_t *gva)
{
	struct vcpu *v = o->v;
	const struct vmx_mem_operand m = {
		.info = o->info, .displacement = vcpu_qual(v), .gpr = v->gpr};
	unsigned reg = vmx_operand_segment(o->info);
	enum segment_mode mode = vcpu_segment_mode(v);
	struct segment seg = vcpu_segment(mode, reg);
	u64 offset;

	vcpu_reg(v, REG_RSP); /* it may be part of the address */
	offset = vmx_operand_offset(&m);
	if (!segment_allows(mode, &seg, offset, len, write)) {
		event_exception_error(v, segment_vector(reg), 0);
		return false;
	}
	*gva = segment_linear(mode, seg.base, offset);
	if (segment_checks_alignment(o->regs.cr0, o->regs.rflags, o->regs.cpl) &&
	    segment_misaligned(*gva, len)) {
		event_exception_error(v, AC_VECTOR, 0);
		return false;
	}
	return true;
}

bool operand_read(const struct operand *o, void *dst, unsigned len)
{
	struct walk_result out;
	gva_t gva, fault;

	return locate(o, len, false, &gva) &&
	       operand_done(o,
			    guest_virt_read(&o->v->machine->pc.mem, &o->regs, gva, dst, len,
					    user(o) | WALK_READ, &out, &fault),
			    fault, &out);
}

bool operand_write(const struct operand *o, const void *src, unsigned len)
{
	struct walk_result out;
	gva_t gva, fault;

	return locate(o, len, true, &gva) &&
	       operand_done(o,
			    machine_virt_write(o->v->machine, &o->regs, gva, src, len, user(o),
					       &out, &fault),
			    fault, &out);
}
