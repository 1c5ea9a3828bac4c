/* SPDX-License-Identifier: MIT */
/* Accesses where no memory is: devices, by decoding and emulating the instruction. */
#include "exits_mmio.h"

#include "event.h"
#include "guest/insn.h"
#include "guest/walk.h"
#include "guest_mem.h"
#include "lib/fmt.h"
#include "lib/mem.h"
#include "machine.h"
#include "run.h"
#include "vmcs.h"
#include "zoo_calls.h"

/** What the emulator's memory callbacks work on. */
struct emulation {
	struct vcpu *v;
	struct walk_regs regs;
	u32 access;    /* WALK_USER or 0 */
	unsigned bits; /* the code segment's size: 16, 32 or 64 */
	unsigned len;  /* of `bytes`, the instruction and what is behind it */
	u8 bytes[INSN_MAX_LEN];
};

static bool refuse(struct emulation *e, gva_t gva, enum walk_status status,
		   const struct walk_result *out)
{
	if (status == WALK_FAULT)
		event_emulated_page_fault(e->v, gva, out->pferr);
	else
		stop_unsupported(e->v,
				 "a paging structure of its, code, or an operand across two pages, "
				 "lies outside memory, at 0x%llx",
				 (unsigned long long)out->gpa.v);
	return false;
}

static bool translate(struct emulation *e, gva_t gva, u32 access, gpa_t *gpa)
{
	struct walk_result out;
	enum walk_status status =
		guest_walk(&e->v->machine->pc.mem, &e->regs, gva, e->access | access, &out);

	if (status != WALK_OK)
		return refuse(e, gva, status, &out);
	*gpa = out.gpa;
	return true;
}

/** Devices are never straddled; memory that is goes through guest_virt_*(). */
static bool crosses_page(gva_t gva, unsigned size)
{
	return (gva.v & ~PAGE_MASK) + size > PAGE_SIZE;
}

/** An operand in two pages, read to or written from `value`. */
static bool copy_across(struct emulation *e, gva_t gva, unsigned size, u64 *value, u32 access)
{
	struct machine *m = e->v->machine;
	struct walk_result out;
	enum walk_status status;
	gva_t fault;

	if (access & WALK_WRITE)
		status = machine_virt_write(m, &e->regs, gva, value, size, e->access, &out, &fault);
	else
		status = guest_virt_read(&m->pc.mem, &e->regs, gva, value, size, e->access, &out,
					 &fault);
	return status == WALK_OK || refuse(e, fault, status, &out);
}

static bool mem_read(void *ctx, gva_t gva, unsigned size, u64 *value)
{
	struct emulation *e = ctx;
	struct pc *pc = &e->v->machine->pc;
	gpa_t gpa;

	*value = 0;
	if (crosses_page(gva, size))
		return copy_across(e, gva, size, value, WALK_READ);
	if (!translate(e, gva, WALK_READ, &gpa))
		return false;
	/* A device first: the local APIC may cover memory. */
	if (pc_is_mmio(pc, e->v->index, gpa) || !gmem_read(&pc->mem, gpa, value, size))
		*value = pc_mmio_read(pc, e->v->index, gpa, size);
	return true;
}

static bool mem_write(void *ctx, gva_t gva, unsigned size, u64 value)
{
	struct emulation *e = ctx;
	struct pc *pc = &e->v->machine->pc;
	gpa_t gpa;

	if (crosses_page(gva, size))
		return copy_across(e, gva, size, &value, WALK_WRITE);
	if (!translate(e, gva, WALK_WRITE, &gpa))
		return false;
	if (pc_is_mmio(pc, e->v->index, gpa) ||
	    !machine_phys_write(e->v->machine, gpa, &value, size))
		pc_mmio_write(pc, e->v->index, gpa, size, value);
	return true;
}

static void violation(void *ctx, u8 vector)
{
	struct emulation *e = ctx;

	event_exception_error(e->v, vector, 0);
}

/** Only the segments that count are read: under KVM, a VMREAD of one is a VM exit. */
static void load_state(const struct emulation *e, const struct insn *in, struct insn_state *st)
{
	struct vcpu *v = e->v;
	const enum segment_mode mode = vcpu_segment_mode(v);

	*st = (struct insn_state){.rip = vcpu_rip(v),
				  .rflags = vcpu_rflags(v),
				  .bits = e->bits,
				  .real = mode == SEGMENT_REAL};
	vcpu_reg(v, REG_RSP);
	memcpy(st->gpr, v->gpr, sizeof(st->gpr));
	for (unsigned i = 0, used = insn_segments(in); used >> i; i++) {
		struct segment s;

		if (!(used & BIT(i)))
			continue;
		s = vcpu_segment(mode, i);
		st->seg_base[i] = s.base;
		st->seg_limit[i] = s.limit;
		st->seg_ar[i] = s.ar;
	}
	st->stack_bits = st->bits;
	if (st->bits != 64)
		st->stack_bits = vmcs_read32(GUEST_SS_AR_BYTES) & BIT(14) ? 32 : 16;
}

