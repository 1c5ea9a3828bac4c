/* SPDX-License-Identifier: MIT */
/* Memory from the firmware: everything that boot/ allocates, and the memory map. */
#include "boot/boot.h"

#include "lib/mem.h"

_Static_assert((int)EFI_MEMORY_CONVENTIONAL == (int)EfiConventionalMemory, "");
_Static_assert((int)EFI_MEMORY_MMIO_PORTS == (int)EfiMemoryMappedIOPortSpace, "");
_Static_assert(EFI_MEMORY_ATTRIBUTE_RUNTIME == EFI_MEMORY_RUNTIME, "");

/** Guest memory where the options do not say: half of what is free, within these bounds. */
#define GUEST_DEFAULT_MAX MIB(512)

/*
 * The core's heap: 32 MiB and 1/128 of guest memory.
 *
 * What grows with guest memory is page tables. A set of 4 KiB tables for all of it takes 1/512: an
 * entry of 8 bytes a page, and the upper levels nearly nothing. Four such sets are room for EPT
 * without a single large page. The fixed part holds the page tables of the direct map (4 KiB a GiB
 * of the machine), vcpus, the flight recorder and the counters. A guest on shadow page tables has
 * their pool beside it.
 */
#define HEAP_FIXED MIB(32)
#define HEAP_GUEST_SHIFT 7

/*
 * The heap lies below 4 GiB: a processor outside IA-32e mode has 32 bits of CR3 for the address of
 * its page tables (SDM volume 3, table 4-7), which for a guest on shadow page tables are the
 * heap's.
 */
#define HEAP_END GIB(4)

/** The firmware itself needs some memory for its last steps. */
#define FIRMWARE_RESERVE MIB(8)

/** Entries by which the map may grow between its measurement and its last reading. */
#define MAP_SLACK 32

static UINTN pages(u64 bytes)
{
	return ALIGN_UP(bytes, PAGE_SIZE) >> PAGE_SHIFT;
}

/** own_pages() below `end`; 0: anywhere. */
static u64 own_pages_below(struct boot *b, u64 end, u64 bytes, u64 align, enum boot_mem_kind kind)
{
	u64 size = ALIGN_UP(bytes, PAGE_SIZE), slack = align - PAGE_SIZE;
	EFI_ALLOCATE_TYPE where = end ? AllocateMaxAddress : AllocateAnyPages;
	EFI_PHYSICAL_ADDRESS got = end - 1; /* the highest that will do; then where it is */
	u64 start;

	if (b->nr_owned == BOOT_MAX_OWNED ||
	    EFI_ERROR(b->bs->AllocatePages(where, EfiLoaderData, pages(size + slack), &got)))
		return 0;
	/* Boot services know pages only: take more, and give back what lies outside. */
	start = ALIGN_UP(got, align);
	if (start > got)
		b->bs->FreePages(got, pages(start - got));
	if (got + slack > start)
		b->bs->FreePages(start + size, pages(got + slack - start));
	b->owned[b->nr_owned++] = (struct owned){start, size, kind};
	return start;
}

u64 own_pages(struct boot *b, u64 bytes, u64 align, enum boot_mem_kind kind)
{
	return own_pages_below(b, 0, bytes, align, kind);
}

/** Allocate just this block. */
static bool own_at(struct boot *b, u64 hpa, u64 size, enum boot_mem_kind kind)
{
	EFI_PHYSICAL_ADDRESS at = hpa;

	if (b->nr_owned == BOOT_MAX_OWNED ||
	    EFI_ERROR(b->bs->AllocatePages(AllocateAddress, EfiLoaderData, pages(size), &at)))
		return false;
	b->owned[b->nr_owned++] = (struct owned){hpa, size, kind};
	return true;
}

void release(struct boot *b, u64 hpa)
{
	for (unsigned i = 0; i < b->nr_owned; i++) {
		if (b->owned[i].hpa != hpa)
			continue;
		b->bs->FreePages(hpa, pages(b->owned[i].size));
		b->owned[i] = b->owned[--b->nr_owned];
		return;
	}
}

