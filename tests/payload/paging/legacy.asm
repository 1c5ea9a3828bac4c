; SPDX-License-Identifier: MIT
; The steps of a list (struct step) in a mode without 64-bit code: paging off, 32-bit paging or PAE
; paging. From 64-bit mode there, through the list, and back.

CR0_PG		equ 1 << 31
CR0_OFF		equ 0x31		; PE, ET, NE
CR4_PAE		equ 1 << 5
MSR_EFER	equ 0xc0000080
EFER_LMA	equ 1 << 10
EFLAGS_FIXED	equ 1 << 1
EFLAGS_AC	equ 1 << 18
TSS_BUSY	equ 2

CODE64		equ 0x08
DATA		equ 0x10
CODE32		equ 0x18
USER_DATA	equ 0x20 | 3
USER_CODE32	equ 0x30 | 3
TSS32		equ 0x48

ACCESS_KIND	equ 7
ACCESS_USER	equ 1 << 4
ACCESS_AC	equ 1 << 5
USER_STUBS	equ 256			; of 32-bit code, in user_code
STUB_SHIFT	equ 4
DONE_VECTOR	equ 0x40
NO_VECTOR	equ -1

	struc step
.op:		resd 1
.access:	resd 1
.address:	resq 1
.value:		resq 1
.got:		resq 1
.vector:	resd 1
.error:		resd 1
.cr2:		resq 1
.compared:	resb 40
	endstruc
%if step_size != 88
%error "struct step of paging.h"
%endif

	global legacy_run, legacy, legacy_stubs, legacy_idtr

	section .text
	bits 64
legacy_run:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	sidt [idtr64]
	mov rax, cr0
	mov [cr0_64], eax
	mov rax, cr3
	mov [cr3_64], eax
	mov rax, cr4
	mov [cr4_64], eax
	mov ecx, MSR_EFER
	rdmsr
	and eax, ~EFER_LMA		; which follows from LME and CR0.PG
	mov [efer_64], eax
	mov [stack_64], rsp
	push CODE32
	push to_legacy
	o64 retf

	bits 32
to_legacy:
	mov eax, DATA
	mov ss, eax
	mov eax, USER_DATA		; which outlives a visit to ring 3
	mov ds, eax
	mov es, eax
	mov esp, [stack_64]
	mov eax, CR0_OFF
	mov cr0, eax
	mov ecx, MSR_EFER
	mov eax, [legacy.efer]
	xor edx, edx
	wrmsr
	mov eax, [legacy.cr4]
	mov cr4, eax
	mov eax, [legacy.cr3]
	mov cr3, eax
	lidt [legacy_idtr]
	mov eax, [legacy.tss_type]
	and byte [eax], ~TSS_BUSY
	mov eax, TSS32
	ltr ax
	mov eax, [legacy.cr0]
	mov cr0, eax
	jmp .on
.on:	mov esi, [legacy.steps]
	mov [current], esi
	jmp do_step

next_step:
	mov esp, [stack_64]
	push EFLAGS_FIXED
	popfd
	mov esi, [current]
	add esi, step_size
	mov [current], esi
do_step:
	mov eax, [esi + step.op]
	jmp [ops + eax * 4]

store:	mov edi, [esi + step.address]
	mov eax, [esi + step.value]
	mov edx, [esi + step.value + 4]
	cmp dword [legacy.wide_entries], 0
	je .low
	mov [edi + 4], edx
.low:	mov [edi], eax
	jmp next_step

load:	mov edi, [esi + step.address]
	mov eax, [edi]
	mov [esi + step.got], eax
	cmp dword [legacy.wide_entries], 0
	je next_step
	mov eax, [edi + 4]
	mov [esi + step.got + 4], eax
	jmp next_step

flush:	mov edi, [esi + step.address]
	invlpg [edi]
	jmp next_step

set_cr0:
	mov eax, [esi + step.value]
	mov cr0, eax
	jmp next_step

set_cr3:
	mov eax, [esi + step.value]
	mov cr3, eax
	jmp next_step

set_cr4:
	mov eax, [esi + step.value]
	mov cr4, eax
	jmp next_step

access:	mov edi, [esi + step.address]
	mov eax, [esi + step.value]
	mov edx, EFLAGS_FIXED
	mov ecx, [esi + step.access]
	test ecx, ACCESS_AC
	jz .ring
	or edx, EFLAGS_AC
.ring:	test ecx, ACCESS_USER
	jnz .user
	push edx
	popfd
	and ecx, ACCESS_KIND
	jmp [kinds + ecx * 4]
.user:	and ecx, ACCESS_KIND
	shl ecx, STUB_SHIFT
	add ecx, [legacy.user_code]
	add ecx, USER_STUBS
	push USER_DATA
	push dword [legacy.user_stack]
	push edx
	push USER_CODE32
	push ecx
	iretd

read:	mov eax, [edi]
	mov esi, [current]
	mov [esi + step.got], eax
	jmp next_step
write:	mov [edi], eax
	jmp next_step
fetch:	call edi
	jmp next_step

; An exception of the step, or its end in ring 3. On the stack: vector, error code.
ended:	mov esi, [current]
	mov [esi + step.got], eax
	pop eax
	cmp eax, DONE_VECTOR
	je next_step
	mov [esi + step.vector], eax
	pop dword [esi + step.error]
	mov eax, cr2
	mov [esi + step.cr2], eax
	jmp next_step

; Vectors for which the processor pushes an error code (SDM volume 3, table 6-1).
%define HAS_ERROR(v) (v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30)

	align 16
legacy_stubs:
%assign vector 0
%rep DONE_VECTOR + 1
	align 16
%if !HAS_ERROR(vector)
	push 0
%endif
	push vector
	jmp near ended
%assign vector vector + 1
%endrep

leave_legacy:
	mov eax, CR0_OFF
	mov cr0, eax
	mov eax, CR4_PAE
	mov cr4, eax
	mov eax, [cr3_64]
	mov cr3, eax
	mov ecx, MSR_EFER
	mov eax, [efer_64]
	xor edx, edx
	wrmsr
	mov eax, [cr0_64]
	mov cr0, eax
	jmp CODE64:.wide
	bits 64
.wide:	mov eax, [cr4_64]
	mov cr4, rax
	mov eax, DATA
	mov ss, eax
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov rsp, [stack_64]
	lidt [idtr64]
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

	section .rodata
	align 4
ops:	dd leave_legacy, store, load, flush, access, set_cr0, set_cr3, set_cr4
kinds:	dd read, write, fetch, read, write

	section .bss
	alignb 8
legacy:				; struct legacy_state
.cr0:		resd 1
.cr3:		resd 1
.cr4:		resd 1
.efer:		resd 1
.user_code:	resd 1
.user_stack:	resd 1
.steps:		resd 1
.wide_entries:	resd 1
.tss_type:	resd 1
	alignb 8
stack_64:	resq 1
cr0_64:		resd 1
cr3_64:		resd 1
cr4_64:		resd 1
efer_64:	resd 1
current:	resd 1
legacy_idtr:	resb 6
idtr64:		resb 10
