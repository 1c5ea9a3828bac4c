/* SPDX-License-Identifier: MIT */
/* Accesses to control registers (SDM volume 3, table 28-3), and task switches. */
#include "exits.h"

#include "vmm/cr.h"

#define MOV_TO(cr, reg) ((u64)(cr) | (u64)(reg) << 8)
#define MOV_FROM(cr, reg) (MOV_TO(cr, reg) | 1 << 4)
#define CLTS (2ull << 4)
#define LMSW(value) (3ull << 4 | (u64)(value) << 16)

static void cr_exit(u64 qual)
{
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
	RAISE(.reason = EXIT_REASON_CR_ACCESS, .insn_len = 3, .qual = qual);
}

static void clts_and_lmsw(void)
{
	vcpu->gpr[REG_RBX] = vcpu_cr0(vcpu) | X86_CR0_TS;
	cr_exit(MOV_TO(0, REG_RBX));
	EXPECT(.advance = 3, .fields = {GUEST_CR0, CR0_READ_SHADOW});
	cr_exit(CLTS);
	EXPECT(.advance = 3, .fields = {GUEST_CR0, CR0_READ_SHADOW});
	assert_false(vcpu_cr0(vcpu) & X86_CR0_TS);
	/* LMSW sets the four low bits, but never clears PE; the upper half of its source is
	 * nothing. */
	cr_exit(LMSW(0xfff0 | X86_CR0_TS | X86_CR0_MP));
	EXPECT(.advance = 3, .fields = {GUEST_CR0, CR0_READ_SHADOW});
	assert_int_equal(vcpu_cr0(vcpu) & 15, X86_CR0_PE | X86_CR0_TS | X86_CR0_MP);
	cr_exit(LMSW(0));
	EXPECT(.advance = 3, .fields = {GUEST_CR0, CR0_READ_SHADOW});
	assert_int_equal(vcpu_cr0(vcpu) & 15, X86_CR0_PE);
}

static void refused_writes(void)
{
	vcpu->gpr[REG_RBX] = vcpu_cr0(vcpu) | BIT(32);
	cr_exit(MOV_TO(0, REG_RBX));
	EXPECT_GP();
	vcpu->gpr[REG_RBX] = vcpu_cr0(vcpu) & ~X86_CR0_PE; /* PG without PE */
	cr_exit(MOV_TO(0, REG_RBX));
	EXPECT_GP();
	vcpu->gpr[REG_RBX] = vcpu_cr4(vcpu) | X86_CR4_VMXE;
	cr_exit(MOV_TO(4, REG_RBX));
	EXPECT_GP();
	vcpu->gpr[REG_RBX] = vcpu_cr4(vcpu) & ~X86_CR4_PAE; /* in IA-32e mode */
	cr_exit(MOV_TO(4, REG_RBX));
	EXPECT_GP();
}

static void cr4(void)
{
	unsigned flushes = cpu.invvpids;

	vcpu->gpr[REG_RBX] = vcpu_cr4(vcpu) | X86_CR4_PGE | X86_CR4_OSXSAVE;
	cr_exit(MOV_TO(4, REG_RBX));
	EXPECT(.advance = 3, .fields = {GUEST_CR4, CR4_READ_SHADOW});
	assert_int_equal(vcpu_cr4(vcpu), vcpu->gpr[REG_RBX]);
	assert_int_equal(cpu.invvpids, flushes + 1); /* PGE has changed */
	assert_true(field(GUEST_CR4) & X86_CR4_VMXE);
	assert_false(field(CR4_READ_SHADOW) & X86_CR4_VMXE);
}