static void store_state(struct vcpu *v, const struct insn_state *st)
{
	for (unsigned i = 0; i < 16; i++) {
		if (v->gpr[i] != st->gpr[i])
			vcpu_set_reg(v, i, st->gpr[i]);
	}
	if (st->rflags != vcpu_rflags(v))
		vcpu_set_rflags(v, st->rflags);
}

/** `len` bytes of code at `at`, which are in one page. False: the guest must see the fault of a
 * fetch, and will: its tables, or its code, are no longer what the processor went by. Or it has
 * ended. */
static bool fetch(struct emulation *e, u64 at, u8 *bytes, unsigned len)
{
	const struct gmem *mem = &e->v->machine->pc.mem;
	struct walk_result out;
	enum walk_status status;
	gva_t fault;

	if (e->bits == 64 && !is_canonical(at)) {
		event_gp(e->v);
		return false;
	}
	status = guest_virt_read(mem, &e->regs, GVA(at), bytes, len, e->access | WALK_FETCH, &out,
				 &fault);
	return status == WALK_OK || refuse(e, fault, status, &out);
}

enum fetched {
	FETCHED,
	NOT_FETCHED, /* fetch() said no */
	NOT_KNOWN,   /* it was read, and not understood */
};

/** The instruction at RIP. Of a second page it is looked at what the instruction needs. */
static enum fetched fetch_insn(struct emulation *e, struct insn *in)
{
	const u64 at = vcpu_rip(e->v) + (e->bits == 64 ? 0 : vmcs_readl(GUEST_CS_BASE));
	unsigned in_page = (unsigned)(PAGE_SIZE - (at & ~PAGE_MASK));

	e->len = MIN(INSN_MAX_LEN, in_page);
	if (!fetch(e, at, e->bytes, e->len))
		return NOT_FETCHED;
	if (insn_decode(in, e->bytes, e->len, e->bits))
		return FETCHED;
	if (!in->cut)
		return NOT_KNOWN;
	if (!fetch(e, at + in_page, e->bytes + in_page, INSN_MAX_LEN - in_page))
		return NOT_FETCHED;
	e->len = INSN_MAX_LEN;
	return insn_decode(in, e->bytes, e->len, e->bits) ? FETCHED : NOT_KNOWN;
}

static enum exit_action stop_on_insn(const struct emulation *e, gpa_t gpa)
{
	char hex[3 * INSN_MAX_LEN + 1] = "";

	for (unsigned i = 0; i < e->len; i++)
		fmt_snprintf(hex + 3 * i, 4, "%02x ", e->bytes[i]);
	return stop_unsupported(e->v,
				"it accessed 0x%llx, where no memory is, by an instruction "
				"that is not emulated: %s",
				(unsigned long long)gpa.v, hex);
}

/** False: not emulated in this form. */
static bool execute(struct emulation *e, const struct insn *in)
{
	const struct insn_mem_ops ops = {
		.read = mem_read, .write = mem_write, .refuse = violation, .ctx = e};
	struct insn_state st;

	load_state(e, in, &st);
	switch (insn_emulate(in, &st, &ops)) {
	case INSN_DONE:
		store_state(e->v, &st);
		vcpu_complete_instruction(e->v, st.rip);
		break;
	case INSN_AGAIN:
		store_state(e->v, &st);
		vcpu_complete_iteration(e->v);
		break;
	case INSN_FAULT:
		break;
	case INSN_UNHANDLED:
		return false;
	}
	return true;
}

static enum exit_action emulate_mmio(struct vcpu *v, gpa_t gpa)
{
	struct emulation e = {
		.v = v, .access = vcpu_cpl() == 3 ? WALK_USER : 0, .bits = vcpu_code_bits(v)};
	enum fetched fetched;
	struct insn in;

	vcpu_walk_regs(v, &e.regs);
	fetched = fetch_insn(&e, &in);
	if (fetched == NOT_KNOWN || (fetched == FETCHED && !execute(&e, &in)))
		return stop_on_insn(&e, gpa);
	v->requests |= REQ_EVENT | REQ_DEADLINE;
	return v->machine->outcome == OUTCOME_NONE ? EXIT_RETRY : EXIT_STOP;
}

static enum exit_action stop_on_fetch(struct vcpu *v, gpa_t gpa)
{
	return stop_unsupported(v, "it executes at guest-physical 0x%llx, where no memory is",
				(unsigned long long)gpa.v);
}

