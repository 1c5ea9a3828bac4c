; SPDX-License-Identifier: MIT
; A Multiboot kernel that asks the local APIC for a timer interrupt every tick, then the 8254 for one
; every two, and has something else to do: it must get on with that, however long an interrupt and
; its EOI take.
	bits 32
%include "tests/payload/common.inc"

LAPIC		equ 0xfee00000
LAPIC_EOI	equ LAPIC + 0xb0
LAPIC_SVR	equ LAPIC + 0xf0
LAPIC_LVT_TIMER	equ LAPIC + 0x320
LAPIC_LVT_LINT0	equ LAPIC + 0x350
LAPIC_TMICT	equ LAPIC + 0x380
LAPIC_TDCR	equ LAPIC + 0x3e0
SVR_ENABLE	equ 0x100
PERIODIC	equ 0x20000
EXTINT		equ 0x700
DIVIDE_BY_1	equ 0xb

PIC		equ 0x20
PIC_ICW1	equ 0x11
PIC_EOI		equ 0x20
PIT		equ 0x40
PIT_CONTROL	equ 0x43
PIT_RATE	equ 0x34		; channel 0, mode 2, low and high byte

TIMER_VECTOR	equ 0x40
PIT_VECTOR	equ 0x48
VECTORS		equ PIT_VECTOR + 1
CODE		equ 0x08
INTERRUPT_GATE	equ 0x8e00
TURNS		equ 2000000
FEW		equ 20

; gate VECTOR, HANDLER: an entry of the IDT.
%macro gate 2
	mov eax, %2
	mov [idt + %1 * 8], ax
	mov word [idt + %1 * 8 + 2], CODE
	mov word [idt + %1 * 8 + 4], INTERRUPT_GATE
	shr eax, 16
	mov [idt + %1 * 8 + 6], ax
%endmacro

; something_else NUMBER, TEXT: with interrupts on; there must have been some.
%macro something_else 2
	mov dword [ticks], 0
	sti
	mov ecx, TURNS
%%turn:	dec ecx
	jnz %%turn
	cli
	cmp dword [ticks], FEW
	check %1, a, %2
%endmacro

	multiboot_header

start:	mov esp, stack_top
	cld
	lgdt [gdt_pointer]
	jmp CODE:.flat
.flat:	gate TIMER_VECTOR, on_timer
	gate PIT_VECTOR, on_pit
	lidt [idt_pointer]
	call set_up_pic

	mov dword [LAPIC_SVR], SVR_ENABLE | 0xff
	mov dword [LAPIC_TDCR], DIVIDE_BY_1
	mov dword [LAPIC_LVT_TIMER], PERIODIC | TIMER_VECTOR
	mov dword [LAPIC_TMICT], 1
	something_else 1, "the local APIC's timer"
	mov dword [LAPIC_TMICT], 0

	mov dword [LAPIC_LVT_LINT0], EXTINT
	mov al, PIT_RATE
	out PIT_CONTROL, al
	mov al, 2
	out PIT, al
	xor eax, eax
	out PIT, al
	something_else 2, "the 8254"
	xor eax, eax
	jmp verdict

; The 8259 master with IRQ 0 alone.
set_up_pic:
	mov al, PIC_ICW1
	out PIC, al
	mov al, PIT_VECTOR
	out PIC + 1, al
	mov al, 4			; the slave is at IRQ 2
	out PIC + 1, al
	mov al, 1			; 8086 mode
	out PIC + 1, al
	mov al, 0xfe
	out PIC + 1, al
	ret

on_timer:
	inc dword [ticks]
	mov dword [LAPIC_EOI], 0
	iret

on_pit:	inc dword [ticks]
	push eax
	mov al, PIC_EOI
	out PIC, al
	pop eax
	iret

common_functions

	section .data
	align 8
gdt:	dq 0
	dq 0x00cf9b000000ffff		; CODE: flat
gdt_pointer:
	dw gdt_pointer - gdt - 1
	dd gdt
idt_pointer:
	dw VECTORS * 8 - 1
	dd idt
ticks:	dd 0

	section .bss
	align 8
idt:	resb VECTORS * 8
	resb 4096
stack_top:
bss_end:
