/* SPDX-License-Identifier: MIT */
/* Memory, and the address spaces in which things are tried out. */
#include "paging.h"

#include "lib/mem.h"

/* Where a world has things, by mode. The payload itself is mapped one to one below LOW_END. */
#define LOW_END MIB(64)
#define USER_64 0x8000000000ull
#define USER_32 0x40000000ull
#define WINDOW_64 0x10000000000ull
#define WINDOW_32 0x80000000ull

#define RET 0xc3u
#define WORD_BYTES 8u

/** access.asm: a page with the code of ring 3. */
extern const u8 user_code[];

struct cpu_features has;

static u64 arena_next;
static u64 identity_64; /* entry 0 of the PML4 that entry.asm built */

static void find_features(void)
{
	bool leaf7 = cpuid(0, 0).eax >= 7;
	struct cpuid_out one = cpuid(1, 0), seven = leaf7 ? cpuid(7, 0) : (struct cpuid_out){0};
	struct cpuid_out extended = cpuid(0x80000001, 0);

	has = (struct cpu_features){
		.nx = extended.edx & BIT(20),
		.gib_pages = extended.edx & BIT(26),
		.pge = one.edx & BIT(13),
		.pcid = one.ecx & BIT(17),
		.hypervisor = one.ecx & BIT(31),
		.smep = seven.ebx & BIT(7),
		.smap = seven.ebx & BIT(20),
		.invpcid = seven.ebx & BIT(10),
		.pku = seven.ecx & BIT(3),
		.maxphyaddr = MAXPHYADDR_DEFAULT,
	};
	if (cpuid(0x80000000, 0).eax >= 0x80000008)
		has.maxphyaddr = cpuid(0x80000008, 0).eax & 0xff;
}

void world_init(void)
{
	identity_64 = *(const u64 *)(read_cr3() & PTE_ADDRESS);
	find_features();
	exec_init();
}

void arena_reset(void)
{
	arena_next = ARENA;
}

u64 page_new(void)
{
	u64 page = arena_next;

	if (page == ARENA_END) {
		check(false, "the payload's own memory is used up");
		payload_exit(1);
	}
	arena_next += PAGE_SIZE;
	memset((void *)page, 0, PAGE_SIZE);
	return page;
}

u64 mark(u64 phys)
{
	return (phys * 0x9e3779b97f4a7c15ull & ~0xffull) | RET;
}

void frame_mark(u64 phys)
{
	for (u64 at = phys; at < phys + PAGE_SIZE; at += WORD_BYTES)
		*(u64 *)at = mark(at);
}

u64 frame_new(void)
{
	u64 page = page_new();

	frame_mark(page);
	return page;
}

u64 entry_read(enum paging_mode mode, u64 slot)
{
	return mode_info[mode].entry_bytes == 4 ? *(const volatile u32 *)slot
						: *(const volatile u64 *)slot;
}

void entry_write(enum paging_mode mode, u64 slot, u64 value)
{
	if (mode_info[mode].entry_bytes == 4)
		*(volatile u32 *)slot = (u32)value;
	else
		*(volatile u64 *)slot = value;
}

static u64 slot_in(enum paging_mode mode, u64 table, u64 addr, unsigned level)
{
	u64 index = addr >> level_shift(mode, level) & (BIT(mode_info[mode].index_bits) - 1);

	return table + index * mode_info[mode].entry_bytes;
}

u64 world_slot(const struct world *w, u64 addr, unsigned level)
{
	u64 table = w->root;

	for (unsigned at = mode_info[w->c.mode].levels; at > level; at--)
		table = entry_read(w->c.mode, slot_in(w->c.mode, table, addr, at)) & PTE_ADDRESS;
	return slot_in(w->c.mode, table, addr, level);
}

void world_map(struct world *w, u64 addr, u64 entry, unsigned level)
{
	enum paging_mode mode = w->c.mode;

	for (unsigned at = mode_info[mode].levels; at > level; at--) {
		u64 slot = world_slot(w, addr, at);

		if (entry_read(mode, slot) & PTE_P)
			continue;
		/* A PDPTE of PAE paging has no rights. */
		entry_write(mode, slot, page_new() | (mode == MODE_PAE && at == 3 ? PTE_P : OPEN));
	}
	entry_write(mode, world_slot(w, addr, level), entry);
}

static void map_payload(struct world *w)
{
	if (w->c.mode == MODE_64) {
		entry_write(MODE_64, w->root, identity_64);
		return;
	}
	for (u64 at = 0; at < LOW_END; at += PAGE_SIZE)
		world_map(w, at, at | PTE_P | PTE_W | PTE_A | PTE_D, 1);
}

void world_build(struct world *w, enum paging_mode mode)
{
	bool wide = mode == MODE_64;
	unsigned shift = mode == MODE_32 ? 22 : 21;

	*w = (struct world){
		.c = {.mode = mode,
		      .cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE |
			     (mode == MODE_OFF ? 0 : X86_CR0_PG),
		      .cr4 = mode == MODE_PAE || wide ? X86_CR4_PAE : 0},
		.root = page_new(),
		.user_code = wide ? USER_64 : USER_32,
		.window = wide ? WINDOW_64 : WINDOW_32,
	};
	w->user_stack = w->user_code + 2 * PAGE_SIZE;
	if (mode == MODE_OFF) {
		w->user_code = (u64)user_code;
		w->user_stack = page_new() + PAGE_SIZE;
		w->window = frame_new();
		return;
	}
	map_payload(w);
	world_map(w, w->user_code, (u64)user_code | OPEN, 1);
	world_map(w, w->user_code + PAGE_SIZE, page_new() | OPEN | PTE_D, 1);
	w->window += ((u64)WINDOW_PDE << shift) + WINDOW_PTE * PAGE_SIZE;
	world_map(w, w->window, frame_new() | OPEN, 1);
	for (unsigned level = 1; level <= mode_info[mode].levels; level++)
		w->slot[level] = world_slot(w, w->window, level);
}
