/* SPDX-License-Identifier: MIT */
/* The enum and the names of the basic exit reasons, from exit_reasons.def. */
#ifndef TV_EXIT_REASONS_H
#define TV_EXIT_REASONS_H

#include "types.h"

enum exit_reason {
#define EXIT_REASON(nr, name, handler, word, bit, cause) EXIT_REASON_##name = nr,
#include "exit_reasons.def"
#undef EXIT_REASON
};

/** One more than the highest basic exit reason that the SDM defines. */
#define NR_EXIT_REASONS 86

/** SDM volume 3, section 25.9.1 "Basic VM-Exit Information": fields of the exit reason. */
#define EXIT_REASON_BASIC_MASK 0xffffu
#define EXIT_REASON_ENTRY_FAILURE BIT(31)

/** The name of a basic exit reason, or NULL where the SDM defines none. */
const char *exit_reason_name(u32 nr);

/** Its cause in words, or NULL. */
const char *exit_reason_cause(u32 nr);

#endif
