/* SPDX-License-Identifier: MIT */
/*
 * Which events of the exit zoo (include/zoo_events.def) can be had of a processor, in a paging
 * mode, on an emulator. Pure.
 */
#ifndef TV_VMX_ZOO_RULES_H
#define TV_VMX_ZOO_RULES_H

#include "vmx/caps.h"
#include "zoo.h"

/** What decides about an event, besides its argument. */
struct zoo_facts {
	const struct vmx_caps *caps;
	const struct vmx_controls *controls; /* those in force */
	bool own_tables;		     /* paging_controls.own_tables */
	u64 eptp;			     /* paging_controls.eptp */
	u64 xss;			     /* the bits that IA32_XSS can have */
	u64 rflags;			     /* the guest's */
	bool on_bochs;			     /* underneath is Bochs 2.7 */
};

/** ZOO_DONE, or why this event cannot be had: ZOO_UNKNOWN, ZOO_NO_CPU, ZOO_NO_MODE,
 *  ZOO_NO_EMULATOR. `event` may be anything. */
enum zoo_answer zoo_event_possible(u64 event, const struct zoo_facts *f);

/** Is it one whose argument is the address of a page of guest memory? */
bool zoo_event_has_page(enum zoo_event event);

#endif
