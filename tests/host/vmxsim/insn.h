/* SPDX-License-Identifier: MIT */
/*
 * vmm/insn.h for a simulated processor: the same functions, the same include guard. The compiler is
 * told to include this one first (mk/vmxsim.mk), so that the sources of vmm/ find theirs included
 * already, and are compiled as they stand.
 */
#ifndef TV_INSN_ASM_H
#define TV_INSN_ASM_H

#include "exit_stats.h"
#include "types.h"

u8 inb(u16 port);
u32 inl(u16 port);
void outb(u16 port, u8 v);
void outw(u16 port, u16 v);
void outl(u16 port, u32 v);
u64 rdmsr(u32 msr);
void wrmsr(u32 msr, u64 v);
u64 rdtsc(void);
void cpuid(u32 leaf, u32 subleaf, struct cpuid_regs *r);
bool rdrand(u64 *v);
bool rdseed(u64 *v);

#define DECLARE_REGISTER(name)                                                                     \
	u64 read_##name(void);                                                                     \
	void write_##name(u64 v);
DECLARE_REGISTER(cr0)
DECLARE_REGISTER(cr2)
DECLARE_REGISTER(cr3)
DECLARE_REGISTER(cr4)
DECLARE_REGISTER(dr0)
DECLARE_REGISTER(dr1)
DECLARE_REGISTER(dr2)
DECLARE_REGISTER(dr3)
DECLARE_REGISTER(dr6)
DECLARE_REGISTER(dr7)
#undef DECLARE_REGISTER

void xsetbv(u32 index, u64 v);
u32 rdpkru(void);
void fpu_init(void);
void fxrstor(const void *area);
void xrstor(const void *area, u64 mask);
void cli(void);
void sti_hlt_cli(void);
void sti_nop_cli(void);
void raise_nmi(void);
_Noreturn void halt_forever(void);
void cpu_pause(void);

bool vmxon(hpa_t region);
bool vmxoff(void);
bool vmclear(hpa_t vmcs);
bool vmptrld(hpa_t vmcs);
bool vmread(u64 field, u64 *v);
void vmread_to(u64 field, u64 *v);
u64 vmread_sure(u64 field);
bool vmwrite(u64 field, u64 v);
void vmwrite_sure(u64 field, u64 v);

#define INVEPT_SINGLE 1
#define INVEPT_ALL 2
#define INVVPID_INDIVIDUAL 0
#define INVVPID_SINGLE 1
#define INVVPID_ALL 2
#define INVVPID_SINGLE_RETAIN_GLOBALS 3
bool invept(u64 type, u64 eptp);
bool invvpid(u64 type, u16 vpid, gva_t gva);

#endif
