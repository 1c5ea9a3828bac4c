/* SPDX-License-Identifier: MIT */
/* From the files that boot/ brought to a guest processor at its first instruction. */
#include "guest_image.h"

#include "core.h"
#include "guest/bios.h"
#include "guest/linux.h"
#include "guest/multiboot.h"
#include "machine.h"
#include "panic.h"
#include "vmcs_setup.h"

static void load_linux(struct machine *m, u64 rsdp)
{
	const struct boot_info *b = core.boot;
	char err[LINUX_ERROR_MAX];
	struct linux_entry entry;
	struct linux_image img = {
		.kernel = phys_ptr(HPA(b->kernel.hpa)),
		.kernel_size = b->kernel.size,
		.initrd = b->initrd.size ? phys_ptr(HPA(b->initrd.hpa)) : NULL,
		.initrd_size = b->initrd.size,
		.cmdline = b->options.cmdline,
		.rsdp = rsdp,
	};

	if (!linux_load(&m->pc.mem, &img, &entry, err))
		panic("the guest's kernel cannot be loaded: %s", err);
	vcpu_set_linux_entry(m->vcpu[0], &entry);
}

static void load_multiboot(struct machine *m)
{
	const struct boot_info *b = core.boot;
	char err[MULTIBOOT_ERROR_MAX];
	struct multiboot_entry entry;
	struct multiboot_module module[BOOT_MAX_MODULES];
	struct multiboot_image img = {
		.kernel = phys_ptr(HPA(b->kernel.hpa)),
		.kernel_size = b->kernel.size,
		.path = b->options.kernel,
		.cmdline = b->options.cmdline,
		.module = module,
		.nr_modules = b->nr_modules,
	};

	for (unsigned i = 0; i < b->nr_modules; i++) {
		const struct boot_module *from = &b->module[i];

		module[i] =
			(struct multiboot_module){phys_ptr(HPA(from->file.hpa)), from->file.size,
						  from->name.path, from->name.args};
	}
	if (!bios_build(&m->pc))
		panic("the guest has no memory below 1 MiB for a BIOS's data");
	if (!multiboot_load(&m->pc.mem, &img, &entry, err))
		panic("the guest's kernel cannot be loaded: %s", err);
	vcpu_set_multiboot_entry(m->vcpu[0], &entry);
}

bool guest_image_wants_testdev(void)
{
	return multiboot_kernel(phys_ptr(HPA(core.boot->kernel.hpa)), core.boot->kernel.size);
}

void guest_image_load(struct machine *m)
{
	const struct boot_info *b = core.boot;
	const struct cpuid_regs *leaf1 = &m->cpuid.basic[1];
	u64 rsdp = acpi_build(&m->pc.mem, m->nr_vcpus);

	if (!rsdp || !mptable_build(&m->pc.mem, m->nr_vcpus, leaf1->eax, leaf1->edx))
		panic("the guest has no memory below 1 MiB for its firmware tables");
	if (multiboot_kernel(phys_ptr(HPA(b->kernel.hpa)), b->kernel.size))
		load_multiboot(m);
	else
		load_linux(m, rsdp);
}
