/* SPDX-License-Identifier: MIT */
/* What the hypervisor does for the zoo by VMCALL (include/zoo.h). */
#include "zoo_guest.h"

/* What a switch is in the VMCS: exit_switches.def. */
enum { SWITCH_CPU1 = WORD_CPU1, SWITCH_CPU2 = WORD_CPU2, SWITCH_NONE };
static const struct {
	u32 word, bits;
} controls[NR_EXIT_SWITCHES] = {
#define EXIT_SWITCH(id, name, word, bits, cpu2, why_on) [EXIT_SWITCH_##id] = {SWITCH_##word, bits},
#include "exit_switches.def"
};

/* The control that a reason needs: exit_reasons.def. */
enum {
	ROW_PIN = WORD_PIN,
	ROW_CPU1 = WORD_CPU1,
	ROW_CPU2 = WORD_CPU2,
	ROW_CPU3 = NR_VMX_WORDS, /* of which the hypervisor uses none */
	ROW_ALWAYS,
	ROW_NEVER,
};
static const struct {
	u32 word, bit;
} rows[NR_EXIT_REASONS] = {
#define EXIT_REASON(nr, name, handler, word, bit, cause) [nr] = {ROW_##word, bit},
#include "exit_reasons.def"
#undef EXIT_REASON
};

/* docs/cpuid-leaves.md */
#define LEAF_INTERFACE 0x40000001u
#define LEAF_INTERFACE_SHADOW 2

static u32 switched_on, switched_off; /* sets of enum exit_switch that are not as ever */

bool zoo_answers(void)
{
	if (TRY("vmcall", ::"a"(ZOO_HELLO) : "rbx", "rcx", "rdx", "memory") != NO_FAULT)
		return false;
	return zoo_ask(ZOO_HELLO, 0, 0).answer == ZOO_DONE;
}

struct zoo_said zoo_ask(enum zoo_call call, u64 rbx, u64 rcx)
{
	u64 answer = call, rdx = 0;
	s64 vector = TRY("vmcall", : "+a"(answer), "+b"(rbx), "+c"(rcx), "+d"(rdx) : : "memory");

	check(vector == NO_FAULT, "VMCALL: vector %ld", (long)vector);
	return (struct zoo_said){(enum zoo_answer)answer, rbx, rcx, rdx};
}

bool on_shadow(void)
{
	return cpuid(LEAF_INTERFACE, 0).ecx == LEAF_INTERFACE_SHADOW;
}

bool control_is_on(enum vmx_word word, u64 bits)
{
	return (zoo_ask(ZOO_CONTROLS, word, 0).rbx & bits) == bits;
}

bool control_is_there(enum vmx_word word, u64 bits)
{
	return (zoo_ask(ZOO_CONTROLS, word, 0).rcx & bits) == bits;
}

bool reason_has_control(enum exit_reason nr)
{
	return rows[nr].word < NR_VMX_WORDS &&
	       control_is_there((enum vmx_word)rows[nr].word, BIT(rows[nr].bit));
}

/** Says why, where it was not done. */
static bool done(enum zoo_answer answer, const char *what, const char *lack)
{
	switch (answer) {
	case ZOO_DONE:
		return true;
	case ZOO_NO_CPU:
		not_here("%s", lack ? lack : "no control for it in this processor");
		return false;
	case ZOO_NO_MODE:
		not_here("not with paging=%s", on_shadow() ? "shadow" : "ept");
		return false;
	case ZOO_NO_EMULATOR:
		not_here("this emulator never raises it");
		return false;
	default:
		return check(false, "%s: the hypervisor answers %u", what, answer);
	}
}

/** What is no control is off by itself. */
static bool is_on(enum exit_switch x)
{
	return controls[x].word != SWITCH_NONE && control_is_on(controls[x].word, controls[x].bits);
}

bool switch_on(enum exit_switch x)
{
	bool was_on = is_on(x);

	if (!was_on && !done(zoo_ask(ZOO_SWITCH, x, 1).answer, "exit+=", NULL))
		return false;
	if (switched_off & BIT(x))
		switched_off &= ~(u32)BIT(x);
	else if (!was_on)
		switched_on |= (u32)BIT(x);
	return true;
}

bool switch_off(enum exit_switch x)
{
	enum zoo_answer answer;

	if (!is_on(x) && controls[x].word != SWITCH_NONE)
		return true;
	answer = zoo_ask(ZOO_SWITCH, x, 0).answer;
	check(answer == ZOO_DONE || answer == ZOO_REFUSED, "exit-=: the hypervisor answers %u",
	      answer);
	if (answer != ZOO_DONE)
		return false;
	if (switched_on & BIT(x))
		switched_on &= ~(u32)BIT(x);
	else
		switched_off |= (u32)BIT(x);
	return true;
}

void switches_as_ever(void)
{
	for (u32 x = 0; x < NR_EXIT_SWITCHES; x++) {
		if ((switched_on | switched_off) & BIT(x))
			zoo_ask(ZOO_SWITCH, x, !!(switched_off & BIT(x)));
	}
	switched_on = switched_off = 0;
}

bool arm(enum zoo_event event, u64 argument, const char *lack)
{
	return done(zoo_ask(ZOO_ARM, event, argument).answer, "an event", lack);
}
