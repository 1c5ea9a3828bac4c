/* SPDX-License-Identifier: MIT */
/* Accesses that the paging structures do not allow, and those to the local APIC: by EPT violation,
 * by page fault on shadow page tables, by the exits of APIC virtualization. */
#include "exits.h"

#define LINEAR (EPT_VIOLATION_GVA_VALID | EPT_VIOLATION_GVA_TRANSLATED)
#define APIC 0xfee00000ull
#define IOAPIC_WINDOW 0xfec00010ull

/** The local APIC's page, by a linear address in the present 2 MiB at NOT_PRESENT. */
static void map_devices(void)
{
	guest_put64(TABLES + 0x2000 + NOT_PRESENT / MIB(2) * 8, APIC / MIB(2) * MIB(2) | 0xe3);
	guest_put64(TABLES + 0x2000 + (NOT_PRESENT + MIB(4)) / MIB(2) * 8,
		    IOAPIC_WINDOW / MIB(2) * MIB(2) | 0xe3);
}

#define APIC_AT (NOT_PRESENT + APIC % MIB(2))

static void device_read_and_write(void)
{
	map_devices();
	vcpu->gpr[REG_RBX] = APIC_AT + 0x80;   /* TPR */
	CODE_BYTES(0xc7, 0x03, 0x30, 0, 0, 0); /* MOV [RBX], 0x30 */
	RAISE(.reason = EXIT_REASON_EPT_VIOLATION, .gpa = APIC + 0x80, .gla = APIC_AT + 0x80,
	      .qual = EPT_VIOLATION_WRITE | LINEAR);
	EXPECT(.advance = 6);
	CODE_BYTES(0x8b, 0x0b); /* MOV ECX, [RBX] */
	RAISE(.reason = EXIT_REASON_EPT_VIOLATION, .gpa = APIC + 0x80, .gla = APIC_AT + 0x80,
	      .qual = EPT_VIOLATION_READ | LINEAR);
	EXPECT(.advance = 2, .gprs = BIT(REG_RCX));
	assert_int_equal(vcpu->gpr[REG_RCX], 0x30);
	/* Nobody is there: all ones. */
	vcpu->gpr[REG_RBX] = NO_MEMORY;
	CODE_BYTES(0x48, 0x8b, 0x0b);
	RAISE(.reason = EXIT_REASON_EPT_VIOLATION, .gpa = NO_MEMORY, .gla = NO_MEMORY,
	      .qual = EPT_VIOLATION_READ | LINEAR);
	EXPECT(.advance = 3, .gprs = BIT(REG_RCX));
	assert_int_equal(vcpu->gpr[REG_RCX], ~0ull);
}

static void impossible_violations(void)
{
	RAISE(.reason = EXIT_REASON_EPT_VIOLATION, .gpa = NO_MEMORY, .gla = NO_MEMORY,
	      .qual = EPT_VIOLATION_FETCH | LINEAR);
	expect_stop(OUTCOME_UNSUPPORTED, "it executes at guest-physical 0x1200000, where no");
	RAISE(.reason = EXIT_REASON_EPT_VIOLATION, .gpa = NO_MEMORY, .gla = DATA,
	      .qual = EPT_VIOLATION_READ | EPT_VIOLATION_GVA_VALID);
	expect_stop(OUTCOME_UNSUPPORTED, "a paging structure of its lies outside memory");
	RAISE(.reason = EXIT_REASON_EPT_VIOLATION, .gpa = DATA, .gla = DATA,
	      .qual = EPT_VIOLATION_WRITE | EPT_VIOLATION_ALLOWED | LINEAR);
	expect_stop(OUTCOME_UNSUPPORTED, "EPT violation at 0xa00000, which is mapped");
	RAISE(.reason = EXIT_REASON_EPT_MISCONFIG, .gpa = DATA);
	expect_stop(OUTCOME_UNSUPPORTED, "EPT misconfiguration at 0xa00000: a fault of this");
}

static void page_modification_log(void)
{
	set_field(GUEST_PML_INDEX, 509); /* two entries */
	vcpu->pml[510] = DATA;
	vcpu->pml[511] = APIC; /* no memory */
	RAISE(.reason = EXIT_REASON_PML_FULL);
	EXPECT(.fields = {GUEST_PML_INDEX});
	assert_int_equal(field(GUEST_PML_INDEX), 511);
	assert_int_equal(machine->dirty.nr, 1);
	assert_int_equal(machine->dirty.gfn[0], DATA >> PAGE_SHIFT);
}

/* Exit qualification of an APIC access, table 28-6. */
#define APIC_QUAL(type, offset) ((u64)(type) << 12 | (offset))

