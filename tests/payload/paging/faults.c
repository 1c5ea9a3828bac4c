/* SPDX-License-Identifier: MIT */
/* Accesses that are more than one read or write: across two pages, to the stack, while an exception
 * is delivered, to descriptor tables, to devices, by instructions of several kinds to page tables.
 */
#include "paging.h"

#include "lib/mem.h"

#define USER ACCESS_USER
#define DONE_VECTOR 0x40
#define LAPIC 0xfee00000ull
#define LAPIC_VERSION 0x30
#define LAPIC_LDR 0xd0
#define HOLE 0xf0000000ull /* nobody's */
#define TESTDEV 0xe0	   /* guest/testdev.h: reads what was written */
#define UNCACHED (PTE_PCD | PTE_PWT)

/** Half in the window's page, half in the next one, which raises the fault. */
static void crossing(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), other = frame_new(), next = w->window + PAGE_SIZE;
	unsigned half = w->c.mode == MODE_64 ? 4 : 2;
	u64 addr = next - half, slot, last = frame + PAGE_SIZE - 8;

	world_map(w, next, 0, 1);
	slot = world_slot(w, next, 1);
	step_faults_at(ACCESS_READ, addr, 0, next);
	step_faults_at(ACCESS_READ | USER, addr, PF_U, next);
	step_faults_at(ACCESS_WRITE, addr, PF_W, next);
	step_faults_at(ACCESS_WRITE | USER, addr, PF_W | PF_U, next);
	step_store(slot, other | PTE_P);
	step_faults_at(ACCESS_READ | USER, addr, PF_P | PF_U, next);
	step_faults_at(ACCESS_WRITE | USER, addr, PF_P | PF_W | PF_U, next);
	step_faults_at(ACCESS_WRITE, addr, PF_P | PF_W, next);
	/* Nothing was written, not even to the first page. */
	step_reads(ACCESS_READ, next - 8, mark(last), 0);
	step_load(other, w->c.mode == MODE_32 ? (u32)mark(other) : mark(other), 0);
	/* Where the second allows it, both get their part; and each its flags. */
	step_store(w->slot[1], frame | PTE_P | PTE_W | PTE_U);
	step_store(slot, other | PTE_P | PTE_W | PTE_U);
	step_invlpg(w->window);
	step_invlpg(next);
	step_reads(ACCESS_READ | USER, addr,
		   (mark(last) >> (64 - 8 * half)) | mark(other) << 8 * half, 0);
	step_load(w->slot[1], frame | OPEN, 0);
	step_load(slot, other | OPEN, 0);
	step_write(ACCESS_WRITE | USER, addr, 0x1122334455667788);
	step_load(w->slot[1], frame | OPEN | PTE_D, 0);
	step_load(slot, other | OPEN | PTE_D, 0);
	step_reads(ACCESS_READ, addr, 0x1122334455667788, 0);
	/* The first faults before the second does. */
	step_store(w->slot[1], 0);
	step_store(slot, 0);
	step_invlpg(w->window);
	step_invlpg(next);
	step_faults(ACCESS_READ | USER, addr, PF_U);
}

void test_crossing(void)
{
	for_paged_modes(crossing);
	say_count("crossing");
}

/** PUSH and CALL below an address whose page has no right for it; in the 32-bit modes from ring 3
 * only. */
static void stack(struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), top = w->window + 256, word;
	bool wide = w->c.mode == MODE_64;

	word = wide ? 8 : 4;
	for (unsigned i = 0; i < 4; i++) {
		u32 who = wide && i & 1 ? 0 : USER, kind = i & 2 ? ACCESS_CALL : ACCESS_PUSH;
		u64 error = PF_W | (who ? PF_U : 0);

		step_check();
		step_store(w->slot[1], 0);
		step_invlpg(w->window);
		step_faults_at(kind | who, top, error, top - word);
		step_store(w->slot[1], frame | PTE_P | PTE_U);
		step_faults_at(kind | who, top, error | PF_P, top - word);
		step_load(w->slot[1], frame | PTE_P | PTE_U, 0);
		step_store(w->slot[1], frame | OPEN);
		step_invlpg(w->window);
		step_write(kind | who, top, 0x5aa5);
		if (kind == ACCESS_PUSH)
			step_reads(ACCESS_READ | USER, top - word, 0x5aa5, 0);
		step_load(w->slot[1], frame | OPEN | PTE_D, 0);
		step_store(frame + 256 - word, mark(frame + 256 - word));
		/* Below the page's start there is nothing. */
		step_faults_at(kind | who, w->window, error, w->window - word);
	}
}

