/* SPDX-License-Identifier: MIT */
/* Accesses where no memory is, however the processor told of them. */
#ifndef TV_EXITS_MMIO_H
#define TV_EXITS_MMIO_H

#include "vcpu.h"

/** The guest accessed `gpa`, where no memory is; `fetch`: for an instruction. A device's registers
 *  are served by emulating the instruction; anything else ends the guest with a sentence. */
enum exit_action access_mmio(struct vcpu *v, gpa_t gpa, bool fetch);

/** The processor needed a paging structure of the guest's, which lies at `gpa`. Ends the guest. */
enum exit_action stop_on_paging(struct vcpu *v, gpa_t gpa);

#endif
