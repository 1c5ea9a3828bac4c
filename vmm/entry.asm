; SPDX-License-Identifier: MIT
; The core's assembly: its first instructions, the stubs of the interrupt table, and the way into
; and out of the guest.

bits 64
default rel

; Offsets into struct vcpu; vmm/run.c asserts them.
VCPU_GPR	equ 0
VCPU_EXIT_TSC	equ 128

VMCS_HOST_RSP	equ 0x6c14

extern core_main
extern trap
extern vmx_exited
extern zoo_exited
extern __stack_top

; ---------------------------------------------------------------------------------------------
; From boot/: RDI = boot_info (host-physical, identity-mapped), interrupts off.
section .text.entry
global _start
_start:
	cld
	mov	rsp, __stack_top
	xor	ebp, ebp		; ends backtraces
	push	rbp
	push	rbp
	mov	rbp, rsp
	call	core_main
	ud2

; ---------------------------------------------------------------------------------------------
; The 256 stubs of the IDT. Each leaves a struct trap_frame for trap().
section .text
%assign i 0
%rep 256
trap_stub_%+i:
%if i != 8 && (i < 10 || i > 14) && i != 17 && i != 21 && i != 29 && i != 30
	push	0			; no error code: keep the frame alike
%endif
	push	i
	jmp	trap_common
%assign i i + 1
%endrep

; Offsets into struct trap_frame; vmm/cpu.c asserts them.
FRAME_VECTOR	equ 120
FRAME_RIP	equ 136
FRAME_RFLAGS	equ 152
FRAME_RSP	equ 160

%macro POP_FRAME_REGISTERS 0
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rbp
	pop	rdi
	pop	rsi
	pop	rdx
	pop	rcx
	pop	rbx
	pop	rax
%endmacro

trap_common:
	push	rax
	push	rbx
	push	rcx
	push	rdx
	push	rsi
	push	rdi
	push	rbp
	push	r8
	push	r9
	push	r10
	push	r11
	push	r12
	push	r13
	push	r14
	push	r15
	cld
	mov	rdi, rsp
	mov	rbx, rsp
	and	rsp, -16
	call	trap
	mov	rsp, rbx
	POP_FRAME_REGISTERS
	add	rsp, 16			; vector, error code
	iretq

; _Noreturn void nmi_leave(const struct trap_frame *f): back to where an NMI came from, but without
; IRET, so that NMIs stay blocked. RIP and RFLAGS go onto the stack that it interrupted.
global nmi_leave
nmi_leave:
	mov	rsp, rdi
	mov	rax, [rsp + FRAME_RSP]
	mov	rcx, [rsp + FRAME_RIP]
	mov	[rax - 8], rcx
	mov	rcx, [rsp + FRAME_RFLAGS]
	mov	[rax - 16], rcx
	sub	rax, 16
	mov	[rsp + FRAME_RSP], rax
	POP_FRAME_REGISTERS
	mov	rsp, [rsp + FRAME_RSP - FRAME_VECTOR]
	popfq
	ret

; ---------------------------------------------------------------------------------------------
; enum vmx_entry_result vmx_run(struct vcpu *v)
;
; Enters the guest, hands every VM exit to vmx_exited(), and enters again until that says stop. The
; loop is here, and not in C, because what C keeps in registers across a call would have to be saved
; and restored at every exit; this way nothing is. While the guest runs, the vcpu's address is on top
; of the stack, to which HOST_RSP points.
;
; RSP and RIP are in the VMCS; FPU, CR2 and the debug registers of the guest stay in the processor.
global vmx_run
global vmx_exit
global vmx_zoo_exit

