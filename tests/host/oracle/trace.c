/* SPDX-License-Identifier: MIT */
/* What is said of a failure: the last operations, the registers, both walks. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "oracle.h"

void trace(struct oracle *o, const struct vcpu *v, const char *format, u64 a, u64 b, u64 c)
{
	o->trace[o->nr_traces++ % NR_TRACES] = (struct trace){
		o->figures.operations, o->now, a, b, c, format, v ? (unsigned)(v - o->vcpu) : 0};
}

static void print_history_of_pcid(u16 pcid, const struct history *h)
{
	static const char *const forgets[] = {
		[FORGETS_NOTHING] = "",
		[FORGETS_INVLPG] = "INVLPG",
		[FORGETS_FAULT] = "#PF",
		[FORGETS_GLOBAL] = "INVLPG elsewhere",
		[FORGETS_ADDRESS] = "INVPCID of an address",
		[FORGETS_CONTEXT] = "INVPCID of all",
	};

	for (unsigned i = 0; i < h->nr; i++) {
		const struct epoch *e = &h->epoch[i];

		fprintf(stderr, "PCID %x, from %llu: %s, cr3 %llx; %s %llx\n", pcid,
			(unsigned long long)e->from, e->in_use ? "in use" : "not in use",
			(unsigned long long)e->cr3, i ? forgets[e->forgets] : "all is fresh",
			(unsigned long long)e->gva);
	}
}

static void print_registers(const struct oracle *o, const struct vcpu *v)
{
	static const char *const modes[] = {"off", "32-bit", "PAE", "4-level"};
	const struct walk_regs *r = &v->r;

	fprintf(stderr,
		"vcpu %u of %u: paging %s, cr0 %llx cr3 %llx cr4 %llx efer %llx maxphyaddr %u%s\n",
		(unsigned)(v - o->vcpu), o->nr_vcpus, modes[v->arch.mode],
		(unsigned long long)r->cr0, (unsigned long long)r->cr3, (unsigned long long)r->cr4,
		(unsigned long long)r->efer, r->maxphyaddr, r->has_1g ? ", 1G pages" : "");
	if (v->arch.mode == ARCH_PAE)
		fprintf(stderr, "pdptes %llx %llx %llx %llx\n", (unsigned long long)r->pdpte[0],
			(unsigned long long)r->pdpte[1], (unsigned long long)r->pdpte[2],
			(unsigned long long)r->pdpte[3]);
	fprintf(stderr, "CR3 of the processor %llx; now %llu\n", (unsigned long long)v->hw_cr3.v,
		(unsigned long long)o->now);
	for (unsigned i = 0; i < NR_PCIDS; i++)
		print_history_of_pcid(history_pcids[i], &v->history[i]);
}

static void print_shadow_walk(struct oracle *o, const struct vcpu *v, u64 gva)
{
	struct rights rights = {true, true, false};
	u64 table, *entry;

	if (!arch_root(&v->hw, v->hw_cr3.v, v->hw_pdpte, gva, &table)) {
		fprintf(stderr, "  shadow: PDPTE not present\n");
		return;
	}
	for (unsigned level = v->hw.top;; level--) {
		entry = memory_pool_entry(o, arch_entry_at(&v->hw, level, table, gva));
		if (!entry) {
			fprintf(stderr, "  shadow level %u: no table at %llx\n", level,
				(unsigned long long)table);
			return;
		}
		fprintf(stderr, "  shadow level %u: table %llx entry %llx\n", level,
			(unsigned long long)table, (unsigned long long)*entry);
		if (arch_step(&v->hw, level, *entry, &rights) != STEP_TABLE)
			return;
		table = arch_table(&v->hw, *entry);
	}
}

static void print_history(const struct oracle *o, u64 gpa)
{
	const struct change *c = memory_last_change(o, gpa);

	for (unsigned i = 0; c && i < 8; i++, c = memory_previous(o, c))
		fprintf(stderr, "     until %llu: quadword %llx\n", (unsigned long long)c->time,
			(unsigned long long)c->old);
}

const char *outcome_text(const struct outcome *out, char text[OUTCOME_TEXT])
{
	switch (out->kind) {
	case OUTCOME_ALLOWED:
		snprintf(text, OUTCOME_TEXT, "allowed, hpa %llx, type %u",
			 (unsigned long long)out->at, out->type);
		break;
	case OUTCOME_MMIO:
		snprintf(text, OUTCOME_TEXT, "MMIO at gpa %llx", (unsigned long long)out->at);
		break;
	case OUTCOME_FAULT:
		snprintf(text, OUTCOME_TEXT, "%s#PF, error code %x", out->silent ? "silent " : "",
			 out->pferr);
		break;
	case OUTCOME_LOST:
		snprintf(text, OUTCOME_TEXT, "table lost at %llx", (unsigned long long)out->at);
		break;
	}
	return text;
}

void trace_walks(struct oracle *o, const struct vcpu *v, const struct access *x)
{
	struct path p;
	struct outcome out = fresh_walk(o, v, x, &p);
	char text[OUTCOME_TEXT];

	fprintf(stderr, "access to %llx: %s%s%s, pkru %x%s, CPL %u; fresh at its end: %s\n",
		(unsigned long long)x->gva, x->kind & WALK_USER ? "user " : "supervisor ",
		x->kind & WALK_IMPLICIT ? "implicit " : "",
		x->kind & WALK_WRITE   ? "write"
		: x->kind & WALK_FETCH ? "fetch"
				       : "read",
		x->pkru, x->ac ? ", AC" : "", x->cpl, outcome_text(&out, text));
	for (unsigned i = 0; i < p.depth; i++) {
		fprintf(stderr, "  guest level %u: at %llx entry %llx\n", p.entry[i].level,
			(unsigned long long)p.entry[i].gpa, (unsigned long long)p.entry[i].value);
		print_history(o, p.entry[i].gpa);
	}
	print_shadow_walk(o, v, x->gva);
}

_Noreturn void oracle_fail(struct oracle *o, const struct vcpu *v, const char *format, ...)
{
	u64 first = o->nr_traces > NR_TRACES ? o->nr_traces - NR_TRACES : 0;
	va_list args;

	if (v)
		print_registers(o, v);
	fprintf(stderr, "the last operations (operation, moment, vcpu):\n");
	for (u64 i = first; i < o->nr_traces; i++) {
		const struct trace *t = &o->trace[i % NR_TRACES];

		fprintf(stderr, "%8llu %6llu %u ", (unsigned long long)t->operation,
			(unsigned long long)t->time, t->vcpu);
		fprintf(stderr, t->format, (unsigned long long)t->a, (unsigned long long)t->b,
			(unsigned long long)t->c);
		fprintf(stderr, "\n");
	}
	fprintf(stderr, "oracle: operation %llu, world %llu, seed %llu: ",
		(unsigned long long)o->figures.operations,
		(unsigned long long)(o->config.first_world + o->figures.worlds),
		(unsigned long long)o->config.seed);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	if (o->config.failed)
		o->config.failed(o->config.ctx);
	abort();
}
