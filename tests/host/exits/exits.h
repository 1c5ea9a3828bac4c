/* SPDX-License-Identifier: MIT */
/*
 * Tests of exit handlers: a machine as machine_create() builds it, on a simulated processor. A test
 * raises an exit and says all that has to come of it; what it does not name must be as before.
 */
#ifndef TV_TESTS_EXITS_H
#define TV_TESTS_EXITS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/host/vmxsim/insn.h"

#include "exit_reasons.h"
#include "msr_index.h"
#include "tests/host/vmxsim/processor.h"
#include "vmm/core.h"
#include "vmm/machine.h"
#include "x86.h"

/** A test: what the boot line says, and the reasons of which it raises exits. */
struct exit_test {
	const char *name;
	void (*run)(void);
	const char *options;
	const u16 *reasons;
	size_t nr_reasons;
};

/** EXIT_TEST(function, "options", reasons ...): a row of a table, which a row of zeroes ends. */
#define EXIT_TEST(function, words, ...)                                                            \
	{                                                                                          \
		.name = #function, .run = function, .options = words,                              \
		.reasons = (const u16[]){__VA_ARGS__},                                             \
		.nr_reasons = sizeof((u16[]){__VA_ARGS__}) / sizeof(u16),                          \
	}

/* One table a file. */
extern const struct exit_test tests_undefined[], tests_rare[], tests_exceptions[], tests_debug[],
	tests_vectoring[], tests_events[], tests_instructions[], tests_operands[], tests_io[],
	tests_msr[], tests_control[], tests_random[], tests_paging[], tests_zoo[];

extern struct machine *machine;
extern struct vcpu *vcpu;

/** A new machine that has run to its first entry. Its guest is in 64-bit mode, ring 0, at CODE. */
void machine_start(const char *options);
void machine_stop(void);

/* Guest memory: 16 MiB, of which linear addresses are the physical ones. */
#define GUEST_MEMORY MIB(16)
#define TABLES 0x800000ull /* page tables, both forms */
#define CODE 0x900100ull
#define DATA 0xa00000ull
#define GDT 0xb00000ull
#define STACK 0xc00000ull
#define SUPERVISOR 0xe00000ull /* 2 MiB that ring 3 cannot access */
#define READ_ONLY 0x600000ull  /* 2 MiB that nobody can write */
#define NOT_PRESENT 0x1000000ull
#define NO_MEMORY 0x1200000ull /* present, but nothing is there */

enum guest_mode {
	GUEST_64,
	GUEST_COMPAT,	 /* a 32-bit code segment in IA-32e mode */
	GUEST_COMPAT16,	 /* a 16-bit one */
	GUEST_PROTECTED, /* 32-bit code, no paging */
	GUEST_PAGED,	 /* with 32-bit paging */
	GUEST_REAL,
};

void guest_mode(enum guest_mode mode, unsigned cpl);

/** Bytes at RIP. */
void guest_code(const void *bytes, size_t len);
#define CODE_BYTES(...) guest_code((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

void guest_put(u64 gpa, const void *src, size_t len);
void guest_put64(u64 gpa, u64 value);
u64 guest_get(u64 gpa, size_t len);

/** An NMI arrives at the guest's local APIC, as its own IPI. */
void guest_nmi(void);

/** Guest state, between exits. */
static inline u64 field(u32 encoding)
{
	return vmcs_get(&cpu.vmcs, encoding);
}

static inline void set_field(u32 encoding, u64 value)
{
	vmcs_set(&cpu.vmcs, encoding, value);
}

/** A VM exit, and what vmm/ makes of it. Of every exit it is checked that it was counted and
 * logged, no other was, and that the processor would take the VM entry. */
void raise_exit(const struct exit_info *e);
#define RAISE(...) raise_exit(&(const struct exit_info){__VA_ARGS__})

/** How it ended, for tests that do not say what has to come. */
enum ending { GOES_ON, STOPPED, PANICKED };
enum ending ending(void);

/** After a diagnosis: the machine is as good as before. */
void raise_goes_on(void);

/** All that an exit may change, for EXPECT(). */
struct effect {
	unsigned advance;  /* bytes that RIP moves */
	u32 gprs;	   /* registers that may change: a set */
	u32 inject;	   /* VM-entry interruption information, valid without saying so; 0: none */
	u32 error, length; /* its error code and instruction length, where it has them */
	u64 rflags_on, rflags_off;
	u32 blocking_on, blocking_off; /* interruptibility */
	u64 pending_on, pending_off;   /* pending debug exceptions */
	bool live;		       /* CR2, DRs, MSRs, XCR0 may change */
	u32 fields[8];		       /* other fields of the VMCS that may change */
};

/** The guest goes on. */
void expect_entry(const struct effect *f);
#define EXPECT(...) expect_entry(&(const struct effect){__VA_ARGS__})

/** The run is over, and the console has said `text`. */
void expect_stop(enum outcome outcome, const char *text);

/** The hypervisor panicked, with `text` in its sentence. */
void expect_panic(const char *text);

/** Has the console said that since the exit? */
bool said(const char *text);

/** Call something that may panic; true: it did. */
bool panics(void (*call)(void));

/** The usual exceptions to be injected. */
#define INJECT(vector) ((vector) | INTR_TYPE_HARD_EXCEPTION)
#define INJECT_ERROR(vector) ((vector) | INTR_TYPE_HARD_EXCEPTION | (u32)INTR_INFO_ERROR_CODE)

/** In an interruption information: an exit's. */
#define VALID(info) ((info) | (u32)INTR_INFO_VALID)

/** What a fault of an instruction gives; RF is 1 in the image that it pushes. */
#define EXPECT_UD() EXPECT(.inject = INJECT(UD_VECTOR), .rflags_on = X86_EFLAGS_RF)
#define EXPECT_GP() EXPECT(.inject = INJECT_ERROR(GP_VECTOR), .rflags_on = X86_EFLAGS_RF)

/** What the console has said since the exit. */
const char *said_text(void);

/** Has the test raised exits of this reason? And: it has raised none so far. */
bool raised(u32 nr);
void raised_none(void);

#endif
