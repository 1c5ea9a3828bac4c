/* SPDX-License-Identifier: MIT */
/* Building the host's page tables. */
#include "host_paging.h"

#include "core.h"
#include "insn.h"
#include "msr_index.h"
#include "panic.h"
#include "x86.h"

#define ADDR_MASK 0x000ffffffffff000ull
#define UNCACHED (PTE_PCD | PTE_PWT)
#define PAT_ENTRY_1 PTE_PWT /* PAT, PCD and PWT are 001 */

extern char __text_start[], __text_end[], __rodata_start[], __rodata_end[];
extern char __data_start[], __data_end[];
extern char __stack_bottom[], __stack_top[], __stack_nmi_bottom[], __stack_nmi_top[];
extern char __stack_df_bottom[], __stack_df_top[], __stack_mc_bottom[], __stack_mc_top[];

static u64 *table_of(u64 entry)
{
	return phys_ptr(HPA(entry & ADDR_MASK));
}

static u64 new_table(void)
{
	hpa_t hpa;

	if (!heap_alloc(1, &hpa))
		panic("the page pool is too small for the host's page tables");
	return hpa.v | PTE_P | PTE_W;
}

static bool has_1g_pages(void)
{
	struct cpuid_regs r;

	cpuid(0x80000001, 0, &r);
	return r.edx & BIT(26);
}

/** Map one page of 4 KiB << 9 * (level - 1) bytes. What is mapped already stays. */
static void map_page(u64 *pml4, u64 va, u64 hpa, unsigned level, u64 flags)
{
	u64 *table = pml4;

	for (unsigned l = 4; l > level; l--) {
		u64 *entry = &table[va >> (12 + 9 * (l - 1)) & 511];

		if (!*entry)
			*entry = new_table();
		if (*entry & PTE_PS)
			return;
		table = table_of(*entry);
	}
	u64 *entry = &table[va >> (12 + 9 * (level - 1)) & 511];

	if (!*entry)
		*entry = hpa | flags | PTE_P | PTE_A | PTE_D | (level > 1 ? PTE_PS : 0);
}

static void map(u64 *pml4, u64 va, u64 hpa, u64 size, u64 flags)
{
	unsigned max = has_1g_pages() ? 3 : 2;
	u64 end = ALIGN_UP(hpa + size, PAGE_SIZE);
	u64 delta = va - hpa;

	hpa = ALIGN_DOWN(hpa, PAGE_SIZE);
	while (hpa < end) {
		unsigned level = max;
		u64 bytes = GIB(1);

		for (level = max; level > 1; level--) {
			bytes = PAGE_SIZE << (9 * (level - 1));
			if (!((hpa | (hpa + delta)) & (bytes - 1)) && end - hpa >= bytes)
				break;
		}
		if (level == 1)
			bytes = PAGE_SIZE;
		map_page(pml4, hpa + delta, hpa, level, flags);
		hpa += bytes;
	}
}

static void map_segment(u64 *pml4, char *start, char *end, u64 flags)
{
	map(pml4, (u64)start, image_phys(start).v, end - start, flags);
}

static void map_image(u64 *pml4)
{
	map_segment(pml4, __text_start, __text_end, 0);
	map_segment(pml4, __rodata_start, __rodata_end, PTE_NX);
	map_segment(pml4, __data_start, __data_end, PTE_W | PTE_NX);
	map_segment(pml4, __stack_bottom, __stack_top, PTE_W | PTE_NX);
	map_segment(pml4, __stack_nmi_bottom, __stack_nmi_top, PTE_W | PTE_NX);
	map_segment(pml4, __stack_df_bottom, __stack_df_top, PTE_W | PTE_NX);
	map_segment(pml4, __stack_mc_bottom, __stack_mc_top, PTE_W | PTE_NX);
}

/** Only the part of `m` that is not the core's image: the image has no writable alias. */
static void map_direct(u64 *pml4, const struct boot_mem *m)
{
	u64 image = core.boot->core.hpa, image_end = image + core.boot->core.size;
	u64 end = m->hpa + m->size;
	u64 before = MIN(end, image), after = MAX(m->hpa, image_end);

	if (m->hpa < before)
		map(pml4, DIRECT_MAP_BASE + m->hpa, m->hpa, before - m->hpa, PTE_W | PTE_NX);
	if (after < end)
		map(pml4, DIRECT_MAP_BASE + after, after, end - after, PTE_W | PTE_NX);
}

void host_paging_init(void)
{
	hpa_t root;
	u64 *pml4 = heap_alloc(1, &root);

	if (!pml4)
		panic("the page pool is too small for the host's page tables");
	map_image(pml4);
	for (unsigned i = 0; i < core.boot->nr_mem; i++) {
		const struct boot_mem *m = &core.boot->mem[i];

		if (m->kind == BOOT_MEM_CORE || m->kind == BOOT_MEM_GUEST ||
		    m->kind == BOOT_MEM_ACPI)
			map_direct(pml4, m);
		/* The firmware's runtime code runs at its physical address: it was never told of
		 * another (SetVirtualAddressMap), and its data and code share regions. */
		if (m->kind == BOOT_MEM_RUNTIME && m->hpa >= PAGE_SIZE)
			map(pml4, m->hpa, m->hpa, m->size, PTE_W);
		if (m->kind == BOOT_MEM_MMIO)
			map(pml4, m->hpa, m->hpa, m->size, PTE_W | PTE_NX | UNCACHED);
	}
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NX);
	write_cr0(read_cr0() | X86_CR0_WP);
	write_cr3(root.v);
	core.direct_base = DIRECT_MAP_BASE;
	core.boot = (struct boot_info *)((u64)core.boot + DIRECT_MAP_BASE);
	core.cpu.cr3 = root.v;
}

volatile void *mmio_map(hpa_t hpa, u64 size)
{
	map(phys_ptr(HPA(core.cpu.cr3)), DIRECT_MAP_BASE + hpa.v, hpa.v, size,
	    PTE_W | PTE_NX | UNCACHED);
	return phys_ptr(hpa);
}

/** Make entry 1 of the PAT "write combining" (SDM volume 3, section 12.12.2 "IA32_PAT MSR"). It is
 *  "write through" after a reset, and neither the core nor a page table in the TLB uses it: nothing
 *  is cached under its old meaning. */
static void pat_enable_write_combining(void)
{
	wrmsr(MSR_IA32_CR_PAT, (rdmsr(MSR_IA32_CR_PAT) & ~0xff00ull) | MEMTYPE_WC << 8);
}

volatile void *mmio_map_write_combining(hpa_t hpa, u64 size)
{
	pat_enable_write_combining();
	/* Write combining by the PAT holds whatever the MTRRs say (section 12.5.2.2, table 12-7).
	 */
	map(phys_ptr(HPA(core.cpu.cr3)), DIRECT_MAP_BASE + hpa.v, hpa.v, size,
	    PTE_W | PTE_NX | PAT_ENTRY_1);
	return phys_ptr(hpa);
}
