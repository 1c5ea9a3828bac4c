/* SPDX-License-Identifier: MIT */
/* The CPUID policy over three hosts: a Haswell, a Nehalem without XSAVE, and one that has it all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest/cpuid.h"
#include "guest/lapic.h"
#include "msr_index.h"
#include "options.h"
#include "x86.h"

struct leaf {
	u32 leaf, subleaf;
	struct cpuid_regs r;
};

struct host {
	const struct leaf *leaves;
	unsigned nr;
	struct cpuid_regs other; /* every leaf that is not in the list */
};

static void host_cpuid(void *ctx, u32 leaf, u32 subleaf, struct cpuid_regs *out)
{
	const struct host *h = ctx;

	for (unsigned i = 0; i < h->nr; i++) {
		if (h->leaves[i].leaf == leaf && h->leaves[i].subleaf == subleaf) {
			*out = h->leaves[i].r;
			return;
		}
	}
	*out = h->other;
}

/* Bochs 2.7's corei7_haswell_4770 with four threads. */
static const struct leaf haswell_leaves[] = {
	{0, 0, {0xd, 0x756e6547, 0x6c65746e, 0x49656e69}},
	{1, 0, {0x000306c3, 0x02040800, 0x7ffafbff & ~0x00040000, 0xbfebfbff}},
	{2, 0, {0x76036301, 0x00f0b5ff, 0, 0x00c10000}},
	{4, 0, {0x1c004121, 0x01c0003f, 0x3f, 0}},
	{4, 1, {0x1c004122, 0x01c0003f, 0x3f, 0}},
	{4, 2, {0x1c004143, 0x01c0003f, 0x1ff, 0}},
	{4, 3, {0x1c03c163, 0x03c0003f, 0x1fff, 6}},
	{5, 0, {64, 64, 3, 0x42120}},
	{6, 0, {0x77, 2, 9, 0}},
	{7, 0, {0, 0x000027ab, 0, 0}},
	{0xa, 0, {0x07300403, 0, 0, 0x603}},
	{0xb, 0, {1, 2, 0x100, 2}},
	{0xd, 0, {7, 832, 832, 0}},
	{0xd, 1, {1, 0, 0, 0}},
	{0xd, 2, {256, 576, 0, 0}},
	{0x80000000, 0, {0x80000008, 0, 0, 0}},
	{0x80000001, 0, {0, 0, 0x21, 0x2c100800}},
	{0x80000002, 0, {0x65746e49, 0x2952286c, 0x726f4320, 0x4d542865}},
	{0x80000006, 0, {0, 0, 0x01006040, 0}},
	{0x80000007, 0, {0, 0, 0, 0x100}},
	{0x80000008, 0, {0x3028, 0, 0, 0}},
};

static const struct host haswell = {haswell_leaves, ARRAY_SIZE(haswell_leaves), {0}};

/* Leaf 0xb is the highest; no XSAVE, no leaf 7. */
static const struct leaf lynnfield_leaves[] = {
	{0, 0, {0xb, 0x756e6547, 0x6c65746e, 0x49656e69}},
	{1, 0, {0x000106e5, 0x00100800, 0x0098e3fd, 0xbfebfbff}},
	{0xb, 0, {1, 2, 0x100, 2}},
	{0x80000000, 0, {0x80000008, 0, 0, 0}},
	{0x80000001, 0, {0, 0, 1, 0x28100800}},
	{0x80000008, 0, {0x3024, 0, 0, 0}},
};

static const struct host lynnfield = {lynnfield_leaves, ARRAY_SIZE(lynnfield_leaves), {0}};

/* All feature bits there may ever be, and 57 bits of linear address. */
static const struct leaf future_leaves[] = {
	{0, 0, {0x23, 0x756e6547, 0x6c65746e, 0x49656e69}},
	{0xd, 0, {0x000e06ff, 0x2b00, 0x2b00, 0}},
	{0xd, 1, {0x1f, 0x2b00, 0x1f900, 0}},
	{0xd, 2, {256, 576, 0, 0}},
	{0xd, 3, {64, 960, 0, 0}},
	{0xd, 4, {64, 1024, 0, 0}},
	{0xd, 5, {64, 1088, 0, 0}},
	{0xd, 6, {512, 1152, 0, 0}},
	{0xd, 7, {1024, 1664, 0, 0}},
	{0xd, 9, {8, 2688, 0, 0}},
	{0x80000000, 0, {0x80000021, 0, 0, 0}},
	{0x80000008, 0, {0x3934, 0xffffffff, 0xffffffff, 0xffffffff}},
};

