/* SPDX-License-Identifier: MIT */
/* Tests of lib/options.c: what is understood, what is refused, and in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmx_features.h"
#include "options.h"

typedef bool parser(struct options *o, const char *text, size_t len, char *err);

/** Parse a copy without terminator, so that ASan sees any step beyond its end. */
static bool parse_exact(parser *parse, struct options *o, const char *text, size_t len, char *err)
{
	char *copy = malloc(len ? len : 1);
	bool ok;

	memcpy(copy, text, len);
	memset(err, 0x7f, OPT_ERROR_MAX);
	ok = parse(o, copy, len, err);
	free(copy);
	return ok;
}

static struct options accept_with(parser *parse, const char *text)
{
	struct options o;
	char err[OPT_ERROR_MAX];

	options_default(&o);
	if (!parse_exact(parse, &o, text, strlen(text), err))
		fail_msg("\"%s\" was refused: %s", text, err);
	return o;
}

static struct options accept(const char *line)
{
	return accept_with(options_parse, line);
}

static struct options accept_file(const char *text)
{
	return accept_with(options_parse_file, text);
}

static void refuse_with(parser *parse, const char *text, size_t len, const char *sentence)
{
	struct options o;
	char err[OPT_ERROR_MAX];

	options_default(&o);
	if (parse_exact(parse, &o, text, len, err))
		fail_msg("\"%s\" was accepted", text);
	assert_string_equal(err, sentence);
}

static void refuse(const char *line, const char *sentence)
{
	refuse_with(options_parse, line, strlen(line), sentence);
}

static void refuse_file(const char *text, const char *sentence)
{
	refuse_with(options_parse_file, text, strlen(text), sentence);
}

static void test_defaults(void **state)
{
	struct options o = accept("");

	(void)state;
	assert_int_equal(o.paging, PAGING_EPT);
	assert_int_equal(o.mem_mib, 0);
	assert_int_equal(o.leaves, LEAVES_2021);
	assert_int_equal(o.poll_ms, 50);
	assert_int_equal(o.screen, 1);
	assert_int_equal(o.verbose, 0);
	assert_int_equal(o.reproducible, 0);
	assert_int_equal(o.zoo, 0);
	assert_int_equal(accept("zoo=1").zoo, 1);
	assert_int_equal(o.on_reset, RESET_ENDS);
	assert_int_equal(accept("on_reset=restart").on_reset, RESET_RESTARTS);
	assert_int_equal(o.at_end, END_OFF);
	assert_int_equal(accept("at_end=stay").at_end, END_STAYS);
	assert_int_equal(o.initrd_optional, 1);
	assert_string_equal(o.kernel, "\\vmlinuz");
	assert_string_equal(o.initrd, "\\initrd.img");
	assert_string_equal(o.cmdline, "");
}

static void test_every_option(void **state)
{
	struct options o = accept(" paging=ept\tmem=128 kernel=/boot/vmlinuz-6.1 initrd=\\i.gz "
				  "leaves=2022 poll_ms=7 verbose=1\r\n");

	(void)state;
	assert_int_equal(o.paging, PAGING_EPT);
	assert_int_equal(o.mem_mib, 128);
	assert_int_equal(o.leaves, LEAVES_2022);
	assert_int_equal(o.poll_ms, 7);
	assert_int_equal(o.verbose, 1);
	assert_int_equal(o.initrd_optional, 0);
	assert_string_equal(o.kernel, "\\boot\\vmlinuz-6.1");
	assert_string_equal(o.initrd, "\\i.gz");
}

static void test_last_wins(void **state)
{
	struct options o = accept("mem=128 kernel=/a mem=256 kernel=/bb initrd=/x initrd=");

	(void)state;
	assert_int_equal(o.mem_mib, 256);
	assert_string_equal(o.kernel, "\\bb");
	assert_string_equal(o.initrd, "");
	assert_int_equal(o.initrd_optional, 0);
}

