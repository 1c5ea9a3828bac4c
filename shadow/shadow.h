/* SPDX-License-Identifier: MIT */
/* Shadow page tables: the paging interface over page tables of the hypervisor's own. */
#ifndef TV_SHADOW_H
#define TV_SHADOW_H

#include "paging_ops.h"

extern const struct paging_ops shadow_ops;

#endif