static const struct host future = {future_leaves, ARRAY_SIZE(future_leaves), {~0u, ~0u, ~0u, ~0u}};

static const struct cpuid_policy everything = {
	.leaves = LEAVES_2021,
	.paging = PAGING_EPT,
	.version = 0x00010203,
	.nr_vcpus = 1,
	.tsc_hz = 3400000000ull,
	.rdtscp = true,
	.invpcid = true,
	.xsaves = true,
	.pat = true,
	.tsc_deadline = true,
	.x2apic = true,
	.fast_strings = true,
};

static struct cpuid_policy policy_on(const struct host *h, struct cpuid_policy wish)
{
	cpuid_policy_init(&wish, host_cpuid, (void *)h);
	return wish;
}

static struct cpuid_regs ask_as(const struct cpuid_policy *p, struct cpuid_vcpu v, u32 leaf,
				u32 sub)
{
	struct cpuid_regs r = {0xaaaaaaaa, 0xbbbbbbbb, 0xcccccccc, 0xdddddddd};

	cpuid_guest(p, &v, leaf, sub, &r);
	return r;
}

static struct cpuid_regs ask(const struct cpuid_policy *p, u32 leaf, u32 sub)
{
	return ask_as(p, (struct cpuid_vcpu){.apic_enabled = true, .xcr0 = 1}, leaf, sub);
}

static void assert_regs(struct cpuid_regs r, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	assert_int_equal(r.eax, eax);
	assert_int_equal(r.ebx, ebx);
	assert_int_equal(r.ecx, ecx);
	assert_int_equal(r.edx, edx);
}

/* What Linux's "flags:" line would say on the Haswell, bit for bit. */
static void haswell_features(void **state)
{
	struct cpuid_policy p = policy_on(&haswell, everything);

	(void)state;
	assert_regs(ask(&p, 0, 0), 0xd, 0x756e6547, 0x6c65746e, 0x49656e69);
	/* SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 x2APIC MOVBE POPCNT TSC-deadline AES XSAVE
	 * AVX F16C RDRAND hypervisor; not DTES64 MONITOR DS-CPL VMX EST TM2 xTPR PDCM. */
	/* Not DS, ACPI, HTT, TM, PBE. */
	assert_regs(ask(&p, 1, 0), 0x000306c3, 0x00010800, 0xf7fa3203, 0x0f8bfbff);
	/* FSGSBASE TSC_ADJUST BMI1 AVX2 SMEP BMI2 ERMS INVPCID FCS/FDS. */
	assert_regs(ask(&p, 7, 0), 0, 0x000027ab, 0, 0);
	assert_regs(ask(&p, 0x80000001, 0), 0, 0, 0x21, 0x2c100800);
	assert_regs(ask(&p, 0x80000007, 0), 0, 0, 0, 0x100);
	assert_regs(ask(&p, 0x80000008, 0), 0x3028, 0, 0, 0);
	assert_regs(ask(&p, 0x80000002, 0), 0x65746e49, 0x2952286c, 0x726f4320, 0x4d542865);
	assert_regs(ask(&p, 0x80000000, 0), 0x80000008, 0, 0, 0);
	assert_int_equal(p.maxphyaddr, 40);
	assert_true(p.has_1g && p.rdtscp && p.invpcid && p.tsc_adjust);
	assert_false(p.xsaves); /* the host has none, whatever the VMCS says */
	assert_true(p.xcr0_allowed == 7);
	assert_true(p.efer_allowed == (EFER_SCE | EFER_LME | EFER_LMA | EFER_NX));
	assert_true(p.cr4_allowed ==
		    (X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE |
		     X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR |
		     X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE | X86_CR4_PCIDE | X86_CR4_OSXSAVE |
		     X86_CR4_SMEP));
}

static void leaves_without_content(void **state)
{
	static const u32 empty[] = {3, 5, 8, 9, 0xa, 0xc, 0x80000005};
	struct cpuid_policy p = policy_on(&haswell, everything);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(empty); i++)
		assert_regs(ask(&p, empty[i], 0), 0, 0, 0, 0);
	assert_regs(ask(&p, 6, 0), 4, 0, 0, 0); /* ARAT alone */
	assert_regs(ask(&p, 2, 0), 0x76036301, 0x00f0b5ff, 0, 0x00c10000);
}

/* Nothing is shown merely because the processor has it: the allowed bits, and no others, of a host
 * with every bit set. A new row in cpuid_policy.def has to be entered here as well. */
