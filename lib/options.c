/* SPDX-License-Identifier: MIT */
/*
 * The parser of the boot options. One row of option_rows[] is all there is to an option: its name,
 * the field it sets, what it takes. Messages, the list of known names and the guess at a misspelt
 * one come from the same rows.
 */
#include "options.h"

#include "exit_switches.h"
#include "vmx_features.h"
#include "lib/fmt.h"
#include "lib/mem.h"

#define WORD_MAX 512 /* longest word, quotes removed */

/** One of the words that an option takes. */
struct choice {
	const char *word;
	u32 value;
};

struct option_row {
	const char *name;
	/** Understand `value` and store it at `field`. False where it is not possible; `err`, empty
	 *  before, may then hold a sentence that says why better than `takes` does. */
	bool (*set)(const struct option_row *row, struct options *o, void *field, const char *value,
		    char *err);
	size_t field;		     /* offset in struct options */
	const char *takes;	     /* what a valid setting looks like, for messages */
	u32 min, max;		     /* numbers */
	const struct choice *choice; /* words, ended by a NULL word */
};

static const struct choice paging_choices[] = {
	{"ept", PAGING_EPT}, {"shadow", PAGING_SHADOW}, {"compare", PAGING_COMPARE}, {NULL, 0}};
static const struct choice leaves_choices[] = {
	{"2021", LEAVES_2021}, {"2022", LEAVES_2022}, {NULL, 0}};
static const struct choice crash_choices[] = {{"no", CRASH_NOT},
					      {"panic", CRASH_PANIC},
					      {"fault", CRASH_FAULT},
					      {"stack", CRASH_STACK},
					      {NULL, 0}};
static const struct choice reset_choices[] = {
	{"end", RESET_ENDS}, {"restart", RESET_RESTARTS}, {NULL, 0}};
static const struct choice end_choices[] = {{"off", END_OFF}, {"stay", END_STAYS}, {NULL, 0}};
static const struct choice switch_choices[] = {{"0", 0}, {"1", 1}, {NULL, 0}};

static bool set_choice(const struct option_row *row, struct options *o, void *field,
		       const char *value, char *err)
{
	(void)o;
	(void)err;
	for (const struct choice *c = row->choice; c->word; c++) {
		if (!strcmp(c->word, value)) {
			*(u32 *)field = c->value;
			return true;
		}
	}
	return false;
}

/** Decimal digits at `s`, up to the first other character, which `end` is set to. Saturates. */
static u64 parse_decimal(const char *s, const char **end)
{
	u64 v = 0;

	for (; *s >= '0' && *s <= '9'; s++) {
		if (v <= UINT32_MAX)
			v = v * 10 + (u64)(*s - '0');
	}
	*end = s;
	return v;
}

static bool store_in_range(const struct option_row *row, void *field, u64 v)
{
	if (v < row->min || v > row->max)
		return false;
	*(u32 *)field = (u32)v;
	return true;
}

static bool set_number(const struct option_row *row, struct options *o, void *field,
		       const char *value, char *err)
{
	const char *end;
	u64 v = parse_decimal(value, &end);

	(void)o;
	(void)err;
	return end != value && !*end && store_in_range(row, field, v);
}

/** MiB, with an optional suffix M or G. */
static bool set_mib(const struct option_row *row, struct options *o, void *field, const char *value,
		    char *err)
{
	const char *end;
	u64 v = parse_decimal(value, &end);

	(void)o;
	(void)err;
	if (end == value)
		return false;
	if (*end == 'G' || *end == 'g') {
		v *= 1024;
		end++;
	} else if (*end == 'M' || *end == 'm') {
		end++;
	}
	return !*end && store_in_range(row, field, v);
}

/** A file on the boot volume, named by the `length` characters at `value`: from its root, with the
 *  separators that UEFI wants. */
static bool store_path(char path[OPT_PATH_MAX], const char *value, size_t length)
{
	size_t n = 0;

	if (!length)
		return false;
	if (*value != '\\' && *value != '/')
		path[n++] = '\\';
	for (; length; length--, value++) {
		if (n == OPT_PATH_MAX - 1)
			return false;
		path[n++] = *value == '/' ? '\\' : *value;
	}
	path[n] = '\0';
	return true;
}

static bool set_path(const struct option_row *row, struct options *o, void *field,
		     const char *value, char *err)
{
	(void)row;
	(void)o;
	(void)err;
	return store_path(field, value, strlen(value));
}