static void test_earlier_settings_stay(void **state)
{
	struct options o;
	char err[OPT_ERROR_MAX];

	(void)state;
	options_default(&o);
	assert_true(options_parse(&o, "mem=128 -- a", 12, err));
	assert_true(options_parse(&o, "verbose=1", 9, err));
	assert_int_equal(o.mem_mib, 128);
	assert_int_equal(o.verbose, 1);
	assert_string_equal(o.cmdline, "a");
}

static void test_memory_sizes(void **state)
{
	static const char range[] = "mem=%s is not possible: write mem=<MiB>, 64 to 65536, or with "
				    "a suffix M or G";
	static const char *const bad[] = {
		"",    "63",   "65537",	 "0",	     "1T",
		"1GB", "G",    "-64",	 "0x80",     "+64",
		"65G", "1.5G", "64 M x", "4194305G", "18446744073709551680"};
	char sentence[OPT_ERROR_MAX], line[64];

	(void)state;
	assert_int_equal(accept("mem=64").mem_mib, 64);
	assert_int_equal(accept("mem=65536").mem_mib, 65536);
	assert_int_equal(accept("mem=100M").mem_mib, 100);
	assert_int_equal(accept("mem=100m").mem_mib, 100);
	assert_int_equal(accept("mem=2G").mem_mib, 2048);
	assert_int_equal(accept("mem=64g").mem_mib, 65536);
	assert_int_equal(accept("mem=00064").mem_mib, 64);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "mem=\"%s\"", bad[i]);
		snprintf(sentence, sizeof(sentence), range, bad[i]);
		refuse(line, sentence);
	}
}

static void test_words_and_numbers(void **state)
{
	(void)state;
	assert_int_equal(accept("paging=shadow").paging, PAGING_SHADOW);
	refuse("paging=bare", "paging=bare is not possible: "
			      "write paging=ept, paging=shadow or paging=compare");
	refuse("paging=EPT", "paging=EPT is not possible: "
			     "write paging=ept, paging=shadow or paging=compare");
	refuse("leaves=2020", "leaves=2020 is not possible: write leaves=2021 or leaves=2022");
	assert_int_equal(accept("screen=0").screen, 0);
	refuse("screen=", "screen= is not possible: write screen=0 or screen=1");
	assert_int_equal(accept("").dirty, 0);
	assert_int_equal(accept("dirty=1").dirty, 1);
	assert_int_equal(accept("").trace, 0);
	assert_int_equal(accept("trace=1").trace, 1);
	refuse("trace=2", "trace=2 is not possible: write trace=0 or trace=1");
	assert_int_equal(accept("").watchdog, 0);
	assert_int_equal(accept("watchdog=3600").watchdog, 3600);
	refuse("watchdog=3601",
	       "watchdog=3601 is not possible: write watchdog=<seconds>, 1 to 3600, or 0 for none");
	refuse("dirty=yes", "dirty=yes is not possible: write dirty=0 or dirty=1");
	refuse("verbose=2", "verbose=2 is not possible: write verbose=0 or verbose=1");
	assert_int_equal(accept("poll_ms=0").poll_ms, 0);
	assert_int_equal(accept("poll_ms=10000").poll_ms, 10000);
	refuse("poll_ms=10001",
	       "poll_ms=10001 is not possible: write poll_ms=<milliseconds>, 0 to 10000");
	refuse("poll_ms=5M",
	       "poll_ms=5M is not possible: write poll_ms=<milliseconds>, 0 to 10000");
	refuse("poll_ms=", "poll_ms= is not possible: write poll_ms=<milliseconds>, 0 to 10000");
}

