/* SPDX-License-Identifier: MIT */
/*
 * Guest memory with a log of everything that was modified in it, what the MMU under test gets of
 * the machine (struct paging_env), and EPT over the same memory as the reference of where a
 * guest-physical address is.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "oracle.h"
#include "vmx.h"

enum { AREA_LOW, AREA_HIGH, AREA_DEVICE, AREA_HUGE, NR_AREAS };

static const struct {
	u64 gpa, size, hpa;
} areas[NR_AREAS] = {
	[AREA_LOW] = {0, LOW_SIZE, LOW_HPA},
	[AREA_HIGH] = {HIGH_GPA, HIGH_SIZE, HIGH_HPA},
	[AREA_DEVICE] = {DEVICE_GPA, DEVICE_SIZE, DEVICE_HPA},
	[AREA_HUGE] = {HUGE_GPA, HUGE_SIZE, HUGE_HPA},
};

#define EPT_POOL_SIZE MIB(1)
#define BUCKETS 65536u

static void *map_memory(u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

void memory_new(struct oracle *o)
{
	/* The smaller ones from the allocator, so that ASan watches their ends. */
	for (unsigned i = 0; i < NR_AREAS; i++) {
		o->memory[i] = i == AREA_HUGE ? map_memory(areas[i].size)
					      : aligned_alloc(PAGE_SIZE, areas[i].size);
		if (i != AREA_HUGE)
			memset(o->memory[i], 0, areas[i].size);
		o->touched[i] = calloc(areas[i].size >> PAGE_SHIFT, 1);
	}
	o->pool = map_memory(POOL_SIZE);
	o->ept_pool = aligned_alloc(PAGE_SIZE, EPT_POOL_SIZE);
	o->changes = malloc(MAX_CHANGES * sizeof(*o->changes));
	o->bucket = calloc(BUCKETS, sizeof(*o->bucket));
}

void memory_free(struct oracle *o)
{
	for (unsigned i = 0; i < NR_AREAS; i++) {
		if (i == AREA_HUGE)
			munmap(o->memory[i], areas[i].size);
		else
			free(o->memory[i]);
		free(o->touched[i]);
	}
	munmap(o->pool, POOL_SIZE);
	free(o->ept_pool);
	free(o->changes);
	free(o->bucket);
}

static void clear_touched(struct oracle *o, unsigned area)
{
	u64 pages = areas[area].size >> PAGE_SHIFT;
	u8 *map = o->touched[area], *at = map;

	while ((at = memchr(at, 1, map + pages - at))) {
		memset(o->memory[area] + ((at - map) << PAGE_SHIFT), 0, PAGE_SIZE);
		*at++ = 0;
		if (at == map + pages)
			break;
	}
}

/* What EPT needs of the machine. */
static void *ept_alloc(void *ctx, hpa_t *hpa)
{
	struct oracle *o = ctx;
	u8 *page = o->ept_pool + o->ept_used;

	if (o->ept_used == EPT_POOL_SIZE)
		return NULL;
	*hpa = HPA(POOL_HPA + o->ept_used);
	o->ept_used += PAGE_SIZE;
	return memset(page, 0, PAGE_SIZE);
}

static void *ept_page(void *ctx, hpa_t hpa)
{
	return ((struct oracle *)ctx)->ept_pool + (hpa.v - POOL_HPA);
}

static int write_back(void *ctx, hpa_t hpa, u64 size)
{
	(void)ctx, (void)hpa, (void)size;
	return MEMTYPE_WB;
}

static void nothing_cached(void *ctx)
{
	(void)ctx;
}

static void new_ept(struct oracle *o)
{
	struct paging_env env = {
		.alloc_page = ept_alloc,
		.page_ptr = ept_page,
		.memtype = write_back,
		.invalidate = nothing_cached,
		.ctx = o,
		.ept_vpid_cap = EPT_CAP_2M | EPT_CAP_1G | EPT_CAP_WB,
	};
	char err[PAGING_ERROR_MAX];

	o->ept_used = 0;
	o->ept = ept_ops.create(&env, &o->gm, err);
	if (!o->ept)
		oracle_fail(o, NULL, "EPT: %s", err);
}

void memory_empty_pool(struct oracle *o)
{
	memset(o->pool, 0, o->pool_used);
	o->pool_used = 0;
}

void memory_reset(struct oracle *o)
{
	for (unsigned i = 0; i < NR_AREAS; i++)
		clear_touched(o, i);
	memory_empty_pool(o);
	memset(o->copy, 0, sizeof(o->copy));
	memset(o->hole, 0xff, sizeof(o->hole));
	o->overlay = false;
	o->pat = 0x0007040600070406; /* of a reset */
	o->now = 1;
	memory_forget_changes(o);

	o->gm = (struct gmem){.nr = 0};
	for (unsigned i = 0; i < NR_AREAS; i++) {
		gpa_t gpa = GPA(areas[i].gpa);
		hpa_t hpa = HPA(areas[i].hpa);

		if (i == AREA_DEVICE)
			gmem_set_device(&o->gm, gpa, areas[i].size, hpa, o->memory[i]);
		else if (i != AREA_HUGE || o->huge)
			gmem_add(&o->gm, gpa, areas[i].size, hpa, o->memory[i]);
	}
	new_ept(o);
}

/* What the MMU under test needs of the machine. */
static void *pool_alloc(void *ctx, hpa_t *hpa)
{
	struct oracle *o = ctx;
	u8 *page = o->pool + o->pool_used;

	if (o->pool_used >= o->pool_limit)
		return NULL;
	*hpa = HPA(POOL_HPA + o->pool_used);
	o->pool_used += PAGE_SIZE;
	return page;
}

