/* SPDX-License-Identifier: MIT */
/* Filling in a VMCS: controls, host state, and a guest processor at its first instruction. */
#include "apicv.h"
#include "bitmaps.h"
#include "core.h"
#include "cr.h"
#include "dirty.h"
#include "efer.h"
#include "guest/linux.h"
#include "insn.h"
#include "machine.h"
#include "msr_index.h"
#include "panic.h"
#include "vmcs.h"
#include "vmcs_setup.h"
#include "vmxon.h"
#include "zoo_calls.h"

#define VMCS_LINK_NONE (~0ull)
#define DR7_INIT 0x400
#define CPUID_7_EBX_MPX BIT(14)

/* entry.asm: where VM exits arrive. */
extern void vmx_exit(void);

_Noreturn void vmcs_access_failed(u32 field, bool write, u64 value)
{
	u64 error = 0;

	if (!vmread(VM_INSTRUCTION_ERROR, &error))
		error = 0;
	panic("%s of VMCS field %s (0x%04x)%s%llx failed: %s", write ? "VMWRITE" : "VMREAD",
	      vmcs_field_name(field), field, write ? ", value 0x" : ", 0x",
	      (unsigned long long)value, error ? vmx_error_name((u32)error) : "no current VMCS");
}

static bool exits_on(const struct machine *m, const char *word, unsigned bit)
{
	u32 value = 0;

	if (word[0] == 'P')
		value = m->vmx.word[WORD_PIN];
	else if (word[3] == '1')
		value = m->vmx.word[WORD_CPU1];
	else if (word[3] == '2')
		value = m->vmx.word[WORD_CPU2];
	/* CPU3: the tertiary controls are not activated, so that all of them are 0. */
	return value & BIT(bit);
}

#define HANDLER_impossible 1
#define IS_IMPOSSIBLE(handler) IS_IMPOSSIBLE_(HANDLER_##handler)
#define IS_IMPOSSIBLE_(x) IS_IMPOSSIBLE__(x)
#define IS_IMPOSSIBLE__(x) (#x[0] == '1')

