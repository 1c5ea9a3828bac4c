/* SPDX-License-Identifier: MIT */
/* The core's main program: the machine is taken over, guests run one after another, it ends. */
#include "core.h"
#include "host_paging.h"
#include "host_timer.h"
#include "insn.h"
#include "lib/reproducible.h"
#include "machine.h"
#include "msr_index.h"
#include "panic.h"
#include "pci.h"
#include "poweroff.h"
#include "vmxon.h"

#define COM1 0x3f8

struct core core;

/** What follows a run. */
enum run_end {
	RUN_AGAIN,    /* another one of the same guest in the same mode */
	RUN_OVER,     /* the guest is done */
	RUN_ENDS_ALL, /* the operator wants the machine off */
};

static void check_hand_off(void)
{
	const struct boot_info *b = core.boot;

	if (b->magic != BOOT_INFO_MAGIC || b->version != BOOT_INFO_VERSION || b->size != sizeof(*b))
		panic("the loader and the core in this file do not belong together; rebuild it");
}

static void read_mtrrs(void)
{
	struct mtrrs *m = &core.mtrrs;
	u64 cap = rdmsr(MSR_MTRRcap);
	struct cpuid_regs r;

	cpuid(0x80000008, 0, &r);
	m->maxphyaddr = (u8)r.eax;
	m->def_type = rdmsr(MSR_MTRRdefType);
	m->nr_var = MIN(cap & 0xff, MTRR_VAR_MAX);
	for (unsigned i = 0; i < m->nr_var; i++) {
		m->base[i] = rdmsr(MSR_MTRRphysBase0 + 2 * i);
		m->mask[i] = rdmsr(MSR_MTRRphysMask0 + 2 * i);
	}
	if (!(cap & BIT(8))) /* no fixed ranges */
		return;
	m->fixed[0] = rdmsr(MSR_MTRRfix64K_00000);
	for (unsigned i = 0; i < 2; i++)
		m->fixed[1 + i] = rdmsr(MSR_MTRRfix16K_80000 + i);
	for (unsigned i = 0; i < 8; i++)
		m->fixed[3 + i] = rdmsr(MSR_MTRRfix4K_C0000 + i);
}

static void take_over(void)
{
	cpu_init();
	heap_init(HPA(core.boot->heap.hpa), core.boot->heap.size);
	host_paging_init();
	if (core.boot->options.screen)
		console_init_screen();
	cpu_mask_interrupts();
	read_mtrrs();
	host_timer_init();
	if (core.boot->options.reproducible)
		core.tsc_hz = reproducible_hz(core.tsc_hz);
	unsigned stopped = pci_stop_dma();

	klog("firmware %s; TSC %llu.%03llu MHz; %llu KiB page pool; DMA stopped in %u devices",
	     core.boot->firmware, (unsigned long long)(core.tsc_hz / 1000000),
	     (unsigned long long)(core.tsc_hz / 1000 % 1000),
	     (unsigned long long)(core.heap.pages * 4), stopped);
}

static void say_memory(void)
{
	static const char *const kinds[] = {
		[BOOT_MEM_FREE] = "free",	  [BOOT_MEM_CORE] = "hypervisor",
		[BOOT_MEM_GUEST] = "guest",	  [BOOT_MEM_RUNTIME] = "firmware runtime",
		[BOOT_MEM_ACPI] = "ACPI",	  [BOOT_MEM_MMIO] = "MMIO",
		[BOOT_MEM_RESERVED] = "reserved",
	};

	for (unsigned i = 0; i < core.boot->nr_mem; i++) {
		const struct boot_mem *m = &core.boot->mem[i];

		klog("memory %012llx-%012llx %s", (unsigned long long)m->hpa,
		     (unsigned long long)(m->hpa + m->size - 1),
		     m->kind < ARRAY_SIZE(kinds) ? kinds[m->kind] : "?");
	}
}

/** One life of the guest, from its files to its statistics, which are kept in `r`. A machine is
 * made anew for each: nothing of the old one is left to be cleared, and the files are in memory of
 * the hypervisor's. */
