/* SPDX-License-Identifier: MIT */
/* The words an EFI application was started with. */
#ifndef TV_BOOT_LOAD_OPTIONS_H
#define TV_BOOT_LOAD_OPTIONS_H

#include "types.h"

#define LOAD_OPTIONS_MAX 4096

/**
 * Decode EFI_LOADED_IMAGE_PROTOCOL.LoadOptions, which by UEFI is anything at all: nothing, the
 * UCS-2 text of GRUB or of the UEFI shell (with or without its end), or a boot manager's binary
 * data. Pure.
 *
 * @data, @bytes  as the protocol gives them
 * @self          file name of this application, "tallyvisor.efi"; "" where it is not known
 * @out           the text from the first word behind the application's own name, if it is named,
 *                terminated; characters beyond ASCII become byte 0xff, which the parser refuses
 * Returns the length of the text; 0: no options were given.
 */
size_t load_options_decode(const void *data, size_t bytes, const char *self,
			   char out[LOAD_OPTIONS_MAX]);

#endif
