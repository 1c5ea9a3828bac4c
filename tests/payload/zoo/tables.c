/* SPDX-License-Identifier: MIT */
/* Descriptor-table registers, LDTR and TR. The exit comes behind the faults of privilege and mode,
 * and before those of the operand and of the descriptor. */
#include "zoo_guest.h"

CODE(code_sgdt, "sgdt (%rax)");
CODE(code_sidt, "sidt (%rax)");
CODE(code_lgdt, "lgdt (%rax)");
CODE(code_lidt, "lidt (%rax)");
CODE(code_lgdt_stack, "lgdt (%rsp,%rax)");
CODE(code_sldt, "sldt %eax");
CODE(code_str, "str %eax");
CODE(code_str_memory, "str (%rax)");
CODE(code_lldt, "lldt %ax");
CODE(code_ltr, "ltr %ax");

struct pseudo {
	u16 limit;
	u64 base;
} __attribute__((packed));

static struct pseudo gdtr, idtr, out;

#define AT(x) .in = {[REG_RAX] = VALUE(x)}

/** The same shots with the control on and off. */
static void fire_tables(u32 exit)
{
	SHOOT("SGDT", code_sgdt, IN(RING0) | IN(RING3), .exit = exit, AT(&out));
	check(out.limit == gdtr.limit && out.base == gdtr.base, "SGDT: %x, %lx", out.limit,
	      (unsigned long)out.base);
	SHOOT("SIDT", code_sidt, IN(RING0) | IN(COMPAT0), .exit = exit, AT(&out));
	SHOOT("LGDT", code_lgdt, IN(RING0), .exit = exit, AT(&gdtr));
	SHOOT("LIDT", code_lidt, IN(RING0), .exit = exit, AT(&idtr));
	SHOOT("LGDT of no canonical address", code_lgdt, IN(RING0), .exit = exit,
	      .fault = GP_VECTOR, AT(HOLE));
	SHOOT("LGDT of the same on the stack", code_lgdt_stack, IN(RING0), .exit = exit,
	      .fault = SS_VECTOR, AT(HOLE));
	SHOOT("LGDT of a page that is not present", code_lgdt, IN(RING0), .exit = exit,
	      .fault = PF_VECTOR, AT(NOT_PRESENT));
	SHOOT("SIDT to it", code_sidt, IN(RING0), .exit = exit, .fault = PF_VECTOR, .error = 2,
	      AT(NOT_PRESENT));
	SHOOT("LGDT", code_lgdt, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR, AT(&gdtr));
	SHOOT("LIDT", code_lidt, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR, AT(&idtr));
}

/** SGDT, SIDT, LGDT and LIDT, also of operands that fault, with the control on and off. */
void zoo_GDTR_IDTR_ACCESS(void)
{
	raises("SGDT, SIDT, LGDT, LIDT; ring 3: #GP first");
	__asm__ volatile("sgdt %0\n\tsidt %1" : "=m"(gdtr), "=m"(idtr));
	if (!switch_on(EXIT_SWITCH_DESCRIPTOR_TABLE)) {
		fire_tables(NO_EXIT);
		return;
	}
	fire_tables(EXIT_REASON_GDTR_IDTR_ACCESS);
	if (switch_off(EXIT_SWITCH_DESCRIPTOR_TABLE))
		fire_tables(NO_EXIT);
}

static void fire_segments(u32 exit)
{
	u16 tr;

	__asm__ volatile("str %0" : "=m"(tr));
	SHOOT("STR", code_str, IN(RING0) | IN(RING3), .exit = exit, .out = {[REG_RAX] = VALUE(tr)});
	SHOOT("STR to memory", code_str_memory, IN(RING0), .exit = exit, AT(&out));
	check(out.limit == tr, "STR to memory: %x", out.limit);
	SHOOT("SLDT", code_sldt, IN(RING0) | IN(COMPAT0), .exit = exit,
	      .out = {[REG_RAX] = VALUE(0)});
	SHOOT("LLDT of 0", code_lldt, IN_RING0, .exit = exit, AT(0));
	SHOOT("LLDT of data", code_lldt, IN(RING0), .exit = exit, .fault = GP_VECTOR, .error = 0x10,
	      AT(0x10));
	SHOOT("LTR of 0", code_ltr, IN(RING0), .exit = exit, .fault = GP_VECTOR, AT(0));
	SHOOT("LTR of a TSS that is busy", code_ltr, IN(RING0), .exit = exit, .fault = GP_VECTOR,
	      .error = tr, AT(tr));
	SHOOT("LLDT", code_lldt, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR, AT(0));
	SHOOT("LTR", code_ltr, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR, AT(tr));
}

/** SLDT, STR, LLDT and LTR, also of descriptors that fault, with the control on and off. */
void zoo_LDTR_TR_ACCESS(void)
{
	raises("SLDT, STR, LLDT, LTR; ring 3: #GP first");
	if (!switch_on(EXIT_SWITCH_DESCRIPTOR_TABLE)) {
		fire_segments(NO_EXIT);
		return;
	}
	fire_segments(EXIT_REASON_LDTR_TR_ACCESS);
	if (switch_off(EXIT_SWITCH_DESCRIPTOR_TABLE))
		fire_segments(NO_EXIT);
}
