; SPDX-License-Identifier: MIT
; Out of IA-32e mode, into protected mode without paging, virtual-8086 or real mode, and back. Task
; switches exist only there.

; enum selector of probe.h
CODE64_0	equ 0x08
DATA_0		equ 0x10
CODE32_0	equ 0x18
TSS_64		equ 0x38
TSS_MAIN	equ 0x48
TSS_OTHER	equ 0x50
CODE16		equ 0x58
DATA16		equ 0x60

; struct flight (legacy.c)
F_KIND		equ 0
F_EIP		equ 4
F_CS		equ 8
F_EFLAGS	equ 12
F_ESP		equ 16
F_SS		equ 20
F_EAX		equ 24
F_ECX		equ 28
F_EDX		equ 32
F_EBX		equ 36
F_ESI		equ 40
F_EDI		equ 44
F_EBP		equ 48
F_VECTOR	equ 52
F_ERROR		equ 56

KIND_SHOT	equ 0
KIND_REAL	equ 1
KIND_TASKS	equ 2

CR0_PE		equ 1
CR0_PG		equ 1 << 31
MSR_EFER	equ 0xc0000080
EFER_LME	equ 1 << 8
EFLAGS_VM	equ 1 << 17
EFLAGS_FIXED	equ 2

TSS_ESP0	equ 4
TSS_SS0		equ 8

LOW		equ 0x60000		; what is called in real mode is copied there
LOW_SEGMENT	equ LOW >> 4
LOW_STACK	equ 0xf000

	global legacy_fly, legacy_stubs, legacy_idtr, tss_main, tss_other, task_other
	global low_begin, low_end, low_stubs, low_idtr, tasks_seen

	section .text
	bits 64
; void legacy_fly(struct flight *f): the flight ends where an interrupt or exception is taken; what is
; in the registers then is in *f.
legacy_fly:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [flight], rdi
	mov [long_rsp], rsp
	sidt [long_idtr]
	push CODE32_0
	lea rax, [rel .compat]
	push rax
	retfq

	bits 32
.compat:
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax
	mov ecx, MSR_EFER
	rdmsr
	and eax, ~EFER_LME
	wrmsr
	mov eax, DATA_0
	mov ds, eax
	mov es, eax
	mov ss, eax
	lidt [legacy_idtr]
	mov eax, TSS_MAIN
	ltr ax
	mov [tss_main + TSS_ESP0], esp
	mov dword [tss_main + TSS_SS0], DATA_0
	mov [legacy_esp], esp
	mov ebx, [flight]
	mov eax, [ebx + F_KIND]
	cmp eax, KIND_REAL
	je real
	cmp eax, KIND_TASKS
	je tasks

; A frame for IRETD; ESP and SS are taken from it where CPL changes.
	test dword [ebx + F_EFLAGS], EFLAGS_VM
	jz .outer
	push dword [ebx + F_SS]		; GS, FS, DS, ES
	push dword [ebx + F_SS]
	push dword [ebx + F_SS]
	push dword [ebx + F_SS]
.outer:	push dword [ebx + F_SS]
	push dword [ebx + F_ESP]
	test dword [ebx + F_EFLAGS], EFLAGS_VM
	jnz .inner
	test dword [ebx + F_CS], 3
	jnz .inner
	add esp, 8
.inner:	push dword [ebx + F_EFLAGS]
	push dword [ebx + F_CS]
	push dword [ebx + F_EIP]
	mov eax, [ebx + F_EAX]
	mov ecx, [ebx + F_ECX]
	mov edx, [ebx + F_EDX]
	mov esi, [ebx + F_ESI]
	mov edi, [ebx + F_EDI]
	mov ebp, [ebx + F_EBP]
	mov ebx, [ebx + F_EBX]
	iretd

; Vector, error code, EIP, CS, EFLAGS.
landed:	push eax
	mov eax, DATA_0
	mov ds, eax
	mov es, eax
	mov eax, [flight]
	mov [eax + F_ECX], ecx
	mov [eax + F_EDX], edx
	mov [eax + F_EBX], ebx
	mov [eax + F_ESI], esi
	mov [eax + F_EDI], edi
	mov [eax + F_EBP], ebp
	pop dword [eax + F_EAX]
	pop dword [eax + F_VECTOR]
	pop dword [eax + F_ERROR]
	pop dword [eax + F_EIP]
	pop dword [eax + F_CS]
	pop dword [eax + F_EFLAGS]
	mov esp, [legacy_esp]

; To IA-32e mode again: CR3 and CR4 are as they were.
back:	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME
	wrmsr
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	jmp CODE64_0:.long

	bits 64
.long:	mov rsp, [long_rsp]
	lidt [long_idtr]
	mov eax, DATA_0
	mov ss, eax
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

; ---------------------------------------------------------------------------------------------
; Real mode, from a copy of this in the first MiB.
	bits 32
real:	mov eax, [ebx + F_EAX]
	mov [LOW + low_eax - low_begin], eax
	mov eax, [ebx + F_ECX]
	mov [LOW + low_ecx - low_begin], eax
	mov eax, [ebx + F_EDX]
	mov [LOW + low_edx - low_begin], eax
	mov eax, [ebx + F_EBX]
	mov [LOW + low_ebx - low_begin], eax
	mov eax, [ebx + F_ESI]
	mov [LOW + low_esi - low_begin], eax
	mov eax, [ebx + F_EDI]
	mov [LOW + low_edi - low_begin], eax
	mov eax, [ebx + F_EBP]
	mov [LOW + low_ebp - low_begin], eax
	mov eax, [ebx + F_EIP]
	mov [LOW + low_ip - low_begin], ax
	mov eax, [ebx + F_EFLAGS]
	mov [LOW + low_flags - low_begin], ax
	jmp CODE16:0

