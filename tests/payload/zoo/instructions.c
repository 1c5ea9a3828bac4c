/* SPDX-License-Identifier: MIT */
/* Instructions that exit always, or where a control says so (SDM volume 3, sections 26.1.2 and
 * 26.1.3), and the faults that come before (26.1.1 "Relative Priority of Faults and VM Exits"). */
#include "zoo_guest.h"

#define CPUID_1_ECX_XSAVE BIT(26)
#define CPUID_1_ECX_RDRAND BIT(30)
#define CPUID_7_EBX_INVPCID BIT(10)
#define CPUID_7_EBX_RDSEED BIT(18)
#define CPUID_EXT_EDX_RDTSCP BIT(27)
#define MSR_TSC_AUX 0xc0000103u
#define INVPCID_ALL 2
#define AX_DX (BIT(REG_RAX) | BIT(REG_RDX))
#define ARITHMETIC                                                                                 \
	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF |           \
	 X86_EFLAGS_OF)

CODE(code_cpuid, "cpuid");
CODE(code_hlt, "hlt");
CODE(code_invd, "invd");
CODE(code_wbinvd, "wbinvd");
CODE(code_invlpg, "invlpg (%rax)");
CODE(code_invpcid, "invpcid (%rdx), %rax");
CODE(code_rdpmc, "rdpmc");
CODE(code_rdtsc, "rdtsc");
CODE(code_rdtscp, "rdtscp");
CODE(code_pause, "pause");
CODE(code_monitor, "monitor");
CODE(code_mwait, "mwait");
CODE(code_xsetbv, "xsetbv");
CODE(code_rdrand, "rdrand %eax");
CODE(code_rdrand_16, "rdrand %ax");
CODE(code_rdseed, "rdseed %eax");
CODE(code_rsm, "rsm");

/** Executes without an exit, once its cause is switched off, if that may be. */
static void without(enum exit_switch x, struct shot s)
{
	if (!switch_off(x))
		return;
	s.exit = NO_EXIT;
	s.what = "and without its control";
	shoot(&s);
}

/** CPUID in every ring and mode: of the hypervisor's own leaf, and of leaf 0. */
void zoo_CPUID(void)
{
	raises("rings 0 and 3 and all modes");
	SHOOT("CPUID", code_cpuid, IN_ALL | IN_LEGACY, .in = {[REG_RAX] = VALUE(0x40000000)},
	      .out = {[REG_RBX] = VALUE(0x6c6c6154)}, .any = AX_DX | BIT(REG_RCX),
	      .exit = EXIT_REASON_CPUID);
	SHOOT("CPUID, leaf 0", code_cpuid, IN_ALL, .in = {[REG_RAX] = VALUE(0)},
	      .any = AX_DX | BIT(REG_RCX) | BIT(REG_RBX), .exit = EXIT_REASON_CPUID);
}

/** HLT in ring 0 with an interrupt pending behind STI, and with RFLAGS.TF: with interrupts off and
 *  none pending, nobody would wake it. */
void zoo_HLT(void)
{
	raises("behind STI, and with TF; ring 3: #GP first");
	if (!switch_on(EXIT_SWITCH_HLT))
		return;
	/* With interrupts off and none pending, nobody would wake it. */
	SHOOT("HLT", code_hlt, IN(RING0), .exit = EXIT_REASON_HLT,
	      .ways = WAY(BEHIND_STI) | WAY(STEPPED));
	SHOOT("HLT", code_hlt, IN_RING3 | IN(PROTECTED3) | IN(VIRTUAL8086), .exit = NO_EXIT,
	      .fault = GP_VECTOR);
}

/** INVD in ring 0 of every mode. */
void zoo_INVD(void)
{
	raises("ring 0; ring 3: #GP first");
	SHOOT("INVD", code_invd, IN_RING0 | IN(PROTECTED0) | IN(REAL), .exit = EXIT_REASON_INVD);
	SHOOT("INVD", code_invd, IN_RING3 | IN(VIRTUAL8086), .exit = NO_EXIT, .fault = GP_VECTOR);
}

