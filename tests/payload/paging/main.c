/* SPDX-License-Identifier: MIT */
/* Paging as software sees it: the list of cases. */
#include "paging.h"

static const struct paging_case {
	const char *name;
	void (*fn)(void);
} cases[] = {
	{"off", test_off},
	{"permute-64", test_permute_64},
	{"random-64", test_random_64},
	{"permute-pae", test_permute_pae},
	{"random-pae", test_random_pae},
	{"permute-32", test_permute_32},
	{"random-32", test_random_32},
	{"write-protect", test_write_protect},
	{"pse", test_pse},
	{"mixture", test_mixture},
	{"self-map", test_self_map},
	{"self-map-read-only", test_self_map_read_only},
	{"recursive", test_recursive},
	{"recursive-root", test_recursive_root},
	{"shared-table", test_shared_table},
	{"aliases", test_aliases},
	{"split-and-join", test_split_and_join},
	{"split-1g", test_split_1g},
	{"recycled", test_recycled},
	{"endless", test_endless},
	{"present-at-once", test_present_at_once},
	{"more-rights", test_more_rights},
	{"accessed-dirty", test_accessed_dirty},
	{"same-cr3", test_same_cr3},
	{"global", test_global},
	{"pcid", test_pcid},
	{"pcid-faults", test_pcid_faults},
	{"invpcid", test_invpcid},
	{"invlpg-anywhere", test_invlpg_anywhere},
	{"pdptes", test_pdptes},
	{"crossing", test_crossing},
	{"stack", test_stack},
	{"double-fault", test_double_fault},
	{"folded-smap", test_folded_smap},
	{"folded-descriptor", test_folded_descriptor},
	{"descriptors", test_descriptors},
	{"mmio", test_mmio},
	{"writers", test_writers},
	{"pkeys", test_pkeys},
};

void payload_main(void)
{
	world_init();
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		case_run(cases[i].name, cases[i].fn);
}
