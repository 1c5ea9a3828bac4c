/* SPDX-License-Identifier: MIT */
/*
 * What a payload in C is made of: a tiny guest in 64-bit mode that tries things out and says how
 * they went. docs/testing.md has the way to write one.
 */
#ifndef TV_PAYLOAD_H
#define TV_PAYLOAD_H

#include "exit_reasons.h"
#include "types.h"

/* The payload's own part: runs its cases, by case_run(), and returns. Interrupts are off, the 8259
 * pair is masked, every vector leads to trap(). */
void payload_main(void);

/** One word of the command line, "NAME" or "NAME=...", is `name`? */
bool option(const char *name);

/* cases.c: results. */

/** Run `fn` as the case `name`: prints "PASS name" unless a check() in it failed. With "no-NAME" on
 *  the command line it is left out: "SKIP name". */
void case_run(const char *name, void (*fn)(void));

/** The same for who calls the function, and says PASS, himself. */
void case_begin(const char *name);

/** False: a check() failed. */
bool case_end(void);

/** A condition of the running case. Where it does not hold, prints "FAIL name: why". Returns it. */
bool check(bool ok, const char *why, ...) __attribute__((format(printf, 2, 3)));

/** The emulator underneath is known to depart from the SDM here, and did: the case ends with
 *  "DEPARTS name: what". The test that runs the payload knows all of them by name. */
void departs(const char *what);

/** Print on COM1. */
void print(const char *f, ...) __attribute__((format(printf, 1, 2)));

/** End now, with `verdict` on the debug-exit port. */
void payload_exit(u32 verdict) __attribute__((noreturn));

/* trap.c: interrupts and exceptions. */

/** What entry.asm leaves on the stack. */
struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

/** Call `fn` for `vector`; NULL: a vector that nobody expects is the end of the payload. */
void trap_set(u8 vector, void (*fn)(struct trap_frame *f));

void trap_init(void);

/** Let ring 3 call this vector by INT n. */
void trap_from_user(u8 vector);

/** Have this vector use entry `ist` of the TSS's interrupt stack table; 0: none. */
void trap_stack(u8 vector, unsigned ist);

#define NO_FAULT (-1)

/** How the last TRY() ended. */
struct fault {
	s64 vector; /* or NO_FAULT */
	u64 error, rip, rflags;
};
extern volatile struct fault fault;

/** Where execution goes on after an exception that TRY() expects; 0: none is expected. */
extern volatile u64 fault_resume;

/**
 * Run one instruction that may raise an exception: TRY("mov %0, %%cr8", :: "r"(16ul)). What follows
 * the text are operands of an extended asm. The value is the exception's vector, or NO_FAULT;
 * `fault` has the rest. After a fault the registers are as they were before.
 */
#define TRY(insn, ...)                                                                             \
	({                                                                                         \
		fault.vector = NO_FAULT;                                                           \
		__asm__ volatile("movq $1f, fault_resume\n\t" insn                                 \
				 "\n1:\tmovq $0, fault_resume" __VA_ARGS__);                       \
		fault.vector;                                                                      \
	})

/** RDMSR and WRMSR that may fault: the vector, or NO_FAULT. */
s64 try_rdmsr(u32 msr, u64 *value);
s64 try_wrmsr(u32 msr, u64 value);

/* pic.c: the 8259 pair. */
#define PIC1 0x20
#define PIC2 0xa0
#define PIC_EOI 0x20 /* written to PIC1 */

/** Vectors from `base` on; `mask` is the first 8259's, and all of the second one's inputs are
 * masked. */
void pic_init(u8 base, u8 mask);

/* counters.c: VM exits, by CPUID leaf 0x4ffffffd (docs/cpuid-leaves.md). */

/** Index of struct exit_counts for "this makes no exit". */
#define NO_EXIT NR_EXIT_REASONS

struct exit_counts {
	u32 n[NR_EXIT_REASONS + 1];
};

/** Count from here on. */
void exits_begin(void);

/** The exits since exits_begin(), less those of the counting itself. */
void exits_end(struct exit_counts *got);

/** exits_end(), and check that these exits there were and no other. Where no hypervisor counts
 *  (the payload may run on anything that boots Multiboot kernels), nothing is checked. */
void exits_check(const char *what, const struct exit_counts *want);

/** The same with the counts in place: EXITS("CPUID twice", [EXIT_REASON_CPUID] = 2). */
#define EXITS(what, ...) exits_check(what, &(const struct exit_counts){.n = {__VA_ARGS__}})

/* Instructions. Those that return an address give that of the instruction behind. */

static inline void outb(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outl(u16 port, u32 value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline u32 inl(u16 port)
{
	u32 value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline u8 inb(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline u64 read_cr0(void)
{
	u64 value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value)::"memory");
	return value;
}

static inline void write_cr0(u64 value)
{
	__asm__ volatile("mov %0, %%cr0" ::"r"(value) : "memory");
}

static inline u64 read_cr2(void)
{
	u64 value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value)::"memory");
	return value;
}

static inline u64 read_cr3(void)
{
	u64 value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value)::"memory");
	return value;
}

static inline void write_cr3(u64 value)
{
	__asm__ volatile("mov %0, %%cr3" ::"r"(value) : "memory");
}

static inline u64 read_cr4(void)
{
	u64 value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value)::"memory");
	return value;
}

static inline void write_cr4(u64 value)
{
	__asm__ volatile("mov %0, %%cr4" ::"r"(value) : "memory");
}

static inline void invlpg(u64 addr)
{
	__asm__ volatile("invlpg (%0)" ::"r"(addr) : "memory");
}

static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (u64)high << 32 | low;
}

static inline u64 wrmsr(u32 msr, u64 value)
{
	u64 next;

	__asm__ volatile("wrmsr\n1:\tmovq $1b, %0"
			 : "=&r"(next)
			 : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
			 : "memory");
	return next;
}

struct cpuid_out {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid_out cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_out r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf)
			 : "memory");
	return r;
}

static inline u64 rdtsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (u64)high << 32 | low;
}

static inline u32 mmio_read(u64 addr)
{
	u32 value;

	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(addr) : "memory");
	return value;
}

static inline u64 mmio_write(u64 addr, u32 value)
{
	u64 next;

	__asm__ volatile("movl %1, (%2)\n1:\tmovq $1b, %0"
			 : "=&r"(next)
			 : "r"(value), "r"(addr)
			 : "memory");
	return next;
}

static inline u64 read_cr8(void)
{
	u64 value;

	__asm__ volatile("mov %%cr8, %0" : "=r"(value)::"memory");
	return value;
}

static inline u64 write_cr8(u64 value)
{
	u64 next;

	__asm__ volatile("mov %1, %%cr8\n1:\tmovq $1b, %0" : "=&r"(next) : "r"(value) : "memory");
	return next;
}

static inline void cli(void)
{
	__asm__ volatile("cli" ::: "memory");
}

/** Interrupts on, for good; the address is the first one at which one can be taken. */
static inline u64 sti(void)
{
	u64 next;

	__asm__ volatile("sti\n\tnop\n1:\tmovq $1b, %0" : "=r"(next)::"memory");
	return next;
}

/** Interrupts on for one boundary between two instructions, whose address is returned. */
static inline u64 sti_cli(void)
{
	u64 next;

	__asm__ volatile("sti\n\tnop\n1:\tcli\n\tmovq $1b, %0" : "=r"(next)::"memory");
	return next;
}

#endif
