/* SPDX-License-Identifier: MIT */
/*
 * A program for the guest (test_shadow.py) with far more page tables in use at a time than a small
 * pool of shadow pages holds: one page in each of many 2 MiB, so that each has a table of its own,
 * in several processes that take turns. All of memory that is read is checked.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STRIDE (2ul << 20)
#define PLACES 128ul /* page tables of a process */
#define CHILDREN 6
#define ROUNDS 4

static volatile char *space;
static sigjmp_buf back;

static void failed(const char *what, unsigned long place, unsigned long found)
{
	printf("pressure: FAILED: %s, place %lu: found %#lx\n", what, place, found);
	exit(1);
}

/** A word in each page, at another offset from page to page. */
static volatile uint64_t *word(unsigned long place)
{
	return (volatile uint64_t *)(space + place * STRIDE + place % 512 * sizeof(uint64_t));
}

static uint64_t value(unsigned long who, unsigned long round, unsigned long place)
{
	return who << 48 | round << 32 | (place + 1);
}

static void fill(unsigned long who, unsigned long round)
{
	for (unsigned long i = 0; i < PLACES; i++)
		*word(i) = value(who, round, i);
}

static void check(const char *what, unsigned long who, unsigned long round)
{
	for (unsigned long i = 0; i < PLACES; i++) {
		if (*word(i) != value(who, round, i))
			failed(what, i, *word(i));
	}
}

static void on_fault(int number)
{
	siglongjmp(back, number);
}

static bool faults(volatile uint64_t *at, bool write)
{
	if (sigsetjmp(back, 1))
		return true;
	if (write)
		*at = 0;
	else
		(void)*at;
	return false;
}

/** What is read-only, or gone for a while, has to fault. */
static void check_protection(void)
{
	for (unsigned long i = 0; i < PLACES; i += 8) {
		char *page = (char *)space + i * STRIDE;

		if (mprotect(page, 4096, PROT_READ) || !faults(word(i), true) ||
		    faults(word(i), false))
			failed("a page that is read-only", i, 0);
		if (mprotect(page, 4096, PROT_NONE) || !faults(word(i), false))
			failed("a page without PROT_READ", i, 0);
		if (mprotect(page, 4096, PROT_READ | PROT_WRITE))
			failed("mprotect", i, 0);
	}
}

/** A process beside others: its own values over the parent's, and nothing of theirs. */
static int child(unsigned long who)
{
	check("the parent's, in a child", 0, 0);
	for (unsigned long round = 1; round <= ROUNDS; round++) {
		fill(who, round);
		sched_yield();
		check("a child's own", who, round);
	}
	check_protection();
	sched_yield();
	check("a child's own, at its end", who, ROUNDS);
	return 0;
}

static void map(void *where, int how)
{
	space = mmap(where, PLACES * STRIDE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how, -1, 0);
	if (space == MAP_FAILED)
		failed("mmap", 0, 0);
}

int main(void)
{
	int status, well = 0;

	map(NULL, 0);
	signal(SIGSEGV, on_fault);
	fill(0, 0);
	for (unsigned long i = 1; i <= CHILDREN; i++) {
		fflush(stdout);
		if (fork() == 0)
			return child(i);
	}
	while (wait(&status) > 0)
		well += status == 0;
	if (well != CHILDREN)
		failed("children that ended well", CHILDREN, well);
	check("the parent's", 0, 0);

	/* Gone, and there again: zeroes. */
	munmap((void *)space, PLACES * STRIDE);
	map((void *)space, MAP_FIXED_NOREPLACE);
	for (unsigned long i = 0; i < PLACES; i++) {
		if (*word(i))
			failed("fresh memory", i, *word(i));
	}
	printf("pressure: %d processes with %lu page tables each: all as it should be\n",
	       CHILDREN + 1, PLACES);
	return 0;
}
