/* SPDX-License-Identifier: MIT */
/*
 * tallyvisor.efi: reads the options, the core (which is inside it), the guest's kernel and initrd,
 * checks everything that can be checked, and only then takes the machine from the firmware. Until
 * then every failure is one line and a return to whoever started us, with nothing changed.
 */
#include "boot/boot.h"

#include "lib/mem.h"
#include "version.h"

typedef EFI_STATUS step_fn(struct boot *b);

static step_fn *const steps[] = {
	open_volume,	   /* where we were started from */
	allocate_info,	   /* what the core will be told */
	get_options,	   /* GRUB's line, or tallyvisor.conf, or defaults */
	load_core,	   /* from inside this file */
	read_guest_files,  /* kernel and initrd */
	choose_guest_size, /* as asked, or what is reasonable here */
	check_kernel,	   /* before memory is spent on it */
	allocate_guest,	   /* the core's heap, and guest memory */
	describe_firmware, /* framebuffer, ACPI, runtime services */
	check_cpu,	   /* last, so that the rest can be tried out on any machine */
	build_page_tables, /* in which the core begins */
	allocate_map,	   /* from here on nothing may change the memory map */
	leave_firmware,	   /* into the core: no return */
};

/** Back to whoever started us. Not by a return: gnu-efi's entry code does not keep all registers
 * that the firmware's calling convention wants kept, and Exit() needs none of them. GRUB prints the
 * exit data, and without them "unknown error". */
static EFI_STATUS exit_application(struct boot *b, EFI_STATUS status)
{
	static const CHAR16 text[] = L"Tallyvisor did not start: see above";
	CHAR16 *data = NULL;

	if (!EFI_ERROR(b->bs->AllocatePool(EfiBootServicesData, sizeof(text), (void **)&data)))
		memcpy(data, text, sizeof(text));
	return b->bs->Exit(b->image, status, data ? sizeof(text) : 0, data);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	struct boot b;
	EFI_STATUS status = EFI_SUCCESS;

	memset(&b, 0, sizeof(b));
	b.image = image;
	b.st = st;
	b.bs = st->BootServices;
	console_init(&b);
	say(&b,
	    "Tallyvisor " TV_VERSION_STRING ": a hypervisor that counts and times every VM exit\n");
	for (size_t i = 0; i < ARRAY_SIZE(steps) && !EFI_ERROR(status); i++)
		status = steps[i](&b);
	say(&b, "tallyvisor: refused: %s\n", b.why);
	release_all(&b);
	return exit_application(&b, status);
}