/** exit+=cr3-load,cr3-store, and registers of 32 bits outside 64-bit mode. */
static void cr3(void)
{
	unsigned flushes = cpu.invvpids;

	vcpu->gpr[REG_R8] = TABLES | 8;
	cr_exit(MOV_TO(3, REG_R8));
	EXPECT(.advance = 3, .fields = {GUEST_CR3});
	assert_int_equal(field(GUEST_CR3), TABLES | 8);
	assert_int_equal(cpu.invvpids, flushes + 1);
	cr_exit(MOV_FROM(3, REG_RSP));
	EXPECT(.advance = 3, .gprs = BIT(REG_RSP));
	assert_int_equal(field(GUEST_RSP), TABLES | 8);
	vcpu->gpr[REG_R8] = BIT(40); /* MAXPHYADDR is 40 */
	cr_exit(MOV_TO(3, REG_R8));
	EXPECT_GP();
	vcpu->gpr[REG_R8] = BIT(63) | TABLES; /* without CR4.PCIDE */
	cr_exit(MOV_TO(3, REG_R8));
	EXPECT_GP();
	guest_mode(GUEST_PAGED, 0);
	vcpu->gpr[REG_RAX] = BIT(63) | (TABLES + 0x3000);
	cr_exit(MOV_TO(3, REG_RAX));
	EXPECT(.advance = 3);
	assert_int_equal(field(GUEST_CR3), TABLES + 0x3000);
}

static void cr8(void)
{
	vcpu->gpr[REG_RCX] = 9;
	cr_exit(MOV_TO(8, REG_RCX));
	EXPECT(.advance = 3);
	cr_exit(MOV_FROM(8, REG_R15));
	EXPECT(.advance = 3, .gprs = BIT(REG_R15));
	assert_int_equal(vcpu->gpr[REG_R15], 9);
	vcpu->gpr[REG_RCX] = 16;
	cr_exit(MOV_TO(8, REG_RCX));
	EXPECT_GP();
	assert_int_equal(vcpu->stats.cr_accesses[CR_ACCESS_TO | 8], 2);
	assert_int_equal(vcpu->stats.cr_accesses[CR_ACCESS_FROM | 8], 1);
}

/** PAE paging begins with PDPTEs, and a reserved bit in one is #GP. */
static void pdptes(void)
{
	guest_mode(GUEST_PROTECTED, 0);
	vcpu->shadow.cr3 = DATA;
	vcpu->shadow.cr4 = X86_CR4_PAE;
	vcpu_load_control_regs(
		vcpu,
		&(struct control_regs){.cr0 = vcpu->shadow.cr0, .cr3 = DATA, .cr4 = X86_CR4_PAE});
	guest_put64(DATA, (TABLES + 0x1000) | 1);
	guest_put64(DATA + 8, BIT(1) | 1); /* reserved */
	vcpu->gpr[REG_RBX] = vcpu_cr0(vcpu) | X86_CR0_PG;
	cr_exit(MOV_TO(0, REG_RBX));
	EXPECT_GP();
	guest_put64(DATA + 8, 0);
	cr_exit(MOV_TO(0, REG_RBX));
	EXPECT(.advance = 3, .rflags_off = X86_EFLAGS_RF,
	       .fields = {GUEST_CR0, CR0_READ_SHADOW, GUEST_PDPTE0, GUEST_PDPTE1, GUEST_PDPTE2,
			  GUEST_PDPTE3, GUEST_CR3, GUEST_CR4});
	assert_int_equal(field(GUEST_PDPTE0), (TABLES + 0x1000) | 1);
	assert_int_equal(field(GUEST_PDPTE1), 0);
}

static void real_mode_without_unrestricted_guest(void)
{
	guest_mode(GUEST_PROTECTED, 0);
	vcpu->gpr[REG_RBX] = vcpu_cr0(vcpu) & ~X86_CR0_PE;
	cr_exit(MOV_TO(0, REG_RBX));
	expect_stop(OUTCOME_UNSUPPORTED, "real mode needs \"unrestricted guest\", which features-= "
					 "switched off");
}

/** Registers for which no exit was asked for. */
static void other_registers(void)
{
	cr_exit(MOV_TO(2, REG_RAX));
	expect_stop(OUTCOME_UNSUPPORTED, "exit for MOV to CR2, which nobody asked for");
	cr_exit(MOV_FROM(0, REG_RAX));
	expect_stop(OUTCOME_UNSUPPORTED, "exit for MOV from CR0, which nobody asked for");
}

/*
 * Task switches. What they do is tested by test_task_switch.c; here, that the exit's information
 * and the VMCS come to it and back.
 */

