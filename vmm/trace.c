/* SPDX-License-Identifier: MIT */
/* Writing the flight recorder to the serial line, in blocks of lines. */
#include "trace.h"

#include "console.h"
#include "core.h"
#include "exit_reasons.h"
#include "insn.h"
#include "lib/counts_text.h"
#include "lib/fmt.h"
#include "lib/mem.h"
#include "machine.h"
#include "vmcs.h"

static const struct text_out wire = {.prefix = LOG_PREFIX, .puts = console_wire};

static void __attribute__((format(printf, 1, 2))) say(const char *f, ...)
{
	char line[256];
	va_list ap;

	int n = fmt_snprintf(line, sizeof(line), LOG_PREFIX "trace ");
	va_start(ap, f);
	n += fmt_vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, f, ap);
	va_end(ap);
	n = MIN(n, (int)sizeof(line) - 2);
	line[n] = '\n';
	line[n + 1] = '\0';
	console_wire(NULL, line);
}

/** The processor's name, CPUID leaves 0x80000002 to 0x80000004, of printable characters. */
static void cpu_name(char name[49])
{
	struct cpuid_regs r;

	for (u32 i = 0; i < 3; i++) {
		cpuid(0x80000002u + i, 0, &r);
		memcpy(name + 16 * i, &r, 16);
	}
	name[48] = '\0';
	for (char *c = name; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = ' ';
	}
}

/** What a reader must know of the run. */
static void say_run(const struct machine *m)
{
	char name[49];

	cpu_name(name);
	say("run %u: paging %s, cr3 %s, tsc %llu Hz, cpu %s", m->run, m->paging->ops->name,
	    m->controls.own_tables ? "of-moves" : "of-exits", (unsigned long long)core.tsc_hz,
	    name);
}

/** The exits that are over; the one that is being handled is not. */
static u64 finished(const struct vcpu *v)
{
	return MIN(exit_stats_totals(&v->stats).count, exit_log_count(&v->log));
}

/** As the tools want it; `open`: it is being handled, and how long it will take is not known. */
static struct trace_record record(const struct vcpu *v, const struct exit_log_entry *e, bool open)
{
	const struct machine *m = v->machine;
	struct trace_record r = {
		.time = (open ? v->exit_tsc : e->time) - m->tsc_start,
		.rip = e->rip,
		.qual = e->qual,
		.cr3 = e->cr3,
		.reason = e->reason,
		.cycles = open ? 0 : e->cycles,
	};

	/* Of the others it would be the same all the time, and not the guest's. */
	if (m->controls.own_tables && !exit_log_moves_cr3(e))
		r.cr3 = 0;
	return r;
}

/** Exits number `from` up to, and without, `to`. */
static void write_block(struct vcpu *v, u64 from, u64 to, const char *why)
{
	struct trace_writer *w = &v->trace.writer;
	u64 done = finished(v);

	say("begin %llu records %llu %s", (unsigned long long)from, (unsigned long long)(to - from),
	    why);
	trace_begin(w, from, &wire);
	for (u64 i = from; i < to; i++) {
		struct trace_record r = record(v, exit_log_entry(&v->log, i), i >= done);

		trace_put(w, &r);
	}
	trace_flush(w);
	say("end %llu open %u cr3 %llx", (unsigned long long)to, to > done,
	    (unsigned long long)v->shadow.cr3);
}

void trace_start(struct machine *m)
{
	if (!core.boot->options.trace)
		return;
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		m->vcpu[i]->trace.on = true;
	console_wire_begin();
	say_run(m);
}

/** Write what has not been written, with the guest's clock standing still. */
static void drain(struct vcpu *v, u64 to)
{
	struct machine *m = v->machine;
	u64 start = machine_away_begin(), stop = rdtsc();

	console_wire_begin();
	write_block(v, v->trace.next, to, "trace");
	v->trace.next = to;
	machine_skip_time(m, rdtsc() - stop);
	machine_away_end(start);
}

void trace_ring_full(struct vcpu *v)
{
	u64 count = exit_log_count(&v->log);

	if (v->trace.on && count)
		drain(v, count);
}

/** How many exits there were, for whoever wants to know whether he has got all of them. */
static void say_totals(const struct machine *m, const struct exit_stats *s)
{
	char title[12], number[12];
	struct counts_text t;

	fmt_snprintf(title, sizeof(title), "%u", m->run);
	counts_begin(&t, "trace totals", title, &wire);
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		const char *name = exit_reason_name(nr);

		fmt_snprintf(number, sizeof(number), "%u", nr); /* what the SDM does not define */
		if (s->count[nr])
			counts_add(&t, name ? name : number, s->count[nr]);
	}
	counts_end(&t);
	say("over %u: records %llu", m->run, (unsigned long long)exit_stats_totals(s).count);
}

void trace_end(struct machine *m)
{
	struct exit_stats sum = {0};

	if (!core.boot->options.trace)
		return;
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		drain(m->vcpu[i], exit_log_count(&m->vcpu[i]->log));
		exit_stats_add(&sum, &m->vcpu[i]->stats);
	}
	console_wire_begin();
	say_totals(m, &sum);
}

static void dump(struct vcpu *v, const char *why)
{
	u64 start = machine_away_begin(), count = exit_log_count(&v->log);

	console_wire_begin();
	say_run(v->machine);
	write_block(v, count - MIN(count, EXIT_LOG_SIZE), count, why);
	machine_away_end(start);
}

void trace_dump(struct vcpu *v, const char *why)
{
	if (!v->trace.on)
		dump(v, why);
}

void trace_dump_last(struct vcpu *v)
{
	if (!v->trace.on) {
		dump(v, "panic");
		return;
	}
	console_wire_begin();
	write_block(v, v->trace.next, exit_log_count(&v->log), "panic");
}
