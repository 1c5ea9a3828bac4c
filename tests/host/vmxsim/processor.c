/* SPDX-License-Identifier: MIT */
/* The simulated processor: registers, MSRs, CPUID, and what it does at a VM exit. */
#include "processor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "msr_index.h"
#include "vmm/cpu.h"
#include "vmm/mce.h"
#include "x86.h"

struct processor cpu;

/** Bochs 2.7's corei7_haswell_4770, with RDSEED and XSAVES. */
static const struct {
	u32 leaf, subleaf;
	struct cpuid_regs r;
} leaves[] = {
	{0, 0, {0xd, 0x756e6547, 0x6c65746e, 0x49656e69}},
	{1, 0, {0x000306c3, 0x00010800, 0x7ffafbff & ~0x00040000, 0xbfebfbff}},
	{2, 0, {0x76036301, 0x00f0b5ff, 0, 0x00c10000}},
	{7, 0, {0, 0x000427ab, 0, 0}},
	{0xd, 0, {7, 832, 832, 0}},
	{0xd, 1, {0xf, 832, 0, 0}},
	{0xd, 2, {256, 576, 0, 0}},
	{0x80000000, 0, {0x80000008, 0, 0, 0}},
	{0x80000001, 0, {0, 0, 0x21, 0x2c100800}},
	{0x80000008, 0, {0x3028, 0, 0, 0}},
};

/* Bits of a capability MSR: those that may be 1, and those that must. */
#define CONTROLS(may, must) ((u64)(may) << 32 | (must))

static const struct sim_msr msrs[] = {
	{MSR_IA32_FEATURE_CONTROL, FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX},
	{MSR_IA32_MISC_ENABLE, MISC_ENABLE_FAST_STRING},
	{MSR_IA32_CR_PAT, PAT_RESET},
	{MSR_EFER, EFER_LME | EFER_LMA | EFER_NX | EFER_SCE},
	{MSR_STAR, 0},
	{MSR_LSTAR, 0},
	{MSR_CSTAR, 0},
	{MSR_SYSCALL_MASK, 0},
	{MSR_KERNEL_GS_BASE, 0},
	{MSR_TSC_AUX, 0},
	{MSR_IA32_XSS, 0},
	{MSR_IA32_MCG_CAP, 2}, /* banks */
	{MSR_IA32_MCG_STATUS, 0},
	{MSR_IA32_MC0_CTL, 0},
	{MSR_IA32_MC0_CTL + 1, 0},
	{MSR_IA32_MC0_CTL + 4, 0},
	{MSR_IA32_MC0_CTL + 5, 0},
	/* Revision, 1 KiB, write-back, the "true" MSRs. MISC: no VMWRITE to read-only fields; the
	 * preemption timer counts once in 32 ticks. */
	{MSR_IA32_VMX_BASIC, 0x00d8040000000012},
	{MSR_IA32_VMX_MISC, 0x00000000000401e5},
	{MSR_IA32_VMX_TRUE_PINBASED_CTLS, CONTROLS(0x7f, 0x16)},
	{MSR_IA32_VMX_TRUE_PROCBASED_CTLS, CONTROLS(0xfff9fffe, 0x04006172)},
	{MSR_IA32_VMX_TRUE_EXIT_CTLS, CONTROLS(0x007fffff, 0x00036dfb)},
	{MSR_IA32_VMX_TRUE_ENTRY_CTLS, CONTROLS(0x0000ffff, 0x000011fb)},
	{MSR_IA32_VMX_PROCBASED_CTLS2, CONTROLS(0x00133fff, 0)},
	{MSR_IA32_VMX_EPT_VPID_CAP, 0x00000f0106334141},
	{MSR_IA32_VMX_CR0_FIXED0, 0x80000021},
	{MSR_IA32_VMX_CR0_FIXED1, 0xffffffff},
	{MSR_IA32_VMX_CR4_FIXED0, 0x2000},
	{MSR_IA32_VMX_CR4_FIXED1, 0x003767ff},
};

static u64 raw_msr(void *ctx, u32 index)
{
	(void)ctx;
	return *processor_msr(index);
}

