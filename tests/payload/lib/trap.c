/* SPDX-License-Identifier: MIT */
/* The interrupt table, and what becomes of an interrupt or exception. */
#include "payload.h"

#define CODE_SELECTOR 0x08
#define GATE_INTERRUPT 0x8e00
#define GATE_DPL_3 0x6000
#define GATE_IST 7
#define STUB_BYTES 16
#define VERDICT_TRAP 0x200

/** entry.asm: 256 of them. */
extern const u8 trap_stubs[256][STUB_BYTES];

/** entry.asm calls it. */
void trap(struct trap_frame *f);

/* SDM volume 3, figure 6-8 "64-Bit IDT Gate Descriptors". */
static struct gate {
	u16 offset_low, selector, type, offset_middle;
	u32 offset_high, reserved;
} idt[256];

static void (*handlers[256])(struct trap_frame *f);

volatile struct fault fault;
volatile u64 fault_resume;

void trap_init(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (u64)idt};

	for (unsigned i = 0; i < ARRAY_SIZE(idt); i++) {
		u64 at = (u64)trap_stubs[i];

		idt[i] = (struct gate){(u16)at,		(u16)CODE_SELECTOR, GATE_INTERRUPT,
				       (u16)(at >> 16), (u32)(at >> 32),    0};
	}
	__asm__ volatile("lidt %0" ::"m"(idtr));
}

void trap_from_user(u8 vector)
{
	idt[vector].type |= GATE_DPL_3;
}

void trap_stack(u8 vector, unsigned ist)
{
	idt[vector].type = (u16)((idt[vector].type & ~GATE_IST) | ist);
}

void trap_set(u8 vector, void (*fn)(struct trap_frame *f))
{
	handlers[vector] = fn;
}

void trap(struct trap_frame *f)
{
	if (f->vector < 32 && fault_resume) {
		fault.vector = (s64)f->vector;
		fault.error = f->error;
		fault.rip = f->rip;
		fault.rflags = f->rflags;
		f->rip = fault_resume;
		return;
	}
	if (handlers[f->vector]) {
		handlers[f->vector](f);
		return;
	}
	check(false, "unexpected vector %lu, error %lx, at %lx, rflags %lx",
	      (unsigned long)f->vector, (unsigned long)f->error, (unsigned long)f->rip,
	      (unsigned long)f->rflags);
	payload_exit(VERDICT_TRAP + (u32)f->vector);
}

s64 try_rdmsr(u32 msr, u64 *value)
{
	u32 low = 0, high = 0;
	s64 vector = TRY("rdmsr", : "+a"(low), "+d"(high) : "c"(msr) : "memory");

	*value = (u64)high << 32 | low;
	return vector;
}

s64 try_wrmsr(u32 msr, u64 value)
{
	return TRY("wrmsr", ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
