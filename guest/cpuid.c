/* SPDX-License-Identifier: MIT */
/*
 * CPUID as a vcpu executes it (SDM volume 2, "CPUID"): the leaves that cpuid_policy.c prepared,
 * with what depends on the vcpu's registers filled in; Tallyvisor's own leaves; and XCR0's rules.
 */
#include "cpuid.h"

#include "lib/mem.h"
#include "x86.h"

#define LEAF1_ECX_OSXSAVE BIT(27)
#define LEAF1_EDX_APIC BIT(9)
#define LEAF7_ECX_OSPKE BIT(4)
#define LEAF_D1_XSAVEC BIT(1)
#define LEAF_D1_XSAVES BIT(3)

/** The legacy region and the header of an XSAVE area: where the extended region begins. */
#define XSAVE_EXTENDED 576u

const struct cpuid_regs *cpuid_stored(const struct cpuid_policy *p, u32 leaf, u32 subleaf)
{
	if (leaf >= 0x80000000u)
		return &p->ext[leaf - 0x80000000u];
	switch (leaf) {
	case 4:
		return subleaf < CPUID_CACHES ? &p->basic[CPUID_CACHE_FIRST + subleaf] : NULL;
	case 7:
		return subleaf < CPUID_LEAF7 ? &p->leaf7[subleaf] : NULL;
	case 0xd:
		return subleaf < CPUID_XFEATURES ? &p->xsave[subleaf] : NULL;
	default:
		return &p->basic[leaf];
	}
}

bool xcr0_valid(u64 xcr0, u64 supported)
{
	if (xcr0 & ~supported || !(xcr0 & XCR0_X87))
		return false;
	if ((xcr0 & XCR0_AVX) && !(xcr0 & XCR0_SSE))
		return false;
	if ((xcr0 & XCR0_MPX) && (xcr0 & XCR0_MPX) != XCR0_MPX)
		return false;
	if ((xcr0 & XCR0_AVX512) && ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || !(xcr0 & XCR0_AVX)))
		return false;
	return !(xcr0 & XCR0_AMX) || (xcr0 & XCR0_AMX) == XCR0_AMX;
}

u32 cpuid_xsave_size(const struct cpuid_policy *p, u64 components, bool compacted)
{
	u32 size = XSAVE_EXTENDED, offset;

	for (u32 i = 2; i < CPUID_XFEATURES; i++) {
		if (!(components & BIT(i)))
			continue;
		if (!compacted)
			offset = p->xsave[i].ebx;
		else if (p->xsave[i].ecx & LEAF_D_ALIGN64)
			offset = (u32)ALIGN_UP(size, 64);
		else
			offset = size;
		size = MAX(size, offset + p->xsave[i].eax);
	}
	return size;
}

/** Leaf 0xb, "Extended Topology Enumeration": threads of a core, cores of the package, the end. */
static void leaf_b(const struct cpuid_policy *p, const struct cpuid_vcpu *v, u32 subleaf,
		   struct cpuid_regs *out)
{
	*out = (struct cpuid_regs){.ecx = subleaf & 0xff, .edx = v->apic_id};
	if (subleaf == 0) {
		out->ebx = 1;
		out->ecx |= 1 << 8;
	} else if (subleaf == 1) {
		out->eax = p->core_id_bits;
		out->ebx = p->nr_vcpus;
		out->ecx |= 2 << 8;
	}
}

static void leaf_d(const struct cpuid_policy *p, const struct cpuid_vcpu *v, u32 subleaf,
		   struct cpuid_regs *out)
{
	if (!p->xcr0_allowed)
		return;
	if (subleaf == 0)
		out->ebx = cpuid_xsave_size(p, v->xcr0, false);
	else if (subleaf == 1 && (out->eax & (LEAF_D1_XSAVEC | LEAF_D1_XSAVES)))
		out->ebx = cpuid_xsave_size(p, v->xcr0 | v->xss, true);
}

void cpuid_guest(const struct cpuid_policy *p, const struct cpuid_vcpu *v, u32 leaf, u32 subleaf,
		 struct cpuid_regs *out)
{
	const struct cpuid_regs *r;

	*out = (struct cpuid_regs){0};
	if (leaf >> 28 == 4)
		return;
	if (leaf > (leaf >= 0x80000000u ? p->max_ext : p->max_basic))
		leaf = p->max_basic;
	r = cpuid_stored(p, leaf, subleaf);
	if (r)
		*out = *r;

	switch (leaf) {
	case 1:
		out->ebx |= v->apic_id << 24;
		if (v->apic_enabled)
			out->edx |= LEAF1_EDX_APIC;
		if (v->cr4 & X86_CR4_OSXSAVE)
			out->ecx |= LEAF1_ECX_OSXSAVE;
		break;
	case 7:
		if (subleaf == 0 && (v->cr4 & X86_CR4_PKE))
			out->ecx |= LEAF7_ECX_OSPKE;
		break;
	case 0xb:
		leaf_b(p, v, subleaf, out);
		break;
	case 0xd:
		leaf_d(p, v, subleaf, out);
		break;
	}
}

bool cpuid_hypervisor(const struct cpuid_policy *p, u32 leaf, struct cpuid_regs *out)
{
	switch (leaf) {
	case TV_CPUID_SIGNATURE:
		out->eax = TV_CPUID_MAX;
		memcpy(&out->ebx, TV_SIGNATURE, 4);
		memcpy(&out->ecx, &TV_SIGNATURE[4], 4);
		memcpy(&out->edx, &TV_SIGNATURE[8], 4);
		return true;
	case TV_CPUID_INFO:
		*out = (struct cpuid_regs){p->version, p->leaves, p->paging + 1, NR_EXIT_REASONS};
		return true;
	case TV_CPUID_CLOCK:
		*out = (struct cpuid_regs){.eax = (u32)(p->tsc_hz / 1000), .ebx = p->nr_vcpus};
		return true;
	default:
		return false;
	}
}
