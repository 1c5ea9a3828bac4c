/* SPDX-License-Identifier: MIT */
/*
 * What of the host's CPUID the guest may see (SDM volume 2, "CPUID"): the allow-list of
 * cpuid_policy.def applied to every leaf, once, before the guest starts. And what follows from it
 * for CR4, EFER and XCR0.
 *
 * The topology shown is one package of single-threaded cores, with APIC ids from 0 upwards.
 */
#include "cpuid.h"

#include "lapic.h"
#include "lib/mem.h"
#include "msr_index.h"
#include "x86.h"

#define LEAF1_EDX_HTT BIT(28)
#define LEAF80000001_EDX_NX 20

/** Linear-address bits with 4-level paging, the only 64-bit paging the guest has. */
#define LINEAR_BITS 48u

enum condition {
	COND_HOST,
	COND_VIRTUAL,
	COND_NEVER,
	COND_XSAVE,
	COND_AVX,
	COND_AVX512,
	COND_PKRU,
	COND_FAST_STRINGS,
	COND_RDTSCP,
	COND_INVPCID,
	COND_XSAVES,
	COND_PAT,
	COND_RDRAND,
	COND_PAGE1G,
	COND_X2APIC,
	COND_TSC_DEADLINE,
};

struct feature {
	u32 leaf;
	u8 subleaf, reg, bit, condition;
};

static const struct feature features[] = {
#define CPUID_FEATURE(leaf, subleaf, reg, bit, name, condition, why)                               \
	{leaf, subleaf, CPUID_##reg, bit, COND_##condition},
#include "cpuid_policy.def"
#undef CPUID_FEATURE
};

/** CR4 bits that come with a feature (SDM volume 3, section 2.5 "Control Registers"). */
static const struct {
	u32 cr4, leaf;
	u8 reg, bit;
} cr4_features[] = {
	{X86_CR4_VME | X86_CR4_PVI, 1, CPUID_EDX, 1},
	{X86_CR4_DE, 1, CPUID_EDX, 2},
	{X86_CR4_PSE, 1, CPUID_EDX, 3},
	{X86_CR4_TSD, 1, CPUID_EDX, 4},
	{X86_CR4_PAE, 1, CPUID_EDX, 6},
	{X86_CR4_MCE, 1, CPUID_EDX, 7},
	{X86_CR4_PGE, 1, CPUID_EDX, 13},
	{X86_CR4_OSFXSR, 1, CPUID_EDX, 24},
	{X86_CR4_OSXMMEXCPT, 1, CPUID_EDX, 25},
	{X86_CR4_PCIDE, 1, CPUID_ECX, 17},
	{X86_CR4_OSXSAVE, 1, CPUID_ECX, 26},
	{X86_CR4_FSGSBASE, 7, CPUID_EBX, 0},
	{X86_CR4_SMEP, 7, CPUID_EBX, 7},
	{X86_CR4_SMAP, 7, CPUID_EBX, 20},
	{X86_CR4_UMIP, 7, CPUID_ECX, 2},
	{X86_CR4_PKE, 7, CPUID_ECX, 3},
};

static u32 *reg_of(struct cpuid_regs *r, u8 reg)
{
	switch (reg) {
	case CPUID_EAX:
		return &r->eax;
	case CPUID_EBX:
		return &r->ebx;
	case CPUID_ECX:
		return &r->ecx;
	default:
		return &r->edx;
	}
}

static bool shown(const struct cpuid_policy *p, u32 leaf, u32 subleaf, u8 reg, u8 bit)
{
	struct cpuid_regs r = *cpuid_stored(p, leaf, subleaf);

	return *reg_of(&r, reg) & BIT(bit);
}

static bool condition_holds(const struct cpuid_policy *p, u8 condition)
{
	switch (condition) {
	case COND_XSAVE:
		return p->xcr0_allowed;
	case COND_AVX:
		return p->xcr0_allowed & XCR0_AVX;
	case COND_AVX512:
		return p->xcr0_allowed & XCR0_AVX512;
	case COND_PKRU:
		return p->xcr0_allowed & XCR0_PKRU;
	case COND_FAST_STRINGS:
		return p->fast_strings;
	case COND_RDTSCP:
		return p->rdtscp;
	case COND_INVPCID:
		return p->invpcid;
	case COND_XSAVES:
		return p->xsaves;
	case COND_PAT:
		return p->pat;
	case COND_RDRAND:
		return !p->hide_rdrand;
	case COND_PAGE1G:
		return !p->hide_1g;
	case COND_X2APIC:
		return p->x2apic;
	case COND_TSC_DEADLINE:
		return p->tsc_deadline;
	case COND_NEVER:
		return false;
	default:
		return true;
	}
}

/** Features that exist whether or not the processor has them. */
static bool is_virtual(u8 condition)
{
	return condition == COND_VIRTUAL || condition == COND_X2APIC ||
	       condition == COND_TSC_DEADLINE;
}

/** Reduce one register of `r`, which holds the host's leaf, to what the list allows. */
static void filter(const struct cpuid_policy *p, u32 leaf, u32 subleaf, u8 reg,
		   struct cpuid_regs *r)
{
	u32 *value = reg_of(r, reg), seen = 0;

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];

		if (f->leaf != leaf || f->subleaf != subleaf || f->reg != reg ||
		    !condition_holds(p, f->condition))
			continue;
		seen |= is_virtual(f->condition) ? (u32)BIT(f->bit) : *value & (u32)BIT(f->bit);
	}
	*value = seen;
}

