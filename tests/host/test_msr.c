/* SPDX-License-Identifier: MIT */
/* The MSR policy, and the virtual MTRRs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest/cpuid.h"
#include "guest/lapic.h"
#include "guest/msr.h"
#include "guest/mtrr.h"
#include "msr_index.h"
#include "x86.h"

#define NONCANONICAL 0x8000000000000000ull

static u64 stopped_clock(void *ctx)
{
	(void)ctx;
	return 1000;
}

struct fixture {
	struct msr_state msr;
	struct cpuid_policy policy;
	struct lapic apic;
	struct gclock clock;
	struct lapic_ops ops;
	u8 page[4096] __attribute__((aligned(4096)));
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.policy = (struct cpuid_policy){
		.fast_strings = true,
		.nr_vcpus = 1,
		.tsc_hz = 3400000000ull,
		.maxphyaddr = 40,
		.rdtscp = true,
		.xsaves = true,
		.pat = true,
		.tsc_deadline = true,
		.x2apic = true,
		.tsc_adjust = true,
	};
	f.clock = (struct gclock){.now = stopped_clock, .tsc_hz = 3400000000ull};
	lapic_init(&f.apic, 0, true, f.page, &f.clock, &f.ops);
	msr_state_init(&f.msr, &f.policy, MIB(512), 0);
	*state = &f;
	return 0;
}

static enum msr_result rd(struct fixture *f, u32 msr, u64 *value)
{
	*value = 0x5555555555555555ull;
	return msr_read(&f->msr, &f->policy, &f->apic, msr, value);
}

static enum msr_result wr(struct fixture *f, u32 msr, u64 value)
{
	return msr_write(&f->msr, &f->policy, &f->apic, msr, value);
}

static void assert_reads(struct fixture *f, u32 msr, u64 want)
{
	u64 v;

	assert_int_equal(rd(f, msr, &v), MSR_OK);
	assert_int_equal(v, want);
}

static void assert_absent(struct fixture *f, u32 msr)
{
	u64 v;

	assert_int_equal(rd(f, msr, &v), MSR_GP);
	assert_int_equal(wr(f, msr, 0), MSR_GP);
}

/* What a stock Linux reads or writes without a fixup on a Haswell must not fault. */
static void what_linux_takes_for_granted(void **state)
{
	struct fixture *f = *state;
	u64 v;

	assert_int_equal(wr(f, MSR_IA32_UCODE_REV, 0), MSR_OK);
	assert_reads(f, MSR_IA32_UCODE_REV, 0);
	assert_reads(f, MSR_IA32_PLATFORM_ID, 0);
	assert_reads(f, MSR_IA32_MCG_CAP, 0);
	assert_reads(f, MSR_IA32_MCG_STATUS, 0);
	assert_int_equal(wr(f, MSR_IA32_MCG_STATUS, 0), MSR_OK);
	assert_reads(f, MSR_IA32_TSC_ADJUST, 0);
	assert_reads(f, MSR_IA32_FEATURE_CONTROL, 1);
	assert_reads(f, MSR_SMI_COUNT, 0);
	assert_int_equal(wr(f, MSR_IA32_XSS, 0), MSR_OK);
	assert_int_equal(rd(f, MSR_IA32_MISC_ENABLE, &v), MSR_OK);
	assert_true(v & MISC_ENABLE_FAST_STRING);
	assert_true(v & MISC_ENABLE_BTS_UNAVAIL && v & MISC_ENABLE_PEBS_UNAVAIL);
	assert_false(v & (MISC_ENABLE_LIMIT_CPUID | MISC_ENABLE_XD_DISABLE | MISC_ENABLE_MWAIT));
	/* A processor that runs without fast strings says so: Bochs does. */
	f->policy.fast_strings = false;
	msr_state_init(&f->msr, &f->policy, MIB(512), 0);
	assert_int_equal(rd(f, MSR_IA32_MISC_ENABLE, &v), MSR_OK);
	assert_false(v & MISC_ENABLE_FAST_STRING);
	f->policy.fast_strings = true;
	msr_state_init(&f->msr, &f->policy, MIB(512), 0);
	/* 34 x 100 MHz, and bit 31, CPUID faulting, clear. */
	assert_reads(f, MSR_PLATFORM_INFO, 34 << 8);
}

