/* SPDX-License-Identifier: MIT */
/* With zoo=1: what a guest orders by VMCALL is in force for one entry, and then as it was. */
#include "exits.h"
#include "vmm/zoo_calls.h"

#define NMI (NMI_VECTOR | INTR_TYPE_NMI)
#define PAGE 0x500000ull /* an address in the guest's memory: a large page */

/** ZOO_ARM; what it answers. What can be had is in force when this returns. */
static enum zoo_answer order(enum zoo_event event)
{
	enum zoo_answer answer;

	vcpu->gpr[REG_RAX] = ZOO_ARM;
	vcpu->gpr[REG_RBX] = event; /* 0 is among them, so that RAISE() would fill it in */
	vcpu->gpr[REG_RCX] = PAGE;
	assert_true(zoo_call(vcpu));
	answer = (enum zoo_answer)vcpu->gpr[REG_RAX];
	RAISE(.reason = EXIT_REASON_INVD, .insn_len = 2);
	EXPECT(.advance = 2, .inject = vcpu->done & INJECTING ? NMI : 0,
	       .rflags_off = event == ZOO_EVENT_GUEST_STATE ? X86_EFLAGS_FIXED : 0,
	       .fields = {VM_ENTRY_MSR_LOAD_COUNT, VM_ENTRY_MSR_LOAD_ADDR, GUEST_CR4,
			  SECONDARY_VM_EXEC_CONTROL, GUEST_PML_INDEX, PML_ADDRESS,
			  VM_FUNCTION_CONTROL});
	return answer;
}

/** Fields that nobody reads while their control is 0; and those that each exit has anew. */
static bool may_stay(u32 encoding)
{
	switch (encoding) {
	case GUEST_PML_INDEX:
		return !vcpu->pml;
	case PML_ADDRESS:
		return !vcpu->pml;
	case VM_FUNCTION_CONTROL:
	case GUEST_RIP:
	case VMX_PREEMPTION_TIMER_VALUE:
		return true;
	default:
		return vmcs_field_is_read_only(encoding);
	}
}

/** How many fields are not as they were; by name, where none may be. */
static unsigned changes(const struct vmcs_image *before, bool none)
{
	unsigned nr = 0;

	for (int row = 0; row < NR_VMCS_ROWS; row++) {
		u32 encoding = vmcs_row_field(row);

		if (may_stay(encoding) || cpu.vmcs.value[row] == before->value[row])
			continue;
		nr++;
		if (none)
			fail_msg("%s is 0x%llx, was 0x%llx", vmcs_field_name(encoding),
				 (unsigned long long)cpu.vmcs.value[row],
				 (unsigned long long)before->value[row]);
	}
	return nr;
}

/** Events of the VMCS's, which are seen there. */
#define IN_VMCS                                                                                    \
	(BIT(ZOO_EVENT_GUEST_STATE) | BIT(ZOO_EVENT_MSR_LOADING) | BIT(ZOO_EVENT_PML_FULL) |       \
	 BIT(ZOO_EVENT_SMXE) | BIT(ZOO_EVENT_VMFUNC))

/** What cannot be had of this machine. */
static u64 lacking_events(void)
{
	u64 lacking = BIT(ZOO_EVENT_XSS) | BIT(ZOO_EVENT_SPP);

	if (machine->controls.own_tables)
		lacking |= BIT(ZOO_EVENT_EPT_MISCONFIG) | BIT(ZOO_EVENT_PML_FULL);
	if (!(machine->vmx.word[WORD_PIN] & PIN_PREEMPTION_TIMER))
		lacking |= BIT(ZOO_EVENT_TIMER);
	return lacking;
}

/** Each event, and an exit that is none of its: the next entry knows nothing of it. */
static void all_is_put_back(void)
{
	const u64 lacking = lacking_events();
	struct paging *p = machine->paging;

	for (enum zoo_event event = 0; event < NR_ZOO_EVENTS; event++) {
		const struct vmcs_image before = cpu.vmcs;
		const u64 nmis = core.cpu.nmis, strays = core.cpu.stray_interrupts;

		if (event == ZOO_EVENT_MTF) /* no rule of the simulated processor's lets it in */
			continue;
		if (order(event) != ZOO_DONE) {
			assert_true(lacking & BIT(event));
			assert_int_equal(vcpu->zoo->in_force, ZOO_NOTHING);
			continue;
		}
		assert_false(lacking & BIT(event));
		assert_int_equal(vcpu->zoo->in_force, event);
		assert_int_equal(changes(&before, false) != 0, !!(IN_VMCS & BIT(event)));
		RAISE(.reason = EXIT_REASON_INVD, .insn_len = 2);
		assert_int_equal(vcpu->zoo->in_force, ZOO_NOTHING);
		changes(&before, true);
		assert_int_equal(*processor_msr(MSR_IA32_XSS), 0);
		assert_int_equal(core.cpu.nmis, nmis);
		assert_int_equal(core.cpu.stray_interrupts, strays);
		if (!machine->controls.own_tables)
			assert_false(p->ops->spoil(p, GPA(PAGE), PAGING_WHOLE));
	}
}

