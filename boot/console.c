/* SPDX-License-Identifier: MIT */
/*
 * Text for the operator, through the firmware's console. Where that is a screen only, COM1 gets it
 * as well, so that a serial line never stays silent; where the firmware serves the line, it does
 * not, or everything would be there twice.
 */
#include "boot/boot.h"

#include "boot/io.h"
#include "lib/fmt.h"

#define COM1 0x3f8
#define UART_DATA (COM1 + 0)
#define UART_IER (COM1 + 1)
#define UART_FCR (COM1 + 2)
#define UART_LCR (COM1 + 3)
#define UART_MCR (COM1 + 4)
#define UART_LSR (COM1 + 5)
#define UART_SCR (COM1 + 7)
#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define MCR_DTR_RTS 0x03
#define LSR_THRE 0x20

/** Upper bound of a wait for a transmitter that never gets ready. */
#define UART_PATIENCE 100000

/** Does a device path of possibly several instances have a UART node? (UEFI specification, section
 *  10.3.4.15 "UART Device Path".) */
static bool has_uart_node(const u8 *path, UINTN size)
{
	UINTN length;

	for (UINTN at = 0; at + 4 <= size; at += length) {
		length = path[at + 2] | (UINTN)path[at + 3] << 8;
		if (length < 4)
			return false;
		if (path[at] == MESSAGING_DEVICE_PATH && path[at + 1] == MSG_UART_DP)
			return true;
	}
	return false;
}

/** The variable ConOut names the devices of the console (section 3.3 "Globally Defined Variables").
 */
static bool firmware_console_is_serial(struct boot *b)
{
	EFI_GUID global = EFI_GLOBAL_VARIABLE;
	u8 path[1024];
	UINTN size = sizeof(path);

	if (EFI_ERROR(b->st->RuntimeServices->GetVariable((CHAR16 *)L"ConOut", &global, NULL, &size,
							  path)))
		return false;
	return has_uart_node(path, size);
}

/** Is there a 16550 at all? Its scratch register remembers; an empty bus reads all ones. */
static bool uart_present(void)
{
	outb(UART_SCR, 0x5a);
	if (inb(UART_SCR) != 0x5a)
		return false;
	outb(UART_SCR, 0xa5);
	return inb(UART_SCR) == 0xa5;
}

/** 115200 baud, 8 data bits, no parity, no interrupts. */
static void uart_init(void)
{
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_DLAB | LCR_8N1);
	outb(UART_DATA, 1);
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_8N1);
	outb(UART_FCR, 0x07);
	outb(UART_MCR, MCR_DTR_RTS);
}

static void uart_put(u8 c)
{
	for (unsigned i = 0; i < UART_PATIENCE && !(inb(UART_LSR) & LSR_THRE); i++)
		;
	outb(UART_DATA, c);
}

void console_init(struct boot *b)
{
	b->serial = !firmware_console_is_serial(b) && uart_present();
	if (b->serial)
		uart_init();
}

void say(struct boot *b, const char *f, ...)
{
	char text[BOOT_WHY_MAX + 64];
	CHAR16 wide[2 * sizeof(text)];
	size_t n = 0;
	va_list ap;

	va_start(ap, f);
	fmt_vsnprintf(text, sizeof(text), f, ap);
	va_end(ap);
	for (const char *p = text; *p; p++) {
		if (*p == '\n')
			wide[n++] = '\r';
		wide[n++] = (CHAR16)*p;
	}
	wide[n] = 0;
	if (b->st->ConOut)
		b->st->ConOut->OutputString(b->st->ConOut, wide);
	for (size_t i = 0; b->serial && i < n; i++)
		uart_put((u8)wide[i]);
}

EFI_STATUS refuse(struct boot *b, EFI_STATUS status, const char *f, ...)
{
	va_list ap;

	va_start(ap, f);
	fmt_vsnprintf(b->why, sizeof(b->why), f, ap);
	va_end(ap);
	return status;
}