/** The smallest n with 1 << n >= count. */
static u32 log2_ceil(u32 count)
{
	u32 n = 0;

	while (n < 31 && (1u << n) < count)
		n++;
	return n;
}

/** XCR0 bits the guest may set: what the host has, less what is not switched, made consistent. */
static u64 allowed_xcr0(u64 host)
{
	u64 x = host & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU);

	if (!(x & XCR0_SSE))
		x &= ~XCR0_AVX;
	if (!(x & XCR0_AVX) || (x & XCR0_AVX512) != XCR0_AVX512)
		x &= ~XCR0_AVX512;
	return x & XCR0_X87 ? x : 0;
}

static void init_leaf_1(struct cpuid_policy *p, const struct cpuid_regs *host)
{
	struct cpuid_regs *r = &p->basic[1];

	*r = *host;
	filter(p, 1, 0, CPUID_ECX, r);
	filter(p, 1, 0, CPUID_EDX, r);
	/* The brand index and the CLFLUSH line size are the processor's. */
	r->ebx &= 0xffff;
	r->ebx |= MIN(p->nr_vcpus, 255) << 16;
	if (p->nr_vcpus > 1)
		r->edx |= LEAF1_EDX_HTT;
}

/** The caches are real, but who shares them follows from the topology shown. */
static void init_leaf_4(struct cpuid_policy *p, cpuid_fn host, void *ctx)
{
	u32 ids = (1u << p->core_id_bits) - 1, level;

	for (u32 i = 0; i < CPUID_CACHES; i++) {
		struct cpuid_regs *r = &p->basic[CPUID_CACHE_FIRST + i];

		host(ctx, 4, i, r);
		if (!(r->eax & 0x1f)) { /* type 0: no more caches */
			*r = (struct cpuid_regs){0};
			return;
		}
		level = (r->eax >> 5) & 7;
		r->eax &= 0x3fff;
		r->eax |= MIN(ids, 63) << 26;
		if (level > 2)
			r->eax |= MIN(ids, 4095) << 14;
	}
	/* A list that fills the array still has to end. */
	p->basic[CPUID_CACHE_FIRST + CPUID_CACHES - 1] = (struct cpuid_regs){0};
}

static void init_leaf_7(struct cpuid_policy *p, cpuid_fn host, void *ctx)
{
	struct cpuid_regs r;

	host(ctx, 7, 0, &r);
	p->leaf7[0] = r;
	p->leaf7[0].eax = MIN(r.eax, CPUID_LEAF7 - 1);
	filter(p, 7, 0, CPUID_EBX, &p->leaf7[0]);
	filter(p, 7, 0, CPUID_ECX, &p->leaf7[0]);
	filter(p, 7, 0, CPUID_EDX, &p->leaf7[0]);
	if (!r.eax)
		return;
	host(ctx, 7, 1, &r);
	p->leaf7[1] = (struct cpuid_regs){.eax = r.eax, .edx = r.edx};
	filter(p, 7, 1, CPUID_EAX, &p->leaf7[1]);
	filter(p, 7, 1, CPUID_EDX, &p->leaf7[1]);
}

/** Sizes and offsets are the processor's; the sub-leaves of hidden components stay 0. */
static void init_leaf_d(struct cpuid_policy *p, cpuid_fn host, void *ctx)
{
	struct cpuid_regs r;

	for (u32 i = 2; i < CPUID_XFEATURES; i++) {
		if (!(p->xcr0_allowed & BIT(i)))
			continue;
		host(ctx, 0xd, i, &r);
		p->xsave[i] = (struct cpuid_regs){
			.eax = r.eax, .ebx = r.ebx, .ecx = r.ecx & LEAF_D_ALIGN64};
	}
	p->xsave[0].eax = (u32)p->xcr0_allowed;
	p->xsave[0].edx = (u32)(p->xcr0_allowed >> 32);
	p->xsave[0].ecx = cpuid_xsave_size(p, p->xcr0_allowed, false);
	/* ECX and EDX of sub-leaf 1, the components of IA32_XSS, stay 0: none is switched. */
	host(ctx, 0xd, 1, &r);
	p->xsave[1].eax = r.eax;
	filter(p, 0xd, 1, CPUID_EAX, &p->xsave[1]);
}

