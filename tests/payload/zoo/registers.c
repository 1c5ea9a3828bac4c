/* SPDX-License-Identifier: MIT */
/* Control and debug registers, ports and MSRs. */
#include "zoo_guest.h"

#define MSR_STAR 0xc0000081u
#define MSR_APIC_BASE 0x1bu
#define MSR_NONE 0x5000u
#define PORT_SCRATCH 0x3ff /* COM1's: holds any byte */
#define DR6_ONES 0xffff0ff0ul

CODE(code_to_cr0, "mov %rax, %cr0");
CODE(code_to_cr3, "mov %rax, %cr3");
CODE(code_from_cr3, "mov %cr3, %rax");
CODE(code_to_cr4, "mov %rax, %cr4");
CODE(code_to_cr8, "mov %rax, %cr8");
CODE(code_from_cr8, "mov %cr8, %rax");
CODE(code_clts, "clts");
CODE(code_lmsw, "lmsw %ax");
CODE(code_smsw, "smsw %eax");
CODE32(code_to_cr0_32, "mov %eax, %cr0");
CODE(code_to_dr3, "mov %rax, %dr3");
CODE(code_from_dr3, "mov %dr3, %rax");
CODE(code_to_dr7, "mov %rax, %dr7");
CODE(code_from_dr4, ".byte 0x0f, 0x21, 0xe0");
CODE(code_rdmsr, "rdmsr");
CODE(code_wrmsr, "wrmsr");
CODE(code_in, "inb %dx, %al");
CODE(code_out, "outb %al, %dx");
CODE(code_in_imm, "inb $0x71, %al");
CODE(code_outsb, "outsb");
CODE(code_insb, "insb");

static void cr3_and_cr8(void)
{
	const u64 cr3 = read_cr3();

	if (switch_on(EXIT_SWITCH_CR3_LOAD)) {
		SHOOT("MOV to CR3", code_to_cr3, IN(RING0), .exit = EXIT_REASON_CR_ACCESS,
		      .in = {[REG_RAX] = VALUE(cr3)});
		SHOOT("MOV to CR3 of a reserved bit", code_to_cr3, IN(RING0),
		      .exit = EXIT_REASON_CR_ACCESS, .fault = GP_VECTOR,
		      .in = {[REG_RAX] = VALUE(cr3 | BIT(62))});
	}
	if (switch_on(EXIT_SWITCH_CR3_STORE))
		SHOOT("MOV from CR3", code_from_cr3, IN(RING0), .exit = EXIT_REASON_CR_ACCESS,
		      .out = {[REG_RAX] = VALUE(cr3)});
	if (switch_on(EXIT_SWITCH_CR8)) {
		SHOOT("MOV to CR8", code_to_cr8, IN(RING0), .exit = EXIT_REASON_CR_ACCESS,
		      .in = {[REG_RAX] = VALUE(3)});
		SHOOT("MOV from CR8", code_from_cr8, IN(RING0), .exit = EXIT_REASON_CR_ACCESS,
		      .out = {[REG_RAX] = VALUE(3)});
		SHOOT("MOV to CR8 of 16", code_to_cr8, IN(RING0), .exit = EXIT_REASON_CR_ACCESS,
		      .fault = GP_VECTOR, .in = {[REG_RAX] = VALUE(16)});
		write_cr8(0);
	}
	if (switch_off(EXIT_SWITCH_CR3_LOAD))
		SHOOT("MOV to CR3 without its control", code_to_cr3, IN(RING0), .exit = NO_EXIT,
		      .in = {[REG_RAX] = VALUE(cr3)});
	if (switch_off(EXIT_SWITCH_CR3_STORE))
		SHOOT("MOV from CR3 without its control", code_from_cr3, IN(RING0), .exit = NO_EXIT,
		      .out = {[REG_RAX] = VALUE(cr3)});
	if (switch_off(EXIT_SWITCH_CR8)) {
		SHOOT("MOV to CR8 without its control", code_to_cr8, IN(RING0), .exit = NO_EXIT,
		      .in = {[REG_RAX] = VALUE(2)});
		SHOOT("MOV from CR8 without its control", code_from_cr8, IN(RING0), .exit = NO_EXIT,
		      .out = {[REG_RAX] = VALUE(2)});
		write_cr8(0);
	}
}

/** MOV to and from CR0, CR3, CR4 and CR8, CLTS, LMSW and SMSW. CR0.CD and CR4.VMXE are the
 *  hypervisor's in every mode, CR0.TS in none. */