static void future_host_is_cut_down(void **state)
{
	struct cpuid_policy p = policy_on(&future, everything);
	struct cpuid_regs r;

	(void)state;
	assert_int_equal(ask(&p, 0, 0).eax, 0x16);
	r = ask(&p, 1, 0);
	assert_int_equal(r.ecx, 0xf7fa3203);
	assert_int_equal(r.edx, 0x0f8bfbff);
	r = ask(&p, 7, 0);
	assert_int_equal(r.eax, 1);
	assert_int_equal(r.ebx, 0xfdbf27eb);
	assert_int_equal(r.ecx, 0x1a405f4f);
	assert_int_equal(r.edx, 0x0080451c);
	r = ask(&p, 7, 1);
	assert_regs(r, 0x00801cb0, 0, 0, 0x00004430);
	assert_regs(ask(&p, 7, 2), 0, 0, 0, 0);
	assert_regs(ask(&p, 0x80000001, 0), 0, 0, 0x121, 0x2c100800);
	assert_regs(ask(&p, 0x80000007, 0), 0, 0, 0, 0x100);
	/* 52 physical bits, but 48 linear ones: no LA57. */
	assert_regs(ask(&p, 0x80000008, 0), 0x3034, 0, 0, 0);
	assert_int_equal(ask(&p, 0x80000000, 0).eax, 0x80000008);
	/* Neither MPX nor AMX nor APX state. */
	assert_true(p.xcr0_allowed == 0x2e7);
	assert_regs(ask(&p, 0xd, 1), 0xf, 576, 0, 0);
	assert_true(p.xsaves);
	assert_false(p.cr4_allowed &
		     (X86_CR4_VMXE | X86_CR4_SMXE | X86_CR4_LA57 | X86_CR4_CET | ~0x7fffffull));
	assert_true(p.cr4_allowed & X86_CR4_SMAP && p.cr4_allowed & X86_CR4_PKE &&
		    p.cr4_allowed & X86_CR4_UMIP);
	for (u32 leaf = 0x10; leaf <= 0x14; leaf++) /* RDT, SGX, PT */
		assert_regs(ask(&p, leaf, 1), 0, 0, 0, 0);
}

static void policy_switches(void **state)
{
	struct cpuid_policy none = everything, p;
	struct cpuid_regs r;

	(void)state;
	none.rdtscp = none.invpcid = none.xsaves = none.pat = none.tsc_deadline = none.x2apic =
		false;
	none.hide_rdrand = none.hide_1g = true;
	p = policy_on(&future, none);
	r = ask(&p, 1, 0);
	assert_int_equal(r.ecx, 0xf7fa3203 & ~(BIT(21) | BIT(24) | BIT(30)));
	assert_false(r.edx & BIT(16));
	r = ask(&p, 7, 0);
	assert_int_equal(r.ebx, 0xfdbf27eb & ~(BIT(10) | BIT(18)));
	assert_int_equal(r.ecx, 0x1a405f4f & ~BIT(22));
	assert_int_equal(ask(&p, 0x80000001, 0).edx, 0x2c100800 & ~(BIT(26) | BIT(27)));
	assert_int_equal(ask(&p, 0xd, 1).eax, 7);
	assert_false(p.has_1g || p.rdtscp || p.invpcid || p.xsaves || p.pat);

	/* The APIC's features are virtual: they need no host. */
	p = policy_on(&lynnfield, everything);
	assert_int_equal(ask(&p, 1, 0).ecx & (BIT(21) | BIT(24)), BIT(21) | BIT(24));
}

static void old_host(void **state)
{
	struct leaf leaves[ARRAY_SIZE(lynnfield_leaves)];
	struct host h = lynnfield;
	struct cpuid_policy p = policy_on(&lynnfield, everything);

	(void)state;
	assert_int_equal(ask(&p, 0, 0).eax, 0xb);
	assert_true(p.xcr0_allowed == 0);
	assert_false(p.cr4_allowed & (X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_FSGSBASE));
	assert_false(p.has_1g || p.xsaves || p.invpcid);
	assert_true(p.rdtscp);
	/* Leaf 7 is empty but there, so that the one virtual feature in it has its place. */
	assert_true(p.tsc_adjust);
	assert_regs(ask(&p, 7, 0), 0, 2, 0, 0);
	/* SSE3 SSSE3 CX16 SSE4 POPCNT; x2APIC, TSC-deadline and hypervisor are ours. */
	assert_int_equal(ask(&p, 1, 0).ecx, 0x81b82201);
	/* Leaves 0xc and 0xd are beyond: the highest basic leaf answers. */
	assert_regs(ask(&p, 0xd, 0), 0, 1, 0x100, 0);

	/* A host that stops before leaf 7: there is nowhere to show TSC_ADJUST. */
	memcpy(leaves, lynnfield_leaves, sizeof(leaves));
	h.leaves = leaves;
	leaves[0].r.eax = 5;
	p = policy_on(&h, everything);
	assert_false(p.tsc_adjust);
}

