/* SPDX-License-Identifier: MIT */
/* The text of the flight recorder: what is coded can be read again, and small. The reader that
 * users have is in Python, and tests/boot/test_trace_unit.py holds the two against each other. */
#include "exit_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static u64 get_number(const u8 **at)
{
	u64 v = 0;
	unsigned shift = 0;

	do
		v |= (u64)(**at & 0x7f) << shift;
	while (shift += 7, *(*at)++ & 0x80);
	return v;
}

static u64 get_difference(const u8 **at, u64 before)
{
	u64 v = get_number(at);

	return before + (v & 1 ? ~(v >> 1) : v >> 1);
}

/** trace_encode()'s opposite, with a coder of its own. */
static size_t decode(struct trace_coder *c, struct trace_record *r, const u8 *data)
{
	const u8 *at = data;
	u8 first = *at++;
	u32 reason = first & 0x7f;
	struct trace_record *last;

	if (reason == 0x7f)
		reason = (u32)get_number(&at);
	last = &c->last[MIN(reason, NR_EXIT_REASONS)];
	*r = *last;
	r->reason = reason;
	r->time = c->time + get_number(&at);
	r->cycles = (u32)get_difference(&at, last->cycles);
	r->time += r->cycles;
	if (!(first & 0x80)) {
		r->rip = get_difference(&at, last->rip);
		r->qual = get_difference(&at, last->qual);
		r->cr3 = get_difference(&at, last->cr3);
	}
	c->time = r->time;
	*last = *r;
	return (size_t)(at - data);
}

static void assert_same(const struct trace_record *a, const struct trace_record *b)
{
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->cycles, b->cycles);
	assert_true(a->time == b->time && a->rip == b->rip && a->qual == b->qual &&
		    a->cr3 == b->cr3);
}

static size_t through(struct trace_coder *to, struct trace_coder *from,
		      const struct trace_record *r)
{
	u8 data[TRACE_RECORD_MAX];
	struct trace_record got;
	size_t n = trace_encode(to, r, data);

	assert_in_range(n, 3, TRACE_RECORD_MAX);
	assert_int_equal(decode(from, &got, data), n);
	assert_same(&got, r);
	return n;
}

static struct trace_coder to, from;

static int fresh(void **state)
{
	(void)state;
	trace_coder_init(&to);
	trace_coder_init(&from);
	return 0;
}

static void test_extremes(void **state)
{
	static const u64 values[] = {0, 1, 0x7f, 0x80, 1ull << 63, ~0ull, ~0ull >> 1, 0xffffffff};
	static const u32 reasons[] = {0, 1, NR_EXIT_REASONS - 1, NR_EXIT_REASONS, 0x80000021, ~0u};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(values); j++) {
			const struct trace_record r = {.time = values[i],
						       .rip = values[j],
						       .qual = values[(i + j) % 8],
						       .cr3 = values[(2 * i + j) % 8],
						       .reason = reasons[(i + j) % 6],
						       .cycles = (u32)values[(i + 3 * j) % 8]};

			through(&to, &from, &r);
		}
	}
}

static u64 any(unsigned bits)
{
	u64 v = (u64)rand() << 42 ^ (u64)rand() << 21 ^ (u64)rand();

	return bits ? v >> (64 - bits) : 0;
}

static void test_random(void **state)
{
	struct trace_record r = {0};

	(void)state;
	srand(5);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned change = (unsigned)any(6);

		r.time += any(change & 1 ? 14 : 64);
		r.rip = change & 2 ? r.rip + any(20) : any(64);
		r.qual = change & 4 ? r.qual : any((unsigned)any(6));
		r.cr3 = change & 8 ? r.cr3 : any(40);
		r.reason = change & 16 ? (u32)any(6) : (u32)any(32);
		r.cycles = (u32)any(change & 32 ? 10 : 32);
		through(&to, &from, &r);
	}
}

/** What a guest does most: the same thing at the same place. */
static void test_small(void **state)
{
	struct trace_record r = {.rip = 0xffffffff81000000, .cr3 = 0x1234000, .reason = 10};

	(void)state;
	r.time = 1000000;
	r.cycles = 500;
	through(&to, &from, &r);
	for (unsigned i = 0; i < 100; i++) {
		r.time += 700;
		r.cycles = 500 + i % 3;
		assert_in_range(through(&to, &from, &r), 3, 4);
		r.rip += 20; /* another place nearby */
		r.time += 700;
		assert_in_range(through(&to, &from, &r), 6, 7);
	}
}

struct page {
	char text[65536];
	size_t lines;
};

static void keep(void *ctx, const char *line)
{
	struct page *p = ctx;

	assert_in_range(strlen(line), 20, 180);
	assert_int_equal(line[strlen(line) - 1], '\n');
	strcat(p->text, line);
	p->lines++;
}

static void test_lines(void **state)
{
	static struct page p;
	const struct text_out out = {"x: ", keep, &p};
	struct trace_record r = {.reason = 10, .rip = 0x1000, .cr3 = 0x2000, .cycles = 100};
	struct trace_writer w;
	char *line;
	u64 next = 5000;

	(void)state;
	trace_begin(&w, next, &out);
	trace_flush(&w);
	assert_int_equal(p.lines, 0);
	for (unsigned i = 0; i < 1000; i++) {
		r.time += 1000 * i;
		r.rip ^= i % 7;
		trace_put(&w, &r);
	}
	trace_flush(&w);
	trace_flush(&w);
	assert_in_range(p.lines, 30, 90);
	for (line = strtok(p.text, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned long long first;
		unsigned sum;
		char data[160];

		assert_int_equal(
			sscanf(line, "x: trace %llu %159[A-Za-z0-9+/] %4x", &first, data, &sum), 3);
		assert_true(first >= next && first < 6000);
		next = first + 1;
	}
}

/** The whole of it, byte for byte: the format is docs/trace.md's. */
static void test_format(void **state)
{
	static struct page p;
	const struct text_out out = {"tallyvisor: ", keep, &p};
	const struct trace_record one = {1000, 0x8000, 0, 0x3000, 10, 200};
	const struct trace_record two = {1500, 0x8000, 0, 0x3000, 10, 199};
	struct trace_writer w;

	(void)state;
	trace_begin(&w, 7, &out);
	trace_put(&w, &one);
	trace_put(&w, &two);
	trace_flush(&w);
	/* 0a; 800 = a0 06; +200 = 90 03; 0x8000 = 80 80 04; 00; 0x3000 = 80 c0 01
	 * 8a; 301 = ad 02; -1 = 01 */
	assert_string_equal(p.text, "tallyvisor: trace 7 CqAGkAOAgAQAgMABiq0CAQ 3bb0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_extremes, fresh),
		cmocka_unit_test_setup(test_random, fresh),
		cmocka_unit_test_setup(test_small, fresh),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
