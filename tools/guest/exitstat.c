/* SPDX-License-Identifier: MIT */
/*
 * exitstat: what Tallyvisor counted, seen from within the guest. Takes a snapshot of the
 * hypervisor's exit counters through CPUID (no privilege needed, docs/cpuid-leaves.md), and prints
 * it, or the difference that a command made, as the same table as the hypervisor's own.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "exit_reasons.h"
#include "exit_stats.h"
#include "lib/muldiv.h"
#include "tools/guest/lib/detail.h"
#include "watchdog.h"

/** How often another exitstat may spoil our snapshot before we give up. */
#define MAX_TRIES 100

/* As the shell has them. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127
#define EXIT_BY_SIGNAL 128

static const char help[] =
	"Usage: exitstat [--json] [--detail] [--verify | --overhead]\n"
	"       exitstat [--json] [--detail] [--] COMMAND [ARGUMENT]...\n"
	"       exitstat --heartbeat SECONDS\n"
	"Show the VM exits that Tallyvisor has counted since the guest began, by reason; or, on\n"
	"standard error, those between the start and the end of COMMAND.\n"
	"\n"
	"  -j, --json      print JSON instead of the table\n"
	"  -d, --detail    also show how the cycles are spread, and what the exits were for\n"
	"  -v, --verify    also have the hypervisor print the same snapshot on its console\n"
	"  -o, --overhead  show what lies between two snapshots with nothing between them\n"
	"  -b, --heartbeat SECONDS\n"
	"                  tell the hypervisor's watchdog that the guest is alive, and promise to "
	"do\n"
	"                  so again within SECONDS, 1 to 86400; 0: promise nothing any more\n"
	"  -h, --help      print this text\n"
	"\n"
	"Columns: number and name of the basic exit reason, exits, cycles (ticks of the TSC from\n"
	"the exit to the next entry), cycles per exit, share of all cycles. Time that the\n"
	"processor slept for the guest is `idle' and in no reason's cycles. Lines below the\n"
	"table divide the exits for exceptions and for control registers.\n"
	"\n"
	"The counters are the whole machine's: what else ran meanwhile, timer ticks included, is "
	"in\n"
	"the difference, and so is exitstat itself: the fork, exec and wait of COMMAND, and the\n"
	"CPUID exits of reading the first snapshot, whose number is printed below the table.\n"
	"Nothing is subtracted; --overhead measures it.\n"
	"\n"
	"Exit status: that of COMMAND (128 + n where signal n ended it, 126 or 127 where it could\n"
	"not be run), else 0; 1 where the machine is not under Tallyvisor, 2 for wrong usage.\n";

/** CPUID instructions executed so far: each is an exit that the hypervisor counts. */
static unsigned own_exits;

/** Whether to show what there is in detail. */
static bool detail_wanted;

/** A snapshot, and the value of own_exits that its counters include. */
struct reading {
	struct exit_snapshot snap;
	struct exit_detail detail; /* where it is wanted */
	bool extremes;		   /* the shortest and the longest exit are known */
	unsigned own_exits;
};

static struct cpuid_regs cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "0"(leaf), "2"(subleaf));
	own_exits++;
	return r;
}

static bool under_tallyvisor(void)
{
	struct cpuid_regs r = cpuid(TV_CPUID_SIGNATURE, 0);

	return !memcmp(&r.ebx, TV_SIGNATURE, 12) && r.eax >= TV_CPUID_MAX;
}

/** EBX:EAX and EDX:ECX. */
static void read_pair(u32 subleaf, u64 *first, u64 *second)
{
	struct cpuid_regs r = cpuid(TV_CPUID_READ, subleaf);

	*first = (u64)r.ebx << 32 | r.eax;
	*second = (u64)r.edx << 32 | r.ecx;
}

/** Exceptions by vector, of which `used` has bits, and accesses to control registers, where there
 *  were any. */
