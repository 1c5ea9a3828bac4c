/* SPDX-License-Identifier: MIT */
/* A machine for some thousand operations, one after the other. */
#include <stdlib.h>

#include "oracle.h"

#define USUAL_OPERATIONS 4000u

static u64 next_random(struct oracle *o)
{
	/* xorshift64* */
	o->rng ^= o->rng >> 12;
	o->rng ^= o->rng << 25;
	o->rng ^= o->rng >> 27;
	return o->rng * 0x2545f4914f6cdd1dull;
}

static u32 next_bytes(struct oracle *o, unsigned n)
{
	u32 value = 0;

	if (o->nr_bytes < n) {
		o->nr_bytes = 0;
		o->dry = true;
		return 0;
	}
	memcpy(&value, o->bytes, n);
	o->bytes += n;
	o->nr_bytes -= n;
	return value;
}

u32 pick(struct oracle *o, u32 n)
{
	if (!o->bytes || o->building)
		return (u32)((next_random(o) >> 32) * n >> 32);
	return next_bytes(o, n <= 256 ? 1 : n <= 65536 ? 2 : 4) % n;
}

u64 pick64(struct oracle *o)
{
	if (!o->bytes || o->building)
		return next_random(o);
	return next_bytes(o, 4) * 0x9e3779b97f4a7c15ull;
}

void world_mode(struct oracle *o, struct vcpu *v)
{
	static const u8 modes[] = {ARCH_OFF,	ARCH_32BIT,  ARCH_32BIT,  ARCH_PAE,    ARCH_PAE,
				   ARCH_4LEVEL, ARCH_4LEVEL, ARCH_4LEVEL, ARCH_4LEVEL, ARCH_4LEVEL};
	enum arch_mode mode = modes[pick(o, ARRAY_SIZE(modes))];

	v->r.cr0 = X86_CR0_PE | (mode == ARCH_OFF ? 0 : X86_CR0_PG) | (pick(o, 3) ? X86_CR0_WP : 0);
	v->r.cr4 = pick64(o) & (X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE);
	if (mode == ARCH_PAE || mode == ARCH_4LEVEL)
		v->r.cr4 |= X86_CR4_PAE;
	v->r.cr4 |= pick(o, 4) ? X86_CR4_PSE : 0;
	if (mode == ARCH_4LEVEL && pick(o, 3))
		v->r.cr4 |= X86_CR4_PCIDE;
	v->r.efer = (pick(o, 4) ? EFER_NX : 0) | (mode == ARCH_4LEVEL ? EFER_LME | EFER_LMA : 0);
	memset(v->r.pdpte, 0, sizeof(v->r.pdpte));
}

static void new_vcpu(struct oracle *o, struct vcpu *v)
{
	*v = (struct vcpu){.r = {.maxphyaddr = o->maxphyaddr, .has_1g = o->has_1g}};
	world_mode(o, v);
	if (v != o->vcpu && pick(o, 8)) /* mostly all in one mode */
		v->r = o->vcpu->r;
	arch_init(&v->arch, &v->r);
}

/** The smallest pools that the MMU runs with, so that it reclaims all the time, or more. */
static void new_mmu(struct oracle *o)
{
	static const u64 pools[] = {KIB(64), KIB(64), KIB(1024), MIB(2), MIB(8)};
	/* A fuzzer's worlds are small, for it makes a new one each time. */
	u64 pool = pools[pick(o, o->bytes ? 3 : ARRAY_SIZE(pools))];
	char err[PAGING_ERROR_MAX];

	memory_env(o, o->nr_vcpus, pool);
	while (!(o->mmu = o->config.ops->create(&o->env, &o->gm, err))) {
		if (o->env.shadow_pool > MIB(32))
			oracle_fail(o, NULL, "create(): %s", err);
		memory_empty_pool(o);
		o->env.shadow_pool += KIB(64);
	}
	o->mmu->ops->controls(o->mmu, &o->controls);
	if (!o->controls.own_tables)
		oracle_fail(o, NULL, "this MMU has no page tables of its own");
}

static void new_world(struct oracle *o)
{
	static const u8 widths[] = {36, 39, 40, HOST_MAXPHYADDR, HOST_MAXPHYADDR};

	o->figures.worlds++;
	o->rng = (o->config.seed + 1) * 0x9e3779b97f4a7c15ull ^
		 (o->config.first_world + o->figures.worlds) * 0xd1342543de82ef95ull;
	o->rng |= !o->rng;
	o->nr_traces = 0;
	o->building = o->stopped = true;
	for (unsigned i = 0; i < 8; i++)
		next_random(o);
	o->left =
		o->config.operations_per_world ? o->config.operations_per_world : USUAL_OPERATIONS;
	o->nr_vcpus = 1 + one_in(o, 2);
	o->maxphyaddr = widths[pick(o, ARRAY_SIZE(widths))];
	o->host_maxphyaddr = one_in(o, 8) ? 52 : HOST_MAXPHYADDR;
	o->has_1g = pick(o, 3);
	o->huge = one_in(o, o->bytes ? 16 : 2);
	o->no_vpid = one_in(o, 8);
	o->keys = false;
	o->lost = 0;
	o->mtrrs = one_in(o, 2);
	memory_reset(o);
	for (unsigned i = 0; i < o->nr_vcpus; i++)
		new_vcpu(o, &o->vcpu[i]);
	tables_fill(o, &o->vcpu[0]);
	memory_forget_changes(o);
	new_mmu(o);
	for (unsigned i = 0; i < o->nr_vcpus; i++) {
		struct vcpu *v = &o->vcpu[i];

		v->r.cr3 = tables_root(o, v);
		for (unsigned n = 0; n < NR_RECENT; n++)
			v->recent[n] = tables_gva(o, v);
		spaces_load(o, v);
	}
	o->building = false;
}

struct oracle *oracle_new(const struct oracle_config *config)
{
	struct oracle *o = calloc(1, sizeof(*o));

	o->config = *config;
	memory_new(o);
	return o;
}

static void operate(struct oracle *o)
{
	o->figures.operations++;
	guest_operation(o);
}

void oracle_run(struct oracle *o, u64 nr)
{
	for (u64 i = 0; i < nr; i++) {
		if (!o->left)
			new_world(o);
		o->left--;
		operate(o);
		if (!o->left)
			memory_check(o);
	}
}

void oracle_feed(struct oracle *o, u64 seed, const u8 *bytes, size_t nr)
{
	o->config.seed = seed;
	o->figures = (struct oracle_figures){.operations = 0};
	o->bytes = bytes;
	o->nr_bytes = nr;
	o->dry = false;
	new_world(o);
	while (!o->dry)
		operate(o);
	memory_check(o);
	for (unsigned i = 0; i < o->nr_vcpus; i++)
		leaves_check(o, &o->vcpu[i]);
}

const struct oracle_figures *oracle_figures(const struct oracle *o)
{
	return &o->figures;
}

void oracle_free(struct oracle *o)
{
	memory_free(o);
	free(o);
}