; DS has the segment of the copy. EAX and so on are in it.
real_landed:
	mov ebx, [flight]
	mov esi, LOW + low_eax - low_begin
	lea edi, [ebx + F_EAX]
	mov ecx, 7
	rep movsd
	movzx eax, word [LOW + low_vector - low_begin]
	mov [ebx + F_VECTOR], eax
	movzx eax, word [LOW + low_ip - low_begin]
	mov [ebx + F_EIP], eax
	movzx eax, word [LOW + low_cs - low_begin]
	mov [ebx + F_CS], eax
	movzx eax, word [LOW + low_flags - low_begin]
	mov [ebx + F_EFLAGS], eax
	mov dword [ebx + F_ERROR], 0
	jmp back

	bits 16
low_begin:
	mov ax, DATA16
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, cr0
	and al, ~CR0_PE
	mov cr0, eax
	jmp LOW_SEGMENT:.real - low_begin
.real:	mov ax, cs
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, LOW_STACK
	lidt [low_idtr - low_begin]
	push word [low_flags - low_begin]
	push cs
	push word [low_ip - low_begin]
	mov eax, [low_eax - low_begin]
	mov ecx, [low_ecx - low_begin]
	mov edx, [low_edx - low_begin]
	mov ebx, [low_ebx - low_begin]
	mov esi, [low_esi - low_begin]
	mov edi, [low_edi - low_begin]
	mov ebp, [low_ebp - low_begin]
	iret

; Vector, IP, CS, FLAGS.
low_landed:
	mov [cs:low_eax - low_begin], eax
	mov [cs:low_ecx - low_begin], ecx
	mov [cs:low_edx - low_begin], edx
	mov [cs:low_ebx - low_begin], ebx
	mov [cs:low_esi - low_begin], esi
	mov [cs:low_edi - low_begin], edi
	mov [cs:low_ebp - low_begin], ebp
	pop word [cs:low_vector - low_begin]
	pop word [cs:low_ip - low_begin]
	pop word [cs:low_cs - low_begin]
	pop word [cs:low_flags - low_begin]
	mov eax, cr0
	or al, CR0_PE
	mov cr0, eax
	jmp dword CODE32_0:real_back

	align 8
low_stubs:
%assign vector 0
%rep 256
	align 8
	push strict word vector
	jmp near low_landed
%assign vector vector + 1
%endrep
	align 4
low_eax:	dd 0
low_ecx:	dd 0
low_edx:	dd 0
low_ebx:	dd 0
low_esi:	dd 0
low_edi:	dd 0
low_ebp:	dd 0
low_vector:	dw 0
low_ip:		dw 0
low_cs:		dw 0
low_flags:	dw 0
low_idtr:	dw 256 * 4 - 1
	dd LOW + 0x8000
low_end:

	bits 32
real_back:
	mov eax, DATA_0
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov esp, [legacy_esp]
	lidt [legacy_idtr]
	jmp real_landed

; ---------------------------------------------------------------------------------------------
; CALL a task, which comes back by IRET; JMP there and back. The registers of this one must not change.
tasks:	mov [task_esp], esp
	mov ecx, 0xa1a1a1a1
	mov edx, 0xa2a2a2a2
	mov esi, 0xa6a6a6a6
	mov edi, 0xa7a7a7a7
	stc
	call TSS_OTHER:0
	setc [tasks_seen + 1]
	pushfd
	pop dword [tasks_seen + 4]
	cmp ecx, 0xa1a1a1a1
	jne .done
	cmp edx, 0xa2a2a2a2
	jne .done
	cmp esi, 0xa6a6a6a6
	jne .done
	cmp edi, 0xa7a7a7a7
	jne .done
	cmp esp, [task_esp]
	jne .done
	inc byte [tasks_seen]
.done:	str [tasks_seen + 2]
	jmp back

; Notes what it found, in its TSS's terms: TR, NT, EAX.
task_other:
	str [tasks_seen + 8]
	mov [tasks_seen + 12], eax
	pushfd
	pop dword [tasks_seen + 16]
	iretd
	jmp task_other

; Vectors with an error code (SDM volume 3, table 6-1).
%define HAS_ERROR(v) (v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30)
	align 16
legacy_stubs:
%assign vector 0
%rep 256
	align 16
%if !HAS_ERROR(vector)
	push 0
%endif
	push strict dword vector
	jmp near landed
%assign vector vector + 1
%endrep

	section .data
	align 8
legacy_idtr:
	dw 256 * 8 - 1
	dd legacy_idt

	section .bss
	global legacy_idt
	alignb 16
legacy_idt:	resb 256 * 8
flight:		resq 1
long_rsp:	resq 1
long_idtr:	resb 16
legacy_esp:	resd 1
task_esp:	resd 1
tasks_seen:	resd 5
	alignb 128
tss_main:	resb 104
tss_main_io:	resb 8193
	alignb 128
tss_other:	resb 104
