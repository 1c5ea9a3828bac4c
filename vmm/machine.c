/* SPDX-License-Identifier: MIT */
/* Building, running and ending one guest's machine. */
#include "machine.h"

#include "bitmaps.h"
#include "core.h"
#include "cr.h"
#include "crash.h"
#include "guest_image.h"
#include "host_rtc.h"
#include "host_timer.h"
#include "insn.h"
#include "keys.h"
#include "lib/counts_text.h"
#include "lib/mem.h"
#include "lib/muldiv.h"
#include "lib/reproducible.h"
#include "msr_index.h"
#include "paging.h"
#include "panic.h"
#include "vmxon.h"
#include "watch.h"

/* The crash= option waits until there are exits to show. */
#define CRASH_AFTER_EXITS 1000

const char *outcome_name(enum outcome outcome)
{
	static const char *const names[] = {
		[OUTCOME_NONE] = "running",
		[OUTCOME_POWEROFF] = "poweroff",
		[OUTCOME_RESET] = "reset",
		[OUTCOME_DEBUG_EXIT] = "debug-exit",
		[OUTCOME_TRIPLE_FAULT] = "triple-fault",
		[OUTCOME_HALTED] = "halted",
		[OUTCOME_UNSUPPORTED] = "unsupported",
		[OUTCOME_ENTRY_FAILURE] = "entry-failure",
		[OUTCOME_OPERATOR] = "operator",
		[OUTCOME_WATCHDOG] = "watchdog",
		[OUTCOME_OPERATOR_RESET] = "operator-reset",
	};

	return names[outcome];
}

void machine_end(struct machine *m, enum outcome outcome)
{
	if (m->outcome == OUTCOME_NONE)
		m->outcome = outcome;
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		if (m->vcpu[i])
			m->vcpu[i]->requests |= REQ_STOP;
	}
}

bool machine_restarts(const struct machine *m)
{
	switch (m->outcome) {
	case OUTCOME_OPERATOR_RESET:
		return true;
	case OUTCOME_RESET:
	case OUTCOME_TRIPLE_FAULT:
		return core.boot->options.on_reset == RESET_RESTARTS;
	default:
		return false;
	}
}

static u64 clock_now(void *ctx)
{
	const struct machine *m = ctx;

	return m->tsc_start ? machine_now(m) : 0;
}

static void kick(void *ctx, unsigned vcpu)
{
	struct machine *m = ctx;

	/* The devices may speak while the vcpus are still being made. */
	if (m->vcpu[vcpu])
		m->vcpu[vcpu]->requests |= REQ_EVENT;
}

static void host_cpuid(void *ctx, u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
	(void)ctx;
	cpuid(leaf, subleaf, r);
}

static void init_cpuid(struct machine *m, u32 paging)
{
	struct cpuid_policy *p = &m->cpuid;

	p->leaves = core.boot->options.leaves;
	p->paging = paging;
	p->version = TV_VERSION;
	p->nr_vcpus = m->nr_vcpus;
	p->tsc_hz = core.tsc_hz;
	p->rdtscp = m->vmx.word[WORD_CPU2] & CPU2_RDTSCP;
	p->invpcid = m->vmx.word[WORD_CPU2] & CPU2_INVPCID;
	p->xsaves = m->vmx.word[WORD_CPU2] & CPU2_XSAVES;
	p->pat = m->controls.own_tables || vmx_switches_pat(m);
	p->tsc_deadline = true;
	p->x2apic = true;
	p->hide_rdrand = core.boot->options.reproducible;
	p->fast_strings = rdmsr(MSR_IA32_MISC_ENABLE) & MISC_ENABLE_FAST_STRING;
	cpuid_policy_init(p, host_cpuid, NULL);
}

static void place_memory(struct machine *m)
{
	struct gmem_slot chunks[BOOT_MAX_GUEST_CHUNKS];
	unsigned nr = core.boot->nr_guest;

	for (unsigned i = 0; i < nr; i++) {
		const struct boot_blob *b = &core.boot->guest[i];

		chunks[i] = (struct gmem_slot){
			.size = b->size, .hpa = HPA(b->hpa), .hva = phys_ptr(HPA(b->hpa))};
	}
	pc_place_memory(&m->pc.mem, chunks, nr);
	for (unsigned i = 0; i < m->pc.mem.nr; i++)
		gmem_set(&m->pc.mem, m->pc.mem.slot[i].gpa, 0, m->pc.mem.slot[i].size);
	if (guest_image_wants_testdev()) {
		hpa_t hpa;
		void *hva = heap_need(TESTDEV_MEM_LEN, &hpa, "memory of the test device");

		gmem_set_device(&m->pc.mem, GPA(TESTDEV_MEM), TESTDEV_MEM_LEN, hpa, hva);
	}
}