/* AVX without XSAVE state for it must not be shown; nor half of AVX-512. */
static void states_that_do_not_add_up(void **state)
{
	struct leaf leaves[ARRAY_SIZE(future_leaves)];
	struct host h = future;
	struct cpuid_policy p;

	(void)state;
	memcpy(leaves, future_leaves, sizeof(leaves));
	h.leaves = leaves;
	leaves[1].r.eax = 0xa7; /* ZMM_Hi256 missing */
	p = policy_on(&h, everything);
	assert_true(p.xcr0_allowed == 7);
	assert_int_equal(ask(&p, 7, 0).ebx & BIT(16), 0);
	assert_int_equal(ask(&p, 7, 0).ebx & BIT(5), BIT(5));

	leaves[1].r.eax = 0x3;
	p = policy_on(&h, everything);
	assert_true(p.xcr0_allowed == 3);
	assert_int_equal(ask(&p, 1, 0).ecx & (BIT(12) | BIT(28) | BIT(29)), 0);
	assert_int_equal(ask(&p, 7, 0).ebx & BIT(5), 0);
	assert_int_equal(ask(&p, 7, 0).ecx & (BIT(9) | BIT(10)), 0);
	assert_int_equal(ask(&p, 7, 1).eax & (BIT(4) | BIT(23)), 0);

	leaves[1].r.eax = 0x5; /* AVX without SSE */
	assert_true(policy_on(&h, everything).xcr0_allowed == 1);

	leaves[0].r.eax = 0xc; /* XSAVE without leaf 0xd */
	p = policy_on(&h, everything);
	assert_true(p.xcr0_allowed == 0);
	assert_int_equal(ask(&p, 1, 0).ecx & BIT(26), 0);
	assert_false(p.cr4_allowed & X86_CR4_OSXSAVE);
}

static void bits_that_follow_the_vcpu(void **state)
{
	struct cpuid_policy p = policy_on(&future, everything);
	struct cpuid_vcpu v = {.apic_id = 5, .xcr0 = 1};
	struct cpuid_regs r = ask_as(&p, v, 1, 0);

	(void)state;
	assert_int_equal(r.ebx >> 24, 5);
	assert_int_equal(r.edx & BIT(9), 0);
	assert_int_equal(r.ecx & BIT(27), 0);
	assert_int_equal(ask_as(&p, v, 7, 0).ecx & BIT(4), 0);
	v.apic_enabled = true;
	v.cr4 = X86_CR4_OSXSAVE | X86_CR4_PKE;
	r = ask_as(&p, v, 1, 0);
	assert_int_equal(r.edx & BIT(9), BIT(9));
	assert_int_equal(r.ecx & BIT(27), BIT(27));
	assert_int_equal(ask_as(&p, v, 7, 0).ecx & BIT(4), BIT(4));
	assert_int_equal(ask_as(&p, v, 7, 1).ecx, 0);
}

