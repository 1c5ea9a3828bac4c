/* SPDX-License-Identifier: MIT */
/*
 * CPUID policy: what of the processor the guest may see. An allow-list: a feature whose state is
 * not switched, or that this hypervisor does not virtualize, is not shown.
 */
#ifndef TV_CPUID_H
#define TV_CPUID_H

#include "exit_stats.h"
#include "types.h"

/** Reads the processor's own CPUID (vmm/) or a table of one (tests). */
typedef void (*cpuid_fn)(void *ctx, u32 leaf, u32 subleaf, struct cpuid_regs *out);

#define CPUID_MAX_BASIC 0x16u
#define CPUID_MAX_EXT 0x80000008u
#define CPUID_CACHES 8 /* sub-leaves of leaf 4, one a cache; one processor has 4 or 5 */
#define CPUID_CACHE_FIRST                                                                          \
	(CPUID_MAX_BASIC + 1) /* leaf 4's sub-leaves are behind the basic leaves */
#define CPUID_NR_FIXED 8      /* leaves below are looked for among those that depend on no vcpu */
#define CPUID_LEAF7 2	      /* sub-leaves of leaf 7 */
#define CPUID_XFEATURES 10    /* state components of leaf 0xd: up to PKRU, bit 9 */

/** XCR0 (SDM volume 1, section 13.1 "XSAVE-Supported Features and State-Component Bitmaps"). */
#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)
#define XCR0_MPX (BIT(3) | BIT(4))	       /* BNDREGS, BNDCSR */
#define XCR0_AVX512 (BIT(5) | BIT(6) | BIT(7)) /* opmask, ZMM_Hi256, Hi16_ZMM */
#define XCR0_PKRU BIT(9)
#define XCR0_AMX (BIT(17) | BIT(18)) /* TILECFG, TILEDATA */

/** ECX of a sub-leaf of leaf 0xd: the component begins at a multiple of 64 when compacted. */
#define LEAF_D_ALIGN64 BIT(1)

/** The registers of CPUID, as the allow-list names them. */
enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/** Where in cpuid_policy.basic the answer to a leaf is that does not depend on the vcpu. */
struct cpuid_fixed {
	u32 subleaf_mask; /* bits of ECX that choose among the answers */
	u16 first, nr;	  /* nr 0: the answer depends on the vcpu */
};

struct cpuid_policy {
	/* What the owner decides: set before cpuid_policy_init(). */
	u32 leaves; /* enum leaves_numbering */
	u32 paging; /* enum paging_mode */
	u32 version;
	u32 nr_vcpus;
	u64 tsc_hz;
	u8 maxphyaddr; /* at most this many bits; 0: as many as the host */
	/* What the VMCS can give the guest. Init clears those that the host's CPUID lacks, but
	 * for the last two: they are the virtual local APIC's. */
	bool rdtscp, invpcid, xsaves, pat, tsc_deadline, x2apic;
	bool hide_rdrand;  /* RDRAND and RDSEED */
	bool hide_1g;	   /* 1 GiB pages */
	bool fast_strings; /* IA32_MISC_ENABLE bit 0, as the processor has it */

	/* What cpuid_policy_init() works out. */
	u32 max_basic, max_ext;
	u32 all_basic;	  /* max_basic, as long as IA32_MISC_ENABLE does not limit it */
	bool has_xd;	  /* execute-disable, the same */
	u32 core_id_bits; /* of an APIC id */
	bool has_1g;
	bool tsc_adjust;
	u64 xcr0_allowed; /* XCR0 bits the guest may set */
	u64 cr4_allowed;  /* CR4 bits the guest may set, by its CPUID */
	u64 efer_allowed; /* EFER bits the guest may set */

	/* The leaves as shown, but for what depends on the vcpu: CPUID is an exit that guests
	 * take by the thousand, and under nested virtualization the host's own CPUID is slow. */
	struct cpuid_regs basic[CPUID_CACHE_FIRST + CPUID_CACHES];
	struct cpuid_fixed fixed[CPUID_NR_FIXED];
	struct cpuid_regs ext[CPUID_MAX_EXT - 0x80000000u + 1];
	struct cpuid_regs leaf7[CPUID_LEAF7];
	struct cpuid_regs xsave[CPUID_XFEATURES];
};

/** Work out the derived members from the host's CPUID. */
void cpuid_policy_init(struct cpuid_policy *p, cpuid_fn host, void *ctx);

/** IA32_MISC_ENABLE was written: "Limit CPUID Maxval" leaves the basic leaves up to 2, and "XD Bit
 *  Disable" takes away execute-disable, from CPUID and from EFER (SDM volume 4, table 2-2). The
 *  policy is all vcpus': they do not differ in this. */
void cpuid_misc_enable(struct cpuid_policy *p, u64 misc_enable);

/** The leaf as prepared, or NULL: a sub-leaf that reads 0. `leaf` is within the guest's limits. */
const struct cpuid_regs *cpuid_stored(const struct cpuid_policy *p, u32 leaf, u32 subleaf);

/** Bytes of an XSAVE area that holds `components`, in the standard or the compacted format (SDM
 *  volume 1, section 13.4.3 "Extended Region of an XSAVE Area"). */
u32 cpuid_xsave_size(const struct cpuid_policy *p, u64 components, bool compacted);

/** Per-vcpu inputs that CPUID reflects. */
struct cpuid_vcpu {
	u32 apic_id;
	bool apic_enabled; /* IA32_APIC_BASE.EN */
	u64 cr4, xcr0, xss;
};

/**
 * The guest's CPUID but for the statistics and 0x400000xx leaves, which the caller asked first;
 * what is left of 0x40000000-0x4fffffff is all 0. A leaf above the highest gives the data of the
 * highest basic leaf, with the same sub-leaf (SDM volume 2, "CPUID").
 */
void cpuid_guest(const struct cpuid_policy *p, const struct cpuid_vcpu *v, u32 leaf, u32 subleaf,
		 struct cpuid_regs *out);

/** The answer to a leaf that does not depend on the vcpu, or NULL: ask cpuid_guest(). Cheap: most
 *  CPUIDs of a guest end here (a C library looks through leaves 2 and 4 in every process). */
static inline const struct cpuid_regs *cpuid_fixed(const struct cpuid_policy *p, u32 leaf,
						   u32 subleaf)
{
	const struct cpuid_fixed *f;
	u64 i;

	if (leaf >= CPUID_NR_FIXED)
		return NULL;
	f = &p->fixed[leaf];
	i = subleaf & f->subleaf_mask;
	return i < f->nr ? p->basic + f->first + i : NULL;
}

/** Leaves 0x40000000, 0x40000001 and 0x40000004. False: none of them. */
bool cpuid_hypervisor(const struct cpuid_policy *p, u32 leaf, struct cpuid_regs *out);

/** SDM volume 1, section 13.3 "Enabling the XSAVE Feature Set...": is `xcr0` one that XSETBV
 *  accepts on a processor that supports `supported`? */
bool xcr0_valid(u64 xcr0, u64 supported);

#endif
