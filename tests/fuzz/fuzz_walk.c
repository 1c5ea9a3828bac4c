/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the page walker: control registers, page tables and one access from the input,
 * against the naive walker; then what must hold of any walk.
 *
 * Input: struct head, then table entries of 8 bytes, laid down again and again until memory is
 * full.
 */
#include <stdlib.h>

#include "tests/host/naive_walk.h"

#define RAM_PAGES 8u
#define RAM_SIZE (RAM_PAGES * PAGE_SIZE)

struct head {
	u64 gva, cr3, pdpte;
	u32 pkru;
	u8 controls, more, maxphyaddr, access;
} __attribute__((packed));

static _Alignas(4096) u8 ram[RAM_SIZE];
static u8 before[RAM_SIZE], copy[RAM_SIZE];

static void require(bool holds)
{
	if (!holds)
		abort();
}

static u64 when(unsigned bits, unsigned n, u64 value)
{
	return bits >> n & 1 ? value : 0;
}

static struct walk_regs registers(const struct head *h)
{
	struct walk_regs r = {
		.cr0 = 1 | when(~h->controls, 0, BIT(31)) | when(h->controls, 1, BIT(16)),
		.cr3 = h->cr3 % RAM_SIZE,
		.cr4 = when(h->controls, 2, BIT(4)) | when(h->controls, 3, BIT(5)) |
		       when(h->controls, 4, BIT(20)) | when(h->controls, 5, BIT(21)) |
		       when(h->controls, 6, BIT(22)),
		.efer = when(h->controls, 7, BIT(11)),
		.rflags = when(h->more, 0, BIT(18)),
		.has_1g = h->more & 2,
		.maxphyaddr = 32 + h->maxphyaddr % 21,
		.pkru = h->pkru,
	};

	/* LMA needs paging and PAE. */
	if (r.cr0 >> 31 && r.cr4 & BIT(5) && h->more & 4)
		r.efer |= BIT(10);
	for (unsigned i = 0; i < 4; i++)
		r.pdpte[i] = (h->pdpte >> (16 * i) & 0xf001) % RAM_SIZE;
	return r;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct gmem gm = {.nr = 0};
	struct walk_result out, again;
	enum walk_status status;
	struct outcome naive;
	struct walk_regs r;
	struct head h;
	u32 access;

	if (size < sizeof(h) + 8)
		return 0;
	memcpy(&h, data, sizeof(h));
	for (size_t i = 0, n = (size - sizeof(h)) / 8; i < RAM_SIZE / 8; i++)
		memcpy(before + 8 * i, data + sizeof(h) + 8 * (i % n), 8);
	memcpy(ram, before, RAM_SIZE);
	memcpy(copy, before, RAM_SIZE);
	require(gmem_add(&gm, GPA(0), RAM_SIZE, HPA(0), ram));
	r = registers(&h);
	access = h.access & 0x1f;
	if ((access & 3) == 3) /* nothing writes and fetches at once */
		access &= ~WALK_FETCH;

	status = guest_walk(&gm, &r, GVA(h.gva), access, &out);
	naive = naive_walk(copy, RAM_SIZE, &r, h.gva, access);
	require(status == naive.status);
	require(status == WALK_FAULT ? out.pferr == naive.pferr : out.gpa.v == naive.gpa);
	require(status != WALK_OK || out.page_size == naive.page_size);
	require(!memcmp(ram, copy, RAM_SIZE));

	/* Only a walk that succeeds may set A and D; the same walk again changes nothing more. It
	 * may go another way only if it went through its own flags: tables that map themselves. */
	if (status != WALK_OK || access & WALK_NO_AD) {
		require(!memcmp(ram, before, RAM_SIZE));
		require(guest_walk(&gm, &r, GVA(h.gva), access | WALK_NO_AD, &again) == status);
		require(again.gpa.v == out.gpa.v && again.pferr == out.pferr);
	}
	/* Who may write may read. */
	if (status == WALK_OK && access & WALK_WRITE)
		require(guest_walk(&gm, &r, GVA(h.gva), access & ~WALK_WRITE, &again) == WALK_OK);
	return 0;
}