/* Each bit of CR4 goes with its feature, and with no other. */
static void cr4_follows_the_features(void **state)
{
	static const struct {
		u64 cr4;
		u32 leaf;
		u32 ebx, ecx, edx; /* the one bit that is taken away */
	} cases[] = {
		{X86_CR4_VME | X86_CR4_PVI, 1, 0, 0, 1 << 1},
		{X86_CR4_DE, 1, 0, 0, 1 << 2},
		{X86_CR4_PSE, 1, 0, 0, 1 << 3},
		{X86_CR4_TSD, 1, 0, 0, 1 << 4},
		{X86_CR4_PAE, 1, 0, 0, 1 << 6},
		{X86_CR4_MCE, 1, 0, 0, 1 << 7},
		{X86_CR4_PGE, 1, 0, 0, 1 << 13},
		{X86_CR4_OSFXSR, 1, 0, 0, 1 << 24},
		{X86_CR4_OSXMMEXCPT, 1, 0, 0, 1 << 25},
		{X86_CR4_PCIDE, 1, 0, 1 << 17, 0},
		{X86_CR4_OSXSAVE | X86_CR4_PKE, 1, 0, 1 << 26, 0}, /* no XCR0: no PKRU in it */
		{X86_CR4_FSGSBASE, 7, 1 << 0, 0, 0},
		{X86_CR4_SMEP, 7, 1 << 7, 0, 0},
		{X86_CR4_SMAP, 7, 1 << 20, 0, 0},
		{X86_CR4_UMIP, 7, 0, 1 << 2, 0},
		{X86_CR4_PKE, 7, 0, 1 << 3, 0},
	};
	struct leaf leaves[ARRAY_SIZE(future_leaves) + 1];
	struct host h = {leaves, ARRAY_SIZE(leaves), future.other};
	u64 all = X86_CR4_PCE, allowed;

	(void)state;
	memcpy(leaves + 1, future_leaves, sizeof(future_leaves));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		all |= cases[i].cr4;
	assert_true(policy_on(&future, everything).cr4_allowed == all);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		leaves[0] = (struct leaf){
			cases[i].leaf, 0, {~0u, ~cases[i].ebx, ~cases[i].ecx, ~cases[i].edx}};
		allowed = policy_on(&h, everything).cr4_allowed;
		assert_true(allowed == (all & ~cases[i].cr4));
	}
}

/** Bochs 2.7's corei7_icelake_u and tigerlake: XCR0 has PKRU, and leaf 0xd is silent about it. */
static void a_component_without_a_size_is_hidden(void **state)
{
	struct leaf leaves[ARRAY_SIZE(future_leaves)];
	struct host h = {leaves, ARRAY_SIZE(leaves), future.other};
	struct cpuid_policy p;

	(void)state;
	memcpy(leaves, future_leaves, sizeof(future_leaves));
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		if (leaves[i].leaf == 0xd && leaves[i].subleaf == 9)
			leaves[i].r = (struct cpuid_regs){0};
	}
	p = policy_on(&h, everything);
	assert_regs(ask(&p, 0xd, 0), 0xe7, 576, 2688, 0);
	assert_regs(ask(&p, 0xd, 9), 0, 0, 0, 0);
	assert_false(xcr0_valid(0x207, p.xcr0_allowed));
	assert_int_equal(ask(&p, 7, 0).ecx & BIT(3), 0); /* PKU */
	assert_int_equal(p.cr4_allowed & X86_CR4_PKE, 0);
	/* One part of AVX-512 without a size takes all of it along. */
	assert_true(leaves[7].leaf == 0xd && leaves[7].subleaf == 6);
	leaves[7].r = (struct cpuid_regs){0};
	p = policy_on(&h, everything);
	assert_true(p.xcr0_allowed == 7);
	assert_int_equal(ask(&p, 7, 0).ebx & BIT(16), 0); /* AVX512F */
}

/** Linux drops ERMS where IA32_MISC_ENABLE has fast strings off, but keeps FSRM, and its memmove()
 *  relies on "FSRM implies ERMS": short moves go wrong. */
static void short_rep_movs_needs_fast_strings(void **state)
{
	struct cpuid_policy wish = everything;
	struct cpuid_policy fast = policy_on(&future, wish), slow;

	(void)state;
	wish.fast_strings = false;
	slow = policy_on(&future, wish);
	assert_int_equal(ask(&fast, 7, 0).edx ^ ask(&slow, 7, 0).edx, BIT(4));
	assert_int_equal(ask(&fast, 7, 1).eax ^ ask(&slow, 7, 1).eax, BIT(10) | BIT(11) | BIT(12));
	assert_int_equal(ask(&fast, 7, 0).ebx, ask(&slow, 7, 0).ebx);
}

