/* SPDX-License-Identifier: MIT */
/* Operands and their segments, in compatibility mode. All segments have base 0 but one; END is
 * where limits are, between two pages. */
#include "operands.h"

#include "lib/mem.h"
#include "x86.h"

#define PAGES 6
#define END ((u32)(u64)area + (PAGES - 1) * (u32)PAGE_SIZE)

/** compat.asm knows the offsets. */
struct compat {
	u16 cs, ds, es, ss;
	u32 code, ecx, esi, edi, esp;
};

/* compat.asm */
void compat_run(struct compat *c);
void compat_outsb(void);
void compat_cs_outsb(void);
void compat_ss_outsb(void);
void compat_rep_outsb(void);
void compat_insb(void);
void compat_rep_insb(void);
void compat_movsd(void);
void compat_cmpsd(void);
void compat_push(void);

/* The second of code and data are the payload's own, so that nothing has to be put back. */
enum selector {
	NONE,
	CODE_64 = 0x08,
	FLAT = 0x10,
	CODE = 0x18,
	EXECUTE_ONLY = 0x20,
	UP_TO_END = 0x28,
	READ_ONLY = 0x30,
	FROM_END = 0x38, /* expand-down */
	MOVED = 0x40,	 /* begins a page before END */
};

static _Alignas(PAGE_SIZE) u8 area[PAGES][PAGE_SIZE];
static u64 gdt[9];

/** A 32-bit segment of `pages` (SDM volume 3, figure 3-8 "Segment Descriptor"). */
static u64 descriptor(u8 access, u32 base, u32 pages)
{
	u64 limit = pages - 1;

	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 |
	       (limit >> 16) << 48 | 0xcull << 52 | (u64)(base >> 24) << 56;
}

static void load_gdt(void)
{
	const u32 all = 1u << 20, end = END >> PAGE_SHIFT;
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) gdtr = {sizeof(gdt) - 1, (u64)gdt};

	gdt[CODE_64 / 8] = 0x00af9b000000ffff;
	gdt[FLAT / 8] = descriptor(0x93, 0, all);
	gdt[CODE / 8] = descriptor(0x9b, 0, all);
	gdt[EXECUTE_ONLY / 8] = descriptor(0x99, 0, all);
	gdt[UP_TO_END / 8] = descriptor(0x93, 0, end);
	gdt[READ_ONLY / 8] = descriptor(0x91, 0, all);
	gdt[FROM_END / 8] = descriptor(0x97, 0, end);
	gdt[MOVED / 8] = descriptor(0x93, END - (u32)PAGE_SIZE, 1);
	__asm__ volatile("lgdt %0" ::"m"(gdtr));
}

/** Run it, and see that it ends with `vector` (NO_FAULT: none), at the instruction. */
static struct compat run(const char *what, struct compat c, void (*code)(void), s64 vector)
{
	c.code = (u32)(u64)code;
	c.cs = c.cs ? c.cs : CODE;
	c.ss = c.ss ? c.ss : FLAT;
	c.esp = c.esp ? c.esp : END - 256;
	fault.vector = NO_FAULT;
	compat_run(&c);
	check(fault.vector == vector, "%s: vector %ld", what, (long)fault.vector);
	check(vector == NO_FAULT || (fault.error == 0 && fault.rip == (u64)code),
	      "%s: error code 0x%lx, RIP 0x%lx", what, (unsigned long)fault.error,
	      (unsigned long)fault.rip);
	return c;
}

static void port_has(u8 value, const char *after)
{
	u8 got = inb(COM1_SCRATCH);

	check(got == value, "%s: the port has 0x%x, not 0x%x", after, got, value);
}

static u8 *memory(u32 at)
{
	return (u8 *)(u64)at;
}

static void set_up(void)
{
	load_gdt();
	for (unsigned i = 0; i < sizeof(area); i++)
		area[i / PAGE_SIZE][i % PAGE_SIZE] = (u8)(i * 7);
	outb(COM1_SCRATCH, 0);
}