void zoo_CR_ACCESS(void)
{
	const u64 cr0 = read_cr0(), cr4 = read_cr4();

	raises("CR0, CR3, CR4, CR8; ring 3: #GP first");
	/* The exit is for a bit that changes: each time the other way. */
	for (enum way way = PLAIN; way < NR_WAYS; way++) {
		SHOOT("MOV to CR0 with CD", code_to_cr0, IN(RING0), .exit = EXIT_REASON_CR_ACCESS,
		      .in = {[REG_RAX] = VALUE(cr0 | X86_CR0_CD)}, .ways = WAY(way));
		check(read_cr0() == (cr0 | X86_CR0_CD), "CR0 is %lx", (unsigned long)read_cr0());
		SHOOT("MOV to CR0 without CD", code_to_cr0, IN(RING0),
		      .exit = EXIT_REASON_CR_ACCESS, .in = {[REG_RAX] = VALUE(cr0)},
		      .ways = WAY(way));
		check(read_cr0() == cr0, "CR0 is %lx", (unsigned long)read_cr0());
	}
	SHOOT("MOV to CR0 with NW and no CD", code_to_cr0, IN(RING0), .exit = EXIT_REASON_CR_ACCESS,
	      .fault = GP_VECTOR, .in = {[REG_RAX] = VALUE(cr0 | X86_CR0_NW)});
	SHOOT("MOV to CR0 in compatibility mode", code_to_cr0_32, IN(COMPAT0),
	      .exit = EXIT_REASON_CR_ACCESS, .in = {[REG_RAX] = VALUE(cr0 | X86_CR0_CD)},
	      .ways = WAY(PLAIN));
	check(read_cr0() == (cr0 | X86_CR0_CD), "CR0 is %lx", (unsigned long)read_cr0());
	write_cr0(cr0);
	SHOOT("MOV to CR4 with VMXE", code_to_cr4, IN(RING0), .exit = EXIT_REASON_CR_ACCESS,
	      .fault = GP_VECTOR, .in = {[REG_RAX] = VALUE(cr4 | X86_CR4_VMXE)});
	check(read_cr4() == cr4, "CR4 is %lx", (unsigned long)read_cr4());
	SHOOT("MOV to CR0 with TS", code_to_cr0, IN(RING0), .exit = NO_EXIT,
	      .in = {[REG_RAX] = VALUE(cr0 | X86_CR0_TS)});
	SHOOT("CLTS", code_clts, IN_RING0, .exit = NO_EXIT);
	SHOOT("LMSW", code_lmsw, IN_RING0, .exit = NO_EXIT,
	      .in = {[REG_RAX] = VALUE(cr0 & 0xffff)});
	SHOOT("SMSW", code_smsw, IN(RING0), .exit = NO_EXIT,
	      .out = {[REG_RAX] = VALUE(cr0 & 0xffffffff)});
	check(read_cr0() == cr0, "CR0 is %lx", (unsigned long)read_cr0());
	SHOOT("MOV to CR0", code_to_cr0, IN(RING3), .exit = NO_EXIT, .fault = GP_VECTOR,
	      .in = {[REG_RAX] = VALUE(cr0 | X86_CR0_CD)});
	SHOOT("MOV from CR3", code_from_cr3, IN(RING3), .exit = NO_EXIT, .fault = GP_VECTOR);
	SHOOT("MOV to CR4", code_to_cr4, IN(RING3), .exit = NO_EXIT, .fault = GP_VECTOR,
	      .in = {[REG_RAX] = VALUE(cr4 | X86_CR4_VMXE)});
	SHOOT("MOV to CR8", code_to_cr8, IN(RING3), .exit = NO_EXIT, .fault = GP_VECTOR);
	SHOOT("CLTS", code_clts, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR);
	cr3_and_cr8();
}

/** MOV to and from debug registers in rings 0 and 3: the exit comes before the faults of privilege
 *  and of CR4.DE (section 26.1.3). */