static void xsave_sizes(void **state)
{
	struct cpuid_policy p = policy_on(&future, everything);
	struct cpuid_vcpu v = {.xcr0 = 1};

	(void)state;
	assert_regs(ask_as(&p, v, 0xd, 0), 0x2e7, 576, 2696, 0);
	v.xcr0 = 7;
	assert_int_equal(ask_as(&p, v, 0xd, 0).ebx, 832);
	assert_int_equal(ask_as(&p, v, 0xd, 1).ebx, 832);
	/* AVX-512 and PKRU: the standard format keeps the hole of MPX, the compacted one does not.
	 */
	v.xcr0 = 0x2e7;
	assert_int_equal(ask_as(&p, v, 0xd, 0).ebx, 2696);
	assert_int_equal(ask_as(&p, v, 0xd, 1).ebx, 576 + 256 + 64 + 512 + 1024 + 8);
	/* PKRU alone. */
	v.xcr0 = 0x201;
	assert_int_equal(ask_as(&p, v, 0xd, 0).ebx, 2696);
	assert_int_equal(ask_as(&p, v, 0xd, 1).ebx, 584);

	assert_regs(ask(&p, 0xd, 2), 256, 576, 0, 0);
	assert_regs(ask(&p, 0xd, 9), 8, 2688, 0, 0);
	/* Components that are hidden, beyond the list, or absurd. */
	assert_regs(ask(&p, 0xd, 3), 0, 0, 0, 0);
	assert_regs(ask(&p, 0xd, CPUID_XFEATURES), 0, 0, 0, 0);
	assert_regs(ask(&p, 0xd, 17), 0, 0, 0, 0);
	assert_regs(ask(&p, 0xd, 63), 0, 0, 0, 0);
	assert_regs(ask(&p, 0xd, ~0u), 0, 0, 0, 0);
}

static void compacted_format_aligns(void **state)
{
	struct leaf leaves[ARRAY_SIZE(future_leaves)];
	struct host h = future;
	struct cpuid_policy p;
	struct cpuid_vcpu v = {.xcr0 = 0x2e7};

	(void)state;
	memcpy(leaves, future_leaves, sizeof(leaves));
	h.leaves = leaves;
	leaves[6].r.eax = 8; /* opmask ends at 840; ZMM_Hi256 wants 896 */
	leaves[7].r.ecx = 2 | 4;
	p = policy_on(&h, everything);
	assert_int_equal(ask_as(&p, v, 0xd, 1).ebx, 896 + 512 + 1024 + 8);
	assert_int_equal(ask(&p, 0xd, 6).ecx, 2); /* bit 2, XFD, is hidden */
}

static void topology(void **state)
{
	static const struct {
		u32 vcpus, bits;
	} cases[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {8, 3}, {0, 0}};
	struct cpuid_policy wish = everything, p;
	struct cpuid_vcpu v = {.apic_id = 1};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 n = cases[i].vcpus, ids = (1u << cases[i].bits) - 1;

		wish.nr_vcpus = n;
		p = policy_on(&haswell, wish);
		assert_int_equal(ask(&p, 1, 0).ebx >> 16 & 0xff, n);
		assert_int_equal(ask(&p, 1, 0).edx >> 28 & 1, n > 1);
		assert_regs(ask_as(&p, v, 0xb, 0), 0, 1, 0x100, 1);
		assert_regs(ask_as(&p, v, 0xb, 1), cases[i].bits, n, 0x201, 1);
		assert_regs(ask_as(&p, v, 0xb, 2), 0, 0, 2, 1);
		assert_regs(ask_as(&p, v, 0xb, 0x1ff), 0, 0, 0xff, 1);
		/* Caches of levels 1 and 2 belong to one thread, level 3 to all. */
		assert_int_equal(ask(&p, 4, 0).eax, 0x121 | ids << 26);
		assert_int_equal(ask(&p, 4, 2).eax, 0x143 | ids << 26);
		assert_regs(ask(&p, 4, 3), 0x163 | ids << 26 | ids << 14, 0x03c0003f, 0x1fff, 6);
		assert_regs(ask(&p, 4, 4), 0, 0, 0, 0);
		assert_regs(ask(&p, 4, ~0u), 0, 0, 0, 0);
	}
}

/* A host that never ends its list of caches. */
static void cache_list_ends(void **state)
{
	struct cpuid_policy p = policy_on(&future, everything);

	(void)state;
	assert_int_not_equal(ask(&p, 4, CPUID_CACHES - 2).eax, 0);
	assert_regs(ask(&p, 4, CPUID_CACHES - 1), 0, 0, 0, 0);
	assert_regs(ask(&p, 4, CPUID_CACHES), 0, 0, 0, 0);
}