void release_all(struct boot *b)
{
	while (b->nr_owned)
		release(b, b->owned[0].hpa);
	b->info = NULL;
	if (b->root)
		b->root->Close(b->root);
	b->root = NULL;
}

const EFI_MEMORY_DESCRIPTOR *map_entry(const struct firmware_map *m, UINTN i)
{
	if ((i + 1) * m->stride > m->size)
		return NULL;
	return (const EFI_MEMORY_DESCRIPTOR *)(m->bytes + i * m->stride);
}

/** Read the map into a buffer from the firmware's pool; the caller frees it. */
static bool read_map(struct boot *b, struct firmware_map *m)
{
	UINT32 version;
	EFI_STATUS status;

	memset(m, 0, sizeof(*m));
	b->bs->GetMemoryMap(&m->size, NULL, &m->key, &m->stride, &version);
	m->size += MAP_SLACK * m->stride; /* the allocation itself makes new entries */
	if (EFI_ERROR(b->bs->AllocatePool(EfiLoaderData, m->size, (void **)&m->bytes)))
		return false;
	status = b->bs->GetMemoryMap(&m->size, (void *)m->bytes, &m->key, &m->stride, &version);
	if (!EFI_ERROR(status))
		return true;
	b->bs->FreePool(m->bytes);
	return false;
}

/** The free memory, as many ranges as fit. */
static EFI_STATUS read_free(struct boot *b, struct free_range free[MEMMAP_MAX_FREE], unsigned *nr)
{
	struct firmware_map m;
	const EFI_MEMORY_DESCRIPTOR *d;

	if (!read_map(b, &m))
		return refuse(
			b, EFI_OUT_OF_RESOURCES,
			"the firmware gives no memory map: it may be out of memory, so restart");
	*nr = 0;
	for (UINTN i = 0; (d = map_entry(&m, i)) && *nr < MEMMAP_MAX_FREE; i++) {
		if (d->Type == EfiConventionalMemory)
			free[(*nr)++] = (struct free_range){d->PhysicalStart,
							    d->NumberOfPages << PAGE_SHIFT};
	}
	b->bs->FreePool(m.bytes);
	return EFI_SUCCESS;
}

static u64 heap_size(const struct options *o, u64 guest)
{
	return ALIGN_UP(HEAP_FIXED + (guest >> HEAP_GUEST_SHIFT) + options_shadow_pool(o, guest),
			GUEST_CHUNK_ALIGN);
}

/** The largest guest that fits beside its heap and what the firmware needs. */
static u64 largest_guest(const struct options *o, u64 usable)
{
	u64 guest = ALIGN_DOWN(usable, GUEST_CHUNK_ALIGN);

	while (guest && guest + heap_size(o, guest) + FIRMWARE_RESERVE > usable)
		guest -= GUEST_CHUNK_ALIGN;
	return guest;
}

EFI_STATUS choose_guest_size(struct boot *b)
{
	struct free_range free[MEMMAP_MAX_FREE];
	struct options *o = &b->info->options;
	u64 usable, most, guest;
	unsigned nr;
	EFI_STATUS status = read_free(b, free, &nr);

	if (EFI_ERROR(status))
		return status;
	usable = memmap_usable(free, nr);
	most = largest_guest(o, usable);
	if (o->mem_mib) {
		guest = ALIGN_DOWN(MIB(o->mem_mib), GUEST_CHUNK_ALIGN);
	} else {
		guest = ALIGN_DOWN(MIN(usable / 2, GUEST_DEFAULT_MAX), GUEST_CHUNK_ALIGN);
		guest = MAX(guest, MIB(OPT_MEM_MIN));
	}
	if (guest > most && most >= MIB(OPT_MEM_MIN))
		return refuse(b, EFI_OUT_OF_RESOURCES,
			      "too little memory: the guest was to have %lu MiB, and %lu MiB are "
			      "possible: "
			      "write mem=%lu or less",
			      guest >> 20, most >> 20, most >> 20);
	if (guest > most)
		return refuse(b, EFI_OUT_OF_RESOURCES,
			      "too little memory: %lu MiB are free, and a guest of %lu MiB needs "
			      "%lu MiB: give the machine more%s",
			      usable >> 20, guest >> 20,
			      (guest + heap_size(o, guest) + FIRMWARE_RESERVE) >> 20,
			      o->shadow_mib ? ", or write a smaller shadow_pool=" : "");
	o->mem_mib = (u32)(guest >> 20);
	return EFI_SUCCESS;
}