static void absent_ones_fault(void **state)
{
	static const u32 absent[] = {
		MSR_IA32_SPEC_CTRL,
		MSR_IA32_PRED_CMD,
		MSR_IA32_MPERF,
		MSR_IA32_APERF,
		MSR_IA32_ARCH_CAPABILITIES,
		MSR_IA32_FLUSH_CMD,
		MSR_MISC_FEATURES_ENABLES,
		MSR_IA32_MCG_CTL,
		MSR_IA32_PERFCTR0,
		MSR_IA32_PERFEVTSEL0,
		MSR_IA32_PERF_CTL,
		MSR_IA32_TEMPERATURE_TARGET,
		MSR_TURBO_RATIO_LIMIT,
		MSR_LBR_TOS,
		MSR_IA32_LASTINTTOIP,
		MSR_IA32_PERF_CAPABILITIES,
		MSR_CORE_PERF_GLOBAL_CTRL,
		MSR_IA32_MC0_CTL,
		MSR_IA32_VMX_BASIC,
		MSR_IA32_VMX_EXIT_CTLS2,
		MSR_IA32_DS_AREA,
		MSR_RAPL_POWER_UNIT,
		MSR_IA32_BNDCFGS,
		0x4b564d00,
		0xc0010015,
		0xffffffff,
		0x40000000,
		MSR_MTRRphysMask7 + 1,
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(absent); i++)
		assert_absent(f, absent[i]);
}

static void read_only_ones_fault_on_write(void **state)
{
	static const u32 read_only[] = {MSR_IA32_PLATFORM_ID, MSR_SMI_COUNT,
					MSR_IA32_MCG_CAP,     MSR_PLATFORM_INFO,
					MSR_MTRRcap,	      MSR_IA32_FEATURE_CONTROL};
	struct fixture *f = *state;
	u64 v;

	for (unsigned i = 0; i < ARRAY_SIZE(read_only); i++) {
		assert_int_equal(rd(f, read_only[i], &v), MSR_OK);
		assert_int_equal(wr(f, read_only[i], v), MSR_GP);
	}
	/* And one that is write-only. */
	assert_int_equal(rd(f, MSR_IA32_UCODE_WRITE, &v), MSR_GP);
	assert_int_equal(wr(f, MSR_IA32_UCODE_WRITE, 0x1000), MSR_OK);
}

static void reserved_bits_fault(void **state)
{
	struct fixture *f = *state;
	u64 misc;

	assert_int_equal(rd(f, MSR_IA32_MISC_ENABLE, &misc), MSR_OK);
	assert_int_equal(wr(f, MSR_IA32_MISC_ENABLE, misc), MSR_OK);
	/* SDM volume 4, table 2-2: what software may write; the rest is read-only or reserved. */
	for (unsigned bit = 0; bit < 64; bit++) {
		bool writable = bit == 0 || bit == 3 || bit == 16 || bit == 18 || bit == 22 ||
				bit == 23 || bit == 34;

		assert_int_equal(wr(f, MSR_IA32_MISC_ENABLE, misc ^ BIT(bit)),
				 writable ? MSR_OK : MSR_GP);
		assert_reads(f, MSR_IA32_MISC_ENABLE, writable ? misc ^ BIT(bit) : misc);
		assert_int_equal(wr(f, MSR_IA32_MISC_ENABLE, misc), MSR_OK);
	}
	assert_int_equal(wr(f, MSR_IA32_MISC_ENABLE, misc & ~MISC_ENABLE_FAST_STRING), MSR_OK);
	assert_reads(f, MSR_IA32_MISC_ENABLE, misc & ~MISC_ENABLE_FAST_STRING);
	assert_int_equal(wr(f, MSR_IA32_MCG_STATUS, 7), MSR_OK);
	assert_int_equal(wr(f, MSR_IA32_MCG_STATUS, 8), MSR_GP);
	assert_reads(f, MSR_IA32_MCG_STATUS, 7);
	/* No supervisor state is switched: not even those bits that a processor may have. */
	assert_int_equal(wr(f, MSR_IA32_XSS, 1 << 8), MSR_GP);
	assert_reads(f, MSR_IA32_XSS, 0);
}

