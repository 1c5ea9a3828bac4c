/* SPDX-License-Identifier: MIT */
/* RDMSR and WRMSR: what is in the VMCS, what stays in the processor, what is refused. */
#include "exits.h"

#define EDX_EAX (BIT(REG_RAX) | BIT(REG_RDX))

/* Zero in a register is a pattern of the fixture's: only the lower halves count anyhow. */
#define UPPER 0xdddddddd00000000ull

static void read_exit(u32 msr)
{
	vcpu->gpr[REG_RCX] = UPPER | msr;
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	RAISE(.reason = EXIT_REASON_RDMSR, .insn_len = 2);
}

static void write_exit(u32 msr, u64 value)
{
	vcpu->gpr[REG_RCX] = UPPER | msr;
	vcpu->gpr[REG_RAX] = UPPER | (u32)value;
	vcpu->gpr[REG_RDX] = UPPER | value >> 32;
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	RAISE(.reason = EXIT_REASON_WRMSR, .insn_len = 2);
}

static void expect_msr(u64 value)
{
	EXPECT(.advance = 2, .gprs = EDX_EAX);
	assert_int_equal(vcpu->gpr[REG_RAX], (u32)value);
	assert_int_equal(vcpu->gpr[REG_RDX], value >> 32);
}

/** Those with a field. */
static void msrs_in_fields(void)
{
	static const struct {
		u32 msr, field;
		u64 value, refused;
	} c[] = {
		{MSR_IA32_SYSENTER_ESP, GUEST_SYSENTER_ESP, 0xffff800000001000, 0x800000000000},
		{MSR_IA32_SYSENTER_EIP, GUEST_SYSENTER_EIP, 0x7fffffffffff, 0xff7fffffffffffff},
		{MSR_FS_BASE, GUEST_FS_BASE, 0xffffffffffffffff, 0x800000000000},
		{MSR_GS_BASE, GUEST_GS_BASE, 0x123456789abc, 0x8000000000000000},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		write_exit(c[i].msr, c[i].value);
		EXPECT(.advance = 2, .fields = {c[i].field});
		assert_int_equal(field(c[i].field), c[i].value);
		read_exit(c[i].msr);
		expect_msr(c[i].value);
		write_exit(c[i].msr, c[i].refused);
		EXPECT_GP();
	}
	write_exit(MSR_IA32_SYSENTER_CS, 0x1234567800000010);
	EXPECT(.advance = 2, .fields = {GUEST_SYSENTER_CS});
	assert_int_equal(field(GUEST_SYSENTER_CS), 0x10);
	read_exit(MSR_IA32_SYSENTER_CS);
	expect_msr(0x10);
}

/** Those that stay: a #GP in the host would end it. */
static void msrs_in_the_processor(void)
{
	static const struct {
		u32 msr;
		u64 value, refused;
	} c[] = {
		{MSR_STAR, 0x1234567812345678, 0},
		{MSR_LSTAR, 0xffff800000000000, 0x800000000000},
		{MSR_CSTAR, 0x7fffffffffff, 0xffff7fffffffffff},
		{MSR_SYSCALL_MASK, 0xffffffff, BIT(32)},
		{MSR_KERNEL_GS_BASE, 0xffff800000000000, 0x800000000000},
		{MSR_TSC_AUX, 0x89abcdef, BIT(63)},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		write_exit(c[i].msr, c[i].value);
		EXPECT(.advance = 2, .live = true);
		assert_int_equal(*processor_msr(c[i].msr), c[i].value);
		read_exit(c[i].msr);
		expect_msr(c[i].value);
		if (!c[i].refused)
			continue;
		write_exit(c[i].msr, c[i].refused);
		EXPECT_GP();
	}
}

static void efer(void)
{
	const u64 value = EFER_LME | EFER_LMA | EFER_NX;

	write_exit(MSR_EFER, value);
	EXPECT(.advance = 2, .fields = {GUEST_IA32_EFER});
	assert_int_equal(field(GUEST_IA32_EFER), value);
	read_exit(MSR_EFER);
	expect_msr(value);
	write_exit(MSR_EFER, EFER_LMA | EFER_NX); /* LME cannot change while paging is on */
	EXPECT_GP();
	write_exit(MSR_EFER, value | BIT(12)); /* SVME: nobody has it here */
	EXPECT_GP();
}

