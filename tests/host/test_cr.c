/* SPDX-License-Identifier: MIT */
/*
 * Control registers: every write in every state of the bits that choose a mode, against the rules
 * of the SDM written down one by one, and each state that comes of it against VM entry's rules,
 * with "unrestricted guest" and without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "guest/cr.h"
#include "vmx/guest_cr.h"

/* The bits that are tried in all combinations. */
static const u64 cr0_bits[] = {X86_CR0_PE, X86_CR0_WP, X86_CR0_NW, X86_CR0_CD, X86_CR0_PG};
static const u64 cr4_bits[] = {X86_CR4_PSE,  X86_CR4_PAE,  X86_CR4_PGE,
			       X86_CR4_SMEP, X86_CR4_SMAP, X86_CR4_PCIDE};
static const u64 efer_bits[] = {EFER_LME, EFER_LMA, EFER_NX};

#define NR_CR0 BIT(ARRAY_SIZE(cr0_bits))
#define NR_CR4 BIT(ARRAY_SIZE(cr4_bits))
#define NR_EFER BIT(ARRAY_SIZE(efer_bits))

#define IDENTITY 0xfffbc000ull

static const struct cr_limits limits = {
	.cr4_allowed = X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP |
		       X86_CR4_PCIDE | X86_CR4_OSFXSR,
	.efer_allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX,
	.maxphyaddr = 36,
};

/* What EPT leaves to the guest. */
static const struct vmx_cr_policy policy = {
	.cr0_guest_owned = X86_CR0_TS | X86_CR0_MP | X86_CR0_EM | X86_CR0_AM | X86_CR0_WP,
	.cr4_guest_owned = X86_CR4_PSE | X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP,
	.identity_cr3 = IDENTITY,
};

/* Bochs's Lynnfield and Haswell, as far as control registers go. */
static const struct vmx_caps caps = {
	.cr0_fixed0 = X86_CR0_PE | X86_CR0_NE | X86_CR0_PG,
	.cr0_fixed1 = 0xffffffff,
	.cr4_fixed0 = X86_CR4_VMXE,
	.cr4_fixed1 = 0x7fffff,
};

static u64 pick(const u64 *bits, unsigned nr, u64 number)
{
	u64 value = 0;

	for (unsigned i = 0; i < nr; i++) {
		if (number & BIT(i))
			value |= bits[i];
	}
	return value;
}

static u64 cr0_of(u64 number)
{
	return pick(cr0_bits, ARRAY_SIZE(cr0_bits), number) | X86_CR0_ET;
}

static u64 cr4_of(u64 number)
{
	return pick(cr4_bits, ARRAY_SIZE(cr4_bits), number);
}

/** Could a processor be in this state? (SDM volume 3, section 4.1.1 "Four Paging Modes", and what
 *  its registers refuse.) */
static bool possible(const struct control_regs *r)
{
	bool pe = r->cr0 & X86_CR0_PE, pg = r->cr0 & X86_CR0_PG;
	bool lme = r->efer & EFER_LME, lma = r->efer & EFER_LMA;

	if (pg && !pe)
		return false;
	if ((r->cr0 & X86_CR0_NW) && !(r->cr0 & X86_CR0_CD))
		return false;
	if (lma != (pg && lme))
		return false;
	if (lma && !(r->cr4 & X86_CR4_PAE))
		return false;
	return lma || !(r->cr4 & X86_CR4_PCIDE);
}

typedef void (*state_fn)(const struct control_regs *r);

/** Call back for each state a processor could be in; returns how many. */
static unsigned for_each_state(state_fn fn)
{
	unsigned nr = 0;

	for (u64 n = 0; n < NR_CR0 * NR_CR4 * NR_EFER; n++) {
		struct control_regs r = {
			.cr0 = cr0_of(n % NR_CR0),
			.cr3 = 0x123456000,
			.cr4 = cr4_of(n / NR_CR0 % NR_CR4),
			.efer = pick(efer_bits, ARRAY_SIZE(efer_bits), n / NR_CR0 / NR_CR4),
		};

		if (possible(&r)) {
			fn(&r);
			nr++;
		}
	}
	return nr;
}