void zoo_DR_ACCESS(void)
{
	const u64 cr4 = read_cr4();

	raises("rings 0 and 3, CR4.DE: all before their faults");
	if (!switch_on(EXIT_SWITCH_MOV_DR))
		return;
	SHOOT("MOV to DR3", code_to_dr3, IN(RING0), .exit = EXIT_REASON_DR_ACCESS,
	      .in = {[REG_RAX] = VALUE(0x1234567)});
	SHOOT("MOV from DR3", code_from_dr3, IN(RING0), .exit = EXIT_REASON_DR_ACCESS,
	      .out = {[REG_RAX] = VALUE(0x1234567)});
	SHOOT("MOV to DR3", code_to_dr3, IN_RING3, .exit = EXIT_REASON_DR_ACCESS,
	      .fault = GP_VECTOR);
	SHOOT("MOV to DR7 of bit 63", code_to_dr7, IN(RING0), .exit = EXIT_REASON_DR_ACCESS,
	      .fault = GP_VECTOR, .in = {[REG_RAX] = VALUE(BIT(63))});
	SHOOT("MOV from DR4, which is DR6", code_from_dr4, IN(RING0), .exit = EXIT_REASON_DR_ACCESS,
	      .any = BIT(REG_RAX));
	write_cr4(cr4 | X86_CR4_DE);
	SHOOT("MOV from DR4 with CR4.DE", code_from_dr4, IN(RING0), .exit = EXIT_REASON_DR_ACCESS,
	      .fault = UD_VECTOR);
	write_cr4(cr4);
	if (switch_off(EXIT_SWITCH_MOV_DR)) {
		SHOOT("MOV from DR3 without its control", code_from_dr3, IN(RING0), .exit = NO_EXIT,
		      .out = {[REG_RAX] = VALUE(0x1234567)});
		SHOOT("MOV from DR3 without its control", code_from_dr3, IN_RING3, .exit = NO_EXIT,
		      .fault = GP_VECTOR);
	}
	__asm__ volatile("mov %0, %%dr3" ::"r"(0ul));
}

#define PORT [REG_RDX] = VALUE(PORT_SCRATCH)

/** IN, OUT, INS and OUTS of ports of the hypervisor's devices, in every ring and mode. By IOPL and
 *  the TSS's bitmap #GP comes before the exit. */
void zoo_IO_INSTRUCTION(void)
{
	static u8 bytes[4] = {0x5a, 0xa5, 0x3c, 0xc3};
	const u64 iopl = X86_EFLAGS_IOPL;

	raises("IN, OUT, INS, OUTS; IOPL, bitmap: #GP first");
	SHOOT("OUT", code_out, IN_RING0, .exit = EXIT_REASON_IO_INSTRUCTION,
	      .in = {PORT, [REG_RAX] = VALUE(0x11223344556677a7)});
	SHOOT("IN", code_in, IN(RING0), .exit = EXIT_REASON_IO_INSTRUCTION,
	      .in = {PORT, [REG_RAX] = VALUE(0x1122334455667788)},
	      .out = {[REG_RAX] = VALUE(0x11223344556677a7)});
	SHOOT("IN of an immediate port", code_in_imm, IN_RING0, .exit = EXIT_REASON_IO_INSTRUCTION,
	      .any = BIT(REG_RAX));
	SHOOT("IN with IOPL 3", code_in, IN_RING3, .exit = EXIT_REASON_IO_INSTRUCTION,
	      .in = {PORT, [REG_RAX] = VALUE(0x11223300)}, .flags = iopl,
	      .out = {[REG_RAX] = VALUE(0x112233a7)});
	SHOOT("IN with IOPL 0", code_in, IN_RING3 | IN(PROTECTED3), .exit = NO_EXIT,
	      .fault = GP_VECTOR, .in = {PORT});
	/* There it is for the bitmap to say, whatever IOPL is. */
	SHOOT("IN", code_in, IN(VIRTUAL8086), .exit = NO_EXIT, .fault = GP_VECTOR, .in = {PORT});
	SHOOT("IN", code_in, IN(PROTECTED0) | IN(REAL), .exit = EXIT_REASON_IO_INSTRUCTION,
	      .in = {PORT, [REG_RAX] = VALUE(0x11223300)}, .out = {[REG_RAX] = VALUE(0x112233a7)});
	permit_port(PORT_SCRATCH, true);
	SHOOT("IN that the bitmap permits", code_in, IN_RING3 | IN(VIRTUAL8086),
	      .exit = EXIT_REASON_IO_INSTRUCTION, .in = {PORT, [REG_RAX] = VALUE(0x11223300)},
	      .out = {[REG_RAX] = VALUE(0x112233a7)});
	permit_port(PORT_SCRATCH, false);
	SHOOT("OUT with IOPL 0", code_out, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR,
	      .in = {PORT});
	/* These exit before the operand is looked at. */
	SHOOT("OUTS", code_outsb, IN(RING0), .exit = EXIT_REASON_IO_INSTRUCTION,
	      .in = {PORT, [REG_RSI] = VALUE(bytes)}, .out = {[REG_RSI] = VALUE(bytes + 1)},
	      .ways = WAY(PLAIN) | WAY(BEHIND_STI) | WAY(STEPPED));
	SHOOT("INS with DF", code_insb, IN(RING0), .exit = EXIT_REASON_IO_INSTRUCTION,
	      .in = {PORT, [REG_RDI] = VALUE(bytes + 1)}, .flags = X86_EFLAGS_DF,
	      .out = {[REG_RDI] = VALUE(bytes)});
	check(bytes[1] == 0x5a, "INS has read %x", bytes[1]);
	SHOOT("OUTS of no canonical address", code_outsb, IN(RING0),
	      .exit = EXIT_REASON_IO_INSTRUCTION, .fault = GP_VECTOR,
	      .in = {PORT, [REG_RSI] = VALUE(HOLE)});
	SHOOT("OUTS of a page that is not present", code_outsb, IN(RING0),
	      .exit = EXIT_REASON_IO_INSTRUCTION, .fault = PF_VECTOR,
	      .in = {PORT, [REG_RSI] = VALUE(NOT_PRESENT)});
}

