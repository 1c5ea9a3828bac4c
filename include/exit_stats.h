/* SPDX-License-Identifier: MIT */
/*
 * Counts and cycles of VM exits, and the CPUID leaves that tell the guest about them
 * (docs/cpuid-leaves.md). One struct exit_stats belongs to one vcpu; readers add them up.
 */
#ifndef TV_EXIT_STATS_H
#define TV_EXIT_STATS_H

#include "exit_reasons.h"
#include "types.h"

/** Vectors of exceptions and NMIs. */
#define NR_EXCEPTIONS 32

/** Accesses to control registers by bits 5:0 of their exit qualification (SDM volume 3, table
 * 28-3): the kind of access, and below it the number of the register. */
#define CR_ACCESS_TO 0x00   /* MOV to CRn */
#define CR_ACCESS_FROM 0x10 /* MOV from CRn */
#define CR_ACCESS_CLTS 0x20
#define CR_ACCESS_LMSW 0x30
#define NR_CR_ACCESSES 64

struct exit_stats {
	u64 count[NR_EXIT_REASONS];
	u64 cycles[NR_EXIT_REASONS]; /* TSC ticks from the exit to the next entry, less idle time */
	u64 idle_cycles;	     /* TSC ticks the physical CPU slept for the guest's HLT */
	u64 exceptions[NR_EXCEPTIONS];	 /* exits with reason 0 by vector; 2: NMIs, of the host's */
	u64 cr_accesses[NR_CR_ACCESSES]; /* exits with reason 28 */
};

struct exit_totals {
	u64 count, cycles;
};

/** EAX, EBX, ECX, EDX of one CPUID leaf. */
struct cpuid_regs {
	u32 eax, ebx, ecx, edx;
};

struct exit_totals exit_stats_totals(const struct exit_stats *s);

/** dst += src, field by field: for summing vcpus. */
void exit_stats_add(struct exit_stats *dst, const struct exit_stats *src);

/** dst = a - b, field by field: what happened between two readings. */
void exit_stats_sub(struct exit_stats *dst, const struct exit_stats *a, const struct exit_stats *b);

/** The four leaves 0x4FFFFFFC-0x4FFFFFFF of the numbering `leaves` (enum leaves_numbering).
 *  Returns false where `leaf` is none of them. */
bool exit_stats_cpuid(const struct exit_stats *s, u32 leaves, u32 leaf, u32 subleaf,
		      struct cpuid_regs *out);

/*
 * Tallyvisor's own leaves. 0x40000000 is the hypervisor signature that the field agrees on.
 */

/** EAX = highest leaf; EBX, ECX, EDX = TV_SIGNATURE. */
#define TV_CPUID_SIGNATURE 0x40000000u

/** EAX = version (major << 16 | minor << 8 | patch), EBX = numbering (2021 or 2022),
 *  ECX = paging mode + 1, EDX = NR_EXIT_REASONS. */
#define TV_CPUID_INFO 0x40000001u

/** ECX in: TV_SNAPSHOT_*, below; any other value acts as TV_SNAPSHOT_NUMBER.
 *  EAX = the number of the last snapshot, from 1; 0: none yet. */
#define TV_CPUID_SNAPSHOT 0x40000002u

/** ECX in: a basic exit reason: EBX:EAX = count, EDX:ECX = cycles, both of the last snapshot;
 *  undefined reason: all 0. Or TV_READ_*, below. */
#define TV_CPUID_READ 0x40000003u

/** EAX = TSC kHz, EBX = number of vcpus. */
#define TV_CPUID_CLOCK 0x40000004u

/** What the last snapshot has in detail, if it was TV_SNAPSHOT_TAKE_DETAIL that took it; else all
 * 0. ECX in: TV_DETAIL_*, below, or a basic exit reason: EBX:EAX = cycles of the shortest exit,
 *  EDX:ECX = of the longest. */
#define TV_CPUID_DETAIL 0x40000005u

/** A sign of life for the watchdog (boot option watchdog=). ECX in: within so many seconds another
 *  will follow; 0: none will. EAX = seconds without progress that the watchdog allows, 0: it is
 * off; EBX = seconds of the promise as it is kept, 0: none. */