/** Section 27.8: what was to be injected is to be injected still. Only the failure that was ordered
 * is survived. */
static void ordered_failures(void)
{
	const u32 failed = (u32)EXIT_REASON_ENTRY_FAILURE;

	guest_nmi();
	assert_int_equal(order(ZOO_EVENT_GUEST_STATE), ZOO_DONE);
	RAISE(.reason = failed | 33);
	EXPECT(.inject = NMI, .rflags_on = X86_EFLAGS_FIXED);
	assert_int_equal(order(ZOO_EVENT_GUEST_STATE), ZOO_DONE);
	RAISE(.reason = failed | 34, .qual = 1);
	expect_stop(OUTCOME_ENTRY_FAILURE, "MSR loading: entry 1 of the area");

	guest_nmi();
	assert_int_equal(order(ZOO_EVENT_MSR_LOADING), ZOO_DONE);
	RAISE(.reason = failed | 34, .qual = 1);
	EXPECT(.inject = NMI, .fields = {VM_ENTRY_MSR_LOAD_COUNT, VM_ENTRY_MSR_LOAD_ADDR});
	assert_int_equal(order(ZOO_EVENT_MSR_LOADING), ZOO_DONE);
	RAISE(.reason = failed | 33);
	expect_stop(OUTCOME_ENTRY_FAILURE, "invalid guest state (qualification 0)");

	assert_int_equal(order(ZOO_EVENT_GUEST_STATE), ZOO_DONE);
	*processor_msr(MSR_IA32_MCG_STATUS) = 5;
	RAISE(.reason = failed | 41);
	expect_panic("machine check during a VM entry: MCG_STATUS 5");
}

/** The exit that an order was for ends the run: nothing of it is left in the page tables. */
static void an_end_cancels(void)
{
	struct paging *p = machine->paging;

	assert_int_equal(order(ZOO_EVENT_EPT_MISCONFIG), ZOO_DONE);
	RAISE(.reason = EXIT_REASON_TRIPLE_FAULT);
	expect_stop(OUTCOME_TRIPLE_FAULT, "the guest took a triple fault");
	assert_false(p->ops->spoil(p, GPA(PAGE), PAGING_WHOLE));
	assert_int_equal(vcpu->zoo->in_force, ZOO_NOTHING);
	assert_int_equal(vcpu->zoo->ordered, ZOO_NOTHING);
}

static u64 ticks_left(void)
{
	RAISE(.reason = EXIT_REASON_INVD, .insn_len = 2);
	EXPECT(.advance = 2, .fields = {CPU_BASED_VM_EXEC_CONTROL}); /* the 8254 waits */
	return vcpu->deadline - cpu.tsc;
}

/** It is the guest's time that counts, which stands still while a trace is written. */
static void quiet(void)
{
	const u64 slack = 100 * SIM_TSC_STEP;

	vcpu->gpr[REG_RAX] = ZOO_QUIET;
	vcpu->gpr[REG_RBX] = 1;
	assert_true(zoo_call(vcpu));
	assert_int_equal(vcpu->gpr[REG_RAX], ZOO_DONE);
	assert_in_range(ticks_left(), ZOO_QUIET_TICKS - slack, ZOO_QUIET_TICKS);
	cpu.tsc += ZOO_QUIET_TICKS;
	machine_skip_time(machine, ZOO_QUIET_TICKS);
	assert_in_range(ticks_left(), ZOO_QUIET_TICKS - 2 * slack, ZOO_QUIET_TICKS);
	cpu.tsc += ZOO_QUIET_TICKS;
	ticks_left();
	assert_int_equal(vcpu->zoo->quiet_until, 0);
}

const struct exit_test tests_zoo[] = {
	EXIT_TEST(all_is_put_back, "zoo=1", EXIT_REASON_INVD),
	EXIT_TEST(all_is_put_back, "zoo=1 dirty=1", EXIT_REASON_INVD),
	EXIT_TEST(all_is_put_back, "zoo=1 paging=shadow", EXIT_REASON_INVD),
	EXIT_TEST(all_is_put_back, "zoo=1 features-=preemption-timer", EXIT_REASON_INVD),
	EXIT_TEST(ordered_failures, "zoo=1", 33, 34, 41),
	EXIT_TEST(quiet, "zoo=1", EXIT_REASON_INVD),
	EXIT_TEST(quiet, "zoo=1 features-=preemption-timer", EXIT_REASON_INVD),
	EXIT_TEST(an_end_cancels, "zoo=1", EXIT_REASON_TRIPLE_FAULT),
	{0},
};
