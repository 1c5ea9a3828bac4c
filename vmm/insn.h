/* SPDX-License-Identifier: MIT */
/* Every privileged or special instruction of the core, as an inline function. */
#ifndef TV_INSN_ASM_H
#define TV_INSN_ASM_H

#include "exit_stats.h"
#include "types.h"

static inline u8 inb(u16 port)
{
	u8 v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u32 inl(u16 port)
{
	u32 v;
	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outb(u16 port, u8 v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}

static inline void outw(u16 port, u16 v)
{
	__asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}

static inline void outl(u16 port, u32 v)
{
	__asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

/** The instruction clears the upper halves of both registers. */
static inline u64 rdtsc(void)
{
	u64 lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return hi << 32 | lo;
}

static inline void cpuid(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
	__asm__ volatile("cpuid"
			 : "=a"(r->eax), "=b"(r->ebx), "=c"(r->ecx), "=d"(r->edx)
			 : "0"(leaf), "2"(subleaf));
}

/** RDRAND and RDSEED of 64 bits. False: there was none (CF=0). */
static inline bool rdrand(u64 *v)
{
	bool there;
	__asm__ volatile("rdrand %1" : "=@ccc"(there), "=r"(*v));
	return there;
}

static inline bool rdseed(u64 *v)
{
	bool there;
	__asm__ volatile("rdseed %1" : "=@ccc"(there), "=r"(*v));
	return there;
}

#define DEFINE_CR(n)                                                                               \
	static inline u64 read_cr##n(void)                                                         \
	{                                                                                          \
		u64 v;                                                                             \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v)::"memory");                        \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_cr##n(u64 v)                                                      \
	{                                                                                          \
		__asm__ volatile("mov %0, %%cr" #n ::"r"(v) : "memory");                           \
	}
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
#undef DEFINE_CR

#define DEFINE_DR(n)                                                                               \
	static inline u64 read_dr##n(void)                                                         \
	{                                                                                          \
		u64 v;                                                                             \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(v));                                  \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_dr##n(u64 v)                                                      \
	{                                                                                          \
		__asm__ volatile("mov %0, %%dr" #n ::"r"(v));                                      \
	}
DEFINE_DR(0)
DEFINE_DR(1)
DEFINE_DR(2)
DEFINE_DR(3)
DEFINE_DR(6)
DEFINE_DR(7)
#undef DEFINE_DR

static inline void xsetbv(u32 index, u64 v)
{
	__asm__ volatile("xsetbv" ::"c"(index), "a"((u32)v), "d"((u32)(v >> 32)));
}

/** CR4.PKE must be set. */
static inline u32 rdpkru(void)
{
	u32 eax, edx;
	__asm__ volatile("rdpkru" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

/** x87 and MXCSR as calls by the firmware's ABI want them. CR0.TS and EM must be clear, CR4.OSFXSR
 *  set. Waits for no exception that is pending. */
static inline void fpu_init(void)
{
	u32 mxcsr = 0x1f80;
	__asm__ volatile("fninit; ldmxcsr %0" ::"m"(mxcsr));
}

/** Load x87 and SSE state; 512 bytes, 16-byte aligned. */
static inline void fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

/** Load the components of XCR0 that `mask` names; 64-byte aligned. */
static inline void xrstor(const void *area, u64 mask)
{
	__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((u32)mask), "d"((u32)(mask >> 32))
			 : "memory");
}

static inline void cli(void)
{
	__asm__ volatile("cli" ::: "memory");
}

/** Sleep until an interrupt; STI's shadow makes the pair atomic. Interrupts are off again after. */
static inline void sti_hlt_cli(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

/** What an NMI does: trap() hears of vector 2, and the IRET after it ends the blocking of NMIs. */
static inline void raise_nmi(void)
{
	__asm__ volatile("int $2" ::: "memory");
}

static inline _Noreturn void halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" ::: "memory");
}

/** Take the interrupts that are pending, here. */
static inline void sti_nop_cli(void)
{
	__asm__ volatile("sti; nop; cli" ::: "memory");
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause");
}

/** VMXON of a VMXON region. False: VMfail (SDM volume 3, section 31.2 "Conventions"). */
static inline bool vmxon(hpa_t region)
{
	bool fail;
	__asm__ volatile("vmxon %1" : "=@ccbe"(fail) : "m"(region.v) : "memory");
	return !fail;
}

static inline bool vmxoff(void)
{
	bool fail;
	__asm__ volatile("vmxoff" : "=@ccbe"(fail)::"memory");
	return !fail;
}

static inline bool vmclear(hpa_t vmcs)
{
	bool fail;
	__asm__ volatile("vmclear %1" : "=@ccbe"(fail) : "m"(vmcs.v) : "memory");
	return !fail;
}

static inline bool vmptrld(hpa_t vmcs)
{
	bool fail;
	__asm__ volatile("vmptrld %1" : "=@ccbe"(fail) : "m"(vmcs.v) : "memory");
	return !fail;
}

static inline bool vmread(u64 field, u64 *v)
{
	bool fail;
	__asm__ volatile("vmread %2, %1" : "=@ccbe"(fail), "=r"(*v) : "r"(field));
	return !fail;
}

/** VMREAD straight to memory, unchecked: for the run loop, where it is known to succeed. */
static inline void vmread_to(u64 field, u64 *v)
{
	__asm__ volatile("vmread %1, %0" : "=m"(*v) : "r"(field) : "cc");
}

/** VMREAD and VMWRITE unchecked, for the same. */
static inline u64 vmread_sure(u64 field)
{
	u64 v;
	__asm__ volatile("vmread %1, %0" : "=r"(v) : "r"(field) : "cc");
	return v;
}

static inline bool vmwrite(u64 field, u64 v)
{
	bool fail;
	__asm__ volatile("vmwrite %2, %1" : "=@ccbe"(fail) : "r"(field), "rm"(v));
	return !fail;
}

static inline void vmwrite_sure(u64 field, u64 v)
{
	__asm__ volatile("vmwrite %1, %0" ::"r"(field), "rm"(v) : "cc");
}

/** INVEPT and INVVPID: types of section 31.3. */
#define INVEPT_SINGLE 1
#define INVEPT_ALL 2
#define INVVPID_INDIVIDUAL 0
#define INVVPID_SINGLE 1
#define INVVPID_ALL 2
#define INVVPID_SINGLE_RETAIN_GLOBALS 3

static inline bool invept(u64 type, u64 eptp)
{
	struct {
		u64 eptp, zero;
	} d = {eptp, 0};
	bool fail;
	__asm__ volatile("invept %1, %2" : "=@ccbe"(fail) : "m"(d), "r"(type) : "memory");
	return !fail;
}

static inline bool invvpid(u64 type, u16 vpid, gva_t gva)
{
	struct {
		u64 vpid, gva;
	} d = {vpid, gva.v};
	bool fail;
	__asm__ volatile("invvpid %1, %2" : "=@ccbe"(fail) : "m"(d), "r"(type) : "memory");
	return !fail;
}

#endif
