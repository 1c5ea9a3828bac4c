/* SPDX-License-Identifier: MIT */
/* The panic screen: sentence, registers, backtrace with symbols, last exits. */
#include "panic.h"

#include "core.h"
#include "exit_log.h"
#include "insn.h"
#include "lib/fmt.h"
#include "machine.h"
#include "poweroff.h"
#include "x86.h"

#define BACKTRACE_MAX 24

/** What tools/mksyms.py puts into the image after the link, sorted by address. */
struct symbol_table {
	u32 nr;
	struct {
		u32 address; /* less CORE_BASE */
		u32 name;    /* bytes from the start of the table */
	} entry[];
};
extern const struct symbol_table __symbols;

extern char __text_start[], __text_end[];
extern char __stack_bottom[], __stack_mc_top[];

const char *symbol_name(u64 addr, u64 *offset)
{
	const struct symbol_table *table = &__symbols;
	u32 lo = 0, hi = table->nr;

	*offset = 0;
	if (addr < (u64)__text_start || addr >= (u64)__text_end || !hi)
		return "?";
	while (hi - lo > 1) {
		u32 mid = (lo + hi) / 2;

		if (CORE_BASE + table->entry[mid].address <= addr)
			lo = mid;
		else
			hi = mid;
	}
	*offset = addr - CORE_BASE - table->entry[lo].address;
	return (const char *)table + table->entry[lo].name;
}

static void print_address(unsigned n, u64 addr)
{
	u64 offset;
	const char *name = symbol_name(addr, &offset);

	klog("  #%u %016llx %s+0x%llx", n, (unsigned long long)addr, name,
	     (unsigned long long)offset);
}

static bool on_a_stack(u64 addr)
{
	return addr >= (u64)__stack_bottom && addr + 16 <= (u64)__stack_mc_top && !(addr & 7);
}

/** linker.ld leaves a page unmapped below each stack. */
static bool on_guard_page(u64 addr)
{
	return addr >= (u64)__stack_bottom - PAGE_SIZE && addr < (u64)__stack_bottom;
}

static void backtrace(u64 rip, u64 rbp)
{
	klog("backtrace:");
	print_address(0, rip);
	for (unsigned n = 1; n < BACKTRACE_MAX && on_a_stack(rbp); n++) {
		const u64 *frame = (const u64 *)rbp;

		if (!frame[1])
			break;
		print_address(n, frame[1]);
		if (frame[0] <= rbp)
			break;
		rbp = frame[0];
	}
}

static _Noreturn void end(void)
{
	if (core.machine) {
		vcpu_print_exits(core.machine->vcpu[0], 16);
		trace_dump_last(core.machine->vcpu[0]);
	}
	klog("the hypervisor has stopped; the machine must be reset");
	console_flush();
	machine_off_after_panic();
}

static void enter(void)
{
	cli();
	if (core.panicking) {
		/* A fault while reporting the first one: say so with the least machinery. */
		klog("PANIC: again, while printing the first");
		console_flush();
		machine_off_after_panic();
	}
	core.panicking = true;
	console_wire_cut();
}

_Noreturn void panic(const char *f, ...)
{
	char text[256];
	va_list ap;

	enter();
	va_start(ap, f);
	fmt_vsnprintf(text, sizeof(text), f, ap);
	va_end(ap);
	klog("PANIC: %s", text);
	backtrace((u64)__builtin_return_address(0), (u64)__builtin_frame_address(0));
	end();
}

_Noreturn void panic_trap(const struct trap_frame *f)
{
	const char *name = f->vector < NR_EXCEPTIONS ? exception_name((u32)f->vector) : NULL;

	enter();
	klog("PANIC: exception %s (vector %llu, error code 0x%llx) in the hypervisor at %016llx",
	     name ? name : "?", (unsigned long long)f->vector, (unsigned long long)f->error,
	     (unsigned long long)f->rip);
#define LL(x) ((unsigned long long)(x))
	klog("rax %016llx rbx %016llx rcx %016llx rdx %016llx", LL(f->rax), LL(f->rbx), LL(f->rcx),
	     LL(f->rdx));
	klog("rsi %016llx rdi %016llx rbp %016llx rsp %016llx", LL(f->rsi), LL(f->rdi), LL(f->rbp),
	     LL(f->rsp));
	klog("r8  %016llx r9  %016llx r10 %016llx r11 %016llx", LL(f->r8), LL(f->r9), LL(f->r10),
	     LL(f->r11));
	klog("r12 %016llx r13 %016llx r14 %016llx r15 %016llx", LL(f->r12), LL(f->r13), LL(f->r14),
	     LL(f->r15));
	klog("rip %016llx rflags %08llx cs %04llx ss %04llx", LL(f->rip), LL(f->rflags), LL(f->cs),
	     LL(f->ss));
	klog("cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx", LL(read_cr0()), LL(read_cr2()),
	     LL(read_cr3()), LL(read_cr4()));
#undef LL
	if (on_guard_page(read_cr2()))
		klog("the stack is used up: CR2 lies on the guard page below it");
	backtrace(f->rip, f->rbp);
	end();
}