enum exit_action stop_on_paging(struct vcpu *v, gpa_t gpa)
{
	return stop_unsupported(v, "a paging structure of its lies outside memory, at 0x%llx",
				(unsigned long long)gpa.v);
}

static enum exit_action stop_on_event(struct vcpu *v, gpa_t gpa)
{
	return stop_unsupported(v, "an event was delivered through 0x%llx, where no memory is",
				(unsigned long long)gpa.v);
}

enum exit_action access_mmio(struct vcpu *v, gpa_t gpa, bool fetch)
{
	if (fetch)
		return stop_on_fetch(v, gpa);
	/* The access is not the instruction's at RIP but that of the event's delivery. */
	if (vcpu_idt_vectoring(v) & INTR_INFO_VALID)
		return stop_on_event(v, gpa);
	return emulate_mmio(v, gpa);
}

/** The EPT entry for a guest-physical address is not present, or does not allow the access. All
 *  of the guest's memory is mapped before it runs, so that what is left are devices: the
 *  instruction at RIP is decoded and emulated. The qualification (table 28-7) has the kind of
 *  access, what the entry allows, and whether the address was an instruction's operand or a
 *  paging structure's. */
enum exit_action handle_ept_violation(struct vcpu *v)
{
	struct machine *m = v->machine;
	gpa_t gpa = GPA(vmcs_read64(GUEST_PHYSICAL_ADDRESS));
	u64 qual = vcpu_qual(v);

	exit_detail_tally(&v->detail, TALLY_EPT, qual & TALLY_EPT_QUAL);
	vcpu_undo_nmi_unblocking(v, qual);
	switch (m->paging->ops->ept_violation(m->paging, gpa, qual)) {
	case PAGING_RETRY:
		return EXIT_RETRY;
	case PAGING_MMIO:
		break;
	case PAGING_REFLECT: /* verdicts on page faults */
	case PAGING_EMULATE:
	case PAGING_LOST_TABLE:
	case PAGING_BROKEN:
		/* Sub-page permissions are not for paging structures, which the processor writes
		 * (section 29.3.4.1 "SPP-eligible" accesses): the page is writable again. */
		if (zoo_ordered(v, ZOO_EVENT_SPP))
			return EXIT_RETRY;
		return stop_unsupported(v, "EPT violation at 0x%llx, which is mapped",
					(unsigned long long)gpa.v);
	}
	if ((qual & EPT_VIOLATION_GVA_VALID) && !(qual & EPT_VIOLATION_GVA_TRANSLATED))
		return stop_on_paging(v, gpa);
	return access_mmio(v, gpa, qual & EPT_VIOLATION_FETCH);
}

/* Exit qualification of an APIC access, table 28-6. */
#define APIC_ACCESS_OFFSET(q) ((q)&0xfff)
#define APIC_ACCESS_TYPE(q) ((q) >> 12 & 15)
enum { APIC_LINEAR_READ, APIC_LINEAR_WRITE, APIC_LINEAR_FETCH, APIC_LINEAR_EVENT, APIC_PHYS = 15 };

/** An access to the local APIC's page that the processor did not virtualize: emulated like any
 *  device's. The qualification (table 28-6) has the register and whether it was read, written,
 *  fetched from or hit by an event's delivery. */
enum exit_action handle_apic_access(struct vcpu *v)
{
	u64 qual = vcpu_qual(v);
	gpa_t gpa = GPA(v->machine->apic_access_gpa.v + APIC_ACCESS_OFFSET(qual));

	exit_detail_tally(&v->detail, TALLY_APIC_ACCESS, (u16)qual);
	switch (APIC_ACCESS_TYPE(qual)) {
	case APIC_LINEAR_READ:
	case APIC_LINEAR_WRITE:
		return emulate_mmio(v, gpa);
	case APIC_LINEAR_FETCH:
		return stop_on_fetch(v, gpa);
	case APIC_PHYS:
		return stop_on_paging(v, gpa);
	default:
		return stop_on_event(v, gpa);
	}
}

/** An EPT entry that the SDM calls misconfigured, as one that allows writes but no reads. This
 *  program writes one only where a guest with zoo=1 orders it, and then mends it; else the run ends
 *  and says so. */
enum exit_action handle_ept_misconfig(struct vcpu *v)
{
	if (zoo_ordered(v, ZOO_EVENT_EPT_MISCONFIG))
		return EXIT_RETRY;
	return stop_unsupported(v, "EPT misconfiguration at 0x%llx: a fault of this hypervisor",
				(unsigned long long)vmcs_read64(GUEST_PHYSICAL_ADDRESS));
}
