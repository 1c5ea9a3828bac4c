/* SPDX-License-Identifier: MIT */
/* EPT tables: page sizes, memory types, the audit, exhaustion of the pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ept/ept.h"
#include "vmx.h"
#include "x86.h"

/** A pool of pages whose "host-physical" addresses are offsets from POOL_HPA. */
#define POOL_PAGES 4096
#define POOL_HPA 0x7000000000ull

struct fixture {
	u8 *pool;
	unsigned used, limit, invalidated;
	u64 uncached_from, uncached_to; /* what memtype() calls uncacheable */
	struct paging_env env;
	struct gmem gm;
};

static void *alloc_page(void *ctx, hpa_t *hpa)
{
	struct fixture *f = ctx;

	if (f->used == f->limit)
		return NULL;
	hpa->v = POOL_HPA + f->used * PAGE_SIZE;
	return memset(f->pool + f->used++ * PAGE_SIZE, 0, PAGE_SIZE);
}

static void *page_ptr(void *ctx, hpa_t hpa)
{
	struct fixture *f = ctx;

	assert_in_range(hpa.v, POOL_HPA, POOL_HPA + (f->used - 1) * PAGE_SIZE);
	return f->pool + (hpa.v - POOL_HPA);
}

static int memtype(void *ctx, hpa_t hpa, u64 size)
{
	struct fixture *f = ctx;
	bool any = hpa.v < f->uncached_to && hpa.v + size > f->uncached_from;
	bool all = hpa.v >= f->uncached_from && hpa.v + size <= f->uncached_to;

	if (any && !all)
		return -1;
	return any ? MEMTYPE_UC : MEMTYPE_WB;
}

static void invalidate(void *ctx)
{
	struct fixture *f = ctx;

	f->invalidated++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->pool = aligned_alloc(PAGE_SIZE, POOL_PAGES * PAGE_SIZE);
	f->limit = POOL_PAGES;
	f->env = (struct paging_env){
		.alloc_page = alloc_page,
		.page_ptr = page_ptr,
		.memtype = memtype,
		.invalidate = invalidate,
		.ctx = f,
		.ept_vpid_cap = EPT_CAP_2M | EPT_CAP_1G | EPT_CAP_WB | EPT_CAP_AD,
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->pool);
	free(f);
	return 0;
}

static void add(struct fixture *f, u64 gpa, u64 size, u64 hpa)
{
	/* The hypervisor's pointer to guest memory is not used here. */
	f->gm.slot[f->gm.nr++] = (struct gmem_slot){GPA(gpa), size, HPA(hpa), NULL};
}

static struct paging *create(struct fixture *f)
{
	char err[PAGING_ERROR_MAX];

	return ept_ops.create(&f->env, &f->gm, err);
}

static struct paging_summary summary(struct paging *p)
{
	struct paging_summary s;

	ept_ops.summary(p, &s);
	return s;
}

static void largest_pages_that_fit(void **state)
{
	struct fixture *f = *state;

	add(f, 0, MIB(6), 0x40000000 + MIB(2));
	add(f, GIB(4), GIB(2), GIB(8));
	struct paging_summary s = summary(create(f));

	assert_int_equal(s.pages_2m, 3);
	assert_int_equal(s.pages_1g, 2);
	assert_int_equal(s.pages_4k, 0);
}

static void a_processor_without_large_pages(void **state)
{
	struct fixture *f = *state;

	f->env.ept_vpid_cap = EPT_CAP_WB;
	add(f, 0, MIB(4), 0x40000000);
	struct paging_summary s = summary(create(f));

	assert_int_equal(s.pages_4k, 1024);
	assert_int_equal(s.pages_2m + s.pages_1g, 0);
}

static void no_1g_pages(void **state)
{
	struct fixture *f = *state;

	f->env.ept_vpid_cap &= ~EPT_CAP_1G;
	add(f, 0, GIB(1), GIB(8));
	assert_int_equal(summary(create(f)).pages_2m, 512);
}

static void misaligned_memory_gets_small_pages(void **state)
{
	struct fixture *f = *state;

	add(f, 0, MIB(2), 0x40000000 + PAGE_SIZE);
	struct paging_summary s = summary(create(f));

	assert_int_equal(s.pages_4k, 512);
	assert_int_equal(s.pages_2m, 0);
}

struct leaf_count {
	u64 uncached, cached;
};

