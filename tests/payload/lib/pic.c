/* SPDX-License-Identifier: MIT */
/* The 8259 pair, for payloads that want an interrupt of it (82C59A data sheet). */
#include "payload.h"

void pic_init(u8 base, u8 mask)
{
	static const u8 cascade[] = {4, 2};

	for (unsigned i = 0; i < 2; i++) {
		u16 port = i ? PIC2 : PIC1;

		outb(port, 0x11);
		outb(port + 1, (u8)(base + 8 * i));
		outb(port + 1, cascade[i]);
		outb(port + 1, 1);
		outb(port + 1, i ? 0xff : mask);
	}
}
