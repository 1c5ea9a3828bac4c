/* SPDX-License-Identifier: MIT */
/*
 * Random exits in random states, from a fixed seed: whatever comes of one, it was counted and
 * logged, VM entry would take the event, nothing panicked, and the sanitizers are content.
 * EXITS_SEED in the environment chooses another one, EXITS_COUNT how many.
 */
#include <stdlib.h>

#include "exits.h"

#define EXITS 10000
#define ON "exit+=mov-dr,descriptor-table,rdrand,exceptions=all"

static u64 state;

/** xorshift64*. */
static u64 any(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static u32 below(u32 n)
{
	return (u32)(any() >> 32) % n;
}

static bool chance(u32 one_in)
{
	return !below(one_in);
}

/** Values at which something happens. */
static u64 edge(void)
{
	static const u64 edges[] = {0,
				    1,
				    7,
				    0xfffe,
				    0x7fffffff,
				    0xffffffff,
				    BIT(32),
				    0x7ffffffffffc,
				    0x800000000000,
				    0xffff800000000000,
				    ~0ull,
				    DATA,
				    DATA + 0xffe,
				    SUPERVISOR,
				    READ_ONLY,
				    NOT_PRESENT - 3,
				    NOT_PRESENT,
				    NO_MEMORY,
				    STACK,
				    TABLES,
				    0xfee00020,
				    GDT};

	return chance(4) ? any() >> below(64) : edges[below(ARRAY_SIZE(edges))] + below(4);
}

static u32 random_msr(void)
{
	static const u32 first[] = {0,	   0x10,  0x1b,	 0x3a,	     0xfe,	0x174, 0x1a0,
				    0x1d9, 0x200, 0x277, 0x2ff,	     0x400,	0x480, 0x6e0,
				    0x800, 0x830, 0xda0, 0xc0000080, 0xc0000100};

	return chance(16) ? (u32)any() : first[below(ARRAY_SIZE(first))] + below(8);
}

static u64 random_rflags(void)
{
	const u64 may = 0x254dd5; /* no VM, no RF: what follows decides */

	return (any() & may & ~(X86_EFLAGS_VM | X86_EFLAGS_RF)) | X86_EFLAGS_FIXED;
}

/** A state in which a guest can be when an instruction exits: with TF in the shadow of MOV SS a
 * trap is pending, and in that of STI it came before. */
static void random_state(void)
{
	u64 rflags = random_rflags();
	u32 blocking = chance(4) ? INTERRUPTIBILITY_NMI : 0;
	bool btf = chance(8);

	/* Shadow page tables have no real mode. */
	guest_mode((enum guest_mode)below(machine->controls.own_tables ? 5 : 6), 0);
	if (vcpu_cr0(vcpu) & X86_CR0_PE)
		guest_mode((enum guest_mode)below(5), chance(2) ? 0 : 3);
	if (chance(4))
		blocking |= INTERRUPTIBILITY_MOV_SS;
	else if ((rflags & X86_EFLAGS_IF) && !(rflags & X86_EFLAGS_TF) && chance(3))
		blocking |= INTERRUPTIBILITY_STI;
	set_field(GUEST_RFLAGS, rflags);
	set_field(GUEST_IA32_DEBUGCTL, btf ? DEBUGCTL_BTF : 0);
	set_field(GUEST_INTERRUPTIBILITY_INFO, blocking);
	set_field(GUEST_PENDING_DBG_EXCEPTIONS,
		  (blocking & INTERRUPTIBILITY_MOV_SS) && (rflags & X86_EFLAGS_TF) && !btf
			  ? PENDING_DBG_BS
			  : 0);
	set_field(GUEST_DR7, 0x400 | (chance(8) ? BIT(13) : 0));
	set_field(GUEST_DS_LIMIT, chance(2) ? ~0u : 0xfffff);
	for (unsigned i = 0; i < 16; i++)
		vcpu->gpr[i] = edge();
	set_field(GUEST_RSP, edge());
}

/** Instructions of the kinds that exits decode, with random operands. */
static u32 random_code(u8 opcode)
{
	u8 b[15];
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (u8)any();
	if (chance(3))
		b[n++] = 0x66;
	if (field(GUEST_CS_AR_BYTES) & BIT(13) && chance(2))
		b[n++] = 0x40 | (b[14] & 15);
	if (opcode) {
		b[n++] = 0x0f;
		b[n++] = opcode;
	}
	guest_put(field(GUEST_RIP), b, sizeof(b));
	return n + 1 + below(4);
}

static u32 random_exception(void)
{
	static const u8 vectors[] = {0, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19};
	const u32 with_error = 0x27d00;
	u8 v = vectors[below(ARRAY_SIZE(vectors))];
	bool error;

	if (v == PF_VECTOR && !(vcpu_cr0(vcpu) & X86_CR0_PG))
		v = GP_VECTOR;
	error = (with_error & BIT(v)) && (vcpu_cr0(vcpu) & X86_CR0_PE);

	return VALID(error ? INJECT_ERROR(v) : INJECT(v));
}

/** An event that an exit cut short, as the SDM's tables allow them. */
static void random_vectoring(struct exit_info *e)
{
	switch (below(6)) {
	case 0:
		e->idt_info = random_exception();
		e->idt_error = below(0x10000);
		break;
	case 1:
		if (field(GUEST_RFLAGS) & X86_EFLAGS_IF &&
		    !(field(GUEST_INTERRUPTIBILITY_INFO) & 3))
			e->idt_info = VALID((16 + below(240)) | INTR_TYPE_EXTERNAL);
		break;
	case 2:
		e->idt_info = VALID(below(256) | INTR_TYPE_SOFT_INTERRUPT);
		e->insn_len = 2;
		break;
	}
}

static void random_info(struct exit_info *e)
{
	static const u16 reasons[] = {EXIT_REASON_EXCEPTION_NMI,
				      EXIT_REASON_CPUID,
				      EXIT_REASON_HLT,
				      EXIT_REASON_INVLPG,
				      EXIT_REASON_RDTSC,
				      EXIT_REASON_CR_ACCESS,
				      EXIT_REASON_DR_ACCESS,
				      EXIT_REASON_IO_INSTRUCTION,
				      EXIT_REASON_RDMSR,
				      EXIT_REASON_WRMSR,
				      EXIT_REASON_GDTR_IDTR_ACCESS,
				      EXIT_REASON_LDTR_TR_ACCESS,
				      EXIT_REASON_EPT_VIOLATION,
				      EXIT_REASON_RDRAND,
				      EXIT_REASON_XSETBV,
				      EXIT_REASON_INVPCID,
				      EXIT_REASON_TASK_SWITCH,
				      EXIT_REASON_APIC_ACCESS,
				      EXIT_REASON_VMCALL,
				      EXIT_REASON_PAUSE,
				      EXIT_REASON_NMI_WINDOW,
				      EXIT_REASON_INTERRUPT_WINDOW};
	const u32 info = (u32)any();

	*e = (struct exit_info){.reason = reasons[below(ARRAY_SIZE(reasons))],
				.insn_len = 1 + below(15)};
	switch (e->reason) {
	case EXIT_REASON_EXCEPTION_NMI:
		e->intr_info = random_exception();
		e->intr_error = below(0x10000);
		e->qual = edge();
		random_vectoring(e);
		break;
	case EXIT_REASON_CR_ACCESS:
		e->qual = any() & 0xffff0f3f;
		break;
	case EXIT_REASON_DR_ACCESS:
		e->qual = any() & 0xf17;
		break;
	case EXIT_REASON_IO_INSTRUCTION:
		e->qual = (any() & 0xffff0078) | (chance(3) ? 3 : below(2));
		e->insn_info = (info & 0x28000) | (1u + below(2)) << 7;
		break;
	case EXIT_REASON_GDTR_IDTR_ACCESS:
	case EXIT_REASON_LDTR_TR_ACCESS:
		e->insn_len = random_code(e->reason == EXIT_REASON_LDTR_TR_ACCESS);
		if (e->reason == EXIT_REASON_GDTR_IDTR_ACCESS)
			e->insn_len = random_code(1);
		/* fall through */
	case EXIT_REASON_INVPCID:
		e->qual = edge();
		e->insn_info = (info & 0xffc78003u) | below(3) << 7;
		break;
	case EXIT_REASON_RDRAND:
		e->insn_len = random_code(0xc7);
		break;
	case EXIT_REASON_EPT_VIOLATION:
		random_code(0);
		e->gpa = edge() & 0xffffffffff;
		e->qual = (1u << below(3)) | (any() & 0x1180);
		random_vectoring(e);
		break;
	case EXIT_REASON_APIC_ACCESS:
		random_code(0);
		e->qual = any() & 0xffff;
		break;
	case EXIT_REASON_TASK_SWITCH:
		e->qual = (any() & 0xc0000000) | (below(0x100) & ~4u);
		break;
	case EXIT_REASON_INVLPG:
		e->qual = edge();
		break;
	}
}

/** On shadow page tables an access to a device is a page fault, where nothing is known of a page.
 */
static void make_page_fault(struct exit_info *e)
{
	e->reason = EXIT_REASON_EXCEPTION_NMI;
	e->intr_info =
		VALID(INJECT_ERROR(PF_VECTOR)) | (chance(8) ? (u32)INTR_INFO_NMI_UNBLOCK : 0);
	e->intr_error = 9 | (below(2) << 1) | (vcpu_cpl() == 3 ? 4 : 0);
	e->qual = vcpu->shadow.efer & EFER_LMA ? edge() : (u32)edge();
	e->gpa = 0;
}

static u64 number(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_exits(void)
{
	const u64 seed = number("EXITS_SEED", 1), count = number("EXITS_COUNT", EXITS);
	u64 ends = 0;

	for (u64 i = 0; i < count; i++) {
		struct exit_info e;

		state = (seed * 1000003 + i) * 0x9e3779b97f4a7c15ull | 1;
		any();
		random_state();
		if (chance(16))
			guest_nmi();
		random_info(&e);
		/* A task switch leaves any protected mode but IA-32e mode. */
		if (e.reason == EXIT_REASON_TASK_SWITCH &&
		    (vcpu->shadow.efer & EFER_LMA || !(vcpu_cr0(vcpu) & X86_CR0_PE)))
			e.reason = EXIT_REASON_PAUSE;
		if (e.reason == EXIT_REASON_RDMSR || e.reason == EXIT_REASON_WRMSR)
			vcpu->gpr[REG_RCX] = random_msr();
		if (e.reason == EXIT_REASON_EPT_VIOLATION && machine->controls.own_tables)
			make_page_fault(&e);
		raise_exit(&e);
		if (ending() == PANICKED)
			fail_msg("exit %llu, reason %u:\n%s", (unsigned long long)i, e.reason,
				 said_text());
		if (ending() == STOPPED) {
			ends++;
			raise_goes_on();
		}
	}
	assert_in_range(ends, count / 100, count / 2); /* it is not all for nothing */
}

const struct exit_test tests_random[] = {
	EXIT_TEST(random_exits, ON, EXIT_REASON_EXCEPTION_NMI),
	EXIT_TEST(random_exits, "paging=shadow " ON, EXIT_REASON_EXCEPTION_NMI),
	{0},
};