static void count_types(void *ctx, gpa_t gpa, u64 entry, u64 size)
{
	struct leaf_count *c = ctx;

	(void)gpa;
	assert_int_equal(entry & EPT_RWX, EPT_RWX);
	if ((entry >> EPT_MEMTYPE_SHIFT & 7) == MEMTYPE_UC)
		c->uncached += size;
	else
		c->cached += size;
}

static void memory_types_split_large_pages(void **state)
{
	struct fixture *f = *state;
	struct leaf_count c = {0};

	f->uncached_from = 0x40000000 + KIB(64);
	f->uncached_to = f->uncached_from + KIB(8);
	add(f, 0, MIB(4), 0x40000000);
	struct paging *p = create(f);

	assert_int_equal(summary(p).pages_4k, 512);
	assert_int_equal(summary(p).pages_2m, 1);
	ept_for_each_leaf((struct ept *)p, count_types, &c);
	assert_int_equal(c.uncached, KIB(8));
	assert_int_equal(c.cached, MIB(4) - KIB(8));
}

static void eptp_says_what_the_processor_can(void **state)
{
	struct fixture *f = *state;
	struct paging_controls c;

	add(f, 0, MIB(2), MIB(2));
	struct paging *p = create(f);

	ept_ops.controls(p, &c);
	assert_int_equal(c.eptp & 7, MEMTYPE_WB);
	assert_int_equal(c.eptp & EPTP_WALK_4, EPTP_WALK_4);
	assert_true(c.eptp & EPTP_AD);
	assert_int_equal(c.eptp & EPT_ADDR_MASK, ((struct ept *)p)->root.v);

	f->env.ept_vpid_cap &= ~EPT_CAP_AD;
	ept_ops.controls(create(f), &c);
	assert_false(c.eptp & EPTP_AD);
}

static void violations_are_devices(void **state)
{
	struct fixture *f = *state;

	add(f, 0, MIB(2), MIB(2));
	struct paging *p = create(f);

	assert_int_equal(ept_ops.ept_violation(p, GPA(0xfee00000), EPT_VIOLATION_READ),
			 PAGING_MMIO);
	assert_int_equal(ept_ops.ept_violation(p, GPA(0), EPT_VIOLATION_WRITE | BIT(3)),
			 PAGING_BROKEN);
}

/** A page that is no guest memory: read only, for guest and processor alike. */
static void rom_is_read_and_loses_what_is_written(void **state)
{
	struct fixture *f = *state;
	struct paging_controls c;

	add(f, 0, MIB(2), MIB(2));
	struct paging *p = create(f);
	u64 tables = f->used;

	assert_true(ept_ops.map_rom(p, GPA(0xfffbc000), HPA(0x9000)));
	assert_int_equal(f->used - tables, 2); /* a directory and a table for the fourth GiB */
	assert_int_equal(summary(p).pages_4k, 1);
	/* With A/D flags, the processor's own walks would count as writes. */
	ept_ops.controls(p, &c);
	assert_false(c.eptp & EPTP_AD);
	assert_int_equal(ept_ops.audit(p, &f->gm), 0);
	assert_int_equal(ept_ops.ept_violation(p, GPA(0xfffbc123), EPT_VIOLATION_WRITE | BIT(3)),
			 PAGING_MMIO);
	assert_int_equal(ept_ops.ept_violation(p, GPA(0xfffbd000), EPT_VIOLATION_WRITE | BIT(3)),
			 PAGING_BROKEN);
	assert_false(ept_ops.map_rom(p, GPA(0xfffbc000), HPA(0x9000)));

	/* The audit knows where it leads, and that it is not to be written to. */
	struct ept *e = (struct ept *)p;
	u64 *table = page_ptr(f, HPA(POOL_HPA + (f->used - 1) * PAGE_SIZE));
	u64 *entry = &table[0xfffbc000 / PAGE_SIZE % 512];

	assert_int_equal(*entry, 0x9000 | EPT_R | MEMTYPE_WB << EPT_MEMTYPE_SHIFT);
	*entry |= EPT_W;
	assert_int_equal(ept_ops.audit(&e->base, &f->gm), 1);
	*entry = 0xa000 | EPT_R;
	assert_int_equal(ept_ops.audit(&e->base, &f->gm), 1);

	/* Not over memory, and not without pages for the tables. */
	f->used = 0;
	p = create(f);
	assert_false(ept_ops.map_rom(p, GPA(0), HPA(0x9000)));
	f->limit = f->used;
	assert_false(ept_ops.map_rom(p, GPA(0xfffbc000), HPA(0x9000)));
}