static void read_breakdown(struct exit_stats *s, u32 used)
{
	static const u32 registers[] = {0, 3, 4, 8}; /* others do not exist */

	for (u32 n = 0; n < NR_EXCEPTIONS / 2; n++)
		if (used >> 2 * n & 3)
			read_pair(TV_READ_EXCEPTIONS + n, &s->exceptions[2 * n],
				  &s->exceptions[2 * n + 1]);
	if (!s->count[EXIT_REASON_CR_ACCESS])
		return;
	for (u32 i = 0; i < ARRAY_SIZE(registers); i++)
		read_pair(TV_READ_CR_ACCESSES + registers[i],
			  &s->cr_accesses[CR_ACCESS_TO + registers[i]],
			  &s->cr_accesses[CR_ACCESS_FROM + registers[i]]);
	read_pair(TV_READ_CR_OTHER, &s->cr_accesses[CR_ACCESS_CLTS],
		  &s->cr_accesses[CR_ACCESS_LMSW]);
}

/** Read the hypervisor's snapshot. The exits of a reason that this program does not know would be
 *  missing: false. */
static bool read_counters(struct exit_snapshot *s)
{
	struct exit_totals sum;
	u64 count, cycles;

	struct cpuid_regs r = cpuid(TV_CPUID_READ, TV_READ_USED);
	const u32 used[] = {r.eax, r.ebx, r.ecx};

	memset(&s->stats, 0, sizeof(s->stats));
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++)
		if (exit_reason_name(nr) && used[nr / 32] >> nr % 32 & 1)
			read_pair(nr, &s->stats.count[nr], &s->stats.cycles[nr]);
	read_pair(TV_READ_TIME, &s->stats.idle_cycles, &s->ticks);
	read_pair(TV_READ_PAGES, &s->pages_written, &s->pages_ever);
	read_breakdown(&s->stats, r.edx);
	read_pair(TV_READ_TOTAL, &count, &cycles);
	sum = exit_stats_totals(&s->stats);
	return sum.count == count && sum.cycles == cycles;
}

/** Take a snapshot and read it. There is one in the machine, so another process may take the next
 *  while we read: then the number has changed, and we begin anew. */
static bool take_snapshot(struct reading *r)
{
	struct exit_snapshot *s = &r->snap;
	bool complete;

	for (int i = 0; i < MAX_TRIES; i++) {
		r->own_exits = own_exits;
		s->seq = cpuid(TV_CPUID_SNAPSHOT,
			       detail_wanted ? TV_SNAPSHOT_TAKE_DETAIL : TV_SNAPSHOT_TAKE)
				 .eax;
		complete = read_counters(s);
		if (detail_wanted)
			complete = detail_read(cpuid, &r->detail, &s->stats) && complete;
		r->extremes = true;
		if (cpuid(TV_CPUID_SNAPSHOT, TV_SNAPSHOT_NUMBER).eax != s->seq)
			continue;
		if (!complete)
			fprintf(stderr,
				"exitstat: the reasons do not add up to the hypervisor's total: "
				"it is of another version than this program.\n");
		return complete;
	}
	fprintf(stderr, "exitstat: other processes take snapshots all the time; try again.\n");
	return false;
}

static void put_line(void *stream, const char *line)
{
	fputs(line, stream);
}

/** A member of a JSON object, unless it is 0; `separator` becomes what goes before the next. */
static void print_json_count(const char **separator, const char *name, u64 count, FILE *out)
{
	if (!count)
		return;
	fprintf(out, "%s\"%s\":%llu", *separator, name, (unsigned long long)count);
	*separator = ",";
}

static void print_json_breakdown(const struct exit_stats *s, FILE *out)
{
	const char *separator = "";
	char name[CR_ACCESS_NAME_MAX];

	fputs(",\"exceptions\":{", out);
	for (u32 i = 0; i < NR_EXCEPTIONS; i++)
		print_json_count(&separator, exception_name(i), s->exceptions[i], out);
	separator = "";
	fputs("},\"cr\":{", out);
	for (u32 i = 0; i < NR_CR_ACCESSES; i++) {
		cr_access_name(i, name);
		print_json_count(&separator, name, s->cr_accesses[i], out);
	}
	fputs("}", out);
}