/**
 * Frequencies. Made here rather than passed on: software takes the crystal's frequency for that of
 * the local APIC timer (Linux does), and this guest's local APIC is not the processor's. The
 * ratio is to 100 kHz: finer, and Linux's 32-bit product of crystal kHz and numerator overflows.
 */
static void init_leaves_15_16(struct cpuid_policy *p)
{
	u32 units = (u32)((p->tsc_hz + 50000) / 100000);
	u32 mhz = (u32)((p->tsc_hz + 500000) / 1000000);

	_Static_assert(LAPIC_BUS_HZ % 100000 == 0, "the ratio has a whole denominator");
	if (!p->tsc_hz)
		return;
	p->basic[0x15] = (struct cpuid_regs){
		.eax = (u32)(LAPIC_BUS_HZ / 100000), .ebx = units, .ecx = (u32)LAPIC_BUS_HZ};
	p->basic[0x16] =
		(struct cpuid_regs){.eax = mhz, .ebx = mhz, .ecx = (u32)(LAPIC_BUS_HZ / 1000000)};
}

static void init_extended(struct cpuid_policy *p, cpuid_fn host, void *ctx)
{
	struct cpuid_regs r;
	u32 bits = MAXPHYADDR_DEFAULT;

	p->ext[0].eax = p->max_ext;
	/* 5 is reserved on Intel processors and stays 0. */
	for (u32 leaf = 1; leaf + 0x80000000u <= p->max_ext; leaf++) {
		host(ctx, 0x80000000u + leaf, 0, &r);
		if (leaf == 1) {
			p->ext[1] = (struct cpuid_regs){.ecx = r.ecx, .edx = r.edx};
			filter(p, 0x80000001u, 0, CPUID_ECX, &p->ext[1]);
			filter(p, 0x80000001u, 0, CPUID_EDX, &p->ext[1]);
		} else if (leaf <= 4) {
			p->ext[leaf] = r; /* brand string */
		} else if (leaf == 6) {
			p->ext[6].ecx = r.ecx; /* L2 cache */
		} else if (leaf == 7) {
			p->ext[7].edx = r.edx;
			filter(p, 0x80000007u, 0, CPUID_EDX, &p->ext[7]);
		} else if (leaf == 8) {
			bits = r.eax & 0xff;
			p->ext[8].eax = LINEAR_BITS << 8;
		}
	}
	p->maxphyaddr = (u8)(p->maxphyaddr ? MIN(p->maxphyaddr, bits) : bits);
	p->ext[8].eax |= p->maxphyaddr;
}

static void init_limits(struct cpuid_policy *p, cpuid_fn host, void *ctx)
{
	struct cpuid_regs r;

	host(ctx, 0, 0, &p->basic[0]);
	p->all_basic = MIN(p->basic[0].eax, CPUID_MAX_BASIC);
	p->max_basic = p->all_basic;
	p->basic[0].eax = p->max_basic;
	host(ctx, 0x80000000u, 0, &r);
	p->max_ext = r.eax < 0x80000000u ? 0x80000000u : MIN(r.eax, CPUID_MAX_EXT);
}

/** Less the components of which leaf 0xd does not say how they are saved: no guest could use them
 *  (Bochs 2.7 forgets PKRU, and a Linux kernel on the bare machine stumbles over it). */
static u64 described_xcr0(u64 xcr0, cpuid_fn host, void *ctx)
{
	struct cpuid_regs r;

	for (u32 i = 2; i < CPUID_XFEATURES; i++) {
		host(ctx, 0xd, i, &r);
		if (!r.eax)
			xcr0 &= ~BIT(i);
	}
	return xcr0;
}

static void init_xcr0(struct cpuid_policy *p, cpuid_fn host, void *ctx)
{
	struct cpuid_regs r;

	p->xcr0_allowed = 0;
	host(ctx, 1, 0, &r);
	if (p->max_basic < 0xd || !(r.ecx & BIT(26)))
		return;
	host(ctx, 0xd, 0, &r);
	p->xcr0_allowed = allowed_xcr0(described_xcr0((u64)r.edx << 32 | r.eax, host, ctx));
}

