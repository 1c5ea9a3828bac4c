/* SPDX-License-Identifier: MIT */
/*
 * The finer exit counters: tables of what exits were for, sums and differences, and the CPUID leaf
 * that shows them (docs/cpuid-leaves.md). Hypervisor and exitstat both compile this file.
 */
#include "exit_detail.h"

#include "mem.h"
#include "shadow_counters.h"
#include "vmx.h"
#include "x86.h"

_Static_assert(TALLY_VALUES <= 0xff, "a slot is a byte");
_Static_assert(NR_TALLIES <= NR_EXIT_REASONS, "one for each reason at most");

int exit_detail_kind(u32 nr)
{
	static const u8 reasons[NR_TALLIES] = {
		[TALLY_EXCEPTION] = EXIT_REASON_EXCEPTION_NMI,
		[TALLY_INTERRUPT] = EXIT_REASON_EXTERNAL_INTERRUPT,
		[TALLY_CPUID] = EXIT_REASON_CPUID,
		[TALLY_CR] = EXIT_REASON_CR_ACCESS,
		[TALLY_IO] = EXIT_REASON_IO_INSTRUCTION,
		[TALLY_RDMSR] = EXIT_REASON_RDMSR,
		[TALLY_WRMSR] = EXIT_REASON_WRMSR,
		[TALLY_APIC_ACCESS] = EXIT_REASON_APIC_ACCESS,
		[TALLY_EOI] = EXIT_REASON_VIRTUALIZED_EOI,
		[TALLY_EPT] = EXIT_REASON_EPT_VIOLATION,
		[TALLY_APIC_WRITE] = EXIT_REASON_APIC_WRITE,
	};

	for (int kind = 0; kind < NR_TALLIES; kind++) {
		if (reasons[kind] == nr)
			return kind;
	}
	return -1;
}

void exit_detail_init(struct exit_detail *d)
{
	memset(d, 0, sizeof(*d));
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++)
		d->least[nr] = ~0ull;
	/* So that an empty slot, which leads to entry 0, is taken for no value's but this one's. */
	for (u32 kind = 0; kind < NR_TALLIES; kind++)
		d->tally[kind].what[0] = ~0u;
}

u64 *tally_count_new(struct tally *t, u32 what)
{
	u8 *slot;

	if (t->used == TALLY_VALUES) /* first, for it may be so at many exits */
		return &t->count[0];
	slot = &t->slot[tally_slot(what)];
	for (u32 i = 0; i < TALLY_PROBES; i++) {
		if (slot[i])
			continue;
		slot[i] = (u8)++t->used;
		t->what[t->used] = what;
		return &t->count[t->used];
	}
	return &t->count[0];
}

static u64 tally_of(const struct tally *t, u32 what)
{
	for (u32 i = 1; i <= t->used; i++) {
		if (t->what[i] == what)
			return t->count[i];
	}
	return 0;
}

/** The value of an EPT violation with this qualification. */
static u32 ept_value(u32 qualification)
{
	const u32 translated = EPT_VIOLATION_GVA_VALID | EPT_VIOLATION_GVA_TRANSLATED;
	u32 what = qualification & TALLY_EPT_ACCESS;

	if (qualification & EPT_VIOLATION_ALLOWED)
		what |= TALLY_EPT_MAPPED;
	if ((qualification & translated) == EPT_VIOLATION_GVA_VALID)
		what |= TALLY_EPT_WALK;
	return what;
}

void exit_detail_add(struct exit_detail *dst, const struct exit_detail *src)
{
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		if (src->least[nr] == ~0ull) /* nothing: most reasons never occur */
			continue;
		dst->least[nr] = MIN(dst->least[nr], src->least[nr]);
		dst->most[nr] = MAX(dst->most[nr], src->most[nr]);
		for (u32 i = 0; i < CYCLE_BUCKETS; i++)
			dst->cycles[nr][i] += src->cycles[nr][i];
	}
	/* First, and also those that never occurred: so that they are in the same entries in every
	 * snapshot. */
	for (u32 leaf = 0; leaf < TALLY_CPUID_DIRECT; leaf++)
		*tally_count(&dst->tally[TALLY_CPUID], leaf) += src->cpuid[leaf];
	for (u32 kind = 0; kind < NR_TALLIES; kind++) {
		const struct tally *t = &src->tally[kind];

		dst->tally[kind].count[0] += t->count[0];
		for (u32 i = 1; i <= t->used; i++) {
			u32 what = kind == TALLY_EPT ? ept_value(t->what[i]) : t->what[i];

			*tally_count(&dst->tally[kind], what) += t->count[i];
		}
	}
}

