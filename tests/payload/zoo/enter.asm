; SPDX-License-Identifier: MIT
; Into a ring and mode of 64-bit mode's with all registers of the caller's choice. The way back is an
; interrupt or exception, whose handler goes to zoo_left (probe.c).

; struct trap_frame (payload.h): 15 general registers, vector and error code, IRETQ's frame.
FRAME_RIP	equ 17 * 8
FRAME_CS	equ 18 * 8
FRAME_RFLAGS	equ 19 * 8
FRAME_RSP	equ 20 * 8
FRAME_SS	equ 21 * 8

	global zoo_enter, zoo_left, zoo_rsp

	section .text
	bits 64
; void zoo_enter(const struct trap_frame *f)
zoo_enter:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [zoo_rsp], rsp
	push qword [rdi + FRAME_SS]
	push qword [rdi + FRAME_RSP]
	push qword [rdi + FRAME_RFLAGS]
	push qword [rdi + FRAME_CS]
	push qword [rdi + FRAME_RIP]
	mov r15, [rdi]
	mov r14, [rdi + 8]
	mov r13, [rdi + 16]
	mov r12, [rdi + 24]
	mov r11, [rdi + 32]
	mov r10, [rdi + 40]
	mov r9, [rdi + 48]
	mov r8, [rdi + 56]
	mov rsi, [rdi + 72]
	mov rbp, [rdi + 80]
	mov rbx, [rdi + 88]
	mov rdx, [rdi + 96]
	mov rcx, [rdi + 104]
	mov rax, [rdi + 112]
	mov rdi, [rdi + 64]
	iretq

; The handler has seen to RSP, the segments and the flags.
zoo_left:
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

	section .bss
	alignb 8
zoo_rsp:
	resq 1