static void clocks(void **state)
{
	struct cpuid_policy wish = everything, p = policy_on(&future, wish);
	struct cpuid_regs r = ask(&p, 0x15, 0);

	(void)state;
	/* The crystal is what feeds the local APIC timer; and the numbers give the TSC's rate. */
	assert_int_equal(r.ecx, LAPIC_BUS_HZ);
	assert_true((u64)r.ecx * r.ebx / r.eax == 3400000000ull);
	/* Linux computes crystal_khz * numerator in 32 bits. */
	assert_true((u64)(r.ecx / 1000) * r.ebx <= 0xffffffffull);
	assert_regs(ask(&p, 0x16, 0), 3400, 3400, 100, 0);
	wish.tsc_hz = 3392287654ull;
	p = policy_on(&future, wish);
	r = ask(&p, 0x15, 0);
	assert_true((u64)r.ecx * r.ebx / r.eax == 3392300000ull);
	assert_int_equal(ask(&p, 0x16, 0).eax, 3392);
	wish.tsc_hz = 0; /* unknown: say nothing */
	p = policy_on(&future, wish);
	assert_regs(ask(&p, 0x15, 0), 0, 0, 0, 0);
	assert_regs(ask(&p, 0x16, 0), 0, 0, 0, 0);
}

/* SDM volume 2, "CPUID": the data of the highest basic leaf, with the same sub-leaf. */
static void leaves_out_of_range(void **state)
{
	static const u32 beyond[] = {0xe,	 0x14,	     0x3fffffff, 0x50000000,
				     0x7fffffff, 0x80000009, 0xc0000000, ~0u};
	struct cpuid_policy p = policy_on(&haswell, everything);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
		assert_regs(ask(&p, beyond[i], 0), 7, 576, 832, 0);
		assert_regs(ask(&p, beyond[i], 2), 256, 576, 0, 0);
	}
	/* Hypervisor leaves that do not exist say nothing. */
	assert_regs(ask(&p, 0x40000007, 0), 0, 0, 0, 0);
	assert_regs(ask(&p, 0x40000100, 0), 0, 0, 0, 0);
	assert_regs(ask(&p, 0x4fffffff, 0), 0, 0, 0, 0);
}

static void hypervisor_leaves(void **state)
{
	struct cpuid_policy p = policy_on(&haswell, everything);
	struct cpuid_regs r;

	(void)state;
	assert_true(cpuid_hypervisor(&p, 0x40000000, &r));
	assert_int_equal(r.eax, 0x40000006);
	assert_memory_equal(&r.ebx, "TallyvisorHV", 12);
	assert_true(cpuid_hypervisor(&p, 0x40000001, &r));
	assert_regs(r, 0x00010203, 2021, 1, 86);
	assert_true(cpuid_hypervisor(&p, 0x40000004, &r));
	assert_regs(r, 3400000, 1, 0, 0);
	assert_false(cpuid_hypervisor(&p, 0x40000002, &r));
	assert_false(cpuid_hypervisor(&p, 0x40000003, &r));
	assert_false(cpuid_hypervisor(&p, 0x40000005, &r));
	assert_false(cpuid_hypervisor(&p, 0x40000006, &r));
	assert_false(cpuid_hypervisor(&p, 1, &r));
}

static void physical_address_width(void **state)
{
	struct leaf leaves[ARRAY_SIZE(haswell_leaves)];
	struct host h = haswell;
	struct cpuid_policy wish = everything, p;

	(void)state;
	wish.maxphyaddr = 36;
	p = policy_on(&haswell, wish);
	assert_int_equal(p.maxphyaddr, 36);
	assert_int_equal(ask(&p, 0x80000008, 0).eax, 0x3024);
	wish.maxphyaddr = 52; /* never more than the host */
	assert_int_equal(policy_on(&haswell, wish).maxphyaddr, 40);

	memcpy(leaves, haswell_leaves, sizeof(leaves));
	h.leaves = leaves;
	leaves[15].r.eax = 0x80000004;
	assert_int_equal(policy_on(&h, wish).maxphyaddr, 36);
}

