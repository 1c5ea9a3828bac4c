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

void bitmaps_pass_msr(struct vcpu *v, u32 msr, enum msr_access access, bool pass)
{
	unsigned offset = access == MSR_WRITE ? MSR_WRITE_LOW : MSR_READ_LOW;
	u8 bit;

	if (v->machine->exits.on & EXIT_SWITCH_BIT(MSR))
		return; /* the bitmap stays full */
	if (msr >= MSR_HIGH_BASE) {
		offset += MSR_READ_HIGH - MSR_READ_LOW;
		msr -= MSR_HIGH_BASE;
	}
	ASSERT(msr < MSR_BITS);
	bit = (u8)(1u << msr % 8);
	if (pass)
		v->msr_bitmap[offset + msr / 8] &= (u8)~bit;
	else
		v->msr_bitmap[offset + msr / 8] |= bit;
}

static void pass(void *ctx, u32 msr, bool write)
{
	bitmaps_pass_msr(ctx, msr, write ? MSR_WRITE : MSR_READ, true);
}

void bitmaps_fill_msr(struct vcpu *v)
{
	memset(v->msr_bitmap, 0xff, PAGE_SIZE);
	msr_pass_through(&v->machine->cpuid, pass, v);
}

hpa_t bitmaps_init_msr(struct vcpu *v)
{
	hpa_t hpa;

	v->msr_bitmap = heap_need(PAGE_SIZE, &hpa, "MSR bitmap");
	bitmaps_fill_msr(v);
	return hpa;
}

void bitmaps_init(struct machine *m)
{
	m->io_bitmap = heap_need(2 * PAGE_SIZE, &m->io_bitmap_hpa, "I/O bitmaps");
	/* No port passes through: every device the guest sees is emulated. */
	memset(m->io_bitmap, 0xff, 2 * PAGE_SIZE);
}
