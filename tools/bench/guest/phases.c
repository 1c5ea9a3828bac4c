/* SPDX-License-Identifier: MIT */
/* The workloads. Their parameters are fixed: figures are compared over versions and machines. */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "phases.h"

#define PAGE 4096
#define MIB (1024 * 1024)

#define EXECS "200"
#define FORKS 200
#define MAPPINGS 2
#define MAPPING_BYTES (16 * MIB)
#define PINGS 1000
#define PROTECTIONS 1000
#define PROTECTED_PAGES 16
#define SYSTEM_CALLS 20000
#define COMPUTE_WORDS 8192
#define COMPUTE_ROUNDS 470

#define DD_FILE "/tmp/bench.dd"

/** Wait for a child; it must have succeeded. */
static void reap(pid_t pid, const char *what)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		bench_fail(what);
}

/** Run a program to its end, without input and without showing its output. */
static void run_program(const char *const argv[])
{
	pid_t pid = fork();
	int null;

	if (pid == 0) {
		null = open("/dev/null", O_RDWR);
		if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	reap(pid, argv[1]);
}

/** A shell loop: each round forks the shell and executes a static program of 2 MiB. */
static void run_shell(void)
{
	static const char *const argv[] = {"/bin/busybox", "sh", "-c",
					   "i=0; while [ $i -lt " EXECS " ]; do /bin/true; "
					   "i=$((i+1)); done",
					   NULL};

	run_program(argv);
}

static void run_fork(void)
{
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		reap(pid, "fork");
	}
}

/** Fresh anonymous memory, one write a page. */
static void run_mmap(void)
{
	for (int i = 0; i < MAPPINGS; i++) {
		volatile char *p = mmap(NULL, MAPPING_BYTES, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			bench_fail("mmap");
		for (size_t at = 0; at < MAPPING_BYTES; at += PAGE)
			p[at] = 1;
		munmap((void *)p, MAPPING_BYTES);
	}
}

static void run_dd(void)
{
	static const char *const argv[] = {
		"/bin/busybox", "dd", "if=/dev/zero", "of=" DD_FILE, "bs=64k", "count=256", NULL};

	run_program(argv);
}

static void clean_dd(void)
{
	unlink(DD_FILE);
}

/** Processes end while it lists /proc, its own among them, so its exit status says nothing. */
static void run_ls(void)
{
	static const char *const argv[] = {"/bin/busybox", "sh", "-c",
					   "busybox ls -lR /proc /sys; exit 0", NULL};

	run_program(argv);
}

static int ping[2], pong[2];
static pid_t ponger;

/** Under SCHED_FIFO the two change over where they wait and nowhere else: under the fair scheduler
 *  a timer tick that falls here or there adds or saves switches. */
static void set_scheduler(int policy)
{
	struct sched_param param = {.sched_priority = policy == SCHED_FIFO ? 1 : 0};

	if (sched_setscheduler(0, policy, &param))
		bench_fail("sched_setscheduler");
}

static void prepare_pipe(void)
{
	char byte;

	set_scheduler(SCHED_FIFO);
	if (pipe(ping) || pipe(pong))
		bench_fail("pipe");
	ponger = fork();
	if (ponger == 0) {
		for (int i = 0; i <= PINGS; i++)
			if (read(ping[0], &byte, 1) != 1 || write(pong[1], &byte, 1) != 1)
				_exit(1);
		_exit(0);
	}
	/* The first exchange, in which the child comes into being, is not timed. */
	if (ponger < 0 || write(ping[1], "", 1) != 1 || read(pong[0], &byte, 1) != 1)
		bench_fail("pipe");
}

/** One byte there and back: two context switches. */
static void run_pipe(void)
{
	char byte = 0;

	for (int i = 0; i < PINGS; i++)
		if (write(ping[1], &byte, 1) != 1 || read(pong[0], &byte, 1) != 1)
			bench_fail("pipe");
}

static void clean_pipe(void)
{
	set_scheduler(SCHED_OTHER);
	reap(ponger, "pipe");
	for (int i = 0; i < 2; i++) {
		close(ping[i]);
		close(pong[i]);
	}
}

static volatile char *protected;

static void prepare_mprotect(void)
{
	protected = mmap(NULL, PROTECTED_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (protected == MAP_FAILED)
		bench_fail("mmap");
	for (int i = 0; i < PROTECTED_PAGES; i++)
	protected[i * PAGE] = 1;
}

/** A page in the midst of a mapping becomes read-only and writable again, and is written to. */
static void run_mprotect(void)
{
	char *page = (char *)protected + PROTECTED_PAGES / 2 * PAGE;

	for (int i = 0; i < PROTECTIONS; i++) {
		if (mprotect(page, PAGE, PROT_READ) || mprotect(page, PAGE, PROT_READ | PROT_WRITE))
			bench_fail("mprotect");
		*(volatile char *)page = (char)i;
	}
}

static void run_getppid(void)
{
	for (int i = 0; i < SYSTEM_CALLS; i++)
		syscall(SYS_getppid);
}

static uint64_t compute_words[COMPUTE_WORDS];

/** Arithmetic over 64 KiB, no system call: whatever is lost here is lost to interrupts. */
static void run_compute(void)
{
	uint64_t x = 88172645463325252u; /* Marsaglia's xorshift64 and his seed */

	for (int round = 0; round < COMPUTE_ROUNDS; round++) {
		for (int i = 0; i < COMPUTE_WORDS; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			compute_words[i] += x;
		}
	}
	/* Without a reader the compiler would leave all of it out. */
	__asm__ volatile("" : : "r"(compute_words) : "memory");
}

const struct phase bench_phases[] = {
	{"shell", NULL, run_shell, NULL},
	{"fork", NULL, run_fork, NULL},
	{"mmap", NULL, run_mmap, NULL},
	{"dd", NULL, run_dd, clean_dd},
	{"ls", NULL, run_ls, NULL},
	{"pipe", prepare_pipe, run_pipe, clean_pipe},
	{"mprotect", prepare_mprotect, run_mprotect, NULL},
	{"getppid", NULL, run_getppid, NULL},
	{"compute", NULL, run_compute, NULL},
};

const size_t bench_nr_phases = sizeof(bench_phases) / sizeof(bench_phases[0]);