static EFI_STATUS allocate_heap(struct boot *b, u64 size)
{
	u64 hpa = own_pages_below(b, HEAP_END, size, GUEST_CHUNK_ALIGN, BOOT_MEM_CORE);

	if (!hpa)
		return refuse(b, EFI_OUT_OF_RESOURCES,
			      "too little memory: no block of %lu MiB for the hypervisor's heap "
			      "is free below 4 GiB: ask for a smaller guest with mem=%s",
			      size >> 20,
			      b->info->options.shadow_mib ? ", or a smaller shadow_pool=" : "");
	memset((void *)hpa, 0, size);
	b->info->heap = (struct boot_blob){hpa, size};
	return EFI_SUCCESS;
}

EFI_STATUS allocate_guest(struct boot *b)
{
	struct free_range free[MEMMAP_MAX_FREE];
	struct boot_info *info = b->info;
	u64 want = MIB(info->options.mem_mib);
	unsigned nr;
	EFI_STATUS status = allocate_heap(b, heap_size(&info->options, want));

	if (!EFI_ERROR(status))
		status = read_free(b, free, &nr);
	if (EFI_ERROR(status))
		return status;
	info->nr_guest = memmap_pick_guest(free, nr, want, info->guest);
	if (!info->nr_guest)
		return refuse(b, EFI_OUT_OF_RESOURCES,
			      "too little memory: %lu MiB of guest memory do not fit into the %u "
			      "largest "
			      "pieces of the %lu MiB that are free: ask for less with mem=",
			      want >> 20, BOOT_MAX_GUEST_CHUNKS, memmap_usable(free, nr) >> 20);
	for (unsigned i = 0; i < info->nr_guest; i++) {
		if (!own_at(b, info->guest[i].hpa, info->guest[i].size, BOOT_MEM_GUEST))
			return refuse(
				b, EFI_OUT_OF_RESOURCES,
				"the firmware does not give the %lu MiB at 0x%lx that it calls "
				"free: ask for less guest memory with mem=",
				info->guest[i].size >> 20, info->guest[i].hpa);
	}
	return EFI_SUCCESS;
}

bool describe_memory(struct boot *b, const struct firmware_map *m)
{
	const EFI_MEMORY_DESCRIPTOR *d;

	b->info->nr_mem = 0;
	for (UINTN i = 0; (d = map_entry(m, i)); i++) {
		if (!memmap_add(b->info, b->owned, b->nr_owned, d->PhysicalStart,
				d->NumberOfPages << PAGE_SHIFT, d->Type, d->Attribute))
			return false;
	}
	return true;
}

EFI_STATUS allocate_map(struct boot *b)
{
	struct firmware_map m;
	bool fits;

	if (!read_map(b, &m))
		return refuse(
			b, EFI_OUT_OF_RESOURCES,
			"the firmware gives no memory map: it may be out of memory, so restart");
	fits = describe_memory(b, &m);
	b->map_bytes = m.size + MAP_SLACK * m.stride;
	b->bs->FreePool(m.bytes);
	/* Later the map may have a few pieces more, and there is no return then. */
	if (!fits || b->info->nr_mem + MAP_SLACK > BOOT_MAX_MEM)
		return refuse(
			b, EFI_UNSUPPORTED,
			"the firmware's memory map has more than %u pieces: please report this",
			BOOT_MAX_MEM - MAP_SLACK);
	b->map = (u8 *)own_pages(b, b->map_bytes, PAGE_SIZE, BOOT_MEM_FREE);
	if (!b->map)
		return refuse(
			b, EFI_OUT_OF_RESOURCES,
			"too little memory for the memory map: ask for a smaller guest with mem=");
	b->map_bytes = ALIGN_UP(b->map_bytes, PAGE_SIZE);
	return EFI_SUCCESS;
}
