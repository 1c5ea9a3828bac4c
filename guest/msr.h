/* SPDX-License-Identifier: MIT */
/*
 * MSR policy, one row an MSR (guest/msr_policy.def): passed through by the MSR bitmap, kept in
 * the VMCS, emulated here, constant, or absent (#GP). Absent and unknown MSRs are noted once
 * each for the operator.
 */
#ifndef TV_MSR_H
#define TV_MSR_H

#include "cpuid.h"
#include "lapic.h"
#include "lib/mtrrs.h"
#include "types.h"

#define MSR_MTRR_VAR 8
#define MSR_UNKNOWN_MAX 64

/** The MSRs that live in software, per vcpu. */
struct msr_state {
	struct mtrrs mtrrs; /* MSR_MTRR_VAR variable ranges */
	u32 mtrr_changes;   /* writes that changed one of them */
	u64 misc_enable;
	u64 tsc_adjust;
	u64 mcg_status;
	u64 bios_sign_id;
	u64 xss;
	u32 unknown[MSR_UNKNOWN_MAX]; /* MSRs the guest tried that do not exist here */
	u32 nr_unknown;
};

enum msr_result {
	MSR_OK,
	MSR_GP,	  /* inject #GP(0) */
	MSR_VMCS, /* known, but held in the VMCS or the processor: the caller handles it */
};

/**
 * Power-up values, with an MTRR map as firmware would leave it: the RAM ([0, low_ram), less the
 * legacy video window, and [4 GiB, 4 GiB + high_ram)) write-back and everything else uncached.
 * Where RAM is of so odd a size that the variable ranges do not suffice, memory is write-back by
 * default, and [3 GiB, 4 GiB) alone, where the devices are, uncached.
 */
void msr_state_init(struct msr_state *s, const struct cpuid_policy *p, u64 low_ram, u64 high_ram);

/**
 * RDMSR and WRMSR. MSR_VMCS is also the answer for what the bitmap lets through, should it exit
 * all the same, and for writes to IA32_TSC and IA32_TSC_ADJUST: see msr_tsc_write().
 */
enum msr_result msr_read(struct msr_state *s, const struct cpuid_policy *p, struct lapic *apic,
			 u32 msr, u64 *value);
enum msr_result msr_write(struct msr_state *s, const struct cpuid_policy *p, struct lapic *apic,
			  u32 msr, u64 value);

/**
 * A write to IA32_TSC or IA32_TSC_ADJUST that msr_write() answered with MSR_VMCS: keeps the two in
 * step, and returns what the caller must add to the TSC offset (SDM volume 3, section 18.17.3
 * "Time-Stamp Counter Adjustment").
 *
 * @now  the guest's time-stamp counter before the write
 */
u64 msr_tsc_write(struct msr_state *s, u32 msr, u64 value, u64 now);

/** Calls back for every MSR that the bitmap lets through, for reads (write false) and for writes
 *  (write true) apart. */
void msr_pass_through(const struct cpuid_policy *p, void (*pass)(void *ctx, u32 msr, bool write),
		      void *ctx);

/**
 * To be asked after MSR_GP. True where `msr` does not exist here and was not asked about before: it
 * is worth one line on the console. False also once MSR_UNKNOWN_MAX have been noted.
 */
bool msr_note_unknown(struct msr_state *s, const struct cpuid_policy *p, u32 msr);

#endif
