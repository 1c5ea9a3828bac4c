/* SPDX-License-Identifier: MIT */
/* Memory maps: the choice of guest memory, and the map that the core receives. */
#include "boot/memmap.h"

#include "lib/mem.h"

/** The part of a range that guest memory can be cut from. */
static struct free_range usable_part(struct free_range r)
{
	u64 start = ALIGN_UP(MAX(r.hpa, MIB(1)), GUEST_CHUNK_ALIGN);
	u64 end = ALIGN_DOWN(r.hpa + r.size, GUEST_CHUNK_ALIGN);

	return (struct free_range){start, end > start ? end - start : 0};
}

u64 memmap_usable(const struct free_range *free, unsigned nr)
{
	u64 sum = 0;

	for (unsigned i = 0; i < nr; i++)
		sum += usable_part(free[i]).size;
	return sum;
}

static struct free_range whole_part(struct free_range r)
{
	return r;
}

/** The part of a range from its first multiple of 1 GiB on, if that is at least 1 GiB. */
static struct free_range gigabyte_part(struct free_range r)
{
	u64 start = ALIGN_UP(r.hpa, GIB(1));
	u64 end = r.hpa + r.size;

	return (struct free_range){start, end >= start + GIB(1) ? end - start : 0};
}

typedef struct free_range part_fn(struct free_range r);

/** The range whose part is the largest; NULL where all parts are empty. */
static struct free_range *largest(struct free_range *range, unsigned nr, part_fn *part)
{
	struct free_range *best = NULL;

	for (unsigned i = 0; i < nr; i++) {
		if (part(range[i]).size > (best ? part(*best).size : 0))
			best = &range[i];
	}
	return best;
}

/**
 * Cut one chunk of at most `want` bytes; size 0 where nothing is left. Of its range remains what
 * lies below the chunk: something above it remains only where nothing more is wanted.
 */
static struct boot_blob cut_chunk(struct free_range *range, unsigned nr, u64 want, bool gigabytes)
{
	part_fn *part = gigabyte_part;
	struct free_range *r = gigabytes && want >= GIB(1) ? largest(range, nr, part) : NULL;
	struct free_range found;

	if (!r) {
		part = whole_part;
		r = largest(range, nr, part);
	}
	if (!r)
		return (struct boot_blob){0, 0};
	found = part(*r);
	r->size = found.hpa - r->hpa;
	return (struct boot_blob){found.hpa, MIN(found.size, want)};
}

static unsigned pick(const struct free_range *free, unsigned nr, u64 want, bool gigabytes,
		     struct boot_blob chunk[BOOT_MAX_GUEST_CHUNKS])
{
	struct free_range range[MEMMAP_MAX_FREE];
	unsigned n = 0;

	for (unsigned i = 0; i < nr; i++)
		range[i] = usable_part(free[i]);
	while (want && n < BOOT_MAX_GUEST_CHUNKS) {
		chunk[n] = cut_chunk(range, nr, want, gigabytes);
		if (!chunk[n].size)
			return 0;
		want -= chunk[n++].size;
	}
	return want ? 0 : n;
}

unsigned memmap_pick_guest(const struct free_range *free, unsigned nr, u64 want,
			   struct boot_blob chunk[BOOT_MAX_GUEST_CHUNKS])
{
	unsigned n;

	if (nr > MEMMAP_MAX_FREE)
		nr = MEMMAP_MAX_FREE;
	/* Aligned chunks leave smaller remains, and so may need more chunks than there can be. */
	n = pick(free, nr, want, true, chunk);
	return n ? n : pick(free, nr, want, false, chunk);
}

static enum boot_mem_kind kind_of(u32 efi_type, u64 attribute)
{
	if (attribute & EFI_MEMORY_ATTRIBUTE_RUNTIME)
		return BOOT_MEM_RUNTIME;
	switch (efi_type) {
	case EFI_MEMORY_LOADER_CODE:
	case EFI_MEMORY_LOADER_DATA:
	case EFI_MEMORY_BOOT_CODE:
	case EFI_MEMORY_BOOT_DATA:
	case EFI_MEMORY_CONVENTIONAL:
		return BOOT_MEM_FREE;
	case EFI_MEMORY_RUNTIME_CODE:
	case EFI_MEMORY_RUNTIME_DATA:
		return BOOT_MEM_RUNTIME;
	case EFI_MEMORY_ACPI_RECLAIM:
	case EFI_MEMORY_ACPI_NVS:
		return BOOT_MEM_ACPI;
	case EFI_MEMORY_MMIO:
	case EFI_MEMORY_MMIO_PORTS:
		return BOOT_MEM_MMIO;
	default:
		return BOOT_MEM_RESERVED;
	}
}

/** Runtime code, data and MMIO are mapped differently, and stay apart. */
static bool can_merge(const struct boot_mem *low, const struct boot_mem *high)
{
	return low->hpa + low->size == high->hpa && low->kind == high->kind &&
	       (low->kind != BOOT_MEM_RUNTIME || low->efi_type == high->efi_type);
}

static void remove_entry(struct boot_info *info, unsigned i)
{
	info->nr_mem--;
	memmove(&info->mem[i], &info->mem[i + 1], (info->nr_mem - i) * sizeof(info->mem[0]));
}

/** Put one piece in its place, and merge it with its neighbours. */
static bool insert(struct boot_info *info, struct boot_mem piece)
{
	unsigned i = info->nr_mem;

	while (i && info->mem[i - 1].hpa > piece.hpa)
		i--;
	if (i && can_merge(&info->mem[i - 1], &piece)) {
		info->mem[--i].size += piece.size;
	} else if (info->nr_mem < BOOT_MAX_MEM) {
		memmove(&info->mem[i + 1], &info->mem[i],
			(info->nr_mem - i) * sizeof(info->mem[0]));
		info->mem[i] = piece;
		info->nr_mem++;
	} else {
		return false;
	}
	if (i + 1 < info->nr_mem && can_merge(&info->mem[i], &info->mem[i + 1])) {
		info->mem[i].size += info->mem[i + 1].size;
		remove_entry(info, i + 1);
	}
	return true;
}

/** One piece, with what is owned of it cut out and named as noted there. */
static bool add_piece(struct boot_info *info, const struct owned *owned, unsigned nr_owned,
		      struct boot_mem piece)
{
	u64 end = piece.hpa + piece.size;

	for (; nr_owned; owned++, nr_owned--) {
		u64 from = MAX(piece.hpa, owned->hpa);
		u64 to = MIN(end, owned->hpa + owned->size);
		struct boot_mem below = piece, mine = piece, above = piece;

		if (from >= to)
			continue;
		below.size = from - piece.hpa;
		mine.hpa = from;
		mine.size = to - from;
		mine.kind = owned->kind;
		above.hpa = to;
		above.size = end - to;
		return add_piece(info, owned + 1, nr_owned - 1, below) && insert(info, mine) &&
		       add_piece(info, owned + 1, nr_owned - 1, above);
	}
	return !piece.size || insert(info, piece);
}

bool memmap_add(struct boot_info *info, const struct owned *owned, unsigned nr_owned, u64 hpa,
		u64 size, u32 efi_type, u64 attribute)
{
	return add_piece(info, owned, nr_owned,
			 (struct boot_mem){
				 .hpa = hpa,
				 .size = size,
				 .kind = kind_of(efi_type, attribute),
				 .efi_type = efi_type,
			 });
}
