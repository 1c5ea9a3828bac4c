/* SPDX-License-Identifier: MIT */
/* A guest's writes to page tables of its own that are write-protected. */
#ifndef TV_TABLE_WRITE_H
#define TV_TABLE_WRITE_H

#include "vcpu.h"

/** The write to `gpa` at `gva` that has exited (PAGING_EMULATE): it is emulated, or the guest makes
 *  it once more where the table is not protected any longer. */
enum exit_action emulate_table_write(struct vcpu *v, gva_t gva, gpa_t gpa);

#endif
