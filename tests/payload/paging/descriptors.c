/* SPDX-License-Identifier: MIT */
/* What the processor reads and writes by itself: stacks and descriptor tables, while it delivers
 * exceptions and loads segments. In 64-bit mode, each access at once. */
#include "paging.h"

#include "lib/mem.h"

#define USER ACCESS_USER

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

#define DONE_VECTOR 0x40

/** An access that the processor makes by itself, to a user page, under SMAP and with RFLAGS.AC: AC
 * is for the program's own. Bochs 2.7 does not make that difference. */
static void check_implicit(const char *what, struct access_result r, u64 error, u64 cr2)
{
	if (r.vector == NO_VECTOR)
		departs("RFLAGS.AC allows implicit accesses in spite of SMAP");
	else
		check_result(what, r, PF_VECTOR, error, cr2);
}

/** A page fault whose frame cannot be pushed, as the stack's page is not there. */
void test_double_fault(void)
{
	u64 rsp0 = tss64.rsp0, entry;
	struct access_result r;
	struct world w;

	world_enter_64(&w);
	entry = *(u64 *)w.slot[1];
	*(u64 *)w.slot[1] = 0;
	invlpg(w.window);
	/* Onto the stack that is in use: #PF while #PF is delivered. */
	trap_stack(PF_VECTOR, 0);
	r = access_now(ACCESS_PUSH, w.window + 256, 0);
	check_result("push", r, DF_VECTOR, 0, w.window + 256 - 8);
	/* From ring 3, onto the stack for ring 0. */
	tss64.rsp0 = w.window + 512;
	r = access_now(ACCESS_READ | USER, w.window, 0);
	check_result("user read", r, DF_VECTOR, 0, w.window + 512 - 8);
	/* INT is no fault itself: the page fault of its delivery is delivered. */
	trap_stack(PF_VECTOR, PF_STACK);
	r = access_now(ACCESS_READ | USER, (u64)w.user_code, 0);
	check_result("int", r, PF_VECTOR, PF_W, w.window + 512 - 8);
	*(u64 *)w.slot[1] = entry & ~PTE_W;
	r = access_now(ACCESS_READ | USER, (u64)w.user_code, 0);
	check_result("int, stack read-only", r, PF_VECTOR, PF_P | PF_W, w.window + 512 - 8);
	*(u64 *)w.slot[1] = entry;
	invlpg(w.window);
	r = access_now(ACCESS_READ | USER, (u64)w.user_code, 0);
	check_result("int, stack in a user page", r, NO_VECTOR, 0, 0);
	if (has.smap) {
		write_cr4(w.c.cr4 | X86_CR4_SMAP);
		r = access_now(ACCESS_READ | USER | ACCESS_AC, (u64)w.user_code, 0);
		check_implicit("int, SMAP", r, PF_P | PF_W, w.window + 512 - 8);
		write_cr4(w.c.cr4);
	}
	tss64.rsp0 = rsp0;
	world_leave();
	say_count("double-fault");
}

/** With CR0.WP=0 the supervisor has written to the user's read-only page, by RFLAGS.AC. Shadow page
 *  tables have no entry for that: as in Linux KVM's the page is the supervisor's until the user
 * comes back, and SMAP does not see it. */
void test_folded_smap(void)
{
	struct access_result r;
	struct world w;

	if (!has.smap) {
		print("folded-smap: this processor has no SMAP\n");
		return;
	}
	world_enter_64(&w);
	*(u64 *)w.slot[1] &= ~PTE_W;
	write_cr0(w.c.cr0 & ~X86_CR0_WP);
	write_cr4(w.c.cr4 | X86_CR4_SMAP);
	check_result("write", access_now(ACCESS_WRITE, w.window, 0), PF_VECTOR, PF_P | PF_W,
		     w.window);
	check_result("write with AC", access_now(ACCESS_WRITE | ACCESS_AC, w.window, 1), NO_VECTOR,
		     0, 0);
	r = access_now(ACCESS_READ, w.window, 0);
	if (r.vector == NO_VECTOR)
		departs("a page written with CR0.WP=0 is without SMAP");
	else
		check_result("read", r, PF_VECTOR, PF_P, w.window);
	check_result("user read", access_now(ACCESS_READ | USER, w.window, 0), NO_VECTOR, 0, 0);
	check_result("read again", access_now(ACCESS_READ, w.window, 0), PF_VECTOR, PF_P, w.window);
	check_result("user write", access_now(ACCESS_WRITE | USER, w.window, 0), PF_VECTOR,
		     PF_P | PF_W | PF_U, w.window);
	world_leave();
	say_count("folded-smap");
}

