; SPDX-License-Identifier: MIT
; One access to memory in 64-bit mode, from ring 0 or ring 3; and the page of code for ring 3, of both
; widths.

ACCESS_KIND	equ 7
ACCESS_USER	equ 1 << 4
ACCESS_AC	equ 1 << 5
EFLAGS_FIXED	equ 1 << 1
EFLAGS_AC	equ 1 << 18
USER_DATA	equ 0x20 | 3
USER_CODE64	equ 0x28 | 3
DONE_VECTOR	equ 0x40
STUB_SHIFT	equ 4		; a way to access memory in ring 3 takes 16 bytes

	global access_run, access_end, access_user_code, access_user_stack, user_code

	section .text
	bits 64

; u64 access_run(u64 addr, u64 access, u64 value): the value read, or `value`. It ends at access_end,
; by itself or from trap(), with all registers but RAX lost.
access_run:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [stack_then], rsp
	mov rax, rdx
	mov ecx, EFLAGS_FIXED
	test esi, ACCESS_AC
	jz .ring
	or ecx, EFLAGS_AC
.ring:	test esi, ACCESS_USER
	jnz .user
	push rcx
	popfq
	and esi, ACCESS_KIND
	jmp [kinds + rsi * 8]
.user:	and esi, ACCESS_KIND
	shl esi, STUB_SHIFT
	add rsi, [access_user_code]
	push USER_DATA
	push qword [access_user_stack]
	push rcx
	push USER_CODE64
	push rsi
	iretq

read:	mov rax, [rdi]
	jmp access_end
write:	mov [rdi], rax
	jmp access_end
fetch:	call rdi
	jmp access_end
read4:	mov eax, [rdi]
	jmp access_end
write4:	mov [rdi], eax
	jmp access_end
push:	mov rsp, rdi
	push rax
	jmp access_end
call:	mov rsp, rdi
	call access_end

access_end:
	mov rsp, [stack_then]
	push EFLAGS_FIXED
	popfq
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

	section .rodata
	align 8
kinds:	dq read, write, fetch, read4, write4, push, call

	section .data
	align 8
access_user_code:
	dq 0
access_user_stack:
	dq 0
stack_then:
	dq 0

	section .user progbits alloc exec nowrite align=4096
	align 4096
user_code:
%macro way 1-2
	align 1 << STUB_SHIFT
	%1
%if %0 > 1
	%2
%endif
	int DONE_VECTOR
%endmacro
	way {mov rax, [rdi]}
	way {mov [rdi], rax}
	way {call rdi}
	way {mov eax, [rdi]}
	way {mov [rdi], eax}
	way {mov rsp, rdi}, {push rax}
	way {mov rsp, rdi}, {call $ + 5}
	bits 32
	times 256 - ($ - user_code) nop
	way {mov eax, [edi]}
	way {mov [edi], eax}
	way {call edi}
	way {mov eax, [edi]}
	way {mov [edi], eax}
	way {mov esp, edi}, {push eax}
	way {mov esp, edi}, {call $ + 5}
	times 4096 - ($ - user_code) nop
