/* SPDX-License-Identifier: MIT */
/* What goes into memory: the hand-off structure, the core, and the guest's kernel and initrd. */
#include "boot/boot.h"

#include "guest/linux.h"
#include "guest/multiboot.h"
#include "lib/mem.h"
#include "lib/reproducible.h"

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

static bool is_multiboot(const struct boot *b)
{
	return multiboot_kernel((const u8 *)b->info->kernel.hpa, b->info->kernel.size);
}

static EFI_STATUS read_initrd(struct boot *b)
{
	struct options *o = &b->info->options;
	EFI_STATUS status = EFI_SUCCESS;

	if (o->initrd[0])
		status = read_file(b, o->initrd,
				   "copy it there, or name another with initrd=", &b->info->initrd);
	if (status == EFI_NOT_FOUND && o->initrd_optional) {
		o->initrd[0] = '\0';
		return EFI_SUCCESS;
	}
	return status;
}

/** Before the kernel is asked whether it takes so long a line. */
static EFI_STATUS fix_randomization(struct boot *b)
{
	struct options *o = &b->info->options;

	if (!o->reproducible || cmdline_prepend(o->cmdline, sizeof(o->cmdline), REPRODUCIBLE_WORDS))
		return EFI_SUCCESS;
	return refuse(b, EFI_INVALID_PARAMETER,
		      "the guest's command line has no room for \"" REPRODUCIBLE_WORDS
		      "\", which reproducible=1 adds: shorten it to %u characters",
		      (unsigned)(sizeof(o->cmdline) - sizeof(REPRODUCIBLE_WORDS) - 1));
}

static EFI_STATUS read_module(struct boot *b, const struct option_module *name)
{
	struct boot_module *m = &b->info->module[b->info->nr_modules++];

	m->name = *name;
	return read_file(b, name->path, "copy it there, or name another with module=", &m->file);
}

/** What initrd= names is the first module; the initrd of some Linux on the same volume, which
 *  nobody named, is none. */
static EFI_STATUS read_modules(struct boot *b)
{
	const struct options *o = &b->info->options;
	struct option_module initrd = {.args = ""};
	EFI_STATUS status = EFI_SUCCESS;

	memcpy(initrd.path, o->initrd, sizeof(initrd.path));
	if (o->initrd[0] && !o->initrd_optional)
		status = read_module(b, &initrd);
	for (unsigned i = 0; i < o->nr_modules && !EFI_ERROR(status); i++)
		status = read_module(b, &o->module[i]);
	return status;
}

EFI_STATUS read_guest_files(struct boot *b)
{
	const struct options *o = &b->info->options;
	EFI_STATUS status = read_file(
		b, o->kernel,
		"copy a Linux kernel there, or name another with kernel=", &b->info->kernel);

	if (EFI_ERROR(status))
		return status;
	if (is_multiboot(b))
		return read_modules(b);
	if (o->nr_modules)
		return refuse(b, EFI_INVALID_PARAMETER,
			      "module=%s is for a Multiboot kernel, and %s is none: leave it out",
			      o->module[0].path, o->kernel);
	status = read_initrd(b);
	return EFI_ERROR(status) ? status : fix_randomization(b);
}

static bool check_multiboot(const struct boot *b, char *err)
{
	const struct boot_info *info = b->info;
	struct multiboot_module module[BOOT_MAX_MODULES];
	struct multiboot_image img = {
		.kernel = (const u8 *)info->kernel.hpa,
		.kernel_size = info->kernel.size,
		.path = info->options.kernel,
		.cmdline = info->options.cmdline,
		.module = module,
		.nr_modules = info->nr_modules,
	};

	for (unsigned i = 0; i < info->nr_modules; i++) {
		const struct boot_module *m = &info->module[i];

		module[i] = (struct multiboot_module){(const u8 *)m->file.hpa, m->file.size,
						      m->name.path, m->name.args};
	}
	return multiboot_check(&img, MIB(info->options.mem_mib), err);
}

static bool check_linux(const struct boot *b, char *err)
{
	const struct boot_info *info = b->info;

	return linux_check((const u8 *)info->kernel.hpa, info->kernel.size, info->initrd.size,
			   info->options.cmdline, MIB(info->options.mem_mib), err);
}

EFI_STATUS check_kernel(struct boot *b)
{
	char err[MAX(LINUX_ERROR_MAX, MULTIBOOT_ERROR_MAX)];

	if (is_multiboot(b) ? check_multiboot(b, err) : check_linux(b, err))
		return EFI_SUCCESS;
	return refuse(b, EFI_LOAD_ERROR, "%s (kernel=%s)", err, b->info->options.kernel);
}