/** Adds one: a path up to the first blank, and the rest. */
static bool set_module(const struct option_row *row, struct options *o, void *field,
		       const char *value, char *err)
{
	struct option_module *m = (struct option_module *)field + o->nr_modules;
	size_t path = 0, args;

	(void)row;
	(void)err;
	if (o->nr_modules == OPT_MODULES_MAX)
		return false;
	while (value[path] && value[path] != ' ')
		path++;
	args = path;
	while (value[args] == ' ')
		args++;
	if (strlen(value + args) >= OPT_ARGS_MAX || !store_path(m->path, value, path))
		return false;
	memcpy(m->args, value + args, strlen(value + args) + 1);
	o->nr_modules++;
	return true;
}

/** Once named by the user, the file must exist; named as nothing, there is none. */
static bool set_initrd(const struct option_row *row, struct options *o, void *field,
		       const char *value, char *err)
{
	o->initrd_optional = 0;
	if (!*value) {
		o->initrd[0] = '\0';
		return true;
	}
	return set_path(row, o, field, value, err);
}

static bool set_features(const struct option_row *row, struct options *o, void *field,
			 const char *value, char *err)
{
	(void)row;
	(void)o;
	return features_parse(field, value, err, OPT_ERROR_MAX);
}

/** By the last character of the option's name. */
static bool set_exits(const struct option_row *row, struct options *o, void *field,
		      const char *value, char *err)
{
	(void)o;
	return exit_switches_parse(field, row->name[strlen(row->name) - 1] == '+', value, err,
				   OPT_ERROR_MAX);
}

#define FIELD(name) offsetof(struct options, name)

static const struct option_row option_rows[] = {
	{"paging", set_choice, FIELD(paging), "paging=ept, paging=shadow or paging=compare", 0, 0,
	 paging_choices},
	{"mem", set_mib, FIELD(mem_mib), "mem=<MiB>, 64 to 65536, or with a suffix M or G",
	 OPT_MEM_MIN, OPT_MEM_MAX, NULL},
	{"shadow_pool", set_mib, FIELD(shadow_mib),
	 "shadow_pool=<MiB>, 1 to 4096, or with a suffix M or G", OPT_SHADOW_POOL_MIN,
	 OPT_SHADOW_POOL_MAX, NULL},
	{"kernel", set_path, FIELD(kernel),
	 "kernel=\\<path on the boot volume>, at most 127 characters", 0, 0, NULL},
	{"initrd", set_initrd, FIELD(initrd),
	 "initrd=\\<path on the boot volume>, at most 127 characters, or initrd= for none", 0, 0,
	 NULL},
	{"module", set_module, FIELD(module),
	 "module=\\<path on the boot volume>, or module=\"\\<path> <words>\" with at most 255 "
	 "characters of words, and at most 8 of them",
	 0, 0, NULL},
	{"leaves", set_choice, FIELD(leaves), "leaves=2021 or leaves=2022", 0, 0, leaves_choices},
	{"poll_ms", set_number, FIELD(poll_ms), "poll_ms=<milliseconds>, 0 to 10000", 0, 10000,
	 NULL},
	{"features-", set_features, FIELD(features_off), "features-=<name>,<name>...", 0, 0, NULL},
	{"exit+", set_exits, FIELD(exits), "exit+=<name>,<name>...", 0, 0, NULL},
	{"exit-", set_exits, FIELD(exits), "exit-=<name>,<name>...", 0, 0, NULL},
	{"dirty", set_choice, FIELD(dirty), "dirty=0 or dirty=1", 0, 0, switch_choices},
	{"trace", set_choice, FIELD(trace), "trace=0 or trace=1", 0, 0, switch_choices},
	{"watchdog", set_number, FIELD(watchdog), "watchdog=<seconds>, 1 to 3600, or 0 for none", 0,
	 3600, NULL},
	{"zoo", set_choice, FIELD(zoo), "zoo=0 or zoo=1", 0, 0, switch_choices},
	{"crash", set_choice, FIELD(crash), "crash=no, crash=panic, crash=fault or crash=stack", 0,
	 0, crash_choices},
	{"on_reset", set_choice, FIELD(on_reset), "on_reset=end or on_reset=restart", 0, 0,
	 reset_choices},
	{"at_end", set_choice, FIELD(at_end), "at_end=off or at_end=stay", 0, 0, end_choices},
	{"reproducible", set_choice, FIELD(reproducible), "reproducible=0 or reproducible=1", 0, 0,
	 switch_choices},
	{"screen", set_choice, FIELD(screen), "screen=0 or screen=1", 0, 0, switch_choices},
	{"verbose", set_choice, FIELD(verbose), "verbose=0 or verbose=1", 0, 0, switch_choices},
};