/** RDMSR of a virtual MSR, of one that there is not, and of one that the bitmap spares. */
void zoo_RDMSR(void)
{
	const u64 star = rdmsr(MSR_STAR);

	raises("a virtual one, none; ring 3: #GP first");
	SHOOT("RDMSR", code_rdmsr, IN_RING0 | IN(PROTECTED0) | IN(REAL), .exit = EXIT_REASON_RDMSR,
	      .in = {[REG_RCX] = VALUE(MSR_APIC_BASE)},
	      .out = {[REG_RAX] = VALUE((u32)rdmsr(MSR_APIC_BASE)), [REG_RDX] = VALUE(0)});
	SHOOT("RDMSR of none", code_rdmsr, IN_RING0, .exit = EXIT_REASON_RDMSR, .fault = GP_VECTOR,
	      .in = {[REG_RCX] = VALUE(MSR_NONE)});
	SHOOT("RDMSR", code_rdmsr, IN_RING3 | IN(PROTECTED3) | IN(VIRTUAL8086), .exit = NO_EXIT,
	      .fault = GP_VECTOR, .in = {[REG_RCX] = VALUE(MSR_APIC_BASE)});
	SHOOT("RDMSR of IA32_STAR, which the bitmap spares", code_rdmsr, IN(RING0), .exit = NO_EXIT,
	      .in = {[REG_RCX] = VALUE(MSR_STAR)},
	      .out = {[REG_RAX] = VALUE((u32)star), [REG_RDX] = VALUE(star >> 32)});
	if (switch_on(EXIT_SWITCH_MSR))
		SHOOT("RDMSR of IA32_STAR with exit+=msr=all", code_rdmsr, IN(RING0),
		      .exit = EXIT_REASON_RDMSR, .in = {[REG_RCX] = VALUE(MSR_STAR)},
		      .out = {[REG_RAX] = VALUE((u32)star), [REG_RDX] = VALUE(star >> 32)});
}

#define APIC_BASE [REG_RCX] = VALUE(MSR_APIC_BASE)

/** WRMSR of a virtual MSR, of a reserved bit, of an MSR that there is not; with exit+=msr=all of
 * another. */
void zoo_WRMSR(void)
{
	const u64 base = rdmsr(MSR_APIC_BASE), star = rdmsr(MSR_STAR);

	raises("a virtual one, none; ring 3: #GP first");
	SHOOT("WRMSR", code_wrmsr, IN_RING0, .exit = EXIT_REASON_WRMSR,
	      .in = {APIC_BASE, [REG_RAX] = VALUE((u32)base), [REG_RDX] = VALUE(0)});
	SHOOT("WRMSR of a reserved bit", code_wrmsr, IN(RING0), .exit = EXIT_REASON_WRMSR,
	      .fault = GP_VECTOR,
	      .in = {APIC_BASE, [REG_RAX] = VALUE((u32)base | 1), [REG_RDX] = VALUE(0)});
	SHOOT("WRMSR of none", code_wrmsr, IN_RING0, .exit = EXIT_REASON_WRMSR, .fault = GP_VECTOR,
	      .in = {[REG_RCX] = VALUE(MSR_NONE)});
	SHOOT("WRMSR", code_wrmsr, IN_RING3, .exit = NO_EXIT, .fault = GP_VECTOR,
	      .in = {APIC_BASE, [REG_RAX] = VALUE((u32)base), [REG_RDX] = VALUE(0)});
	if (switch_on(EXIT_SWITCH_MSR))
		SHOOT("WRMSR of IA32_STAR with exit+=msr=all", code_wrmsr, IN(RING0),
		      .exit = EXIT_REASON_WRMSR,
		      .in = {[REG_RCX] = VALUE(MSR_STAR),
			     [REG_RAX] = VALUE(0x12345678),
			     [REG_RDX] = VALUE(0x1b0008)});
	check(rdmsr(MSR_STAR) == 0x001b000812345678, "IA32_STAR is %lx",
	      (unsigned long)rdmsr(MSR_STAR));
	wrmsr(MSR_STAR, star);
	check(rdmsr(MSR_APIC_BASE) == base, "IA32_APIC_BASE is %lx",
	      (unsigned long)rdmsr(MSR_APIC_BASE));
}