static void apic_accesses(void)
{
	map_devices();
	vcpu->gpr[REG_RBX] = APIC_AT + 0x20;
	CODE_BYTES(0x8b, 0x0b); /* MOV ECX, [RBX] */
	RAISE(.reason = EXIT_REASON_APIC_ACCESS, .qual = APIC_QUAL(0, 0x20));
	EXPECT(.advance = 2, .gprs = BIT(REG_RCX));
	assert_int_equal(vcpu->gpr[REG_RCX], 0);
	vcpu->gpr[REG_RBX] = APIC_AT + 0x80;
	CODE_BYTES(0x89, 0x13); /* MOV [RBX], EDX */
	vcpu->gpr[REG_RDX] = 0x40;
	RAISE(.reason = EXIT_REASON_APIC_ACCESS, .qual = APIC_QUAL(1, 0x80));
	EXPECT(.advance = 2);
	assert_int_equal(lapic_get_cr8(&machine->pc.lapic[0]), 4);
}

static void impossible_apic_accesses(void)
{
	RAISE(.reason = EXIT_REASON_APIC_ACCESS, .qual = APIC_QUAL(2, 0x20));
	expect_stop(OUTCOME_UNSUPPORTED, "it executes at guest-physical 0xfee00020");
	RAISE(.reason = EXIT_REASON_APIC_ACCESS, .qual = APIC_QUAL(3, 0x30));
	expect_stop(OUTCOME_UNSUPPORTED, "an event was delivered through 0xfee00030");
	RAISE(.reason = EXIT_REASON_APIC_ACCESS, .qual = APIC_QUAL(10, 0));
	expect_stop(OUTCOME_UNSUPPORTED, "an event was delivered through 0xfee00000");
	RAISE(.reason = EXIT_REASON_APIC_ACCESS, .qual = APIC_QUAL(15, 0));
	expect_stop(OUTCOME_UNSUPPORTED, "a paging structure of its lies outside memory");
}

/** The instruction is done: RIP is behind it already. */
static void apic_write_and_eoi(void)
{
	u8 *page = machine->pc.cfg.lapic_page[0];

	*(u32 *)(page + 0xf0) = 0x1ff;
	RAISE(.reason = EXIT_REASON_APIC_WRITE, .qual = 0xf0);
	EXPECT(.advance = 0);
	assert_int_equal(*tally_count(&vcpu->detail.tally[TALLY_APIC_WRITE], 0xf0), 1);
	RAISE(.reason = EXIT_REASON_VIRTUALIZED_EOI, .qual = 0x31);
	EXPECT(.advance = 0);
	assert_int_equal(*tally_count(&vcpu->detail.tally[TALLY_EOI], 0x31), 1);
}

/*
 * On shadow page tables. RSVD in the error code says that nothing is known of an entry yet.
 */

#define UNKNOWN 9u /* P and RSVD */

static void pf_exit(u64 address, u32 error, u32 more_info, u32 idt_info)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF);
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .qual = address,
	      .intr_info = VALID(INJECT_ERROR(PF_VECTOR)) | more_info, .intr_error = error,
	      .idt_info = idt_info, .insn_len = 0);
}

/** A page that the guest has: it does not see the fault. */
static void shadow_fill(void)
{
	pf_exit(DATA, UNKNOWN, 0, 0);
	EXPECT(.advance = 0);
	assert_true(machine->paging->ops->counters(machine->paging)[0] > 0);
}

/** And an event that was being delivered is delivered again; its stack is there now. */
static void shadow_fill_in_an_event(void)
{
	pf_exit(DATA, UNKNOWN | 2, 0, VALID(INJECT_ERROR(GP_VECTOR)));
	EXPECT(.inject = INJECT_ERROR(GP_VECTOR), .error = 0);
	/* An interrupt pushes RF as it was, not as the fault would have. */
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_RF | X86_EFLAGS_IF);
	RAISE(.reason = EXIT_REASON_EXCEPTION_NMI, .qual = STACK,
	      .intr_info = VALID(INJECT_ERROR(PF_VECTOR)), .intr_error = UNKNOWN | 2,
	      .idt_info = VALID(0x77 | INTR_TYPE_EXTERNAL));
	EXPECT(.inject = 0x77 | INTR_TYPE_EXTERNAL, .rflags_off = X86_EFLAGS_RF);
}