/** The guest's calendar begins where the machine's is, or always at the same date. */
static u64 start_of_calendar(void)
{
	return core.boot->options.reproducible ? REPRODUCIBLE_EPOCH : host_rtc_read();
}

static void init_pc(struct machine *m)
{
	struct pc_config cfg = {
		.nr_vcpus = m->nr_vcpus,
		.epoch = start_of_calendar(),
		.console_tx = console_put,
		.kick = kick,
		.kick_ctx = m,
	};
	struct gclock clock = {.now = clock_now, .ctx = m, .tsc_hz = core.tsc_hz};

	for (unsigned i = 0; i < m->nr_vcpus; i++)
		cfg.lapic_page[i] = heap_need(PAGE_SIZE, &m->lapic_hpa[i], "local APIC page");
	pc_init(&m->pc, &cfg, &clock);
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		m->pc.lapic[i].has_x2apic = m->cpuid.x2apic;
		m->pc.lapic[i].has_tsc_deadline = m->cpuid.tsc_deadline;
		m->pc.lapic[i].maxphyaddr = m->cpuid.maxphyaddr;
	}
}

void machine_check_isolation(struct machine *m, bool ended)
{
	const struct paging_ops *ops = m->paging->ops;
	struct paging_summary s;
	u64 bad = ops->audit(m->paging, &m->pc.mem);

	if (bad)
		panic("%llu guest-physical pages lead outside guest memory",
		      (unsigned long long)bad);
	ops->summary(m->paging, &s);
	if (m->controls.own_tables && !ended)
		klog("%s: a pool of %llu MiB for %llu tables", ops->name,
		     (unsigned long long)(m->paging_env.shadow_pool >> 20),
		     (unsigned long long)s.table_pages);
	else if (m->controls.own_tables == ended)
		klog("%s: %llu x 1 GiB, %llu x 2 MiB, %llu x 4 KiB pages in %llu tables; "
		     "all lead into guest memory",
		     ops->name, (unsigned long long)s.pages_1g, (unsigned long long)s.pages_2m,
		     (unsigned long long)s.pages_4k, (unsigned long long)s.table_pages);
}

struct machine *machine_create(unsigned run, u32 paging)
{
	struct machine *m = heap_need(sizeof(*m), NULL, "machine");

	m->run = run;
	m->nr_vcpus = 1;
	m->exits = core.boot->options.exits;
	place_memory(m);
	paging_create(m, paging);
	vmx_choose_for(m);
	init_cpuid(m, paging);
	control_regs_init(m);
	m->min_run = core.tsc_hz / 50000; /* 20 us */
	init_pc(m);
	bitmaps_init(m);
	dirty_init(m);
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		m->vcpu[i] = heap_need(sizeof(*m->vcpu[i]), NULL, "vcpu");
		vcpu_init(m->vcpu[i], m, i);
	}
	m->detail = heap_need(sizeof(*m->detail), NULL, "snapshot in detail");
	m->detail_now = heap_need(sizeof(*m->detail_now), NULL, "counters in detail");
	exit_detail_init(m->detail);
	guest_image_load(m);
	machine_check_isolation(m, false);
	m->poll_ticks = mul_div_u64(core.boot->options.poll_ms, core.tsc_hz, 1000);
	m->next_poll = m->poll_ticks ? 0 : NEVER;
	watch_init(m);
	m->next_look = MIN(m->next_poll, m->watchdog.next_look);
	return m;
}

void machine_run(struct machine *m)
{
	klog("run %u: paging %s, vcpus %u, memory %llu MiB", m->run, m->paging->ops->name,
	     m->nr_vcpus, (unsigned long long)(gmem_size(&m->pc.mem) >> 20));
	if (core.boot->options.zoo)
		klog("zoo=1: any program of the guest's may order exits by VMCALL; it can make "
		     "this machine's own interrupts, NMIs and INITs pending, but change nothing "
		     "that is not its own");
	vmx_say_features(m);
	console_flush();
	core.machine = m;
	trace_start(m);
	m->tsc_start = rdtsc();
	vcpu_run(m->vcpu[0]);
	dirty_drain(m);
	trace_end(m);
	core.machine = NULL;
	if (m->vcpu[0]->timer_shift == NO_PREEMPTION_TIMER)
		host_timer_stop(); /* or this run's last deadline would come up in the next */
	/* Else the processor could write what it caches of a VMCS into memory that by then belongs
	 * to the next run (SDM volume 3, section 25.11.1 "Software Use of Virtual-Machine Control
	 * Structures"). */
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		if (!vmclear(m->vcpu[i]->vmcs_hpa))
			panic("VMCLEAR after the run failed");
	}
}

