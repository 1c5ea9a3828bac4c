/* SPDX-License-Identifier: MIT */
/* Task-state segments: between memory and registers. */
#include "task.h"
#include "x86.h"

/* Flags that there are; the others read 0, but for bit 1 (SDM volume 1, figure 3-8). */
#define EFLAGS_DEFINED 0x3f7fd5u

static u32 get16(const u8 *p)
{
	return p[0] | (u32)p[1] << 8;
}

static u32 get32(const u8 *p)
{
	return get16(p) | get16(p + 2) << 16;
}

static void put16(u8 *p, u32 value)
{
	p[0] = (u8)value;
	p[1] = (u8)(value >> 8);
}

static void put32(u8 *p, u32 value)
{
	put16(p, value);
	put16(p + 2, value >> 16);
}

/* Offsets. Registers and selectors follow each other in the processor's numbering. */
enum { CR3_32 = 0x1c, EIP_32 = 0x20, EFLAGS_32 = 0x24, EAX_32 = 0x28, ES_32 = 0x48 };
enum { LDT_32 = 0x60, T_32 = 0x64 };
enum { IP_16 = 0x0e, FLAGS_16 = 0x10, AX_16 = 0x12, ES_16 = 0x22, LDT_16 = 0x2a };

/* A 16-bit TSS knows no FS and GS. */
#define NR_SEGMENTS_16 4

static void save32(u8 *image, const struct task_state *st)
{
	put32(image + EIP_32, st->eip);
	put32(image + EFLAGS_32, st->eflags);
	for (unsigned i = 0; i < 8; i++)
		put32(image + EAX_32 + 4 * i, st->gpr[i]);
	/* The other half of a selector's slot is reserved: as it was. */
	for (unsigned i = 0; i < 6; i++)
		put16(image + ES_32 + 4 * i, st->seg[i].selector);
}

static void save16(u8 *image, const struct task_state *st)
{
	put16(image + IP_16, st->eip);
	put16(image + FLAGS_16, st->eflags);
	for (unsigned i = 0; i < 8; i++)
		put16(image + AX_16 + 2 * i, st->gpr[i]);
	for (unsigned i = 0; i < NR_SEGMENTS_16; i++)
		put16(image + ES_16 + 2 * i, st->seg[i].selector);
}

void tss_save(u8 *image, bool wide, const struct task_state *st)
{
	if (wide)
		save32(image, st);
	else
		save16(image, st);
}

static void load32(const u8 *image, struct task *t)
{
	struct task_state *st = t->st;

	t->cr3 = get32(image + CR3_32);
	t->trap = image[T_32] & 1;
	st->eip = get32(image + EIP_32);
	st->eflags = get32(image + EFLAGS_32);
	for (unsigned i = 0; i < 8; i++)
		st->gpr[i] = get32(image + EAX_32 + 4 * i);
	for (unsigned i = 0; i < 6; i++)
		st->seg[i].selector = (u16)get16(image + ES_32 + 4 * i);
	st->ldtr.selector = (u16)get16(image + LDT_32);
}

/** The upper halves of the general registers come out as ones, as processors of the time left them
 *  and Bochs does; the SDM calls them nothing. */
static void load16(const u8 *image, struct task *t)
{
	struct task_state *st = t->st;

	st->eip = get16(image + IP_16);
	st->eflags = get16(image + FLAGS_16);
	for (unsigned i = 0; i < 8; i++)
		st->gpr[i] = 0xffff0000u | get16(image + AX_16 + 2 * i);
	for (unsigned i = 0; i < NR_SEGMENTS_16; i++)
		st->seg[i].selector = (u16)get16(image + ES_16 + 2 * i);
	st->seg[SEG_FS].selector = st->seg[SEG_GS].selector = 0;
	st->ldtr.selector = (u16)get16(image + LDT_16);
}

void tss_load(const u8 *image, struct task *t)
{
	if (t->wide)
		load32(image, t);
	else
		load16(image, t);
	t->st->eflags = (t->st->eflags & EFLAGS_DEFINED) | (u32)X86_EFLAGS_FIXED;
}