%macro LOAD_GUEST_REGISTERS 0
	mov	rdi, [rsp]		; the vcpu
	mov	rax, [rdi + VCPU_GPR + 0 * 8]
	mov	rcx, [rdi + VCPU_GPR + 1 * 8]
	mov	rdx, [rdi + VCPU_GPR + 2 * 8]
	mov	rbx, [rdi + VCPU_GPR + 3 * 8]
	mov	rbp, [rdi + VCPU_GPR + 5 * 8]
	mov	rsi, [rdi + VCPU_GPR + 6 * 8]
	mov	r8,  [rdi + VCPU_GPR + 8 * 8]
	mov	r9,  [rdi + VCPU_GPR + 9 * 8]
	mov	r10, [rdi + VCPU_GPR + 10 * 8]
	mov	r11, [rdi + VCPU_GPR + 11 * 8]
	mov	r12, [rdi + VCPU_GPR + 12 * 8]
	mov	r13, [rdi + VCPU_GPR + 13 * 8]
	mov	r14, [rdi + VCPU_GPR + 14 * 8]
	mov	r15, [rdi + VCPU_GPR + 15 * 8]
	mov	rdi, [rdi + VCPU_GPR + 7 * 8]
%endmacro

; From a VM exit: the guest's registers into the vcpu, whose address is left in RDI.
%macro SAVE_GUEST_REGISTERS 0
	push	rdi
	mov	rdi, [rsp + 8]		; the vcpu
	mov	[rdi + VCPU_GPR + 0 * 8], rax
	mov	[rdi + VCPU_GPR + 2 * 8], rdx
	rdtsc				; as early as registers allow
	mov	[rdi + VCPU_EXIT_TSC], eax
	mov	[rdi + VCPU_EXIT_TSC + 4], edx
	mov	[rdi + VCPU_GPR + 1 * 8], rcx
	mov	[rdi + VCPU_GPR + 3 * 8], rbx
	mov	[rdi + VCPU_GPR + 5 * 8], rbp
	mov	[rdi + VCPU_GPR + 6 * 8], rsi
	pop	qword [rdi + VCPU_GPR + 7 * 8]
	mov	[rdi + VCPU_GPR + 8 * 8], r8
	mov	[rdi + VCPU_GPR + 9 * 8], r9
	mov	[rdi + VCPU_GPR + 10 * 8], r10
	mov	[rdi + VCPU_GPR + 11 * 8], r11
	mov	[rdi + VCPU_GPR + 12 * 8], r12
	mov	[rdi + VCPU_GPR + 13 * 8], r13
	mov	[rdi + VCPU_GPR + 14 * 8], r14
	mov	[rdi + VCPU_GPR + 15 * 8], r15
	lea	rbp, [rsp + 6 * 8]	; the frame of vmx_run: backtraces go on
%endmacro

vmx_run:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi
	mov	eax, VMCS_HOST_RSP
	vmwrite	rax, rsp
	jbe	vmx_failed
	LOAD_GUEST_REGISTERS
	vmlaunch			; once; from then on the VMCS is "launched"
	jmp	vmx_failed
vmx_entry:
	LOAD_GUEST_REGISTERS
	vmresume

; VMfail: CF is set for VMfailInvalid, else ZF for VMfailValid (SDM volume 3, section 31.2).
vmx_failed:
	mov	eax, 1
	jc	vmx_return
	mov	eax, 2
	jmp	vmx_return

vmx_exit:
	SAVE_GUEST_REGISTERS
	call	vmx_exited
	test	al, al
	jnz	vmx_entry
	xor	eax, eax		; VMX_STOPPED
vmx_return:
	add	rsp, 8			; the vcpu
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret

; Where VM exits arrive in a run with zoo=1: the same, with vmm/zoo_calls.c around it.
vmx_zoo_exit:
	SAVE_GUEST_REGISTERS
	call	zoo_exited
	test	al, al
	jnz	vmx_entry
	xor	eax, eax		; VMX_STOPPED
	jmp	vmx_return

; ---------------------------------------------------------------------------------------------
section .rodata
global trap_stubs
trap_stubs:
%assign i 0
%rep 256
	dq	trap_stub_%+i
%assign i i + 1
%endrep
