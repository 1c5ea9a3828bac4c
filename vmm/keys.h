/* SPDX-License-Identifier: MIT */
/* The operator's keyboard: bytes go to the guest's UART; Ctrl-] begins a command. */
#ifndef TV_KEYS_H
#define TV_KEYS_H

#include "machine.h"

/** Take what was typed. */
void keys_poll(struct machine *m);

#endif
