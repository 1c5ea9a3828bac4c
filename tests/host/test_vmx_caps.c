/* SPDX-License-Identifier: MIT */
/* Choosing VMX controls from capability MSRs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "msr_index.h"
#include "vmx/caps.h"
#include "vmx_features.h"

/** Bochs's corei7_haswell_4770 in the figures that matter here. */
struct cpu {
	u64 basic, pin, cpu1, cpu2, exit, entry, ept_vpid;
	bool true_read, old_read, ept_vpid_read;
};

static const struct cpu haswell = {
	.basic = BIT(55) | 0x12,
	.pin = 0x0000007f00000016ull,
	.cpu1 = 0xfff9fffe04006172ull,
	.cpu2 = 0x00047fff00000000ull,
	.exit = 0x007fffff00036dfbull,
	.entry = 0x0000ffff000011fbull,
	.ept_vpid = EPT_CAP_PAGE_WALK_4 | EPT_CAP_WB | EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE,
};

static u64 read_msr(void *ctx, u32 msr)
{
	struct cpu *c = ctx;

	switch (msr) {
	case MSR_IA32_VMX_BASIC:
		return c->basic;
	case MSR_IA32_VMX_TRUE_PINBASED_CTLS:
		c->true_read = true;
		return c->pin;
	case MSR_IA32_VMX_PINBASED_CTLS:
		c->old_read = true;
		return c->pin;
	case MSR_IA32_VMX_TRUE_PROCBASED_CTLS:
	case MSR_IA32_VMX_PROCBASED_CTLS:
		return c->cpu1;
	case MSR_IA32_VMX_PROCBASED_CTLS2:
		return c->cpu2;
	case MSR_IA32_VMX_TRUE_EXIT_CTLS:
	case MSR_IA32_VMX_EXIT_CTLS:
		return c->exit;
	case MSR_IA32_VMX_TRUE_ENTRY_CTLS:
	case MSR_IA32_VMX_ENTRY_CTLS:
		return c->entry;
	case MSR_IA32_VMX_EPT_VPID_CAP:
		c->ept_vpid_read = true;
		return c->ept_vpid;
	default:
		return 0;
	}
}

struct missing {
	unsigned nr, required;
	const char *last;
};

static void note(void *ctx, const struct vmx_control *k)
{
	struct missing *m = ctx;

	m->nr++;
	m->required += k->required;
	m->last = k->name;
}

static void capability_msrs_of_the_right_kind(void **state)
{
	struct cpu c = haswell;
	struct vmx_caps caps;

	(void)state;
	vmx_caps_read(&caps, 0, read_msr, &c);
	assert_true(c.true_read && !c.old_read && c.ept_vpid_read);
	assert_int_equal(caps.must1[WORD_PIN], 0x16);
	assert_int_equal(caps.may1[WORD_CPU2], 0x00047fff);

	c = haswell;
	c.basic &= ~BIT(55);
	vmx_caps_read(&caps, 0, read_msr, &c);
	assert_true(c.old_read && !c.true_read);
}

static void no_ept_vpid_msr_without_ept_and_vpid(void **state)
{
	struct cpu c = haswell;
	struct vmx_caps caps;

	(void)state;
	/* core2_penryn_t9600: reading the MSR there is #GP. */
	c.cpu2 = 0x0000004100000000ull;
	vmx_caps_read(&caps, 0, read_msr, &c);
	assert_false(c.ept_vpid_read);
	assert_int_equal(caps.ept_vpid, 0);

	/* And none of the secondary controls exists without the primary one that activates them. */
	c = haswell;
	c.cpu1 &= ~(CPU1_SECONDARY << 32);
	vmx_caps_read(&caps, 0, read_msr, &c);
	assert_int_equal(caps.may1[WORD_CPU2], 0);
	assert_false(c.ept_vpid_read);
}

static void everything_there(void **state)
{
	struct cpu c = haswell;
	struct vmx_caps caps;
	struct vmx_controls out;
	struct missing m = {0};

	(void)state;
	vmx_caps_read(&caps, 0, read_msr, &c);
	assert_true(vmx_choose_controls(&caps, 0, CPU2_EPT, CPU2_UNRESTRICTED_GUEST | CPU2_INVPCID,
					&out, note, &m));
	assert_int_equal(m.required, 0);
	assert_int_equal(m.nr, 1);
	assert_string_equal(m.last, "enable XSAVES/XRSTORS"); /* came with Skylake */
	assert_true(out.word[WORD_CPU2] & CPU2_EPT);
	assert_true(out.word[WORD_CPU2] & CPU2_UNRESTRICTED_GUEST);
	assert_true(out.word[WORD_CPU1] & CPU1_HLT_EXITING);
	assert_false(out.word[WORD_CPU1] & CPU1_INVLPG_EXITING);
	assert_int_equal(out.word[WORD_PIN] & 0x16, 0x16); /* what the processor insists on */
	for (unsigned w = 0; w < NR_VMX_WORDS; w++)
		assert_int_equal(out.word[w] & ~caps.may1[w], 0);
}