static void the_audit_finds_a_stray_leaf(void **state)
{
	struct fixture *f = *state;

	add(f, 0, MIB(4), GIB(1));
	add(f, GIB(4), MIB(2), GIB(2));
	struct ept *e = (struct ept *)create(f);

	assert_int_equal(ept_ops.audit(&e->base, &f->gm), 0);
	/* A page outside the slots ... */
	assert_true(ept_map(e, GPA(GIB(3)), HPA(0x9000), PAGE_SIZE));
	assert_int_equal(ept_ops.audit(&e->base, &f->gm), 1);
	/* ... and slots that moved by a page: nothing is where it should be any more. */
	f->gm.slot[0].hpa.v += PAGE_SIZE;
	assert_int_equal(ept_ops.audit(&e->base, &f->gm), 3);
	f->gm.slot[0].hpa.v -= PAGE_SIZE;
	/* A slot that is shorter than what was mapped. */
	f->gm.slot[1].size -= PAGE_SIZE;
	assert_int_equal(ept_ops.audit(&e->base, &f->gm), 2);
}

/** The leaf that maps `gpa`, or 0. */
struct lookup {
	u64 gpa, entry, size;
};

static void find_leaf(void *ctx, gpa_t gpa, u64 entry, u64 size)
{
	struct lookup *l = ctx;

	if (l->gpa - gpa.v < size)
		*l = (struct lookup){l->gpa, entry, size};
}

static struct lookup look_up(struct paging *p, u64 gpa)
{
	struct lookup l = {.gpa = gpa};

	ept_for_each_leaf((struct ept *)p, find_leaf, &l);
	return l;
}

static void count_leaves(void *ctx, gpa_t gpa, u64 entry, u64 size)
{
	(void)gpa;
	(void)entry;
	*(u64 *)ctx += size;
}

static u64 mapped(struct paging *p)
{
	u64 bytes = 0;

	ept_for_each_leaf((struct ept *)p, count_leaves, &bytes);
	return bytes;
}

static void a_hole_in_a_large_page(void **state)
{
	struct fixture *f = *state;

	add(f, 0, GIB(1), GIB(8));
	add(f, GIB(4), MIB(4), GIB(2));
	struct paging *p = create(f);
	const u64 whole = mapped(p), at = MIB(2) + 0x5000;
	struct lookup before = look_up(p, at), l;
	unsigned used;

	assert_int_equal(before.size, GIB(1));
	assert_true(ept_ops.set_hole(p, GPA(at), true));
	assert_int_equal(f->invalidated, 1);
	assert_int_equal(look_up(p, at).size, 0);
	assert_int_equal(ept_ops.ept_violation(p, GPA(at), EPT_VIOLATION_READ), PAGING_MMIO);
	assert_int_equal(mapped(p), whole - PAGE_SIZE);
	assert_int_equal(ept_ops.audit(p, &f->gm), 0);
	l = look_up(p, at + PAGE_SIZE);
	assert_int_equal(l.size, PAGE_SIZE);
	assert_int_equal(l.entry, (before.entry & ~EPT_LARGE) + at + PAGE_SIZE);
	assert_int_equal(look_up(p, 0).size, MIB(2));
	used = f->used;

	/* Back together, and nothing is used up by a journey through the memory. */
	assert_true(ept_ops.set_hole(p, GPA(at), false));
	l = look_up(p, at);
	assert_int_equal(l.size, GIB(1));
	assert_int_equal(l.entry, before.entry);
	for (u64 gpa = 0; gpa < GIB(1); gpa += MIB(1) + 0x3000) {
		gpa_t page = GPA(gpa & PAGE_MASK);

		assert_true(ept_ops.set_hole(p, page, true));
		assert_int_equal(mapped(p), whole - PAGE_SIZE);
		assert_true(ept_ops.set_hole(p, page, false));
	}
	assert_int_equal(f->used, used);
	assert_int_equal(mapped(p), whole);
	assert_int_equal(look_up(p, at).entry, before.entry);
}

