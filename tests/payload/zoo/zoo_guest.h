/* SPDX-License-Identifier: MIT */
/*
 * The exit zoo: every basic exit reason that the processor at hand can raise, one at a time. What
 * its files share. docs/zoo.md has the idea, and how to add a case.
 */
#ifndef TV_PAYLOAD_ZOO_H
#define TV_PAYLOAD_ZOO_H

#include "exit_switches.h"
#include "options.h"
#include "payload.h"
#include "vmx/caps.h"
#include "x86.h"
#include "include/zoo.h"

/* A case for each reason: a row of the table without a function below is a link error. */
#define EXIT_REASON(nr, name, handler, word, bit, cause) void zoo_##name(void);
#include "exit_reasons.def"
#undef EXIT_REASON

/* main.c: what becomes of a case. */

/** What the case raises, for its line: at most LINE_TEXT characters. */
#define LINE_TEXT 46
void raises(const char *f, ...) __attribute__((format(printf, 1, 2)));

/** The reason cannot be raised here, and why; what the case checks it checks all the same. */
void not_here(const char *f, ...) __attribute__((format(printf, 1, 2)));

/* calls.c: what the hypervisor does by VMCALL (include/zoo.h). */

struct zoo_said {
	enum zoo_answer answer;
	u64 rbx, rcx, rdx;
};

/** Is there somebody who answers? */
bool zoo_answers(void);
struct zoo_said zoo_ask(enum zoo_call call, u64 rbx, u64 rcx);

/** Does the paging mode have page tables of the hypervisor's own? */
bool on_shadow(void);

/** A control is on now; this processor has it. `bits` are those of include/vmx.h. */
bool control_is_on(enum vmx_word word, u64 bits);
bool control_is_there(enum vmx_word word, u64 bits);

/** The control that a reason needs (include/exit_reasons.def) is in this processor. */
bool reason_has_control(enum exit_reason nr);

/** Have an optional cause exit. False: it cannot, and the case says why by not_here(). */
bool switch_on(enum exit_switch x);

/** Have it not exit. False: it must. */
bool switch_off(enum exit_switch x);

/** As it was before switch_on() and switch_off(). */
void switches_as_ever(void);

/** Order an event; it happens behind the call. False: not_here() says why, or a check failed.
 * `lack` is what the processor has not where it cannot; NULL: the control. */
bool arm(enum zoo_event event, u64 argument, const char *lack);

/* probe.c: one instruction, somewhere. */

enum place {
	RING0,
	RING3,
	COMPAT0,
	COMPAT3,
	PROTECTED0, /* paging is off, and so is IA-32e mode */
	PROTECTED3,
	VIRTUAL8086,
	REAL, /* only with "unrestricted guest" */
	NR_PLACES
};
#define IN(place) BIT(place)
#define IN_64_BIT (IN(RING0) | IN(RING3))
#define IN_COMPAT (IN(COMPAT0) | IN(COMPAT3))
#define IN_ALL (IN_64_BIT | IN_COMPAT)
#define IN_LEGACY (IN(PROTECTED0) | IN(PROTECTED3) | IN(VIRTUAL8086) | IN(REAL))
#define IN_RING0 (IN(RING0) | IN(COMPAT0))
#define IN_RING3 (IN(RING3) | IN(COMPAT3))

/** CODE(name, "cpuid"): instructions for shots; they are copied, and may not depend on where they
 *  are. CODE32 for those whose bytes differ in compatibility mode. */
struct code {
	const u8 *from, *to;
};
#define CODE_OF(name, text)                                                                        \
	extern const u8 name##_from[], name##_to[];                                                \
	__asm__(".pushsection .rodata\n" #name "_from:\n" text "\n" #name "_to:\n.popsection");    \
	static const struct code name = {name##_from, name##_to}
#define CODE(name, text) CODE_OF(name, text)
#define CODE32(name, text) CODE_OF(name, ".code32\n" text "\n.code64")

/** A register's value. */
struct value {
	bool given;
	u64 v;
};
#define VALUE(x)                                                                                   \
	{                                                                                          \
		true, (u64)(x)                                                                     \
	}

/** The code runs with these, and this comes of it. */
struct shot {
	const char *what;
	struct code code;
	u64 places;	     /* where it runs, in turn: IN_... */
	struct value in[16]; /* by enum x86_reg; all others hold something of their own */
	u64 flags;	     /* in RFLAGS, beside all arithmetic flags */
	u32 exit;	     /* it exits once for this reason, or NO_EXIT */
	u32 also;	     /* and so often for EXIT_REASON_EXCEPTION_NMI */
	u32 fault;	     /* the exception at the instruction; 0: none, it goes on behind */
	u32 error;	     /* its error code */
	u32 trap;	     /* the exception behind it; 0: none */
	struct value out[16];
	u32 any;		      /* a set of registers: their values are not laid down */
	u64 flags_written, flags_out; /* flags that it writes, and their values */
	u32 ways;		      /* how it is fired, of WAY_...; 0: as is usual, see shoot() */
	bool departs; /* known of this emulator: it exits for `early` before the fault */
	u32 early;
};

/** By itself; behind STI with an interrupt pending, which must be taken behind the instruction, and
 *  not later; with RFLAGS.TF set. */
enum way { PLAIN, BEHIND_STI, STEPPED, NR_WAYS };
#define WAY(way) BIT(way)

/** Fire in each of its places and check all of it: registers, RIP, flags, exits. What exits and
 * does not fault is fired in all ways in ring 0, everything else by itself. Returns what came last.
 */
const struct trap_frame *shoot(const struct shot *s);
#define SHOOT(...) shoot(&(const struct shot){__VA_ARGS__})

/** #DE's number, where 0 is none. */
#define FAULT_0 0x100

/** Did the last shoot() see an exit where the SDM has a fault first? (departs) */
bool exited_first(void);

void probe_init(void);

/** Shots may land by this vector again, after a trap_set(). */
void probe_takes(u8 vector);

/** Four page-table entries with a linear address each, for accesses that fault. */
u64 *window_entries(void);
#define WINDOW BIT(39)
#define NOT_PRESENT BIT(45)	  /* no page table leads there */
#define HOLE 0x0000800000000000ul /* not canonical */

/** The TSS's I/O permission bit of a port. */
void permit_port(u16 port, bool yes);

/* legacy.c */
bool real_mode_is_there(void);

/** Outside IA-32e mode, CALLs a task, which comes back by IRET. Checks what both have seen. */
void legacy_tasks(void);

/** Exits of the way to a place outside IA-32e mode and back. */
void legacy_exits(enum place p, struct exit_counts *way_there);

#endif
