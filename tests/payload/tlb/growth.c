/* SPDX-License-Identifier: MIT */
/*
 * Page tables that grow: each page is mapped in the handler of the fault on it. A hypervisor may
 * have most of these faults delivered without an exit, and emulate the stores of the new entries;
 * on a command line with "silent" it must. Whatever it does, no fault may be lost, changed or
 * invented.
 */
#include "tlb.h"

#include "lib/mem.h"
#include "payload.h"
#include "x86.h"

#define MSR_EFER 0xc0000080u
#define MSR_GS_BASE 0xc0000101u
#define PFERR_WRITE 2u
#define PAGES 64u
#define FRAMES 8u
#define FIRST 2u /* the directory entries from here on are ours */
#define AT(n) (SECOND + (n)*MIB(2))
#define BITS (PTE_P | PTE_W | PTE_A | PTE_D)

/** store.asm */
void store_across_pages(u64 *entry, u64 value);

static _Alignas(PAGE_SIZE) u64 table[2][512];
static _Alignas(PAGE_SIZE) u8 frame[FRAMES][PAGE_SIZE];

enum store {
	BY_MOV,
	BY_IMMEDIATE,
	BY_STACK_POINTER,
	BY_SEGMENT,
	BY_MOVNTI,
	BY_XCHG,
	BY_CMPXCHG,
	BY_STOS,
	BY_PUSH,
	BY_HALVES,
	BY_BYTES,
	BY_TWO_ENTRIES, /* a quadword that begins in the entry before */
	BY_INSN_IN_TWO_PAGES,
	NR_STORES,
};

#define write_dr(n, value) __asm__ volatile("mov %0, %%dr" #n ::"r"((u64)(value)))
#define DR6_NONE 0xffff0ff0u
#define DR7_NONE BIT(10)
#define DR7_WRITES_OF_8 (DR7_NONE | BIT(0) | 9u << 16) /* by register 0 */

/** What the handler does with the next fault, and what it has seen. */
static volatile struct {
	enum store how;
	u64 *entry; /* of the first page */
	u64 at;	    /* its linear address */
	unsigned faults;
	u64 cr2, error;
} growth;

static u64 entry_for(unsigned page)
{
	return (u64)frame[page % FRAMES] | BITS;
}

/** Piece by piece, what has the P flag last. */
static void store_in_pieces(enum store how, u64 *entry, u64 value)
{
	volatile u8 *bytes = (volatile u8 *)entry;
	volatile u32 *halves = (volatile u32 *)entry;

	if (how == BY_BYTES) {
		for (unsigned i = 8; i--;)
			bytes[i] = (u8)(value >> 8 * i);
		return;
	}
	halves[1] = (u32)(value >> 32);
	if (how == BY_HALVES)
		halves[0] = (u32)value;
	else /* what is there, and the lower half */
		*(volatile u64 *)(halves - 1) = halves[-1] | value << 32;
}

static void store(enum store how, u64 *entry, u64 value)
{
	u64 *to = entry, old = 0, count = 1;

	switch (how) {
	case BY_IMMEDIATE: /* of 32 bits: the frames lie low */
		__asm__ volatile("movq %1, %0" : "=m"(*entry) : "i"((u64)&frame[0][0] + BITS));
		break;
	case BY_STACK_POINTER:
		__asm__ volatile("mov %%rsp, %%r11\n\tmov %0, %%rsp\n\tmov %1, 8(%%rsp)\n\t"
				 "mov %%r11, %%rsp" ::"r"(entry - 1),
				 "r"(value)
				 : "r11", "memory");
		break;
	case BY_SEGMENT:
		wrmsr(MSR_GS_BASE, (u64)entry - 0x1000);
		__asm__ volatile("mov %0, %%gs:0x1000" ::"r"(value) : "memory");
		break;
	case BY_MOVNTI:
		__asm__ volatile("movnti %1, %0" : "=m"(*entry) : "r"(value));
		break;
	case BY_XCHG:
		__asm__ volatile("xchg %0, %1" : "+m"(*entry), "+r"(value));
		break;
	case BY_CMPXCHG:
		__asm__ volatile("lock cmpxchgq %2, %0" : "+m"(*entry), "+a"(old) : "r"(value));
		break;
	case BY_STOS:
		__asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
		break;
	case BY_PUSH:
		__asm__ volatile("mov %%rsp, %%r11\n\tmov %0, %%rsp\n\tpush %1\n\t"
				 "mov %%r11, %%rsp" ::"r"(entry + 1),
				 "r"(value)
				 : "r11", "memory");
		break;
	case BY_HALVES:
	case BY_BYTES:
	case BY_TWO_ENTRIES:
		store_in_pieces(how, entry, value);
		break;
	case BY_INSN_IN_TWO_PAGES:
		store_across_pages(entry, value);
		break;
	default:
		*(volatile u64 *)entry = value;
	}
}

static void on_fault(struct trap_frame *f)
{
	unsigned page;

	growth.faults++;
	growth.cr2 = read_cr2();
	growth.error = f->error;
	page = (unsigned)((growth.cr2 - growth.at) / PAGE_SIZE);
	if (!check(growth.cr2 >= growth.at && page < PAGES, "a fault at 0x%lx",
		   (unsigned long)growth.cr2))
		payload_exit(1);
	store(growth.how, growth.entry + page, entry_for(growth.how == BY_IMMEDIATE ? 0 : page));
}

/** Faults with P=0 tell no more than CR2 and these bits. */
static void begin(enum store how, u64 *entries, unsigned n)
{
	trap_set(PF_VECTOR, on_fault);
	growth.how = how;
	growth.entry = entries;
	growth.at = AT(n);
}

