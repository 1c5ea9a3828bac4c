/* SPDX-License-Identifier: MIT */
/*
 * The options: from the words we were started with; else, where there are none, from
 * \tallyvisor.conf; else the defaults. One source wins as a whole, so that nobody has to know both.
 */
#include "boot/boot.h"

#include "boot/load_options.h"
#include "lib/mem.h"
#include "options.h"

#define CONF_PATH "\\tallyvisor.conf"
#define CONF_MAX KIB(64)

/** The file name in our own device path, in ASCII; "" where it has none. */
static void own_name(const EFI_LOADED_IMAGE *self, char name[64])
{
	const u8 *node = (const u8 *)self->FilePath;
	size_t n = 0, length;

	for (; node && node[0] != END_DEVICE_PATH_TYPE; node += length) {
		length = node[2] | (size_t)node[3] << 8;
		if (length < 4)
			break;
		if (node[0] != MEDIA_DEVICE_PATH || node[1] != MEDIA_FILEPATH_DP)
			continue;
		n = 0;
		for (size_t at = 4; at + 1 < length; at += 2) {
			unsigned c = (unsigned)(node[at] | node[at + 1] << 8);

			if (c == '\\')
				n = 0;
			else if (c >= ' ' && c <= '~' && n < 63)
				name[n++] = (char)c;
		}
	}
	name[n] = '\0';
}

static EFI_STATUS parse_conf(struct boot *b)
{
	struct boot_blob conf;
	char err[OPT_ERROR_MAX];
	bool ok;
	EFI_STATUS status = read_file(b, CONF_PATH, "", &conf);

	if (status == EFI_NOT_FOUND)
		return EFI_SUCCESS;
	if (EFI_ERROR(status))
		return status;
	ok = conf.size <= CONF_MAX;
	if (ok && !options_parse_file(&b->info->options, (const char *)conf.hpa, conf.size, err))
		status = refuse(b, EFI_INVALID_PARAMETER, CONF_PATH ", %s", err);
	release(b, conf.hpa);
	if (!ok)
		return refuse(b, EFI_INVALID_PARAMETER,
			      CONF_PATH
			      " has more than 64 KiB: it is no file of options, replace it");
	return status;
}

/** Options that are not possible together, on any machine. */
static EFI_STATUS check_together(struct boot *b)
{
	const struct options *o = &b->info->options;

	if (o->dirty && paging_uses_shadow(o->paging))
		return refuse(b, EFI_INVALID_PARAMETER,
			      "dirty=1 is not possible with paging=%s, which does not count the "
			      "pages that the guest writes: leave it out, or write paging=ept",
			      paging_name(o->paging));
	return EFI_SUCCESS;
}

EFI_STATUS get_options(struct boot *b)
{
	char name[64], line[LOAD_OPTIONS_MAX], err[OPT_ERROR_MAX];
	size_t n;

	options_default(&b->info->options);
	own_name(b->self, name);
	n = load_options_decode(b->self->LoadOptions, b->self->LoadOptionsSize, name, line);
	if (!n) {
		EFI_STATUS status = parse_conf(b);

		if (EFI_ERROR(status))
			return status;
	} else if (!options_parse(&b->info->options, line, n, err)) {
		return refuse(b, EFI_INVALID_PARAMETER, "%s", err);
	}
	return check_together(b);
}
