/* SPDX-License-Identifier: MIT */
/* Switching optional causes of exits while the guest runs; at its start vmm/vmxon.c does. */
#ifndef TV_SWITCHES_H
#define TV_SWITCHES_H

#include "exit_switches.h"
#include "vcpu.h"
#include "zoo.h"

/** exit+= (`on`) or exit-= of one cause, from the next entry on. */
enum zoo_answer vcpu_switch_exit(struct vcpu *v, enum exit_switch x, bool on);

#endif