static void shadow_fault_of_the_guest(void)
{
	pf_exit(NOT_PRESENT, UNKNOWN, 0, 0);
	EXPECT(.inject = INJECT_ERROR(PF_VECTOR), .error = 0, .live = true);
	assert_int_equal(cpu.live.cr2, NOT_PRESENT);
	pf_exit(READ_ONLY, UNKNOWN | 2, 0, 0);
	EXPECT(.inject = INJECT_ERROR(PF_VECTOR), .error = 3, .live = true);
	/* Of its own, while it was delivering one: a double fault. */
	pf_exit(NOT_PRESENT, UNKNOWN | 2, 0, VALID(INJECT_ERROR(PF_VECTOR)));
	EXPECT(.inject = INJECT_ERROR(DF_VECTOR), .error = 0, .live = true);
}

/** Section 28.2.3: an IRET that is made again unblocks NMIs again; one that faults for the guest,
 * too, has done so. */
static void shadow_fault_of_iret(void)
{
	pf_exit(STACK, UNKNOWN, (u32)INTR_INFO_NMI_UNBLOCK, 0);
	EXPECT(.blocking_on = INTERRUPTIBILITY_NMI);
	set_field(GUEST_INTERRUPTIBILITY_INFO, 0);
	pf_exit(NOT_PRESENT, UNKNOWN, (u32)INTR_INFO_NMI_UNBLOCK, 0);
	EXPECT(.inject = INJECT_ERROR(PF_VECTOR), .error = 0, .live = true);
	pf_exit(STACK + 0x200000, UNKNOWN, (u32)INTR_INFO_NMI_UNBLOCK, VALID(INJECT(UD_VECTOR)));
	EXPECT(.inject = INJECT(UD_VECTOR));
}

static void shadow_device(void)
{
	map_devices();
	vcpu->gpr[REG_RBX] = NO_MEMORY;
	CODE_BYTES(0x8b, 0x0b);
	pf_exit(NO_MEMORY, UNKNOWN, 0, 0);
	EXPECT(.advance = 2, .gprs = BIT(REG_RCX), .rflags_off = X86_EFLAGS_RF);
	assert_int_equal(vcpu->gpr[REG_RCX], 0xffffffff);
}

static void shadow_invalidations(void)
{
	RAISE(.reason = EXIT_REASON_INVLPG, .insn_len = 3, .qual = DATA);
	EXPECT(.advance = 3);
	guest_put64(DATA, 0);
	guest_put64(DATA + 8, 0);
	vcpu->gpr[REG_RBX] = 2;
	RAISE(.reason = EXIT_REASON_INVPCID, .insn_len = 5, .qual = DATA,
	      .insn_info = (u32)BIT(22) | (u32)BIT(27) | 2u << 7 | 3u << 15 | 3u << 28);
	EXPECT(.advance = 5);
}

/** Every MOV to CR3 exits; CR3 in the VMCS is not the guest's. */
static void shadow_cr3(void)
{
	vcpu->gpr[REG_RBX] = TABLES | 8;
	RAISE(.reason = EXIT_REASON_CR_ACCESS, .insn_len = 3, .qual = 3 | REG_RBX << 8);
	EXPECT(.advance = 3, .fields = {GUEST_CR3});
	RAISE(.reason = EXIT_REASON_CR_ACCESS, .insn_len = 3, .qual = 3 | 1 << 4 | REG_RAX << 8);
	EXPECT(.advance = 3, .gprs = BIT(REG_RAX));
	assert_int_equal(vcpu->gpr[REG_RAX], TABLES | 8);
	assert_int_not_equal(field(GUEST_CR3) & PAGE_MASK, TABLES);
}

#define SHADOW "paging=shadow"

const struct exit_test tests_paging[] = {
	EXIT_TEST(device_read_and_write, "features-=apic-access", EXIT_REASON_EPT_VIOLATION),
	EXIT_TEST(impossible_violations, "", EXIT_REASON_EPT_VIOLATION, EXIT_REASON_EPT_MISCONFIG),
	EXIT_TEST(page_modification_log, "dirty=1", EXIT_REASON_PML_FULL),
	EXIT_TEST(apic_accesses, "", EXIT_REASON_APIC_ACCESS),
	EXIT_TEST(impossible_apic_accesses, "", EXIT_REASON_APIC_ACCESS),
	EXIT_TEST(apic_write_and_eoi, "", EXIT_REASON_APIC_WRITE, EXIT_REASON_VIRTUALIZED_EOI),
	EXIT_TEST(shadow_fill, SHADOW, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(shadow_fill_in_an_event, SHADOW, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(shadow_fault_of_the_guest, SHADOW, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(shadow_fault_of_iret, SHADOW, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(shadow_device, SHADOW, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(shadow_invalidations, SHADOW, EXIT_REASON_INVLPG, EXIT_REASON_INVPCID),
	EXIT_TEST(shadow_cr3, SHADOW, EXIT_REASON_CR_ACCESS),
	{0},
};