/** A page that the user may read and execute holds the instruction and the descriptor that it
 * loads. The processor sets the descriptor's accessed flag, which with CR0.WP=0 it may: one
 * instruction needs the page both as the user's and writable. */
void test_folded_descriptor(void)
{
	static const u8 load_ds[] = {0xb8, 0, 0, 0, 0, 0x8e, 0xd8, 0xc3}; /* MOV EAX; MOV DS; RET */
	struct table_register old, new;
	u64 frame, *descriptor;
	struct world w;

	world_enter_64(&w);
	frame = leads_to(&w, w.slot[1]);
	__asm__ volatile("sgdt %0" : "=m"(old));
	new = (struct table_register){(u16)(old.limit + 8), w.window + PAGE_SIZE / 2};
	memcpy((void *)frame, load_ds, sizeof(load_ds));
	((u8 *)frame)[1] = (u8)((old.limit + 1) | 3);
	memcpy((void *)(frame + PAGE_SIZE / 2), (const void *)old.base, old.limit + 1u);
	descriptor = (u64 *)(frame + PAGE_SIZE / 2 + old.limit + 1);
	*descriptor = 0x00cff2000000ffff; /* data of ring 3, not accessed */
	*(u64 *)w.slot[1] &= ~PTE_W;
	write_cr0(w.c.cr0 & ~X86_CR0_WP);
	invlpg(w.window);
	__asm__ volatile("lgdt %0" ::"m"(new));
	check_result("load", access_now(ACCESS_FETCH | USER, w.window, 0), NO_VECTOR, 0, 0);
	__asm__ volatile("lgdt %0\n\tmov %1, %%ds" ::"m"(old), "r"(SELECTOR_DATA));
	check(*descriptor == 0x00cff3000000ffff, "descriptor 0x%lx", (unsigned long)*descriptor);
	world_leave();
	say_count("folded-descriptor");
}

/** The interrupt table, copied so that the gate of DONE_VECTOR is the window's first. */
static void idt_into_window(const struct world *w, u64 frame, struct table_register *new)
{
	struct table_register old;

	__asm__ volatile("sidt %0" : "=m"(old));
	*new = (struct table_register){old.limit, w->window - DONE_VECTOR * 16};
	memcpy((void *)frame, (const u8 *)old.base + DONE_VECTOR * 16, 64);
	memcpy((void *)(leads_to(w, world_slot(w, w->window - PAGE_SIZE, 1)) + PAGE_SIZE -
			DONE_VECTOR * 16),
	       (const u8 *)old.base, DONE_VECTOR * 16);
}

static struct access_result int_with(const struct table_register *idt, const struct world *w,
				     u32 ac)
{
	struct table_register old;
	struct access_result r;

	__asm__ volatile("sidt %0\n\tlidt %1" : "=m"(old) : "m"(*idt));
	r = access_now(ACCESS_READ | USER | ac, w->user_code, 0);
	__asm__ volatile("lidt %0" ::"m"(old));
	return r;
}

static void idt_cases(const struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), *slot = (u64 *)w->slot[1];
	struct table_register idt;

	idt_into_window(w, frame, &idt);
	check_result("IDT", int_with(&idt, w, 0), NO_VECTOR, 0, 0);
	*slot = frame | PTE_P; /* the supervisor's, and read-only: that is enough */
	invlpg(w->window);
	check_result("IDT, supervisor", int_with(&idt, w, 0), NO_VECTOR, 0, 0);
	check(*slot == (frame | PTE_P | PTE_A), "IDT: entry %lx", (unsigned long)*slot);
	*slot = 0;
	invlpg(w->window);
	check_result("IDT not there", int_with(&idt, w, 0), PF_VECTOR, 0, w->window);
	*slot = frame | OPEN;
	check_result("IDT back", int_with(&idt, w, 0), NO_VECTOR, 0, 0);
	if (!has.smap)
		return;
	write_cr4(w->c.cr4 | X86_CR4_SMAP);
	check_result("IDT, SMAP", int_with(&idt, w, 0), PF_VECTOR, PF_P, w->window);
	check_implicit("IDT, SMAP, AC", int_with(&idt, w, ACCESS_AC), PF_P, w->window);
	write_cr4(w->c.cr4);
}