/** RDRAND and RDSEED exit where an option asks for it, as far as the processor has the controls. */
static void random_number_exits_on_request(void **state)
{
	const u64 wanted = CPU2_RDRAND_EXITING | CPU2_RDSEED_EXITING;
	struct cpu c = haswell; /* which has no RDSEED */
	struct vmx_caps caps;
	struct vmx_controls out;
	struct missing m = {0};

	(void)state;
	vmx_caps_read(&caps, 0, read_msr, &c);
	caps.may1[WORD_CPU2] |= CPU2_XSAVES; /* nothing else is missing */
	assert_true(vmx_choose_controls(&caps, 0, CPU2_EPT, 0, &out, note, &m));
	assert_int_equal(out.word[WORD_CPU2] & wanted, 0);
	assert_int_equal(m.nr, 0);
	assert_true(vmx_choose_controls(&caps, 0, CPU2_EPT, wanted, &out, note, &m));
	assert_int_equal(out.word[WORD_CPU2] & wanted, CPU2_RDRAND_EXITING);
	assert_int_equal(m.nr, 1);
	assert_int_equal(m.required, 0);
	assert_string_equal(m.last, "RDSEED exiting");

	caps.may1[WORD_CPU2] |= CPU2_RDSEED_EXITING;
	assert_true(vmx_choose_controls(&caps, 0, CPU2_EPT, wanted, &out, NULL, NULL));
	assert_int_equal(out.word[WORD_CPU2] & wanted, wanted);
}

static void paging_decides_about_ept(void **state)
{
	struct cpu c = haswell;
	struct vmx_caps caps;
	struct vmx_controls out;

	(void)state;
	vmx_caps_read(&caps, 0, read_msr, &c);
	/* A mode that does not ask for EPT does not get it, nor what depends on it. */
	assert_true(vmx_choose_controls(&caps, 0, 0, 0, &out, NULL, NULL));
	assert_false(out.word[WORD_CPU2] & (CPU2_EPT | CPU2_UNRESTRICTED_GUEST | CPU2_INVPCID));
	/* A log of written pages is for those who ask: it costs exits. */
	caps.may1[WORD_CPU2] |= (u32)CPU2_PML;
	assert_true(vmx_choose_controls(&caps, 0, CPU2_EPT, 0, &out, NULL, NULL));
	assert_false(out.word[WORD_CPU2] & CPU2_PML);
	assert_true(vmx_choose_controls(&caps, 0, CPU2_EPT, CPU2_PML, &out, NULL, NULL));
	assert_true(out.word[WORD_CPU2] & CPU2_PML);
	/* One that does, on a processor without it, is refused by name. */
	struct missing m = {0};

	caps.may1[WORD_CPU2] &= ~(u32)CPU2_EPT;
	assert_false(vmx_choose_controls(&caps, 0, CPU2_EPT, 0, &out, note, &m));
	assert_int_equal(m.required, 1);
}

/** What shadow page tables need of the primary controls, nobody else has; and none of it is EPT's.
 */
static void paging_decides_about_exits(void **state)
{
	static const struct {
		u64 bit;
		const char *name;
	} exits[] = {
		{CPU1_INVLPG_EXITING, "INVLPG exiting"},
		{CPU1_CR3_LOAD_EXITING, "CR3-load exiting"},
		{CPU1_CR3_STORE_EXITING, "CR3-store exiting"},
	};
	struct cpu c = haswell;
	struct vmx_caps caps;
	struct vmx_controls out;
	u64 all = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(exits); i++)
		all |= exits[i].bit;
	vmx_caps_read(&caps, FEATURE_BIT(EPT), read_msr, &c);
	assert_false(vmx_caps_has(&caps, WORD_CPU2, CPU2_UNRESTRICTED_GUEST));
	assert_true(vmx_choose_controls(&caps, 0, 0, 0, &out, NULL, NULL));
	assert_int_equal(out.word[WORD_CPU1] & all, 0);
	assert_true(vmx_choose_controls(&caps, all, 0, CPU2_INVPCID, &out, NULL, NULL));
	assert_int_equal(out.word[WORD_CPU1] & all, all);
	assert_true(out.word[WORD_CPU2] & CPU2_INVPCID);
	assert_false(out.word[WORD_CPU2] & (CPU2_EPT | CPU2_UNRESTRICTED_GUEST));
	for (unsigned i = 0; i < ARRAY_SIZE(exits); i++) {
		struct vmx_caps lacks = caps;
		struct missing m = {0};

		lacks.may1[WORD_CPU2] |= CPU2_XSAVES; /* nothing else is missing */
		lacks.may1[WORD_CPU1] &= ~(u32)exits[i].bit;
		assert_false(vmx_choose_controls(&lacks, all, 0, 0, &out, note, &m));
		assert_int_equal(m.required, 1);
		assert_string_equal(m.last, exits[i].name);
	}
}

