/* SPDX-License-Identifier: MIT */
/* The optional VMX features: the table, sets of them, and taking them out of the capabilities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "msr_index.h"
#include "vmx/feature_bits.h"

/** A processor that has everything but `lacks_cpu2`, and insists on `must1`. */
struct cpu {
	u32 must1[NR_VMX_WORDS];
	u32 lacks_cpu2;
};

static u64 read_msr(void *ctx, u32 msr)
{
	const struct cpu *c = ctx;

	switch (msr) {
	case MSR_IA32_VMX_BASIC:
		return BIT(55);
	case MSR_IA32_VMX_TRUE_PINBASED_CTLS:
		return 0xffffffffull << 32 | c->must1[WORD_PIN];
	case MSR_IA32_VMX_TRUE_PROCBASED_CTLS:
		return 0xffffffffull << 32 | c->must1[WORD_CPU1];
	case MSR_IA32_VMX_PROCBASED_CTLS2:
		return (0xffffffffull & ~c->lacks_cpu2) << 32 | c->must1[WORD_CPU2];
	case MSR_IA32_VMX_TRUE_EXIT_CTLS:
		return 0xffffffffull << 32 | c->must1[WORD_EXIT];
	case MSR_IA32_VMX_TRUE_ENTRY_CTLS:
		return 0xffffffffull << 32 | c->must1[WORD_ENTRY];
	case MSR_IA32_VMX_EPT_VPID_CAP:
		return ~0ull;
	default:
		return 0;
	}
}

static struct vmx_caps caps_without(u32 off)
{
	struct cpu all = {.lacks_cpu2 = 0};
	struct vmx_caps c;

	vmx_caps_read(&c, off, read_msr, &all);
	return c;
}

static const u32 everything = (u32)(BIT(NR_FEATURES) - 1);

