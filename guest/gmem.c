/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory: a short, unsorted list of slots. The list is so short (a handful of
 * chunks of firmware memory) that a linear search beats anything cleverer.
 *
 * Every comparison is written as "offset < size" so that no sum of guest-given numbers can wrap.
 */
#include "gmem.h"
#include "lib/mem.h"

/** No processor has physical addresses beyond 52 bits; so no access below can wrap at 2^64. */
#define GPA_LIMIT BIT(52)

static bool slot_overlaps(const struct gmem_slot *s, u64 gpa, u64 size)
{
	if (!s->size)
		return false;
	return gpa < s->gpa.v ? s->gpa.v - gpa < size : gpa - s->gpa.v < s->size;
}

/** Is `s` a slot that could stand beside those there are? */
static bool slot_valid(const struct gmem *gm, const struct gmem_slot *s)
{
	if (!s->size || (s->gpa.v | s->size | s->hpa.v) & ~PAGE_MASK)
		return false;
	if (s->gpa.v >= GPA_LIMIT || s->size > GPA_LIMIT - s->gpa.v)
		return false;
	for (unsigned i = 0; i < gm->nr; i++) {
		if (slot_overlaps(&gm->slot[i], s->gpa.v, s->size))
			return false;
	}
	return !slot_overlaps(&gm->device, s->gpa.v, s->size);
}

bool gmem_add(struct gmem *gm, gpa_t gpa, u64 size, hpa_t hpa, void *hva)
{
	struct gmem_slot s = {.gpa = gpa, .size = size, .hpa = hpa, .hva = hva};

	if (gm->nr >= GMEM_MAX_SLOTS || !slot_valid(gm, &s))
		return false;
	gm->slot[gm->nr++] = s;
	return true;
}

bool gmem_set_device(struct gmem *gm, gpa_t gpa, u64 size, hpa_t hpa, void *hva)
{
	struct gmem_slot s = {.gpa = gpa, .size = size, .hpa = hpa, .hva = hva};

	if (!slot_valid(gm, &s))
		return false;
	gm->device = s;
	return true;
}

const struct gmem_slot *gmem_slot(const struct gmem *gm, gpa_t gpa)
{
	for (unsigned i = 0; i < gm->nr; i++) {
		const struct gmem_slot *s = &gm->slot[i];

		/* Below the slot the difference wraps to something huge: one compare does both. */
		if (gpa.v - s->gpa.v < s->size)
			return s;
	}
	return gpa.v - gm->device.gpa.v < gm->device.size ? &gm->device : NULL;
}

void *gmem_ptr(const struct gmem *gm, gpa_t gpa, u64 len)
{
	const struct gmem_slot *s = gmem_slot(gm, gpa);

	if (!s || len > s->size - (gpa.v - s->gpa.v))
		return NULL;
	return s->hva + (gpa.v - s->gpa.v);
}

/** The bytes at `gpa` that are contiguous here, at most `len`; NULL where it is not RAM. */
static u8 *piece(const struct gmem *gm, u64 gpa, u64 len, u64 *got)
{
	const struct gmem_slot *s = gmem_slot(gm, GPA(gpa));
	u64 offset;

	if (!s)
		return NULL;
	offset = gpa - s->gpa.v;
	*got = MIN(len, s->size - offset);
	return s->hva + offset;
}

bool gmem_read(const struct gmem *gm, gpa_t gpa, void *dst, u64 len)
{
	u8 *out = dst;
	u64 n;

	for (u64 at = gpa.v; len; at += n, out += n, len -= n) {
		const u8 *p = piece(gm, at, len, &n);

		if (!p)
			return false;
		memcpy(out, p, n);
	}
	return true;
}

bool gmem_write(const struct gmem *gm, gpa_t gpa, const void *src, u64 len)
{
	const u8 *in = src;
	u64 n;

	for (u64 at = gpa.v; len; at += n, in += n, len -= n) {
		u8 *p = piece(gm, at, len, &n);

		if (!p)
			return false;
		memcpy(p, in, n);
	}
	return true;
}

bool gmem_set(const struct gmem *gm, gpa_t gpa, u8 byte, u64 len)
{
	u64 n;

	for (u64 at = gpa.v; len; at += n, len -= n) {
		u8 *p = piece(gm, at, len, &n);

		if (!p)
			return false;
		memset(p, byte, n);
	}
	return true;
}

u64 gmem_size(const struct gmem *gm)
{
	u64 sum = 0;

	for (unsigned i = 0; i < gm->nr; i++)
		sum += gm->slot[i].size;
	return sum;
}
