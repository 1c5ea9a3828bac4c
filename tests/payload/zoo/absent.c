/* SPDX-License-Identifier: MIT */
/*
 * Reasons that need what no processor here has, or what no guest does: instructions whose control
 * is 0, so that they are #UD without an exit, and events of SMM, SEAM and of several processors.
 */
#include "zoo_guest.h"

CODE(code_encls, ".byte 0x0f, 0x01, 0xcf");
CODE(code_enclv, ".byte 0x0f, 0x01, 0xc0");
CODE(code_pconfig, ".byte 0x0f, 0x01, 0xc5");
CODE(code_umwait, ".byte 0xf2, 0x0f, 0xae, 0xf1");
CODE(code_tpause, ".byte 0x66, 0x0f, 0xae, 0xf1");
CODE(code_loadiwkey, ".byte 0xf3, 0x0f, 0x38, 0xdc, 0xc1");
CODE(code_enqcmd, ".byte 0xf2, 0x0f, 0x38, 0xf8, 0x08");
CODE(code_enqcmds, ".byte 0xf3, 0x0f, 0x38, 0xf8, 0x08");
CODE(code_seamcall, ".byte 0x66, 0x0f, 0x01, 0xcf");
CODE(code_tdcall, ".byte 0x66, 0x0f, 0x01, 0xcc");
CODE(code_rdmsrlist, ".byte 0xf2, 0x0f, 0x01, 0xc6");
CODE(code_wrmsrlist, ".byte 0xf3, 0x0f, 0x01, 0xc6");
CODE(code_urdmsr, ".byte 0xf2, 0x0f, 0x38, 0xf8, 0xc1");
CODE(code_uwrmsr, ".byte 0xf3, 0x0f, 0x38, 0xf8, 0xc1");
CODE(code_rdmsr_imm, ".byte 0xc4, 0xe7, 0x7b, 0xf6, 0xc0, 0x10, 0, 0, 0");
CODE(code_wrmsrns_imm, ".byte 0xc4, 0xe7, 0x7a, 0xf6, 0xc0, 0x10, 0, 0, 0");

static u64 operand[8];

/** #UD in ring 0 and 3 of 64-bit mode, and no exit: the processor has not the control, or it is 0.
 */
static void is_undefined(const char *name, struct code code, enum exit_reason nr)
{
	SHOOT(name, code, IN_64_BIT, .exit = NO_EXIT, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(operand), [REG_RCX] = VALUE(operand)});
	if (reason_has_control(nr))
		not_here("hidden from guests; #UD");
	else
		not_here("no control for it in this processor; #UD");
}

#define NO_INSTRUCTION(name, code)                                                                 \
	void zoo_##name(void)                                                                      \
	{                                                                                          \
		is_undefined(#name, code, EXIT_REASON_##name);                                     \
	}

/** ENCLS, which is #UD. */
NO_INSTRUCTION(ENCLS, code_encls)
/** ENCLV, which is #UD. */
NO_INSTRUCTION(ENCLV, code_enclv)
/** PCONFIG, which is #UD. */
NO_INSTRUCTION(PCONFIG, code_pconfig)
/** UMWAIT, which is #UD. */
NO_INSTRUCTION(UMWAIT, code_umwait)
/** TPAUSE, which is #UD. */
NO_INSTRUCTION(TPAUSE, code_tpause)
/** LOADIWKEY, which is #UD. */
NO_INSTRUCTION(LOADIWKEY, code_loadiwkey)
/** ENQCMD, which is #UD. */
NO_INSTRUCTION(ENQCMD_PASID, code_enqcmd)
/** ENQCMDS, which is #UD. */
NO_INSTRUCTION(ENQCMDS_PASID, code_enqcmds)
/** RDMSRLIST, which is #UD. */
NO_INSTRUCTION(RDMSRLIST, code_rdmsrlist)
/** WRMSRLIST, which is #UD. */
NO_INSTRUCTION(WRMSRLIST, code_wrmsrlist)
/** URDMSR, which is #UD. */
NO_INSTRUCTION(URDMSR, code_urdmsr)
/** UWRMSR, which is #UD. */
NO_INSTRUCTION(UWRMSR, code_uwrmsr)

/** These would need no control: the processor has not the instruction. */
#define NEWER_INSTRUCTION(name, code, what)                                                        \
	void zoo_##name(void)                                                                      \
	{                                                                                          \
		SHOOT(#name, code, IN_64_BIT, .exit = NO_EXIT, .fault = UD_VECTOR,                 \
		      .in = {[REG_RAX] = VALUE(operand), [REG_RCX] = VALUE(operand)});             \
		not_here("no " what " in this processor; #UD");                                    \
	}

/** SEAMCALL, which is #UD. */
NEWER_INSTRUCTION(SEAMCALL, code_seamcall, "TDX")
/** TDCALL, which is #UD. */
NEWER_INSTRUCTION(TDCALL, code_tdcall, "TDX")
/** RDMSR with an immediate, which is #UD. */
NEWER_INSTRUCTION(RDMSR_IMM, code_rdmsr_imm, "MSR_IMM")
/** WRMSRNS with an immediate, which is #UD. */
NEWER_INSTRUCTION(WRMSRNS_IMM, code_wrmsrns_imm, "MSR_IMM")

/** Nothing to execute. */
static void is_never_asked_for(enum exit_reason nr)
{
	if (reason_has_control(nr))
		not_here("Tallyvisor leaves its control off");
	else
		not_here("no control for it in this processor");
}

/** Nothing: the control is off. */
void zoo_BUS_LOCK(void)
{
	is_never_asked_for(EXIT_REASON_BUS_LOCK);
}

/** Nothing: the control is off. */
void zoo_NOTIFY(void)
{
	is_never_asked_for(EXIT_REASON_NOTIFY);
}

/** Nothing: the only processor is running. */
void zoo_SIPI(void)
{
	not_here("needs several processors");
}

/** Nothing: it is for an SMM monitor. */
void zoo_IO_SMI(void)
{
	not_here("only in SMM with dual-monitor treatment");
}

/** Nothing: it is for an SMM monitor. */
void zoo_OTHER_SMI(void)
{
	not_here("only in SMM with dual-monitor treatment");
}

/** Nothing: nobody here can order a machine check. */
void zoo_ENTRY_FAIL_MACHINE_CHECK(void)
{
	not_here("needs a machine check during VM entry");
}
