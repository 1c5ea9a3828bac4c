/* SPDX-License-Identifier: MIT */
/* What the core needs beside its own sources and the processor: the link's symbols, memory that is
 * not mapped, and an end. */
#include "vmm/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "processor.h"
#include "vmm/host_paging.h"
#include "vmm/poweroff.h"

struct core core;

/* linker.ld and entry.asm. There is no code in there, and no symbol. */
extern char __text_start[], __text_end[], __stack_bottom[], __stack_mc_top[];
extern char __stack_nmi_top[], __stack_df_top[];
extern const u32 __symbols[];
extern const u64 trap_stubs[256];
char __text_start[1], __text_end[1], __stack_bottom[8], __stack_mc_top[8];
char __stack_nmi_top[8], __stack_df_top[8];
const u32 __symbols[4];
const u64 trap_stubs[256];
void vmx_exit(void);
void vmx_zoo_exit(void);

/** Its address goes into the VMCS. */
void vmx_exit(void)
{
	fail_msg("the address of VM exits was called");
}

/** With zoo=1 this one does. */
void vmx_zoo_exit(void)
{
	vmx_exit();
}

/** Only for an order of the zoo's. */
_Noreturn void nmi_leave(const struct trap_frame *f)
{
	fail_msg("an NMI at 0x%llx is not to be over", (unsigned long long)f->rip);
	__builtin_unreachable();
}

volatile void *mmio_map(hpa_t hpa, u64 size)
{
	fail_msg("no device is at 0x%llx, %llu bytes", (unsigned long long)hpa.v,
		 (unsigned long long)size);
	return NULL;
}

/** A panic is over. */
_Noreturn void machine_off_after_panic(void)
{
	core.panicking = false;
	if (cpu.catches)
		longjmp(cpu.panicked, 1);
	fail_msg("a panic that no test waits for");
	__builtin_unreachable();
}

volatile void *mmio_map_write_combining(hpa_t hpa, u64 size)
{
	return mmio_map(hpa, size);
}
