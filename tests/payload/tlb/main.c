/* SPDX-License-Identifier: MIT */
/*
 * Invalidation of cached translations, seen by what a linear address leads to after its page-table
 * entry was changed: INVLPG, INVPCID and its faults, CR3 with PCIDs, and entries written by
 * instructions that a hypervisor emulates; and page tables that grow. On a command line with
 * "shadow" every INVLPG and INVPCID is an exit, else none is; "pcid" and "invpcid" say what the
 * processor must show. With "lost-table", "fetch" or "delivery" it does nothing but what ends a
 * guest.
 */
#include "tlb.h"

#include "lib/mem.h"
#include "payload.h"
#include "x86.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_FREE 0x50		  /* a byte that nobody uses */
#define IOAPIC_REGSEL 0xfec00000u /* reads back what was written */
#define MSR_PAT 0x277
#define PAT_ODD 0x0004050607010400ull
#define CR3_NO_FLUSH BIT(63)
#define ROUNDS 40

/** WINDOW is the last page of one page table, NEXT the first of another. */
#define WINDOW (SECOND + MIB(2) - PAGE_SIZE)
#define NEXT (SECOND + MIB(2))
#define HOLE 0x0000900000000000ull /* not canonical */

static _Alignas(PAGE_SIZE) u64 pdpt[512], pd[512], tables[2][512];
/* Frames that differ in bits 15:12 of their addresses only. */
static _Alignas(65536) u8 frame[16][PAGE_SIZE];

struct desc {
	u64 pcid, gva;
};

/** The vector, or NO_FAULT. */
static s64 invpcid(u64 type, const void *desc)
{
	return TRY("invpcid (%0), %1", ::"r"(desc), "r"(type) : "memory");
}

static u8 look(u64 gva)
{
	return *(volatile u8 *)gva;
}

static void point_at(unsigned n)
{
	*(volatile u64 *)&tables[0][511] = (u64)frame[n] | PTE_P | PTE_W | PTE_A | PTE_D;
}

static void check_window(unsigned n, const char *after)
{
	u8 seen = look(WINDOW);

	check(seen == n, "%s: frame %u, not %u", after, seen, n);
}

/** INVLPG and INVPCID are exits, or are not. */
static void check_exits(const char *what, u32 reason)
{
	struct exit_counts got;

	exits_end(&got);
	check(got.n[reason] == (option("shadow") ? 1 : 0), "%s: %u exits %u", what, got.n[reason],
	      reason);
}

static void set_up(void)
{
	u64 *pml4 = (u64 *)(read_cr3() & PAGE_MASK);

	for (unsigned i = 0; i < 16; i++)
		memset(frame[i], (int)i, PAGE_SIZE);
	for (unsigned i = 0; i < 2; i++)
		pd[i] = (u64)tables[i] | PTE_P | PTE_W;
	tables[1][0] = (u64)frame[0] | PTE_P | PTE_W | PTE_A | PTE_D;
	pdpt[0] = (u64)pd | PTE_P | PTE_W;
	point_at(0);
	pml4[1] = (u64)pdpt | PTE_P | PTE_W;
}

void use_table(unsigned n, const u64 *table)
{
	*(volatile u64 *)&pd[n] = table ? (u64)table | PTE_P | PTE_W : 0;
}

static void test_invlpg(void)
{
	for (unsigned n = 0; n < 16; n++) {
		look(WINDOW);
		point_at(n);
		exits_begin();
		invlpg(WINDOW + 5);
		check_exits("INVLPG", EXIT_REASON_INVLPG);
		check_window(n, "INVLPG");
	}
	/* Of an address that is not canonical it is a NOP. */
	check(TRY("invlpg (%0)", ::"r"(HOLE)
		  : "memory") == NO_FAULT,
	      "INVLPG of 0x%lx faults", (unsigned long)HOLE);
	check_window(15, "and of the other address");
}

static void test_cr3(void)
{
	u64 cr3 = read_cr3();

	for (unsigned n = 0; n < 16; n++) {
		look(WINDOW);
		point_at(n);
		write_cr3(cr3);
		check_window(n, "MOV to CR3");
	}
	write_cr3(cr3 | 0x18);
	check(read_cr3() == (cr3 | 0x18), "CR3 reads 0x%lx", (unsigned long)read_cr3());
	check(TRY("mov %0, %%cr3", ::"r"(cr3 | BIT(52)) : "memory") == GP_VECTOR, "bit 52 of CR3");
	check(TRY("mov %0, %%cr3", ::"r"(cr3 | CR3_NO_FLUSH)
		  : "memory") == GP_VECTOR,
	      "bit 63 of CR3 without PCIDs");
	if (option("pcid"))
		check(TRY("mov %0, %%cr4", ::"r"(read_cr4() | X86_CR4_PCIDE)
			  : "memory") == GP_VECTOR,
		      "PCIDs begin in PCID 0x18");
	check(read_cr3() == (cr3 | 0x18), "CR3 is as it was");
	write_cr3(cr3);
}

