/* SPDX-License-Identifier: MIT */
/* Task switches: guest/task_switch.c on the state in a VMCS. */
#include "cr.h"
#include "event.h"
#include "guest/dr.h"
#include "guest/task_switch.h"
#include "guest/walk.h"
#include "guest_mem.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "vmxon.h"

/* Exit qualification, table 28-2. */
#define QUAL_SELECTOR(q) ((u16)(q))
#define QUAL_SOURCE(q) ((q) >> 30 & 3)

/** What the callbacks work on. */
struct switching {
	struct vcpu *v;
	struct walk_regs regs; /* of the address space that the switch has arrived at */
	gpa_t lost;	       /* TASK_ACCESS_LOST: where no memory is */
};

static enum task_access outcome(struct switching *s, enum walk_status status, gva_t gva,
				const struct walk_result *out, struct task_exception *e)
{
	switch (status) {
	case WALK_OK:
		return TASK_ACCESS_OK;
	case WALK_FAULT:
		*e = (struct task_exception){PF_VECTOR, out->pferr, GVA((u32)gva.v)};
		return TASK_ACCESS_FAULT;
	case WALK_NOT_RAM:
		break;
	}
	s->lost = out->gpa;
	return TASK_ACCESS_LOST;
}

static enum task_access mem_read(void *ctx, u32 at, void *dst, u32 len, struct task_exception *e)
{
	struct switching *s = ctx;
	struct walk_result out;
	gva_t gva;
	enum walk_status status = guest_virt_read(&s->v->machine->pc.mem, &s->regs, GVA(at), dst,
						  len, WALK_IMPLICIT, &out, &gva);

	return outcome(s, status, gva, &out, e);
}

static enum task_access write_as(struct switching *s, u32 access, u32 at, const void *src, u32 len,
				 struct task_exception *e)
{
	struct walk_result out;
	gva_t gva;
	enum walk_status status =
		machine_virt_write(s->v->machine, &s->regs, GVA(at), src, len, access, &out, &gva);

	return outcome(s, status, gva, &out, e);
}

static enum task_access mem_write(void *ctx, u32 at, const void *src, u32 len,
				  struct task_exception *e)
{
	return write_as(ctx, WALK_IMPLICIT, at, src, len, e);
}

static enum task_access translate(struct switching *s, u32 at, u32 len, u32 access,
				  struct walk_span *span, struct task_exception *e)
{
	struct walk_result out;
	gva_t gva;
	enum walk_status status = guest_virt_span(&s->v->machine->pc.mem, &s->regs, GVA(at), len,
						  WALK_IMPLICIT | access, &out, &gva, span);

	return outcome(s, status, gva, &out, e);
}

static enum task_access mem_probe(void *ctx, u32 at, u32 len, bool write, struct task_exception *e)
{
	struct walk_span span;

	return translate(ctx, at, len, write ? WALK_WRITE : WALK_READ, &span, e);
}

static enum task_access mem_modify(void *ctx, u32 at, u8 clear, u8 set, struct task_exception *e)
{
	struct switching *s = ctx;
	struct walk_span span;
	enum task_access result = translate(s, at, 1, WALK_WRITE, &span, e);

	if (result == TASK_ACCESS_OK)
		machine_phys_modify(s->v->machine, span.gpa[0], clear, set);
	return result;
}

static enum task_access mem_push(void *ctx, const struct task_state *st, u32 at, const void *src,
				 u32 len, struct task_exception *e)
{
	struct switching *s = ctx;

	s->regs.rflags = st->eflags;
	s->regs.cpl = (u8)task_cpl(st);
	return write_as(s, s->regs.cpl == 3 ? WALK_USER : 0, at, src, len, e);
}

static void load_control_regs(struct vcpu *v, u64 cr0, u64 cr3)
{
	struct control_regs r;

	vcpu_control_regs(v, &r);
	r.cr0 = cr0;
	r.cr3 = cr3;
	vcpu_load_control_regs(v, &r);
}

