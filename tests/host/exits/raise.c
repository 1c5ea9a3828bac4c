/* SPDX-License-Identifier: MIT */
/* Raising an exit, and judging all that came of it. */
#include "exits.h"
#include "vmm/zoo_calls.h"

/** What was before the exit. */
static struct {
	u64 gpr[16];
	struct vmcs_image vmcs;
	struct live_state live;
	struct exit_stats stats;
	u64 logged;
	u32 said_from;
} before;

static struct exit_info at_hand;
static enum ending ended;
static u32 raised_reasons[NR_EXIT_REASONS];

/** vmm/run.c. */
bool vmx_exited(struct vcpu *v);

static void fill_registers(void)
{
	for (unsigned i = 0; i < 16; i++) {
		/* Unless a test has set it. */
		if (!vcpu->gpr[i])
			vcpu->gpr[i] = 0x1111111111111111ull * i + 0x0123456700000000ull;
	}
	vcpu->gpr[REG_RSP] = 0xbadbadbadbadbadull; /* entry.asm leaves it as it was */
}

static void remember(void)
{
	memcpy(before.gpr, vcpu->gpr, sizeof(before.gpr));
	before.gpr[REG_RSP] = field(GUEST_RSP);
	before.vmcs = cpu.vmcs;
	before.live = cpu.live;
	before.stats = vcpu->stats;
	before.logged = exit_log_count(&vcpu->log);
	before.said_from = core.console.head;
}

/** It was counted, and nothing else was; the ring's newest entry tells of it. */
static void check_accounts(void)
{
	const u32 nr = at_hand.reason & EXIT_REASON_BASIC_MASK;
	const struct exit_log_entry *e = vcpu->log.last;

	assert_int_equal(exit_log_count(&vcpu->log), before.logged + 1);
	assert_int_equal(e->reason, at_hand.reason);
	/* Of a HLT, whose qualification is 0, it tells how long the processor slept. */
	assert_int_equal(e->qual, nr == EXIT_REASON_HLT
					  ? vcpu->stats.idle_cycles - before.stats.idle_cycles
					  : at_hand.qual);
	assert_int_equal(e->rip, vmcs_get(&before.vmcs, GUEST_RIP));
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		u64 cycles = vcpu->stats.cycles[i] - before.stats.cycles[i];

		assert_int_equal(vcpu->stats.count[i] - before.stats.count[i], i == nr);
		if (i == nr)
			assert_int_equal(e->cycles, (u32)cycles);
		assert_int_equal(!!cycles, i == nr);
	}
}

static void check_entry(void)
{
	const char *broken = vmcs_event_rule_broken(&cpu.vmcs);

	if (broken)
		fail_msg("VM entry would fail: %s; after exit %u, qualification 0x%llx, exception "
			 "0x%x in 0x%x, event 0x%llx, rflags 0x%llx, blocking 0x%llx, cr0 0x%llx",
			 broken, at_hand.reason, (unsigned long long)at_hand.qual,
			 at_hand.intr_info, at_hand.idt_info,
			 (unsigned long long)field(VM_ENTRY_INTR_INFO_FIELD),
			 (unsigned long long)field(GUEST_RFLAGS),
			 (unsigned long long)field(GUEST_INTERRUPTIBILITY_INFO),
			 (unsigned long long)field(GUEST_CR0));
	assert_false(cpu.nmi_blocked);
	assert_false(field(GUEST_RIP) >> 32 && vcpu_code_bits(vcpu) != 64);
}

void raise_exit(const struct exit_info *e)
{
	at_hand = *e;
	fill_registers();
	processor_vm_exit(e);
	remember();
	if ((e->reason & EXIT_REASON_BASIC_MASK) < NR_EXIT_REASONS)
		raised_reasons[e->reason & EXIT_REASON_BASIC_MASK]++;
	vcpu->exit_tsc = rdtsc();
	cpu.catches = true;
	if (setjmp(cpu.panicked)) {
		cpu.catches = false;
		ended = PANICKED;
		return;
	}
	ended = (vcpu->zoo ? zoo_exited(vcpu) : vmx_exited(vcpu)) ? GOES_ON : STOPPED;
	cpu.catches = false;
	check_accounts();
	if (ended == GOES_ON)
		check_entry();
}

bool panics(void (*call)(void))
{
	before.said_from = core.console.head;
	cpu.catches = true;
	if (setjmp(cpu.panicked)) {
		cpu.catches = false;
		return true;
	}
	call();
	cpu.catches = false;
	return false;
}