/** WBINVD in ring 0, with its control on and off. */
void zoo_WBINVD(void)
{
	const struct shot s = {"WBINVD", code_wbinvd, IN_RING0, .exit = EXIT_REASON_WBINVD};

	raises("ring 0; ring 3: #GP first");
	SHOOT("WBINVD", code_wbinvd, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR);
	if (!switch_on(EXIT_SWITCH_WBINVD))
		return;
	shoot(&s);
	without(EXIT_SWITCH_WBINVD, s);
}

/** INVLPG in ring 0, of a canonical address and of another, with its control on and off. */
void zoo_INVLPG(void)
{
	const struct shot s = {"INVLPG", code_invlpg, IN_RING0, .exit = EXIT_REASON_INVLPG,
			       .in = {[REG_RAX] = VALUE(WINDOW)}};

	raises("ring 0; ring 3: #GP first");
	SHOOT("INVLPG", code_invlpg, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR);
	if (!switch_on(EXIT_SWITCH_INVLPG))
		return;
	shoot(&s);
	SHOOT("INVLPG of no canonical address", code_invlpg, IN(RING0), .exit = EXIT_REASON_INVLPG,
	      .in = {[REG_RAX] = VALUE(HOLE)});
	without(EXIT_SWITCH_INVLPG, s);
}

/** INVPCID of all contexts; with a type that there is not; with an operand that is not present. */
void zoo_INVPCID(void)
{
	static const u64 descriptor[2];
	const struct shot s = {
		"INVPCID", code_invpcid, IN(RING0), .exit = EXIT_REASON_INVPCID,
		.in = {[REG_RAX] = VALUE(INVPCID_ALL), [REG_RDX] = VALUE(descriptor)}};

	raises("ring 0; its operand's faults afterwards");
	if (!(cpuid(7, 0).ebx & CPUID_7_EBX_INVPCID)) {
		SHOOT("INVPCID", code_invpcid, IN_64_BIT, .exit = NO_EXIT, .fault = UD_VECTOR);
		not_here("no INVPCID here; #UD");
		return;
	}
	if (!switch_on(EXIT_SWITCH_INVLPG))
		return;
	shoot(&s);
	SHOOT("INVPCID", code_invpcid, IN(RING3), .exit = NO_EXIT, .fault = GP_VECTOR,
	      .in = {[REG_RAX] = VALUE(INVPCID_ALL), [REG_RDX] = VALUE(descriptor)},
	      .departs = true, .early = EXIT_REASON_INVPCID);
	if (exited_first())
		departs("INVPCID in ring 3 exits");
	SHOOT("INVPCID, type 4", code_invpcid, IN(RING0), .exit = EXIT_REASON_INVPCID,
	      .in = {[REG_RAX] = VALUE(4), [REG_RDX] = VALUE(descriptor)}, .fault = GP_VECTOR);
	SHOOT("INVPCID of a page that is not present", code_invpcid, IN(RING0),
	      .exit = EXIT_REASON_INVPCID,
	      .in = {[REG_RAX] = VALUE(INVPCID_ALL), [REG_RDX] = VALUE(NOT_PRESENT)},
	      .fault = PF_VECTOR);
	without(EXIT_SWITCH_INVLPG, s);
}

/** RDPMC in ring 0. The guest has no counters, so that #GP comes of the exit. */
void zoo_RDPMC(void)
{
	raises("ring 0; ring 3 with CR4.PCE=0: #GP first");
	SHOOT("RDPMC", code_rdpmc, IN_RING0, .exit = EXIT_REASON_RDPMC, .fault = GP_VECTOR,
	      .in = {[REG_RCX] = VALUE(0)});
	SHOOT("RDPMC", code_rdpmc, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR,
	      .in = {[REG_RCX] = VALUE(0)});
}