static bool load_cr3(void *ctx, const struct task_state *st, u32 cr3)
{
	struct switching *s = ctx;
	struct vcpu *v = s->v;

	if ((s->regs.cr4 & X86_CR4_PAE) && !vcpu_load_pdptes(v, cr3))
		return false;
	load_control_regs(v, st->cr0, cr3);
	/* Section 29.4.3.3: with a VPID, nothing is flushed by itself. */
	if (!v->machine->controls.own_tables)
		vmx_flush_linear(v->machine);
	vcpu_walk_regs(v, &s->regs);
	return true;
}

/* Fields of the segment registers are two apart, in the processor's numbering, then LDTR and TR. */
enum { FIELDS_LDTR = 12, FIELDS_TR = 14 };

static void read_segment(u32 i, struct segment_reg *s)
{
	s->selector = vmcs_read16(GUEST_ES_SELECTOR + i);
	s->base = (u32)vmcs_readl(GUEST_ES_BASE + i);
	s->limit = vmcs_read32(GUEST_ES_LIMIT + i);
	s->ar = vmcs_read32(GUEST_ES_AR_BYTES + i);
}

static void write_segment(u32 i, const struct segment_reg *s)
{
	vmcs_write16(GUEST_ES_SELECTOR + i, s->selector);
	vmcs_writel(GUEST_ES_BASE + i, s->base);
	vmcs_write32(GUEST_ES_LIMIT + i, s->limit);
	vmcs_write32(GUEST_ES_AR_BYTES + i, s->ar);
}

static void read_state(struct vcpu *v, struct task_state *st)
{
	*st = (struct task_state){
		.eip = (u32)vcpu_rip(v),
		.eflags = (u32)vcpu_rflags(v),
		.cr0 = vcpu_cr0(v),
		.cr3 = vcpu_cr3(v),
		.dr7 = vmcs_readl(GUEST_DR7),
		.gdt_base = (u32)vmcs_readl(GUEST_GDTR_BASE),
		.gdt_limit = (u16)vmcs_read32(GUEST_GDTR_LIMIT),
	};
	for (unsigned i = 0; i < 8; i++)
		st->gpr[i] = (u32)vcpu_reg(v, i);
	for (unsigned i = 0; i < 6; i++)
		read_segment(2 * i, &st->seg[i]);
	read_segment(FIELDS_LDTR, &st->ldtr);
	read_segment(FIELDS_TR, &st->tr);
}

static void write_state(struct vcpu *v, struct task_state *st)
{
	struct segment_reg *ss = &st->seg[SEG_SS];

	/* After a fault in the new task, SS may hold any selector. Without "unrestricted guest" VM
	 * entry insists on SS.RPL being the CPL (section 27.3.1.2): there the handler sees that. */
	if (!v->machine->cr_policy.unrestricted && !(st->eflags & X86_EFLAGS_VM))
		ss->selector = (u16)((ss->selector & ~SELECTOR_RPL) | task_cpl(st));
	for (unsigned i = 0; i < 8; i++)
		vcpu_set_reg(v, i, st->gpr[i]);
	for (unsigned i = 0; i < 6; i++)
		write_segment(2 * i, &st->seg[i]);
	write_segment(FIELDS_LDTR, &st->ldtr);
	write_segment(FIELDS_TR, &st->tr);
	vmcs_writel(GUEST_RIP, st->eip);
	vcpu_set_rflags(v, st->eflags);
	vmcs_writel(GUEST_DR7, st->dr7);
	if (vcpu_cr0(v) != st->cr0)
		load_control_regs(v, st->cr0, st->cr3);
}

