/* SPDX-License-Identifier: MIT */
/* Into a world and back: descriptors for all rings and modes, page faults that are noted, and the
 * execution of steps in 64-bit mode. legacy.asm executes them in 32-bit modes. */
#include "paging.h"

#include "lib/mem.h"

#define SELECTOR_CODE32 0x18
#define SELECTOR_TSS64 0x38
#define SELECTOR_TSS32 0x48
#define TSS_AVAILABLE 0x89
#define GATE32 0x8e00u
#define GATE_USER 0x6000u
#define STUB_BYTES 16
#define DONE_VECTOR 0x40

#define MSR_EFER 0xc0000080

/** access.asm */
u64 access_run(u64 addr, u64 access, u64 value);
extern u64 access_user_code, access_user_stack;
extern const u8 access_end[];

/** legacy.asm: from here to the mode that these say, through the list, and back. */
struct legacy_state {
	u32 cr0, cr3, cr4, efer;
	u32 user_code, user_stack, steps, wide_entries;
	u32 tss_type; /* address of the type byte of the 32-bit TSS's descriptor */
};
void legacy_run(void);
extern struct legacy_state legacy;
extern const u8 legacy_stubs[256][STUB_BYTES];
extern struct {
	u16 limit;
	u32 base;
} __attribute__((packed)) legacy_idtr;

/* SDM volume 3, section 3.4.5 "Segment Descriptors": flat, accessed. */
static u64 gdt[11] = {
	0,
	0x00af9b000000ffff, /* 0x08: 64-bit code */
	0x00cf93000000ffff, /* 0x10: data */
	0x00cf9b000000ffff, /* 0x18: 32-bit code */
	0x00cff3000000ffff, /* 0x20: data of ring 3 */
	0x00affb000000ffff, /* 0x28: 64-bit code of ring 3 */
	0x00cffb000000ffff, /* 0x30: 32-bit code of ring 3 */
};

/* SDM volume 3, figures 8-11 and 8-2. */
struct tss64 tss64;
static u32 tss32[26];

static u8 kernel_stack[8192] __attribute__((aligned(16)));
static u8 fault_stack[8192] __attribute__((aligned(16)));
static u64 idt32[DONE_VECTOR + 1];

static volatile struct access_result noted;
static u64 host_cr0, host_cr3, host_cr4;

static void set_tss(unsigned selector, u64 base, u64 limit)
{
	gdt[selector / 8] = limit | (base & 0xffffff) << 16 | (u64)TSS_AVAILABLE << 40 |
			    (base >> 24 & 0xff) << 56;
	gdt[selector / 8 + 1] = base >> 32;
}

/** A TSS can be loaded while its descriptor does not say "busy". */
static void load_tss64(void)
{
	gdt[SELECTOR_TSS64 / 8] &= ~BIT(41);
	__asm__ volatile("ltr %w0" ::"r"(SELECTOR_TSS64) : "memory");
}

/** Any exception of an access, and the INT with which ring 3 ends one that works. */
static void on_end(struct trap_frame *f)
{
	if (f->vector != DONE_VECTOR) {
		noted.vector = (u32)f->vector;
		noted.error = (u32)f->error;
		__asm__ volatile("mov %%cr2, %0" : "=r"(noted.cr2));
	}
	f->rip = (u64)access_end;
	f->cs = SELECTOR_CODE64;
	f->ss = SELECTOR_DATA;
	f->rsp = (u64)kernel_stack; /* access_end takes another one */
	f->rflags = X86_EFLAGS_FIXED;
}

void exec_init(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) gdtr = {sizeof(gdt) - 1, (u64)gdt};

	set_tss(SELECTOR_TSS64, (u64)&tss64, sizeof(tss64) - 1);
	set_tss(SELECTOR_TSS32, (u64)tss32, sizeof(tss32) - 1);
	tss64.rsp0 = (u64)kernel_stack + sizeof(kernel_stack);
	tss64.io_map = sizeof(tss64);
	tss32[1] = (u32)(u64)kernel_stack + sizeof(kernel_stack); /* ESP0 */
	tss32[2] = SELECTOR_DATA;
	tss32[25] = sizeof(tss32) << 16;
	legacy.tss_type = (u32)(u64)&gdt[SELECTOR_TSS32 / 8] + 5;
	__asm__ volatile("lgdt %0" ::"m"(gdtr));
	load_tss64();

	for (unsigned i = 0; i < ARRAY_SIZE(idt32); i++) {
		u64 at = (u64)legacy_stubs[i];

		idt32[i] = (at & 0xffff) | SELECTOR_CODE32 << 16 |
			   (u64)(GATE32 | (i == DONE_VECTOR ? GATE_USER : 0)) << 32 |
			   (at & 0xffff0000) << 32;
	}
	legacy_idtr.limit = sizeof(idt32) - 1;
	legacy_idtr.base = (u32)(u64)idt32;
	tss64.ist[PF_STACK - 1] = (u64)fault_stack + sizeof(fault_stack);
	tss64.ist[DF_STACK - 1] = (u64)fault_stack + sizeof(fault_stack);
	trap_stack(PF_VECTOR, PF_STACK);
	trap_stack(DF_VECTOR, DF_STACK);
	trap_set(PF_VECTOR, on_end);
	trap_set(DF_VECTOR, on_end);
	trap_set(GP_VECTOR, on_end);
	trap_set(DONE_VECTOR, on_end);
	trap_from_user(DONE_VECTOR);
}

