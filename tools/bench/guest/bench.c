/* SPDX-License-Identifier: MIT */
/*
 * bench: fixed workloads, one line of figures for each, in ticks of the time-stamp counter; under
 * Tallyvisor with the VM exits of each by reason (docs/bench.md describes the lines). As the
 * guest's first process it prepares what the workloads need, and powers off at the end; as any
 * other it expects /proc, /sys, /dev and /tmp.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "counters.h"
#include "phases.h"

/** How many CPUIDs the cost of one is measured with. */
#define PROBES 200

_Noreturn void bench_fail(const char *what)
{
	printf("bench: failed: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static unsigned long long ull(u64 value)
{
	return value;
}

static void print_exits(const struct exit_stats *s)
{
	struct exit_totals t = exit_stats_totals(s);

	printf(" idle %llu exits %llu cycles %llu", ull(s->idle_cycles), ull(t.count),
	       ull(t.cycles));
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++)
		if (s->count[nr])
			printf(" %u=%llu/%llu", nr, ull(s->count[nr]), ull(s->cycles[nr]));
}

/** The line of one phase; `exits` is NULL on the bare machine. */
static void print_phase(const char *name, u64 ticks, const struct exit_stats *exits)
{
	printf("bench: phase %s ticks %llu", name, ull(ticks));
	if (exits)
		print_exits(exits);
	printf("\n");
	/* The transmitter's interrupts belong to no phase. */
	tcdrain(STDOUT_FILENO);
}

static void run_phase(const struct phase *p, bool counted, const struct own_cost *cost)
{
	/* Not on the stack: how many of its pages a fork has to copy would depend on them. */
	static struct exit_snapshot before, after;
	static struct exit_stats exits;
	unsigned own = 0;
	u64 start, ticks;

	if (p->prepare)
		p->prepare();
	if (counted)
		own = counters_read(&before);
	start = read_tsc();
	p->run();
	ticks = read_tsc() - start;
	if (counted) {
		counters_read(&after);
		counters_between(&exits, &before, &after, own, cost);
	}
	if (p->clean)
		p->clean();
	print_phase(p->name, ticks, counted ? &exits : NULL);
}

/** The ticks between two readings of the counter; with a CPUID between them, or nothing. */
static u64 ticks_between(bool cpuid)
{
	u32 start, end, leaf = 0;

	if (cpuid)
		__asm__ volatile("lfence; rdtsc; mov %%eax, %%esi; mov %2, %%eax; cpuid; rdtsc"
				 : "=a"(end), "=&S"(start)
				 : "D"(leaf)
				 : "rbx", "rcx", "rdx");
	else
		__asm__ volatile("lfence; rdtsc; mov %%eax, %%esi; mov %2, %%eax; rdtsc"
				 : "=a"(end), "=&S"(start)
				 : "D"(leaf)
				 : "rdx");
	return end - start;
}

/** What one CPUID takes, instruction to instruction: the least, and the mean. */
static void probe_cpuid(void)
{
	u64 least = ~0ull, sum = 0, empty = ~0ull, ticks;

	for (int i = 0; i < PROBES; i++) {
		ticks = ticks_between(false);
		empty = ticks < empty ? ticks : empty;
		ticks = ticks_between(true);
		least = ticks < least ? ticks : least;
		sum += ticks;
	}
	printf("bench: cpuid least %llu mean %llu\n", ull(least - empty),
	       ull(sum / PROBES - empty));
	tcdrain(STDOUT_FILENO);
}

/** What follows `word` in a file of /proc, as `format` has it: MHz and kHz. 0: it is not there. */
static u64 find_khz(const char *file, const char *word, const char *format)
{
	FILE *f = fopen(file, "r");
	unsigned thousands = 0, rest = 0;
	char line[2048];
	const char *at;

	while (f && !thousands && fgets(line, sizeof(line), f)) {
		at = strstr(line, word);
		if (at && sscanf(at + strlen(word), format, &thousands, &rest) < 1)
			thousands = 0;
	}
	if (f)
		fclose(f);
	return thousands * 1000ull + rest;
}

/** The rate of the time-stamp counter by the kernel's reckoning, kHz: as it was told on its command
 *  line, else that of the processor, which is the same but for the error of its calibration. */
static u64 tsc_khz(void)
{
	u64 khz = find_khz("/proc/cmdline", "tsc_early_khz=", "%u") / 1000;

	return khz ? khz : find_khz("/proc/cpuinfo", "cpu MHz", " : %u.%3u");
}

/**
 * The time-stamp counter when the kernel's clock was 0, early in its setup_arch(): the kernel log
 * says what time it is (microseconds), and we know the counter around that moment.
 */
static u64 clock_zero(u64 khz)
{
	static const char message[] = "<7>bench: what time is it?\n";
	int fd = open("/dev/kmsg", O_RDWR | O_NONBLOCK);
	unsigned long long us;
	char record[512];
	ssize_t length;
	u64 tsc;

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		bench_fail("/dev/kmsg");
	tsc = read_tsc();
	if (write(fd, message, strlen(message)) < 0)
		bench_fail("/dev/kmsg");
	length = read(fd, record, sizeof(record) - 1);
	if (length <= 0)
		bench_fail("/dev/kmsg");
	record[length] = '\0';
	if (sscanf(record, "%*u,%*u,%llu,", &us) != 1)
		bench_fail("/dev/kmsg");
	close(fd);
	return tsc - us * khz / 1000;
}

static void mount_or_fail(const char *type, const char *where)
{
	if (mount(type, where, type, 0, NULL))
		bench_fail(where);
}

/** What the kernel leaves to its first process. */
static void prepare_system(void)
{
	mount_or_fail("proc", "/proc");
	mount_or_fail("sysfs", "/sys");
	mount_or_fail("devtmpfs", "/dev");
	mount_or_fail("tmpfs", "/tmp");
	setenv("PATH", "/bin", 1);
}

static _Noreturn void power_off(void)
{
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

int main(void)
{
	u64 entered = read_tsc(), khz, zero;
	bool counted = counters_present(), first = getpid() == 1;
	static struct exit_snapshot boot, again;
	struct own_cost cost;

	if (counted) {
		cost.cpuids = counters_read(&boot);
		counters_read(&again);
		cost.cycles = again.stats.cycles[EXIT_REASON_CPUID] -
			      boot.stats.cycles[EXIT_REASON_CPUID];
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (first) {
		atexit(power_off);
		prepare_system();
	}
	khz = tsc_khz();
	zero = clock_zero(khz);
	printf("bench: begin 2 %s khz %llu zero %llu\n", counted ? "tallyvisor" : "bare", ull(khz),
	       ull(zero));
	print_phase("boot", entered - zero, counted ? &boot.stats : NULL);
	for (size_t i = 0; i < bench_nr_phases; i++)
		run_phase(&bench_phases[i], counted, &cost);
	probe_cpuid();
	printf("bench: end\n");
	return EXIT_SUCCESS;
}