static void vmcs_ones_go_to_the_caller(void **state)
{
	static const u32 vmcs[] = {MSR_EFER, MSR_IA32_CR_PAT, MSR_IA32_DEBUGCTLMSR, MSR_IA32_TSC,
				   /* and, should they exit, those passed through */
				   MSR_STAR, MSR_FS_BASE, MSR_KERNEL_GS_BASE, MSR_TSC_AUX,
				   MSR_IA32_SYSENTER_EIP};
	struct fixture *f = *state;
	u64 v;

	for (unsigned i = 0; i < ARRAY_SIZE(vmcs); i++) {
		assert_int_equal(rd(f, vmcs[i], &v), MSR_VMCS);
		assert_int_equal(v, 0x5555555555555555ull);
		assert_int_equal(wr(f, vmcs[i], NONCANONICAL), MSR_VMCS);
	}
	assert_int_equal(wr(f, MSR_IA32_TSC_ADJUST, 5), MSR_VMCS);
	assert_reads(f, MSR_IA32_TSC_ADJUST, 0); /* until msr_tsc_write() */
}

static void follows_cpuid(void **state)
{
	struct fixture *f = *state;

	f->policy.rdtscp = f->policy.xsaves = f->policy.tsc_deadline = false;
	f->policy.x2apic = f->policy.tsc_adjust = f->policy.pat = false;
	assert_absent(f, MSR_IA32_CR_PAT);
	assert_absent(f, MSR_TSC_AUX);
	assert_absent(f, MSR_IA32_XSS);
	assert_absent(f, MSR_IA32_TSC_DEADLINE);
	assert_absent(f, MSR_IA32_TSC_ADJUST);
	assert_absent(f, 0x802);
}

static void local_apic_ones(void **state)
{
	struct fixture *f = *state;
	u64 base, v;

	assert_int_equal(rd(f, MSR_IA32_APIC_BASE, &base), MSR_OK);
	assert_int_equal(base, 0xfee00900);
	assert_int_equal(rd(f, 0x802, &v), MSR_GP); /* not in x2APIC mode */
	assert_int_equal(wr(f, MSR_IA32_APIC_BASE, base | BIT(40)), MSR_GP);
	assert_int_equal(wr(f, MSR_IA32_APIC_BASE, base | 0x400), MSR_OK);
	assert_reads(f, 0x802, 0);
	assert_reads(f, MSR_IA32_TSC_DEADLINE, 0);
}

/* SDM volume 3, section 18.17.3: the sum of TSC changes by either register is in TSC_ADJUST. */
static void tsc_and_adjust_keep_step(void **state)
{
	struct fixture *f = *state;

	/* TSC reads 1000; write 400: 600 less. */
	assert_true(msr_tsc_write(&f->msr, MSR_IA32_TSC, 400, 1000) == (u64)-600);
	assert_reads(f, MSR_IA32_TSC_ADJUST, (u64)-600);
	/* Linux then writes 0 to the adjustment: the 600 come back. */
	assert_true(msr_tsc_write(&f->msr, MSR_IA32_TSC_ADJUST, 0, 400) == 600);
	assert_reads(f, MSR_IA32_TSC_ADJUST, 0);
	assert_true(msr_tsc_write(&f->msr, MSR_IA32_TSC_ADJUST, 50, 1000) == 50);
	assert_true(msr_tsc_write(&f->msr, MSR_IA32_TSC_ADJUST, 50, 1050) == 0);
}

struct passed {
	u32 read[64], write[64];
	unsigned nr_read, nr_write;
};

static void note_pass(void *ctx, u32 msr, bool write)
{
	struct passed *p = ctx;

	if (write)
		p->write[p->nr_write++] = msr;
	else
		p->read[p->nr_read++] = msr;
}

