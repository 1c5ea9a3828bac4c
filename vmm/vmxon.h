/* SPDX-License-Identifier: MIT */
/* VMX operation of the physical processor, and the controls a machine gets. */
#ifndef TV_VMXON_H
#define TV_VMXON_H

#include "machine.h"
#include "vmx/switch_exits.h"

/** Check for VMX, unlock it if need be, read the capabilities, enter VMX operation. Panics with
 *  the cause and the remedy. */
void vmx_on(void);
void vmx_off(void);

/** Choose the control words for `m` (m->vmx) and say which optional features are missing. */
void vmx_choose_for(struct machine *m);

/** What stands in the way of switching exits of `m`. */
void vmx_exit_needs(const struct machine *m, struct exit_needs *needs);

/** Say which optional features `m` runs with. */
void vmx_say_features(const struct machine *m);

/** Do entries and exits switch IA32_PAT? */
static inline bool vmx_switches_pat(const struct machine *m)
{
	return (m->vmx.word[WORD_ENTRY] & ENTRY_LOAD_PAT) &&
	       (m->vmx.word[WORD_EXIT] & EXIT_LOAD_PAT);
}

/** Forget all cached translations of the guest: INVEPT and INVVPID as far as they exist. */
void vmx_invalidate(struct machine *m);

/** Forget the translations that hold guest-linear addresses: INVVPID. */
void vmx_flush_linear(struct machine *m);

/** Forget those of one linear address (canonical), or more. */
void vmx_flush_address(struct machine *m, gva_t gva);

/** A 4 KiB region with the processor's VMCS revision, for VMXON or as a VMCS. */
u8 *vmx_region(hpa_t *hpa);

#endif