static void each_required_control_is_missed(void **state)
{
	static const struct {
		enum vmx_word word;
		u64 bit;
		const char *name;
	} required[] = {
		{WORD_PIN, PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting"},
		{WORD_PIN, PIN_NMI_EXITING, "NMI exiting"},
		{WORD_CPU1, CPU1_HLT_EXITING, "HLT exiting"},
		{WORD_CPU1, CPU1_MSR_BITMAPS, "use MSR bitmaps"},
		{WORD_CPU1, CPU1_IO_BITMAPS, "use I/O bitmaps"},
		{WORD_EXIT, EXIT_ACK_INTERRUPT, "acknowledge interrupt on exit"},
	};
	struct vmx_controls out;

	(void)state;
	for (unsigned i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		struct cpu c = haswell;
		struct vmx_caps caps;
		struct missing m = {0};

		c.cpu2 |= CPU2_XSAVES << 32; /* nothing else is missing */
		vmx_caps_read(&caps, 0, read_msr, &c);
		caps.may1[required[i].word] &= ~(u32)required[i].bit;
		assert_false(vmx_choose_controls(&caps, 0, CPU2_EPT, CPU2_INVPCID, &out, note, &m));
		assert_int_equal(m.required, 1);
		assert_string_equal(m.last, required[i].name);
	}
}

static void ept_features_by_name(void **state)
{
	struct vmx_caps caps = {.ept_vpid = haswell.ept_vpid};

	(void)state;
	assert_null(vmx_ept_missing(&caps));
	caps.ept_vpid &= ~EPT_CAP_PAGE_WALK_4;
	assert_string_equal(vmx_ept_missing(&caps), "EPT page walks of length 4");
	caps.ept_vpid = haswell.ept_vpid & ~EPT_CAP_WB;
	assert_string_equal(vmx_ept_missing(&caps), "write-back EPT paging structures");
	caps.ept_vpid = haswell.ept_vpid & ~EPT_CAP_INVEPT_SINGLE;
	assert_string_equal(vmx_ept_missing(&caps), "INVEPT");
}

static void names_of_fields_and_errors(void **state)
{
	(void)state;
	assert_string_equal(vmcs_field_name(GUEST_CR3), "GUEST_CR3");
	assert_string_equal(vmcs_field_name(0x6c16), "HOST_RIP");
	assert_string_equal(vmcs_field_name(0x7fff), "?");
	assert_string_equal(vmx_error_name(7), "VM entry with invalid control field(s)");
	assert_string_equal(vmx_error_name(99), "?");
}

static void timers_that_count_wrongly(void **state)
{
	(void)state;
	assert_true(vmx_preemption_timer_is_broken(0x106e5));	 /* Lynnfield B1 */
	assert_true(vmx_preemption_timer_is_broken(0x206e6));	 /* Nehalem-EX D0 */
	assert_true(vmx_preemption_timer_is_broken(0x30020655)); /* Westmere K0; other bits */
	assert_false(vmx_preemption_timer_is_broken(0x106e6)); /* the next stepping of the first */
	assert_false(vmx_preemption_timer_is_broken(0x306c3)); /* Haswell */
	assert_false(vmx_preemption_timer_is_broken(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capability_msrs_of_the_right_kind),
		cmocka_unit_test(no_ept_vpid_msr_without_ept_and_vpid),
		cmocka_unit_test(everything_there),
		cmocka_unit_test(paging_decides_about_ept),
		cmocka_unit_test(paging_decides_about_exits),
		cmocka_unit_test(random_number_exits_on_request),
		cmocka_unit_test(each_required_control_is_missed),
		cmocka_unit_test(ept_features_by_name),
		cmocka_unit_test(timers_that_count_wrongly),
		cmocka_unit_test(names_of_fields_and_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