static void test_features_off(void **state)
{
	static const char known[] =
		" is not possible: the features are tpr-shadow apic-access apic-register vid "
		"virtual-x2apic preemption-timer rdtscp invpcid xsaves ept vpid "
		"unrestricted-guest wbinvd-exiting load-pat load-efer ept-2m ept-1g ept-ad pml";
	char sentence[OPT_ERROR_MAX];

	(void)state;
	assert_int_equal(accept("").features_off, 0);
	assert_int_equal(accept("features-=vpid").features_off, FEATURE_BIT(VPID));
	/* Each adds to those before, in this line and in earlier ones. */
	assert_int_equal(accept("features-=ept-1g,vpid mem=64 features-=invpcid").features_off,
			 FEATURE_BIT(VPID) | FEATURE_BIT(EPT_1G) | FEATURE_BIT(INVPCID));
	assert_int_equal(accept_file("features-=vid\nfeatures-=\"rdtscp\"\n").features_off,
			 FEATURE_BIT(VID) | FEATURE_BIT(RDTSCP));

	refuse("features-", "option \"features-\" lacks its value: write "
			    "features-=<name>,<name>...");
	snprintf(sentence, sizeof(sentence), "features-=vpi%s", known);
	refuse("features-=vpi", sentence);
	refuse("features-=vpid,ept-1g,vpi", sentence);
	snprintf(sentence, sizeof(sentence), "features-=vpidx%s", known);
	refuse("features-=vpidx", sentence);
	snprintf(sentence, sizeof(sentence), "features-=VPID%s", known);
	refuse("features-=VPID", sentence);
	snprintf(sentence, sizeof(sentence), "features-=%s", known);
	refuse("features-=", sentence);
	refuse("features-=vpid,", sentence);
	refuse("features-=,vpid", sentence);
	snprintf(sentence, sizeof(sentence), "features-=%.40s%s",
		 "abcdefghijabcdefghijabcdefghijabcdefghij", known);
	refuse("features-=abcdefghijabcdefghijabcdefghijabcdefghijK", sentence);
	refuse("features-=vpid,vnmi",
	       "features-=vnmi is not possible: NMIs could not be held back while the guest "
	       "handles one");
	refuse("features=vpid",
	       "unknown option \"features\" (did you mean \"features-\"?): the "
	       "options are paging= mem= shadow_pool= kernel= initrd= module= leaves= poll_ms= "
	       "features-= exit+= exit-= dirty= trace= watchdog= zoo= crash= on_reset= at_end= "
	       "reproducible= "
	       "screen= "
	       "verbose=");
}

static void test_paths(void **state)
{
	char line[256], longest[OPT_PATH_MAX + 1];

	(void)state;
	assert_string_equal(accept("kernel=vmlinuz").kernel, "\\vmlinuz");
	assert_string_equal(accept("kernel=a=b/c").kernel, "\\a=b\\c");
	refuse("kernel=", "kernel= is not possible: write kernel=\\<path on the boot volume>, "
			  "at most 127 characters");

	memset(longest, 'x', sizeof(longest));
	longest[0] = '\\';
	longest[OPT_PATH_MAX - 1] = '\0';
	snprintf(line, sizeof(line), "kernel=%s", longest);
	assert_string_equal(accept(line).kernel, longest);
	/* One more for the separator that is missing makes it too long. */
	snprintf(line, sizeof(line), "kernel=x%s", longest + 1);
	refuse(line, "kernel=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... is not possible: write "
		     "kernel=\\<path on the boot volume>, at most 127 characters");
}

#define MODULE_TAKES                                                                               \
	"write module=\\<path on the boot volume>, or module=\"\\<path> <words>\" with at most "   \
	"255 characters of words, and at most 8 of them"