void processor_reset(void)
{
	cpu = (struct processor){.tsc = 1000000, .random_there = true};
	cpu.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE | X86_CR0_ET | X86_CR0_WP;
	cpu.cr3 = 0x12345000;
	cpu.cr4 = X86_CR4_PAE | X86_CR4_MCE;
	cpu.live.dr[6] = 0xffff0ff0;
	cpu.live.dr[7] = 0x400;
	memcpy(cpu.live.msr, msrs, sizeof(msrs));
	cpu.live.nr_msrs = ARRAY_SIZE(msrs);
	vmx_caps_read(&cpu.caps, 0, raw_msr, NULL);
}

u64 *processor_msr(u32 index)
{
	for (unsigned i = 0; i < cpu.live.nr_msrs; i++) {
		if (cpu.live.msr[i].index == index)
			return &cpu.live.msr[i].value;
	}
	fail_msg("MSR 0x%x, which this processor does not have", index);
	return NULL;
}

/* 0x5a in what is undefined; where bit 31 says "valid", it is 0. */
#define UNDEFINED_32 0x5a5a5a5au
#define UNDEFINED_64 0x5a5a5a5a5a5a5a5aull
#define NOT_VALID (UNDEFINED_32 & ~(u32)INTR_INFO_VALID)

static void set_or(u32 field, u64 value, u64 undefined)
{
	vmcs_set(&cpu.vmcs, field, value ? value : undefined);
}

/** An error code is defined where the interruption information says so. */
static void set_error(u32 field, u32 info, u32 error)
{
	const u32 valid = (u32)INTR_INFO_VALID | INTR_INFO_ERROR_CODE;

	vmcs_set(&cpu.vmcs, field, (info & valid) == valid ? error : UNDEFINED_32);
}

void processor_vm_exit(const struct exit_info *e)
{
	vmcs_set(&cpu.vmcs, VM_EXIT_REASON, e->reason);
	vmcs_set(&cpu.vmcs, EXIT_QUALIFICATION, e->qual);
	if (e->reason & EXIT_REASON_ENTRY_FAILURE)
		return; /* section 27.8: nothing else is */
	set_or(VM_EXIT_INTR_INFO, e->intr_info, NOT_VALID);
	set_error(VM_EXIT_INTR_ERROR_CODE, e->intr_info, e->intr_error);
	set_or(IDT_VECTORING_INFO_FIELD, e->idt_info, NOT_VALID);
	set_error(IDT_VECTORING_ERROR_CODE, e->idt_info, e->idt_error);
	set_or(VM_EXIT_INSTRUCTION_LEN, e->insn_len, UNDEFINED_32);
	set_or(VMX_INSTRUCTION_INFO, e->insn_info, UNDEFINED_32);
	set_or(GUEST_PHYSICAL_ADDRESS, e->gpa, UNDEFINED_64);
	set_or(GUEST_LINEAR_ADDRESS, e->gla, UNDEFINED_64);
	/* Section 25.8.3: an exit clears the valid bit of what was injected. */
	vmcs_set(&cpu.vmcs, VM_ENTRY_INTR_INFO_FIELD,
		 vmcs_get(&cpu.vmcs, VM_ENTRY_INTR_INFO_FIELD) & ~INTR_INFO_VALID);
	if ((e->intr_info & INTR_INFO_VALID) &&
	    (e->intr_info & INTR_INFO_TYPE_MASK) == INTR_TYPE_NMI)
		cpu.nmi_blocked = true;
}

void cpuid(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
	*r = (struct cpuid_regs){0};
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		if (leaves[i].leaf == leaf && leaves[i].subleaf == subleaf)
			*r = leaves[i].r;
	}
}

#define X2APIC_EOI 0x0b
#define X2APIC_TMICT 0x38

u64 rdmsr(u32 msr)
{
	if (msr - MSR_X2APIC_FIRST < ARRAY_SIZE(cpu.x2apic))
		return cpu.x2apic[msr - MSR_X2APIC_FIRST];
	return *processor_msr(msr);
}