#define OLD_TSS 0x40u
#define NEW_TSS 0x48u
#define OLD_AT (DATA + 0x1000)
#define NEW_AT (DATA + 0x2000)
#define TASK_SWITCH(source) ((u64)(source) << 30 | NEW_TSS)
enum { BY_CALL, BY_IRET, BY_JMP, BY_GATE };

static u64 descriptor(u64 base, u32 limit, u32 access)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | (u64)access << 40 |
	       (u64)(limit >> 16) << 48 | (base >> 24) << 56;
}

static void put32(u64 at, u32 value)
{
	guest_put(at, &value, 4);
}

/** 32-bit code with paging; the new task begins at 0x5000 with a stack at STACK. */
static void two_tasks(bool new_is_busy)
{
	guest_mode(GUEST_PAGED, 0);
	guest_put64(GDT + 0x10, descriptor(0, 0xfffff, 0x9b) | BIT(55) | BIT(54));
	guest_put64(GDT + 0x18, descriptor(0, 0xfffff, 0x93) | BIT(55) | BIT(54));
	guest_put64(GDT + OLD_TSS, descriptor(OLD_AT, 0x67, 0x8b));
	guest_put64(GDT + NEW_TSS, descriptor(NEW_AT, 0x67, new_is_busy ? 0x8b : 0x89));
	set_field(GUEST_TR_SELECTOR, OLD_TSS);
	set_field(GUEST_TR_BASE, OLD_AT);
	set_field(GUEST_LDTR_AR_BYTES, 0x10000);
	put32(NEW_AT + 0x1c, TABLES + 0x3000);
	put32(NEW_AT + 0x20, 0x5000);
	put32(NEW_AT + 0x24, X86_EFLAGS_FIXED);
	put32(NEW_AT + 0x28, 0x11111111); /* EAX */
	put32(NEW_AT + 0x38, STACK);
	for (unsigned i = 0; i < 6; i++)
		put32(NEW_AT + 0x48 + 4 * i, i == SEG_CS ? 0x10 : 0x18);
}

static void expect_new_task(u32 pushed)
{
	assert_int_equal(field(GUEST_RIP), 0x5000);
	assert_int_equal(field(GUEST_RSP), STACK - pushed);
	assert_int_equal(field(GUEST_TR_SELECTOR), NEW_TSS);
	assert_int_equal(vcpu->gpr[REG_RAX], 0x11111111);
	assert_true(vcpu_cr0(vcpu) & X86_CR0_TS);
}

/** The old task goes on behind the instruction. */
static void jump_to_a_task(void)
{
	two_tasks(false);
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_MOV_SS);
	RAISE(.reason = EXIT_REASON_TASK_SWITCH, .insn_len = 7, .qual = TASK_SWITCH(BY_JMP));
	expect_new_task(0);
	assert_int_equal(guest_get(OLD_AT + 0x20, 4), CODE + 7);
	assert_int_equal(guest_get(GDT + OLD_TSS + 5, 1), 0x89);
	assert_int_equal(guest_get(GDT + NEW_TSS + 5, 1), 0x8b);
	assert_int_equal(field(GUEST_INTERRUPTIBILITY_INFO), 0);
}

/** IRET ends the blocking of NMIs. */
static void return_to_a_task(void)
{
	two_tasks(true);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED | X86_EFLAGS_NT);
	set_field(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI);
	RAISE(.reason = EXIT_REASON_TASK_SWITCH, .insn_len = 1, .qual = TASK_SWITCH(BY_IRET));
	expect_new_task(0);
	assert_int_equal(field(GUEST_INTERRUPTIBILITY_INFO), 0);
}

/** An exception through a task gate: it is delivered, with its error code on the new stack, and the
 * old task stays at the instruction. */