void test_stack(void)
{
	for_paged_modes(stack);
	say_count("stack");
}

/** A device's registers, and an address that is nobody's, by the rights of ordinary entries. */
static void mmio(struct world *w)
{
	u64 entry = LAPIC | PTE_P | PTE_W | PTE_U | UNCACHED,
	    version = mmio_read(LAPIC + LAPIC_VERSION);

	step_store(w->slot[1], entry);
	step_invlpg(w->window);
	for (unsigned i = 0; i < 2; i++) {
		u32 who = i & 1 ? USER : 0;

		step_reads(ACCESS_READ4 | who, w->window + LAPIC_VERSION, version, 0);
		step_load(w->slot[1], entry | PTE_A, PTE_D);
		step_write(ACCESS_WRITE4 | who, w->window + LAPIC_LDR, 0x5a000000 + (i << 24));
		step_load(w->slot[1], entry | PTE_A | PTE_D, 0);
		step_reads(ACCESS_READ4 | (who ^ USER), w->window + LAPIC_LDR,
			   0x5a000000 + (i << 24), 0);
	}
	step_store(w->slot[1], entry & ~(PTE_W | PTE_U));
	step_invlpg(w->window);
	step_faults(ACCESS_WRITE4 | USER, w->window + LAPIC_LDR, PF_P | PF_W | PF_U);
	step_faults(ACCESS_READ4 | USER, w->window + LAPIC_LDR, PF_P | PF_U);
	step_faults(ACCESS_WRITE4, w->window + LAPIC_LDR, PF_P | PF_W);
	step_reads(ACCESS_READ4, w->window + LAPIC_LDR, 0x5b000000, 0);
	step_store(w->slot[1], 0);
	step_invlpg(w->window);
	step_faults(ACCESS_READ4, w->window + LAPIC_LDR, 0);
	/* A hole: all ones; and to be mapped and left like anything else. */
	step_store(w->slot[1], HOLE | OPEN | UNCACHED);
	step_reads(ACCESS_READ4 | USER, w->window, 0xffffffff, 0);
	step_write(ACCESS_WRITE4 | USER, w->window, 0x12345678);
	step_reads(ACCESS_READ4, w->window, 0xffffffff, 0);
	step_store(w->slot[1], page_new() | OPEN);
	step_invlpg(w->window);
	step_reads(ACCESS_READ4 | USER, w->window, 0, 0);
	step_write(ACCESS_WRITE4 | USER, w->window, 0x12345678);
	step_reads(ACCESS_READ4, w->window, 0x12345678, 0);
}

void test_mmio(void)
{
	for_paged_modes(mmio);
	say_count("mmio");
}

/** What the writer `name` made of the window's entry: the page at `frame`. */
static void check_window(const struct world *w, const char *name, u64 frame)
{
	struct access_result r;

	invlpg(w->window);
	r = access_now(ACCESS_READ | USER, w->window, 0);
	check_result(name, r, NO_VECTOR, 0, 0);
	check(r.value == mark(frame), "%s: read %lx", name, (unsigned long)r.value);
}

static void write_by_testdev(const struct world *w, u64 frame)
{
	u64 at = w->slot[1];

	outl(TESTDEV, (u32)(frame | OPEN));
	if (inl(TESTDEV) != (u32)(frame | OPEN)) {
		print("writers: no test device: INS was not tried\n");
		return;
	}
	__asm__ volatile("insl" : "+D"(at) : "d"(TESTDEV) : "memory");
	check(at == w->slot[1] + 4, "INS: RDI %lx", (unsigned long)at);
	check_window(w, "INS", frame);
	/* And page after page of them, with REP. */
	at = w->slot[1] & PAGE_MASK;
	outl(TESTDEV, 0);
	__asm__ volatile("rep insl" : "+D"(at) : "d"(TESTDEV), "c"(1024ul) : "memory");
	invlpg(w->window);
	check_result("REP INS", access_now(ACCESS_READ, w->window, 0), PF_VECTOR, 0, w->window);
}

