/* SPDX-License-Identifier: MIT */
/* Exits that are no instruction's: exceptions, NMIs and interrupts, windows, failed entries. What
 * the guest cannot raise by itself happens behind a VMCALL (include/zoo.h). */
#include "zoo_guest.h"

#include "guest/lapic_regs.h"
#include "guest/testdev.h"

#define ICR_SELF_NMI 0x44400u
#define LVT_EXTINT 0x700u
#define PIC_BASE 0x60
#define PIC_LINE 5

CODE(code_nop, "nop");
CODE(code_int1, ".byte 0xf1");
CODE(code_int3, "int3");
CODE(code_ud2, "ud2");
CODE(code_load, "movl (%rax), %ecx");
CODE(code_div, "divl %ecx");

/** An unaligned access in ring 3 with alignment checks on. */
static void alignment(void)
{
	static u64 word[2];
	const u64 cr0 = read_cr0();

	write_cr0(cr0 | X86_CR0_AM);
	SHOOT("an unaligned access", code_load, IN_RING3, .exit = NO_EXIT, .also = 1,
	      .flags = X86_EFLAGS_AC, .fault = AC_VECTOR, .in = {[REG_RAX] = VALUE((u64)word + 1)});
	write_cr0(cr0);
}

/** On page tables of the hypervisor's, what the guest maps is found out by an exit. */
static void page_faults(void)
{
	static _Alignas(PAGE_SIZE) u32 page[1024];
	u64 *pt = window_entries();

	page[0] = 0x600df00d;
	pt[0] = (u64)page | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
	write_cr3(read_cr3());
	SHOOT("the first access to a page", code_load, IN(RING0), .exit = NO_EXIT,
	      .also = on_shadow(), .in = {[REG_RAX] = VALUE(WINDOW)},
	      .out = {[REG_RCX] = VALUE(0x600df00d)}, .ways = WAY(PLAIN));
	SHOOT("and the second", code_load, IN(RING0), .exit = NO_EXIT,
	      .in = {[REG_RAX] = VALUE(WINDOW)}, .out = {[REG_RCX] = VALUE(0x600df00d)});
	pt[0] = 0;
	invlpg(WINDOW);
}

/** A single step, INT1, an unaligned access with RFLAGS.AC; on page tables of the hypervisor's, the
 *  first access to a page; by VMCALL, an NMI of the machine's. */
void zoo_EXCEPTION_NMI(void)
{
	raises("#DB, #AC, %san NMI; not #UD, #DE, #BP", on_shadow() ? "#PF, " : "");
	SHOOT("a single step", code_nop, IN(RING0) | IN(COMPAT0), .exit = NO_EXIT,
	      .ways = WAY(STEPPED));
	SHOOT("INT1", code_int1, IN(RING0) | IN(COMPAT0), .exit = NO_EXIT, .also = 1,
	      .trap = DB_VECTOR);
	SHOOT("INT3", code_int3, IN_RING0, .exit = NO_EXIT, .trap = BP_VECTOR);
	SHOOT("UD2", code_ud2, IN_ALL, .exit = NO_EXIT, .fault = UD_VECTOR);
	SHOOT("DIV by 0", code_div, IN_ALL, .exit = NO_EXIT, .fault = DE_VECTOR + FAULT_0,
	      .in = {[REG_RCX] = VALUE(0)});
	alignment();
	page_faults();
	exits_begin();
	if (arm(ZOO_EVENT_NMI, 0, NULL))
		EXITS("an NMI of the machine's", [EXIT_REASON_VMCALL] = 1,
		      [EXIT_REASON_EXCEPTION_NMI] = 1);
}

/** An interrupt of the machine's, by VMCALL. It is the hypervisor's: the guest sees nothing of it,
 *  though its interrupts are on. */
void zoo_EXTERNAL_INTERRUPT(void)
{
	bool there;

	raises("one of the machine's; the guest takes none");
	sti();
	exits_begin();
	there = arm(ZOO_EVENT_INTERRUPT, 0, NULL);
	cli();
	if (there)
		EXITS("an interrupt of the machine's", [EXIT_REASON_VMCALL] = 1,
		      [EXIT_REASON_EXTERNAL_INTERRUPT] = 1);
}

