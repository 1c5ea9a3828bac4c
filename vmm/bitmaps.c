/* SPDX-License-Identifier: MIT */
/* Filling in the I/O and MSR bitmaps. */
#include "bitmaps.h"

#include "core.h"
#include "lib/mem.h"
#include "panic.h"

/* Layout of the MSR bitmap: reads of low and high MSRs, then writes. */
#define MSR_READ_LOW 0
#define MSR_READ_HIGH 1024
#define MSR_WRITE_LOW 2048
#define MSR_WRITE_HIGH 3072
#define MSR_HIGH_BASE 0xc0000000u
#define MSR_BITS 8192

static void pass_msr(void *ctx, u32 msr, bool write)
{
	struct machine *m = ctx;
	unsigned offset = write ? MSR_WRITE_LOW : MSR_READ_LOW;

	if (msr >= MSR_HIGH_BASE) {
		offset += MSR_READ_HIGH - MSR_READ_LOW;
		msr -= MSR_HIGH_BASE;
	}
	ASSERT(msr < MSR_BITS);
	m->msr_bitmap[offset + msr / 8] &= (u8) ~(1u << msr % 8);
}

void bitmaps_init(struct machine *m)
{
	m->io_bitmap = heap_need(2 * PAGE_SIZE, &m->io_bitmap_hpa, "bitmaps");
	m->msr_bitmap = heap_need(PAGE_SIZE, &m->msr_bitmap_hpa, "bitmaps");
	/* No port passes through: every device the guest sees is emulated. */
	memset(m->io_bitmap, 0xff, 2 * PAGE_SIZE);
	memset(m->msr_bitmap, 0xff, PAGE_SIZE);
	msr_pass_through(&m->cpuid, pass_msr, m);
}
