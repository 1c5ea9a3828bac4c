/* SPDX-License-Identifier: MIT */
/* A guest's writes that shadow page tables leave to the hypervisor. */
#ifndef TV_TABLE_WRITE_H
#define TV_TABLE_WRITE_H

#include "vcpu.h"

/** The supervisor's write to `gpa` at `gva` that has exited (PAGING_EMULATE). True: the instruction
 *  is done. False: the guest has to try again, and need not exit if it was for a table of its own
 *  that was write-protected. */
bool emulate_write(struct vcpu *v, gva_t gva, gpa_t gpa);

#endif