void world_enter(const struct world *w)
{
	host_cr0 = read_cr0();
	host_cr3 = read_cr3();
	host_cr4 = read_cr4();
	access_user_code = w->user_code;
	access_user_stack = w->user_stack;
	wrmsr(MSR_EFER, (rdmsr(MSR_EFER) & ~EFER_NX) | (w->c.efer & EFER_NX));
	write_cr3(w->root);
	write_cr4(w->c.cr4);
	write_cr0(w->c.cr0);
	if (w->c.cr4 & X86_CR4_PKE)
		__asm__ volatile("wrpkru" ::"a"(w->c.pkru), "c"(0), "d"(0));
}

void world_enter_64(struct world *w)
{
	arena_reset();
	world_build(w, MODE_64);
	w->c.cr0 |= X86_CR0_WP;
	w->c.efer = has.nx ? EFER_NX : 0;
	world_enter(w);
}

void world_leave(void)
{
	write_cr0(host_cr0);
	write_cr3(read_cr3() & PTE_ADDRESS); /* of PCID 0, so that CR4.PCIDE may go away */
	write_cr4(host_cr4);
	write_cr3(host_cr3);
}

struct access_result access_now(u32 access, u64 addr, u64 value)
{
	noted.vector = NO_VECTOR;
	value = access_run(addr, access, value);
	return (struct access_result){noted.vector, noted.error, noted.cr2, value};
}

static void write_cr(struct step *s)
{
	if (s->op == STEP_CR0)
		s->vector = (u32)TRY("mov %0, %%cr0", ::"r"(s->value) : "memory");
	else if (s->op == STEP_CR3)
		s->vector = (u32)TRY("mov %0, %%cr3", ::"r"(s->value) : "memory");
	else
		s->vector = (u32)TRY("mov %0, %%cr4", ::"r"(s->value) : "memory");
}

static void exec_step(struct step *s)
{
	u64 descriptor[2] = {s->value, s->address};
	struct access_result r;

	switch (s->op) {
	case STEP_STORE:
		*(volatile u64 *)s->address = s->value;
		break;
	case STEP_LOAD:
		s->got = *(volatile u64 *)s->address;
		break;
	case STEP_INVLPG:
		invlpg(s->address);
		break;
	case STEP_ACCESS:
		r = access_now(s->access, s->address, s->value);
		s->vector = r.vector;
		s->error = r.error;
		s->cr2 = r.cr2;
		s->got = r.value;
		break;
	case STEP_INVPCID:
		s->vector = (u32)TRY("invpcid %0, %1", ::"m"(*(const u64(*)[2])descriptor),
				     "r"((u64)s->type)
				     : "memory");
		break;
	default:
		write_cr(s);
	}
}

static void exec_legacy(const struct world *w, struct step *steps)
{
	legacy.cr0 = (u32)w->c.cr0;
	legacy.cr3 = (u32)w->root;
	legacy.cr4 = (u32)w->c.cr4;
	legacy.efer = (u32)(w->c.efer & EFER_NX);
	legacy.user_code = (u32)w->user_code;
	legacy.user_stack = (u32)w->user_stack;
	legacy.steps = (u32)(u64)steps;
	legacy.wide_entries = mode_info[w->c.mode].entry_bytes == 8;
	legacy_run();
	load_tss64();
}

void exec_steps(const struct world *w, struct step *steps)
{
	if (w->c.mode != MODE_64) {
		exec_legacy(w, steps);
		return;
	}
	world_enter(w);
	for (; steps->op; steps++)
		exec_step(steps);
	world_leave();
}