const char *said_text(void)
{
	static char text[CONSOLE_RING + 1];
	u32 n = 0;

	for (u32 i = before.said_from; i != core.console.head; i++)
		text[n++] = (char)core.console.ring[i % CONSOLE_RING];
	text[n] = 0;
	return text;
}

bool said(const char *text)
{
	return strstr(said_text(), text) != NULL;
}

static void expect_said(const char *text)
{
	if (!said(text))
		fail_msg("the console did not say \"%s\" but:\n%s", text, said_text());
}

static void check_registers(const struct effect *f)
{
	for (unsigned i = 0; i < 16; i++) {
		u64 now = i == REG_RSP ? field(GUEST_RSP) : vcpu->gpr[i];

		if (!(f->gprs & BIT(i)) && now != before.gpr[i])
			fail_msg("register %u is 0x%llx, was 0x%llx", i, (unsigned long long)now,
				 (unsigned long long)before.gpr[i]);
	}
}

/** What the fields have to be. */
static void apply(struct vmcs_image *i, const struct effect *f)
{
	u64 rip = vmcs_get(i, GUEST_RIP) + f->advance;

	vmcs_set(i, GUEST_RIP, rip);
	vmcs_set(i, GUEST_RFLAGS, (vmcs_get(i, GUEST_RFLAGS) | f->rflags_on) & ~f->rflags_off);
	vmcs_set(i, GUEST_INTERRUPTIBILITY_INFO,
		 (vmcs_get(i, GUEST_INTERRUPTIBILITY_INFO) | f->blocking_on) & ~f->blocking_off);
	vmcs_set(i, GUEST_PENDING_DBG_EXCEPTIONS,
		 (vmcs_get(i, GUEST_PENDING_DBG_EXCEPTIONS) | f->pending_on) & ~f->pending_off);
	if (!f->inject)
		return;
	vmcs_set(i, VM_ENTRY_INTR_INFO_FIELD, f->inject | INTR_INFO_VALID);
	if (f->inject & INTR_INFO_ERROR_CODE)
		vmcs_set(i, VM_ENTRY_EXCEPTION_ERROR_CODE, f->error);
	if (f->length)
		vmcs_set(i, VM_ENTRY_INSTRUCTION_LEN, f->length);
}

static bool may_change(const struct effect *f, u32 encoding)
{
	if (encoding == VMX_PREEMPTION_TIMER_VALUE)
		return true;
	if (encoding == GUEST_RSP && (f->gprs & BIT(REG_RSP)))
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(f->fields); i++) {
		if (f->fields[i] && f->fields[i] == encoding)
			return true;
	}
	return false;
}

static void check_fields(const struct effect *f)
{
	struct vmcs_image want = before.vmcs;

	apply(&want, f);
	for (int row = 0; row < NR_VMCS_ROWS; row++) {
		u32 encoding = vmcs_row_field(row);

		if (cpu.vmcs.value[row] != want.value[row] && !may_change(f, encoding))
			fail_msg("%s is 0x%llx, but has to be 0x%llx (was 0x%llx)",
				 vmcs_field_name(encoding), (unsigned long long)cpu.vmcs.value[row],
				 (unsigned long long)want.value[row],
				 (unsigned long long)before.vmcs.value[row]);
	}
}

void expect_entry(const struct effect *f)
{
	if (ended != GOES_ON)
		fail_msg("the run %s:\n%s", ended == PANICKED ? "panicked" : "ended", said_text());
	check_registers(f);
	check_fields(f);
	if (!f->live)
		assert_memory_equal(&cpu.live, &before.live, sizeof(cpu.live));
	vcpu->gpr[REG_RSP] = 0;
}

void raise_goes_on(void)
{
	machine->outcome = OUTCOME_NONE;
	vcpu->requests &= ~REQ_STOP;
	vcpu->event_info = 0; /* what would have been injected */
}

void expect_stop(enum outcome outcome, const char *text)
{
	if (ended != STOPPED)
		fail_msg("the run %s", ended == PANICKED ? "panicked" : "goes on");
	assert_string_equal(outcome_name(machine->outcome), outcome_name(outcome));
	expect_said(text);
	raise_goes_on();
}

void expect_panic(const char *text)
{
	if (ended != PANICKED)
		fail_msg("no panic");
	expect_said("PANIC: ");
	expect_said(text);
}

enum ending ending(void)
{
	return ended;
}

void raised_none(void)
{
	memset(raised_reasons, 0, sizeof(raised_reasons));
}

bool raised(u32 nr)
{
	return raised_reasons[nr];
}