/** Ring 3 may with CR4.TSD=0. */
static void time_stamps(const char *what, struct code code, u32 exit, u32 any)
{
	const struct shot s = {what, code, IN_ALL, .exit = exit, .any = any};
	const u64 cr4 = read_cr4();

	shoot(&s);
	write_cr4(cr4 | X86_CR4_TSD);
	SHOOT(what, code, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR);
	write_cr4(cr4);
	without(EXIT_SWITCH_RDTSC, s);
}

/** RDTSC in every ring, with its control on and off. */
void zoo_RDTSC(void)
{
	raises("rings 0, 3; ring 3 with CR4.TSD: #GP first");
	if (switch_on(EXIT_SWITCH_RDTSC))
		time_stamps("RDTSC", code_rdtsc, EXIT_REASON_RDTSC, AX_DX);
}

/** RDTSCP in every ring, with the control of RDTSC on and off. */
void zoo_RDTSCP(void)
{
	raises("rings 0, 3; ring 3 with CR4.TSD: #GP first");
	if (!(cpuid(0x80000001, 0).edx & CPUID_EXT_EDX_RDTSCP)) {
		SHOOT("RDTSCP", code_rdtscp, IN_ALL, .exit = NO_EXIT, .fault = UD_VECTOR);
		not_here("no RDTSCP here; #UD");
		return;
	}
	wrmsr(MSR_TSC_AUX, 0x13572468);
	if (switch_on(EXIT_SWITCH_RDTSC))
		time_stamps("RDTSCP", code_rdtscp, EXIT_REASON_RDTSCP, AX_DX | BIT(REG_RCX));
	check(shoot(&(const struct shot){"RDTSCP", code_rdtscp, IN(RING0), .exit = NO_EXIT,
					 .any = AX_DX | BIT(REG_RCX)})
			      ->rcx == 0x13572468,
	      "RDTSCP: another IA32_TSC_AUX");
}

/** PAUSE in every ring, with its control on and off. */
void zoo_PAUSE(void)
{
	const struct shot s = {"PAUSE", code_pause, IN_ALL, .exit = EXIT_REASON_PAUSE};

	raises("rings 0 and 3, compatibility mode");
	if (!switch_on(EXIT_SWITCH_PAUSE))
		return;
	shoot(&s);
	without(EXIT_SWITCH_PAUSE, s);
}

/** MONITOR in ring 0. CPUID hides it: #UD comes of the exit. In ring 3 it comes before. */
void zoo_MONITOR(void)
{
	raises("ring 0, and #UD; ring 3: #UD first");
	SHOOT("MONITOR", code_monitor, IN_RING0, .exit = EXIT_REASON_MONITOR, .fault = UD_VECTOR,
	      .in = {[REG_RCX] = VALUE(0), [REG_RDX] = VALUE(0)});
	SHOOT("MONITOR", code_monitor, IN_RING3, .exit = NO_EXIT, .fault = UD_VECTOR,
	      .in = {[REG_RCX] = VALUE(0), [REG_RDX] = VALUE(0)});
}

/** MWAIT in ring 0. CPUID hides it: #UD comes of the exit. In ring 3 it comes before. */
void zoo_MWAIT(void)
{
	raises("ring 0, and #UD; ring 3: #UD first");
	SHOOT("MWAIT", code_mwait, IN_RING0, .exit = EXIT_REASON_MWAIT, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(0), [REG_RCX] = VALUE(0)});
	SHOOT("MWAIT", code_mwait, IN_RING3, .exit = NO_EXIT, .fault = UD_VECTOR,
	      .in = {[REG_RAX] = VALUE(0), [REG_RCX] = VALUE(0)});
}

static u64 xgetbv(void)
{
	u32 low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (u64)high << 32 | low;
}