static void test_global_pages(void)
{
	u64 cr4 = read_cr4();

	for (unsigned n = 0; n < 4; n++) {
		write_cr4(cr4 | X86_CR4_PGE);
		point_at(n);
		tables[0][511] |= PTE_G;
		invlpg(WINDOW);
		check_window(n, "a global page");
		point_at(15 - n);
		write_cr4(cr4);
		check_window(15 - n, "CR4.PGE cleared");
	}
}

/** Each type of INVPCID, for the PCID that is present, and for one that is left and come back to
 *  without a flush. */
static void test_pcids(void)
{
	u64 cr3 = read_cr3();

	if (!option("pcid"))
		return;
	write_cr4(read_cr4() | X86_CR4_PCIDE);
	for (unsigned n = 0; n < 8; n++) {
		struct desc d = {1, n % 4 ? 0 : WINDOW};

		write_cr3(cr3 | 1);
		look(WINDOW);
		if (n >= 4) {
			write_cr3(cr3 | 2 | CR3_NO_FLUSH);
			check(read_cr3() == (cr3 | 2), "bit 63 of CR3 is read");
			look(WINDOW);
		}
		point_at(n);
		if (option("invpcid")) {
			exits_begin();
			check(invpcid(n % 4, &d) == NO_FAULT, "INVPCID type %u faults", n % 4);
			check_exits("INVPCID", EXIT_REASON_INVPCID);
		} else {
			write_cr3(cr3 | 1);
		}
		if (n >= 4)
			write_cr3(cr3 | 1 | CR3_NO_FLUSH);
		check_window(n, n < 4 ? "the present PCID" : "another PCID");
	}
	write_cr3(cr3);
	write_cr4(read_cr4() & ~X86_CR4_PCIDE);
	check_window(7, "without PCIDs again");
}

static void test_invpcid_faults(void)
{
	static const struct {
		u64 type;
		struct desc d;
		bool gp_without, gp_with; /* CR4.PCIDE */
	} cases[] = {
		{0, {0, WINDOW}, false, false}, {0, {0, HOLE}, true, true},
		{1, {0, HOLE}, false, false},	{0, {7, WINDOW}, true, false},
		{1, {7, 0}, true, false},	{2, {7, 0}, false, false},
		{3, {7, 0}, false, false},	{4, {0, 0}, true, true},
		{~0ull, {0, 0}, true, true},	{2, {0x1000, 0}, true, true},
		{3, {BIT(63), 0}, true, true},
	};
	u8 *across = (u8 *)WINDOW + PAGE_SIZE - 8;

	if (!option("invpcid")) {
		check(invpcid(0, &cases[0].d) == UD_VECTOR, "INVPCID is not #UD");
		return;
	}
	for (unsigned pcide = 0; pcide < (option("pcid") ? 2 : 1); pcide++) {
		write_cr4(read_cr4() | (pcide ? X86_CR4_PCIDE : 0));
		for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
			bool gp = pcide ? cases[i].gp_with : cases[i].gp_without;
			s64 vector = invpcid(cases[i].type, &cases[i].d);

			check(vector == (gp ? GP_VECTOR : NO_FAULT), "PCIDE %u, case %u: %ld",
			      pcide, i, (long)vector);
			check(!gp || fault.error == 0, "error code 0x%lx",
			      (unsigned long)fault.error);
		}
		write_cr4(read_cr4() & ~X86_CR4_PCIDE);
	}
	/* The descriptor: not canonical, in two pages, and in a page that is not there. */
	check(invpcid(2, (const void *)HOLE) == GP_VECTOR, "a descriptor at 0x%lx",
	      (unsigned long)HOLE);
	point_at(0);
	invlpg(WINDOW);
	memset(across, 0, 16);
	check(invpcid(2, across) == NO_FAULT, "a descriptor in two pages");
	tables[1][0] &= ~PTE_P;
	invlpg(NEXT);
	check(invpcid(2, across) == PF_VECTOR && read_cr2() == NEXT && fault.error == 0,
	      "half a descriptor: vector %ld, CR2 0x%lx, error code 0x%lx", (long)fault.vector,
	      (unsigned long)read_cr2(), (unsigned long)fault.error);
	tables[1][0] |= PTE_P;
	memset(across, 0, 16);
}

