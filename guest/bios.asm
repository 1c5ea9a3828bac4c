; SPDX-License-Identifier: MIT
; The last 256 bytes below 1 MiB: interrupt handlers for real mode, and what a processor runs after a
; reset. guest/bios_code.h is made of this file by
;	nasm -f bin -o bios.bin guest/bios.asm
;	xxd -i bios.bin
; and tests/boot/test_multiboot.py compares the two.
	bits 16
	org 0xff00

PIC1		equ 0x20
PIC2		equ 0xa0
EOI		equ 0x20
KEYBOARD	equ 0x64
RESET		equ 0xfe
TICKS		equ 0x46c	; in the BIOS data area: since midnight
MIDNIGHT	equ 0x470	; 1: the ticks began anew
DAY		equ 0x1800b0
USER_TIMER	equ 0x1c

; For bios.c: offsets of the handlers, in the order of its enum.
	dw ignore, timer, master, slave

ignore:	iret

timer:	push ds
	push eax
	xor ax, ax
	mov ds, ax
	mov eax, [TICKS]
	inc eax
	cmp eax, DAY
	jb .store
	xor eax, eax
	mov byte [MIDNIGHT], 1
.store:	mov [TICKS], eax
	int USER_TIMER
	pop eax
	pop ds

master:	push ax
	mov al, EOI
	jmp last

slave:	push ax
	mov al, EOI
	out PIC2, al
last:	out PIC1, al
	pop ax
	iret

	times 0xf0 - ($ - $$) db 0
reset:	mov al, RESET
	out KEYBOARD, al
.stop:	hlt
	jmp .stop

	times 0xfe - ($ - $$) db 0
	db 0xfc, 0		; this is an AT
