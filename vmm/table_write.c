/* SPDX-License-Identifier: MIT */
/*
 * Two kinds of writes by the supervisor.
 *
 * The store with which a kernel writes a page-table entry: MOV of a whole quadword, from a register
 * or immediate. Nothing else is emulated. What reads and writes (XCHG, or anything with LOCK) has
 * to be one access for the other processors, and only the guest's can make it.
 *
 * And the accessed flag of a descriptor, which the processor sets while ring 3 loads a segment.
 */
#include "table_write.h"

#include "event.h"
#include "guest/descriptor.h"
#include "guest/insn.h"
#include "guest_mem.h"
#include "lib/mem.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"

#define DR7_ENABLED 0xffu
#define DESCRIPTOR_BYTES 8

/** The instruction at RIP, as the processor can have fetched it: where that is all in one page. */
static bool decode(struct vcpu *v, struct insn *in)
{
	const struct paging *p = v->machine->paging;
	gva_t at = GVA(vcpu_rip(v));
	const u8 *from;
	u8 bytes[INSN_MAX_LEN];

	if (vcpu_code_bits(v) != 64 || (at.v & ~PAGE_MASK) + sizeof(bytes) > PAGE_SIZE)
		return false;
	from = p->ops->peek(p, v->index, at);
	if (!from)
		return false;
	/* A copy: other processors may be writing there. */
	__builtin_memcpy(bytes, from, sizeof(bytes));
	return insn_decode(in, bytes, sizeof(bytes), 64);
}

/** Where a 64-bit instruction's memory operand is. */
static u64 operand(struct vcpu *v, const struct insn *in)
{
	struct insn_state st;

	st.rip = vcpu_rip(v);
	st.bits = 64;
	vcpu_reg(v, REG_RSP);
	memcpy(st.gpr, v->gpr, sizeof(st.gpr));
	if (in->seg >= SEG_FS)
		st.seg_base[in->seg] = vmcs_readl(GUEST_ES_BASE + 2 * in->seg);
	return insn_linear(in, &st).v;
}

/** Is it that store, and to this place? A fault tells of the operand's second part where the
 *  operand begins in the page before. */
static bool is_store(struct vcpu *v, const struct insn *in, gva_t gva)
{
	return in->op == INSN_MOV && in->dst == OPND_MEM && in->op_size == sizeof(u64) &&
	       (in->src == OPND_REG || in->src == OPND_IMM) && gva.v % sizeof(u64) == 0 &&
	       operand(v, in) == gva.v;
}

static bool emulate_store(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct insn in;
	u64 value;

	/* The guest's breakpoints are the processor's to match. */
	if (vmcs_readl(GUEST_DR7) & DR7_ENABLED || !decode(v, &in) || !is_store(v, &in, gva))
		return false;
	value = in.src == OPND_IMM ? in.imm : vcpu_reg(v, in.src_reg);
	machine_phys_write(v->machine, gpa, &value, sizeof(value));
	vcpu_complete_instruction(v, vcpu_rip(v) + in.len);
	return true;
}

/** The descriptor at or around `gva` in the table whose base and limit are in these fields: the
 *  offset from `gva` to its byte with the type. False: `gva` is not in the table. */
static bool find_descriptor(gva_t gva, u32 base_field, u32 limit_field, s64 *offset)
{
	u64 base = vmcs_readl(base_field), at = gva.v - base;

	*offset = DESCRIPTOR_ACCESS_BYTE - (s64)(at % DESCRIPTOR_BYTES);
	return at <= vmcs_read32(limit_field);
}

/** Ring 3 loads a segment, of which all is checked: what is left is to set its descriptor's
 *  accessed flag. With that set the instruction, made once more, has nothing to write. */
static void set_accessed(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct machine *m = v->machine;
	s64 offset;
	const u8 *access;

	if (!find_descriptor(gva, GUEST_GDTR_BASE, GUEST_GDTR_LIMIT, &offset) &&
	    !find_descriptor(gva, GUEST_LDTR_BASE, GUEST_LDTR_LIMIT, &offset))
		return;
	gpa.v += (u64)offset;
	access = ((gva.v + (u64)offset) ^ gva.v) & PAGE_MASK ? NULL : gmem_ptr(&m->pc.mem, gpa, 1);
	if (access && (*access & (SEGMENT_S | SEGMENT_P)) == (SEGMENT_S | SEGMENT_P))
		machine_phys_modify(m, gpa, 0, SEGMENT_ACCESSED);
}

bool emulate_write(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct paging *p = v->machine->paging;

	/* Perhaps it is not an instruction's write but that of an event's delivery. */
	if (!(vcpu_idt_vectoring(v) & INTR_INFO_VALID)) {
		if (vcpu_cpl() == 3)
			set_accessed(v, gva, gpa);
		else if (emulate_store(v, gva, gpa))
			return true;
	}
	p->ops->unprotect(p, gpa);
	return false;
}