static bool same(const struct control_regs *a, const struct control_regs *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/** The fields for a state: VM entry takes them, and the guest reads what it wrote. */
static void check_fields(const struct control_regs *r, bool unrestricted)
{
	struct vmx_cr_policy p = policy;
	struct vmx_control_regs f;
	u64 reads;

	p.unrestricted = unrestricted;
	assert_true(vmx_can_run(&p, r) == (unrestricted || (r->cr0 & X86_CR0_PE)));
	if (!vmx_can_run(&p, r))
		return;
	vmx_control_regs(&p, r, &f);
	assert_null(vmx_control_regs_broken(&f, unrestricted, &caps));
	assert_true(f.ia32e == !!(r->efer & EFER_LMA));
	assert_false(f.cr0 & (X86_CR0_CD | X86_CR0_NW));

	/* MOV from CR0 and CR4: the read shadow where the mask is 1, else the register. */
	reads = (r->cr0 & f.cr0_mask) | (f.cr0 & ~f.cr0_mask);
	assert_true(reads == r->cr0);
	reads = (r->cr4 & f.cr4_mask) | (f.cr4 & ~f.cr4_mask);
	assert_true(reads == r->cr4);
	/* What chooses the mode is never the guest's to change. */
	assert_true((f.cr0_mask & (X86_CR0_PE | X86_CR0_PG)) == (X86_CR0_PE | X86_CR0_PG));
	assert_true((f.cr4_mask & X86_CR4_PAE) && (f.cr4_mask & X86_CR4_PCIDE));

	if (unrestricted || (r->cr0 & X86_CR0_PG)) {
		assert_true(f.keeps_cr3);
		assert_true(f.cr3 == r->cr3 && f.efer == r->efer);
		assert_true((f.cr0 & (X86_CR0_PG | X86_CR0_WP)) ==
			    (r->cr0 & (X86_CR0_PG | X86_CR0_WP)));
		assert_true((f.cr4 & ~(X86_CR4_VMXE | X86_CR4_MCE)) == r->cr4);
		return;
	}
	/* Paging is off for the guest: 32-bit paging with 4 MiB pages, and nothing that could
	 * make a fault of an access. */
	assert_true(!f.keeps_cr3 && f.cr3 == IDENTITY);
	assert_true((f.cr0 & (X86_CR0_PE | X86_CR0_PG)) == (X86_CR0_PE | X86_CR0_PG));
	assert_true(f.cr4 & X86_CR4_PSE);
	assert_false(f.cr4 & (X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PCIDE));
	assert_false(f.efer & (EFER_LME | EFER_LMA));
	assert_true((f.efer & EFER_NX) == (r->efer & EFER_NX));
	/* The guest's PSE, SMEP and SMAP are kept for it, and its writes to them exit. */
	assert_false(~f.cr4_mask & (X86_CR4_PSE | X86_CR4_SMEP | X86_CR4_SMAP));
}

/** The same on page tables of the hypervisor's. */
static void check_own_tables(const struct control_regs *r)
{
	const u64 sm = X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE;
	struct vmx_cr_policy p = policy;
	struct vmx_control_regs f;
	bool pg = r->cr0 & X86_CR0_PG, lma = r->efer & EFER_LMA;

	p.own_tables = true;
	/* Whatever the mode's implementation would leave to the guest. */
	p.cr0_guest_owned = X86_CR0_TS | X86_CR0_WP;
	p.cr4_guest_owned = ~0ull;
	assert_true(vmx_can_run(&p, r) == !!(r->cr0 & X86_CR0_PE));
	if (!vmx_can_run(&p, r))
		return;
	vmx_control_regs(&p, r, &f);
	assert_null(vmx_control_regs_broken(&f, false, &caps));
	assert_true(!f.keeps_cr3 && f.ia32e == lma);

	/* What the tables are made for. */
	assert_true((f.cr0 & X86_CR0_PG) && (f.cr0 & X86_CR0_WP) && (f.cr4 & X86_CR4_PAE));
	assert_true(f.efer & EFER_NX);
	assert_false(f.cr4 & X86_CR4_PCIDE);
	assert_true(!!(f.efer & EFER_LME) == lma && !!(f.efer & EFER_LMA) == lma);
	assert_true((f.efer & EFER_SCE) == (r->efer & EFER_SCE));
	assert_true((f.cr4 & sm) == (pg ? r->cr4 & sm : 0));

	/* The guest reads what it wrote, and every change of those bits is an exit. */
	assert_true(((r->cr0 & f.cr0_mask) | (f.cr0 & ~f.cr0_mask)) == r->cr0);
	assert_true((r->cr4 & f.cr4_mask) == (r->cr4 & X86_CR4_TRANSLATION));
	assert_true((f.cr0_mask & X86_CR0_TRANSLATION) == X86_CR0_TRANSLATION);
	assert_true((f.cr4_mask & X86_CR4_TRANSLATION) == X86_CR4_TRANSLATION);
	assert_true(f.cr0_mask == ~(u64)X86_CR0_TS);
}

static void check_both_fields(const struct control_regs *r)
{
	check_fields(r, true);
	check_fields(r, false);
	check_own_tables(r);
}

static void vm_entry_takes_every_state(void **state)
{
	(void)state;
	/* Paging off: 12 of CR0, 32 of CR4, 4 of EFER; on: 6, 32, and 2 each outside and inside
	 * IA-32e mode. */
	assert_int_equal(for_each_state(check_both_fields), 12 * 32 * 4 + 6 * 32 * 2 * 2);
}

/** SDM volume 2, "MOV-Move to/from Control Registers", protected-mode exceptions, and volume 3,
 *  section 10.8.5: is this MOV to CR0 #GP? */
static bool cr0_faults(const struct control_regs *r, u64 value, const struct cr_limits *l)
{
	bool pg = value & X86_CR0_PG, was = r->cr0 & X86_CR0_PG;

	if (value >> 32)
		return true;
	if (pg && !(value & X86_CR0_PE))
		return true;
	if (!(value & X86_CR0_CD) && (value & X86_CR0_NW))
		return true;
	if (pg && !was && (r->efer & EFER_LME)) {
		if (!(r->cr4 & X86_CR4_PAE) || l->cs_l || l->tss16)
			return true;
	}
	if (!pg && was && (r->efer & EFER_LMA) && l->cs_l)
		return true;
	return !pg && (r->cr4 & X86_CR4_PCIDE);
}

static void try_cr0(const struct control_regs *r)
{
	for (u64 n = 0; n < NR_CR0 * 4; n++) {
		struct cr_limits l = limits;
		struct control_regs new = *r, expected = *r;
		u64 value = cr0_of(n % NR_CR0), changed = value ^ r->cr0;
		u32 effects = ~0u;
		bool taken;

		l.cs_l = n / NR_CR0 & 1;
		l.tss16 = n / NR_CR0 & 2;
		taken = cr0_write(&new, value, &l, &effects);
		assert_true(taken == !cr0_faults(r, value, &l));
		if (!taken) {
			assert_true(same(&new, r));
			continue;
		}
		expected.cr0 = value;
		expected.efer &= ~EFER_LMA;
		if ((value & X86_CR0_PG) && (r->efer & EFER_LME))
			expected.efer |= EFER_LMA;
		assert_true(same(&new, &expected));
		assert_true(possible(&new));
		assert_true(!!(effects & CR_FLUSH_GLOBAL) == !!(changed & X86_CR0_PG));
		assert_true(!!(effects & CR_LOAD_PDPTES) ==
			    (pae_paging(&new) &&
			     (changed & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)) != 0));
		assert_false(effects & CR_FLUSH);
		check_both_fields(&new);
	}
}

