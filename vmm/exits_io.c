/* SPDX-License-Identifier: MIT */
/* IN, OUT, INS and OUTS (SDM volume 3, table 28-5 "Exit Qualification for I/O Instructions"). */
#include "event.h"
#include "gmem.h"
#include "guest_mem.h"
#include "insn.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "vmx/mem_operand.h"

#define QUAL_SIZE(q) ((unsigned)((q)&7) + 1)
#define QUAL_IN(q) ((q)&BIT(3))
#define QUAL_STRING(q) ((q)&BIT(4))
#define QUAL_REP(q) ((q)&BIT(5))
#define QUAL_PORT(q) ((u16)((q) >> 16))
#define QUAL_TALLY(q) ((u32)(q) & (0xffff0000u | TALLY_IO_IN))

/* At most this many elements of a REP in one exit, so that interrupts are not kept waiting. */
#define STRING_BATCH 512

/** Sub-registers: an 8- or 16-bit result leaves the rest alone, a 32-bit one clears it. */
static void set_rax(struct vcpu *v, unsigned size, u64 value)
{
	u64 mask = size == 4 ? ~0ull : BIT(8 * size) - 1;

	v->gpr[REG_RAX] = (v->gpr[REG_RAX] & ~mask) | (value & mask);
}

static void add_masked(struct vcpu *v, unsigned reg, u64 mask, s64 delta)
{
	u64 old = v->gpr[reg], next = old + (u64)delta;

	/* Writing a 32-bit register clears the upper half; a 16-bit one leaves the rest. */
	v->gpr[reg] = mask == 0xffff ? (old & ~mask) | (next & mask) : next & mask;
}

/** INS or OUTS, whose exit comes before the processor has looked at the operand in memory. */
struct string_io {
	struct vcpu *v;
	u64 qual;
	u64 mask;	/* of the address size */
	unsigned index; /* the register that moves: RSI or RDI */
	unsigned seg_nr;
	enum segment_mode mode;
	struct segment seg;
	struct walk_regs regs;
	u32 access; /* WALK_USER or 0 */
};

static void begin(struct string_io *s, struct vcpu *v, u64 qual)
{
	u32 info = vmcs_read32(VMX_INSTRUCTION_INFO);

	s->v = v;
	s->qual = qual;
	s->mask = vmx_operand_mask(info);
	s->index = QUAL_IN(qual) ? REG_RDI : REG_RSI;
	/* For INS the field is undefined: it is ES always. */
	s->seg_nr = QUAL_IN(qual) ? SEG_ES : vmx_operand_segment(info);
	s->mode = vcpu_segment_mode(v);
	s->seg = vcpu_segment(s->mode, s->seg_nr);
	vcpu_walk_regs(v, &s->regs);
	s->access = s->regs.cpl == 3 ? WALK_USER : 0;
}

/** Between `gva` and the port. WALK_OK, or why not, with `out` and `fault` filled in. */
static enum walk_status transfer(const struct string_io *s, gva_t gva, struct walk_result *out,
				 gva_t *fault)
{
	struct machine *m = s->v->machine;
	const unsigned cpu = s->v->index, size = QUAL_SIZE(s->qual);
	const u16 port = QUAL_PORT(s->qual);
	enum walk_status status;
	struct walk_span span;
	u32 data = 0;

	if (!QUAL_IN(s->qual)) {
		status = guest_virt_read(&m->pc.mem, &s->regs, gva, &data, size, s->access, out,
					 fault);
		if (status == WALK_OK)
			pc_pio_write(&m->pc, cpu, port, size, data);
		return status;
	}
	/* Fault before the device is read: a read may change it. */
	status = guest_virt_span(&m->pc.mem, &s->regs, gva, size, s->access | WALK_WRITE, out,
				 fault, &span);
	if (status == WALK_OK) {
		data = (u32)pc_pio_read(&m->pc, cpu, port, size);
		machine_span_write(m, &span, &data);
	}
	return status;
}

/** One element. False: an exception is queued, or the guest has ended. */
static bool element(const struct string_io *s)
{
	struct vcpu *v = s->v;
	u64 offset = v->gpr[s->index] & s->mask;
	struct walk_result out;
	gva_t fault;

	if (!segment_allows(s->mode, &s->seg, offset, QUAL_SIZE(s->qual), QUAL_IN(s->qual))) {
		event_exception_error(v, segment_vector(s->seg_nr), 0);
		return false;
	}
	switch (transfer(s, segment_linear(s->mode, s->seg.base, offset), &out, &fault)) {
	case WALK_OK:
		return true;
	case WALK_FAULT:
		event_emulated_page_fault(v, fault, out.pferr);
		return false;
	case WALK_NOT_RAM:
		break;
	}
	stop_unsupported(v, "INS or OUTS with an operand outside memory, at 0x%llx",
			 (unsigned long long)out.gpa.v);
	return false;
}

static enum exit_action string_io(struct vcpu *v, u64 qual)
{
	s64 step = vcpu_rflags(v) & X86_EFLAGS_DF ? -(s64)QUAL_SIZE(qual) : QUAL_SIZE(qual);
	/* Single-stepping traps after each iteration. */
	unsigned batch = vcpu_rflags(v) & X86_EFLAGS_TF ? 1 : STRING_BATCH;
	struct string_io s;

	begin(&s, v, qual);
	for (unsigned n = 0; n < batch; n++) {
		if (QUAL_REP(qual) && !(v->gpr[REG_RCX] & s.mask))
			return EXIT_ADVANCE;
		if (!element(&s))
			return EXIT_RETRY;
		add_masked(v, s.index, s.mask, step);
		if (!QUAL_REP(qual))
			return EXIT_ADVANCE;
		add_masked(v, REG_RCX, s.mask, -1);
	}
	if (!(v->gpr[REG_RCX] & s.mask))
		return EXIT_ADVANCE;
	vcpu_complete_iteration(v);
	return EXIT_RETRY;
}

/** A device may have asked for the end of the machine. */
static void check_request(struct machine *m)
{
	if (m->pc.pm.request == PM_POWEROFF)
		machine_end(m, OUTCOME_POWEROFF);
	else if (m->pc.pm.request == PM_RESET)
		machine_end(m, OUTCOME_RESET);
	else if (m->pc.pm.request == PM_DEBUG_EXIT) {
		m->exit_code = m->pc.pm.exit_code;
		machine_end(m, OUTCOME_DEBUG_EXIT);
	}
}

/** A port whose bit in the I/O bitmaps is 1: all ports are. The qualification has port, size,
 *  direction and whether it is a string instruction, which is emulated an element at a time; the
 *  devices are in guest/. */
enum exit_action handle_io_instruction(struct vcpu *v)
{
	struct machine *m = v->machine;
	u64 qual = vcpu_qual(v);
	unsigned size = QUAL_SIZE(qual);
	enum exit_action action = EXIT_ADVANCE;

	exit_detail_tally(&v->detail, TALLY_IO, QUAL_TALLY(qual));
	if (QUAL_STRING(qual))
		action = string_io(v, qual);
	else if (QUAL_IN(qual))
		set_rax(v, size, pc_pio_read(&m->pc, v->index, QUAL_PORT(qual), size));
	else
		pc_pio_write(&m->pc, v->index, QUAL_PORT(qual), size,
			     v->gpr[REG_RAX] & (BIT(8 * size) - 1));
	v->requests |= REQ_EVENT | REQ_DEADLINE;
	check_request(m);
	return m->outcome == OUTCOME_NONE ? action : EXIT_STOP;
}
