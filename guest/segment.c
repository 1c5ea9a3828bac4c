/* SPDX-License-Identifier: MIT */
/* Limits, types and canonical addresses. */
#include "guest/segment.h"

/* Access rights. */
#define AR_CODE BIT(3)
#define AR_EXPAND_DOWN BIT(2) /* of data; of code: conforming */
#define AR_READABLE BIT(1)    /* of code; of data: writable */
#define AR_DB BIT(14)
#define AR_UNUSABLE BIT(16)

/** Section 5.5.1: code is never written, and not always read; data is always read. */
static bool type_allows(enum segment_mode mode, u32 ar, bool write)
{
	if (ar & AR_CODE)
		return mode == SEGMENT_REAL || (!write && ar & AR_READABLE);
	return !write || ar & AR_READABLE;
}

static bool within_limit(const struct segment *s, u64 first, u64 last)
{
	if (!(s->ar & AR_CODE) && (s->ar & AR_EXPAND_DOWN))
		return first > s->limit && last <= (s->ar & AR_DB ? 0xffffffff : 0xffff);
	return last <= s->limit;
}

bool segment_allows(enum segment_mode mode, const struct segment *s, u64 offset, u64 len,
		    bool write)
{
	u64 last = offset + len - 1;

	if (mode == SEGMENT_64)
		return is_canonical(s->base + offset) && is_canonical(s->base + last);
	return !(s->ar & AR_UNUSABLE) && type_allows(mode, s->ar, write) &&
	       within_limit(s, offset, last);
}

bool segment_misaligned(gva_t gva, u64 len)
{
	const u64 base = len - sizeof(u16); /* of a pseudo-descriptor; 0: there is none */

	return (gva.v & 1) || (base && (gva.v + sizeof(u16)) % base);
}
