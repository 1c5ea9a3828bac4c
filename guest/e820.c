/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory as the guest finds it:
 *
 *     0          - 0x9fc00     RAM
 *     0x9fc00    - 1 MiB       reserved: extended BIOS data area, ACPI tables (over RAM)
 *     1 MiB      - 3 GiB       RAM, as far as it goes (PC_LOW_RAM_MAX)
 *     0xfec00000, 0xfee00000   reserved: the I/O APIC's and the local APICs' page
 *     0xfffbc000               reserved: the identity map (PC_IDENTITY_MAP)
 *     4 GiB      -             the rest of RAM
 */
#include "pc.h"

enum { E820_RAM = 1, E820_RESERVED = 2 };

/*
 * Laying host memory out.
 */

struct placement {
	struct gmem *gm;
	u64 low, high; /* where the next piece below PC_LOW_RAM_MAX, above 4 GiB goes */
	u64 placed;
};

/** Put `size` bytes of `chunk`, from `offset` on, where `*at` says. */
static void place(struct placement *p, u64 *at, const struct gmem_slot *chunk, u64 offset, u64 size)
{
	u8 *hva = chunk->hva ? chunk->hva + offset : NULL;

	if (!size || !gmem_add(p->gm, GPA(*at), size, HPA(chunk->hpa.v + offset), hva))
		return;
	*at += size;
	p->placed += size;
}

/** A chunk that begins below the limit and ends above it. What goes above is the middle of the
 *  chunk where that makes it begin on a host 1 GiB boundary: the low part then gets the rest. */
static void place_across(struct placement *p, const struct gmem_slot *chunk, u64 start, u64 size)
{
	u64 low = PC_LOW_RAM_MAX - p->low, head = low, hpa = chunk->hpa.v + start;

	if (size - low >= GIB(1) && ALIGN_DOWN(hpa + low, GIB(1)) >= hpa)
		head = ALIGN_DOWN(hpa + low, GIB(1)) - hpa;
	place(p, &p->low, chunk, start, head);
	place(p, &p->low, chunk, start + size - (low - head), low - head);
	place(p, &p->high, chunk, start + head, size - low);
}

u64 pc_place_memory(struct gmem *gm, const struct gmem_slot *chunks, unsigned nr)
{
	struct placement p = {.gm = gm, .high = GIB(4)};

	for (unsigned i = 0; i < nr; i++) {
		/* Whole large pages of the host only: so every piece stays congruent modulo 2 MiB.
		 */
		u64 start = ALIGN_UP(chunks[i].hpa.v, MIB(2)) - chunks[i].hpa.v;
		u64 size = chunks[i].size > start ? chunks[i].size - start : 0;

		size = ALIGN_DOWN(size, MIB(2));
		if (p.low == PC_LOW_RAM_MAX)
			place(&p, &p.high, &chunks[i], start, size);
		else if (size > PC_LOW_RAM_MAX - p.low)
			place_across(&p, &chunks[i], start, size);
		else
			place(&p, &p.low, &chunks[i], start, size);
	}
	return p.placed;
}

u64 pc_low_ram(const struct gmem *gm)
{
	const struct gmem_slot *s;
	u64 end = 0;

	while (end < PC_LOW_RAM_MAX && (s = gmem_slot(gm, GPA(end))))
		end = s->gpa.v + s->size;
	return end;
}

/*
 * The map.
 */

struct map {
	struct e820_entry *e;
	unsigned nr, max;
};

static void add(struct map *m, u64 addr, u64 end, u32 type)
{
	struct e820_entry *last = m->nr ? &m->e[m->nr - 1] : NULL;

	if (addr >= end)
		return;
	if (last && last->type == type && last->addr + last->size == addr)
		last->size += end - addr;
	else if (m->nr < m->max)
		m->e[m->nr++] = (struct e820_entry){addr, end - addr, type};
}

/** The slot with the lowest address at or above `from`. */
static const struct gmem_slot *next_slot(const struct gmem *gm, u64 from)
{
	const struct gmem_slot *best = NULL;

	for (unsigned i = 0; i < gm->nr; i++) {
		const struct gmem_slot *s = &gm->slot[i];

		if (s->gpa.v >= from && (!best || s->gpa.v < best->gpa.v))
			best = s;
	}
	return best;
}

/** What of RAM lies in [lo, hi), in order. */
static void add_ram(struct map *m, const struct gmem *gm, u64 lo, u64 hi)
{
	const struct gmem_slot *s;

	for (u64 at = 0; (s = next_slot(gm, at)); at = s->gpa.v + s->size)
		add(m, MAX(s->gpa.v, lo), MIN(s->gpa.v + s->size, hi), E820_RAM);
}

unsigned e820_build(const struct gmem *gm, struct e820_entry *e, unsigned max)
{
	struct map m = {.e = e, .max = max};

	add_ram(&m, gm, 0, PC_EBDA);
	add(&m, PC_EBDA, MIB(1), E820_RESERVED);
	add_ram(&m, gm, MIB(1), PC_LOW_RAM_MAX);
	add(&m, IOAPIC_BASE, IOAPIC_BASE + IOAPIC_LEN, E820_RESERVED);
	add(&m, LAPIC_DEFAULT_BASE, LAPIC_DEFAULT_BASE + PAGE_SIZE, E820_RESERVED);
	add(&m, PC_IDENTITY_MAP, PC_IDENTITY_MAP + PAGE_SIZE, E820_RESERVED);
	add_ram(&m, gm, GIB(4), ~0ull);
	return m.nr;
}