/** The event that is being delivered through a task gate, by its type; or none. */
#define NO_EVENT 0xffffffffu
static u32 event_type(struct vcpu *v)
{
	u32 info = vcpu_idt_vectoring(v);

	if (QUAL_SOURCE(vcpu_qual(v)) != TASK_GATE || !(info & INTR_INFO_VALID))
		return NO_EVENT;
	return info & INTR_INFO_TYPE_MASK;
}

/** Was it an instruction that asked for the switch? The old task goes on behind it then, and
 *  VM_EXIT_INSTRUCTION_LEN is defined (section 28.2.5). */
static bool by_instruction(u32 event)
{
	return event == NO_EVENT || event == INTR_TYPE_SOFT_INTERRUPT ||
	       event == INTR_TYPE_PRIV_SW_EXCEPTION || event == INTR_TYPE_SOFT_EXCEPTION;
}

static void read_request(struct vcpu *v, u32 event, struct task_request *rq)
{
	*rq = (struct task_request){
		.selector = QUAL_SELECTOR(vcpu_qual(v)),
		.source = QUAL_SOURCE(vcpu_qual(v)),
		/* Section 6.13: INT n, INT3 and INTO are the program's own events. */
		.ext = event != NO_EVENT && event != INTR_TYPE_SOFT_INTERRUPT &&
		       event != INTR_TYPE_SOFT_EXCEPTION,
		.has_error = event != NO_EVENT && (vcpu_idt_vectoring(v) & INTR_INFO_ERROR_CODE),
	};
	if (rq->has_error)
		rq->error = vmcs_read32(IDT_VECTORING_ERROR_CODE);
}

/** What blocks events, now that the switch is made: a new task begins without the shadow of STI or
 *  MOV SS and without a trap for the old task's last instruction, and an NMI has arrived. */
static void settle_blocking(u32 event)
{
	u32 blocking = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) &
		       ~(u32)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);

	if (event == INTR_TYPE_NMI)
		blocking |= INTERRUPTIBILITY_NMI;
	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, blocking);
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS,
		    vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS) & ~PENDING_DBG_BS);
}

/** IRET ends the blocking of NMIs, even if it faults (section 6.7.1). */
static void unblock_nmi(void)
{
	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO,
		     vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & ~(u32)INTERRUPTIBILITY_NMI);
}

static void raise(struct vcpu *v, const struct task_exception *e)
{
	if (e->vector == PF_VECTOR)
		event_page_fault(v, e->gva, e->error);
	else
		event_exception_error(v, e->vector, e->error);
}

/** CALL, JMP or IRET to a TSS or a task gate, or an event through a task gate, outside IA-32e
 *  mode. The processor has only checked the way to the TSS; the switch is emulated, all of it:
 *  guest/task_switch.c. A fault before the commit point is the old task's, behind it the new
 *  one's. */
enum exit_action handle_task_switch(struct vcpu *v)
{
	struct switching s = {.v = v};
	const struct task_mem_ops mem = {mem_read, mem_write, mem_probe, mem_modify,
					 mem_push, load_cr3,  &s};
	u32 event = event_type(v);
	struct task_request rq;
	struct task_state st;
	struct task_result result;

	read_request(v, event, &rq);
	read_state(v, &st);
	if (by_instruction(event))
		st.eip += vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
	if (rq.source == TASK_IRET)
		unblock_nmi();
	vcpu_walk_regs(v, &s.regs);
	task_switch(&st, &rq, &mem, &result);
	if (result.status == TASK_LOST)
		return stop_unsupported(v, "a task switch needed 0x%llx, where no memory is",
					(unsigned long long)s.lost.v);
	if (result.status != TASK_REFUSED) {
		write_state(v, &st);
		settle_blocking(event);
	}
	if (result.status != TASK_SWITCHED) {
		raise(v, &result.exception);
		return EXIT_RETRY;
	}
	vcpu_event_is_delivered(v);
	/* Section 18.3.1.5 "Task-Switch Exception Condition". */
	if (result.trap)
		event_debug(v, DR6_BT);
	return EXIT_RETRY;
}
