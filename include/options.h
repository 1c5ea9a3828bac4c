/* SPDX-License-Identifier: MIT */
/*
 * The boot options, as GRUB's line or \tallyvisor.conf gives them. The parser is pure: it runs
 * in the UEFI application, in host tests and under the fuzzer.
 */
#ifndef TV_OPTIONS_H
#define TV_OPTIONS_H

#include "exit_switches.h"
#include "types.h"

#define OPT_PATH_MAX 128
#define OPT_CMDLINE_MAX 2048
#define OPT_ARGS_MAX 256
#define OPT_MODULES_MAX 8

/** Guest memory that can be asked for, MiB. */
#define OPT_MEM_MIN 64
#define OPT_MEM_MAX 65536

enum paging_mode {
	PAGING_EPT,
	PAGING_SHADOW,
	PAGING_MODES,
	PAGING_COMPARE = PAGING_MODES, /* no mode, but two, one after the other */
};

/** How many modes PAGING_COMPARE stands for. */
#define PAGING_COMPARED 2

/** The pool of shadow page tables that can be asked for, MiB, and the bounds of one that is not. */
#define OPT_SHADOW_POOL_MIN 1
#define OPT_SHADOW_POOL_MAX 4096
#define SHADOW_POOL_SHARE 16 /* of the guest's memory */
#define SHADOW_POOL_LEAST 4
#define SHADOW_POOL_MOST 256

/** CPUID numbering of the statistics leaves: Fall 2021 (default) or Fall 2022. */
enum leaves_numbering { LEAVES_2021 = 2021, LEAVES_2022 = 2022 };

/** What becomes of a guest that resets its machine, or dies of a triple fault, which resets a PC.
 */
enum reset_policy { RESET_ENDS, RESET_RESTARTS };

/** What becomes of the machine when all runs are over. */
enum end_policy { END_OFF, END_STAYS };

/** Ways for the hypervisor to crash on purpose, so that its last words can be tried out on a
 *  machine before they are needed. */
enum crash_kind { CRASH_NOT, CRASH_PANIC, CRASH_FAULT, CRASH_STACK };

/** A module for a Multiboot kernel: a file, and what the kernel is told beside its path. */
struct option_module {
	char path[OPT_PATH_MAX]; /* on the boot volume: starts with \, no / in it */
	char args[OPT_ARGS_MAX];
};

struct options {
	u32 paging;	  /* enum paging_mode, or PAGING_COMPARE */
	u32 mem_mib;	  /* guest memory, MiB; 0: choose. boot/ makes it even */
	u32 shadow_mib;	  /* memory for shadow page tables, MiB; 0: by the guest's memory */
	u32 leaves;	  /* enum leaves_numbering */
	u32 poll_ms;	  /* at most this long between two looks at the console's input; 0: never */
	u32 screen;	  /* 1: the console is on the screen, too, where the firmware left one */
	u32 verbose;	  /* 1: say more at boot */
	u32 trace;	  /* 1: write every exit to the serial line */
	u32 watchdog;	  /* seconds without progress that end a run; 0: any number */
	u32 dirty;	  /* 1: count the pages that the guest writes */
	u32 zoo;	  /* 1: the guest may order exits by VMCALL (zoo.h) */
	u32 crash;	  /* enum crash_kind: crash on purpose, to see the panic screen */
	u32 features_off; /* the set of features (vmx_features.h) named by features-= */
	struct exit_switches exits; /* those named by exit+= and exit-= */
	u32 on_reset;		    /* enum reset_policy */
	u32 at_end;		    /* enum end_policy */
	u32 reproducible;	    /* 1: two runs of one guest are alike (lib/reproducible.h) */
	u32 initrd_optional;	    /* 1: `initrd` is the default, and a missing file means none */
	char kernel[OPT_PATH_MAX];  /* on the boot volume: starts with \, no / in it */
	char initrd[OPT_PATH_MAX];  /* the same; empty: none */
	char cmdline[OPT_CMDLINE_MAX];
	u32 nr_modules;
	struct option_module module[OPT_MODULES_MAX]; /* those named by module= */
};

#define OPT_ERROR_MAX 384

/** Fill with defaults: paging=ept leaves=2021 poll_ms=50 screen=1 verbose=0 kernel=\vmlinuz, and
 *  initrd=\initrd.img where that file exists; the rest off. */
void options_default(struct options *o);

/**
 * Parse one line of options into `o` (which holds defaults or earlier settings).
 * Words are separated by white space: name=value, and the last of several wins, but for module=,
 * features-=, exit+= and exit-=, of which each adds to those before. Double quotes around a value,
 * or any part of a word, keep white space in it. A word `--` ends the options, and the rest of the
 * line, as it stands but trimmed, becomes the guest's command line. Paths are written with / or
 * \ and count from the root of the boot volume.
 *
 * @line, @len  the text, ASCII, need not be terminated
 * @err         at least OPT_ERROR_MAX bytes; on failure one sentence that names the word and
 *              the remedy
 * Returns true where every word was understood; else false and `o` is undefined.
 */
bool options_parse(struct options *o, const char *line, size_t len, char *err);

/**
 * The same for a file: lines joined; `#` at the start of a line makes it a comment; a word `--`
 * gives the command line, as above, and only empty lines and comments may follow its line. A
 * sentence in `err` starts with the number of the line. A UTF-8 byte-order mark is skipped.
 */
bool options_parse_file(struct options *o, const char *text, size_t len, char *err);

/** The name of an enum paging_mode, or PAGING_COMPARE, as the option spells it, or NULL. */
const char *paging_name(u32 mode);

/** Does any guest of this mode run on shadow page tables? */
bool paging_uses_shadow(u32 mode);

/** Bytes set aside for shadow page tables beside a guest of `guest` bytes; 0 where the mode has
 *  none. */
u64 options_shadow_pool(const struct options *o, u64 guest);

/** The modes that a choice of paging= stands for, in the order in which they run. Returns how many.
 */
unsigned paging_modes(u32 choice, u32 modes[PAGING_COMPARED]);

#endif
