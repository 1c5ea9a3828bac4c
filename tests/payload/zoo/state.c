/* SPDX-License-Identifier: MIT */
/* XSAVES and XRSTORS. */
#include "zoo_guest.h"

#define CPUID_1_ECX_XSAVE BIT(26)
#define CPUID_D_1_EAX_XSAVES BIT(3)

CODE(code_xsaves, "xsaves (%rdi)");
CODE(code_xrstors, "xrstors (%rdi)");

/* The x87 state's 512 bytes, the header's 64, and room for what else is asked for. */
static _Alignas(64) u8 area[4096];

#define IN_AREA .in = {[REG_RDI] = VALUE(area), [REG_RAX] = VALUE(1), [REG_RDX] = VALUE(0)}

static bool has_xsaves(void)
{
	return (cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE) && (cpuid(0xd, 1).eax & CPUID_D_1_EAX_XSAVES);
}

/** The guest's IA32_XSS is 0, so that neither exits by itself. */
static void supervisor_state(const char *what, struct code code, u32 exit, bool restores)
{
	const u64 cr4 = read_cr4();

	SHOOT(what, code, IN_64_BIT, .exit = NO_EXIT, .fault = UD_VECTOR, IN_AREA);
	if (!has_xsaves()) {
		not_here("no XSAVES here; #UD");
		return;
	}
	write_cr4(cr4 | X86_CR4_OSXSAVE);
	SHOOT(what, code, IN(RING0), .exit = NO_EXIT, IN_AREA);
	SHOOT(what, code, IN(RING3), .exit = NO_EXIT, .fault = GP_VECTOR, IN_AREA);
	exits_begin();
	if (arm(ZOO_EVENT_XSS, 0, "IA32_XSS has no bits in this processor")) {
		const u32 all = ~0u;

		if (restores)
			__asm__ volatile("xrstors (%0)" ::"D"(area), "a"(all), "d"(all) : "memory");
		else
			__asm__ volatile("xsaves (%0)" ::"D"(area), "a"(all), "d"(all) : "memory");
		if (exit == EXIT_REASON_XSAVES)
			EXITS(what, [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_XSAVES] = 1);
		else
			EXITS(what, [EXIT_REASON_VMCALL] = 1, [EXIT_REASON_XRSTORS] = 1);
	}
	write_cr4(cr4);
}

/** XSAVES with IA32_XSS not 0, by VMCALL: the guest's own IA32_XSS is 0, and then nothing exits. */
void zoo_XSAVES(void)
{
	raises("with a bit of IA32_XSS; ring 3: #GP first");
	supervisor_state("XSAVES", code_xsaves, EXIT_REASON_XSAVES, false);
}

/** XRSTORS with IA32_XSS not 0, by VMCALL, of what XSAVES has saved. */
void zoo_XRSTORS(void)
{
	raises("with a bit of IA32_XSS; ring 3: #GP first");
	supervisor_state("XRSTORS", code_xrstors, EXIT_REASON_XRSTORS, true);
}