/** Load FS by the last descriptor of a table, with this RFLAGS.AC. */
static struct access_result load_fs(const struct table_register *gdt, bool ac)
{
	struct table_register old;
	struct access_result r = {.vector = NO_VECTOR};
	u64 flags = X86_EFLAGS_FIXED | (ac ? X86_EFLAGS_AC : 0);

	__asm__ volatile("sgdt %0\n\tlgdt %1\n\tpush %2\n\tpopfq"
			 : "=m"(old)
			 : "m"(*gdt), "r"(flags)
			 : "memory", "cc");
	r.vector = (u32)TRY("mov %w0, %%fs", ::"r"(gdt->limit & ~7u));
	__asm__ volatile("lgdt %0\n\tpush %1\n\tpopfq" ::"m"(old), "r"(X86_EFLAGS_FIXED)
			 : "memory", "cc");
	r.error = (u32)fault.error;
	__asm__ volatile("mov %%cr2, %0" : "=r"(r.cr2));
	return r;
}

/** The window has the table's last descriptor only: without the others nobody could say how it
 * went. */
static void gdt_cases(const struct world *w)
{
	u64 frame = leads_to(w, w->slot[1]), *slot = (u64 *)w->slot[1];
	u64 *descriptor = (u64 *)frame, at = w->window;
	struct table_register old, gdt;
	struct access_result r;

	__asm__ volatile("sgdt %0" : "=m"(old));
	memcpy((void *)(leads_to(w, world_slot(w, at - PAGE_SIZE, 1)) + PAGE_SIZE - old.limit - 1),
	       (const void *)old.base, old.limit + 1u);
	gdt = (struct table_register){(u16)(old.limit + 8), at - old.limit - 1};
	*descriptor = ((const u64 *)old.base)[SELECTOR_DATA / 8];
	check_result("GDT", load_fs(&gdt, false), NO_VECTOR, 0, 0);
	*slot = frame | PTE_P | PTE_U; /* the descriptor is accessed already: no write */
	invlpg(w->window);
	check_result("GDT read-only", load_fs(&gdt, false), NO_VECTOR, 0, 0);
	*descriptor &= ~BIT(40);
	r = load_fs(&gdt, false);
	r.cr2 &= ~7ull; /* where in the descriptor the processor writes, it does not tell */
	check_result("GDT read-only, not accessed", r, PF_VECTOR, PF_P | PF_W, at);
	*slot = frame | OPEN;
	invlpg(w->window);
	check_result("GDT, not accessed", load_fs(&gdt, false), NO_VECTOR, 0, 0);
	check(*descriptor & BIT(40), "GDT: no accessed bit");
	*slot = 0;
	invlpg(w->window);
	check_result("GDT not there", load_fs(&gdt, false), PF_VECTOR, 0, at);
	*slot = frame | OPEN;
	if (!has.smap)
		return;
	write_cr4(w->c.cr4 | X86_CR4_SMAP);
	check_result("GDT, SMAP", load_fs(&gdt, false), PF_VECTOR, PF_P, at);
	check_implicit("GDT, SMAP, AC", load_fs(&gdt, true), PF_P, at);
	write_cr4(w->c.cr4);
	check_result("GDT again", load_fs(&gdt, false), NO_VECTOR, 0, 0);
}

/** Tables that the processor reads by itself, as the supervisor whatever the ring, and that SMAP
 * keeps it from whatever RFLAGS.AC says (section 4.6 "Access Rights"). */
void test_descriptors(void)
{
	struct world w;

	world_enter_64(&w);
	world_map(&w, w.window - PAGE_SIZE, frame_new() | PTE_P | PTE_W, 1);
	idt_cases(&w);
	gdt_cases(&w);
	world_leave();
	say_count("descriptors");
}
