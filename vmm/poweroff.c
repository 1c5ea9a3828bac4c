/* SPDX-License-Identifier: MIT */
/* Switching the physical machine off. */
#include "poweroff.h"

#include "console.h"
#include "core.h"
#include "insn.h"

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

_Noreturn void machine_off(void)
{
	klog("machine off");
	console_flush();
	if (core.on_bochs)
		bochs_shutdown();
	if (core.boot->reset_system)
		((reset_system_fn)core.boot->reset_system)(EFI_RESET_SHUTDOWN, 0, 0, NULL);
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