/** Page faults by what became of them; what is left of `all` is not known closer. */
static void finish_page_faults(struct tally *t, u64 all, const u64 *paging)
{
	static const u8 counter[NR_PF_CAUSES] = {
		[PF_FILL] = SHADOW_FILLS,	 [PF_REFLECTED] = SHADOW_REFLECTED,
		[PF_MMIO] = SHADOW_MMIO,	 [PF_WRITE_PROTECT] = SHADOW_WRITE_PROTECT,
		[PF_EMULATED] = SHADOW_EMULATED, [PF_SPURIOUS] = SHADOW_SPURIOUS,
	};

	for (u32 cause = 0; paging && cause < NR_PF_CAUSES; cause++) {
		u64 n = MIN(paging[counter[cause]], all);

		if (n)
			*tally_count(t, PF_VECTOR | (1 + cause) << 8) += n;
		all -= n;
	}
	if (all)
		*tally_count(t, PF_VECTOR) += all;
}

void exit_detail_finish(struct exit_detail *d, const struct exit_stats *s, const u64 *paging)
{
	for (u32 vector = 0; vector < NR_EXCEPTIONS; vector++) {
		struct tally *t = &d->tally[TALLY_EXCEPTION];

		if (vector == PF_VECTOR)
			finish_page_faults(t, s->exceptions[vector], paging);
		else if (s->exceptions[vector])
			*tally_count(t, vector) += s->exceptions[vector];
	}
	for (u32 access = 0; access < NR_CR_ACCESSES; access++) {
		if (s->cr_accesses[access])
			*tally_count(&d->tally[TALLY_CR], access) += s->cr_accesses[access];
	}
}

void exit_detail_sub(struct exit_detail *dst, const struct exit_detail *a,
		     const struct exit_detail *b)
{
	*dst = *a;
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		for (u32 i = 0; i < CYCLE_BUCKETS; i++)
			dst->cycles[nr][i] -= b->cycles[nr][i];
	}
	for (u32 kind = 0; kind < NR_TALLIES; kind++) {
		struct tally *t = &dst->tally[kind];

		t->count[0] -= b->tally[kind].count[0];
		for (u32 i = 1; i <= t->used; i++)
			t->count[i] -= tally_of(&b->tally[kind], t->what[i]);
	}
}

/** Two 64-bit numbers in four registers. */
static void put_pair(struct cpuid_regs *out, u64 first, u64 second)
{
	*out = (struct cpuid_regs){(u32)first, (u32)(first >> 32), (u32)second,
				   (u32)(second >> 32)};
}

static void read_used(const struct exit_detail *d, u32 nr, struct cpuid_regs *out)
{
	int kind = exit_detail_kind(nr);
	const struct tally *t = kind < 0 ? NULL : &d->tally[kind];
	u64 bits = 0;

	for (u32 i = 0; i < CYCLE_BUCKETS; i++)
		bits |= (u64) !!d->cycles[nr][i] << i;
	/* The others are an entry, too. */
	put_pair(out, bits, t && (t->used || t->count[0]) ? 1 + t->used : 0);
}

static void read_tally(const struct exit_detail *d, u32 nr, u32 i, struct cpuid_regs *out)
{
	int kind = exit_detail_kind(nr);
	const struct tally *t;

	if (kind < 0)
		return;
	t = &d->tally[kind];
	if (i <= t->used)
		put_pair(out, i ? t->what[i] : 0, t->count[i]);
}

void exit_detail_cpuid_leaf(const struct exit_detail *d, u32 subleaf, struct cpuid_regs *out)
{
	u32 n = subleaf & 0xff, nr = subleaf >> 8 & 0xffff, what = subleaf & 0xff000000u;

	*out = (struct cpuid_regs){0};
	if (what == TV_DETAIL_CYCLES && nr < NR_EXIT_REASONS && n < CYCLE_BUCKETS / 2)
		put_pair(out, d->cycles[nr][2 * n], d->cycles[nr][2 * n + 1]);
	else if (what == TV_DETAIL_TALLY)
		read_tally(d, nr, n, out);
	else if (subleaf - TV_DETAIL_USED < NR_EXIT_REASONS)
		read_used(d, subleaf - TV_DETAIL_USED, out);
	else if (subleaf < NR_EXIT_REASONS && d->least[subleaf] != ~0ull)
		put_pair(out, d->least[subleaf], d->most[subleaf]);
}