static void every_write_to_cr0(void **state)
{
	struct control_regs r = {.cr0 = X86_CR0_PE | X86_CR0_ET};
	u32 effects;

	(void)state;
	for_each_state(try_cr0);
	/* Reserved bits of the lower half are ignored, and ET stays. */
	assert_true(cr0_write(&r, X86_CR0_PE | BIT(17) | BIT(28) | BIT(6), &limits, &effects));
	assert_true(r.cr0 == (X86_CR0_PE | X86_CR0_ET));
	assert_false(cr0_write(&r, X86_CR0_PE | BIT(32), &limits, &effects));
}

static void try_cr4(const struct control_regs *r)
{
	for (u64 n = 0; n < NR_CR4 * 2; n++) {
		struct control_regs new = *r, expected = *r;
		u64 value = cr4_of(n % NR_CR4), changed = value ^ r->cr4;
		bool lma = r->efer & EFER_LMA, fault, taken;
		u32 effects = ~0u;

		new.cr3 = expected.cr3 = n < NR_CR4 ? 0x1000 : 0x1005;
		fault = (lma && !(value & X86_CR4_PAE)) ||
			((changed & value & X86_CR4_PCIDE) && (!lma || (new.cr3 & 0xfff)));
		taken = cr4_write(&new, value, &limits, &effects);
		assert_true(taken == !fault);
		if (taken)
			expected.cr4 = value;
		assert_true(same(&new, &expected));
		if (!taken)
			continue;
		assert_true(possible(&new));
		/* Section 4.4.1: which changes load the PDPTEs. */
		assert_true(!!(effects & CR_LOAD_PDPTES) ==
			    (pae_paging(&new) && (changed & (X86_CR4_PAE | X86_CR4_PGE |
							     X86_CR4_PSE | X86_CR4_SMEP)) != 0));
		/* Section 4.10.4.1: the least that must be forgotten. */
		if ((changed & (X86_CR4_PGE | X86_CR4_PAE)) ||
		    (changed & value & (X86_CR4_SMEP | X86_CR4_SMAP)) ||
		    (changed & r->cr4 & X86_CR4_PCIDE))
			assert_true(effects & CR_FLUSH_GLOBAL);
		if (!changed)
			assert_int_equal(effects, 0);
		check_both_fields(&new);
	}
}

