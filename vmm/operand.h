/* SPDX-License-Identifier: MIT */
/* The bytes and the memory operand of the instruction that exited, where the exit comes before the
 * processor has looked at the operand. */
#ifndef TV_OPERAND_H
#define TV_OPERAND_H

#include "guest/insn_0f.h"
#include "vcpu.h"

/** Of the exit at hand. */
struct operand {
	struct vcpu *v;
	struct walk_regs regs;
	unsigned bits; /* the code segment's size: 16, 32 or 64 */
	u32 info;      /* VM-exit instruction information */
};

void operand_init(struct operand *o, struct vcpu *v);

/** Fetch and understand the instruction, which need not be the one that exited: operand_changed().
 *  False: as of operand_read(), or there is none of opcode 0F now. */
bool operand_insn(const struct operand *o, struct insn_0f *in);

/** For handlers: what was executed is not what the guest's page tables lead to now. Another
 *  processor has written there, or a translation is cached from before a change of the tables that
 *  no INVLPG followed. With nothing cached, the instruction is fetched anew. */
enum exit_action operand_changed(const struct operand *o);

/** Read or write `len` bytes of the memory operand, at the guest's privilege. False: an exception
 * is queued, or the guest has ended. */
bool operand_read(const struct operand *o, void *dst, unsigned len);
bool operand_write(const struct operand *o, const void *src, unsigned len);

/** What became of an access to guest memory; true: it was made. On a fault the guest sees #PF. */
bool operand_done(const struct operand *o, enum walk_status status, gva_t fault,
		  const struct walk_result *out);

/** For handlers: after a false. */
enum exit_action operand_failed(const struct operand *o);

#endif