static void print_json(const struct reading *r, FILE *out)
{
	const struct exit_snapshot *s = &r->snap;
	struct exit_totals t = exit_stats_totals(&s->stats);
	const char *separator = "";

	fprintf(out,
		"{\"schema\":1,\"seq\":%u,\"ticks\":%llu,\"idle_cycles\":%llu,\"exits_total\":%llu,"
		"\"cycles_total\":%llu,\"reasons\":[",
		s->seq, (unsigned long long)s->ticks, (unsigned long long)s->stats.idle_cycles,
		(unsigned long long)t.count, (unsigned long long)t.cycles);
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		if (!s->stats.count[nr])
			continue;
		fprintf(out, "%s{\"nr\":%u,\"name\":\"%s\",\"count\":%llu,\"cycles\":%llu",
			separator, nr, exit_reason_name(nr), (unsigned long long)s->stats.count[nr],
			(unsigned long long)s->stats.cycles[nr]);
		if (detail_wanted)
			detail_print_json(&r->detail, nr, r->extremes, out);
		fputs("}", out);
		separator = ",";
	}
	fputs("]", out);
	print_json_breakdown(&s->stats, out);
	if (s->pages_ever)
		fprintf(out, ",\"pages_written\":%llu,\"pages_ever\":%llu",
			(unsigned long long)s->pages_written, (unsigned long long)s->pages_ever);
	fputs("}\n", out);
}

static void print(const struct reading *r, const char *title, bool json, FILE *out)
{
	const struct text_out text = {.prefix = "", .puts = put_line, .ctx = out};

	if (json)
		print_json(r, out);
	else
		exit_stats_print(&r->snap, title, &text);
	if (detail_wanted && !json)
		detail_print(&r->detail, &r->snap.stats, r->extremes, out);
	fflush(out);
}

/** What happened from one reading to the next. */
static void difference(struct reading *d, const struct reading *after, const struct reading *before)
{
	memset(d, 0, sizeof(*d));
	d->own_exits = after->own_exits - before->own_exits;
	d->snap.seq = after->snap.seq;
	d->snap.ticks = after->snap.ticks - before->snap.ticks;
	d->snap.pages_written = after->snap.pages_written; /* since the snapshot before it */
	d->snap.pages_ever = after->snap.pages_ever;
	exit_stats_sub(&d->snap.stats, &after->snap.stats, &before->snap.stats);
	if (detail_wanted)
		exit_detail_sub(&d->detail, &after->detail, &before->detail);
}

static int show_totals(bool json, bool verify)
{
	static struct reading r;

	if (!take_snapshot(&r))
		return EXIT_FAILURE;
	print(&r, "snapshot", json, stdout);
	if (!verify)
		return EXIT_SUCCESS;
	/* The hypervisor may write to the very terminal that our text is still on its way to. */
	tcdrain(STDOUT_FILENO);
	if (cpuid(TV_CPUID_SNAPSHOT, TV_SNAPSHOT_PRINT).eax == r.snap.seq)
		return EXIT_SUCCESS;
	fprintf(stderr, "exitstat: another process took a snapshot meanwhile, and the hypervisor "
			"printed that one.\n");
	return EXIT_FAILURE;
}

static int show_overhead(bool json)
{
	static struct reading before, after, d;

	if (!take_snapshot(&before) || !take_snapshot(&after))
		return EXIT_FAILURE;
	difference(&d, &after, &before);
	print(&d, "overhead", json, stdout);
	return EXIT_SUCCESS;
}