void options_default(struct options *o)
{
	static const char kernel[] = "\\vmlinuz", initrd[] = "\\initrd.img";

	memset(o, 0, sizeof(*o));
	o->paging = PAGING_EPT;
	o->leaves = LEAVES_2021;
	o->poll_ms = 50;
	o->screen = 1;
	o->initrd_optional = 1;
	memcpy(o->kernel, kernel, sizeof(kernel));
	memcpy(o->initrd, initrd, sizeof(initrd));
}

const char *paging_name(u32 mode)
{
	for (const struct choice *c = paging_choices; c->word; c++) {
		if (c->value == mode)
			return c->word;
	}
	return NULL;
}

unsigned paging_modes(u32 choice, u32 modes[PAGING_COMPARED])
{
	static const u32 compared[PAGING_COMPARED] = {PAGING_EPT, PAGING_SHADOW};

	if (choice == PAGING_COMPARE) {
		memcpy(modes, compared, sizeof(compared));
		return PAGING_COMPARED;
	}
	modes[0] = choice;
	return 1;
}

bool paging_uses_shadow(u32 mode)
{
	u32 modes[PAGING_COMPARED];
	unsigned nr = paging_modes(mode, modes);

	for (unsigned i = 0; i < nr; i++) {
		if (modes[i] == PAGING_SHADOW)
			return true;
	}
	return false;
}

u64 options_shadow_pool(const struct options *o, u64 guest)
{
	u64 share = ALIGN_UP(guest / SHADOW_POOL_SHARE, MIB(1));

	if (!paging_uses_shadow(o->paging))
		return 0;
	if (o->shadow_mib)
		return MIB(o->shadow_mib);
	return MIN(MAX(share, MIB(SHADOW_POOL_LEAST)), MIB(SHADOW_POOL_MOST));
}

/** Levenshtein's edit distance between two short words; longer ones count as unrelated. */
static unsigned edit_distance(const char *a, const char *b)
{
	u8 row[32];
	size_t la = strlen(a), lb = strlen(b);

	if (la >= sizeof(row) || lb >= sizeof(row))
		return sizeof(row);
	for (size_t j = 0; j <= lb; j++)
		row[j] = (u8)j;
	for (size_t i = 1; i <= la; i++) {
		u8 diagonal = row[0];

		row[0] = (u8)i;
		for (size_t j = 1; j <= lb; j++) {
			u8 replace = (u8)(diagonal + (a[i - 1] != b[j - 1]));
			u8 insert_or_delete = (u8)(MIN(row[j], row[j - 1]) + 1);

			diagonal = row[j];
			row[j] = MIN(replace, insert_or_delete);
		}
	}
	return row[lb];
}

static bool refuse_unknown(const char *name, char *err)
{
	const struct option_row *nearest = NULL;
	unsigned best = 3; /* more than two slips are another word */
	int n;

	for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++) {
		unsigned d = edit_distance(name, option_rows[i].name);

		if (d < best && d < strlen(option_rows[i].name)) {
			best = d;
			nearest = &option_rows[i];
		}
	}
	n = fmt_snprintf(err, OPT_ERROR_MAX, "unknown option \"%.40s\"", name);
	if (nearest)
		n += fmt_snprintf(err + n, OPT_ERROR_MAX - (size_t)n, " (did you mean \"%s\"?)",
				  nearest->name);
	n += fmt_snprintf(err + n, OPT_ERROR_MAX - (size_t)n, ": the options are");
	for (size_t i = 0; i < ARRAY_SIZE(option_rows) && n < OPT_ERROR_MAX; i++)
		n += fmt_snprintf(err + n, OPT_ERROR_MAX - (size_t)n, " %s=", option_rows[i].name);
	return false;
}

/** Understand one word "name=value". */
static bool set_option(struct options *o, char *word, char *err)
{
	char *value = word;

	while (*value && *value != '=')
		value++;
	if (*value)
		*value++ = '\0';
	else
		value = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++) {
		const struct option_row *row = &option_rows[i];

		if (strcmp(row->name, word))
			continue;
		if (!value) {
			fmt_snprintf(err, OPT_ERROR_MAX, "option \"%s\" lacks its value: write %s",
				     word, row->takes);
			return false;
		}
		err[0] = '\0';
		if (row->set(row, o, (char *)o + row->field, value, err))
			return true;
		if (!err[0])
			fmt_snprintf(err, OPT_ERROR_MAX, "%s=%.40s%s is not possible: write %s",
				     word, value, strlen(value) > 40 ? "..." : "", row->takes);
		return false;
	}
	return refuse_unknown(word, err);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/** Everything that reaches a message, a path or the guest must be plain printable ASCII. */
