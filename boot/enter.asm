; SPDX-License-Identifier: MIT
; The last instructions of the UEFI application, on the firmware's identity map.
bits 64
default rel
section .text

; _Noreturn void enter_core(u64 info, u64 entry, u64 stack_top, u64 cr3)   (System V ABI)
;
; Loads the hand-off page tables and a stack, and jumps to the core with the hand-off structure in
; RDI. RBP and the return address are zero: here a backtrace ends.
global enter_core:function hidden
enter_core:
	mov	cr3, rcx
	mov	rsp, rdx
	xor	ebp, ebp
	push	rbp
	cld
	jmp	rsi

section .note.GNU-stack noalloc noexec nowrite progbits