/** Instructions that write page tables other than by MOV. */
static void write_by(const struct world *w, u64 frame, u64 other)
{
	u64 *slot = (u64 *)w->slot[1], old, count = 512;
	void *at = (void *)(w->slot[1] & PAGE_MASK);

	__asm__ volatile("xchg %0, %1" : "=r"(old), "+m"(*slot) : "0"(other | OPEN) : "memory");
	check((old & PTE_ADDRESS) == frame, "XCHG: %lx", (unsigned long)old);
	check_window(w, "XCHG", other);
	old = *slot;
	__asm__ volatile("lock cmpxchg %2, %1"
			 : "+a"(old), "+m"(*slot)
			 : "r"(frame | OPEN)
			 : "memory", "cc");
	check_window(w, "CMPXCHG", frame);
	__asm__ volatile("lock xaddq %0, %1"
			 : "=r"(old), "+m"(*slot)
			 : "0"(other - frame)
			 : "memory");
	check_window(w, "XADD", other);
	__asm__ volatile("lock andq %1, %0" : "+m"(*slot) : "r"(~PTE_W) : "memory", "cc");
	invlpg(w->window);
	check_result("AND", access_now(ACCESS_WRITE | USER, w->window, 0), PF_VECTOR,
		     PF_P | PF_W | PF_U, w->window);
	__asm__ volatile("lock btsq $1, %0" : "+m"(*slot)::"memory", "cc");
	check_result("BTS", access_now(ACCESS_WRITE | USER, w->window, mark(other)), NO_VECTOR, 0,
		     0);
	__asm__ volatile("lock decb %0" : "+m"(*slot)::"memory", "cc"); /* P */
	invlpg(w->window);
	check_result("DEC", access_now(ACCESS_READ | USER, w->window, 0), PF_VECTOR, PF_U,
		     w->window);
	__asm__ volatile("lock incb %0" : "+m"(*slot)::"memory", "cc");
	check_window(w, "INC", other);
	__asm__ volatile("rep stosq" : "+D"(at), "+c"(count) : "a"(frame | OPEN) : "memory");
	check_window(w, "STOS", frame);
	at = (void *)(w->slot[1] & PAGE_MASK);
	count = 4096;
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(0) : "memory");
	invlpg(w->window);
	check_result("STOSB", access_now(ACCESS_READ, w->window, 0), PF_VECTOR, 0, w->window);
	/* Two entries at once, and half of one: half an entry may be seen. */
	*(volatile u32 *)slot = (u32)(other | OPEN);
	check_window(w, "half", other);
	*(volatile u8 *)slot = 0;
	invlpg(w->window);
	check_result("a byte", access_now(ACCESS_READ, w->window, 0), PF_VECTOR, 0, w->window);
	write_by_testdev(w, frame);
	memcpy(slot, &(u64){frame | OPEN}, 8);
	check_window(w, "copy", frame);
}

void test_writers(void)
{
	struct world w;
	u64 frame, other;

	world_enter_64(&w);
	frame = leads_to(&w, w.slot[1]);
	other = frame_new();
	for (unsigned i = 0; i < 3; i++)
		write_by(&w, frame, other);
	world_leave();
	say_count("writers");
}

/** Protection keys, where the processor has them: all rights of a key, by all kinds of access. */
void test_pkeys(void)
{
	struct world w;
	u64 entry[MAX_LEVELS + 1];

	if (!has.pku) {
		print("pkeys: this processor has none\n");
		return;
	}
	arena_reset();
	world_build(&w, MODE_64);
	w.c.cr4 |= X86_CR4_PKE;
	for (unsigned level = 1; level <= MAX_LEVELS; level++)
		entry[level] = entry_read(MODE_64, w.slot[level]);
	for (unsigned i = 0; i < 4 * 4 * 8; i++) {
		unsigned key = i & 1 ? 15 : 3;
		struct verdict v;

		entry[1] = (entry[1] & PTE_ADDRESS) | PTE_P | PTE_A | PTE_PKEY(key) |
			   (i & 2 ? PTE_U : 0) | (i & 4 ? PTE_W : 0);
		w.c.cr0 = (w.c.cr0 & ~X86_CR0_WP) | (i & 8 ? X86_CR0_WP : 0);
		w.c.pkru = (i >> 4 & 3) << 2 * key | (i & 64 ? ~(3u << 2 * key) : 0);
		steps_begin(&w);
		step_store(w.slot[1], entry[1]);
		step_invlpg(w.window);
		for (u32 kind = 0; kind < 2 * NR_ACCESS_KINDS; kind++) {
			u32 access = kind / 2 | (kind & 1 ? USER : 0);

			predict(&w.c, entry, w.window, access, &v);
			if (v.fault)
				step_faults(access, w.window, v.error);
			else
				step_works(access, w.window, v.phys);
		}
		steps_run();
	}
	say_count("pkeys");
}
