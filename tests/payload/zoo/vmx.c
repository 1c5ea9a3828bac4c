/* SPDX-License-Identifier: MIT */
/* VMX and SMX instructions. The guest has neither by its CPUID, so that #UD comes of the exits.
 * Those of VMX exit at any privilege level, but are #UD at once in compatibility mode; VMCALL exits
 * everywhere (SDM volume 3, chapter 31 "VMX Instruction Reference"). */
#include "zoo_guest.h"

#define CR4_SMXE X86_CR4_SMXE

CODE(code_vmcall, "vmcall");
CODE(code_vmlaunch, "vmlaunch");
CODE(code_vmresume, "vmresume");
CODE(code_vmxoff, "vmxoff");
CODE(code_vmclear, "vmclear (%rax)");
CODE(code_vmptrld, "vmptrld (%rax)");
CODE(code_vmptrst, "vmptrst (%rax)");
CODE(code_vmxon, "vmxon (%rax)");
CODE(code_vmread, "vmread %rcx, %rdx");
CODE(code_vmread_memory, "vmread %rcx, (%rax)");
CODE(code_vmwrite, "vmwrite %rdx, %rcx");
CODE(code_vmwrite_memory, "vmwrite (%rax), %rcx");
CODE(code_invept, "invept (%rax), %rcx");
CODE(code_invvpid, "invvpid (%rax), %rcx");
CODE(code_vmfunc, "vmfunc");
CODE(code_getsec, "getsec");

static u64 operand[2];

/** In compatibility mode #UD at once; with the memory operand of each kind of fault, which would
 * come behind the exit. */
static void vmx_instruction(const char *what, struct code code, u32 exit, bool memory)
{
	static const u64 bad[] = {HOLE, NOT_PRESENT};

	SHOOT(what, code, IN_64_BIT, .exit = exit, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(operand)});
	SHOOT(what, code, IN_COMPAT, .exit = NO_EXIT, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(operand)});
	for (unsigned i = 0; memory && i < ARRAY_SIZE(bad); i++)
		SHOOT("and with an operand that would fault", code, IN_64_BIT, .exit = exit,
		      .fault = UD_VECTOR, .in = {[REG_RAX] = VALUE(bad[i])});
}

/** VMCALL in every ring and mode, of a call that does nothing (docs/zoo-calls.md). */
void zoo_VMCALL(void)
{
	raises("rings 0 and 3 and all modes");
	SHOOT("VMCALL", code_vmcall, IN_ALL | IN_LEGACY, .exit = EXIT_REASON_VMCALL,
	      .in = {[REG_RAX] = VALUE(ZOO_HELLO)}, .out = {[REG_RAX] = VALUE(ZOO_DONE)},
	      .any = BIT(REG_RBX) | BIT(REG_RCX) | BIT(REG_RDX));
}

#define VMX_TEXT "rings 0, 3; compatibility mode: #UD first"

