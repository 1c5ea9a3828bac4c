/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the options parser: any bytes, as GRUB's line and as a file. Whatever comes in,
 * the result is either a sentence or options that the rest of the program may rely on.
 */
#include <stdlib.h>
#include <string.h>

#include "vmx_features.h"
#include "options.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_text(const char *s, size_t max)
{
	size_t n = strnlen(s, max);

	require(n < max);
	for (size_t i = 0; i < n; i++)
		require(s[i] >= ' ' && s[i] <= '~');
}

static void check_path(const char *path, bool may_be_empty)
{
	check_text(path, OPT_PATH_MAX);
	require(path[0] == '\\' || (may_be_empty && !path[0]));
	require(!strchr(path, '/'));
}

static void check_options(const struct options *o)
{
	u32 modes[PAGING_COMPARED];
	unsigned nr = paging_modes(o->paging, modes);

	require(paging_name(o->paging) != NULL);
	require(nr == (o->paging == PAGING_COMPARE ? PAGING_COMPARED : 1));
	for (unsigned i = 0; i < nr; i++)
		require(modes[i] < PAGING_MODES);
	require(!o->mem_mib || (o->mem_mib >= OPT_MEM_MIN && o->mem_mib <= OPT_MEM_MAX));
	require(o->leaves == LEAVES_2021 || o->leaves == LEAVES_2022);
	require(o->poll_ms <= 10000 && o->initrd_optional <= 1);
	require(o->at_end == END_OFF || o->at_end == END_STAYS);
	require(o->screen <= 1 && o->verbose <= 1 && o->dirty <= 1 && o->zoo <= 1);
	require(!(o->features_off >> NR_FEATURES));
	require(!((o->exits.on | o->exits.off) >> NR_EXIT_SWITCHES));
	require(!(o->exits.on & o->exits.off));
	require(!(o->exits.exceptions_on & o->exits.exceptions_off));
	check_path(o->kernel, false);
	check_path(o->initrd, true);
	check_text(o->cmdline, OPT_CMDLINE_MAX);
	require(o->nr_modules <= OPT_MODULES_MAX);
	for (unsigned i = 0; i < o->nr_modules; i++) {
		check_path(o->module[i].path, false);
		require(!strchr(o->module[i].path, ' '));
		check_text(o->module[i].args, OPT_ARGS_MAX);
	}
}

static void try_parser(bool (*parse)(struct options *, const char *, size_t, char *),
		       const char *text, size_t len)
{
	struct options *o = malloc(sizeof(*o));
	char *err = malloc(OPT_ERROR_MAX);

	options_default(o);
	err[0] = '\0';
	if (parse(o, text, len, err)) {
		check_options(o);
	} else {
		check_text(err, OPT_ERROR_MAX);
		require(err[0]);
	}
	free(err);
	free(o);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	try_parser(options_parse, (const char *)data, size);
	try_parser(options_parse_file, (const char *)data, size);
	return 0;
}