u64 machine_away_begin(void)
{
	return rdtsc() - core.cpu.away;
}

void machine_away_end(u64 begin)
{
	machine_away(rdtsc() - begin - core.cpu.away);
}

void machine_away(u64 ticks)
{
	core.cpu.away += ticks;
	/* The run loop asks for it only after exits that ask for something. */
	if (core.machine)
		core.machine->vcpu[0]->requests |= REQ_AWAY;
}

void machine_skip_time(struct machine *m, u64 ticks)
{
	struct vcpu *v = m->vcpu[0];

	m->tsc_start += ticks;
	vmcs_write64(TSC_OFFSET, v->tsc_adjust - m->tsc_start);
	v->requests |= REQ_DEADLINE;
}

/** Where `mark` is set, the pages written are counted from here on again. */
static void take_snapshot(struct machine *m, bool mark)
{
	m->snapshot.seq++;
	m->snapshot.ticks = machine_now(m);
	m->snapshot.stats = (struct exit_stats){0};
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		exit_stats_add(&m->snapshot.stats, &m->vcpu[i]->stats);
	dirty_count(m, mark);
}

/** What m->snapshot has, in detail. */
static void take_detail(struct machine *m, struct exit_detail *d)
{
	const struct paging_ops *ops = m->paging->ops;

	exit_detail_init(d);
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		exit_detail_add(d, &m->vcpu[i]->detail);
	exit_detail_finish(d, &m->snapshot.stats, ops->counters ? ops->counters(m->paging) : NULL);
}

void machine_snapshot(struct machine *m, bool detail)
{
	take_snapshot(m, true);
	if (detail)
		take_detail(m, m->detail);
	else if (m->has_detail)
		exit_detail_init(m->detail);
	m->has_detail = detail;
}

void machine_print_snapshot(struct machine *m, const char *title)
{
	exit_stats_print(&m->snapshot, title, &console_text);
	if (m->has_detail)
		exit_detail_print(m->detail, &m->snapshot.stats, title, &console_text);
}

/** Print the present counters, and leave them in m->snapshot under the number of the last one. */
static void print_present(struct machine *m, const char *title)
{
	u32 seq = m->snapshot.seq;

	take_snapshot(m, false);
	m->snapshot.seq = seq;
	exit_stats_print(&m->snapshot, title, &console_text);
	take_detail(m, m->detail_now);
	exit_detail_print(m->detail_now, &m->snapshot.stats, title, &console_text);
	if (m->paging->ops->counters)
		counts_print_paging(m->paging->ops->counters(m->paging), m->paging->ops->name,
				    title, &console_text);
}

void machine_print_stats(struct machine *m, const char *title)
{
	struct exit_snapshot kept = m->snapshot;

	print_present(m, title);
	m->snapshot = kept;
}

void machine_sum_up(struct machine *m, struct exit_run *r)
{
	const struct paging_ops *ops = m->paging->ops;

	print_present(m, "end");
	klog("run %u ended: %s, exit code %u", m->run, outcome_name(m->outcome), m->exit_code);
	*r = (struct exit_run){
		.run = m->run,
		.mode = ops->name,
		.outcome = outcome_name(m->outcome),
		.exit_code = m->exit_code,
		.end = m->snapshot,
		.has_counters = ops->counters != NULL,
	};
	if (ops->counters)
		memcpy(r->counters, ops->counters(m->paging), sizeof(r->counters));
}

/** At what nothing but time reminds of. */
static void look(struct machine *m, u64 now)
{
	if (now >= m->next_poll) {
		keys_poll(m);
		m->next_poll = now + m->poll_ticks;
	}
	watch_look(m, now);
	m->next_look = MIN(m->next_poll, m->watchdog.next_look);
}

void machine_tick(struct machine *m, u64 now)
{
	console_pump();
	if (exit_log_count(&m->vcpu[0]->log) > CRASH_AFTER_EXITS)
		crash_on_purpose(core.boot->options.crash);
	if (now >= m->next_look)
		look(m, now);
	pc_advance(&m->pc, now);
}

u64 machine_deadline(const struct machine *m)
{
	return MIN(pc_next_deadline(&m->pc), m->next_look);
}
