/* SPDX-License-Identifier: MIT */
/* Where there is no IA-32e mode: protected mode without paging, virtual-8086 and real mode. Each
 * flight goes there and comes back, which makes exits of its own: as many as one that does nothing.
 */
#include "probe.h"

#include "lib/mem.h"

#define NR_VECTORS 256
#define GATE_32 0x8e00u
#define GATE_DPL_3 0x6000u
#define LOW 0x60000u
#define LOW_CODE 0xc000u /* offsets there: shots, and the interrupt table */
#define LOW_IVT 0x8000u
#define STUB_BYTES 16
#define LOW_STUB_BYTES 8
#define TSS_IO_MAP 102
#define TSS_BYTES 104
#define PORT_BYTES 8192
#define TSS_TYPE_32 0x89ull

/* legacy.asm */
extern const u8 legacy_stubs[NR_VECTORS][STUB_BYTES], low_begin[], low_end[], low_stubs[];
extern u8 tss_main[TSS_BYTES + PORT_BYTES + 1], tss_other[TSS_BYTES];
extern u64 legacy_idt[NR_VECTORS];
extern u32 tasks_seen[5];
void task_other(void);
void legacy_fly(struct flight *f);

static bool ready;

static u64 descriptor(u32 base, u32 limit, u64 access_flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | access_flags << 40 |
	       (u64)(base >> 24) << 56;
}

static void set_up_tasks(u64 *gdt)
{
	u32 *tss = (u32 *)tss_other;

	gdt[TSS_MAIN / 8] = descriptor((u32)(u64)tss_main, sizeof(tss_main) - 1, TSS_TYPE_32);
	gdt[TSS_OTHER / 8] = descriptor((u32)(u64)tss_other, TSS_BYTES - 1, TSS_TYPE_32);
	gdt[CODE16 / 8] = descriptor(LOW, 0xffff, 0x9b);
	gdt[DATA16 / 8] = descriptor(LOW, 0xffff, 0x93);
	*(u16 *)(tss_main + TSS_IO_MAP) = TSS_BYTES;
	memset(tss_other, 0, TSS_BYTES);
	tss[8] = (u32)(u64)task_other; /* EIP */
	tss[9] = X86_EFLAGS_FIXED;
	tss[10] = 0x600df00d; /* EAX */
	tss[14] = (u32)(u64)legacy_stack() - 256;
	for (unsigned i = 18; i < 24; i++) /* ES, CS, SS, DS, FS, GS */
		tss[i] = DATA_0;
	tss[19] = CODE32_0;
}

static void set_up(void)
{
	u64 *gdt = probe_gdt();
	u32 *ivt = (u32 *)(u64)(LOW + LOW_IVT);

	for (unsigned i = 0; i < NR_VECTORS; i++) {
		u64 at = (u64)legacy_stubs[i];
		u64 type = GATE_32 | (i == LANDING ? GATE_DPL_3 : 0);

		legacy_idt[i] =
			(at & 0xffff) | (u64)CODE32_0 << 16 | type << 32 | (at & 0xffff0000) << 32;
		ivt[i] = (LOW >> 4) << 16 | (u32)(low_stubs - low_begin + i * LOW_STUB_BYTES);
	}
	memset(tss_main + TSS_BYTES, 0xff, PORT_BYTES + 1);
	memcpy((void *)(u64)LOW, low_begin, (size_t)(low_end - low_begin));
	set_up_tasks(gdt);
	ready = true;
}

bool real_mode_is_there(void)
{
	return control_is_on(WORD_CPU2, CPU2_UNRESTRICTED_GUEST);
}

u8 *legacy_room(enum place p)
{
	return p == PROTECTED0 || p == PROTECTED3 ? NULL : (u8 *)(u64)(LOW + LOW_CODE);
}

