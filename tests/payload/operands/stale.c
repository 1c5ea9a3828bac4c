/* SPDX-License-Identifier: MIT */
/*
 * Pages that went away without an INVLPG. A processor may go on by what it has cached; a hypervisor
 * that emulates an instruction looks at the tables, and finds that it cannot read its bytes, or its
 * operand. The guest must see the page fault, and what is cached must be forgotten with it.
 */
#include "operands.h"

#include "lib/mem.h"
#include "x86.h"

#define MSR_EFER 0xc0000080u
#define WINDOW BIT(39)
#define BITS (PTE_P | PTE_W | PTE_A | PTE_D)
#define PFERR_PRESENT 1u
#define PFERR_FETCH 16u

static _Alignas(PAGE_SIZE) u64 pdpt[512], pd[512], pt[512];
static _Alignas(PAGE_SIZE) u8 frame[2][PAGE_SIZE];

static void set_entry(unsigned n, u64 entry)
{
	*(volatile u64 *)&pt[n] = entry;
}

static void set_up(void)
{
	u64 *pml4 = (u64 *)(read_cr3() & PAGE_MASK);

	pdpt[0] = (u64)pd | PTE_P | PTE_W;
	pd[0] = (u64)pt | PTE_P | PTE_W;
	for (unsigned i = 0; i < 2; i++)
		set_entry(i, (u64)frame[i] | BITS);
	pml4[1] = (u64)pdpt | PTE_P | PTE_W;
	write_cr3(read_cr3());
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NX);
}

/* Code: back to the caller, by the address in RSI; the same after a look at the device. */
static const u8 jmp_rsi[] = {0xff, 0xe6}, look[] = {0x8b, 0x07, 0xff, 0xe6};

/** Run what is at `at`. */
static s64 run(u64 at)
{
	return TRY("movq $1f, %%rsi\n\tjmp *%0", ::"r"(at), "D"((u64)IOAPIC_REGSEL)
		   : "rax", "rsi", "memory");
}

static void expect(const char *what, u64 at, u64 cr2, u64 error)
{
	s64 vector = run(at);

	check(vector == PF_VECTOR && read_cr2() == cr2 && fault.error == error && fault.rip == at,
	      "%s: vector %ld, error code 0x%lx, CR2 0x%lx, RIP 0x%lx", what, (long)vector,
	      (unsigned long)fault.error, (unsigned long)read_cr2(), (unsigned long)fault.rip);
}

void test_stale_code(void)
{
	const u64 across = WINDOW + PAGE_SIZE - 1;

	set_up();
	memcpy(frame[0], jmp_rsi, sizeof(jmp_rsi));
	memcpy(frame[0] + 16, look, sizeof(look));
	memcpy(frame[0] + PAGE_SIZE - 1, look, 1);
	memcpy(frame[1], look + 1, sizeof(look) - 1);
	memcpy(frame[1] + 16, jmp_rsi, sizeof(jmp_rsi));
	check(run(WINDOW + 16) == NO_FAULT && run(across) == NO_FAULT, "the code is wrong");

	run(WINDOW);
	set_entry(0, (u64)frame[0] | (BITS & ~PTE_P));
	expect("a page that is not present", WINDOW + 16, WINDOW + 16, PFERR_FETCH);
	set_entry(0, (u64)frame[0] | BITS);
	check(run(WINDOW + 16) == NO_FAULT, "it is present again");

	run(WINDOW);
	set_entry(0, (u64)frame[0] | BITS | PTE_NX);
	expect("a page without code", WINDOW + 16, WINDOW + 16, PFERR_FETCH | PFERR_PRESENT);
	set_entry(0, (u64)frame[0] | BITS);

	/* The second of the instruction's bytes. */
	run(WINDOW);
	run(WINDOW + PAGE_SIZE + 16);
	set_entry(1, 0);
	expect("half an instruction", across, WINDOW + PAGE_SIZE, PFERR_FETCH);
	/* One that ends before needs nothing of it. */
	memcpy(frame[0] + PAGE_SIZE - sizeof(look), look, sizeof(look));
	check(run(WINDOW + PAGE_SIZE - sizeof(look)) == NO_FAULT, "a page that is not needed");
}

static u8 byte_at(u64 at)
{
	return *(volatile u8 *)at;
}

void test_stale_data(void)
{
	set_up();
	memset(frame[0], 0x10, PAGE_SIZE);
	memset(frame[1], 0x11, PAGE_SIZE);
	for (unsigned i = 0; i < 4; i++) {
		u64 port = COM1_SCRATCH, device = IOAPIC_REGSEL;
		s64 vector;

		set_entry(0, (u64)frame[0] | BITS);
		invlpg(WINDOW);
		check(byte_at(WINDOW) == 0x10, "the wrong page");
		set_entry(0, 0);
		vector = i % 2 ? TRY("cmpsb", ::"S"(device), "D"(WINDOW)
				     : "memory")
			       : TRY("outsb", ::"S"(WINDOW), "d"(port)
				     : "memory");
		check(vector == PF_VECTOR && read_cr2() == WINDOW && fault.error == 0,
		      "%u: vector %ld, CR2 0x%lx, error code 0x%lx", i, (long)vector,
		      (unsigned long)read_cr2(), (unsigned long)fault.error);
		set_entry(0, (u64)frame[1] | BITS);
		check(byte_at(WINDOW) == 0x11, "%u: the page of before the fault", i);
	}
}
