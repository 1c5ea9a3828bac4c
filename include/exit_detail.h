/* SPDX-License-Identifier: MIT */
/*
 * Finer than a count by reason: the least, the most and a histogram of the cycles, and what the
 * exits were for (a port, an MSR, a CPUID leaf ...). One struct exit_detail belongs to one vcpu;
 * readers add them up. All memory is in the structure: 72 KiB.
 */
#ifndef TV_EXIT_DETAIL_H
#define TV_EXIT_DETAIL_H

#include "exit_stats.h"
#include "types.h"

/** Bucket n counts exits of 2^n to 2^(n+1) - 1 cycles, bucket 0 those of none, too. */
#define CYCLE_BUCKETS 64

/** Values that a tally tells apart; more are counted together, as "others". */
#define TALLY_VALUES 127

#define TALLY_SLOT_BITS 10
#define TALLY_PROBES 3

/** Exits of one reason by what they were for: a hash table with open addressing. A value is in one
 *  of the TALLY_PROBES slots from its own on, and stays there. */
struct tally {
	u64 count[1 + TALLY_VALUES]; /* 0: the others */
	u32 what[1 + TALLY_VALUES];
	u32 used;					    /* entries, but for the others */
	u8 slot[(1 << TALLY_SLOT_BITS) + TALLY_PROBES - 1]; /* number of an entry; 0: empty */
};

/** What is tallied. In comments, the value. */
enum tally_kind {
	TALLY_EXCEPTION,   /* the vector; with #PF, above it, 1 + enum page_fault_cause. Made from
			    * other counters: exit_detail_finish() */
	TALLY_INTERRUPT,   /* the vector */
	TALLY_CPUID,	   /* the leaf; TALLY_CPUID_SCAN */
	TALLY_CR,	   /* bits 5:0 of the qualification; made as TALLY_EXCEPTION is */
	TALLY_IO,	   /* the port in bits 31:16, TALLY_IO_IN */
	TALLY_RDMSR,	   /* the index */
	TALLY_WRMSR,	   /* the index */
	TALLY_APIC_ACCESS, /* the register's offset; in bits 15:12 the kind of access */
	TALLY_EOI,	   /* the vector */
	TALLY_EPT,	   /* TALLY_EPT_*; with a vcpu, TALLY_EPT_QUAL of the qualification */
	TALLY_APIC_WRITE,  /* the register's offset */
	NR_TALLIES,
};

#define TALLY_IO_IN BIT(3) /* as in the qualification */

/* An EPT violation: bits 2:0 of the qualification (read, write, fetch), and why. Readers work it
 * out: at the exit itself, all of it is kept that counts. */
#define TALLY_EPT_QUAL 0x1bfu
#define TALLY_EPT_ACCESS 7u
#define TALLY_EPT_MAPPED BIT(3) /* there is something, but it does not allow this */
#define TALLY_EPT_WALK BIT(4)	/* the access was the processor's, to the guest's page tables */

/** Linux looks for other hypervisors' leaves at all multiples of 0x100 up to 0x4000ff00: they are
 *  counted as the first. */
#define TALLY_CPUID_SCAN 0x40000100u
#define TALLY_CPUID_SCAN_END 0x4000ffffu

/** CPUID leaves below are counted in exit_detail.cpuid: the way of most CPUIDs is short. */
#define TALLY_CPUID_DIRECT 8

struct exit_detail {
	u64 least[NR_EXIT_REASONS]; /* cycles of the shortest exit; ~0: there was none */
	u64 most[NR_EXIT_REASONS];
	u64 cycles[NR_EXIT_REASONS][CYCLE_BUCKETS];
	u64 cpuid[TALLY_CPUID_DIRECT];
	struct tally tally[NR_TALLIES];
};

/** A new one. */
void exit_detail_init(struct exit_detail *d);

/** The first slot for a value: Knuth's multiplicative hash. */
static inline u32 tally_slot(u32 what)
{
	return what * 2654435769u >> (32 - TALLY_SLOT_BITS);
}

/** tally_count() of a value that is not in the table. */
u64 *tally_count_new(struct tally *t, u32 what);

/** The counter of a value. That of ~0 is the others': the value is in their entry. */
static inline u64 *tally_count(struct tally *t, u32 what)
{
	const u8 *slot = &t->slot[tally_slot(what)];

#pragma GCC unroll 3
	for (u32 i = 0; i < TALLY_PROBES; i++) {
		u32 entry = slot[i];

		if (t->what[entry] == what)
			return &t->count[entry];
	}
	return tally_count_new(t, what);
}

/** One exit more. */
static inline void exit_detail_tally(struct exit_detail *d, enum tally_kind kind, u32 what)
{
	++*tally_count(&d->tally[kind], what);
}

/** The same for a CPUID. */
static inline void exit_detail_cpuid(struct exit_detail *d, u32 leaf)
{
	if (leaf < TALLY_CPUID_DIRECT)
		d->cpuid[leaf]++;
	else if (leaf >= TALLY_CPUID_SCAN && leaf <= TALLY_CPUID_SCAN_END)
		exit_detail_tally(d, TALLY_CPUID, TALLY_CPUID_SCAN);
	else
		exit_detail_tally(d, TALLY_CPUID, leaf);
}

/** How a page fault was dealt with on page tables of the hypervisor's; include/shadow_counters.def
 *  says what they mean. */
enum page_fault_cause {
	PF_FILL,
	PF_REFLECTED,
	PF_MMIO,
	PF_WRITE_PROTECT,
	PF_EMULATED,
	PF_SPURIOUS,
	NR_PF_CAUSES,
};

/** dst += src, where `src` is a vcpu's. */
void exit_detail_add(struct exit_detail *dst, const struct exit_detail *src);

/** Make the tallies that other counters hold already: of `s`, the sum over all vcpus, and of the
 *  paging mode (NR_SHADOW_COUNTERS), or NULL. */
void exit_detail_finish(struct exit_detail *d, const struct exit_stats *s, const u64 *paging);

/** dst = a - b: what happened between two readings. Of the least and the most, there is nothing to
 *  know: those of `a`. */
void exit_detail_sub(struct exit_detail *dst, const struct exit_detail *a,
		     const struct exit_detail *b);

/** The tally of reason `nr`, or -1. */
int exit_detail_kind(u32 nr);

/** Leaf TV_CPUID_DETAIL. */
void exit_detail_cpuid_leaf(const struct exit_detail *d, u32 subleaf, struct cpuid_regs *out);

#define TALLY_NAME_MAX 32

/** What exits were for, in one word, as "out-0x3f8". */
void tally_name(enum tally_kind kind, u32 what, char name[TALLY_NAME_MAX]);

/** Lines of names and numbers (docs/stats.md), for the reasons that `s` has. */
void exit_detail_print(const struct exit_detail *d, const struct exit_stats *s, const char *title,
		       const struct text_out *out);

#endif
