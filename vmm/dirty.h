/* SPDX-License-Identifier: MIT */
/*
 * Counting the pages that the guest writes (boot option dirty=1): for working sets, and for what a
 * live migration would have to send. The flags are the paging implementation's (paging_ops.dirty).
 * Where the processor has page-modification logging (SDM volume 3, section 29.3.6
 * "Page-Modification Logging"), it names the pages, and a snapshot looks at those alone.
 */
#ifndef TV_DIRTY_H
#define TV_DIRTY_H

#include "types.h"

struct machine;
struct vcpu;

/** The pages logged since the flags were last cleared, of all vcpus. */
struct dirty_log {
	u32 *gfn; /* NULL: no log, every page has to be looked at */
	u64 nr, max;
};

/** Make room for the log, where m->vmx says that there will be one. */
void dirty_init(struct machine *m);

/** Give the vcpu, whose VMCS is current, its part of the log. */
void dirty_init_log(struct vcpu *v);

/** Take over what the processor has logged. While the guest runs: its VMCS is current. */
void dirty_drain(struct machine *m);

/** Fill in what m->snapshot says of pages. `clear`: begin a new count. */
void dirty_count(struct machine *m, bool clear);

#endif