static void a_devices_memory_is_mapped(void **state)
{
	struct fixture *f = *state;

	add(f, 0, MIB(2), MIB(2));
	assert_true(gmem_set_device(&f->gm, GPA(0xff000000), KIB(64), HPA(MIB(8)), NULL));
	struct paging *p = create(f);

	assert_int_equal(mapped(p), MIB(2) + KIB(64));
	assert_int_equal(look_up(p, 0xff00f000).entry & EPT_ADDR_MASK, MIB(8) + 0xf000);
	assert_int_equal(ept_ops.audit(p, &f->gm), 0);
	f->gm.device.size -= PAGE_SIZE;
	assert_int_equal(ept_ops.audit(p, &f->gm), 1);
}

static void two_holes_share_a_table(void **state)
{
	struct fixture *f = *state;

	add(f, 0, MIB(4), MIB(2));
	struct paging *p = create(f);

	assert_true(ept_ops.set_hole(p, GPA(0x1000), true));
	assert_true(ept_ops.set_hole(p, GPA(0x1000), true)); /* is one already */
	assert_true(ept_ops.set_hole(p, GPA(0x3000), true));
	assert_int_equal(mapped(p), MIB(4) - 2 * PAGE_SIZE);
	assert_true(ept_ops.set_hole(p, GPA(0x1000), false));
	assert_true(ept_ops.set_hole(p, GPA(0x2000), false)); /* none there */
	assert_int_equal(look_up(p, 0x1000).size, PAGE_SIZE);
	assert_int_equal(look_up(p, 0x3000).size, 0);
	assert_true(ept_ops.set_hole(p, GPA(0x3000), false));
	assert_int_equal(look_up(p, 0x3000).size, MIB(2));
}

static void a_hole_among_small_pages_or_nowhere(void **state)
{
	struct fixture *f = *state;

	add(f, 0, MIB(2), GIB(1) + PAGE_SIZE);
	struct paging *p = create(f);
	unsigned used = f->used;

	/* Where there is no memory, nothing happens, and no table is made. */
	assert_true(ept_ops.set_hole(p, GPA(MIB(2)), true));
	assert_true(ept_ops.set_hole(p, GPA(0xfee00000), true));
	assert_true(ept_ops.set_hole(p, GPA(BIT(46)), true));
	assert_int_equal(f->used, used);
	assert_int_equal(f->invalidated, 0);
	/* Pages that were small before stay small. */
	assert_true(ept_ops.set_hole(p, GPA(0), true));
	assert_int_equal(mapped(p), MIB(2) - PAGE_SIZE);
	assert_true(ept_ops.set_hole(p, GPA(0), false));
	assert_int_equal(look_up(p, 0).size, PAGE_SIZE);
	assert_int_equal(ept_ops.audit(p, &f->gm), 0);
	assert_int_equal(f->used, used);
}

static void no_pages_left_for_a_hole(void **state)
{
	struct fixture *f = *state;

	add(f, 0, GIB(1), GIB(8));
	struct paging *p = create(f);

	for (unsigned more = 0; more < 2; more++) {
		f->limit = f->used + more;
		assert_false(ept_ops.set_hole(p, GPA(0x1000), true));
		assert_int_equal(mapped(p), GIB(1)); /* all is still there */
		assert_int_equal(ept_ops.audit(p, &f->gm), 0);
	}
	f->limit++;
	assert_true(ept_ops.set_hole(p, GPA(0x1000), true));
}

/** What the exit zoo makes of one entry, and that it is all undone. */
static void an_entry_is_spoiled_and_made_whole(void **state)
{
	struct fixture *f = *state;
	const u64 at = MIB(3) + 0x5000;

	add(f, 0, MIB(4), GIB(8));
	struct paging *p = create(f);
	struct ept *e = (struct ept *)p;
	u64 whole = look_up(p, at).entry, page = (whole & ~EPT_LARGE) + 0x105000;

	assert_int_equal(look_up(p, at).size, MIB(2));
	assert_true(ept_ops.spoil(p, GPA(at + 8), PAGING_MISCONFIGURED));
	assert_int_equal(*ept_entry(e, GPA(at)), page & ~EPT_R);
	assert_int_equal(f->invalidated, 1);
	/* One at a time. */
	assert_false(ept_ops.spoil(p, GPA(0), PAGING_CLEAN));
	assert_int_equal(look_up(p, at + PAGE_SIZE).entry, page + PAGE_SIZE);
	assert_true(ept_ops.spoil(p, GPA(at), PAGING_WHOLE));
	assert_int_equal(f->invalidated, 2);
	assert_int_equal(look_up(p, at).entry, whole);
	assert_int_equal(look_up(p, at).size, MIB(2));
	assert_false(ept_ops.spoil(p, GPA(at), PAGING_WHOLE));

	assert_true(ept_ops.spoil(p, GPA(at), PAGING_SUBPAGES));
	assert_int_equal(*ept_entry(e, GPA(at)), (page & ~EPT_W) | BIT(61));
	assert_true(ept_ops.spoil(p, GPA(at), PAGING_WHOLE));
	assert_int_equal(look_up(p, at).entry, whole);
	assert_int_equal(ept_ops.audit(p, &f->gm), 0);
	assert_int_equal(mapped(p), MIB(4));
}

