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

/** #UD in ring 0 and 3 of 64-bit mode, and no exit. */
static void is_undefined(const char *what, struct code code)
{
	SHOOT(what, code, IN_64_BIT, .exit = NO_EXIT, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(operand), [REG_RCX] = VALUE(operand)});
}

#define NO_INSTRUCTION(name, code, text)                                                           \
	void zoo_##name(void)                                                                      \
	{                                                                                          \
		is_undefined(#name, code);                                                         \
		not_here(text);                                                                    \
	}

NO_INSTRUCTION(ENCLS, code_encls, "no SGX for guests; #UD")
NO_INSTRUCTION(ENCLV, code_enclv, "no SGX for guests; #UD")
NO_INSTRUCTION(PCONFIG, code_pconfig, "no PCONFIG for guests; #UD")
NO_INSTRUCTION(UMWAIT, code_umwait, "no WAITPKG for guests; #UD")
NO_INSTRUCTION(TPAUSE, code_tpause, "no WAITPKG for guests; #UD")
NO_INSTRUCTION(LOADIWKEY, code_loadiwkey, "no key locker for guests; #UD")
NO_INSTRUCTION(ENQCMD_PASID, code_enqcmd, "no ENQCMD for guests; #UD")
NO_INSTRUCTION(ENQCMDS_PASID, code_enqcmds, "no ENQCMD for guests; #UD")
NO_INSTRUCTION(SEAMCALL, code_seamcall, "no TDX in this processor; #UD")
NO_INSTRUCTION(TDCALL, code_tdcall, "no TDX in this processor; #UD")
NO_INSTRUCTION(RDMSRLIST, code_rdmsrlist, "no MSRLIST for guests; #UD")
NO_INSTRUCTION(WRMSRLIST, code_wrmsrlist, "no MSRLIST for guests; #UD")
NO_INSTRUCTION(URDMSR, code_urdmsr, "no USER_MSR for guests; #UD")
NO_INSTRUCTION(UWRMSR, code_uwrmsr, "no USER_MSR for guests; #UD")
NO_INSTRUCTION(RDMSR_IMM, code_rdmsr_imm, "no MSR_IMM in this processor; #UD")
NO_INSTRUCTION(WRMSRNS_IMM, code_wrmsrns_imm, "no MSR_IMM in this processor; #UD")

void zoo_SIPI(void)
{
	not_here("needs several processors");
}

void zoo_IO_SMI(void)
{
	not_here("only in SMM with dual-monitor treatment");
}

void zoo_OTHER_SMI(void)
{
	not_here("only in SMM with dual-monitor treatment");
}

void zoo_ENTRY_FAIL_MACHINE_CHECK(void)
{
	not_here("needs a machine check during VM entry");
}

void zoo_BUS_LOCK(void)
{
	not_here("no bus-lock detection for guests");
}

void zoo_NOTIFY(void)
{
	not_here("no notify window for guests");
}
