/* SPDX-License-Identifier: MIT */
/* A vcpu's state: lazy reads of the VMCS, registers, and the dump for people. */
#include "vcpu.h"

#include "console.h"
#include "efer.h"
#include "guest/walk.h"
#include "insn.h"
#include "machine.h"
#include "vmcs.h"

u64 vcpu_reg(struct vcpu *v, unsigned reg)
{
	if (reg == REG_RSP && !(v->done & CACHED_RSP)) {
		v->gpr[REG_RSP] = vmcs_readl(GUEST_RSP);
		v->done |= CACHED_RSP;
	}
	return v->gpr[reg];
}

void vcpu_set_reg(struct vcpu *v, unsigned reg, u64 value)
{
	v->gpr[reg] = value;
	if (reg == REG_RSP) {
		vmcs_writel(GUEST_RSP, value);
		v->done |= CACHED_RSP;
	}
}

u64 vcpu_edx_eax(const struct vcpu *v)
{
	return v->gpr[REG_RDX] << 32 | (u32)v->gpr[REG_RAX];
}

void vcpu_set_edx_eax(struct vcpu *v, u64 value)
{
	v->gpr[REG_RAX] = (u32)value;
	v->gpr[REG_RDX] = value >> 32;
}

u64 vcpu_cr0(const struct vcpu *v)
{
	u64 owned = v->machine->cr_policy.cr0_guest_owned;

	return (vmcs_readl(GUEST_CR0) & owned) | (v->shadow.cr0 & ~owned);
}

u64 vcpu_cr4(const struct vcpu *v)
{
	u64 owned = v->cr4_guest_owned;

	return (vmcs_readl(GUEST_CR4) & owned) | (v->shadow.cr4 & ~owned);
}

unsigned vcpu_cpl(void)
{
	return vmcs_read32(GUEST_SS_AR_BYTES) >> 5 & 3;
}

unsigned vcpu_code_bits(const struct vcpu *v)
{
	u32 ar = vmcs_read32(GUEST_CS_AR_BYTES);

	if ((ar & BIT(13)) && (v->shadow.efer & EFER_LMA))
		return 64;
	return ar & BIT(14) ? 32 : 16;
}

enum segment_mode vcpu_segment_mode(const struct vcpu *v)
{
	if (vcpu_code_bits(v) == 64)
		return SEGMENT_64;
	return vcpu_cr0(v) & X86_CR0_PE ? SEGMENT_PROTECTED : SEGMENT_REAL;
}

struct segment vcpu_segment(enum segment_mode mode, unsigned seg)
{
	const u32 i = 2 * seg;
	struct segment s = {.base = 0};

	if (segment_has_base(mode, seg))
		s.base = vmcs_readl(GUEST_ES_BASE + i);
	if (mode != SEGMENT_64) {
		s.limit = vmcs_read32(GUEST_ES_LIMIT + i);
		s.ar = vmcs_read32(GUEST_ES_AR_BYTES + i);
	}
	return s;
}

/** PKRU stays in the processor: the host's own pages are supervisor pages, to which it does not
 *  apply. RDPKRU needs CR4.PKE, which the host does not have set. */
static u32 read_pkru(void)
{
	u32 pkru;

	write_cr4(read_cr4() | X86_CR4_PKE);
	pkru = rdpkru();
	write_cr4(read_cr4() & ~X86_CR4_PKE);
	return pkru;
}

/** What belongs to an access rather than to an address space. */
static void set_access(struct vcpu *v, struct walk_regs *r)
{
	r->rflags = vcpu_rflags(v);
	r->cpl = (u8)vcpu_cpl();
	if (r->cr4 & X86_CR4_PKE)
		r->pkru = read_pkru();
}

const struct walk_regs *vcpu_own_walk_regs(struct vcpu *v)
{
	set_access(v, &v->walk);
	return &v->walk;
}

void vcpu_walk_regs(struct vcpu *v, struct walk_regs *r)
{
	if (v->machine->controls.own_tables) {
		*r = *vcpu_own_walk_regs(v);
		return;
	}
	*r = (struct walk_regs){
		.cr0 = vcpu_cr0(v),
		.cr3 = v->keeps_cr3 ? vmcs_readl(GUEST_CR3) : v->shadow.cr3,
		.cr4 = vcpu_cr4(v),
		.efer = v->shadow.efer,
		.maxphyaddr = v->machine->cpuid.maxphyaddr,
		.has_1g = v->machine->cpuid.has_1g,
	};
	set_access(v, r);
	if (pae_paging(&(struct control_regs){.cr0 = r->cr0, .cr4 = r->cr4, .efer = r->efer})) {
		for (unsigned i = 0; i < 4; i++)
			r->pdpte[i] = vmcs_read64(GUEST_PDPTE0 + 2 * i);
	}
}

void vcpu_pend_single_step(void)
{
	if (!(vmcs_read64(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF))
		vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS,
			    vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS) | PENDING_DBG_BS);
}

void vcpu_pend_blocked_step(struct vcpu *v)
{
	if (!(vcpu_rflags(v) & X86_EFLAGS_TF))
		return;
	if ((vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) &
	     (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) ||
	    vmcs_read32(GUEST_ACTIVITY_STATE) == ACTIVITY_HLT)
		vcpu_pend_single_step();
}