/* The whole list: a new row has to be argued for here, too. */
static void passes_these_and_no_others(void **state)
{
	static const u32 both[] = {0x174,      0x175,	   0x176,      0xc0000081,
				   0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
				   0xc0000101, 0xc0000102, 0xc0000103};
	struct fixture *f = *state;
	struct passed p = {0};

	msr_pass_through(&f->policy, note_pass, &p);
	assert_int_equal(p.nr_write, ARRAY_SIZE(both));
	assert_memory_equal(p.write, both, sizeof(both));
	assert_int_equal(p.nr_read, ARRAY_SIZE(both) + 1);
	assert_int_equal(p.read[0], 0x10); /* the TSC is read without an exit, not written */
	assert_memory_equal(p.read + 1, both, sizeof(both));

	f->policy.rdtscp = false;
	p.nr_write = 0;
	p.nr_read = 0;
	msr_pass_through(&f->policy, note_pass, &p);
	assert_int_equal(p.nr_write, ARRAY_SIZE(both) - 1);
	assert_int_equal(p.write[p.nr_write - 1], 0xc0000102);
}

static void unknown_ones_are_noted_once(void **state)
{
	struct fixture *f = *state;

	assert_true(msr_note_unknown(&f->msr, &f->policy, 0x1234));
	assert_false(msr_note_unknown(&f->msr, &f->policy, 0x1234));
	assert_true(msr_note_unknown(&f->msr, &f->policy, 0));
	assert_false(msr_note_unknown(&f->msr, &f->policy, 0));
	/* Absent by policy counts; a bad value in one that exists does not. */
	assert_true(msr_note_unknown(&f->msr, &f->policy, MSR_IA32_SPEC_CTRL));
	assert_false(msr_note_unknown(&f->msr, &f->policy, MSR_IA32_FEATURE_CONTROL));
	for (u32 i = 0; i < 2 * MSR_UNKNOWN_MAX; i++)
		msr_note_unknown(&f->msr, &f->policy, 0x20000 + i);
	assert_int_equal(f->msr.nr_unknown, MSR_UNKNOWN_MAX);
	assert_false(msr_note_unknown(&f->msr, &f->policy, 0x77777));
	assert_false(msr_note_unknown(&f->msr, &f->policy, 0x1234));
}

/* Section 12.11.2: types, reserved bits. */
static void mtrr_checks(void **state)
{
	struct fixture *f = *state;

	assert_reads(f, MSR_MTRRcap, 0x508);
	for (u64 type = 0; type < 256; type++) {
		bool ok = type == 0 || type == 1 || (type >= 4 && type <= 6);
		enum msr_result want = ok ? MSR_OK : MSR_GP;

		assert_int_equal(wr(f, MSR_MTRRdefType, 0xc00 | type), want);
		assert_int_equal(wr(f, MSR_MTRRphysBase0, 0x100000 | type), want);
		for (unsigned byte = 0; byte < 8; byte++) {
			assert_int_equal(wr(f, MSR_MTRRfix64K_00000, type << (byte * 8)), want);
			assert_int_equal(wr(f, MSR_MTRRfix4K_F8000, type << (byte * 8)), want);
		}
	}
	assert_int_equal(wr(f, MSR_MTRRdefType, 0x100), MSR_GP);
	assert_int_equal(wr(f, MSR_MTRRdefType, 0x1000), MSR_GP);
	assert_int_equal(wr(f, MSR_MTRRdefType, 1ull << 63), MSR_GP);
	assert_int_equal(wr(f, MSR_MTRRphysBase0 + 4, 0x100106), MSR_GP);
	assert_int_equal(wr(f, MSR_MTRRphysBase0 + 4, 0x100806), MSR_GP);
	assert_int_equal(wr(f, MSR_MTRRphysBase0 + 4, 1ull << 40 | 6), MSR_GP);
	assert_int_equal(wr(f, MSR_MTRRphysBase0 + 4, 0xfffffff006ull), MSR_OK);
	assert_reads(f, MSR_MTRRphysBase0 + 4, 0xfffffff006ull);
	assert_int_equal(wr(f, MSR_MTRRphysMask7, 0xfffffff800ull), MSR_OK);
	assert_int_equal(wr(f, MSR_MTRRphysMask7, 0xfffffffc00ull), MSR_GP);
	assert_int_equal(wr(f, MSR_MTRRphysMask7, 1), MSR_GP);
	assert_int_equal(wr(f, MSR_MTRRphysMask7, 1ull << 40 | 0x800), MSR_GP);
	assert_reads(f, MSR_MTRRphysMask7, 0xfffffff800ull);
}

