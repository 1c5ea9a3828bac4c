/* SPDX-License-Identifier: MIT */
/* Which events of the exit zoo can be had. */
#include "zoo_rules.h"

#include "x86.h"

/** Bits of control words that the processor allows to be 1, and whether it takes EPT. */
struct need {
	u32 pin, cpu1, cpu2;
	bool ept;
};

static const struct need needs[NR_ZOO_EVENTS] = {
	[ZOO_EVENT_TIMER] = {.pin = PIN_PREEMPTION_TIMER},
	/* Section 27.2.1.3: the type 7 of events is reserved without that control. */
	[ZOO_EVENT_MTF] = {.cpu1 = CPU1_MONITOR_TRAP_FLAG},
	[ZOO_EVENT_EPT_MISCONFIG] = {.cpu2 = CPU2_EPT, .ept = true},
	[ZOO_EVENT_PML_FULL] = {.cpu2 = CPU2_EPT | CPU2_PML, .ept = true},
	[ZOO_EVENT_XSS] = {.cpu2 = CPU2_XSAVES},
	[ZOO_EVENT_VMFUNC] = {.cpu2 = CPU2_VMFUNC},
	[ZOO_EVENT_SPP] = {.cpu2 = CPU2_EPT | CPU2_SPP, .ept = true},
};

bool zoo_event_has_page(enum zoo_event event)
{
	return needs[event].ept;
}

static bool processor_can(enum zoo_event event, const struct zoo_facts *f)
{
	const struct need *n = &needs[event];

	if (!vmx_caps_has(f->caps, WORD_PIN, n->pin) ||
	    !vmx_caps_has(f->caps, WORD_CPU1, n->cpu1) ||
	    !vmx_caps_has(f->caps, WORD_CPU2, n->cpu2))
		return false;
	switch (event) {
	case ZOO_EVENT_TIMER: /* which an erratum may have kept from being used */
		return f->controls->word[WORD_PIN] & PIN_PREEMPTION_TIMER;
	case ZOO_EVENT_SMXE:
		return f->caps->cr4_fixed1 & X86_CR4_SMXE;
	case ZOO_EVENT_XSS:
		return (f->controls->word[WORD_CPU2] & CPU2_XSAVES) && f->xss;
	case ZOO_EVENT_PML_FULL: /* without dirty flags, nothing is logged */
		return f->own_tables || (f->eptp & EPTP_AD);
	default:
		return true;
	}
}

/** docs/hacking.md, "Bochs 2.7", has the evidence. */
static bool bochs_can(enum zoo_event event, const struct zoo_facts *f)
{
	switch (event) {
	case ZOO_EVENT_INIT: /* stays pending for ever: each entry would exit with it */
		return false;
	case ZOO_EVENT_INTERRUPT: /* is held back as if external interrupts did not exit */
		return f->rflags & X86_EFLAGS_IF;
	default:
		return true;
	}
}

enum zoo_answer zoo_event_possible(u64 event, const struct zoo_facts *f)
{
	if (event >= NR_ZOO_EVENTS)
		return ZOO_UNKNOWN;
	if (!processor_can((enum zoo_event)event, f))
		return ZOO_NO_CPU;
	if (needs[event].ept && f->own_tables)
		return ZOO_NO_MODE;
	if (f->on_bochs && !bochs_can((enum zoo_event)event, f))
		return ZOO_NO_EMULATOR;
	return ZOO_DONE;
}