/** What control registers may hold follows from what was shown. */
static void init_registers(struct cpuid_policy *p)
{
	/* No CPUID bit names CR4.PCE: it came with the Pentium Pro. */
	p->cr4_allowed = X86_CR4_PCE;
	for (size_t i = 0; i < ARRAY_SIZE(cr4_features); i++)
		if (shown(p, cr4_features[i].leaf, 0, cr4_features[i].reg, cr4_features[i].bit))
			p->cr4_allowed |= cr4_features[i].cr4;

	p->efer_allowed = 0;
	if (shown(p, 0x80000001u, 0, CPUID_EDX, 11))
		p->efer_allowed |= EFER_SCE;
	if (shown(p, 0x80000001u, 0, CPUID_EDX, 29))
		p->efer_allowed |= EFER_LME | EFER_LMA;
	p->has_xd = shown(p, 0x80000001u, 0, CPUID_EDX, LEAF80000001_EDX_NX);
	if (p->has_xd)
		p->efer_allowed |= EFER_NX;

	p->has_1g = shown(p, 0x80000001u, 0, CPUID_EDX, 26);
	p->rdtscp = shown(p, 0x80000001u, 0, CPUID_EDX, 27) || shown(p, 7, 0, CPUID_ECX, 22);
	p->invpcid = shown(p, 7, 0, CPUID_EBX, 10);
	p->tsc_adjust = shown(p, 7, 0, CPUID_EBX, 1);
	p->pat = shown(p, 1, 0, CPUID_EDX, 16);
	p->xsaves = shown(p, 0xd, 1, CPUID_EAX, 3);
}

/** Leaf 1 has the APIC id and mirrors CR4, as leaf 7 does; the caches of leaf 4 end with a zero,
 * but sub-leaves beyond the array are not in it. */
static void init_fixed(struct cpuid_policy *p)
{
	static const u8 leaves[] = {0, 2, 3, 5, 6};

	memset(p->fixed, 0, sizeof(p->fixed));
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		if (leaves[i] <= p->max_basic)
			p->fixed[leaves[i]] = (struct cpuid_fixed){.first = leaves[i], .nr = 1};
	}
	if (p->max_basic >= 4)
		p->fixed[4] = (struct cpuid_fixed){
			.subleaf_mask = ~0u, .first = CPUID_CACHE_FIRST, .nr = CPUID_CACHES};
}

#define LIMITED_MAX_BASIC 2

void cpuid_misc_enable(struct cpuid_policy *p, u64 misc_enable)
{
	struct cpuid_regs *features = &p->ext[1];
	bool xd = p->has_xd && !(misc_enable & MISC_ENABLE_XD_DISABLE);

	p->max_basic = p->all_basic;
	if (misc_enable & MISC_ENABLE_LIMIT_CPUID)
		p->max_basic = MIN(p->all_basic, LIMITED_MAX_BASIC);
	p->basic[0].eax = p->max_basic;
	init_fixed(p);
	features->edx &= ~(u32)BIT(LEAF80000001_EDX_NX);
	p->efer_allowed &= ~EFER_NX;
	if (xd) {
		features->edx |= (u32)BIT(LEAF80000001_EDX_NX);
		p->efer_allowed |= EFER_NX;
	}
}

void cpuid_policy_init(struct cpuid_policy *p, cpuid_fn host, void *ctx)
{
	struct cpuid_regs r;

	memset(p->basic, 0, sizeof(p->basic));
	memset(p->ext, 0, sizeof(p->ext));
	memset(p->leaf7, 0, sizeof(p->leaf7));
	memset(p->xsave, 0, sizeof(p->xsave));

	p->core_id_bits = log2_ceil(p->nr_vcpus);
	init_limits(p, host, ctx);
	init_xcr0(p, host, ctx);
	host(ctx, 1, 0, &r);
	init_leaf_1(p, &r);
	if (p->max_basic >= 2)
		host(ctx, 2, 0, &p->basic[2]); /* cache and TLB descriptors */
	if (p->max_basic >= 4)
		init_leaf_4(p, host, ctx);
	if (p->max_basic >= 6)
		filter(p, 6, 0, CPUID_EAX, &p->basic[6]);
	if (p->max_basic >= 7)
		init_leaf_7(p, host, ctx);
	if (p->xcr0_allowed)
		init_leaf_d(p, host, ctx);
	init_fixed(p);
	if (p->max_basic >= 0x15)
		init_leaves_15_16(p);
	init_extended(p, host, ctx);
	init_registers(p);
}