/** There and back. */
static void fly(struct flight *f)
{
	u64 *gdt = probe_gdt();

	if (!ready)
		set_up();
	/* LTR takes one that is not busy. */
	gdt[TSS_MAIN / 8] &= ~(BIT(41));
	legacy_fly(f);
	gdt[TSS_64 / 8] &= ~(BIT(41));
	__asm__ volatile("ltr %w0\n\tmovl %1, %%ds\n\tmovl %1, %%es" ::"r"(TSS_64), "r"(DATA_3)
			 : "memory");
}

static void take_off(enum place p, const struct trap_frame *in, struct flight *f)
{
	*f = (struct flight){
		.kind = p == REAL ? FLIGHT_REAL : FLIGHT_SHOT,
		.eip = (u32)in->rip,
		.cs = p == PROTECTED3 ? CODE32_3 : CODE32_0,
		.eflags = (u32)in->rflags,
		.esp = (u32)in->rsp,
		.ss = p == PROTECTED3 ? DATA_3 : DATA_0,
		.eax = (u32)in->rax,
		.ecx = (u32)in->rcx,
		.edx = (u32)in->rdx,
		.ebx = (u32)in->rbx,
		.esi = (u32)in->rsi,
		.edi = (u32)in->rdi,
		.ebp = (u32)in->rbp,
	};
	if (p == PROTECTED0 || p == PROTECTED3)
		return;
	f->eip = LOW_CODE + ((u32)in->rip - (u32)(u64)legacy_room(p));
	f->cs = f->ss = LOW >> 4;
	f->esp = 0xf800;
	if (p == VIRTUAL8086) /* INT n is allowed there with IOPL 3 only */
		f->eflags |= (u32)(X86_EFLAGS_VM | X86_EFLAGS_IOPL);
}

void legacy_permit_port(u16 port, bool yes)
{
	u8 bit = (u8)(1 << port % 8), *byte = &tss_main[TSS_BYTES + port / 8];

	if (!ready)
		set_up();
	*byte = (u8)(yes ? *byte & ~bit : *byte | bit);
}

void legacy_enter(enum place p, const struct trap_frame *in, struct trap_frame *out)
{
	struct flight f;

	take_off(p, in, &f);
	fly(&f);
	*out = (struct trap_frame){
		.rax = f.eax,
		.rcx = f.ecx,
		.rdx = f.edx,
		.rbx = f.ebx,
		.rsi = f.esi,
		.rdi = f.edi,
		.rbp = f.ebp,
		.vector = f.vector,
		.error = f.error,
		.rip = f.eip,
		.cs = f.cs,
		.rflags = f.eflags,
		.rsp = in->rsp,
	};
	if (p == VIRTUAL8086) {
		out->rflags &= ~(X86_EFLAGS_VM | X86_EFLAGS_IOPL);
		out->rflags |= in->rflags & X86_EFLAGS_IOPL;
	}
	if (p == VIRTUAL8086 || p == REAL)
		out->rip += (u64)legacy_room(p) - LOW_CODE;
}

void legacy_tasks(void)
{
	struct flight f = {.kind = FLIGHT_TASKS};

	if (!ready)
		set_up();
	set_up_tasks(probe_gdt());
	memset(tasks_seen, 0, sizeof(tasks_seen));
	fly(&f);
	check(tasks_seen[0] == (1 | 1 << 8 | TSS_MAIN << 16),
	      "the registers, CF and TR of the caller: %x", tasks_seen[0]);
	check(read_cr0() & X86_CR0_TS, "CR0.TS afterwards");
	write_cr0(read_cr0() & ~X86_CR0_TS);
	check(!(tasks_seen[1] & X86_EFLAGS_NT), "NT afterwards: %x", tasks_seen[1]);
	check(tasks_seen[2] == TSS_OTHER && tasks_seen[3] == 0x600df00d &&
		      (tasks_seen[4] & X86_EFLAGS_NT),
	      "the task had TR %x, EAX %x, EFLAGS %x", tasks_seen[2], tasks_seen[3], tasks_seen[4]);
}
