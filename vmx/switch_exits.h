/* SPDX-License-Identifier: MIT */
/*
 * Optional exit causes in terms of VMX controls: which of those that the boot line asks for can be
 * had of this processor, in this paging mode. Pure: boot/ refuses with it while the firmware can
 * still return, vmm/ sets up the VMCS with it.
 */
#ifndef TV_VMX_SWITCH_EXITS_H
#define TV_VMX_SWITCH_EXITS_H

#include "exit_switches.h"
#include "vmx/caps.h"

/** What stands in the way of a switch, besides the processor. */
struct exit_needs {
	const char *mode;   /* the name of the paging mode */
	u64 cpu1;	    /* primary controls that it requires */
	u32 exceptions;	    /* exceptions that it requires */
	bool hidden_random; /* RDRAND and RDSEED must be #UD in the guest (reproducible=1) */
	u32 features_off;   /* what features-= took away */
};

/**
 * Switch the causes in the chosen control words `c`. False: one of them cannot be; `err` (`size`
 * bytes) holds a sentence that names it, says why, and what to do.
 */
bool exit_switches_apply(const struct exit_switches *s, const struct vmx_caps *caps,
			 const struct exit_needs *needs, struct vmx_controls *c, char *err,
			 size_t size);

/** What became of a single switch. */
enum switch_result {
	SWITCH_CHANGED, /* or was as wanted */
	SWITCH_LACKING, /* the processor, or what features-= left of it, cannot */
	SWITCH_NEEDED,	/* the paging mode, or the hypervisor, cannot do without */
};

/** Switch one cause `on` or off in `c`, where another setting is in force. */
enum switch_result exit_switch_change(enum exit_switch x, bool on, const struct vmx_caps *caps,
				      const struct exit_needs *needs, struct vmx_controls *c);

#endif