/* Every register keeps its own value. */
static void mtrrs_are_distinct(void **state)
{
	static const u32 fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				    0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	struct fixture *f = *state;

	for (u32 i = 0; i < ARRAY_SIZE(fixed); i++)
		assert_int_equal(wr(f, fixed[i], (i < 8 ? 6ull : 5ull) << (i % 8 * 8)), MSR_OK);
	for (u32 i = 0; i < 16; i++)
		assert_int_equal(wr(f, 0x200 + i, (u64)(i + 1) << 20), MSR_OK);
	for (u32 i = 0; i < ARRAY_SIZE(fixed); i++)
		assert_reads(f, fixed[i], (i < 8 ? 6ull : 5ull) << (i % 8 * 8));
	for (u32 i = 0; i < 16; i++)
		assert_reads(f, 0x200 + i, (u64)(i + 1) << 20);
	assert_absent(f, 0x210);
	assert_absent(f, 0x251);
	assert_absent(f, 0x25a);
	assert_absent(f, 0x270);
}

static void types_of_fixed_ranges(void **state)
{
	struct fixture *f = *state;
	struct msr_state *s = &f->msr;

	assert_int_equal(mtrr_type(s, GPA(0)), MEMTYPE_WB);
	assert_int_equal(mtrr_type(s, GPA(0x9ffff)), MEMTYPE_WB);
	assert_int_equal(mtrr_type(s, GPA(0xa0000)), MEMTYPE_UC);
	assert_int_equal(mtrr_type(s, GPA(0xbffff)), MEMTYPE_UC);
	assert_int_equal(mtrr_type(s, GPA(0xc0000)), MEMTYPE_WB);
	assert_int_equal(wr(f, 0x250, 5ull << 56), MSR_OK);
	assert_int_equal(mtrr_type(s, GPA(0x70000)), MEMTYPE_WP);
	assert_int_equal(mtrr_type(s, GPA(0x6ffff)), MEMTYPE_UC);
	assert_int_equal(mtrr_type(s, GPA(0x80000)), MEMTYPE_WB);
	assert_int_equal(wr(f, 0x258, 1ull << 8), MSR_OK);
	assert_int_equal(mtrr_type(s, GPA(0x84000)), MEMTYPE_WC);
	assert_int_equal(mtrr_type(s, GPA(0x88000)), MEMTYPE_UC);
	assert_int_equal(wr(f, 0x26f, 4ull << 56), MSR_OK);
	assert_int_equal(mtrr_type(s, GPA(0xff000)), MEMTYPE_WT);
	assert_int_equal(mtrr_type(s, GPA(0xfefff)), MEMTYPE_UC);
	/* FE off: the variable ranges reach down; E off: all is uncached. */
	assert_int_equal(wr(f, MSR_MTRRdefType, 0x800), MSR_OK);
	assert_int_equal(mtrr_type(s, GPA(0xa0000)), MEMTYPE_WB);
	assert_int_equal(wr(f, MSR_MTRRdefType, 0x406), MSR_OK);
	assert_int_equal(mtrr_type(s, GPA(0)), MEMTYPE_UC);
	assert_int_equal(mtrr_type(s, GPA(MIB(4))), MEMTYPE_UC);
}