/** Not by INVLPG, for which a table is looked at that is trusted otherwise. */
static void flush(void)
{
	write_cr3(read_cr3());
}

/** Use a page table for long enough that whoever shadows it may trust it. */
static void use(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		look(WINDOW);
		look(NEXT);
		flush();
	}
}

/** Byte 1 of an entry has bits 15:8 of its frame's address. */
static void *frame_byte(void)
{
	return (u8 *)&tables[0][511] + 1;
}

static void test_entry_by_insb(void)
{
	for (unsigned n = 0; n < 16; n++) {
		void *to = frame_byte();
		u64 count = 1;

		use();
		outb(CMOS_INDEX, CMOS_FREE);
		outb(CMOS_DATA, (u8)(n << 4));
		__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(CMOS_DATA) : "memory");
		flush();
		check_window(n, "INSB");
	}
}

static void test_entry_by_movs(void)
{
	for (unsigned n = 0; n < 16; n++) {
		const void *from = (const void *)(u64)IOAPIC_REGSEL;
		void *to = frame_byte();

		use();
		*(volatile u32 *)(u64)IOAPIC_REGSEL = n << 4;
		__asm__ volatile("movsb" : "+D"(to), "+S"(from)::"memory");
		flush();
		check_window(n, "MOVSB");
	}
}

/** A doubleword whose halves are in two page tables: the upper half clears P of the second one's
 *  first entry. */
static void test_entries_of_two_tables(void)
{
	const void *from = (const void *)(u64)IOAPIC_REGSEL;
	void *to = (u8 *)&tables[1][0] - 2;
	u64 entry = tables[1][0];

	check((u8 *)&tables[1][0] == (u8 *)&tables[0][511] + 8, "the tables are not neighbours");
	use();
	*(volatile u32 *)(u64)IOAPIC_REGSEL = 0;
	__asm__ volatile("movsl" : "+D"(to), "+S"(from)::"memory");
	flush();
	check(TRY("movb (%0), %%al", ::"r"(NEXT)
		  : "rax", "memory") == PF_VECTOR,
	      "an entry that is not present is used");
	check(read_cr2() == NEXT && fault.error == 0, "CR2 0x%lx, error code 0x%lx",
	      (unsigned long)read_cr2(), (unsigned long)fault.error);
	*(volatile u64 *)&tables[1][0] = entry;
	check(look(NEXT) == 0, "and present again");
}

static void test_pat(void)
{
	u64 pat = rdmsr(MSR_PAT);

	wrmsr(MSR_PAT, PAT_ODD);
	check(rdmsr(MSR_PAT) == PAT_ODD, "it reads 0x%lx", (unsigned long)rdmsr(MSR_PAT));
	check_window(look(WINDOW), "a new PAT");
	check(try_wrmsr(MSR_PAT, 2) == GP_VECTOR, "type 2 is taken");
	check(rdmsr(MSR_PAT) == PAT_ODD, "... and kept");
	wrmsr(MSR_PAT, pat);
}

/** Memory ends far below: at these addresses nothing is. */
#define NOWHERE 0xe0000000ull
#define FAR_AWAY 0x200000000ull

static void lose_a_table(void)
{
	pd[2] = FAR_AWAY | PTE_P | PTE_W;
	look(SECOND + MIB(4) + 2 * PAGE_SIZE);
}

static void deliver_nowhere(void)
{
	__asm__ volatile("mov %0, %%rsp\n\tud2" ::"r"(NOWHERE + PAGE_SIZE));
}

void payload_main(void)
{
	set_up();
	if (option("lost-table"))
		lose_a_table();
	if (option("fetch"))
		((void (*)(void))NOWHERE)();
	if (option("delivery"))
		deliver_nowhere();
	case_run("invlpg", test_invlpg);
	case_run("cr3", test_cr3);
	case_run("global-pages", test_global_pages);
	case_run("pcids", test_pcids);
	case_run("invpcid-faults", test_invpcid_faults);
	case_run("entry-by-insb", test_entry_by_insb);
	case_run("entry-by-movs", test_entry_by_movs);
	case_run("entries-of-two-tables", test_entries_of_two_tables);
	case_run("growth", test_growth);
	case_run("growth-breakpoints", test_growth_breakpoints);
	case_run("growth-two-ways", test_growth_two_ways);
	case_run("growth-over", test_growth_over);
	case_run("pat", test_pat);
}