/** A processor without the fields: the areas of MSRs. */
static void efer_by_areas(void)
{
	write_exit(MSR_EFER, EFER_LME | EFER_LMA);
	EXPECT(.advance = 2, .fields = {VM_ENTRY_MSR_LOAD_COUNT, VM_EXIT_MSR_LOAD_COUNT});
	assert_int_equal(field(VM_ENTRY_MSR_LOAD_COUNT), 1);
	assert_int_equal(field(VM_EXIT_MSR_LOAD_COUNT), 1);
	read_exit(MSR_EFER);
	expect_msr(EFER_LME | EFER_LMA);
}

static void pat_and_debugctl(void)
{
	write_exit(MSR_IA32_CR_PAT, 0x0605040100010406);
	EXPECT(.advance = 2, .fields = {GUEST_IA32_PAT});
	read_exit(MSR_IA32_CR_PAT);
	expect_msr(0x0605040100010406);
	write_exit(MSR_IA32_CR_PAT, 0x0605040100020406); /* no type 2 */
	EXPECT_GP();
	write_exit(MSR_IA32_DEBUGCTLMSR, DEBUGCTL_BTF);
	EXPECT(.advance = 2, .fields = {GUEST_IA32_DEBUGCTL});
	read_exit(MSR_IA32_DEBUGCTLMSR);
	expect_msr(DEBUGCTL_BTF);
	write_exit(MSR_IA32_DEBUGCTLMSR, 1); /* LBR */
	EXPECT_GP();
}

static void unknown_msrs(void)
{
	read_exit(0x12345678);
	EXPECT_GP();
	assert_true(said("RDMSR of MSR 0x12345678, which the guest does not have: #GP"));
	read_exit(0x12345678);
	EXPECT_GP();
	assert_false(said("0x12345678")); /* once */
	write_exit(MSR_IA32_VMX_BASIC, 0);
	EXPECT_GP();
	read_exit(MSR_IA32_SPEC_CTRL);
	EXPECT_GP();
}

/** A deadline is a value of the guest's TSC, wherever that is. */
static void tsc_deadline(void)
{
	u64 deadline;

	pc_mmio_write(&machine->pc, 0, GPA(0xfee000f0), 4, 0x1ff);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00320), 4, 0x40055);
	write_exit(MSR_IA32_TSC, 0x7000000000);
	EXPECT(.advance = 2, .fields = {TSC_OFFSET});
	deadline = 0x7000000000 + 0x100000;
	write_exit(MSR_IA32_TSC_DEADLINE, deadline);
	EXPECT(.advance = 2);
	read_exit(MSR_IA32_TSC_DEADLINE);
	expect_msr(deadline);
	/* It stays at the same distance of the TSC when that moves again. */
	write_exit(MSR_IA32_TSC, 0x7000080000);
	EXPECT(.advance = 2, .fields = {TSC_OFFSET});
	read_exit(MSR_IA32_TSC_DEADLINE);
	expect_msr(deadline);
	assert_in_range(vcpu->deadline - cpu.tsc, 0x70000, 0x80000);
}

#define ALL "exit+=msr=all"

const struct exit_test tests_msr[] = {
	EXIT_TEST(msrs_in_fields, ALL, EXIT_REASON_RDMSR, EXIT_REASON_WRMSR),
	EXIT_TEST(msrs_in_the_processor, ALL, EXIT_REASON_RDMSR, EXIT_REASON_WRMSR),
	EXIT_TEST(efer, "", EXIT_REASON_RDMSR, EXIT_REASON_WRMSR),
	EXIT_TEST(efer_by_areas, "features-=load-efer", EXIT_REASON_WRMSR),
	EXIT_TEST(pat_and_debugctl, "", EXIT_REASON_RDMSR, EXIT_REASON_WRMSR),
	EXIT_TEST(unknown_msrs, "", EXIT_REASON_RDMSR, EXIT_REASON_WRMSR),
	EXIT_TEST(tsc_deadline, "", EXIT_REASON_RDMSR, EXIT_REASON_WRMSR),
	{0},
};