static void types_of_guest_ranges(void **state)
{
	struct fixture *f = *state;
	const struct msr_state *s = &f->msr;

	assert_int_equal(mtrr_range_type(s, GPA(0x90000), 0x10000), MEMTYPE_WB);
	assert_int_equal(mtrr_range_type(s, GPA(0x90000), 0x11000), -1);
	assert_int_equal(mtrr_range_type(s, GPA(0), MIB(2)), -1); /* the video window */
	assert_int_equal(mtrr_range_type(s, GPA(MIB(2)), MIB(2)), MEMTYPE_WB);
	/* One page of another type makes the 2 MiB around it a mixture. */
	assert_int_equal(wr(f, 0x20e, MIB(5) | MEMTYPE_WC), MSR_OK);
	assert_int_equal(wr(f, 0x20f, 0xfffffff800ull), MSR_OK);
	assert_int_equal(mtrr_range_type(s, GPA(MIB(5)), PAGE_SIZE), MEMTYPE_UC); /* WB and WC */
	assert_int_equal(mtrr_range_type(s, GPA(MIB(4)), MIB(2)), -1);
	assert_int_equal(mtrr_range_type(s, GPA(MIB(6)), MIB(2)), MEMTYPE_WB);
}

/** Who keeps translations by memory type has to hear of changes, and of nothing else. */
static void changes_of_mtrrs_are_counted(void **state)
{
	static const struct {
		u32 msr;
		u64 value;
	} regs[] = {{0x200, MIB(64) | MEMTYPE_WP},
		    {0x201, 0xfffff00800ull},
		    {0x250, 4},
		    {0x26f, 5},
		    {MSR_MTRRdefType, 0x804},
		    {0x20f, 0x800}};
	struct fixture *f = *state;

	assert_int_equal(f->msr.mtrr_changes, 0);
	for (u32 i = 0; i < ARRAY_SIZE(regs); i++) {
		assert_int_equal(wr(f, regs[i].msr, regs[i].value), MSR_OK);
		assert_int_equal(f->msr.mtrr_changes, i + 1);
		assert_int_equal(wr(f, regs[i].msr, regs[i].value), MSR_OK); /* as it is */
		assert_int_equal(wr(f, regs[i].msr, ~0ull), MSR_GP);
		assert_int_equal(f->msr.mtrr_changes, i + 1);
	}
	assert_int_equal(wr(f, MSR_IA32_MCG_STATUS, 1), MSR_OK);
	assert_int_equal(f->msr.mtrr_changes, ARRAY_SIZE(regs));
}

/* Section 12.11.4.1 "MTRR Precedences". */
static void types_of_overlapping_ranges(void **state)
{
	static const struct {
		u8 a, b, want;
	} cases[] = {
		{MEMTYPE_WB, MEMTYPE_WB, MEMTYPE_WB}, {MEMTYPE_WB, MEMTYPE_UC, MEMTYPE_UC},
		{MEMTYPE_UC, MEMTYPE_WC, MEMTYPE_UC}, {MEMTYPE_WB, MEMTYPE_WT, MEMTYPE_WT},
		{MEMTYPE_WT, MEMTYPE_WB, MEMTYPE_WT}, {MEMTYPE_WC, MEMTYPE_WB, MEMTYPE_UC},
		{MEMTYPE_WC, MEMTYPE_WC, MEMTYPE_WC},
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		msr_state_init(&f->msr, &f->policy, 0, 0);
		assert_int_equal(wr(f, 0x200, MIB(16) | cases[i].a), MSR_OK);
		assert_int_equal(wr(f, 0x201, 0xffff000800ull), MSR_OK);
		assert_int_equal(wr(f, 0x20e, MIB(16) | cases[i].b), MSR_OK);
		assert_int_equal(mtrr_type(&f->msr, GPA(MIB(16))), cases[i].a);
		assert_int_equal(wr(f, 0x20f, 0xfffff00800ull), MSR_OK);
		assert_int_equal(mtrr_type(&f->msr, GPA(MIB(16))), cases[i].want);
		assert_int_equal(mtrr_type(&f->msr, GPA(MIB(17) - 1)), cases[i].want);
		assert_int_equal(mtrr_type(&f->msr, GPA(MIB(17))), cases[i].a);
		assert_int_equal(mtrr_type(&f->msr, GPA(MIB(32))), MEMTYPE_UC);
		assert_int_equal(mtrr_type(&f->msr, GPA(MIB(16) - 1)), MEMTYPE_UC);
	}
}