static enum run_end run_once(unsigned run, u32 paging, struct exit_run *r)
{
	u64 mark = heap_mark();
	struct machine *m = machine_create(run, paging);
	enum run_end end;

	machine_run(m);
	if (core.cpu.nmis || core.cpu.stray_interrupts)
		klog("since boot: %llu NMIs and %llu interrupts that nobody here asked for",
		     (unsigned long long)core.cpu.nmis,
		     (unsigned long long)core.cpu.stray_interrupts);
	machine_check_isolation(m, true);
	machine_sum_up(m, r);
	end = machine_restarts(m)	       ? RUN_AGAIN
	      : m->outcome == OUTCOME_OPERATOR ? RUN_ENDS_ALL
					       : RUN_OVER;
	heap_release(mark);
	return end;
}

/** The guest in one paging mode, until it does not start anew; its last life is kept in `r`. False:
 *  the operator ended it. */
static bool run_guest(unsigned *run, u32 paging, struct exit_run *r)
{
	enum run_end end;

	do
		end = run_once((*run)++, paging, r);
	while (end == RUN_AGAIN);
	return end != RUN_ENDS_ALL;
}

static void compare(const struct exit_run *a, const struct exit_run *b)
{
	exit_compare_print(a, b, &console_text);
	if (!exit_compare_same_end(a, b))
		klog("paging=compare: the guest did not come to the same end in both modes: what "
		     "they did is not the same");
}

/** What keeps two modes from being compared. */
static void say_lacking(void)
{
	for (u32 mode = 0; mode < PAGING_MODES; mode++) {
		if (core.boot->modes_lacking & BIT(mode))
			klog("paging=compare: this processor lacks what paging=%s requires: the "
			     "guest runs without it, and there is nothing to compare",
			     paging_name(mode));
	}
}

/** The guest in each of the modes. False: the operator ended it. */
static bool run_modes(const u32 *modes, unsigned nr, struct exit_run *r)
{
	unsigned run = 1;

	for (unsigned i = 0; i < nr; i++) {
		if (!run_guest(&run, modes[i], &r[i]))
			return false;
	}
	return true;
}

/** The guest as paging= asks for it: in one mode, or to compare in two. */
static void run_all(void)
{
	struct exit_run *r = heap_need(PAGING_COMPARED * sizeof(*r), NULL, "results of the runs");
	u32 asked[PAGING_COMPARED], modes[PAGING_COMPARED];
	unsigned nr_asked = paging_modes(core.boot->options.paging, asked), nr = 0;

	for (unsigned i = 0; i < nr_asked; i++) {
		if (!(core.boot->modes_lacking & BIT(asked[i])))
			modes[nr++] = asked[i];
	}
	say_lacking();
	if (nr > 1)
		klog("paging=compare: the guest runs under %s, and when it has ended, anew under "
		     "%s",
		     paging_name(modes[0]), paging_name(modes[1]));
	if (!run_modes(modes, nr, r)) {
		if (nr > 1)
			klog("paging=compare: ended by the operator, nothing is compared");
	} else if (nr > 1) {
		compare(&r[0], &r[1]);
	} else {
		say_lacking();
	}
}

/** For whoever has nothing but the screen: it goes dark with the machine. */
static _Noreturn void stay_on(void)
{
	klog("the machine stays on, as at_end=stay wants: it is safe to switch it off now");
	console_flush();
	halt_forever();
}

/** From entry.asm: `boot` is a host-physical address, identity-mapped by boot/. */
_Noreturn void core_main(struct boot_info *boot);

_Noreturn void core_main(struct boot_info *boot)
{
	core.boot = boot;
	console_init(COM1);
	core.on_bochs = detect_bochs();
	check_hand_off();
	klog("Tallyvisor " TV_VERSION_STRING " has the machine");
	take_over();
	if (core.boot->options.verbose)
		say_memory();
	vmx_on();
	run_all();
	vmx_off();
	if (core.boot->options.at_end == END_STAYS)
		stay_on();
	machine_off();
}
