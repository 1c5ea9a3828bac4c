/* SPDX-License-Identifier: MIT */
/*
 * The page walker against the naive one: random tables in random modes, random accesses; result,
 * error code, and the tables with their accessed and dirty flags must agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "naive_walk.h"

#define RAM_PAGES 12u
#define RAM_SIZE (RAM_PAGES * PAGE_SIZE)
#define ROUNDS 600000u

struct world {
	u64 rng;
	u8 *ram, *copy; /* the walker's and the naive walker's */
	struct gmem gm;
	struct walk_regs r;
};

static u64 rnd(struct world *w)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng * 0x2545f4914f6cdd1dull;
}

static bool one_in(struct world *w, unsigned n)
{
	return (rnd(w) >> 33) % n == 0;
}

static u64 random_entry(struct world *w)
{
	/* Mostly a good pointer into RAM; sometimes one strange bit; rarely nonsense. */
	u64 e = (rnd(w) >> 40) % RAM_PAGES << 12 | 7 | (rnd(w) >> 30 & 0xf78);

	if (!one_in(w, 4))
		e &= ~0x80ull;
	if (one_in(w, 12))
		e &= ~1ull;
	if (one_in(w, 8))
		e &= ~(one_in(w, 2) ? 2ull : 4ull);
	if (one_in(w, 10))
		e |= 1ull << 63;
	if (one_in(w, 6))
		e |= rnd(w) & 0x7ff0000000000000;
	if (one_in(w, 12))
		e ^= 1ull << (rnd(w) >> 58);
	return one_in(w, 50) ? rnd(w) : e;
}

static void new_tables(struct world *w)
{
	static const u8 widths[] = {32, 36, 39, 40, 46, 52};
	bool narrow = one_in(w, 3);

	w->r = (struct walk_regs){
		.cr0 = 1 | (one_in(w, 10) ? 0 : BIT(31)),
		.cr3 = rnd(w) % RAM_SIZE,
		.cr4 = one_in(w, 3) ? 0 : BIT(5),
		.maxphyaddr = widths[rnd(w) % ARRAY_SIZE(widths)],
	};
	if (w->r.cr0 >> 31 && w->r.cr4 && !one_in(w, 3))
		w->r.efer = BIT(10) | BIT(8);
	for (unsigned i = 0; i < RAM_SIZE; i += 8) {
		u64 e = narrow ? (random_entry(w) & 0xffffffff) | random_entry(w) << 32
			       : random_entry(w);

		memcpy(w->ram + i, &e, 8);
	}
	memcpy(w->copy, w->ram, RAM_SIZE);
	for (unsigned i = 0; i < 4; i++)
		w->r.pdpte[i] = (rnd(w) >> 20) % RAM_PAGES << 12 | !one_in(w, 6);
}

static void new_controls(struct world *w)
{
	w->r.cr0 = (w->r.cr0 & ~BIT(16)) | (rnd(w) & BIT(16));
	w->r.cr4 = (w->r.cr4 & BIT(5)) | (rnd(w) & (BIT(4) | BIT(20) | BIT(21) | BIT(22)));
	w->r.efer = (w->r.efer & ~BIT(11)) | (one_in(w, 4) ? 0 : BIT(11));
	w->r.rflags = rnd(w) & BIT(18);
	w->r.pkru = (u32)(rnd(w) >> 20) & (one_in(w, 2) ? (u32)(rnd(w) >> 20) : 0xfffffffc);
	w->r.has_1g = one_in(w, 2);
}

static void compare(struct world *w, unsigned seen[4])
{
	static const u32 kinds[] = {WALK_READ, WALK_WRITE, WALK_FETCH};
	u32 access = kinds[(rnd(w) >> 20) % 3];
	struct walk_result out;
	struct outcome naive;
	u64 gva = rnd(w);
	enum walk_status status;

	if (one_in(w, 2))
		access |= WALK_USER;
	else if (one_in(w, 4) && !(access & WALK_FETCH))
		access |= WALK_IMPLICIT;
	if (one_in(w, 8))
		access |= WALK_NO_AD;
	status = guest_walk(&w->gm, &w->r, GVA(gva), access, &out);
	naive = naive_walk(w->copy, RAM_SIZE, &w->r, gva, access);
	seen[status + (status == WALK_FAULT && out.pferr & PFERR_PK ? 2 : 0)]++;
	if (status == naive.status &&
	    (status == WALK_FAULT ? out.pferr == naive.pferr : out.gpa.v == naive.gpa) &&
	    (status != WALK_OK || out.page_size == naive.page_size))
		return;
	print_error("gva %lx access %x cr0 %lx cr4 %lx efer %lx maxphyaddr %u pkru %x\n", gva,
		    access, w->r.cr0, w->r.cr4, w->r.efer, w->r.maxphyaddr, w->r.pkru);
	fail_msg("walker: %d gpa %lx error %x; naive: %d gpa %lx error %x", status, out.gpa.v,
		 out.pferr, naive.status, naive.gpa, naive.pferr);
}

static void random_walks(void **state)
{
	struct world w = {.rng = 0x853c49e6748fea9b};
	unsigned seen[4] = {0};

	(void)state;
	w.ram = aligned_alloc(PAGE_SIZE, RAM_SIZE);
	w.copy = malloc(RAM_SIZE);
	assert_true(gmem_add(&w.gm, GPA(0), RAM_SIZE, HPA(0), w.ram));
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (i % 1024 == 0)
			new_tables(&w);
		if (i % 32 == 0)
			new_controls(&w);
		compare(&w, seen);
		if (i % 128 == 127)
			assert_memory_equal(w.ram, w.copy, RAM_SIZE);
	}
	/* Each outcome often enough to mean something (the last: faults by protection key). */
	assert_true(seen[WALK_OK] > ROUNDS / 20);
	assert_true(seen[WALK_FAULT] > ROUNDS / 4);
	assert_true(seen[WALK_NOT_RAM] > ROUNDS / 200);
	assert_true(seen[3] > ROUNDS / 200);
	free(w.ram);
	free(w.copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_walks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
