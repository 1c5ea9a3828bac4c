/* SPDX-License-Identifier: MIT */
/*
 * From the firmware into the core. The core is linked at CORE_BASE, so it needs page tables before
 * its first instruction: the firmware's own, which map all memory one to one, and one more entry of
 * the PML4 for the core. It makes better ones as soon as it runs.
 */
#include "boot/boot.h"

#include "boot/io.h"
#include "lib/mem.h"
#include "msr_index.h"
#include "x86.h"

#define CR3_ADDRESS 0x000ffffffffff000ull
#define TABLE_ENTRIES 512

/** Index into the paging structure of `level` (1: page table, 4: PML4). */
#define TABLE_INDEX(va, level) ((va) >> (PAGE_SHIFT + 9 * ((level)-1)) & (TABLE_ENTRIES - 1))

/** How often ExitBootServices may find the map changed: once is normal, more is a broken driver. */
#define EXIT_ATTEMPTS 4

/* enter.asm */
_Noreturn void enter_core(u64 info, u64 entry, u64 stack_top, u64 cr3);

/** Map the pages of one segment in the page tables at `pt`, of which one follows the other. */
static void map_segment(const struct boot *b, const struct core_segment *s, u64 *pt)
{
	u64 flags = PTE_P | (s->writable ? PTE_W : 0) | (s->executable ? 0 : PTE_NX);

	for (u64 at = s->offset; at < s->offset + s->memsz; at += PAGE_SIZE)
		pt[at >> PAGE_SHIFT] = (b->info->core.hpa + at) | flags;
}

/** PML4, PDPT, page directory, and page tables for the core's span, in this order. */
EFI_STATUS build_page_tables(struct boot *b)
{
	u64 nr_pt = ALIGN_UP(b->core.span, MIB(2)) / MIB(2);
	u64 hpa = own_pages(b, (3 + nr_pt) * PAGE_SIZE, PAGE_SIZE, BOOT_MEM_CORE);
	u64 *pdpt = (u64 *)(hpa + PAGE_SIZE), *pd = (u64 *)(hpa + 2 * PAGE_SIZE);
	u64 pt = hpa + 3 * PAGE_SIZE;

	if (!hpa)
		return refuse(
			b, EFI_OUT_OF_RESOURCES,
			"too little memory for page tables: ask for a smaller guest with mem=");
	memset((void *)hpa, 0, (3 + nr_pt) * PAGE_SIZE);
	pdpt[TABLE_INDEX(CORE_BASE, 3)] = (u64)pd | PTE_P | PTE_W;
	for (u64 i = 0; i < nr_pt; i++)
		pd[TABLE_INDEX(CORE_BASE, 2) + i] = (pt + i * PAGE_SIZE) | PTE_P | PTE_W;
	for (unsigned i = 0; i < b->core.nr_segments; i++)
		map_segment(b, &b->core.segment[i], (u64 *)pt);
	b->pml4 = (u64 *)hpa;
	b->pdpt = (u64)pdpt;
	return EFI_SUCCESS;
}

/**
 * End boot services. The map must be current to the key, and any event handler may change it: then
 * get it again, without an allocation, and repeat (UEFI specification, section 7.4
 * "EFI_BOOT_SERVICES.ExitBootServices()").
 */
static EFI_STATUS exit_boot_services(struct boot *b, struct firmware_map *m)
{
	EFI_STATUS status = EFI_INVALID_PARAMETER;
	UINT32 version;

	for (unsigned i = 0; i < EXIT_ATTEMPTS && EFI_ERROR(status); i++) {
		*m = (struct firmware_map){.bytes = b->map, .size = b->map_bytes};
		status = b->bs->GetMemoryMap(&m->size, (void *)m->bytes, &m->key, &m->stride,
					     &version);
		if (EFI_ERROR(status))
			break;
		status = b->bs->ExitBootServices(b->image, m->key);
	}
	return status;
}

/** The mode the core begins in: interrupts off, no-execute and write protection in force, and no
 *  feature on that the firmware may have used for itself. */
static void set_control_registers(void)
{
	const u64 keep = X86_CR4_DE | X86_CR4_MCE | X86_CR4_VMXE;

	interrupts_off();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NX);
	write_cr0((read_cr0() | X86_CR0_WP | X86_CR0_NE | X86_CR0_MP) & ~(X86_CR0_TS | X86_CR0_EM));
	write_cr4((read_cr4() & keep) | X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT);
}

EFI_STATUS leave_firmware(struct boot *b)
{
	struct firmware_map m;
	EFI_STATUS status;

	b->root->Close(b->root);
	b->root = NULL;
	status = exit_boot_services(b, &m);
	if (EFI_ERROR(status))
		return refuse(
			b, status,
			"the firmware does not end its boot services (EFI error %u): restart, and "
			"unplug what is not needed",
			(unsigned)(status & 0xff));

	/* allocate_map() saw to it that the map fits. */
	describe_memory(b, &m);
	set_control_registers();
	memcpy(b->pml4, (const void *)(read_cr3() & CR3_ADDRESS), PAGE_SIZE);
	b->pml4[TABLE_INDEX(CORE_BASE, 4)] = b->pdpt | PTE_P | PTE_W;
	enter_core((u64)b->info, b->core.entry, b->stack_top, (u64)b->pml4);
}