/** A page that was dirty is so afterwards, and so is one that was written meanwhile. */
static void a_dirty_flag_is_not_lost(void **state)
{
	struct fixture *f = *state;

	f->env.track_dirty = true;
	add(f, 0, MIB(2), GIB(8));
	struct paging *p = create(f);
	u64 *entry = ept_entry((struct ept *)p, GPA(0x3000)), clean = *entry;

	*entry |= EPT_DIRTY | EPT_ACCESSED;
	assert_true(ept_ops.spoil(p, GPA(0x3000), PAGING_CLEAN));
	assert_int_equal(*entry, clean | EPT_ACCESSED);
	assert_true(ept_ops.spoil(p, GPA(0x3000), PAGING_WHOLE));
	assert_int_equal(*entry, clean | EPT_DIRTY | EPT_ACCESSED);
	*entry = clean;
	assert_true(ept_ops.spoil(p, GPA(0x3000), PAGING_CLEAN));
	*entry |= EPT_DIRTY;
	assert_true(ept_ops.spoil(p, GPA(0x3000), PAGING_WHOLE));
	assert_int_equal(*entry, clean | EPT_DIRTY);
}

static void what_cannot_be_spoiled(void **state)
{
	struct fixture *f = *state;

	add(f, 0, GIB(1), GIB(8));
	struct paging *p = create(f);

	assert_false(ept_ops.spoil(p, GPA(GIB(1)), PAGING_CLEAN)); /* nothing is there */
	for (unsigned more = 0; more < 2; more++) {
		f->limit = f->used + more;
		assert_false(ept_ops.spoil(p, GPA(0x1000), PAGING_CLEAN));
		assert_int_equal(mapped(p), GIB(1));
	}
	f->limit += 2;
	assert_true(ept_ops.set_hole(p, GPA(0x1000), true));
	assert_false(ept_ops.spoil(p, GPA(0x1000), PAGING_CLEAN)); /* a device covers it */
	assert_int_equal(look_up(p, 0x1000).size, 0);
	assert_true(ept_ops.spoil(p, GPA(0x2000), PAGING_CLEAN));
	assert_true(ept_ops.spoil(p, GPA(0x2000), PAGING_WHOLE));
	assert_int_equal(look_up(p, 0x1000).size, 0); /* and still does */
}

/** A guest may move its local APIC to any address: that must not use up the pool. */
static void the_apic_access_page_gives_its_tables_back(void **state)
{
	struct fixture *f = *state;

	add(f, 0, MIB(4), GIB(8));
	struct paging *p = create(f);
	u64 tables = summary(p).table_pages;

	f->limit = f->used + EPT_LEVELS - 1;
	for (u64 at = 0; at < GIB(1ull << 11); at += MIB(2) + GIB(1)) {
		gpa_t gpa = GPA(GIB(1) + at);

		assert_true(ept_ops.overlay(p, gpa, HPA(0x9000)));
		assert_int_equal(mapped(p), MIB(4) + PAGE_SIZE);
		assert_int_equal(ept_ops.audit(p, &f->gm), 0);
		assert_int_equal(*ept_entry((struct ept *)p, gpa) & EPT_ADDR_MASK, 0x9000);
		*ept_entry((struct ept *)p, gpa) |= EPT_ACCESSED | EPT_DIRTY;
		assert_int_equal(ept_ops.audit(p, &f->gm), 0);
		*ept_entry((struct ept *)p, gpa) ^= PAGE_SIZE;
		assert_int_equal(ept_ops.audit(p, &f->gm), 1);
		assert_true(ept_ops.overlay(p, gpa, HPA(0)));
		assert_null(ept_entry((struct ept *)p, gpa));
		assert_int_equal(summary(p).table_pages, tables);
	}
	/* A table with anything else in it stays, and what was given back comes empty. */
	assert_true(ept_ops.map_rom(p, GPA(0xfff00000), HPA(0x5000)));
	assert_true(ept_ops.overlay(p, GPA(0xfff01000), HPA(0x9000)));
	assert_true(ept_ops.overlay(p, GPA(0xfff01000), HPA(0)));
	assert_int_equal(mapped(p), MIB(4) + PAGE_SIZE);
	assert_int_equal(ept_ops.audit(p, &f->gm), 0);
}

