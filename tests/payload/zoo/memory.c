/* SPDX-License-Identifier: MIT */
/* Guest-physical memory under EPT: holes, entries that are wrong, the page-modification log,
 * sub-page permissions. On page tables of the hypervisor's all of it is page faults. */
#include "zoo_guest.h"

#define IOAPIC_REGSEL 0xfec00000u /* reads back what was written */
#define PF_WRITE 2u
#define PF_USER 4u

CODE(code_load, "movl (%rax), %ecx");
CODE(code_store, "movl %ecx, (%rax)");
CODE(code_add, "addl %ecx, (%rax)");

#define FLAGS_OF_ADD                                                                               \
	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF |           \
	 X86_EFLAGS_OF)

/** A device's register: no memory in any mode. */
static void device(u32 exit)
{
	const u64 at = IOAPIC_REGSEL;

	SHOOT("a write", code_store, IN_ALL, .exit = exit,
	      .in = {[REG_RAX] = VALUE(at), [REG_RCX] = VALUE(0x2a)});
	SHOOT("a read", code_load, IN_ALL, .exit = exit, .in = {[REG_RAX] = VALUE(at)},
	      .out = {[REG_RCX] = VALUE(0x2a)});
	/* 0x2a + 0x56 = 0x80: no carry out of the byte, one out of its half. */
	SHOOT("a read and a write", code_add, IN(RING3), .exit = exit,
	      .in = {[REG_RAX] = VALUE(at), [REG_RCX] = VALUE(0x56)}, .flags_written = FLAGS_OF_ADD,
	      .flags_out = X86_EFLAGS_AF, .ways = WAY(PLAIN));
	SHOOT("a read again", code_load, IN(RING0), .exit = exit, .in = {[REG_RAX] = VALUE(at)},
	      .out = {[REG_RCX] = VALUE(0x80)});
}

/** The guest's own page tables come first. */
static void guarded_device(u32 exit)
{
	u64 *pt = window_entries();

	pt[1] = IOAPIC_REGSEL | PTE_P | PTE_A | PTE_D;
	write_cr3(read_cr3());
	SHOOT("a page of the supervisor's", code_load, IN(RING3), .exit = NO_EXIT,
	      .fault = PF_VECTOR, .error = PTE_P | PF_USER,
	      .in = {[REG_RAX] = VALUE(WINDOW + PAGE_SIZE)});
	check(read_cr2() == WINDOW + PAGE_SIZE, "CR2 %lx", (unsigned long)read_cr2());
	SHOOT("and for the supervisor", code_load, IN(RING0), .exit = exit,
	      .in = {[REG_RAX] = VALUE(WINDOW + PAGE_SIZE)}, .out = {[REG_RCX] = VALUE(0x80)});
	pt[1] = 0;
	invlpg(WINDOW + PAGE_SIZE);
}

/** Reads and writes of the I/O APIC's registers, where no memory is, in every ring. The faults of
 * the guest's own page tables come first. */
void zoo_EPT_VIOLATION(void)
{
	raises("a device read and written, rings 0 and 3");
	if (on_shadow()) {
		device(EXIT_REASON_EXCEPTION_NMI);
		not_here("no EPT with paging=shadow: page faults");
		return;
	}
	device(EXIT_REASON_EPT_VIOLATION);
	guarded_device(EXIT_REASON_EPT_VIOLATION);
}

static _Alignas(PAGE_SIZE) volatile u32 page[1024];

/** A read of a page whose EPT entry allows writes and no reads, by VMCALL. */
void zoo_EPT_MISCONFIG(void)
{
	u32 got;

	raises("a read where the entry allows writes only");
	page[5] = 0xfeedbee5;
	exits_begin();
	if (!arm(ZOO_EVENT_EPT_MISCONFIG, (u64)page, "no EPT in this processor"))
		return;
	got = page[5];
	EXITS("a misconfigured entry", [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_EPT_MISCONFIG] = 1);
	check(got == 0xfeedbee5, "the page has %x", got);
}

/** A write to a page that is not dirty while the page-modification log is full, by VMCALL. */
void zoo_PML_FULL(void)
{
	raises("a write to a clean page, the log is full");
	page[6] = 1;
	exits_begin();
	if (!arm(ZOO_EVENT_PML_FULL, (u64)page, "no page-modification log in this processor"))
		return;
	page[6] = 2;
	EXITS("a full log", [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_PML_FULL] = 1);
	check(page[6] == 2, "the page has %x", page[6]);
}

/** A write to a page with sub-page permissions and no table of them, by VMCALL. */
void zoo_SPP_EVENT(void)
{
	raises("a write to a page without a table of its own");
	page[7] = 1;
	exits_begin();
	if (!arm(ZOO_EVENT_SPP, (u64)page, "no sub-page permissions in this processor"))
		return;
	page[7] = 2;
	EXITS("a miss", [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_SPP_EVENT] = 1);
	check(page[7] == 2, "the page has %x", page[7]);
}