static void test_modules(void **state)
{
	struct options o = accept("module=/a module=b/c module=\"\\d  e \\f=/g \"");
	char line[400], args[OPT_ARGS_MAX + 1];

	(void)state;
	assert_int_equal(o.nr_modules, 3);
	assert_string_equal(o.module[0].path, "\\a");
	assert_string_equal(o.module[0].args, "");
	assert_string_equal(o.module[1].path, "\\b\\c");
	assert_string_equal(o.module[2].path, "\\d");
	assert_string_equal(o.module[2].args, "e \\f=/g "); /* the words as they stand */
	o = accept("module=1 module=2 module=3 module=4 module=5 module=6 module=7 module=8");
	assert_int_equal(o.nr_modules, OPT_MODULES_MAX);
	assert_string_equal(o.module[7].path, "\\8");
	refuse("module=1 module=2 module=3 module=4 module=5 module=6 module=7 module=8 module=9",
	       "module=9 is not possible: " MODULE_TAKES);
	refuse("module=", "module= is not possible: " MODULE_TAKES);
	refuse("module=\" /a\"", "module= /a is not possible: " MODULE_TAKES);

	memset(args, 'x', sizeof(args));
	args[OPT_ARGS_MAX - 1] = '\0';
	snprintf(line, sizeof(line), "module=\"/a %s\"", args);
	o = accept(line);
	assert_string_equal(o.module[0].args, args);
	snprintf(line, sizeof(line), "module=\"/a %sx\"", args);
	refuse(line,
	       "module=/a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... is not possible: " MODULE_TAKES);
	snprintf(line, sizeof(line), "module=\"/%.127s b\"", args); /* a path that is too long */
	refuse(line,
	       "module=/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... is not possible: " MODULE_TAKES);
}

static void test_unknown_names(void **state)
{
	static const char known[] =
		"the options are paging= mem= shadow_pool= kernel= initrd= module= leaves= "
		"poll_ms= features-= exit+= exit-= dirty= trace= watchdog= zoo= crash= on_reset= "
		"at_end= "
		"reproducible= "
		"screen= "
		"verbose=";
	char sentence[OPT_ERROR_MAX];

	(void)state;
	snprintf(sentence, sizeof(sentence),
		 "unknown option \"kernal\" (did you mean \"kernel\"?): %s", known);
	refuse("mem=64 kernal=/x", sentence);
	snprintf(sentence, sizeof(sentence), "unknown option \"memm\" (did you mean \"mem\"?): %s",
		 known);
	refuse("memm=64", sentence);
	snprintf(sentence, sizeof(sentence),
		 "unknown option \"verbsoe\" (did you mean \"verbose\"?): %s", known);
	refuse("verbsoe", sentence);
	snprintf(sentence, sizeof(sentence), "unknown option \"quiet\": %s", known);
	refuse("quiet", sentence);
	snprintf(sentence, sizeof(sentence), "unknown option \"\": %s", known);
	refuse("=5", sentence);
	snprintf(sentence, sizeof(sentence), "unknown option \"\": %s", known);
	refuse("\"\"", sentence);
	snprintf(sentence, sizeof(sentence),
		 "unknown option \"averyveryveryveryveryveryveryverylongnam\": %s", known);
	refuse("averyveryveryveryveryveryveryverylongname=1", sentence);
	refuse("mem", "option \"mem\" lacks its value: write mem=<MiB>, 64 to 65536, or with a "
		      "suffix M or G");
}

static void test_command_line(void **state)
{
	(void)state;
	assert_string_equal(accept("mem=64 -- console=ttyS0  quiet ").cmdline,
			    "console=ttyS0  quiet");
	assert_int_equal(accept("mem=64 -- mem=128").mem_mib, 64);
	assert_string_equal(accept("--").cmdline, "");
	assert_string_equal(accept("--   \n").cmdline, "");
	assert_string_equal(accept("-- -- init=/bin/sh -- x").cmdline, "-- init=/bin/sh -- x");
	assert_string_equal(accept("-- a=\"b c\"").cmdline, "a=\"b c\"");
	assert_string_equal(accept("-- a\tb").cmdline, "a b");
	refuse("---",
	       "unknown option \"---\": the options are paging= mem= shadow_pool= kernel= initrd= "
	       "module= leaves= poll_ms= features-= exit+= exit-= dirty= trace= watchdog= zoo= "
	       "crash= "
	       "on_reset= "
	       "at_end= "
	       "reproducible= "
	       "screen= "
	       "verbose=");
	refuse("\"--\" x",
	       "unknown option \"--\": the options are paging= mem= shadow_pool= kernel= initrd= "
	       "module= leaves= poll_ms= features-= exit+= exit-= dirty= trace= watchdog= zoo= "
	       "crash= "
	       "on_reset= "
	       "at_end= "
	       "reproducible= "
	       "screen= "
	       "verbose=");
}

