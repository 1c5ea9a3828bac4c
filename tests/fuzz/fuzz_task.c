/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of task switches: a world in which every switch works, spoiled by the input. Whatever
 * comes of it, a switch that is refused has changed nothing, and a state that is entered is one
 * that VM entry takes.
 *
 * Input: struct head, then struct patch as often as there is room.
 */
#include <stdlib.h>

#include "lib/mem.h"
#include "tests/host/task_fixture.h"

struct head {
	u8 source;     /* bits 1:0; bits 2 and 3: 32-bit TSSs, the old one's and the new one's */
	u8 event;      /* bit 0 EXT, bit 1 an error code */
	u16 selector;  /* xor-ed to the new TSS's */
	u16 gdt_limit; /* xor-ed to the GDT's */
	u8 page, how;  /* a page of one of the spaces, and its protection */
	u16 old_base;  /* added to the old TSS's base and limit */
	u8 old_limit;
	u8 ring; /* of the new task */
	u32 error;
} __attribute__((packed));

/** A byte of memory, in both spaces or one of them. */
struct patch {
	u16 at;
	u8 value;
	u8 space; /* 0, 1: that one; else both */
} __attribute__((packed));

static struct machine m, before;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void spoil(const struct head *h, const u8 *data, size_t size)
{
	struct patch p;

	for (; size >= sizeof(p); size -= sizeof(p), data += sizeof(p)) {
		memcpy(&p, data, sizeof(p));
		if (p.space != 1)
			m.ram[0][p.at] = p.value;
		if (p.space != 0)
			m.ram[1][p.at] = p.value;
	}
	m.st.gdt_limit ^= h->gdt_limit;
	m.st.tr.base += h->old_base;
	m.st.tr.limit += h->old_limit;
	m.page[h->page >> 4 & 1][h->page & 15] = h->how & 15;
}

static void check_exception(const struct task_request *rq, const struct task_exception *e)
{
	switch (e->vector) {
	case TS_VECTOR:
	case NP_VECTOR:
	case SS_VECTOR:
	case GP_VECTOR:
		require((e->error & 3) == rq->ext && e->error <= 0xffff);
		break;
	case PF_VECTOR:
		require(!(e->error & ~7u));
		break;
	default:
		abort();
	}
}

static void check_switched(void)
{
	const struct task_state *st = &m.st;

	require(!entry_broken(st, false) && !entry_broken(st, true));
	require((st->cr0 & X86_CR0_TS) && !(st->dr7 & 0x155));
	require(st->tr.ar & SEGMENT_TSS_BUSY);
	require(m.loads_of_cr3 <= 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct task_request rq;
	struct task_result r;
	struct head h;

	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	rq = (struct task_request){
		.selector = SEL_NEW ^ h.selector,
		.source = h.source & 3,
		.ext = h.event & 1,
		.has_error = h.event & 2,
		.error = h.error,
	};
	make_world(&m, rq.source, h.source & 4, h.source & 8);
	put_new_tss(&m, h.source & 8, h.ring & 3);
	spoil(&h, data + sizeof(h), size - sizeof(h));
	before = m;
	run_switch(&m, &rq, &r);
	switch (r.status) {
	case TASK_SWITCHED:
		check_switched();
		require(m.st.eip <= m.st.seg[SEG_CS].limit);
		break;
	case TASK_FAULTED:
		check_switched();
		require(!r.trap);
		check_exception(&rq, &r.exception);
		break;
	case TASK_REFUSED:
		check_exception(&rq, &r.exception);
		require(!memcmp(m.ram, before.ram, sizeof(m.ram)));
		break;
	case TASK_LOST:
		require(h.how & PAGE_LOST);
	}
	return 0;
}