/* SDM volume 4, table 2-2, IA32_MISC_ENABLE bits 22 and 34: BIOS bits that old systems set. */
static void misc_enable_limits(void **state)
{
	struct cpuid_policy p = policy_on(&haswell, everything);
	const struct cpuid_policy fresh = p;

	(void)state;
	cpuid_misc_enable(&p, MISC_ENABLE_LIMIT_CPUID);
	assert_int_equal(ask(&p, 0, 0).eax, 2);
	assert_int_equal(cpuid_fixed(&p, 0, 0)->eax, 2);
	assert_null(cpuid_fixed(&p, 4, 0));
	assert_null(cpuid_fixed(&p, 6, 0));
	assert_regs(ask(&p, 7, 0), 0x76036301, 0x00f0b5ff, 0, 0x00c10000); /* leaf 2 */
	assert_int_equal(ask(&p, 0x80000001, 0).edx, 0x2c100800);
	cpuid_misc_enable(&p, MISC_ENABLE_XD_DISABLE | MISC_ENABLE_FAST_STRING);
	assert_int_equal(ask(&p, 0, 0).eax, 0xd);
	assert_int_equal(ask(&p, 0x80000001, 0).edx, 0x2c000800);
	assert_true(p.efer_allowed == (EFER_SCE | EFER_LME | EFER_LMA));
	cpuid_misc_enable(&p, MISC_ENABLE_FAST_STRING);
	assert_memory_equal(&p, &fresh, sizeof(p));

	/* What is not there does not come by allowing it. */
	struct host old = lynnfield;
	struct leaf leaves[ARRAY_SIZE(lynnfield_leaves)];

	memcpy(leaves, lynnfield_leaves, sizeof(leaves));
	leaves[0].r.eax = 1;
	leaves[4].r.edx &= ~(1u << 20);
	old.leaves = leaves;
	p = policy_on(&old, everything);
	cpuid_misc_enable(&p, MISC_ENABLE_LIMIT_CPUID);
	assert_int_equal(ask(&p, 0, 0).eax, 1);
	cpuid_misc_enable(&p, 0);
	assert_int_equal(ask(&p, 0x80000001, 0).edx & 1 << 20, 0);
	assert_false(p.efer_allowed & EFER_NX);
}

static void xcr0_rules(void **state)
{
	static const struct {
		u64 xcr0, supported;
		bool valid;
	} cases[] = {
		{1, 7, true},
		{3, 7, true},
		{7, 7, true},
		{0, 7, false}, /* x87 may not be off */
		{2, 7, false}, /* nor here */
		{5, 7, false}, /* AVX without SSE */
		{7, 3, false}, /* not there */
		{1, 0, false}, /* no XSAVE at all */
		{0xe7, 0x2ff, true},
		{0xe3, 0x2ff, false}, /* AVX-512 without AVX */
		{0x67, 0x2ff, false}, /* each of the three missing */
		{0xa7, 0x2ff, false},
		{0xc7, 0x2ff, false},
		{0x1f, 0x2ff, true},
		{0x0f, 0x2ff, false}, /* BNDREGS without BNDCSR */
		{0x17, 0x2ff, false},
		{0x201, 0x2ff, true}, /* PKRU stands alone */
		{0x401, 0x2ff, false},
		{0x60007, 0x602ff, true},
		{0x20007, 0x602ff, false}, /* TILECFG without TILEDATA */
		{0x40007, 0x602ff, false},
		{0x8000000000000001ull, 7, false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(xcr0_valid(cases[i].xcr0, cases[i].supported), cases[i].valid);
}

struct feature_row {
	u32 leaf, subleaf;
	const char *reg, *name, *condition, *why;
	unsigned bit;
};

static const struct feature_row rows[] = {
#define CPUID_FEATURE(leaf, subleaf, reg, bit, name, condition, why)                               \
	{leaf, subleaf, #reg, #name, #condition, why, bit},
#include "guest/cpuid_policy.def"
#undef CPUID_FEATURE
};

static u64 row_key(const struct feature_row *r)
{
	return (u64)r->leaf << 24 | r->subleaf << 16 | (u64)r->reg[1] << 8 | r->bit;
}

/* Ascending, so that no bit has two rows and a reader finds it; and every row has its reason. */
static void table_is_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (i)
			assert_true(row_key(&rows[i]) > row_key(&rows[i - 1]));
		assert_true(rows[i].bit < 32);
		assert_true(strlen(rows[i].why) > 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(haswell_features),
		cmocka_unit_test(leaves_without_content),
		cmocka_unit_test(future_host_is_cut_down),
		cmocka_unit_test(policy_switches),
		cmocka_unit_test(old_host),
		cmocka_unit_test(states_that_do_not_add_up),
		cmocka_unit_test(bits_that_follow_the_vcpu),
		cmocka_unit_test(cr4_follows_the_features),
		cmocka_unit_test(a_component_without_a_size_is_hidden),
		cmocka_unit_test(short_rep_movs_needs_fast_strings),
		cmocka_unit_test(xsave_sizes),
		cmocka_unit_test(compacted_format_aligns),
		cmocka_unit_test(topology),
		cmocka_unit_test(cache_list_ends),
		cmocka_unit_test(clocks),
		cmocka_unit_test(leaves_out_of_range),
		cmocka_unit_test(hypervisor_leaves),
		cmocka_unit_test(physical_address_width),
		cmocka_unit_test(misc_enable_limits),
		cmocka_unit_test(xcr0_rules),
		cmocka_unit_test(table_is_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