/** Ends what begin() began. */
static void end(void)
{
	trap_set(PF_VECTOR, NULL);
}

/** Write to a page of which the entry is not present, at an odd place in it. */
static void grow(unsigned page)
{
	u64 at = growth.at + page * PAGE_SIZE + 16 + page;
	unsigned before = growth.faults;
	u8 *frame_now = frame[growth.how == BY_IMMEDIATE ? 0 : page % FRAMES];

	*(volatile u8 *)at = (u8)page;
	check(growth.faults == before + 1, "store %u, page %u: %u faults", growth.how, page,
	      growth.faults - before);
	check(growth.cr2 == at && growth.error == PFERR_WRITE,
	      "store %u, page %u: CR2 0x%lx, error code 0x%lx", growth.how, page,
	      (unsigned long)growth.cr2, (unsigned long)growth.error);
	check(frame_now[16 + page] == (u8)page, "store %u, page %u: another frame", growth.how,
	      page);
}

static void flush(void)
{
	write_cr3(read_cr3());
}

static void clear(u64 *entries)
{
	memset(entries, 0, PAGE_SIZE);
	flush();
}

/** Exits of faults and stores in growing: 2 a page, or hardly more than 1. */
static void check_exits(enum store how)
{
	struct exit_counts got;
	u32 n;

	exits_end(&got);
	n = got.n[EXIT_REASON_EXCEPTION_NMI];
	if (option("silent") && how <= BY_SEGMENT)
		check(n >= PAGES && n < PAGES * 3 / 2, "store %u: %u exits", how, n);
	if (!option("shadow"))
		check(n == 0, "store %u: %u exits", how, n);
}

/** The guest's error codes would tell that EFER.NXE is 1 where the hypervisor keeps it so. */
static u64 enable_nx(void)
{
	u64 efer = rdmsr(MSR_EFER);

	wrmsr(MSR_EFER, efer | EFER_NX);
	return efer;
}

void test_growth(void)
{
	u64 efer = enable_nx();

	use_table(FIRST, table[0]);
	for (enum store how = 0; how < NR_STORES; how++) {
		clear(table[0]);
		begin(how, table[0], FIRST);
		exits_begin();
		for (unsigned page = 0; page < PAGES; page++)
			grow(page);
		check_exits(how);
		end();
	}
	wrmsr(MSR_EFER, efer);
}

static volatile unsigned breakpoints;

static void on_breakpoint(struct trap_frame *f)
{
	(void)f;
	breakpoints++;
	write_dr(6, DR6_NONE);
}

/** Each store of a new entry is watched, by a debug register. */
void test_growth_breakpoints(void)
{
	u64 efer = enable_nx();

	clear(table[0]);
	trap_set(DB_VECTOR, on_breakpoint);
	begin(BY_MOV, table[0], FIRST);
	breakpoints = 0;
	for (unsigned page = 0; page < PAGES; page++) {
		write_dr(0, (u64)&table[0][page]);
		write_dr(7, DR7_WRITES_OF_8);
		grow(page);
		write_dr(7, DR7_NONE);
		check(breakpoints == page + 1, "page %u: %u breakpoints", page, breakpoints);
	}
	end();
	trap_set(DB_VECTOR, NULL);
	wrmsr(MSR_EFER, efer);
}

/** The table under a second directory entry, and in a window through which it can be written. */
void test_growth_two_ways(void)
{
	u64 efer = enable_nx(), *window = (u64 *)AT(FIRST + 2);

	clear(table[0]);
	memset(table[1], 0, PAGE_SIZE);
	table[1][0] = (u64)table[0] | BITS;
	use_table(FIRST + 2, table[1]);
	window[511] = 0; /* there is a translation that allows it */
	begin(BY_MOV, table[0], FIRST);
	for (unsigned page = 0; page < 24; page++)
		grow(page);
	growth.entry = window;
	for (unsigned page = 24; page < 32; page++)
		grow(page);
	use_table(FIRST + 1, table[0]);
	for (unsigned page = 0; page < 32; page++)
		check(*(volatile u8 *)(AT(FIRST + 1) + page * PAGE_SIZE + 16 + page) == page,
		      "page %u by the second way", page);
	for (unsigned page = 32; page < 48; page++) {
		growth.at = AT(page % 2 ? FIRST : FIRST + 1);
		grow(page);
	}
	end();
	use_table(FIRST + 1, NULL);
	flush();
	wrmsr(MSR_EFER, efer);
}

/** Entries that go: each is missed at once, once it was invalidated. */
void test_growth_over(void)
{
	u64 efer = enable_nx();

	use_table(FIRST, table[0]);
	for (unsigned round = 0; round < 3; round++) {
		clear(table[0]);
		begin(BY_MOV, table[0], FIRST);
		for (unsigned page = 0; page < PAGES; page++)
			grow(page);
		end();
		for (unsigned page = round; page < PAGES; page += 1 + round) {
			u64 at = AT(FIRST) + page * PAGE_SIZE;

			store(round == 1 ? BY_XCHG : BY_MOV, &table[0][page],
			      round == 2 ? BITS & ~PTE_P : 0);
			invlpg(at);
			check(TRY("movb (%0), %%al", ::"r"(at)
				  : "rax", "memory") == PF_VECTOR,
			      "round %u, page %u is still there", round, page);
			check(read_cr2() == at && fault.error == 0,
			      "round %u, page %u: CR2 0x%lx, error code 0x%lx", round, page,
			      (unsigned long)read_cr2(), (unsigned long)fault.error);
		}
	}
	wrmsr(MSR_EFER, efer);
}