/** Every exit that nobody handles must be impossible: its control is 0. */
static void assert_impossible_exits(const struct machine *m)
{
#define EXIT_REASON(nr, name, handler, word, bit, cause)                                           \
	if (IS_IMPOSSIBLE(handler) && exits_on(m, #word, bit))                                     \
		panic("the control for exit reason %u %s is on, but nothing handles it", nr, #name);
#include "exit_reasons.def"
#undef EXIT_REASON
}

static void set_controls(struct vcpu *v)
{
	const struct machine *m = v->machine;
	const struct exit_switches *x = &m->exits;
	u32 cpu2 = m->vmx.word[WORD_CPU2];

	assert_impossible_exits(m);
	v->cpu1 = m->vmx.word[WORD_CPU1];
	vmcs_write32(PIN_BASED_VM_EXEC_CONTROL, m->vmx.word[WORD_PIN]);
	vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, v->cpu1);
	vmcs_write32(VM_EXIT_CONTROLS, m->vmx.word[WORD_EXIT]);

	/* #AC and #DB can be delivered without end inside one guest instruction (CVE-2015-5307,
	 * CVE-2015-8104); #MC is the host's. */
	vmcs_write32(EXCEPTION_BITMAP, (u32)(BIT(AC_VECTOR) | BIT(DB_VECTOR) | BIT(MC_VECTOR)) |
					       m->controls.exceptions | x->exceptions_on);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write32(CR3_TARGET_COUNT, 0);
	vmcs_write32(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write32(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmcs_write64(IO_BITMAP_A, m->io_bitmap_hpa.v);
	vmcs_write64(IO_BITMAP_B, m->io_bitmap_hpa.v + PAGE_SIZE);
	vmcs_write64(MSR_BITMAP, bitmaps_init_msr(v).v);
	vmcs_write64(VMCS_LINK_POINTER, VMCS_LINK_NONE);
	if (cpu2 & CPU2_EPT)
		vmcs_write64(EPT_POINTER, m->controls.eptp);
	if (cpu2 & CPU2_PML)
		dirty_init_log(v);
	if (cpu2 & CPU2_XSAVES)
		vmcs_write64(XSS_EXIT_BITMAP, x->off & EXIT_SWITCH_BIT(XSAVES) ? 0 : ~0ull);
	if (cpu2 & CPU2_VPID)
		vmcs_write16(VIRTUAL_PROCESSOR_ID, (u16)(1 + v->index));
	apicv_init(v);
}

static void set_host_state(struct vcpu *v)
{
	struct cpu *c = &core.cpu;

	vmcs_writel(HOST_CR0, read_cr0());
	vmcs_writel(HOST_CR3, c->cr3);
	vmcs_writel(HOST_CR4, read_cr4());
	vmcs_write16(HOST_CS_SELECTOR, HOST_CS);
	vmcs_write16(HOST_SS_SELECTOR, HOST_DS);
	vmcs_write16(HOST_DS_SELECTOR, HOST_DS);
	vmcs_write16(HOST_ES_SELECTOR, HOST_DS);
	vmcs_write16(HOST_FS_SELECTOR, 0);
	vmcs_write16(HOST_GS_SELECTOR, 0);
	vmcs_write16(HOST_TR_SELECTOR, HOST_TR);
	vmcs_writel(HOST_FS_BASE, 0);
	vmcs_writel(HOST_GS_BASE, 0);
	vmcs_writel(HOST_TR_BASE, (u64)&c->tss);
	vmcs_writel(HOST_GDTR_BASE, (u64)c->gdt);
	vmcs_writel(HOST_IDTR_BASE, (u64)c->idt);
	vmcs_write32(HOST_IA32_SYSENTER_CS, 0);
	vmcs_writel(HOST_IA32_SYSENTER_ESP, 0);
	vmcs_writel(HOST_IA32_SYSENTER_EIP, 0);
	vmcs_writel(HOST_RIP, (u64)vmx_exit);
	efer_init(v);
	if (v->machine->vmx.word[WORD_EXIT] & EXIT_LOAD_PAT)
		vmcs_write64(HOST_IA32_PAT, rdmsr(MSR_IA32_CR_PAT));
}

void vmcs_set_segment(u32 selector_field, u16 selector, u64 base, u32 limit, u32 ar)
{
	/* The fields of the eight segment registers are laid out alike, two apart. */
	u32 i = selector_field - GUEST_ES_SELECTOR;

	vmcs_write16(selector_field, selector);
	vmcs_writel(GUEST_ES_BASE + i, base);
	vmcs_write32(GUEST_ES_LIMIT + i, limit);
	vmcs_write32(GUEST_ES_AR_BYTES + i, ar);
}

static void set_guest_state(struct vcpu *v)
{
	vmcs_writel(GUEST_DR7, DR7_INIT);
	vmcs_writel(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	vmcs_write64(GUEST_IA32_DEBUGCTL, 0);
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmcs_write32(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmcs_write32(GUEST_SYSENTER_CS, 0);
	vmcs_writel(GUEST_SYSENTER_ESP, 0);
	vmcs_writel(GUEST_SYSENTER_EIP, 0);
	vmcs_writel(GUEST_IDTR_BASE, 0);
	vmcs_write32(GUEST_IDTR_LIMIT, 0);
	vmcs_set_segment(GUEST_LDTR_SELECTOR, 0, 0, 0, AR_UNUSABLE);
	vmcs_set_segment(GUEST_TR_SELECTOR, 0, 0, 0xffff, AR_TSS_BUSY);
	if (v->machine->vmx.word[WORD_ENTRY] & ENTRY_LOAD_PAT)
		vmcs_write64(GUEST_IA32_PAT, v->machine->controls.own_tables
						     ? v->machine->controls.pat
						     : PAT_RESET);
}

/* The legacy region of an XSAVE area, SDM volume 1, table 10-2. */
#define FXSAVE_FCW 0
#define FXSAVE_MXCSR 24
#define FCW_INIT 0x037f
#define MXCSR_INIT 0x1f80

/** x87, SSE and all that XCR0 manages (PKRU, too) to their initial state. */
static void reset_fpu(struct vcpu *v)
{
	/* FXRSTOR reads 512 bytes, XRSTOR a header of 64 more; a zero header means "initial". */
	static _Alignas(64) u8 area[576];
	u64 cr0 = read_cr0(), allowed = v->machine->cpuid.xcr0_allowed;

	*(u16 *)(area + FXSAVE_FCW) = FCW_INIT;
	*(u32 *)(area + FXSAVE_MXCSR) = MXCSR_INIT;
	write_cr0(cr0 & ~(X86_CR0_TS | X86_CR0_EM));
	write_cr4(read_cr4() | X86_CR4_OSFXSR);
	fxrstor(area);
	v->xcr0 = 1;
	if (allowed) {
		write_cr4(read_cr4() | X86_CR4_OSXSAVE);
		xsetbv(0, allowed);
		xrstor(area, ~0ull);
		xsetbv(0, v->xcr0);
	}
	write_cr0(cr0);
}

/** Where entries and exits do not switch the PAT, guest and host have the same one. Page tables of
 * the hypervisor's want one that the host can live with. A guest without a PAT expects what a
 * processor without any would do; a screen that was mapped write-combining is slower then.
 * Section 12.12.4 wants the TLB flushed. */
static void reset_live_pat(struct vcpu *v)
{
	const struct machine *m = v->machine;

	if (vmx_switches_pat(m))
		return;
	wrmsr(MSR_IA32_CR_PAT, m->controls.own_tables ? m->controls.pat : PAT_RESET);
	write_cr3(read_cr3());
}

/** State that stays in the processor while the guest runs and that the host does not use: it must
 *  hold nothing of the host's, nor of a run before. */
static void reset_live_state(struct vcpu *v)
{
	static const u32 msrs[] = {MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
				   MSR_KERNEL_GS_BASE};

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		wrmsr(msrs[i], 0);
	if (v->machine->cpuid.rdtscp)
		wrmsr(MSR_TSC_AUX, 0);
	if (v->machine->cpuid.xsaves)
		wrmsr(MSR_IA32_XSS, 0);
	reset_live_pat(v);
	/* MPX, which no guest is shown, but whose instructions execute (as NOPs) wherever it is
	 * off. */
	if (cpu_leaf7_ebx() & CPUID_7_EBX_MPX)
		wrmsr(MSR_IA32_BNDCFGS, 0);
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
	write_dr6(0xffff0ff0);
	write_cr2(0);
	reset_fpu(v);
}

void vcpu_init(struct vcpu *v, struct machine *m, unsigned index)
{
	u64 low = pc_low_ram(&m->pc.mem);

	v->machine = m;
	v->index = index;
	v->walk.maxphyaddr = m->cpuid.maxphyaddr;
	v->walk.has_1g = m->cpuid.has_1g;
	v->timer_shift = NO_PREEMPTION_TIMER;
	if (m->vmx.word[WORD_PIN] & PIN_PREEMPTION_TIMER)
		v->timer_shift = core.caps.misc & 31; /* appendix A.6 */
	exit_log_init(&v->log);
	exit_detail_init(&v->detail);
	v->requests = REQ_EVENT | REQ_DEADLINE;
	v->vmcs = vmx_region(&v->vmcs_hpa);
	v->pat = PAT_RESET;
	msr_state_init(&v->msr, &m->cpuid, low, gmem_size(&m->pc.mem) - low);
	if (!vmclear(v->vmcs_hpa) || !vmptrld(v->vmcs_hpa))
		panic("VMCLEAR or VMPTRLD of a new VMCS failed");
	reset_live_state(v);
	set_controls(v);
	set_host_state(v);
	set_guest_state(v);
	zoo_init(v);
	vmx_invalidate(m);
}

void vcpu_set_linux_entry(struct vcpu *v, const struct linux_entry *e)
{
	u64 efer = EFER_LME | EFER_LMA | EFER_NX | EFER_SCE;
	struct control_regs wide = {
		.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP,
		.cr3 = e->cr3,
		.cr4 = X86_CR4_PAE,
		.efer = efer & v->machine->cpuid.efer_allowed,
	};
	struct control_regs narrow = {.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE};

	vcpu_load_control_regs(v, e->wide ? &wide : &narrow);
	vmcs_set_segment(GUEST_CS_SELECTOR, e->cs, 0, ~0u, e->wide ? AR_CODE64 : AR_CODE32);
	for (u32 f = GUEST_ES_SELECTOR; f <= GUEST_GS_SELECTOR; f += 2) {
		if (f != GUEST_CS_SELECTOR)
			vmcs_set_segment(f, e->ds, 0, ~0u, AR_DATA);
	}
	vmcs_writel(GUEST_GDTR_BASE, e->gdt_base);
	vmcs_write32(GUEST_GDTR_LIMIT, e->gdt_limit);
	vmcs_writel(GUEST_RIP, e->rip);
	vmcs_writel(GUEST_RSP, e->rsp);
	v->gpr[REG_RSI] = e->rsi;
}
