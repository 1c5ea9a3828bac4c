/* SPDX-License-Identifier: MIT */
/* Switching the physical machine off. */
#include "poweroff.h"

#include "console.h"
#include "core.h"
#include "insn.h"
#include "x86.h"

#define EFI_RESET_SHUTDOWN 2

/* Where emulators keep ACPI's PM1a control register, and what S5 is there. */
#define QEMU_Q35_PM1A_CNT 0x604
#define PIIX4_PM1A_CNT 0xb004
#define PM1_SLP_EN 0x2000

#define BOCHS_DEBUG_PORT 0xe9
#define BOCHS_SHUTDOWN_PORT 0x8900

typedef void(__attribute__((ms_abi)) * reset_system_fn)(u32 type, u64 status, u64 size, void *data);

bool detect_bochs(void)
{
	/* Bochs iodev/unmapped.cc: with port_e9_hack the port reads back its own number. Elsewhere
	 * nothing answers, and writing to 0x8900 would be harmless anyway. */
	return inb(BOCHS_DEBUG_PORT) == 0xe9;
}

static void bochs_shutdown(void)
{
	for (const char *s = "Shutdown"; *s; s++)
		outb(BOCHS_SHUTDOWN_PORT, (u8)*s);
}

/** ResetSystem is compiled with SSE like all firmware, and what is in the processor is the last
 *  guest's: unmasked exceptions, even a pending one (UEFI specification, section 2.3.4 "x64
 *  Platforms"). */
static void call_firmware(void)
{
	write_cr0(read_cr0() & ~(X86_CR0_TS | X86_CR0_EM));
	write_cr4(read_cr4() | X86_CR4_OSFXSR);
	fpu_init();
	((reset_system_fn)core.boot->reset_system)(EFI_RESET_SHUTDOWN, 0, 0, NULL);
}

_Noreturn void machine_off(void)
{
	klog("machine off");
	console_flush();
	if (core.on_bochs)
		bochs_shutdown();
	if (core.boot->reset_system)
		call_firmware();
	outw(QEMU_Q35_PM1A_CNT, PM1_SLP_EN);
	outw(PIIX4_PM1A_CNT, PM1_SLP_EN);
	klog("this machine did not switch itself off: it is safe to do so now");
	console_flush();
	halt_forever();
}

_Noreturn void machine_off_after_panic(void)
{
	if (core.on_bochs)
		bochs_shutdown();
	halt_forever();
}