void vcpu_undo_nmi_unblocking(struct vcpu *v, u64 info)
{
	_Static_assert(INTR_INFO_NMI_UNBLOCK == EPT_VIOLATION_NMI_UNBLOCK, "one bit for all");
	if (!(vcpu_idt_vectoring(v) & INTR_INFO_VALID) && (info & INTR_INFO_NMI_UNBLOCK))
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO,
			     vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) | INTERRUPTIBILITY_NMI);
}

void vcpu_complete_rare(struct vcpu *v, u64 next_rip)
{
	u64 rflags = vcpu_rflags(v);
	u32 blocking = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);

	/* Outside 64-bit mode RIP wraps at 4 GiB. */
	if ((next_rip ^ vcpu_rip(v)) >> 32 && vcpu_code_bits(v) != 64)
		next_rip = (u32)next_rip;
	vmcs_writel(GUEST_RIP, next_rip);
	if (blocking & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO,
			     blocking & ~(u32)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
	if (rflags & X86_EFLAGS_TF)
		vcpu_pend_single_step();
	if (rflags & X86_EFLAGS_RF)
		vcpu_set_rflags(v, rflags & ~X86_EFLAGS_RF);
}

void vcpu_complete_iteration(struct vcpu *v)
{
	vcpu_complete_rare(v, vcpu_rip(v));
	vcpu_set_rflags(v, vcpu_rflags(v) | X86_EFLAGS_RF);
}

static void dump_segment(const char *name, u32 i)
{
	klog("  %-4s %04x base %016llx limit %08x ar %05x", name,
	     vmcs_read16(GUEST_ES_SELECTOR + i), (unsigned long long)vmcs_readl(GUEST_ES_BASE + i),
	     vmcs_read32(GUEST_ES_LIMIT + i), vmcs_read32(GUEST_ES_AR_BYTES + i));
}

static void dump_registers(struct vcpu *v)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};

	for (unsigned i = 0; i < 16; i += 4)
		klog("  %-3s %016llx  %-3s %016llx  %-3s %016llx  %-3s %016llx", names[i],
		     (unsigned long long)vcpu_reg(v, i), names[i + 1],
		     (unsigned long long)vcpu_reg(v, i + 1), names[i + 2],
		     (unsigned long long)vcpu_reg(v, i + 2), names[i + 3],
		     (unsigned long long)vcpu_reg(v, i + 3));
}

static void dump_code(struct vcpu *v)
{
	struct walk_regs r;
	struct walk_result out;
	gva_t at = GVA(vmcs_readl(GUEST_RIP) + vmcs_readl(GUEST_CS_BASE)), fault;
	u8 b[16];

	vcpu_walk_regs(v, &r);
	if (guest_virt_read(&v->machine->pc.mem, &r, at, b, sizeof(b), WALK_FETCH | WALK_NO_AD,
			    &out, &fault) != WALK_OK) {
		klog("  code at rip: not readable");
		return;
	}
	klog("  code at rip: %02x %02x %02x %02x %02x %02x %02x %02x "
	     "%02x %02x %02x %02x %02x %02x %02x %02x",
	     b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
	     b[14], b[15]);
}

void vcpu_dump(struct vcpu *v)
{
	static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

	klog("vcpu %u:", v->index);
	dump_registers(v);
	klog("  rip %016llx  rflags %08llx  activity %u  interruptibility %x",
	     (unsigned long long)vmcs_readl(GUEST_RIP), (unsigned long long)vcpu_rflags(v),
	     vmcs_read32(GUEST_ACTIVITY_STATE), vmcs_read32(GUEST_INTERRUPTIBILITY_INFO));
	klog("  cr0 %08llx (guest sees %08llx)  cr2 %016llx  cr3 %016llx",
	     (unsigned long long)vmcs_readl(GUEST_CR0), (unsigned long long)vcpu_cr0(v),
	     (unsigned long long)read_cr2(), (unsigned long long)vmcs_readl(GUEST_CR3));
	klog("  cr4 %08llx (guest sees %08llx)  efer %llx (guest sees %llx)  xcr0 %llx",
	     (unsigned long long)vmcs_readl(GUEST_CR4), (unsigned long long)vcpu_cr4(v),
	     (unsigned long long)efer_of_guest(v), (unsigned long long)v->shadow.efer,
	     (unsigned long long)v->xcr0);
	if (!v->keeps_cr3)
		klog("  it runs on %s: its own cr3 is %llx",
		     v->machine->controls.own_tables ? "shadow page tables"
						     : "the identity map, for its paging is off",
		     (unsigned long long)v->shadow.cr3);
	for (u32 i = 0; i < 8; i++)
		dump_segment(segments[i], 2 * i);
	klog("  gdtr %016llx limit %x  idtr %016llx limit %x",
	     (unsigned long long)vmcs_readl(GUEST_GDTR_BASE), vmcs_read32(GUEST_GDTR_LIMIT),
	     (unsigned long long)vmcs_readl(GUEST_IDTR_BASE), vmcs_read32(GUEST_IDTR_LIMIT));
	dump_code(v);
}

void vcpu_print_exits(const struct vcpu *v, unsigned n)
{
	exit_log_print(&v->log, n, v->machine->controls.own_tables ? &v->shadow.cr3 : NULL);
}