static void test_command_line_length(void **state)
{
	char line[OPT_CMDLINE_MAX + 16];

	(void)state;
	memcpy(line, "-- ", 3);
	memset(line + 3, 'c', sizeof(line) - 3);
	line[3 + OPT_CMDLINE_MAX - 1] = '\0';
	assert_int_equal(strlen(accept(line).cmdline), OPT_CMDLINE_MAX - 1);
	line[3 + OPT_CMDLINE_MAX - 1] = 'c';
	line[3 + OPT_CMDLINE_MAX] = '\0';
	refuse(line, "the guest's command line has 2048 characters: at most 2047 are possible");
}

static void test_quotes(void **state)
{
	char line[600];

	(void)state;
	assert_string_equal(accept("kernel=\"/my kernel\" mem=64").kernel, "\\my kernel");
	assert_string_equal(accept("\"kernel=/my kernel\" mem=64").kernel, "\\my kernel");
	assert_string_equal(accept("kernel=/my\" \"kernel").kernel, "\\my kernel");
	assert_string_equal(accept("initrd=\"\"").initrd, "");
	/* Whatever the white space was, paths and messages get a blank. */
	assert_string_equal(accept("kernel=\"a\tb\rc\nd\"").kernel, "\\a b c d");
	refuse("kernel=\"/a mem=64", "the quote in \"kernel=/a mem=64\" is not closed: add a \"");
	memset(line, 'w', sizeof(line));
	refuse_with(options_parse, line, sizeof(line),
		    "the word \"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww...\" is too long: "
		    "at most 511 characters");
}

static void test_not_text(void **state)
{
	(void)state;
	refuse_with(options_parse, "mem=64\0", 7,
		    "the options hold the byte 0x00, which is not plain text: write them in ASCII");
	refuse("kernel=/\xc3\xa9",
	       "the options hold the byte 0xc3, which is not plain text: write them in ASCII");
	refuse("-- \x7f",
	       "the options hold the byte 0x7f, which is not plain text: write them in ASCII");
	refuse_with(options_parse_file, "\xff\xfem\0e\0m\0", 8,
		    "line 1: the options hold the byte 0xff, which is not plain text: write them "
		    "in ASCII");
}

static void test_file(void **state)
{
	struct options o = accept_file("\xef\xbb\xbf# caf\xc3\xa9\r\n"
				       "mem=128 verbose=1\r\n"
				       "\r\n"
				       "   # another comment: nonsense=1\n"
				       "kernel=/k\n"
				       "-- console=ttyS0 # not a comment\r\n"
				       "# the end\n\n");

	(void)state;
	assert_int_equal(o.mem_mib, 128);
	assert_int_equal(o.verbose, 1);
	assert_string_equal(o.kernel, "\\k");
	assert_string_equal(o.cmdline, "console=ttyS0 # not a comment");
	assert_string_equal(accept_file("mem=64 -- a b").cmdline, "a b");
	assert_string_equal(accept_file("").kernel, "\\vmlinuz");
	assert_string_equal(accept_file("\xef\xbb\xbf").kernel, "\\vmlinuz");
}

