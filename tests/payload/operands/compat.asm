; SPDX-License-Identifier: MIT
; One instruction in compatibility mode, with segment registers of the caller's choice.

CODE64		equ 0x08
DATA64		equ 0x10

; struct compat
AT_CS		equ 0
AT_DS		equ 2
AT_ES		equ 4
AT_SS		equ 6
AT_CODE		equ 8
AT_ECX		equ 12
AT_ESI		equ 16
AT_EDI		equ 20
AT_ESP		equ 24

COM1_SCRATCH	equ 0x3ff

	global compat_run
	extern fault_resume

	section .text
	bits 64
; void compat_run(struct compat *c): runs c->code with the registers in *c, and stores those that
; it or its fault left. The stack is c's, for the fault, too: ESP leads to the same place in both
; modes.
compat_run:
	push rbx
	push rbp
	mov [caller_rsp], rsp
	mov [caller_arg], rdi
	mov qword [fault_resume], compat_end
	mov eax, [rdi + AT_CODE]
	mov [target], eax
	mov ax, [rdi + AT_CS]
	mov [target + 4], ax
	mov ds, [rdi + AT_DS]
	mov es, [rdi + AT_ES]
	mov ecx, [rdi + AT_ECX]
	mov esi, [rdi + AT_ESI]
	mov edx, COM1_SCRATCH
	mov ss, [rdi + AT_SS]
	mov esp, [rdi + AT_ESP]
	mov edi, [rdi + AT_EDI]
	jmp far dword [target]

%macro snippet 2+
	global %1
%1:	%2
	jmp compat_end
%endmacro

	bits 32
	snippet compat_outsb, outsb
	snippet compat_cs_outsb, cs outsb
	snippet compat_ss_outsb, ss outsb
	snippet compat_rep_outsb, rep outsb
	snippet compat_insb, insb
	snippet compat_rep_insb, rep insb
	snippet compat_movsd, movsd
	snippet compat_cmpsd, cmpsd
	snippet compat_push, push dword [esi]
compat_end:
	jmp CODE64:.back

	bits 64
.back:	mov rax, [caller_arg]
	mov [rax + AT_ECX], ecx
	mov [rax + AT_ESI], esi
	mov [rax + AT_EDI], edi
	mov [rax + AT_ESP], esp
	mov eax, DATA64
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov rsp, [caller_rsp]
	mov qword [fault_resume], 0
	pop rbp
	pop rbx
	ret

	section .bss
	alignb 8
caller_rsp:
	resq 1
caller_arg:
	resq 1
target:	resb 6