/** Run it to its end. Returns the exit status as a shell would. */
static int run(char **argv)
{
	int status, code;
	pid_t pid;

	/* An interrupt from the terminal is meant for the command; we go on to the table. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	pid = fork();
	if (pid < 0) {
		perror("exitstat: fork");
		return EXIT_CANNOT_EXECUTE;
	}
	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		execvp(argv[0], argv);
		code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
		fprintf(stderr, "exitstat: %s: %s\n", argv[0], strerror(errno));
		_exit(code);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			perror("exitstat: waitpid");
			return EXIT_CANNOT_EXECUTE;
		}
	}
	return WIFSIGNALED(status) ? EXIT_BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/** The lines below the table: time by the guest's clock, the hypervisor's part in it, and ours. */
static void print_summary(const struct reading *d)
{
	struct cpuid_regs clock = cpuid(TV_CPUID_CLOCK, 0);
	u64 cycles = exit_stats_totals(&d->snap.stats).cycles, ticks = d->snap.ticks;
	u64 us = clock.eax ? mul_div_u64(ticks, 1000, clock.eax) : 0;
	u64 share = ticks ? mul_div_u64(cycles, 1000, ticks) : 0;

	fprintf(stderr,
		"\n%llu.%06llu seconds, %llu.%llu %% of them in the hypervisor; "
		"%u of the CPUID exits are exitstat's own\n",
		(unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000),
		(unsigned long long)(share / 10), (unsigned long long)(share % 10), d->own_exits);
}

static int show_command(char **argv, bool json)
{
	static struct reading before, after, d;
	int code;

	if (!take_snapshot(&before))
		return EXIT_FAILURE;
	code = run(argv);
	if (!take_snapshot(&after))
		return code ? code : EXIT_FAILURE;
	difference(&d, &after, &before);
	if (!json) {
		fprintf(stderr, "\nVM exits while '");
		for (int i = 0; argv[i]; i++)
			fprintf(stderr, "%s%s", i ? " " : "", argv[i]);
		fprintf(stderr, "' ran:\n\n");
	}
	print(&d, "command", json, stderr);
	if (!json)
		print_summary(&d);
	return code;
}

/** A sign of life (docs/options.md, watchdog=). */
static int heartbeat(u32 seconds)
{
	if (cpuid(TV_CPUID_HEARTBEAT, seconds).eax)
		return EXIT_SUCCESS;
	fprintf(stderr,
		"exitstat: nobody listens: the hypervisor was not started with watchdog=\n");
	return EXIT_FAILURE;
}

/** The argument of --heartbeat. */
static bool parse_promise(const char *text, u32 *seconds)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value > WATCHDOG_PROMISE_MAX)
		return false;
	*seconds = (u32)value;
	return true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"detail", no_argument, NULL, 'd'},
		{"verify", no_argument, NULL, 'v'},
		{"overhead", no_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{"heartbeat", required_argument, NULL, 'b'},
		{NULL, 0, NULL, 0},
	};
	bool json = false, verify = false, overhead = false, beat = false;
	u32 promise = 0;
	int c;

	/* "+": the first word that is no option begins COMMAND. */
	while ((c = getopt_long(argc, argv, "+jdvohb:", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'd':
			detail_wanted = true;
			break;
		case 'v':
			verify = true;
			break;
		case 'o':
			overhead = true;
			break;
		case 'b':
			beat = true;
			if (parse_promise(optarg, &promise))
				break;
			fprintf(stderr, "exitstat: --heartbeat %s: give seconds, 0 to %u\n", optarg,
				WATCHDOG_PROMISE_MAX);
			return 2;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default:
			fprintf(stderr, "Try 'exitstat --help'.\n");
			return 2;
		}
	}
	if (verify + overhead + beat + (optind < argc) > 1) {
		fprintf(stderr, "exitstat: --verify, --overhead, --heartbeat and a COMMAND exclude "
				"one another.\n");
		return 2;
	}
	if (!under_tallyvisor()) {
		fprintf(stderr, "exitstat: this machine does not run under Tallyvisor: CPUID leaf "
				"0x40000000 does not bear its signature.\n");
		return EXIT_FAILURE;
	}
	if (beat)
		return heartbeat(promise);
	if (optind < argc)
		return show_command(argv + optind, json);
	return overhead ? show_overhead(json) : show_totals(json, verify);
}
