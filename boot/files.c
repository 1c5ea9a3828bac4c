/* SPDX-License-Identifier: MIT */
/* Files from the volume that the application was started from. */
#include "boot/boot.h"

#include "lib/mem.h"

/** Some firmware does not like to read very much at once. */
#define READ_CHUNK MIB(4)

/** Bytes of a device path without its end node. */
static UINTN path_length(const EFI_DEVICE_PATH *path)
{
	const u8 *node = (const u8 *)path;

	/* A node is its type, subtype, and length in 16 bits; one too short ends a broken path. */
	while (node[0] != END_DEVICE_PATH_TYPE && (node[2] | node[3] << 8) >= 4)
		node += node[2] | node[3] << 8;
	return (UINTN)(node - (const u8 *)path);
}

static EFI_DEVICE_PATH *path_of(struct boot *b, EFI_HANDLE device)
{
	EFI_GUID guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
	EFI_DEVICE_PATH *path;

	return EFI_ERROR(b->bs->HandleProtocol(device, &guid, (void **)&path)) ? NULL : path;
}

/** Whether `device` is a part of the device with the path `whole`. */
static bool is_part_of(struct boot *b, EFI_HANDLE device, const EFI_DEVICE_PATH *whole)
{
	EFI_DEVICE_PATH *path = path_of(b, device);
	UINTN length = path_length(whole);

	return path && path_length(path) > length && !memcmp(path, whole, length);
}

static bool open_root(struct boot *b, EFI_HANDLE device)
{
	EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_FILE_IO_INTERFACE *volume;

	return !EFI_ERROR(b->bs->HandleProtocol(device, &guid, (void **)&volume)) &&
	       !EFI_ERROR(volume->OpenVolume(volume, &b->root));
}

/** GRUB names the whole CD as the device, and not the boot image on it, which is the file system
 *  that we came from. Take the first part of the device that has one. */
static bool open_part(struct boot *b, EFI_HANDLE device)
{
	EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_DEVICE_PATH *whole = path_of(b, device);
	EFI_HANDLE *volumes;
	bool opened = false;
	UINTN n;

	if (!whole || EFI_ERROR(b->bs->LocateHandleBuffer(ByProtocol, &guid, NULL, &n, &volumes)))
		return false;
	for (UINTN i = 0; i < n && !opened; i++)
		opened = is_part_of(b, volumes[i], whole) && open_root(b, volumes[i]);
	b->bs->FreePool(volumes);
	return opened;
}

EFI_STATUS open_volume(struct boot *b)
{
	EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_HANDLE device;

	if (EFI_ERROR(b->bs->HandleProtocol(b->image, &guid, (void **)&b->self)))
		return refuse(
			b, EFI_UNSUPPORTED,
			"the firmware does not say how this application was started: start it from "
			"the boot menu, GRUB or the UEFI shell");
	device = b->self->DeviceHandle;
	if (!device || (!open_root(b, device) && !open_part(b, device))) {
		b->root = NULL;
		return refuse(b, EFI_NOT_FOUND,
			      "the device that tallyvisor.efi was started from has no file system "
			      "that the firmware can read: put it on the EFI system partition");
	}
	return EFI_SUCCESS;
}

/** Size of an open file; 0 and a sentence where it is none or empty. */
static EFI_STATUS file_size(struct boot *b, EFI_FILE *file, const char *path, u64 *size)
{
	EFI_GUID guid = EFI_FILE_INFO_ID;
	u64 buffer[(sizeof(EFI_FILE_INFO) + 2 * 256) / 8 + 1];
	EFI_FILE_INFO *info = (EFI_FILE_INFO *)buffer;
	UINTN n = sizeof(buffer);
	EFI_STATUS status = file->GetInfo(file, &guid, &n, info);

	if (EFI_ERROR(status))
		return refuse(
			b, EFI_LOAD_ERROR,
			"%s cannot be read (EFI error %u): check the volume, and copy it again",
			path, (unsigned)(status & 0xff));
	if (info->Attribute & EFI_FILE_DIRECTORY)
		return refuse(b, EFI_NOT_FOUND, "%s is a directory: name a file in it", path);
	if (!info->FileSize)
		return refuse(b, EFI_LOAD_ERROR, "%s is empty: copy it again", path);
	*size = info->FileSize;
	return EFI_SUCCESS;
}

/** Read all of an open file to `hpa`. */
static EFI_STATUS read_all(struct boot *b, EFI_FILE *file, const char *path, u64 hpa, u64 size)
{
	for (u64 done = 0; done < size;) {
		UINTN n = MIN(size - done, READ_CHUNK);
		EFI_STATUS status = file->Read(file, &n, (void *)(hpa + done));

		if (EFI_ERROR(status))
			return refuse(
				b, EFI_LOAD_ERROR,
				"%s cannot be read at byte %lu of %lu (EFI error %u): check the "
				"volume, and copy it again",
				path, done, size, (unsigned)(status & 0xff));
		if (!n)
			return refuse(b, EFI_LOAD_ERROR,
				      "%s ends after %lu of %lu bytes: check the volume, and "
				      "copy it again",
				      path, done, size);
		done += n;
	}
	return EFI_SUCCESS;
}

static EFI_STATUS read_open_file(struct boot *b, EFI_FILE *file, const char *path,
				 struct boot_blob *out)
{
	u64 size = 0, hpa;
	EFI_STATUS status = file_size(b, file, path, &size);

	if (EFI_ERROR(status))
		return status;
	hpa = own_pages(b, size, PAGE_SIZE, BOOT_MEM_CORE);
	if (!hpa)
		return refuse(
			b, EFI_OUT_OF_RESOURCES,
			"too little memory: %s has %lu MiB, and no block of that size is free",
			path, ALIGN_UP(size, MIB(1)) >> 20);
	status = read_all(b, file, path, hpa, size);
	if (EFI_ERROR(status)) {
		release(b, hpa);
		return status;
	}
	*out = (struct boot_blob){hpa, size};
	return EFI_SUCCESS;
}

EFI_STATUS read_file(struct boot *b, const char *path, const char *remedy, struct boot_blob *out)
{
	CHAR16 wide[OPT_PATH_MAX];
	EFI_FILE *file;
	EFI_STATUS status;
	size_t n = strlen(path);

	*out = (struct boot_blob){0, 0};
	for (size_t i = 0; i <= n; i++)
		wide[i] = (CHAR16)path[i];
	status = b->root->Open(b->root, &file, wide, EFI_FILE_MODE_READ, 0);
	if (status == EFI_NOT_FOUND)
		return refuse(b, status, "%s is not on the boot volume: %s", path, remedy);
	if (EFI_ERROR(status))
		return refuse(
			b, EFI_LOAD_ERROR,
			"%s cannot be opened (EFI error %u): check the volume, and copy it again",
			path, (unsigned)(status & 0xff));
	status = read_open_file(b, file, path, out);
	file->Close(file);
	return status;
}
