/* SPDX-License-Identifier: MIT */
/*
 * RDMSR and WRMSR as the policy table says (msr_policy.def), and the MSRs that are kept in
 * software.
 */
#include "msr.h"

#include "lib/mem.h"
#include "msr_index.h"
#include "mtrr.h"

/** IA32_MCG_STATUS: RIPV, EIPV, MCIP (SDM volume 3, section 16.3.1.2 "IA32_MCG_STATUS MSR"). */
#define MCG_STATUS_DEFINED 7ull

#define PLATFORM_INFO_HZ 100000000ull

enum msr_class {
	CLASS_ABSENT,
	CLASS_PASS,
	CLASS_PASS_READ,
	CLASS_VMCS,
	CLASS_LAPIC,
	CLASS_MTRR,
	CLASS_SOFT,
};

enum condition {
	COND_ALWAYS,
	COND_tsc_adjust,
	COND_tsc_deadline,
	COND_x2apic,
	COND_rdtscp,
	COND_xsaves,
	COND_pat,
};

struct row {
	u32 first, last;
	u8 class, condition;
};

static const struct row rows[] = {
#define MSR_POLICY(first, last, class, condition, why)                                             \
	{first, last, CLASS_##class, COND_##condition},
#include "msr_policy.def"
#undef MSR_POLICY
};

static bool condition_holds(const struct cpuid_policy *p, u8 condition)
{
	switch (condition) {
	case COND_tsc_adjust:
		return p->tsc_adjust;
	case COND_tsc_deadline:
		return p->tsc_deadline;
	case COND_x2apic:
		return p->x2apic;
	case COND_rdtscp:
		return p->rdtscp;
	case COND_xsaves:
		return p->xsaves;
	case COND_pat:
		return p->pat;
	default:
		return true;
	}
}

/** Binary search: MSR exits are the most frequent of a guest that uses x2APIC or the TSC deadline.
 */
static enum msr_class msr_class(const struct cpuid_policy *p, u32 msr)
{
	size_t low = 0, high = ARRAY_SIZE(rows), mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (msr < rows[mid].first)
			high = mid;
		else if (msr > rows[mid].last)
			low = mid + 1;
		else
			return condition_holds(p, rows[mid].condition) ? rows[mid].class
								       : CLASS_ABSENT;
	}
	return CLASS_ABSENT;
}

void msr_state_init(struct msr_state *s, const struct cpuid_policy *p, u64 low_ram, u64 high_ram)
{
	memset(s, 0, sizeof(*s));
	/* No branch-trace store, no PEBS. Fast strings as the processor has them: Linux chooses its
	 * memory functions by that bit, and the wrong choice is slow. */
	s->misc_enable = (p->fast_strings ? MISC_ENABLE_FAST_STRING : 0) | MISC_ENABLE_BTS_UNAVAIL |
			 MISC_ENABLE_PEBS_UNAVAIL;
	mtrr_init(s, p->maxphyaddr, low_ram, high_ram);
}

/** False: #GP. */
static bool soft_read(const struct msr_state *s, const struct cpuid_policy *p, u32 msr, u64 *value)
{
	switch (msr) {
	case MSR_IA32_PLATFORM_ID:
	case MSR_SMI_COUNT:
	case MSR_IA32_MCG_CAP:
		*value = 0;
		return true;
	case MSR_IA32_FEATURE_CONTROL:
		*value = FEAT_CTL_LOCKED;
		return true;
	case MSR_PLATFORM_INFO:
		*value = (p->tsc_hz / PLATFORM_INFO_HZ & 0xff) << 8;
		return true;
	case MSR_IA32_TSC_ADJUST:
		*value = s->tsc_adjust;
		return true;
	case MSR_IA32_UCODE_REV:
		*value = s->bios_sign_id;
		return true;
	case MSR_IA32_MCG_STATUS:
		*value = s->mcg_status;
		return true;
	case MSR_IA32_MISC_ENABLE:
		*value = s->misc_enable;
		return true;
	case MSR_IA32_XSS:
		*value = s->xss;
		return true;
	default:
		return false;
	}
}

/** False: #GP, also for what is read-only. */
static bool soft_write(struct msr_state *s, u32 msr, u64 value)
{
	switch (msr) {
	case MSR_IA32_UCODE_WRITE:
		return true;
	case MSR_IA32_UCODE_REV:
		s->bios_sign_id = value;
		return true;
	case MSR_IA32_MCG_STATUS:
		if (value & ~MCG_STATUS_DEFINED)
			return false;
		s->mcg_status = value;
		return true;
	case MSR_IA32_MISC_ENABLE:
		/* Two of the bits change what CPUID shows: cpuid_misc_enable(). The others switch
		 * features that are hidden, and are kept. */
		if ((value ^ s->misc_enable) & ~MISC_ENABLE_WRITABLE)
			return false;
		s->misc_enable = value;
		return true;
	case MSR_IA32_XSS:
		return value == 0;
	default:
		return false;
	}
}

static enum msr_result gp_unless(bool ok)
{
	return ok ? MSR_OK : MSR_GP;
}

enum msr_result msr_read(struct msr_state *s, const struct cpuid_policy *p, struct lapic *apic,
			 u32 msr, u64 *value)
{
	switch (msr_class(p, msr)) {
	case CLASS_PASS:
	case CLASS_PASS_READ:
	case CLASS_VMCS:
		return MSR_VMCS;
	case CLASS_LAPIC:
		return gp_unless(lapic_msr_read(apic, msr, value));
	case CLASS_MTRR:
		return gp_unless(mtrr_read(s, msr, value));
	case CLASS_SOFT:
		return gp_unless(soft_read(s, p, msr, value));
	default:
		return MSR_GP;
	}
}

enum msr_result msr_write(struct msr_state *s, const struct cpuid_policy *p, struct lapic *apic,
			  u32 msr, u64 value)
{
	switch (msr_class(p, msr)) {
	case CLASS_PASS:
	case CLASS_PASS_READ:
	case CLASS_VMCS:
		return MSR_VMCS;
	case CLASS_LAPIC:
		return gp_unless(lapic_msr_write(apic, msr, value));
	case CLASS_MTRR:
		return gp_unless(mtrr_write(s, p->maxphyaddr, msr, value));
	case CLASS_SOFT:
		return msr == MSR_IA32_TSC_ADJUST ? MSR_VMCS : gp_unless(soft_write(s, msr, value));
	default:
		return MSR_GP;
	}
}

u64 msr_tsc_write(struct msr_state *s, u32 msr, u64 value, u64 now)
{
	u64 delta = value - (msr == MSR_IA32_TSC_ADJUST ? s->tsc_adjust : now);

	s->tsc_adjust += delta;
	return delta;
}

void msr_pass_through(const struct cpuid_policy *p, void (*pass)(void *ctx, u32 msr, bool write),
		      void *ctx)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].class != CLASS_PASS && rows[i].class != CLASS_PASS_READ)
			continue;
		if (!condition_holds(p, rows[i].condition))
			continue;
		for (u32 msr = rows[i].first; msr <= rows[i].last; msr++) {
			pass(ctx, msr, false);
			if (rows[i].class == CLASS_PASS)
				pass(ctx, msr, true);
		}
	}
}

bool msr_note_unknown(struct msr_state *s, const struct cpuid_policy *p, u32 msr)
{
	if (msr_class(p, msr) != CLASS_ABSENT || s->nr_unknown == MSR_UNKNOWN_MAX)
		return false;
	for (u32 i = 0; i < s->nr_unknown; i++)
		if (s->unknown[i] == msr)
			return false;
	s->unknown[s->nr_unknown++] = msr;
	return true;
}