static void test_file_errors(void **state)
{
	(void)state;
	refuse_file("\n# x\nmem=1\n",
		    "line 3: mem=1 is not possible: write mem=<MiB>, 64 to 65536, "
		    "or with a suffix M or G");
	refuse_file("-- quiet\nmem=64",
		    "line 2: nothing may follow the line with \"--\": move it to the end");
	refuse_file("kernel=\"a\nb\"", "line 1: the quote in \"kernel=a\" is not closed: add a \"");
}

static void test_paging_names(void **state)
{
	(void)state;
	assert_string_equal(paging_name(PAGING_EPT), "ept");
	assert_string_equal(paging_name(PAGING_SHADOW), "shadow");
	for (u32 mode = 0; mode < PAGING_MODES; mode++)
		assert_non_null(paging_name(mode));
	assert_string_equal(paging_name(PAGING_COMPARE), "compare");
	assert_null(paging_name(PAGING_COMPARE + 1));
}

static void test_paging_modes(void **state)
{
	u32 modes[PAGING_COMPARED];

	(void)state;
	for (u32 mode = 0; mode < PAGING_MODES; mode++) {
		assert_int_equal(paging_modes(mode, modes), 1);
		assert_int_equal(modes[0], mode);
	}
	assert_int_equal(accept("paging=compare").paging, PAGING_COMPARE);
	assert_int_equal(paging_modes(PAGING_COMPARE, modes), 2);
	assert_int_equal(modes[0], PAGING_EPT);
	assert_int_equal(modes[1], PAGING_SHADOW);
	assert_true(paging_uses_shadow(PAGING_COMPARE));
}

static void test_shadow_pool(void **state)
{
	static const char *const bad[] = {"0", "4097", "5G", "", "1.5", "-1", "8K", "all"};
	static const struct {
		u64 guest, pool; /* MiB */
	} chosen[] = {{16, 4}, {64, 4}, {65, 5}, {80, 5}, {512, 32}, {4096, 256}, {65536, 256}};
	struct options o = accept("paging=shadow");
	char line[64], sentence[OPT_ERROR_MAX];

	(void)state;
	assert_int_equal(o.shadow_mib, 0);
	for (size_t i = 0; i < ARRAY_SIZE(chosen); i++)
		assert_int_equal(options_shadow_pool(&o, MIB(chosen[i].guest)),
				 MIB(chosen[i].pool));
	o = accept("paging=shadow shadow_pool=1");
	assert_int_equal(options_shadow_pool(&o, MIB(512)), MIB(1));
	o = accept("paging=shadow shadow_pool=4G");
	assert_int_equal(options_shadow_pool(&o, MIB(64)), GIB(4));
	/* A mode without shadow page tables has no pool, whatever was asked for. */
	o = accept("paging=ept shadow_pool=64");
	assert_int_equal(options_shadow_pool(&o, MIB(512)), 0);
	assert_true(paging_uses_shadow(PAGING_SHADOW) && !paging_uses_shadow(PAGING_EPT));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "shadow_pool=\"%s\"", bad[i]);
		snprintf(sentence, sizeof(sentence),
			 "shadow_pool=%s is not possible: write shadow_pool=<MiB>, 1 to 4096, or "
			 "with a suffix M or G",
			 bad[i]);
		refuse(line, sentence);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),     cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_last_wins),    cmocka_unit_test(test_earlier_settings_stay),
		cmocka_unit_test(test_memory_sizes), cmocka_unit_test(test_words_and_numbers),
		cmocka_unit_test(test_paths),	     cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_command_line), cmocka_unit_test(test_command_line_length),
		cmocka_unit_test(test_quotes),	     cmocka_unit_test(test_not_text),
		cmocka_unit_test(test_file),	     cmocka_unit_test(test_file_errors),
		cmocka_unit_test(test_paging_names), cmocka_unit_test(test_paging_modes),
		cmocka_unit_test(test_modules),	     cmocka_unit_test(test_features_off),
		cmocka_unit_test(test_shadow_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
