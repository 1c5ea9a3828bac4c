/* SPDX-License-Identifier: MIT */
/*
 * LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT and STR (exit+=descriptor-table). The exit comes behind
 * the faults of privilege and mode, and before all others. Which one it is, and how wide, its bytes
 * say: the VM-exit instruction information (SDM volume 3, tables 28-10 and 28-11) tells no width of
 * a register, and Bochs 2.7 does not tell the instructions apart there.
 */
#include "event.h"
#include "guest/system_segment.h"
#include "guest_mem.h"
#include "machine.h"
#include "operand.h"
#include "run.h"
#include "vmcs.h"
#include "vmcs_setup.h"

#define BASE_286 0xffffffu /* of a load with operands of 16 bits */

/** What SGDT stores and LGDT loads. */
struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

static unsigned table_bytes(const struct operand *o)
{
	return o->bits == 64 ? 10 : 6;
}

static enum exit_action store_table(const struct operand *o, bool idt)
{
	const struct table_register t = {
		.limit = (u16)vmcs_read32(idt ? GUEST_IDTR_LIMIT : GUEST_GDTR_LIMIT),
		.base = vmcs_readl(idt ? GUEST_IDTR_BASE : GUEST_GDTR_BASE),
	};

	return operand_write(o, &t, table_bytes(o)) ? EXIT_ADVANCE : operand_failed(o);
}

static enum exit_action load_table(const struct operand *o, bool idt, bool narrow)
{
	struct table_register t = {.base = 0};

	if (!operand_read(o, &t, table_bytes(o)))
		return operand_failed(o);
	if (o->bits != 64 && narrow)
		t.base &= BASE_286;
	if (o->bits == 64 && !is_canonical(t.base))
		return event_gp(o->v);
	vmcs_writel(idt ? GUEST_IDTR_BASE : GUEST_GDTR_BASE, t.base);
	vmcs_write32(idt ? GUEST_IDTR_LIMIT : GUEST_GDTR_LIMIT, t.limit);
	return EXIT_ADVANCE;
}

static enum exit_action store_selector(const struct operand *o, const struct insn_0f *in, bool tr)
{
	const u16 selector = vmcs_read16(tr ? GUEST_TR_SELECTOR : GUEST_LDTR_SELECTOR);

	if (in->memory)
		return operand_write(o, &selector, sizeof(selector)) ? EXIT_ADVANCE
								     : operand_failed(o);
	vcpu_set_reg(o->v, in->reg,
		     insn_0f_merge(vcpu_reg(o->v, in->reg), selector, in->operand_bits));
	return EXIT_ADVANCE;
}

/** Descriptors are read and written by the supervisor, whoever executes the instruction. */
static bool read_descriptor(const struct operand *o, gva_t at, u64 descriptor[2], unsigned len)
{
	struct walk_result out;
	gva_t fault;

	return operand_done(o,
			    guest_virt_read(&o->v->machine->pc.mem, &o->regs, at, descriptor, len,
					    WALK_READ | WALK_IMPLICIT, &out, &fault),
			    fault, &out);
}

static bool set_busy(const struct operand *o, gva_t at, u64 descriptor)
{
	u8 byte = (u8)(descriptor >> 8 * TSS_BUSY_BYTE) | TSS_BUSY;
	struct walk_result out;
	gva_t fault;

	return operand_done(o,
			    machine_virt_write(o->v->machine, &o->regs, GVA(at.v + TSS_BUSY_BYTE),
					       &byte, sizeof(byte), WALK_IMPLICIT, &out, &fault),
			    fault, &out);
}

static enum exit_action raise(struct vcpu *v, const struct system_fault *f)
{
	event_exception_error(v, f->vector, f->error);
	return EXIT_RETRY;
}

/** LLDT or LTR of a selector that is not null, or for LTR of any. */
static enum exit_action load_system_segment(const struct operand *o, const struct system_load *l)
{
	const unsigned len = system_descriptor_bytes(l);
	const gva_t at = system_descriptor_at(l, vmcs_readl(GUEST_GDTR_BASE));
	struct system_fault f = system_check_selector(l);
	u64 descriptor[2] = {0, 0};
	struct segment s;

	if (f.raised)
		return raise(o->v, &f);
	if (l->lma && (!is_canonical(at.v) || !is_canonical(at.v + len - 1)))
		return event_gp(o->v);
	if (!read_descriptor(o, at, descriptor, len))
		return operand_failed(o);
	f = system_check_descriptor(l, descriptor, &s);
	if (f.raised)
		return raise(o->v, &f);
	if (l->tr && !set_busy(o, at, descriptor[0]))
		return operand_failed(o);
	vmcs_set_segment(l->tr ? GUEST_TR_SELECTOR : GUEST_LDTR_SELECTOR, l->selector, s.base,
			 s.limit, s.ar);
	return EXIT_ADVANCE;
}

static enum exit_action load_selector(const struct operand *o, const struct insn_0f *in, bool tr)
{
	struct system_load l = {
		.tr = tr,
		.gdt_limit = vmcs_read32(GUEST_GDTR_LIMIT),
		.mode64 = o->bits == 64,
		.lma = o->v->shadow.efer & EFER_LMA,
	};

	if (!in->memory)
		l.selector = (u16)vcpu_reg(o->v, in->reg);
	else if (!operand_read(o, &l.selector, sizeof(l.selector)))
		return operand_failed(o);
	if (tr || !system_selector_is_null(l.selector))
		return load_system_segment(o, &l);
	vmcs_set_segment(GUEST_LDTR_SELECTOR, l.selector, 0, 0, SYSTEM_SEGMENT_UNUSABLE);
	return EXIT_ADVANCE;
}

/** With exit+=descriptor-table: LGDT, LIDT, SGDT and SIDT (46), LLDT, LTR, SLDT and STR (47),
 *  done by software: operand, descriptor and faults as in the instruction's description. LTR sets
 *  the busy flag in the guest's table. */
enum exit_action handle_table_access(struct vcpu *v)
{
	const bool selector = vcpu_exit_reason(v) == EXIT_REASON_LDTR_TR_ACCESS;
	struct operand o;
	struct insn_0f in;
	bool second;

	operand_init(&o, v);
	if (!operand_insn(&o, &in))
		return operand_failed(&o);
	if (!insn_0f_is_table(&in, selector, o.regs.cpl))
		return operand_changed(&o);
	second = TABLE_IS_SECOND(in.group);
	if (selector)
		return TABLE_IS_LOAD(in.group) ? load_selector(&o, &in, second)
					       : store_selector(&o, &in, second);
	return TABLE_IS_LOAD(in.group) ? load_table(&o, second, in.operand_bits == 16)
				       : store_table(&o, second);
}
