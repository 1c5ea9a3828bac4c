/* SPDX-License-Identifier: MIT */
/* The page pool. */
#include "heap.h"

#include "core.h"
#include "lib/mem.h"
#include "panic.h"

void heap_init(hpa_t base, u64 size)
{
	core.heap = (struct heap){.base = base, .pages = size / PAGE_SIZE};
}

void *heap_alloc(u64 pages, hpa_t *hpa)
{
	struct heap *h = &core.heap;
	hpa_t at = HPA(h->base.v + h->used * PAGE_SIZE);

	if (pages > h->pages - h->used)
		return NULL;
	h->used += pages;
	if (hpa)
		*hpa = at;
	return memset(phys_ptr(at), 0, pages * PAGE_SIZE);
}

void *heap_need(u64 bytes, hpa_t *hpa, const char *what)
{
	void *p = heap_alloc(ALIGN_UP(bytes, PAGE_SIZE) / PAGE_SIZE, hpa);

	if (!p)
		panic("the page pool is used up: no %s", what);
	return p;
}

u64 heap_mark(void)
{
	return core.heap.used;
}

void heap_release(u64 mark)
{
	core.heap.used = mark;
}