static void overlap_is_refused(void **state)
{
	struct fixture *f = *state;

	add(f, 0, MIB(2), GIB(1));
	struct ept *e = (struct ept *)create(f);

	assert_false(ept_map(e, GPA(0), HPA(GIB(1)), PAGE_SIZE));
	assert_false(ept_map(e, GPA(MIB(2) - PAGE_SIZE), HPA(GIB(2)), PAGE_SIZE));
	assert_false(ept_map(e, GPA(0), HPA(GIB(2)), MIB(2)));
}

static void exhaustion_is_a_message(void **state)
{
	struct fixture *f = *state;
	char err[PAGING_ERROR_MAX] = "";

	add(f, 0, MIB(4), GIB(1) + PAGE_SIZE);
	for (unsigned limit = 0; limit < 6; limit++) {
		f->used = 0;
		f->limit = limit;
		assert_null(ept_ops.create(&f->env, &f->gm, err));
		assert_non_null(strstr(err, "no memory left"));
	}
	f->used = 0;
	f->limit = 6; /* the structure, the root, a PDPT, a directory, two tables */
	assert_non_null(ept_ops.create(&f->env, &f->gm, err));
}

static struct paging *create_tracking(struct fixture *f)
{
	f->env.track_dirty = true;
	add(f, 0, MIB(2), GIB(1));
	add(f, GIB(4), MIB(2), GIB(2));
	return create(f);
}

/** What the processor does at the first write to a page. */
static void write_page(struct paging *p, u64 gpa)
{
	*ept_entry((struct ept *)p, GPA(gpa)) |= EPT_ACCESSED | EPT_DIRTY;
}

static struct paging_dirty dirty(struct paging *p, const u32 *gfn, u64 nr, bool clear)
{
	struct paging_dirty d;

	ept_ops.dirty(p, gfn, nr, clear, &d);
	return d;
}

static void tracking_takes_small_pages_and_a_log(void **state)
{
	struct fixture *f = *state;
	struct paging_controls c;
	char err[PAGING_ERROR_MAX];

	add(f, 0, MIB(2), GIB(1));
	ept_ops.controls(create(f), &c);
	assert_false(c.cpu2_wanted & CPU2_PML);

	f->gm.nr = 0;
	struct paging *p = create_tracking(f);

	assert_int_equal(summary(p).pages_4k, 1024);
	ept_ops.controls(p, &c);
	assert_true(c.cpu2_wanted & CPU2_PML);
	assert_false(c.cpu2 & CPU2_PML); /* it can do without */

	f->env.ept_vpid_cap &= ~EPT_CAP_AD;
	assert_null(ept_ops.create(&f->env, &f->gm, err));
	assert_non_null(strstr(err, "dirty flags"));
}

/** With the log of a processor that has one, and by looking at every page: the same numbers. */
static void written_pages_are_counted(void **state)
{
	static const u32 log[] = {0, 0x1ff, 0x100000, 0x100123}, again[] = {0x1ff, 5};

	for (int logged = 0; logged < 2; logged++) {
		struct fixture *f = *state;
		struct paging_dirty d;

		f->gm.nr = f->used = f->invalidated = 0;
		struct paging *p = create_tracking(f);

		for (unsigned i = 0; i < 4; i++)
			write_page(p, (u64)log[i] << PAGE_SHIFT);
		/* A look changes nothing ... */
		for (unsigned i = 0; i < 2; i++) {
			d = dirty(p, logged ? log : NULL, 4, false);
			assert_int_equal(d.pages, 4);
			assert_int_equal(d.ever, 4);
		}
		assert_int_equal(f->invalidated, 0);
		/* ... a new beginning makes the processor set the flags again. */
		d = dirty(p, logged ? log : NULL, 4, true);
		assert_int_equal(d.pages, 4);
		assert_int_equal(f->invalidated, 1);
		d = dirty(p, logged ? log : NULL, 0, true);
		assert_int_equal(d.pages, 0);
		assert_int_equal(d.ever, 4);
		assert_int_equal(f->invalidated, 1); /* there was nothing to forget */

		for (unsigned i = 0; i < 2; i++)
			write_page(p, (u64)again[i] << PAGE_SHIFT);
		d = dirty(p, logged ? again : NULL, 2, true);
		assert_int_equal(d.pages, 2);
		assert_int_equal(d.ever, 5); /* page 0x1ff was known */
		/* The permissions, the addresses and the types are untouched. */
		assert_int_equal(ept_ops.audit(p, &f->gm), 0);
		assert_int_equal(*ept_entry((struct ept *)p, GPA(0x1ff000)) & 0xfff,
				 EPT_RWX | MEMTYPE_WB << EPT_MEMTYPE_SHIFT | EPT_ACCESSED);
	}
}

