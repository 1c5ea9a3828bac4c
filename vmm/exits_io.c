/* SPDX-License-Identifier: MIT */
/* IN, OUT, INS and OUTS (SDM volume 3, table 28-5 "Exit Qualification for I/O Instructions"). */
#include "event.h"
#include "gmem.h"
#include "guest_mem.h"
#include "insn.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"

#define QUAL_SIZE(q) ((unsigned)((q)&7) + 1)
#define QUAL_IN(q) ((q)&BIT(3))
#define QUAL_STRING(q) ((q)&BIT(4))
#define QUAL_REP(q) ((q)&BIT(5))
#define QUAL_PORT(q) ((u16)((q) >> 16))

/* VM-exit instruction information for INS and OUTS, table 28-8: address size. */
#define INFO_ADDRESS_SIZE(i) ((i) >> 7 & 7)

/* At most this many elements of a REP in one exit, so that interrupts are not kept waiting. */
#define STRING_BATCH 512

/** Sub-registers: an 8- or 16-bit result leaves the rest alone, a 32-bit one clears it. */
static void set_rax(struct vcpu *v, unsigned size, u64 value)
{
	u64 mask = size == 4 ? ~0ull : BIT(8 * size) - 1;

	v->gpr[REG_RAX] = (v->gpr[REG_RAX] & ~mask) | (value & mask);
}

static u64 address_mask(u32 info)
{
	switch (INFO_ADDRESS_SIZE(info)) {
	case 0:
		return 0xffff;
	case 1:
		return 0xffffffff;
	default:
		return ~0ull;
	}
}

static void add_masked(struct vcpu *v, unsigned reg, u64 mask, s64 delta)
{
	u64 old = v->gpr[reg], next = old + (u64)delta;

	/* Writing a 32-bit register clears the upper half; a 16-bit one leaves the rest. */
	v->gpr[reg] = mask == 0xffff ? (old & ~mask) | (next & mask) : next & mask;
}

/** One element between `gva` and the port. WALK_OK, or why not, with `out` and `fault` filled in.
 */
static enum walk_status string_element(struct vcpu *v, u64 qual, const struct walk_regs *r,
				       gva_t gva, struct walk_result *out, gva_t *fault)
{
	struct machine *m = v->machine;
	unsigned size = QUAL_SIZE(qual);
	u32 access = r->cpl == 3 ? WALK_USER : 0, data = 0;
	enum walk_status status;
	struct walk_span span;

	if (!QUAL_IN(qual)) {
		status = guest_virt_read(&m->pc.mem, r, gva, &data, size, access, out, fault);
		if (status == WALK_OK)
			pc_pio_write(&m->pc, v->index, QUAL_PORT(qual), size, data);
		return status;
	}
	/* Fault before the device is read: a read may change it. */
	status = guest_virt_span(&m->pc.mem, r, gva, size, access | WALK_WRITE, out, fault, &span);
	if (status != WALK_OK)
		return status;
	data = (u32)pc_pio_read(&m->pc, v->index, QUAL_PORT(qual), size);
	machine_span_write(m, &span, &data);
	return WALK_OK;
}

static enum exit_action string_fault(struct vcpu *v, enum walk_status status,
				     const struct walk_result *out, gva_t fault)
{
	if (status == WALK_NOT_RAM)
		return stop_unsupported(v, "INS or OUTS with an operand outside memory, at 0x%llx",
					(unsigned long long)out->gpa.v);
	event_page_fault(v, fault, out->pferr);
	return EXIT_RETRY;
}

static enum exit_action string_io(struct vcpu *v, u64 qual)
{
	u64 mask = address_mask(vmcs_read32(VMX_INSTRUCTION_INFO));
	unsigned index = QUAL_IN(qual) ? REG_RDI : REG_RSI;
	/* The segment's base, in effect: the operand moves with its index register, which wraps. */
	u64 base = vmcs_readl(GUEST_LINEAR_ADDRESS) - (v->gpr[index] & mask);
	s64 step = vcpu_rflags(v) & X86_EFLAGS_DF ? -(s64)QUAL_SIZE(qual) : QUAL_SIZE(qual);
	struct walk_result out;
	struct walk_regs r;
	gva_t fault;

	vcpu_walk_regs(v, &r);
	for (unsigned n = 0; n < STRING_BATCH; n++) {
		gva_t gva = GVA(base + (v->gpr[index] & mask));
		enum walk_status status;

		if (QUAL_REP(qual) && !(v->gpr[REG_RCX] & mask))
			return EXIT_ADVANCE;
		status = string_element(v, qual, &r, gva, &out, &fault);
		if (status != WALK_OK)
			return string_fault(v, status, &out, fault);
		add_masked(v, index, mask, step);
		if (!QUAL_REP(qual))
			return EXIT_ADVANCE;
		add_masked(v, REG_RCX, mask, -1);
	}
	return v->gpr[REG_RCX] & mask ? EXIT_RETRY : EXIT_ADVANCE;
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

enum exit_action handle_io_instruction(struct vcpu *v)
{
	struct machine *m = v->machine;
	u64 qual = vcpu_qual(v);
	unsigned size = QUAL_SIZE(qual);
	enum exit_action action = EXIT_ADVANCE;

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