static void every_write_to_cr4(void **state)
{
	struct control_regs r = {.cr0 = X86_CR0_PE};
	u32 effects;

	(void)state;
	for_each_state(try_cr4);
	/* What the guest's CPUID does not have, and what no CPUID has. */
	assert_false(cr4_write(&r, X86_CR4_VMXE, &limits, &effects));
	assert_false(cr4_write(&r, BIT(40), &limits, &effects));
	assert_true(r.cr4 == 0);
}

static void try_efer(const struct control_regs *r)
{
	for (u64 n = 0; n < NR_EFER; n++) {
		struct control_regs new = *r, expected = *r;
		u64 value = pick(efer_bits, ARRAY_SIZE(efer_bits), n);
		bool fault = (r->cr0 & X86_CR0_PG) && ((value ^ r->efer) & EFER_LME);

		assert_true(efer_write(&new, value, &limits) == !fault);
		if (!fault)
			expected.efer = (value & ~EFER_LMA) | (r->efer & EFER_LMA);
		assert_true(same(&new, &expected));
		assert_true(possible(&new));
		check_both_fields(&new);
	}
}

static void every_write_to_efer(void **state)
{
	struct cr_limits no_nx = limits;
	struct control_regs r = {.cr0 = X86_CR0_PE};

	(void)state;
	for_each_state(try_efer);
	no_nx.efer_allowed &= ~EFER_NX;
	assert_false(efer_write(&r, EFER_NX, &no_nx));
	assert_false(efer_write(&r, BIT(12), &limits));
	assert_true(efer_write(&r, EFER_LMA, &limits) && r.efer == 0);
}