/** An event that comes by itself behind the call, and nothing else. */
#define BY_ITSELF(name, event, text, lack)                                                         \
	void zoo_##name(void)                                                                      \
	{                                                                                          \
		raises(text);                                                                      \
		exits_begin();                                                                     \
		if (arm(event, 0, lack))                                                           \
			EXITS(text, [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_##name] = 1);           \
	}

/** An INIT signal of the machine's, by VMCALL. */
BY_ITSELF(INIT_SIGNAL, ZOO_EVENT_INIT, "an INIT signal of the machine's", NULL)
/** An entry with bit 1 of RFLAGS 0 in the guest-state area, by VMCALL. */
BY_ITSELF(ENTRY_FAIL_GUEST_STATE, ZOO_EVENT_GUEST_STATE, "RFLAGS bit 1 is 0 at an entry", NULL)
/** An entry with IA32_FS_BASE in the MSR-load area, by VMCALL. */
BY_ITSELF(ENTRY_FAIL_MSR_LOADING, ZOO_EVENT_MSR_LOADING, "IA32_FS_BASE in the MSR-load area", NULL)
/** The pending exit is injected at an entry, by VMCALL. */
BY_ITSELF(MONITOR_TRAP_FLAG, ZOO_EVENT_MTF, "injected, pending at an entry",
	  "no monitor trap flag in this processor")
/** An entry with the timer at 0, by VMCALL. */
BY_ITSELF(PREEMPTION_TIMER, ZOO_EVENT_TIMER, "its value at an entry is 0",
	  "no VMX-preemption timer in this processor")

/** UD2 without an IDT: no gate for #UD, none for #GP, none for #DF. The guest goes on where it has
 *  asked for by VMCALL, with the registers that it had. */
void zoo_TRIPLE_FAULT(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = {0, 0}, idtr;
	u64 rax = ZOO_RESUME, rbx = 0x5a5a, rcx = 0, rsi = 0x123456789abcdef0, flags;

	raises("UD2 without an IDT; it goes on by ZOO_RESUME");
	__asm__ volatile("sidt %0" : "=m"(idtr));
	exits_begin();
	__asm__ volatile("leaq 1f(%%rip), %%rbx\n\t"
			 "movq %%rsp, %%rcx\n\t"
			 "vmcall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "lidt %5\n\t"
			 "stc\n\t"
			 "ud2\n"
			 "1:\tpushfq\n\t"
			 "popq %4\n\t"
			 "lidt %6"
			 : "+a"(rax), "+&b"(rbx), "+&c"(rcx), "+S"(rsi), "=&r"(flags)
			 : "m"(none), "m"(idtr)
			 : "memory", "cc", "rdx");
	EXITS("a triple fault", [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_TRIPLE_FAULT] = 1);
	check(rax == ZOO_DONE && rsi == 0x123456789abcdef0, "RAX %lx, RSI %lx", (unsigned long)rax,
	      (unsigned long)rsi);
	check(flags & X86_EFLAGS_CF, "RFLAGS %lx", (unsigned long)flags);
}

static volatile struct {
	u32 nr;
	u64 rip, tf;
} taken;

static void take(struct trap_frame *f)
{
	taken.nr++;
	taken.rip = f->rip;
}

static void line(bool level)
{
	outb(TESTDEV_IRQ_PORTS + PIC_LINE, level);
}

/** An interrupt of the 8259s, which is injected in every configuration, waits for STI. */
void zoo_INTERRUPT_WINDOW(void)
{
	u64 want;

	raises("an interrupt of the 8259s waits; STI");
	pic_init(PIC_BASE, (u8) ~(1u << PIC_LINE));
	mmio_write(LAPIC_DEFAULT_BASE + LAPIC_LVT_LINT0, LVT_EXTINT);
	trap_set(PIC_BASE + PIC_LINE, take);
	taken.nr = 0;
	line(true);
	exits_begin();
	want = sti_cli();
	EXITS("an interrupt that waits for STI", [EXIT_REASON_INTERRUPT_WINDOW] = 1);
	check(taken.nr == 1 && taken.rip == want, "%u interrupts, the last at %lx, not %lx",
	      taken.nr, (unsigned long)taken.rip, (unsigned long)want);
	line(false);
	outb(PIC1, PIC_EOI);
	mmio_write(LAPIC_DEFAULT_BASE + LAPIC_LVT_LINT0, LVT_MASKED);
	probe_takes(PIC_BASE + PIC_LINE);
	outb(PIC1 + 1, 0xff);
}

static void send_nmi(void)
{
	mmio_write(LAPIC_DEFAULT_BASE + LAPIC_ICR, ICR_SELF_NMI);
}

/** The first one sends another, which waits for the first one's IRET. */
static void on_nmi(struct trap_frame *f)
{
	if (taken.nr++ == 0) {
		taken.rip = f->rip;
		send_nmi();
		check(taken.nr == 1, "an NMI in the handler of another");
		exits_begin();
		return;
	}
	EXITS("an NMI that waits for IRET", [EXIT_REASON_NMI_WINDOW] = 1);
	check(f->rip == taken.rip, "the second NMI at %lx, not %lx", (unsigned long)f->rip,
	      (unsigned long)taken.rip);
}

/** An NMI that another one's handler sends to its own processor waits for the handler's IRET. */
void zoo_NMI_WINDOW(void)
{
	raises("an NMI waits for the IRET of another");
	taken.nr = 0;
	trap_set(NMI_VECTOR, on_nmi);
	send_nmi();
	check(taken.nr == 2, "%u NMIs, not 2", taken.nr);
	probe_takes(NMI_VECTOR);
}