/* RAM is write-back, and memory that is none is not, page by page at all edges. */
static void map_at_power_up(void **state)
{
	static const struct {
		u64 low, high;
		bool exact;
	} cases[] = {
		{MIB(512), 0, true},	    {MIB(768), 0, true},
		{MIB(1000), 0, true},	    {GIB(3), 0, true},
		{GIB(3), GIB(1), true},	    {GIB(3), GIB(13), true},
		{MIB(2), 0, true},	    {0, 0, true},
		{MIB(2048 - 2), 0, false}, /* ten ranges */
		{GIB(3), MIB(1022), false},
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 low = cases[i].low, high = cases[i].high;

		msr_state_init(&f->msr, &f->policy, low, high);
		for (u64 a = MIB(1); a < low; a += MIB(2) - PAGE_SIZE)
			assert_int_equal(mtrr_type(&f->msr, GPA(a)), MEMTYPE_WB);
		for (u64 a = GIB(4); a < GIB(4) + high; a += MIB(2) - PAGE_SIZE)
			assert_int_equal(mtrr_type(&f->msr, GPA(a)), MEMTYPE_WB);
		assert_int_equal(mtrr_type(&f->msr, GPA(0xfee00000)), MEMTYPE_UC);
		assert_int_equal(mtrr_type(&f->msr, GPA(0xfec00000)), MEMTYPE_UC);
		assert_int_equal(mtrr_type(&f->msr, GPA(0xc0000000)), MEMTYPE_UC);
		assert_int_equal((f->msr.mtrrs.def_type & 0xff) == MEMTYPE_UC, cases[i].exact);
		if (!cases[i].exact)
			continue;
		if (low >= MIB(1))
			assert_int_equal(mtrr_type(&f->msr, GPA(low)), MEMTYPE_UC);
		assert_int_equal(mtrr_type(&f->msr, GPA(GIB(4) + high)), MEMTYPE_UC);
		/* The guest could have written it itself. */
		for (unsigned v = 0; v < MSR_MTRR_VAR; v++) {
			assert_true(mtrr_write(&f->msr, 40, 0x200 + 2 * v, f->msr.mtrrs.base[v]));
			assert_true(mtrr_write(&f->msr, 40, 0x201 + 2 * v, f->msr.mtrrs.mask[v]));
		}
	}
}

struct policy_row {
	u32 first, last;
	const char *why;
};

static const struct policy_row rows[] = {
#define MSR_POLICY(first, last, class, condition, why) {first, last, why},
#include "guest/msr_policy.def"
#undef MSR_POLICY
};

/* The lookup is a binary search. */
static void table_is_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(rows[i].first <= rows[i].last);
		if (i)
			assert_true(rows[i].first > rows[i - 1].last);
		assert_true(strlen(rows[i].why) > 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_linux_takes_for_granted, setup),
		cmocka_unit_test_setup(absent_ones_fault, setup),
		cmocka_unit_test_setup(read_only_ones_fault_on_write, setup),
		cmocka_unit_test_setup(reserved_bits_fault, setup),
		cmocka_unit_test_setup(vmcs_ones_go_to_the_caller, setup),
		cmocka_unit_test_setup(follows_cpuid, setup),
		cmocka_unit_test_setup(local_apic_ones, setup),
		cmocka_unit_test_setup(tsc_and_adjust_keep_step, setup),
		cmocka_unit_test_setup(passes_these_and_no_others, setup),
		cmocka_unit_test_setup(unknown_ones_are_noted_once, setup),
		cmocka_unit_test_setup(mtrr_checks, setup),
		cmocka_unit_test_setup(mtrrs_are_distinct, setup),
		cmocka_unit_test_setup(types_of_fixed_ranges, setup),
		cmocka_unit_test_setup(types_of_guest_ranges, setup),
		cmocka_unit_test_setup(changes_of_mtrrs_are_counted, setup),
		cmocka_unit_test_setup(types_of_overlapping_ranges, setup),
		cmocka_unit_test_setup(map_at_power_up, setup),
		cmocka_unit_test(table_is_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