static void exception_by_a_task(void)
{
	two_tasks(false);
	RAISE(.reason = EXIT_REASON_TASK_SWITCH, .qual = TASK_SWITCH(BY_GATE),
	      .idt_info = VALID(INJECT_ERROR(GP_VECTOR)), .idt_error = 0x18);
	expect_new_task(4);
	assert_int_equal(guest_get(STACK - 4, 4), 0x18);
	assert_int_equal(guest_get(OLD_AT + 0x20, 4), CODE);
	assert_false(field(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID);
}

static void events_by_a_task(void)
{
	two_tasks(false);
	RAISE(.reason = EXIT_REASON_TASK_SWITCH, .qual = TASK_SWITCH(BY_GATE), .insn_len = 2,
	      .idt_info = VALID(0x80 | INTR_TYPE_SOFT_INTERRUPT));
	expect_new_task(0);
	assert_int_equal(guest_get(OLD_AT + 0x20, 4), CODE + 2);
	two_tasks(false);
	RAISE(.reason = EXIT_REASON_TASK_SWITCH, .qual = TASK_SWITCH(BY_GATE),
	      .idt_info = VALID(NMI_VECTOR | INTR_TYPE_NMI));
	expect_new_task(0);
	assert_int_equal(field(GUEST_INTERRUPTIBILITY_INFO), INTERRUPTIBILITY_NMI);
	assert_false(field(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID);
}

/** A TSS that is busy: refused before anything has changed. Through a gate, EXT is set. */
static void refused_switches(void)
{
	two_tasks(true);
	RAISE(.reason = EXIT_REASON_TASK_SWITCH, .insn_len = 7, .qual = TASK_SWITCH(BY_JMP));
	EXPECT(.inject = INJECT_ERROR(GP_VECTOR), .error = NEW_TSS, .rflags_on = X86_EFLAGS_RF);
	guest_put64(GDT + NEW_TSS, descriptor(NEW_AT, 0x66, 0x89)); /* too short */
	RAISE(.reason = EXIT_REASON_TASK_SWITCH, .qual = TASK_SWITCH(BY_GATE),
	      .idt_info = VALID(INJECT(UD_VECTOR)));
	EXPECT(.inject = INJECT_ERROR(TS_VECTOR), .error = NEW_TSS | 1);
}

/** Flag T of the new TSS: #DB with DR6.BT. */
static void trap_of_a_task(void)
{
	two_tasks(false);
	put32(NEW_AT + 0x64, 1);
	RAISE(.reason = EXIT_REASON_TASK_SWITCH, .insn_len = 7, .qual = TASK_SWITCH(BY_JMP));
	expect_new_task(0);
	assert_int_equal(field(VM_ENTRY_INTR_INFO_FIELD), VALID(INJECT(DB_VECTOR)));
	assert_int_equal(cpu.live.dr[6], 0xffff8ff0);
}

#define CR3_EXITS "exit+=cr3-load,cr3-store"

const struct exit_test tests_control[] = {
	EXIT_TEST(clts_and_lmsw, "", EXIT_REASON_CR_ACCESS),
	EXIT_TEST(refused_writes, "", EXIT_REASON_CR_ACCESS),
	EXIT_TEST(cr4, "", EXIT_REASON_CR_ACCESS),
	EXIT_TEST(cr3, CR3_EXITS, EXIT_REASON_CR_ACCESS),
	EXIT_TEST(cr8, "exit+=cr8", EXIT_REASON_CR_ACCESS),
	EXIT_TEST(pdptes, "", EXIT_REASON_CR_ACCESS),
	EXIT_TEST(real_mode_without_unrestricted_guest, "features-=unrestricted-guest",
		  EXIT_REASON_CR_ACCESS),
	EXIT_TEST(other_registers, "", EXIT_REASON_CR_ACCESS),
	EXIT_TEST(jump_to_a_task, "", EXIT_REASON_TASK_SWITCH),
	EXIT_TEST(return_to_a_task, "", EXIT_REASON_TASK_SWITCH),
	EXIT_TEST(exception_by_a_task, "", EXIT_REASON_TASK_SWITCH),
	EXIT_TEST(events_by_a_task, "", EXIT_REASON_TASK_SWITCH),
	EXIT_TEST(refused_switches, "", EXIT_REASON_TASK_SWITCH),
	EXIT_TEST(trap_of_a_task, "", EXIT_REASON_TASK_SWITCH),
	{0},
};