static void writes_to_cr3(void **state)
{
	struct control_regs off = {.cr0 = X86_CR0_PE}, r = off;
	u32 effects;

	(void)state;
	/* Kept while paging is off, whatever is in the bits that PAE paging would ignore. */
	assert_true(cr3_write(&r, 0xfffff018, &limits, &effects));
	assert_true(r.cr3 == 0xfffff018 && effects == CR_FLUSH);
	/* PAE paging loads the PDPTEs. */
	r.cr0 |= X86_CR0_PG;
	r.cr4 = X86_CR4_PAE;
	assert_true(cr3_write(&r, 0x5020, &limits, &effects));
	assert_int_equal(effects, CR_FLUSH | CR_LOAD_PDPTES);
	/* IA-32e mode: bits from MAXPHYADDR up are reserved; bit 63 is with PCIDs a wish. */
	r.efer = EFER_LME | EFER_LMA;
	assert_true(cr3_write(&r, BIT(35), &limits, &effects) && effects == CR_FLUSH);
	assert_false(cr3_write(&r, BIT(36), &limits, &effects));
	assert_false(cr3_write(&r, BIT(63), &limits, &effects));
	r.cr4 |= X86_CR4_PCIDE;
	assert_true(cr3_write(&r, BIT(63) | 0x7005, &limits, &effects));
	assert_true(r.cr3 == 0x7005 && effects == 0);
	assert_true(cr3_write(&r, 0x7006, &limits, &effects) && effects == CR_FLUSH);
	assert_false(cr3_write(&r, BIT(62), &limits, &effects));
	assert_true(r.cr3 == 0x7006);
}

/** Each rule of VM entry can be broken, and is named. */
static void broken_rules_by_name(void **state)
{
	static const struct {
		struct vmx_control_regs f;
		bool unrestricted;
		const char *word;
	} cases[] = {
		{{.cr0 = 0x80000001}, true, "CR0 has a bit"}, /* NE */
		{{.cr0 = BIT(32) | 0x80000021}, true, "CR0 has a bit"},
		{{.cr0 = 0x80000020}, true, "CR0.PE is 1 where"},
		{{.cr0 = 0x00000021}, false, "CR0 has a bit"},
		{{.cr0 = 0x80000021}, true, "CR4 has a bit"}, /* VMXE */
		{{.cr0 = 0x80000021, .cr4 = 0x2000 | BIT(30)}, true, "CR4 has a bit"},
		{{.cr0 = 0x80000021, .cr4 = 0x2000, .ia32e = true}, true, "CR4.PAE are 1"},
		{{.cr0 = 0x21, .cr4 = 0x2020, .ia32e = true}, true, "CR4.PAE are 1"},
		{{.cr0 = 0x80000021, .cr4 = 0x22020}, true, "CR4.PCIDE"},
		{{.cr0 = 0x80000021, .cr4 = 0x2020, .efer = 0x500}, true, "as \"IA-32e"},
		{{.cr0 = 0x80000021, .cr4 = 0x2020, .efer = 0x100}, true, "EFER.LME"},
		{{.cr0 = 0x80000021, .cr4 = 0x2020, .efer = 0x400, .ia32e = true},
		 true,
		 "EFER.LME"},
	};
	struct vmx_caps lax = caps;
	struct vmx_control_regs real = {.cr0 = X86_CR0_NE, .cr4 = X86_CR4_VMXE};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *broken =
			vmx_control_regs_broken(&cases[i].f, cases[i].unrestricted, &caps);

		assert_non_null(broken);
		assert_non_null(strstr(broken, cases[i].word));
	}
	assert_null(vmx_control_regs_broken(&real, true, &caps));
	/* Whatever the capability MSRs say: an emulator may forget it. */
	lax.cr0_fixed0 = X86_CR0_NE;
	assert_non_null(vmx_control_regs_broken(&real, false, &lax));
	real.cr0 |= X86_CR0_PE;
	assert_non_null(vmx_control_regs_broken(&real, false, &lax));
	real.cr0 |= X86_CR0_PG;
	assert_null(vmx_control_regs_broken(&real, false, &lax));
}

static void the_identity_map(void **state)
{
	u32 directory[1024];

	(void)state;
	vmx_identity_map(directory);
	for (u32 i = 0; i < 1024; i++)
		/* 4 MiB page, dirty, accessed, user, writable, present: table 4-4. */
		assert_int_equal(directory[i], i << 22 | 0xe7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vm_entry_takes_every_state),
		cmocka_unit_test(every_write_to_cr0),
		cmocka_unit_test(every_write_to_cr4),
		cmocka_unit_test(every_write_to_efer),
		cmocka_unit_test(writes_to_cr3),
		cmocka_unit_test(broken_rules_by_name),
		cmocka_unit_test(the_identity_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