#define TV_CPUID_HEARTBEAT 0x40000006u

#define TV_CPUID_MAX TV_CPUID_HEARTBEAT

#define TV_SIGNATURE "TallyvisorHV"

#define TV_SNAPSHOT_TAKE 0u	   /* take a snapshot of all counters */
#define TV_SNAPSHOT_PRINT 1u	   /* print the last one on the console */
#define TV_SNAPSHOT_NUMBER 2u	   /* neither: only its number */
#define TV_SNAPSHOT_TAKE_DETAIL 3u /* take one with everything that there is in detail */

#define TV_READ_TOTAL 0x10000u /* EBX:EAX = all exits, EDX:ECX = all cycles */
#define TV_READ_TIME 0x10001u  /* EBX:EAX = idle cycles, EDX:ECX = ticks since the guest began */

/** EBX:EAX = pages written between this snapshot and the one before, EDX:ECX = pages written since
 *  the guest began; 0: nobody counted (boot option dirty=). */
#define TV_READ_PAGES 0x10002u

/** What is not 0 in the last snapshot. Bit n: EAX, of reason n; EBX, of reason 32 + n; ECX, of
 * reason 64 + n; EDX, of the exception with vector n. */
#define TV_READ_USED 0x10003u

/** + n, n below NR_EXCEPTIONS / 2: EBX:EAX = exits for exceptions with vector 2n, EDX:ECX = with
 *  vector 2n + 1. */
#define TV_READ_EXCEPTIONS 0x10100u

/** + n: EBX:EAX = exits for MOV to CRn, EDX:ECX = for MOV from CRn; n is below 16. */
#define TV_READ_CR_ACCESSES 0x10200u
#define TV_READ_CR_OTHER 0x10210u /* EBX:EAX = exits for CLTS, EDX:ECX = for LMSW */

/** + a basic exit reason: EBX:EAX = a bit for each number of cycles by powers of 2 that is not 0
 *  (exit_detail.cycles); ECX = entries that say what the exits were for, 0: nothing does. */
#define TV_DETAIL_USED 0x10000u

/** + reason << 8, + n below 32: EBX:EAX = exits of 2^(2n) to 2^(2n+1) - 1 cycles, EDX:ECX = of
 * twice as many. */
#define TV_DETAIL_CYCLES 0x1000000u

/** + reason << 8, + n: EDX:ECX = exits, EAX = what they were for (enum tally_kind); n = 0: other
 *  things. */
#define TV_DETAIL_TALLY 0x2000000u

/** A frozen copy of all counters. */
struct exit_snapshot {
	u32 seq;   /* 0: none was taken */
	u64 ticks; /* TSC ticks since the guest began */
	struct exit_stats stats;
	u64 pages_written; /* 4 KiB pages that the guest wrote since the snapshot before */
	u64 pages_ever;	   /* ... since it began; 0: nobody counted */
};

/** Where text goes: `puts` gets it line by line, each ended by a newline and beginning with
 * `prefix`, and `ctx` with it. */
struct text_out {
	const char *prefix;
	void (*puts)(void *ctx, const char *line);
	void *ctx;
};

/** TV_CPUID_READ. */
void exit_snapshot_cpuid(const struct exit_snapshot *snap, u32 subleaf, struct cpuid_regs *out);

/**
 * Write the table of a snapshot. tools/ parse this text: docs/stats.md describes it, and
 * tests/host/test_exit_stats.c holds it fixed.
 *
 * @title  one word that names the occasion ("end", "snapshot", "key", "crash")
 */
void exit_stats_print(const struct exit_snapshot *snap, const char *title,
		      const struct text_out *out);

/** The name of an exception, as "#PF"; of NMI; or the vector's number where the SDM defines none.
 *  NULL beyond NR_EXCEPTIONS. */
const char *exception_name(u32 vector);

#define CR_ACCESS_NAME_MAX 12

/** The name of an access to a control register: "to-cr3", "from-cr8", "clts", "lmsw". */
void cr_access_name(u32 access, char name[CR_ACCESS_NAME_MAX]);

#endif