static bool check_char(char c, char *err)
{
	if (is_space(c) || (c >= ' ' && c <= '~'))
		return true;
	fmt_snprintf(
		err, OPT_ERROR_MAX,
		"the options hold the byte 0x%02x, which is not plain text: write them in ASCII",
		(unsigned)(u8)c);
	return false;
}

/**
 * The next word of [*p, end) without its quotes, into `word`; *p moves behind it.
 * `quoted` tells a quoted -- from a bare one.
 */
static bool next_word(const char **p, const char *end, char word[WORD_MAX], bool *quoted, char *err)
{
	bool inside = false;
	size_t n = 0;

	*quoted = false;
	for (; *p < end && (inside || !is_space(**p)); ++*p) {
		if (!check_char(**p, err))
			return false;
		if (**p == '"') {
			inside = !inside;
			*quoted = true;
			continue;
		}
		if (n == WORD_MAX - 1) {
			fmt_snprintf(err, OPT_ERROR_MAX,
				     "the word \"%.40s...\" is too long: at most %u characters",
				     word, WORD_MAX - 1);
			return false;
		}
		word[n++] = is_space(**p) ? ' ' : **p;
		word[n] = '\0';
	}
	word[n] = '\0';
	if (inside)
		fmt_snprintf(err, OPT_ERROR_MAX, "the quote in \"%.40s\" is not closed: add a \"",
			     word);
	return !inside;
}

/** The guest's command line: all that follows `--`, trimmed. */
static bool set_cmdline(struct options *o, const char *p, const char *end, char *err)
{
	size_t n;

	while (p < end && is_space(*p))
		p++;
	while (end > p && is_space(end[-1]))
		end--;
	n = (size_t)(end - p);
	if (n >= OPT_CMDLINE_MAX) {
		fmt_snprintf(err, OPT_ERROR_MAX,
			     "the guest's command line has %zu characters: at most %u are possible",
			     n, OPT_CMDLINE_MAX - 1);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (!check_char(p[i], err))
			return false;
		o->cmdline[i] = is_space(p[i]) ? ' ' : p[i];
	}
	o->cmdline[n] = '\0';
	return true;
}

/** One line; `ended` is set where a `--` was in it. */
static bool parse_line(struct options *o, const char *line, size_t len, bool *ended, char *err)
{
	const char *p = line, *end = line + len;
	char word[WORD_MAX];
	bool quoted;

	for (;;) {
		while (p < end && is_space(*p))
			p++;
		if (p == end)
			return true;
		if (!next_word(&p, end, word, &quoted, err))
			return false;
		if (!quoted && !strcmp(word, "--")) {
			*ended = true;
			return set_cmdline(o, p, end, err);
		}
		if (!set_option(o, word, err))
			return false;
	}
}

bool options_parse(struct options *o, const char *line, size_t len, char *err)
{
	bool ended = false;

	return parse_line(o, line, len, &ended, err);
}

/** One line of a file, which may be empty or a comment. */
static bool parse_file_line(struct options *o, const char *line, size_t len, bool *ended, char *err)
{
	size_t i = 0;

	while (i < len && is_space(line[i]))
		i++;
	if (i == len || line[i] == '#')
		return true;
	if (*ended) {
		fmt_snprintf(err, OPT_ERROR_MAX,
			     "nothing may follow the line with \"--\": move it to the end");
		return false;
	}
	return parse_line(o, line, len, ended, err);
}

bool options_parse_file(struct options *o, const char *text, size_t len, char *err)
{
	static const char bom[] = "\xef\xbb\xbf";
	char why[OPT_ERROR_MAX];
	bool ended = false;
	unsigned nr = 1;
	size_t start = len >= 3 && !memcmp(text, bom, 3) ? 3 : 0;

	for (size_t end; start < len; start = end + 1, nr++) {
		for (end = start; end < len && text[end] != '\n'; end++)
			;
		if (!parse_file_line(o, text + start, end - start, &ended, why)) {
			fmt_snprintf(err, OPT_ERROR_MAX, "line %u: %s", nr, why);
			return false;
		}
	}
	return true;
}
