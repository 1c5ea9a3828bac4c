/* SPDX-License-Identifier: MIT */
/*
 * The store with which a kernel writes a page-table entry: MOV of a whole quadword, from a register
 * or immediate. Nothing else is emulated. What reads and writes (XCHG, or anything with LOCK) has
 * to be one access for the other processors, and only the guest's can make it.
 */
#include "table_write.h"

#include "event.h"
#include "guest/insn.h"
#include "guest_mem.h"
#include "lib/mem.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"

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

enum exit_action emulate_table_write(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct paging *p = v->machine->paging;
	struct insn in;
	u64 value;

	/* Perhaps it is not an instruction's write but that of an event's delivery. */
	if (vcpu_idt_vectoring(v) & INTR_INFO_VALID || !decode(v, &in) || !is_store(v, &in, gva)) {
		p->ops->unprotect(p, gpa);
		return EXIT_RETRY;
	}
	value = in.src == OPND_IMM ? in.imm : vcpu_reg(v, in.src_reg);
	machine_phys_write(v->machine, gpa, &value, sizeof(value));
	vcpu_complete_instruction(v, vcpu_rip(v) + in.len);
	return EXIT_RETRY;
}