#define PLAIN_CASE(name, code, memory)                                                             \
	void zoo_##name(void)                                                                      \
	{                                                                                          \
		raises(VMX_TEXT);                                                                  \
		vmx_instruction(#name, code, EXIT_REASON_##name, memory);                          \
	}

/** VMLAUNCH once in every ring and mode: protected mode is as good as 64-bit mode, in the others it
 *  is #UD without an exit. */
void zoo_VMLAUNCH(void)
{
	raises("rings 0 and 3 and all modes; some: #UD first");
	vmx_instruction("VMLAUNCH", code_vmlaunch, EXIT_REASON_VMLAUNCH, false);
	SHOOT("VMLAUNCH", code_vmlaunch, IN(PROTECTED0) | IN(PROTECTED3),
	      .exit = EXIT_REASON_VMLAUNCH, .fault = UD_VECTOR);
	SHOOT("VMLAUNCH", code_vmlaunch, IN(VIRTUAL8086) | IN(REAL), .exit = NO_EXIT,
	      .fault = UD_VECTOR);
}

/** VMRESUME in rings 0 and 3. */
PLAIN_CASE(VMRESUME, code_vmresume, false)
/** VMXOFF in rings 0 and 3. */
PLAIN_CASE(VMXOFF, code_vmxoff, false)
/** VMCLEAR in rings 0 and 3, also of an operand that would fault. */
PLAIN_CASE(VMCLEAR, code_vmclear, true)
/** VMPTRLD in rings 0 and 3, also of an operand that would fault. */
PLAIN_CASE(VMPTRLD, code_vmptrld, true)
/** VMPTRST in rings 0 and 3, also of an operand that would fault. */
PLAIN_CASE(VMPTRST, code_vmptrst, true)
/** VMXON in rings 0 and 3, also of an operand that would fault. */
PLAIN_CASE(VMXON, code_vmxon, true)

/** VMREAD to a register and to memory, in rings 0 and 3. */
void zoo_VMREAD(void)
{
	raises(VMX_TEXT);
	vmx_instruction("VMREAD", code_vmread, EXIT_REASON_VMREAD, false);
	vmx_instruction("VMREAD to memory", code_vmread_memory, EXIT_REASON_VMREAD, true);
}

/** VMWRITE from a register and from memory, in rings 0 and 3. */
void zoo_VMWRITE(void)
{
	raises(VMX_TEXT);
	vmx_instruction("VMWRITE", code_vmwrite, EXIT_REASON_VMWRITE, false);
	vmx_instruction("VMWRITE from memory", code_vmwrite_memory, EXIT_REASON_VMWRITE, true);
}

/** Where the processor has not what the instruction is about, it has not the instruction. */
static void invalidation(const char *what, struct code code, u32 exit, u64 control)
{
	const char *lack = control == CPU2_EPT ? "EPT" : "VPID";

	raises(VMX_TEXT);
	if (control_is_there(WORD_CPU2, control)) {
		vmx_instruction(what, code, exit, true);
		return;
	}
	SHOOT(what, code, IN_ALL, .exit = NO_EXIT, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(operand)}, .departs = true, .early = exit);
	if (exited_first())
		departs("it exits on a processor without it");
	not_here("no %s in this processor; #UD", lack);
}

/** INVEPT in rings 0 and 3, also of an operand that would fault. */
void zoo_INVEPT(void)
{
	invalidation("INVEPT", code_invept, EXIT_REASON_INVEPT, CPU2_EPT);
}

/** INVVPID in rings 0 and 3, also of an operand that would fault. */
void zoo_INVVPID(void)
{
	invalidation("INVVPID", code_invvpid, EXIT_REASON_INVVPID, CPU2_VPID);
}

/** VMFUNC of function 0, with VM functions enabled by VMCALL and none of them: without, it is #UD.
 */
void zoo_VMFUNC(void)
{
	raises("function 0; without its control #UD");
	SHOOT("VMFUNC", code_vmfunc, IN_ALL, .exit = NO_EXIT, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(0), [REG_RCX] = VALUE(0)});
	exits_begin();
	if (!arm(ZOO_EVENT_VMFUNC, 0, "no VM functions in this processor; #UD"))
		return;
	check(TRY("vmfunc", ::"a"(0), "c"(0)) == UD_VECTOR, "VMFUNC: vector %ld",
	      (long)fault.vector);
	EXITS("VMFUNC", [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_VMFUNC] = 1);
	SHOOT("VMFUNC", code_vmfunc, IN_ALL, .exit = NO_EXIT, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(0), [REG_RCX] = VALUE(0)});
}

/** GETSEC with CR4.SMXE=1, by VMCALL: the guest cannot set it, and without it GETSEC is #UD. */
void zoo_GETSEC(void)
{
	raises("with CR4.SMXE=1, leaf 0; #UD first with SMXE=0");
	SHOOT("GETSEC", code_getsec, IN_ALL, .exit = NO_EXIT, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(0)});
	check(TRY("mov %0, %%cr4", ::"r"(read_cr4() | CR4_SMXE)) == GP_VECTOR,
	      "CR4.SMXE: vector %ld", (long)fault.vector);
	exits_begin();
	if (!arm(ZOO_EVENT_SMXE, 0, "no SMX in this processor; #UD"))
		return;
	check(TRY("getsec", ::"a"(0)) == UD_VECTOR, "GETSEC: vector %ld", (long)fault.vector);
	EXITS("GETSEC", [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_GETSEC] = 1);
}