/** XSETBV in ring 0 with CR4.OSXSAVE=1: of a good XCR0, of a bad one, and of XCR1. */
void zoo_XSETBV(void)
{
	const u64 cr4 = read_cr4();

	raises("ring 0; ring 3: #GP first; CR4.OSXSAVE=0: #UD");
	SHOOT("XSETBV without CR4.OSXSAVE", code_xsetbv, IN_ALL, .exit = NO_EXIT,
	      .fault = UD_VECTOR);
	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)) {
		not_here("no XSAVE here; #UD");
		return;
	}
	write_cr4(cr4 | X86_CR4_OSXSAVE);
	SHOOT("XSETBV", code_xsetbv, IN_RING0, .exit = EXIT_REASON_XSETBV,
	      .in = {[REG_RAX] = VALUE(3), [REG_RCX] = VALUE(0), [REG_RDX] = VALUE(0)});
	check(xgetbv() == 3, "XCR0 is %lx", (unsigned long)xgetbv());
	SHOOT("XSETBV of 0", code_xsetbv, IN_RING0, .exit = EXIT_REASON_XSETBV, .fault = GP_VECTOR,
	      .in = {[REG_RAX] = VALUE(0), [REG_RCX] = VALUE(0), [REG_RDX] = VALUE(0)});
	SHOOT("XSETBV of XCR1", code_xsetbv, IN(RING0), .exit = EXIT_REASON_XSETBV,
	      .in = {[REG_RAX] = VALUE(3), [REG_RCX] = VALUE(1), [REG_RDX] = VALUE(0)},
	      .fault = GP_VECTOR);
	SHOOT("XSETBV", code_xsetbv, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR,
	      .in = {[REG_RAX] = VALUE(3), [REG_RCX] = VALUE(0), [REG_RDX] = VALUE(0)},
	      .departs = true, .early = EXIT_REASON_XSETBV);
	if (exited_first())
		departs("XSETBV in ring 3 exits");
	check(xgetbv() == 3, "XCR0 is %lx after faults", (unsigned long)xgetbv());
	write_cr4(cr4);
}

/** CF tells of a number; the other five flags are 0. */
static void random_number(const char *what, struct code code, enum exit_switch x, u32 exit)
{
	const struct shot s = {what,
			       code,
			       IN_ALL,
			       .exit = exit,
			       .any = BIT(REG_RAX),
			       .flags_written = ARITHMETIC,
			       .flags_out = X86_EFLAGS_CF};

	if (!switch_on(x))
		return;
	shoot(&s);
	without(x, s);
}

/** RDRAND of 32 and 16 bits in every ring, with its control on and off. */
void zoo_RDRAND(void)
{
	raises("rings 0 and 3, compatibility mode");
	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND)) {
		SHOOT("RDRAND", code_rdrand, IN_ALL, .exit = NO_EXIT, .fault = UD_VECTOR);
		not_here("no RDRAND here; #UD");
		return;
	}
	random_number("RDRAND", code_rdrand, EXIT_SWITCH_RDRAND, EXIT_REASON_RDRAND);
	random_number("RDRAND of 16 bits", code_rdrand_16, EXIT_SWITCH_RDRAND, EXIT_REASON_RDRAND);
}

/** RDSEED in every ring, with its control on and off. */
void zoo_RDSEED(void)
{
	raises("rings 0 and 3, compatibility mode");
	if (!(cpuid(7, 0).ebx & CPUID_7_EBX_RDSEED)) {
		SHOOT("RDSEED", code_rdseed, IN_ALL, .exit = NO_EXIT, .fault = UD_VECTOR);
		not_here("no RDSEED here; #UD");
		return;
	}
	random_number("RDSEED", code_rdseed, EXIT_SWITCH_RDSEED, EXIT_REASON_RDSEED);
}

/** RSM outside SMM, which is #UD and no exit. */
void zoo_RSM(void)
{
	SHOOT("RSM outside SMM", code_rsm, IN_ALL, .exit = NO_EXIT, .fault = UD_VECTOR);
	not_here("only in SMM; elsewhere #UD");
}
