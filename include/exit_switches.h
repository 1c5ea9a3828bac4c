/* SPDX-License-Identifier: MIT */
/*
 * Names and sets of the optional exit causes that the boot line switches. What a switch is in terms
 * of the VMCS, and which of them a processor and a paging mode allow, is vmx/switch_exits.h's.
 */
#ifndef TV_EXIT_SWITCHES_H
#define TV_EXIT_SWITCHES_H

#include "types.h"

enum exit_switch {
#define EXIT_SWITCH(id, name, word, bits, cpu2, why_on) EXIT_SWITCH_##id,
#include "exit_switches.def"
	NR_EXIT_SWITCHES
};

#define EXIT_SWITCH_BIT(id) ((u32)BIT(EXIT_SWITCH_##id))

_Static_assert(NR_EXIT_SWITCHES <= 32, "a set of switches is a u32");

/** What the boot line asks for: no bit is in both of a pair. */
struct exit_switches {
	u32 on, off;			   /* sets of enum exit_switch */
	u32 exceptions_on, exceptions_off; /* bits of the exception bitmap */
};

/** The name for the boot line. */
const char *exit_switch_name(enum exit_switch x);

/** Why it can never be switched off, or NULL. */
const char *exit_switch_why_on(enum exit_switch x);

/** The name of an exception that can be switched, as the boot line spells it, or NULL. */
const char *exit_exception_name(unsigned vector);

/** Room for all of them by name. */
#define EXIT_SWITCHES_NAMES_MAX 1024

/** What is switched, as the boot line could have it: " +rdtsc -hlt +exceptions=ud"; empty where
 *  nothing is. */
void exit_switches_names(const struct exit_switches *s, char out[EXIT_SWITCHES_NAMES_MAX]);

/**
 * Add the causes named by `list`, separated by commas, to those that are switched `on` (or off),
 * and take them out of their opposites. `exceptions=` goes before the name or number of an
 * exception; those that follow it need no other. `exceptions=all` is every exception that can be
 * switched. False: one of them is none, or can never be switched so; `err` (`size` bytes) holds a
 * sentence that names it and says why.
 */
bool exit_switches_parse(struct exit_switches *s, bool on, const char *list, char *err,
			 size_t size);

#endif
