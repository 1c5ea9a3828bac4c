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
};

void payload_main(void)
{
	world_init();
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		case_run(cases[i].name, cases[i].fn);
}