void wrmsr(u32 msr, u64 v)
{
	if (msr - MSR_X2APIC_FIRST < ARRAY_SIZE(cpu.x2apic)) {
		cpu.x2apic[msr - MSR_X2APIC_FIRST] = (u32)v;
		cpu.eois += msr - MSR_X2APIC_FIRST == X2APIC_EOI;
		return;
	}
	*processor_msr(msr) = v;
}

u64 rdtsc(void)
{
	return cpu.tsc += SIM_TSC_STEP;
}

/** Without a number, what there is instead is nobody's business. */
bool rdrand(u64 *v)
{
	*v = cpu.random;
	return cpu.random_there;
}

bool rdseed(u64 *v)
{
	*v = cpu.random + 1;
	return cpu.random_there;
}

#define DEFINE_REGISTER(name, where)                                                               \
	u64 read_##name(void)                                                                      \
	{                                                                                          \
		return where;                                                                      \
	}                                                                                          \
	void write_##name(u64 v)                                                                   \
	{                                                                                          \
		where = v;                                                                         \
	}
DEFINE_REGISTER(cr0, cpu.cr0)
DEFINE_REGISTER(cr2, cpu.live.cr2)
DEFINE_REGISTER(cr3, cpu.cr3)
DEFINE_REGISTER(cr4, cpu.cr4)
DEFINE_REGISTER(dr0, cpu.live.dr[0])
DEFINE_REGISTER(dr1, cpu.live.dr[1])
DEFINE_REGISTER(dr2, cpu.live.dr[2])
DEFINE_REGISTER(dr3, cpu.live.dr[3])
DEFINE_REGISTER(dr7, cpu.live.dr[7])

u64 read_dr6(void)
{
	return cpu.live.dr[6];
}

/** Figure 18-1: bits that are fixed. RTM and BLD can be written where they exist, as here. */
void write_dr6(u64 value)
{
	assert_false(value >> 32);
	cpu.live.dr[6] = (value & ~BIT(12)) | 0xfffe07f0;
}

void xsetbv(u32 index, u64 v)
{
	assert_int_equal(index, 0);
	assert_true(cpu.cr4 & X86_CR4_OSXSAVE);
	assert_true(v & 1); /* else #GP */
	cpu.live.xcr0 = v;
}

u32 rdpkru(void)
{
	assert_true(cpu.cr4 & X86_CR4_PKE);
	return cpu.live.pkru;
}

void fpu_init(void)
{
}

void fxrstor(const void *area)
{
	(void)area;
}

void xrstor(const void *area, u64 mask)
{
	(void)area;
	(void)mask;
}

void cli(void)
{
}

void cpu_pause(void)
{
}

/** Whatever was armed ends the sleep. */
void sti_hlt_cli(void)
{
	struct trap_frame f = {.vector = HOST_TIMER_VECTOR};

	cpu.tsc += cpu.x2apic[X2APIC_TMICT];
	trap(&f);
}

/** Nothing is ever pending between an exit and the next entry. */
void sti_nop_cli(void)
{
}

void raise_nmi(void)
{
	struct trap_frame f = {.vector = NMI_VECTOR};

	trap(&f);
	cpu.nmi_blocked = false; /* the IRET */
}

_Noreturn void halt_forever(void)
{
	fail_msg("the processor was halted for ever");
	__builtin_unreachable();
}

/** No device of the host's answers but its calendar, which has stopped, and a transmitter that is
 *  never busy. */
u8 inb(u16 port)
{
	return port == 0x71 ? 0 : 0xff;
}

u32 inl(u16 port)
{
	(void)port;
	return ~0u;
}

void outb(u16 port, u8 v)
{
	if (port == 0x70)
		cpu.cmos_index = v;
	if (port == SIM_UART && cpu.nr_sent < sizeof(cpu.sent) - 1)
		cpu.sent[cpu.nr_sent++] = (char)v;
	if (cpu.breaks_at && cpu.nr_sent == cpu.breaks_at) {
		cpu.breaks_at = 0;
		panic_machine_check("in the hypervisor");
	}
}

void outw(u16 port, u16 v)
{
	fail_msg("OUT of 0x%x to port 0x%x", v, port);
}

void outl(u16 port, u32 v)
{
	fail_msg("OUT of 0x%x to port 0x%x", v, port);
}