void test_limits(void)
{
	struct compat c;

	set_up();
	/* Three elements fit. */
	c = run("OUTSB to the limit", (struct compat){.ds = UP_TO_END, .esi = END - 3, .ecx = 8},
		compat_rep_outsb, GP_VECTOR);
	check(c.ecx == 5 && c.esi == END, "ECX %u, ESI 0x%x", c.ecx, c.esi);
	port_has(*memory(END - 1), "OUTSB to the limit");
	outb(COM1_SCRATCH, 0xe1);
	c = run("INSB to the limit", (struct compat){.es = UP_TO_END, .edi = END - 3, .ecx = 8},
		compat_rep_insb, GP_VECTOR);
	check(c.ecx == 5 && c.edi == END, "ECX %u, EDI 0x%x", c.ecx, c.edi);
	check(*memory(END - 1) == 0xe1 && *memory(END) != 0xe1, "INSB wrote 0x%x, 0x%x",
	      *memory(END - 1), *memory(END));
	run("OUTSB with SS beyond its limit",
	    (struct compat){.ds = FLAT, .ss = UP_TO_END, .esi = END}, compat_ss_outsb, SS_VECTOR);
	run("OUTSB below an expand-down segment", (struct compat){.ds = FROM_END, .esi = END - 1},
	    compat_outsb, GP_VECTOR);
	port_has(0xe1, "four faults");
	run("OUTSB in it", (struct compat){.ds = FROM_END, .esi = END}, compat_outsb, NO_FAULT);
	port_has(*memory(END), "OUTSB in it");
	*memory(END - 1) = 0x3c;
	run("OUTSB with a base", (struct compat){.ds = MOVED, .esi = PAGE_SIZE - 1}, compat_outsb,
	    NO_FAULT);
	port_has(0x3c, "OUTSB with a base");
	run("... and beyond", (struct compat){.ds = MOVED, .esi = PAGE_SIZE}, compat_outsb,
	    GP_VECTOR);
}

void test_types(void)
{
	set_up();
	outb(COM1_SCRATCH, 0xe2);
	run("INSB to what is read-only", (struct compat){.es = READ_ONLY, .edi = END}, compat_insb,
	    GP_VECTOR);
	check(*memory(END) != 0xe2, "and it was written");
	run("INSB with a null selector", (struct compat){.es = NONE, .edi = END}, compat_insb,
	    GP_VECTOR);
	run("OUTSB with a null selector", (struct compat){.ds = NONE, .esi = END}, compat_outsb,
	    GP_VECTOR);
	run("OUTSB from what is execute-only",
	    (struct compat){.cs = EXECUTE_ONLY, .ds = FLAT, .esi = END}, compat_cs_outsb,
	    GP_VECTOR);
	port_has(0xe2, "four faults");
	run("OUTSB from what is read-only", (struct compat){.ds = READ_ONLY, .esi = END},
	    compat_outsb, NO_FAULT);
	port_has(*memory(END), "OUTSB from what is read-only");
	run("OUTSB from code", (struct compat){.ds = NONE, .esi = END + 1}, compat_cs_outsb,
	    NO_FAULT);
	port_has(*memory(END + 1), "OUTSB from code");
}

/** One operand is the device's, and exits; the other one breaks a rule. */
void test_device_to_segment(void)
{
	struct compat c;

	set_up();
	*(volatile u32 *)(u64)IOAPIC_REGSEL = 0x2a;
	c = run("MOVSD",
		(struct compat){.ds = FLAT, .es = UP_TO_END, .esi = IOAPIC_REGSEL, .edi = END - 3},
		compat_movsd, GP_VECTOR);
	check(c.esi == IOAPIC_REGSEL && c.edi == END - 3, "ESI 0x%x, EDI 0x%x", c.esi, c.edi);
	run("MOVSD to what is read-only",
	    (struct compat){.ds = FLAT, .es = READ_ONLY, .esi = IOAPIC_REGSEL, .edi = END},
	    compat_movsd, GP_VECTOR);
	run("MOVSD with a null selector", (struct compat){.ds = FLAT, .esi = IOAPIC_REGSEL},
	    compat_movsd, GP_VECTOR);
	run("CMPSD",
	    (struct compat){.ds = FLAT, .es = FROM_END, .esi = IOAPIC_REGSEL, .edi = END - 1},
	    compat_cmpsd, GP_VECTOR);
	c = run("PUSH",
		(struct compat){.ds = FLAT, .ss = UP_TO_END, .esi = IOAPIC_REGSEL, .esp = END + 4},
		compat_push, SS_VECTOR);
	check(c.esp == END + 4, "ESP 0x%x", c.esp);
	check(*memory(END) == (u8)((PAGES - 1) * PAGE_SIZE * 7), "something was written");
	c = run("PUSH within the limit",
		(struct compat){.ds = FLAT, .ss = UP_TO_END, .esi = IOAPIC_REGSEL, .esp = END},
		compat_push, NO_FAULT);
	check(c.esp == END - 4 && *memory(END - 4) == 0x2a, "ESP 0x%x, 0x%x", c.esp,
	      *memory(END - 4));
	run("MOVSD to the limit",
	    (struct compat){.ds = FLAT, .es = UP_TO_END, .esi = IOAPIC_REGSEL, .edi = END - 4},
	    compat_movsd, NO_FAULT);
}
