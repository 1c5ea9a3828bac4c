/* SPDX-License-Identifier: MIT */
/* What goes into memory: the hand-off structure, the core, and the guest's kernel and initrd. */
#include "boot/boot.h"

#include "guest/linux.h"
#include "lib/mem.h"

/* core_image.asm: the core's ELF file. */
extern const u8 core_elf_start[], core_elf_end[];

/** One block: a stack for the core's first instructions, and above it the structure. */
EFI_STATUS allocate_info(struct boot *b)
{
	u64 hpa = own_pages(b, BOOT_STACK_SIZE + sizeof(*b->info), PAGE_SIZE, BOOT_MEM_CORE);

	if (!hpa)
		return refuse(b, EFI_OUT_OF_RESOURCES,
			      "too little memory: the firmware has none left: restart the machine");
	b->stack_top = hpa + BOOT_STACK_SIZE;
	b->info = (struct boot_info *)b->stack_top;
	memset(b->info, 0, sizeof(*b->info));
	b->info->magic = BOOT_INFO_MAGIC;
	b->info->version = BOOT_INFO_VERSION;
	b->info->size = sizeof(*b->info);
	return EFI_SUCCESS;
}

EFI_STATUS load_core(struct boot *b)
{
	u64 hpa;

	if (!core_elf_parse(core_elf_start, (u64)(core_elf_end - core_elf_start), &b->core, b->why))
		return EFI_LOAD_ERROR;
	hpa = own_pages(b, b->core.span, MIB(2), BOOT_MEM_CORE);
	if (!hpa)
		return refuse(b, EFI_OUT_OF_RESOURCES,
			      "too little memory: no block of %lu KiB for the hypervisor is free",
			      b->core.span >> 10);
	memset((void *)hpa, 0, b->core.span);
	for (unsigned i = 0; i < b->core.nr_segments; i++) {
		const struct core_segment *s = &b->core.segment[i];

		memcpy((void *)(hpa + s->offset), s->bytes, s->filesz);
	}
	b->info->core = (struct boot_blob){hpa, b->core.span};
	return EFI_SUCCESS;
}

EFI_STATUS read_guest_files(struct boot *b)
{
	struct boot_info *info = b->info;
	struct options *o = &info->options;
	EFI_STATUS status;

	status =
		read_file(b, o->kernel,
			  "copy a Linux kernel there, or name another with kernel=", &info->kernel);
	if (EFI_ERROR(status) || !o->initrd[0])
		return status;
	status = read_file(b, o->initrd,
			   "copy it there, or name another with initrd=", &info->initrd);
	if (status == EFI_NOT_FOUND && o->initrd_optional) {
		o->initrd[0] = '\0';
		return EFI_SUCCESS;
	}
	return status;
}

EFI_STATUS check_kernel(struct boot *b)
{
	const struct boot_info *info = b->info;
	char err[LINUX_ERROR_MAX];

	if (linux_check((const u8 *)info->kernel.hpa, info->kernel.size, info->initrd.size,
			info->options.cmdline, MIB(info->options.mem_mib), err))
		return EFI_SUCCESS;
	return refuse(b, EFI_LOAD_ERROR, "%s (kernel=%s)", err, info->options.kernel);
}