static void the_log_may_name_what_is_not_mapped(void **state)
{
	static const u32 log[] = {0x200, 0xfee00, 0xffffffff};
	struct paging *p = create_tracking(*state);

	assert_int_equal(dirty(p, log, 3, true).pages, 0);
}

static void the_apic_access_page_is_not_written_memory(void **state)
{
	static const u32 log[] = {0xfee00, 1};
	struct paging *p = create_tracking(*state);

	assert_true(ept_ops.overlay(p, GPA(0xfee00000), HPA(0x9000)));
	write_page(p, 0xfee00000);
	write_page(p, 0x1000);
	assert_int_equal(dirty(p, NULL, 0, false).pages, 1);
	assert_int_equal(dirty(p, log, 2, true).ever, 1);
	/* The processor's flags in its entry do not make it a stray one. */
	assert_int_equal(ept_ops.audit(p, &((struct fixture *)*state)->gm), 0);
}

/** The guest chooses the address; whatever that is, its memory stays where it was. */
static void where_the_apic_access_page_cannot_be(void **state)
{
	struct fixture *f = *state;
	struct paging *p = create_tracking(f);
	const u64 alias = BIT(48) + 0x1000;

	assert_true(ept_ops.map_rom(p, GPA(0xfffbc000), HPA(0x8000)));
	assert_false(ept_ops.overlay(p, GPA(alias), HPA(0x9000)));
	assert_false(ept_ops.overlay(p, GPA(0xfffbc000), HPA(0x9000)));
	assert_int_equal(*ept_entry((struct ept *)p, GPA(0xfffbc000)) & EPT_ADDR_MASK, 0x8000);
	/* With the pool used up it can be where tables are; an attempt elsewhere keeps none. */
	assert_true(ept_ops.overlay(p, GPA(0xfee00000), HPA(0x9000)));
	assert_true(ept_ops.overlay(p, GPA(0xfee00000), HPA(0)));
	f->limit = f->used;
	for (unsigned i = 1; i < 8; i++)
		assert_false(ept_ops.overlay(p, GPA(i * GIB(512)), HPA(0x9000)));
	assert_true(ept_ops.overlay(p, GPA(0xfee00000), HPA(0x9000)));
	assert_int_equal(ept_ops.audit(p, &f->gm), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(largest_pages_that_fit),
		T(a_processor_without_large_pages),
		T(no_1g_pages),
		T(misaligned_memory_gets_small_pages),
		T(memory_types_split_large_pages),
		T(eptp_says_what_the_processor_can),
		T(violations_are_devices),
		T(rom_is_read_and_loses_what_is_written),
		T(the_audit_finds_a_stray_leaf),
		T(a_hole_in_a_large_page),
		T(a_devices_memory_is_mapped),
		T(two_holes_share_a_table),
		T(a_hole_among_small_pages_or_nowhere),
		T(no_pages_left_for_a_hole),
		T(an_entry_is_spoiled_and_made_whole),
		T(a_dirty_flag_is_not_lost),
		T(what_cannot_be_spoiled),
		T(the_apic_access_page_gives_its_tables_back),
		T(overlap_is_refused),
		T(exhaustion_is_a_message),
		T(tracking_takes_small_pages_and_a_log),
		T(written_pages_are_counted),
		T(the_log_may_name_what_is_not_mapped),
		T(the_apic_access_page_is_not_written_memory),
		T(where_the_apic_access_page_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