static void *pool_page(void *ctx, hpa_t hpa)
{
	struct oracle *o = ctx;

	if (hpa.v % PAGE_SIZE || hpa.v - POOL_HPA >= o->pool_used)
		oracle_fail(o, NULL, "page_ptr() of %llx, which is no page of the pool",
			    (unsigned long long)hpa.v);
	return o->pool + (hpa.v - POOL_HPA);
}

static void pool_invalidate(void *ctx)
{
	other_vcpus_store(ctx);
	hw_invalidate(ctx);
}

static void pool_invalidate_gva(void *ctx, gva_t gva)
{
	other_vcpus_store(ctx);
	hw_invalidate_gva(ctx, gva.v);
}

void memory_env(struct oracle *o, unsigned nr_vcpus, u64 shadow_pool)
{
	o->pool_limit = POOL_SIZE;
	o->env = (struct paging_env){
		.alloc_page = pool_alloc,
		.page_ptr = pool_page,
		.memtype = write_back,
		.invalidate = pool_invalidate,
		.invalidate_gva = one_in(o, 4) ? NULL : pool_invalidate_gva,
		.guest_memtype = o->mtrrs ? land_guest_memtype : NULL,
		.ctx = o,
		.shadow_pool = shadow_pool,
		.nr_vcpus = nr_vcpus,
		.maxphyaddr = o->host_maxphyaddr,
	};
}

u64 *memory_pool_entry(struct oracle *o, u64 hpa)
{
	if (hpa - POOL_HPA >= o->pool_used)
		return NULL;
	return (u64 *)(o->pool + (hpa - POOL_HPA));
}

u64 memory_quad(const struct oracle *o, u64 gpa)
{
	const u64 *p = gmem_ptr(&o->gm, GPA(gpa & ~7ull), 8);

	return p ? *p : 0;
}

bool memory_gpa_of(const struct oracle *o, u64 hpa, u64 *gpa)
{
	for (unsigned i = 0; i < NR_AREAS; i++) {
		if (hpa - areas[i].hpa >= areas[i].size || (i == AREA_HUGE && !o->huge))
			continue;
		*gpa = areas[i].gpa + (hpa - areas[i].hpa);
		return true;
	}
	return false;
}

static void touch(struct oracle *o, u64 gpa)
{
	for (unsigned i = 0; i < NR_AREAS; i++) {
		if (gpa - areas[i].gpa < areas[i].size)
			o->touched[i][(gpa - areas[i].gpa) >> PAGE_SHIFT] = 1;
	}
}

static u32 *bucket_of(const struct oracle *o, u64 gpa)
{
	return &o->bucket[(gpa >> 3) * 0x9e3779b97f4a7c15ull >> 48];
}

void memory_forget_changes(struct oracle *o)
{
	for (u32 i = 0; i < o->nr_changes; i++)
		*bucket_of(o, o->changes[i].gpa) = 0;
	o->nr_changes = 0;
}

void memory_changed(struct oracle *o, u64 gpa, u64 old)
{
	u64 value = memory_quad(o, gpa);
	u32 *bucket = bucket_of(o, gpa);

	gpa &= ~7ull;
	if (value == old)
		return;
	if (gpa - TABLES_GPA < sizeof(o->copy))
		memcpy(o->copy + (gpa - TABLES_GPA), &value, 8);
	touch(o, gpa);
	if (o->nr_changes == MAX_CHANGES)
		oracle_fail(o, NULL, "the oracle's log is full");
	o->changes[o->nr_changes] = (struct change){++o->now, gpa, old, value, *bucket};
	*bucket = ++o->nr_changes;
}

/** The first change of `gpa` in a chain of changes whose quadwords share a bucket. */
static const struct change *in_chain(const struct oracle *o, u32 at, u64 gpa)
{
	for (; at; at = o->changes[at - 1].previous) {
		if (o->changes[at - 1].gpa == (gpa & ~7ull))
			return &o->changes[at - 1];
	}
	return NULL;
}

const struct change *memory_last_change(const struct oracle *o, u64 gpa)
{
	return in_chain(o, *bucket_of(o, gpa & ~7ull), gpa);
}

const struct change *memory_previous(const struct oracle *o, const struct change *c)
{
	return in_chain(o, c->previous, c->gpa);
}

void memory_store(struct oracle *o, u64 gpa, const void *data, unsigned len)
{
	u8 *p = gmem_ptr(&o->gm, GPA(gpa), len);
	u64 old = memory_quad(o, gpa);

	if (!p || gpa / 8 != (gpa + len - 1) / 8)
		oracle_fail(o, NULL, "the oracle stores outside of memory");
	memcpy(p, data, len);
	memory_changed(o, gpa, old);
}

void memory_check(struct oracle *o)
{
	const u8 *tables = o->memory[AREA_LOW] + TABLES_GPA;

	if (!memcmp(tables, o->copy, sizeof(o->copy)))
		return;
	for (unsigned i = 0; i < sizeof(o->copy); i += 8) {
		u64 is = *(const u64 *)(tables + i), was;

		memcpy(&was, o->copy + i, 8);
		if (is != was)
			oracle_fail(o, NULL, "guest memory at %llx became %llx, and was %llx",
				    TABLES_GPA + i, (unsigned long long)is,
				    (unsigned long long)was);
	}
}
