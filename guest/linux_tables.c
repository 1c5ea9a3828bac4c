/* SPDX-License-Identifier: MIT */
/*
 * The tables that a boot protocol wants to be in force at the kernel's entry (boot.rst, "32-bit
 * Boot Protocol" and "64-bit Boot Protocol"): a GDT with flat __BOOT_CS and __BOOT_DS; for the
 * 64-bit one also an identity map, here of the low 4 GiB, in which kernel, boot_params, command
 * line and initrd all lie.
 */
#include "guest/linux_image.h"

/* SDM volume 3, section 3.4.5 "Segment Descriptors": base 0, limit 4 GiB, present, DPL 0. */
#define DESC_CODE64 0x00af9b000000ffffull /* execute/read, accessed, L */
#define DESC_CODE32 0x00cf9b000000ffffull /* execute/read, accessed, D */
#define DESC_DATA 0x00cf93000000ffffull	  /* read/write, accessed, B */

/* SDM volume 3, section 4.5.4 "Linear-Address Translation with 4-Level Paging". Accessed and dirty
 * are set beforehand: that spares the processor, or a shadow MMU, setting them. */
#define PTE_TABLE 0x23ull /* P, R/W, A */
#define PTE_LARGE 0xe3ull /* P, R/W, A, D, PS */

#define ENTRIES 512u
#define IDENTITY_GIB 4u

bool linux_write_gdt(const struct gmem *gm, bool wide)
{
	const u64 gdt[] = {
		[LINUX_BOOT_CS / 8] = wide ? DESC_CODE64 : DESC_CODE32,
		[LINUX_BOOT_DS / 8] = DESC_DATA,
	};

	_Static_assert(sizeof(gdt) == LINUX_GDT_BYTES, "the GDT ends with __BOOT_DS");
	return gmem_set(gm, GPA(LINUX_GDT), 0, PAGE_SIZE) &&
	       gmem_write(gm, GPA(LINUX_GDT), gdt, sizeof(gdt));
}

static bool write_entry(const struct gmem *gm, u64 table, unsigned index, u64 entry)
{
	return gmem_write(gm, GPA(table + index * 8u), &entry, sizeof(entry));
}

bool linux_write_page_tables(const struct gmem *gm)
{
	if (!gmem_set(gm, GPA(LINUX_PML4), 0, LINUX_STACK - LINUX_PML4) ||
	    !write_entry(gm, LINUX_PML4, 0, LINUX_PDPT | PTE_TABLE))
		return false;
	for (unsigned gib = 0; gib < IDENTITY_GIB; gib++) {
		u64 pd = LINUX_PD + gib * PAGE_SIZE;

		if (!write_entry(gm, LINUX_PDPT, gib, pd | PTE_TABLE))
			return false;
		for (unsigned i = 0; i < ENTRIES; i++) {
			if (!write_entry(gm, pd, i, GIB(gib) + MIB(2 * i) + PTE_LARGE))
				return false;
		}
	}
	return true;
}
