/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's payload: what its files share. Every case runs in xAPIC and in x2APIC mode, but
 * for those that change the mode.
 *
 * What the command line says: the names of the optional VMX features in use (docs/options.md), by
 * which it knows the exits that an access makes; and `bochs` where the processor is Bochs 2.7,
 * whose departures from the SDM (docs/hacking.md) it then expects.
 */
#ifndef TV_PAYLOAD_APIC_H
#define TV_PAYLOAD_APIC_H

#include "guest/lapic_regs.h"
#include "payload.h"

#define GP 13 /* the exception */

/** The optional features in use; is the processor Bochs's? */
struct apic_features {
	bool tpr_shadow, apic_access, apic_register, vid, virtual_x2apic, preemption_timer;
	bool bochs;
};
extern struct apic_features has;

/** In x2APIC mode? Follows apic_mode(). */
extern bool x2apic;

/** Bring the local APIC from power-up state into the mode. */
void apic_mode(bool x2);

/** All registers as a case expects them: enabled, nothing in service, nothing held back, timer and
 *  pins masked; interrupts off. */
void apic_fresh(void);

u32 apic_read(u32 reg);

/** The address of the instruction behind the write. */
u64 apic_write(u32 reg, u32 value);

/** Bit `vector` of LAPIC_ISR, LAPIC_IRR or LAPIC_TMR. */
bool apic_bit(u32 base, u8 vector);

/** Send `vector` to this processor by the ICR's shorthand. */
u64 apic_self_ipi(u8 vector);

/* The exits that it takes, or NO_EXIT. */
u32 exit_of_read(u32 reg);
u32 exit_of_write(u32 reg);
u32 exit_of_icr(u32 low);
u32 exit_of_eoi(bool level);
u32 exit_of_cr8(void);

/** A fixed self-IPI by shorthand. */
u32 exit_of_self_ipi(void);

/** An interrupt is pending; RFLAGS.IF becomes 1. */
u32 exit_of_window(void);

/** An interrupt is pending; the TPR becomes low enough. */
u32 exit_of_lowered_tpr(void);

/* Interrupts that were taken: vectors 0x20-0xff do nothing but get on this list, and be ended. */
struct taken {
	u8 vector;
	u64 rip; /* where the processor was interrupted */
	u64 tsc;
};
extern struct taken taken[64];
extern unsigned nr_taken;

/** Called with interrupts off in the handler of each, before its EOI; NULL: nothing. */
extern void (*in_service)(u8 vector);

/** The vector whose interrupts come from the 8259 pair, and are not the local APIC's to end. */
extern u8 extint_vector;

/** Check that since then nothing was taken but `nr` interrupts, and forget them: each a vector and
 *  the address it came at, or ANYWHERE. */
#define ANYWHERE 0
#define TAKEN(...)                                                                                 \
	check_taken((const struct taken[]){__VA_ARGS__},                                           \
		    sizeof((const struct taken[]){__VA_ARGS__}) / sizeof(struct taken))
void check_taken(const struct taken *want, unsigned nr);

/* The cases. */
void test_tpr(void);
void test_tpr_holds_back(void);
void test_ppr(void);
void test_self_ipi(void);
void test_nesting(void);
void test_injected_priority(void);
void test_eoi_with_lower_pending(void);
void test_pending_across_exits(void);
void test_shadows(void);
void test_level(void);
void test_eoi_suppression(void);
void test_edge_after_level(void);
void test_extint(void);
void test_one_shot(void);
void test_periodic(void);
void test_deadline(void);
void test_deadline_moves(void);
void test_nmi_ends_hlt(void);
void test_step_ends_hlt(void);
void test_errors(void);
void test_read_only(void);
void test_enable(void);
void test_transitions(void);
void test_x2apic_reserved(void);

#endif
