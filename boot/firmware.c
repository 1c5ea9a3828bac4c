/* SPDX-License-Identifier: MIT */
/* What the firmware knows of the machine, and the core will want when it is gone. */
#include "boot/boot.h"

#include "lib/fmt.h"
#include "lib/mem.h"

static void describe_framebuffer(struct boot *b)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode;

	if (EFI_ERROR(b->bs->LocateProtocol(&guid, NULL, (void **)&gop)) || !gop->Mode ||
	    !gop->Mode->Info)
		return;
	mode = gop->Mode->Info;
	if (mode->PixelFormat == PixelBltOnly || !gop->Mode->FrameBufferBase)
		return;
	b->info->fb = (struct boot_framebuffer){
		.hpa = gop->Mode->FrameBufferBase,
		.size = gop->Mode->FrameBufferSize,
		.width = mode->HorizontalResolution,
		.height = mode->VerticalResolution,
		.pitch_pixels = mode->PixelsPerScanLine,
		.format = mode->PixelFormat,
	};
}

static u64 configuration_table(struct boot *b, const EFI_GUID *guid)
{
	for (UINTN i = 0; i < b->st->NumberOfTableEntries; i++) {
		if (!memcmp(&b->st->ConfigurationTable[i].VendorGuid, guid, sizeof(*guid)))
			return (u64)b->st->ConfigurationTable[i].VendorTable;
	}
	return 0;
}

static void describe_acpi(struct boot *b)
{
	static const EFI_GUID acpi20 = ACPI_20_TABLE_GUID, acpi10 = ACPI_TABLE_GUID;

	b->info->rsdp = configuration_table(b, &acpi20);
	if (!b->info->rsdp)
		b->info->rsdp = configuration_table(b, &acpi10);
}

/** Vendor, its revision, and the version of UEFI, as one line. */
static void describe_vendor(struct boot *b)
{
	const CHAR16 *vendor = b->st->FirmwareVendor;
	char name[32];
	size_t n = 0;

	for (; vendor && vendor[n] && n < sizeof(name) - 1; n++)
		name[n] = vendor[n] >= ' ' && vendor[n] <= '~' ? (char)vendor[n] : '?';
	name[n] = '\0';
	fmt_snprintf(b->info->firmware, sizeof(b->info->firmware), "%s revision 0x%x, UEFI %u.%u",
		     name, b->st->FirmwareRevision, b->st->Hdr.Revision >> 16,
		     (b->st->Hdr.Revision & 0xffff) / 10);
}

EFI_STATUS describe_firmware(struct boot *b)
{
	describe_framebuffer(b);
	describe_acpi(b);
	describe_vendor(b);
	b->info->runtime_services = (u64)b->st->RuntimeServices;
	b->info->reset_system = (u64)b->st->RuntimeServices->ResetSystem;
	return EFI_SUCCESS;
}
