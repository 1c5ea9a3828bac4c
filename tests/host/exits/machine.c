/* SPDX-License-Identifier: MIT */
/* The machine under test: its memory, and its guest's state. */
#include <stdlib.h>

#include <sanitizer/asan_interface.h>

#include "exits.h"
#include "vmm/cr.h"
#include "vmm/vmcs_setup.h"
#include "vmm/vmxon.h"

#define POOL MIB(12)
#define GAP MIB(2) /* between guest memory and the pool: nobody's */
#define FIRST_HPA MIB(256)

struct machine *machine;
struct vcpu *vcpu;

static u8 *memory; /* the guest's, the gap, the pool */
static struct boot_info boot;

/** A kernel of the kind that test kernels are: a header, and where to load it. */
static const u32 kernel[16] = {
	0x1badb002, 0x10003, -(0x1badb002u + 0x10003u), 0x400000, 0x400000, 0, 0, 0x400030};

static hpa_t hpa_of(const u8 *p)
{
	return HPA(FIRST_HPA + (u64)(p - memory));
}

static void make_boot_info(const char *options)
{
	char err[OPT_ERROR_MAX];
	u8 *pool = memory + GUEST_MEMORY + GAP;

	boot = (struct boot_info){.nr_guest = 1};
	options_default(&boot.options);
	if (!options_parse(&boot.options, options, strlen(options), err))
		fail_msg("%s", err);
	boot.guest[0] = (struct boot_blob){hpa_of(memory).v, GUEST_MEMORY};
	boot.heap = (struct boot_blob){hpa_of(pool).v + PAGE_SIZE, POOL - PAGE_SIZE};
	memcpy(pool, kernel, sizeof(kernel));
	boot.kernel = (struct boot_blob){hpa_of(pool).v, sizeof(kernel)};
}

static void make_core(void)
{
	core = (struct core){.boot = &boot, .tsc_hz = 1000000000};
	core.direct_base = (u64)memory - FIRST_HPA;
	core.mtrrs = (struct mtrrs){.maxphyaddr = 40, .def_type = MEMTYPE_WB | BIT(11)};
	core.cpu.timer_x2apic = true;
	core.cpu.tsc_per_measure = core.cpu.apic_per_measure = 1 << 20;
	heap_init(HPA(boot.heap.hpa), boot.heap.size);
}

void machine_start(const char *options)
{
	memory = aligned_alloc(MIB(2), GUEST_MEMORY + GAP + POOL);
	ASAN_POISON_MEMORY_REGION(memory + GUEST_MEMORY, GAP);
	processor_reset();
	make_boot_info(options);
	make_core();
	vmx_on();
	core.caps.basic = cpu.caps.basic;
	cpu.caps = core.caps; /* without what features-= takes away: those fields do not exist */
	machine = machine_create(1, boot.options.paging);
	vcpu = machine->vcpu[0];
	guest_mode(GUEST_64, 0);
	memset(vcpu->gpr, 0, sizeof(vcpu->gpr));
	core.machine = machine;
	machine->tsc_start = rdtsc();
	vcpu_run(vcpu);
	assert_int_equal(cpu.entries, 1);
	assert_null(vmcs_event_rule_broken(&cpu.vmcs));
}

void machine_stop(void)
{
	ASAN_UNPOISON_MEMORY_REGION(memory + GUEST_MEMORY, GAP);
	free(memory);
	memory = NULL;
}

void guest_put(u64 gpa, const void *src, size_t len)
{
	memcpy(memory + gpa, src, len);
}

void guest_put64(u64 gpa, u64 value)
{
	guest_put(gpa, &value, sizeof(value));
}

u64 guest_get(u64 gpa, size_t len)
{
	u64 value = 0;

	memcpy(&value, memory + gpa, len);
	return value;
}

void guest_code(const void *bytes, size_t len)
{
	set_field(GUEST_RIP, CODE);
	guest_put(CODE, bytes, len);
}

void guest_nmi(void)
{
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00310), 4, 0);
	pc_mmio_write(&machine->pc, 0, GPA(0xfee00300), 4, 0x4400);
}

/** Large pages, one to one: 4-level paging at TABLES, and 32-bit paging at TABLES + 0x3000. */
static void put_tables(void)
{
	const u64 all = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
	u32 wide;

	guest_put64(TABLES, (TABLES + 0x1000) | all);
	guest_put64(TABLES + 0x1000, (TABLES + 0x2000) | all);
	for (u64 at = 0; at <= NO_MEMORY; at += MIB(2)) {
		u64 entry = at | all | PTE_PS;

		if (at == SUPERVISOR)
			entry &= ~PTE_U;
		if (at == READ_ONLY)
			entry &= ~PTE_W;
		guest_put64(TABLES + 0x2000 + at / MIB(2) * 8, at == NOT_PRESENT ? 0 : entry);
	}
	for (u32 i = 0; i < 4; i++) {
		wide = (u32)(i * MIB(4) | all | PTE_PS);
		guest_put(TABLES + 0x3000 + 4 * i, &wide, 4);
	}
}

/** Access rights: present, with this type, at the ring of code. */
static void set_segments(enum guest_mode mode, unsigned cpl)
{
	static const u32 code[] = {
		[GUEST_64] = 0xa09b,	    [GUEST_COMPAT] = 0xc09b, [GUEST_COMPAT16] = 0x009b,
		[GUEST_PROTECTED] = 0xc09b, [GUEST_PAGED] = 0xc09b,  [GUEST_REAL] = 0x009b,
	};
	bool real = mode == GUEST_REAL;

	for (u32 f = GUEST_ES_SELECTOR; f <= GUEST_GS_SELECTOR; f += 2) {
		bool cs = f == GUEST_CS_SELECTOR;
		u32 ar = (cs ? code[mode] : real ? 0x93u : 0xc093u) | cpl << 5;

		vmcs_set_segment(f, real ? 0 : (u16)((cs ? 0x10 : 0x18) | cpl), 0,
				 real ? 0xffff : ~0u, ar);
	}
	vmcs_set_segment(GUEST_TR_SELECTOR, 0x40, 0, 0x67, AR_TSS_BUSY);
	set_field(GUEST_GDTR_BASE, GDT);
	set_field(GUEST_GDTR_LIMIT, 0xff);
}

void guest_mode(enum guest_mode mode, unsigned cpl)
{
	struct control_regs r = {.cr0 = X86_CR0_ET | X86_CR0_NE};

	if (mode != GUEST_REAL)
		r.cr0 |= X86_CR0_PE;
	if (mode == GUEST_PAGED) {
		r.cr0 |= X86_CR0_PG | X86_CR0_WP;
		r.cr4 = X86_CR4_PSE;
		r.cr3 = TABLES + 0x3000;
	} else if (mode <= GUEST_COMPAT16) {
		r.cr0 |= X86_CR0_PG | X86_CR0_WP;
		r.cr4 = X86_CR4_PAE;
		r.cr3 = TABLES;
		r.efer = EFER_LME | EFER_LMA | EFER_NX | EFER_SCE;
	}
	put_tables();
	vcpu_load_control_regs(vcpu, &r);
	set_segments(mode, cpl);
	set_field(GUEST_RIP, mode == GUEST_REAL ? 0x1000 : CODE);
	set_field(GUEST_RSP, mode == GUEST_REAL ? 0x8000 : STACK);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
}