static void every_row_is_whole(void **state)
{
	(void)state;
	for (u32 f = 0; f < NR_FEATURES; f++) {
		const struct vmx_feature_bits *b = vmx_feature_bits(f);
		u64 any = b->ept_vpid;

		for (unsigned w = 0; w < NR_VMX_WORDS; w++)
			any |= b->word[w];
		assert_true(any);
		assert_non_null(feature_without(f));
		for (const char *p = feature_name(f); *p; p++)
			assert_true((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
				    *p == '-');
		for (u32 other = 0; other < f; other++)
			assert_string_not_equal(feature_name(f), feature_name(other));
	}
}

/** No bit belongs to two features: else one could not be there without the other. */
static void no_bit_is_in_two_rows(void **state)
{
	struct vmx_feature_bits seen = {.ept_vpid = 0};

	(void)state;
	for (u32 f = 0; f < NR_FEATURES; f++) {
		const struct vmx_feature_bits *b = vmx_feature_bits(f);

		for (unsigned w = 0; w < NR_VMX_WORDS; w++) {
			assert_false(seen.word[w] & b->word[w]);
			seen.word[w] |= b->word[w];
		}
		assert_false(seen.ept_vpid & b->ept_vpid);
		seen.ept_vpid |= b->ept_vpid;
	}
}

static void must_be_a_feature(void *ctx, const struct vmx_control *k)
{
	u32 found = 0;

	(void)ctx;
	for (u32 f = 0; f < NR_FEATURES; f++)
		found |= vmx_feature_bits(f)->word[k->word] & (u32)k->bit;
	if (k->required && found)
		fail_msg("%s is required, and a feature", k->name);
	if (!k->required && !found)
		fail_msg("%s is optional, and no feature: it cannot be switched off", k->name);
}

static void what_is_optional_can_be_switched_off(void **state)
{
	/* These are on only where reproducible=1 asks for them. */
	const u64 by_option = CPU2_RDRAND_EXITING | CPU2_RDSEED_EXITING;
	const struct vmx_caps nothing = {0};
	struct vmx_controls out;

	(void)state;
	assert_false(
		vmx_choose_controls(&nothing, 0, 0, ~by_option, &out, must_be_a_feature, NULL));
}

static void names_one_by_one_and_in_sets(void **state)
{
	char names[FEATURES_NAMES_MAX], err[64];

	(void)state;
	for (u32 f = 0; f < NR_FEATURES; f++) {
		u32 set = 0;

		assert_true(features_parse(&set, feature_name(f), err, sizeof(err)));
		assert_int_equal(set, BIT(f));
	}
	features_names(0, names);
	assert_string_equal(names, "");
	features_names(FEATURE_BIT(VPID) | FEATURE_BIT(TPR_SHADOW), names);
	assert_string_equal(names, " tpr-shadow vpid");
	/* All of them fit. */
	features_names(~0u, names);
	assert_true(strlen(names) < FEATURES_NAMES_MAX - 1);
	assert_string_equal(strrchr(names, ' ') + 1, feature_name(NR_FEATURES - 1));
}

/** The message stays within its buffer, and is a string. */
static void a_short_buffer_is_respected(void **state)
{
	char err[8 + 1];
	u32 set = 0;

	(void)state;
	err[8] = '~';
	assert_false(features_parse(&set, "nonsense", err, 8));
	assert_string_equal(err, "feature");
	assert_int_equal(err[8], '~');
}

static void what_depends_goes_along(void **state)
{
	const u32 apic =
		FEATURE_BIT(APIC_REGISTER) | FEATURE_BIT(VID) | FEATURE_BIT(VIRTUAL_X2APIC);

	(void)state;
	assert_int_equal(features_with_dependents(0), 0);
	assert_int_equal(features_with_dependents(FEATURE_BIT(VID)), FEATURE_BIT(VID));
	assert_int_equal(features_with_dependents(FEATURE_BIT(TPR_SHADOW)),
			 FEATURE_BIT(TPR_SHADOW) | apic);
	assert_int_equal(features_with_dependents(FEATURE_BIT(EPT_2M) | FEATURE_BIT(VPID)),
			 FEATURE_BIT(EPT_2M) | FEATURE_BIT(EPT_1G) | FEATURE_BIT(VPID));
	assert_int_equal(features_with_dependents(FEATURE_BIT(EPT_AD)),
			 FEATURE_BIT(EPT_AD) | FEATURE_BIT(PML));
	assert_int_equal(features_with_dependents(FEATURE_BIT(EPT)),
			 FEATURE_BIT(EPT) | FEATURE_BIT(UNRESTRICTED_GUEST) | FEATURE_BIT(EPT_2M) |
				 FEATURE_BIT(EPT_1G) | FEATURE_BIT(EPT_AD) | FEATURE_BIT(PML));
}

/** Each one by itself: it is gone, with what needs it, and nothing else has changed. */
static void each_is_taken_away(void **state)
{
	struct vmx_caps whole = caps_without(0);

	(void)state;
	assert_int_equal(vmx_features_of(&whole), everything);
	for (u32 f = 0; f < NR_FEATURES; f++) {
		u32 gone = features_with_dependents((u32)BIT(f));
		struct vmx_caps c = caps_without((u32)BIT(f));

		assert_int_equal(vmx_features_of(&c), everything & ~gone);
		for (u32 other = 0; other < NR_FEATURES; other++) {
			const struct vmx_feature_bits *b = vmx_feature_bits(other);

			if (!(gone & BIT(other)))
				continue;
			for (unsigned w = 0; w < NR_VMX_WORDS; w++)
				c.may1[w] |= b->word[w];
			c.ept_vpid |= b->ept_vpid;
		}
		assert_memory_equal(&c, &whole, sizeof(c));
	}
}

/** As an outer hypervisor may have it: no unrestricted guest, but accessed and dirty flags for EPT,
 *  which an identity map cannot have, and the log that is built on them. */
static void what_the_processor_lacks_takes_its_dependents_along(void **state)
{
	struct cpu restricted = {.lacks_cpu2 = CPU2_UNRESTRICTED_GUEST};
	struct vmx_caps c;

	(void)state;
	vmx_caps_read(&c, 0, read_msr, &restricted);
	assert_int_equal(vmx_features_of(&c),
			 everything & ~(FEATURE_BIT(UNRESTRICTED_GUEST) | FEATURE_BIT(EPT_AD) |
					FEATURE_BIT(PML)));
	assert_false(vmx_caps_has(&c, WORD_CPU2, CPU2_PML));
	assert_false(c.ept_vpid & EPT_CAP_AD);
}

static void without_all_of_them_it_still_runs(void **state)
{
	struct vmx_caps c = caps_without(everything);
	struct vmx_controls out;

	(void)state;
	assert_int_equal(vmx_features_of(&c), 0);
	assert_true(vmx_choose_controls(&c, CPU1_INVLPG_EXITING, 0, ~0ull, &out, NULL, NULL));
	assert_int_equal(vmx_features_used(&c, &out), 0);
	/* And with an EPT that has nothing to spare. */
	c = caps_without(everything & ~FEATURE_BIT(EPT));
	assert_true(vmx_choose_controls(&c, 0, CPU2_EPT, ~0ull, &out, NULL, NULL));
	assert_int_equal(vmx_features_used(&c, &out), FEATURE_BIT(EPT));
	assert_null(vmx_ept_missing(&c));
}

/** A control that must be 1 cannot be taken away, whatever the user says: it would fail VM entry.
 *  The feature stays as a whole. */
static void what_the_processor_insists_on_stays(void **state)
{
	struct cpu fixed = {.must1 = {[WORD_EXIT] = EXIT_SAVE_PAT, [WORD_CPU2] = CPU2_RDTSCP}};
	struct vmx_caps c;

	(void)state;
	vmx_caps_read(&c, everything, read_msr, &fixed);
	assert_int_equal(vmx_features_of(&c), FEATURE_BIT(LOAD_PAT) | FEATURE_BIT(RDTSCP));
	for (unsigned w = 0; w < NR_VMX_WORDS; w++)
		assert_int_equal(c.must1[w] & ~c.may1[w], 0);
}

static void used_is_what_was_chosen(void **state)
{
	struct vmx_caps c = caps_without(0);
	struct vmx_controls out = {{0}};
	const u32 ept =
		FEATURE_BIT(EPT) | FEATURE_BIT(EPT_2M) | FEATURE_BIT(EPT_1G) | FEATURE_BIT(EPT_AD);

	(void)state;
	assert_int_equal(vmx_features_used(&c, &out), 0); /* large EPT pages without EPT */
	out.word[WORD_CPU2] = CPU2_EPT;
	assert_int_equal(vmx_features_used(&c, &out), ept);
	out.word[WORD_CPU2] |= CPU2_VPID;
	out.word[WORD_EXIT] = EXIT_LOAD_PAT;
	out.word[WORD_ENTRY] = ENTRY_LOAD_PAT; /* without "save", the PAT is not switched */
	c.ept_vpid &= ~EPT_CAP_1G;
	assert_int_equal(vmx_features_used(&c, &out), FEATURE_BIT(EPT) | FEATURE_BIT(EPT_2M) |
							      FEATURE_BIT(EPT_AD) |
							      FEATURE_BIT(VPID));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_whole),
		cmocka_unit_test(no_bit_is_in_two_rows),
		cmocka_unit_test(what_is_optional_can_be_switched_off),
		cmocka_unit_test(names_one_by_one_and_in_sets),
		cmocka_unit_test(a_short_buffer_is_respected),
		cmocka_unit_test(what_depends_goes_along),
		cmocka_unit_test(each_is_taken_away),
		cmocka_unit_test(what_the_processor_lacks_takes_its_dependents_along),
		cmocka_unit_test(without_all_of_them_it_still_runs),
		cmocka_unit_test(what_the_processor_insists_on_stays),
		cmocka_unit_test(used_is_what_was_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
