; SPDX-License-Identifier: MIT
; A Multiboot kernel that switches tasks in every way there is: CALL, JMP and IRET, task gates in the
; GDT, in the LDT and in the IDT; 32-bit and 16-bit TSSs; rings 0 and 3 and virtual-8086 mode; faults
; before the switch and behind it. All of it with paging off, with 32-bit and with PAE paging.
;
; The verdict is 0; 0x100 + the number of the first check that failed; or 0x200 + the vector of an
; exception that was not expected. On a machine without a debug-exit port, "end" is the last line.
	bits 32
%include "tests/payload/common.inc"

CR0_TS		equ 1 << 3
CR0_WP		equ 1 << 16
CR4_PSE		equ 1 << 4
CR4_PAE		equ 1 << 5
EFLAGS_FIXED	equ 1 << 1
EFLAGS_NT	equ 1 << 14
EFLAGS_RF	equ 1 << 16
EFLAGS_VM	equ 1 << 17
EFLAGS_IF	equ 1 << 9
DR6_BT		equ 1 << 15
DR7_ALL		equ 0x4ff		; L0 to G3, and bit 10, which is 1
DR7_GLOBAL	equ 0x4aa
PTE_P		equ 1
PTE_W		equ 2
PTE_U		equ 4
PTE_PS		equ 0x80

DB_VECTOR	equ 1
NMI_VECTOR	equ 2
UD_VECTOR	equ 6
DF_VECTOR	equ 8
TS_VECTOR	equ 10
NP_VECTOR	equ 11
SS_VECTOR	equ 12
GP_VECTOR	equ 13
PF_VECTOR	equ 14
TIMER_VECTOR	equ 32
TASK_VECTOR	equ 48			; software interrupts: to a task
LEAVE_VECTOR	equ 49			; to ring 0, and back to the main task

LAPIC_ID	equ 0xfee00020
LAPIC_SVR	equ 0xfee000f0
LAPIC_ICR	equ 0xfee00300
LAPIC_ICR2	equ 0xfee00310
LAPIC_LINT0	equ 0xfee00350
ICR_NMI		equ 0x4400

MARK_AT		equ 0xc00000		; in another task's address space, MARK_TOO is here
MARK_TOO	equ 0x800000
MARK1		equ 0x11111111
MARK2		equ 0x22222222
V86_SEGMENT	equ 0x800

; The TSS.
LINK		equ 0
ESP0		equ 4
SS0		equ 8
CR3_32		equ 0x1c
EIP_32		equ 0x20
EFLAGS_32	equ 0x24
EAX_32		equ 0x28
ESP_32		equ 0x38
ES_32		equ 0x48
CS_32		equ 0x4c
SS_32		equ 0x50
DS_32		equ 0x54
FS_32		equ 0x58
GS_32		equ 0x5c
LDT_32		equ 0x60
T_32		equ 0x64
IP_16		equ 0x0e
FLAGS_16	equ 0x10
AX_16		equ 0x12
SP_16		equ 0x1a
ES_16		equ 0x22
CS_16		equ 0x24
SS_16		equ 0x26
DS_16		equ 0x28
LDT_16		equ 0x2a
TSS32_BYTES	equ 104
TSS16_BYTES	equ 44

AR_TSS16	equ 0x81
AR_TSS32	equ 0x89
AR_BUSY		equ 2

; faulting VECTOR, INSTRUCTION: ZF where it raised that exception, in this task. Its error code is in
; [error] then.
%macro faulting 2+
	mov dword [expected], %1
	mov dword [resume], %%after
	mov [resume_esp], esp
	%2
	mov dword [expected], -1
%%after:
	cmp dword [expected], -2	; as the handler leaves it
%endmacro

; descriptor SELECTOR, BASE, LIMIT, ACCESS, FLAGS: into the GDT. BASE may be a label.
%macro descriptor 5
	mov eax, %2
	mov edx, %3
	mov ecx, (%4) | (%5) << 8
	mov edi, gdt + ((%1) & 0xfff8)
	call put_descriptor
%endmacro

; gate VECTOR, SELECTOR, ACCESS, OFFSET: into the IDT.
%macro gate 4
	mov eax, %4
	mov [idt + 8 * (%1)], ax
	mov word [idt + 8 * (%1) + 2], %2
	mov ax, (%3) << 8
	mov [idt + 8 * (%1) + 4], eax
%endmacro

%macro task_gate 2
	gate %1, %2, 0x85, 0
%endmacro
%macro usual_gate 1
	gate %1, CODE32, 0x8e, exceptions + EXCEPTION_STUB * (%1)
%endmacro

; ZF: the TSS is busy / is not.
%macro is_busy 1
	mov al, [gdt + %1 + 5]
	and al, AR_BUSY
	cmp al, AR_BUSY
%endmacro
%macro is_idle 1
	test byte [gdt + %1 + 5], AR_BUSY
%endmacro
%macro make_idle 1
	and byte [gdt + %1 + 5], ~AR_BUSY
%endmacro

; A TSS anew, for task_body: TSS, SELECTOR.
%macro new_task32 2
	mov edi, %1
	mov ebp, %2
	call make_task32
%endmacro
%macro new_task16 2
	mov edi, %1
	mov ebp, %2
	call make_task16
%endmacro

	multiboot_header

start:	mov esp, stack_top
	cld
	call load_tables
	call make_page_tables
	call silence_pic
	call run_all

	say "32-bit paging"
	mov dword [entry_size], 4
	mov dword [page_entries], table32
	mov dword [other_cr3], directory32_other
	mov eax, CR4_PSE
	mov cr4, eax
	mov eax, directory32
	call paging_on
	call run_all
	call run_paged
	call paging_off

	say "PAE paging"
	mov dword [entry_size], 8
	mov dword [page_entries], table64
	mov dword [other_cr3], pointers_other
	mov eax, CR4_PAE
	mov cr4, eax
	mov eax, pointers
	call paging_on
	call run_all
	call run_paged
	call paging_off
	xor eax, eax
	jmp verdict

run_all:
	call test_call
	call test_gates
	call test_jmp
	call test_16
	call test_interrupts
	call test_error_codes
	call test_devices
	call test_other_rings
	call test_refused
	call test_bad_segments
	call test_nested_faults
	jmp test_trap

; ---------------------------------------------------------------------------------------------
; CALL to a TSS and IRET from it: all that changes hands.
test_call:
	new_task32 tss_a, TASK_A
	mov eax, DR7_ALL
	mov dr7, eax
	clts
	mov eax, 0xa0a0a0a0
	mov ecx, 0xa1a1a1a1
	mov edx, 0xa2a2a2a2
	mov ebx, 0xa3a3a3a3
	mov ebp, 0xa5a5a5a5
	mov esi, 0xa6a6a6a6
	mov edi, 0xa7a7a7a7
	stc
	call TASK_A:0x12345678
.back:	pushfd
	jnc .lost
	cmp eax, 0xa0a0a0a0
	jne .lost
	cmp ecx, 0xa1a1a1a1
	jne .lost
	cmp edx, 0xa2a2a2a2
	jne .lost
	cmp ebx, 0xa3a3a3a3
	jne .lost
	cmp ebp, 0xa5a5a5a5
	jne .lost
	cmp esi, 0xa6a6a6a6
	jne .lost
	cmp edi, 0xa7a7a7a7
.lost:	check 1, e, "CALL a task: its caller has its registers back"
	pop eax
	test eax, EFLAGS_NT
	check 2, z, "and no NT"
	mov edi, tss_a
	call seen_as_in_tss
	check 3, e, "the task has the registers of its TSS"
	mov eax, [seen.eflags]
	cmp eax, EFLAGS_FIXED | EFLAGS_NT
	check 4, e, "its flags, with NT"
	cmp word [tss_a + LINK], TASK_MAIN
	check 5, e, "the link"
	mov al, [seen.busy_main]
	and al, [seen.busy_self]
	test al, AR_BUSY
	check 6, nz, "both are busy meanwhile"
	cmp word [seen.tr], TASK_A
	check 7, e, "TR"
	test dword [seen.cr0], CR0_TS
	check 8, nz, "CR0.TS is set"
	cmp dword [seen.dr7], DR7_GLOBAL
	check 9, e, "the local breakpoints are off"
	is_busy TASK_MAIN
	check 10, e, "after IRET, this task is busy"
	is_idle TASK_A
	check 11, z, "and that one is not"
	str ax
	cmp ax, TASK_MAIN
	check 12, e, "TR is back"
	mov eax, [tss_a + EFLAGS_32]
	test eax, EFLAGS_NT
	check 13, z, "IRET saves NT cleared"
	cmp dword [tss_main + EIP_32], .back
	check 14, e, "CALL saves the EIP behind it"
	cmp dword [tss_a + EIP_32], task_body.after_iret
	check 15, e, "so does IRET"
	; Once more: the task goes on behind its IRET.
	mov dword [seen.tr], 0
	call TASK_A:0
	cmp word [seen.tr], TASK_A
	check 16, e, "it can be called again"
	mov eax, 0x400
	mov dr7, eax
	; With an LDT of its own.
	new_task32 tss_a, TASK_A
	mov word [tss_a + LDT_32], LDT
	mov word [tss_a + FS_32], LDT_DATA
	mov word [tss_a + GS_32], 0
	call TASK_A:0
	cmp word [seen.ldtr], LDT
	check 17, e, "LDTR"
	cmp word [seen.fs], LDT_DATA
	check 18, e, "and a segment by it"
	cmp word [seen.gs], 0
	check 19, e, "and a null selector"
	sldt ax
	test ax, ax
	check 20, z, "LDTR is back"
	ret

; ---------------------------------------------------------------------------------------------
; Through task gates in the descriptor tables.
test_gates:
	new_task32 tss_a, TASK_A
	mov dword [seen.tr], 0
	call GATE_A:0
	cmp word [seen.tr], TASK_A
	check 25, e, "CALL a task gate in the GDT"
	mov ax, LDT
	lldt ax
	mov dword [seen.tr], 0
	call LDT_GATE_A:0
	cmp word [seen.tr], TASK_A
	check 26, e, "and one in the LDT"
	sldt ax
	cmp ax, 0
	check 27, e, "LDTR is that of this task's TSS"	; a switch saves none
	ret

; ---------------------------------------------------------------------------------------------
; JMP there and back.
test_jmp:
	new_task32 tss_a, TASK_A
	mov dword [leave_by_jmp], 1
	mov word [tss_a + LINK], 0x5555
	mov word [seen.tr], 0
	jmp TASK_A:0
	mov dword [leave_by_jmp], 0
	cmp word [seen.tr], TASK_A
	check 30, e, "JMP to a task and back"
	test byte [seen.busy_main], AR_BUSY
	check 31, z, "this one was not busy meanwhile"
	cmp word [tss_a + LINK], 0x5555
	check 32, e, "no link"
	mov eax, [seen.eflags]
	cmp eax, EFLAGS_FIXED
	check 33, e, "no NT"
	is_idle TASK_A
	check 34, z, "that one is not busy"
	is_busy TASK_MAIN
	check 35, e, "this one is"
	; NT set by hand stays in the TSS of who jumps away.
	new_task32 tss_a, TASK_A
	mov dword [leave_by_jmp], 1
	mov dword [tss_a + EFLAGS_32], EFLAGS_FIXED | EFLAGS_NT
	jmp GATE_A:0
	mov dword [leave_by_jmp], 0
	mov eax, [tss_a + EFLAGS_32]
	and eax, EFLAGS_NT
	cmp eax, EFLAGS_NT
	check 36, e, "JMP leaves NT alone"
	ret

; ---------------------------------------------------------------------------------------------
; 16-bit TSSs: to one, from one to one, and from one to a 32-bit TSS.
test_16:
	new_task16 tss_s, TASK_S
	mov byte [tss_s + TSS16_BYTES], 0x77
	mov word [seen.fs], 0x1234
	call TASK_S:0
	mov edi, tss_s
	call seen_as_in_tss16
	check 40, e, "the registers of a 16-bit TSS"
	mov ax, [seen.fs]
	or ax, [seen.gs]
	cmp ax, 0
	check 41, e, "FS and GS are null"
	cmp dword [seen.eflags], EFLAGS_FIXED | EFLAGS_NT
	check 42, e, "its flags"
	cmp word [tss_s + LINK], TASK_MAIN
	check 43, e, "the link"
	is_idle TASK_S
	check 44, z, "it is not busy any more"
	cmp byte [tss_s + TSS16_BYTES], 0x77
	check 45, e, "nothing is written behind the TSS"
	mov eax, cr3
	cmp eax, [seen.cr3]
	check 46, e, "CR3 is what it was"
	; Nested: a 16-bit task calls another, and that a 32-bit one.
	new_task32 tss_a, TASK_A
	new_task16 tss_t, TASK_T
	mov word [tss_t + IP_16], call_a - header
	new_task16 tss_s, TASK_S
	mov word [tss_s + IP_16], call_t - header
	call TASK_S:0
	cmp word [tss_s + LINK], TASK_MAIN
	check 47, e, "nested: the first link"
	cmp word [tss_t + LINK], TASK_S
	check 48, e, "the second"
	cmp word [tss_a + LINK], TASK_T
	check 49, e, "the third"
	cmp word [tss_s + IP_16], call_t.after_iret - header
	check 50, e, "each went on where it was"
	mov al, [gdt + TASK_A + 5]
	or al, [gdt + TASK_S + 5]
	or al, [gdt + TASK_T + 5]
	test al, AR_BUSY
	check 51, z, "and none is busy"
	ret

; ---------------------------------------------------------------------------------------------
; Software interrupts through a task gate.
test_interrupts:
	new_task32 tss_a, TASK_A
	task_gate TASK_VECTOR, TASK_A
	mov dword [seen.tr], 0
	int TASK_VECTOR
.back:	cmp word [seen.tr], TASK_A
	check 60, e, "INT n through a task gate"
	cmp dword [tss_main + EIP_32], .back
	check 61, e, "the EIP behind it is saved"
	mov eax, [tss_a + ESP_32]
	cmp eax, [seen.esp]
	check 62, e, "no error code is pushed"
	new_task16 tss_s, TASK_S
	task_gate 3, TASK_S
	mov dword [seen.tr], 0
	int3
.three:	cmp word [seen.tr], TASK_S
	check 63, e, "INT3, to a 16-bit TSS"
	cmp dword [tss_main + EIP_32], .three
	check 64, e, "the EIP behind it is saved, too"
	usual_gate 3
	ret

; ---------------------------------------------------------------------------------------------
; Exceptions with an error code.
test_error_codes:
	new_task32 tss_a, TASK_A
	mov dword [with_error], 1
	mov dword [patch_eip], .resumed
	task_gate GP_VECTOR, TASK_A
	mov eax, BAD
.fault:	mov fs, eax
.resumed:
	cmp dword [seen.top], BAD
	check 70, e, "#GP through a task gate: its error code"
	mov eax, [seen.esp]
	sub eax, stack_a_top - 4
	check 71, e, "four bytes of it"
	cmp dword [patched_eip], .fault
	check 72, e, "the EIP of the fault is saved"
	mov eax, [patched_eflags]
	and eax, EFLAGS_RF
	cmp eax, EFLAGS_RF
	check 73, e, "with RF"
	new_task16 tss_s, TASK_S
	mov dword [with_error], 2
	mov dword [patch_eip], .resumed16
	task_gate GP_VECTOR, TASK_S
	mov eax, BAD
	mov fs, eax
.resumed16:
	cmp word [seen.top], BAD
	check 74, e, "the error code for a 16-bit TSS"
	cmp word [seen.esp], STACK16_TOP - 2
	check 75, e, "two bytes of it"
	; No room for it.
	new_task32 tss_a, TASK_A
	mov word [tss_a + SS_32], DATA_SMALL
	mov dword [tss_a + ESP_32], 0x1004	; it would end at 0x1003, beyond the limit
	mov dword [with_error], 1
	mov dword [patch_eip], .full
	call catch_all
	task_gate GP_VECTOR, TASK_A
	mov eax, BAD
	mov fs, eax
.full:	call catch_none
	usual_gate GP_VECTOR
	make_idle TASK_A
	mov dword [with_error], 0
	mov dword [patch_eip], 0
	; A fault (#SS) while a fault (#GP) was delivered.
	cmp dword [caught], DF_VECTOR
	check 76, e, "no room for it: a double fault"
	cmp dword [error], 0
	check 77, e, "with error code 0"
	cmp word [tss_catch8 + LINK], TASK_A
	check 78, e, "in the new task"
	ret

; ---------------------------------------------------------------------------------------------
; An interrupt and NMIs.
test_devices:
	new_task32 tss_a, TASK_A
	mov dword [tss_a + EIP_32], timer_task
	task_gate TIMER_VECTOR, TASK_A
	mov dword [patch_eip], 0
	mov dword [ticks], 0
	call start_timer
	sti
.wait:	hlt
	cmp dword [ticks], 0
	je .wait
	cli
	check 80, ne, "an interrupt through a task gate"
	mov eax, [tss_main + EFLAGS_32]
	and eax, EFLAGS_IF
	cmp eax, EFLAGS_IF
	check 81, e, "the flags before it are saved"
	is_idle TASK_A
	check 82, z, "and IRET is its end"
	; Two NMIs: the second one waits for the IRET of the first.
	new_task32 tss_a, TASK_A
	mov dword [tss_a + EIP_32], nmi_task
	task_gate NMI_VECTOR, TASK_A
	mov dword [nmis], 0
	mov dword [nmis_within], 0
	call send_nmi
	mov ecx, 1000
.pause:	loop .pause
	cmp dword [nmis], 2
	check 83, e, "NMIs through a task gate"
	cmp dword [nmis_within], 1
	check 84, e, "one at a time"
	usual_gate NMI_VECTOR
	ret

timer_task:
	inc dword [ticks]
	mov al, 0x20
	out 0x20, al
	iretd
	jmp timer_task

nmi_task:
	inc dword [nmis]
	cmp dword [nmis], 1
	jne .out
	call send_nmi
	mov ecx, 1000
.pause:	loop .pause
	mov eax, [nmis]
	mov [nmis_within], eax
.out:	iretd
	jmp nmi_task

; ---------------------------------------------------------------------------------------------
; Tasks in ring 3 and in virtual-8086 mode. Both come back by an interrupt to ring 0, which goes back
; by JMP.
test_other_rings:
	new_task32 tss_a, TASK_A
	call make_ring3
	mov dword [seen.cs], 0
	call TASK_A:0
	make_idle TASK_A
	cmp word [seen.cs], CODE_USER
	check 90, e, "a task in ring 3"
	cmp word [seen.ss], DATA_USER
	check 91, e, "its stack"
	cmp dword [seen.esp], stack_user_top
	check 92, e, "and where it was"
	; An error code on its stack.
	new_task32 tss_a, TASK_A
	call make_ring3
	task_gate GP_VECTOR, TASK_A
	mov dword [patch_eip], .resumed
	mov eax, BAD
	mov fs, eax
.resumed:
	make_idle TASK_A
	usual_gate GP_VECTOR
	mov dword [patch_eip], 0
	cmp dword [seen.esp], stack_user_top - 4
	check 93, e, "an error code for ring 3"
	cmp dword [stack_user_top - 4], BAD
	check 94, e, "is on its stack"
	; Virtual-8086 mode.
	new_task32 tss_a, TASK_A
	call make_ring3
	mov dword [V86_SEGMENT << 4], 0x90f4fa	; CLI, which is #GP there
	mov dword [tss_a + EFLAGS_32], EFLAGS_FIXED | EFLAGS_VM
	mov dword [tss_a + EIP_32], 0
	mov word [tss_a + CS_32], V86_SEGMENT
	mov word [tss_a + SS_32], V86_SEGMENT + 0x100
	mov dword [tss_a + ESP_32], 0x80
	mov word [tss_a + DS_32], 0x1111
	mov word [tss_a + ES_32], 0x2222
	mov word [tss_a + FS_32], 0x3333
	mov word [tss_a + GS_32], 0x4444
	gate GP_VECTOR, CODE32, 0x8e, leave_v86
	call TASK_A:0
	make_idle TASK_A
	usual_gate GP_VECTOR
	mov eax, [seen.eflags]
	and eax, EFLAGS_VM | EFLAGS_NT
	cmp eax, EFLAGS_VM | EFLAGS_NT
	check 95, e, "a task in virtual-8086 mode"
	mov eax, [seen.eip]
	or eax, [seen.top]
	cmp eax, 0
	check 96, e, "its first instruction"
	cmp word [seen.cs], V86_SEGMENT
	check 97, e, "CS"
	cmp word [seen.ds], 0x1111
	check 98, e, "DS"
	cmp word [seen.gs], 0x4444
	check 99, e, "GS"
	ret

make_ring3:
	mov dword [tss_a + EIP_32], user_body
	mov word [tss_a + CS_32], CODE_USER
	mov word [tss_a + SS_32], DATA_USER
	mov word [tss_a + DS_32], DATA_USER
	mov word [tss_a + ES_32], DATA_USER
	mov word [tss_a + FS_32], DATA_USER
	mov word [tss_a + GS_32], DATA_USER
	mov dword [tss_a + ESP_32], stack_user_top
	mov dword [tss_a + ESP0], stack_ring0_top
	mov word [tss_a + SS0], DATA
	gate LEAVE_VECTOR, CODE32, 0xee, leave_user
	ret

user_body:
	int LEAVE_VECTOR
	jmp user_body

; Ring 0 again, but still that task. The frame is that of an interrupt from ring 3.
leave_user:
	mov eax, DATA
	mov ds, eax
	pop dword [seen.eip]
	pop dword [seen.cs]
	pop dword [seen.eflags]
	pop dword [seen.esp]
	pop dword [seen.ss]
	call main_may_go_on
	jmp TASK_MAIN:0

leave_v86:
	mov eax, DATA
	mov ds, eax
	pop dword [seen.top]		; the error code
	pop dword [seen.eip]
	pop dword [seen.cs]
	pop dword [seen.eflags]
	pop dword [seen.esp]
	pop dword [seen.ss]
	pop dword [seen.es]
	pop dword [seen.ds]
	pop dword [seen.fs]
	pop dword [seen.gs]
	call main_may_go_on
	jmp TASK_MAIN:0

; ---------------------------------------------------------------------------------------------
; Switches that are refused: the exception is this task's.
test_refused:
	new_task32 tss_a, TASK_A
	or byte [gdt + TASK_A + 5], AR_BUSY
	faulting GP_VECTOR, call TASK_A:0
	check 110, e, "CALL a busy task: #GP"
	cmp dword [error], TASK_A
	check 111, e, "with its selector"
	faulting GP_VECTOR, jmp GATE_A:0
	check 112, e, "JMP to one by a gate: #GP"
	task_gate TASK_VECTOR, TASK_A
	faulting GP_VECTOR, int TASK_VECTOR
	check 113, e, "INT n to one: #GP"
	cmp dword [error], TASK_A
	check 114, e, "from the program itself"
	task_gate UD_VECTOR, TASK_A
	faulting GP_VECTOR, ud2
	check 115, e, "an exception to one: #GP"
	mov eax, [error]
	sub eax, TASK_A
	cmp eax, 1
	check 116, e, "from outside the program"
	usual_gate UD_VECTOR
	new_task32 tss_a, TASK_A
	and byte [gdt + TASK_A + 5], 0x7f
	faulting NP_VECTOR, call TASK_A:0
	check 117, e, "a TSS that is not present: #NP"
	new_task32 tss_a, TASK_A
	mov byte [gdt + TASK_A], TSS32_BYTES - 2
	faulting TS_VECTOR, call TASK_A:0
	check 118, e, "a TSS that is too short: #TS"
	cmp dword [error], TASK_A
	check 119, e, "with its selector"
	new_task16 tss_s, TASK_S
	mov byte [gdt + TASK_S], TSS16_BYTES - 2
	faulting TS_VECTOR, call TASK_S:0
	check 120, e, "a 16-bit one, too"
	new_task32 tss_a, TASK_A
	mov word [tss_main + LINK], TASK_A
	pushfd
	or dword [esp], EFLAGS_NT
	popfd
	faulting TS_VECTOR, iretd
	check 121, e, "IRET to a task that is not busy: #TS"
	pushfd
	and dword [esp], ~EFLAGS_NT
	popfd
	cmp dword [error], TASK_A
	check 122, e, "with its selector"
	is_idle TASK_A
	check 123, z, "nobody became busy"
	is_busy TASK_MAIN
	check 124, e, "nor ceased to be"
	make_idle TASK_SHORT
	mov ax, TASK_SHORT
	ltr ax
	faulting TS_VECTOR, call TASK_A:0
	check 125, e, "from a TSS that is too short: #TS"
	cmp dword [error], TASK_SHORT
	check 126, e, "with the selector of that"
	make_idle TASK_MAIN
	mov ax, TASK_MAIN
	ltr ax
	is_idle TASK_A
	check 127, z, "and nobody became busy"
	ret

; ---------------------------------------------------------------------------------------------
; Bad segments, each in a TSS that is good otherwise: an exception of the new task, which a third one
; handles.
BAD_SEGMENT	equ 16			; bytes a row
%macro bad_segment 5			; FIELD, VALUE, VECTOR, ERROR, TEXT
	section .rodata
%%text:	db %5, 10, 0
	section .data
	dd (%1) | (%2) << 16, %3, %4, %%text
	section .text
%endmacro
	section .data
	align 4
bad_segments:
	bad_segment LDT_32, LDT | 4, TS_VECTOR, LDT | 4, "an LDT in an LDT: #TS"
	bad_segment LDT_32, BEYOND, TS_VECTOR, BEYOND, "an LDT beyond the GDT: #TS"
	bad_segment LDT_32, DATA, TS_VECTOR, DATA, "an LDT that is none: #TS"
	bad_segment LDT_32, LDT_ABSENT, TS_VECTOR, LDT_ABSENT, "an LDT that is not present: #TS"
	bad_segment CS_32, 0, TS_VECTOR, 0, "CS is null: #TS"
	bad_segment CS_32, BEYOND, TS_VECTOR, BEYOND, "CS beyond the GDT: #TS"
	bad_segment CS_32, DATA, TS_VECTOR, DATA, "CS is data: #TS"
	bad_segment CS_32, CODE_USER & 0xfff8, TS_VECTOR, CODE_USER & 0xfff8, "CS of ring 3: #TS"
	bad_segment CS_32, CODE_ABSENT, NP_VECTOR, CODE_ABSENT, "CS is not present: #NP"
	bad_segment SS_32, 0, TS_VECTOR, 0, "SS is null: #TS"
	bad_segment SS_32, BEYOND, TS_VECTOR, BEYOND, "SS beyond the GDT: #TS"
	bad_segment SS_32, CODE32, TS_VECTOR, CODE32, "SS is code: #TS"
	bad_segment SS_32, DATA_READ, TS_VECTOR, DATA_READ, "SS may not be written: #TS"
	bad_segment SS_32, DATA_ABSENT, SS_VECTOR, DATA_ABSENT, "SS is not present: #SS"
	bad_segment SS_32, DATA_USER & 0xfff8, TS_VECTOR, DATA_USER & 0xfff8, "SS of ring 3: #TS"
	bad_segment SS_32, DATA | 1, TS_VECTOR, DATA, "SS with another RPL: #TS"
	bad_segment DS_32, BEYOND, TS_VECTOR, BEYOND, "DS beyond the GDT: #TS"
	bad_segment DS_32, LDT_DATA, TS_VECTOR, LDT_DATA, "DS in an LDT that is not there: #TS"
	bad_segment DS_32, CODE_ONLY, TS_VECTOR, CODE_ONLY, "DS may not be read: #TS"
	bad_segment DS_32, TASK_S, TS_VECTOR, TASK_S, "DS is a TSS: #TS"
	bad_segment DS_32, DATA_ABSENT, NP_VECTOR, DATA_ABSENT, "DS is not present: #NP"
	bad_segment DS_32, DATA | 3, TS_VECTOR, DATA, "DS with RPL 3: #TS"
	bad_segment ES_32, DATA_ABSENT, NP_VECTOR, DATA_ABSENT, "ES is not present: #NP"
	bad_segment FS_32, DATA_ABSENT, NP_VECTOR, DATA_ABSENT, "FS is not present: #NP"
	bad_segment GS_32, DATA_ABSENT, NP_VECTOR, DATA_ABSENT, "GS is not present: #NP"
	bad_segment CS_32, CODE_SMALL, GP_VECTOR, 0, "EIP beyond CS: #GP(0)"
	section .data
bad_segments_end:
	section .text

test_bad_segments:
	call catch_all
	mov ebx, bad_segments
.next:	new_task32 tss_a, TASK_A
	movzx eax, word [ebx]
	mov cx, [ebx + 2]
	mov [tss_a + eax], cx
	mov dword [caught], 0
	mov word [seen.tr], 0
	clts
	call TASK_A:0
	; Here the main task goes on: caught.
	mov eax, [caught]
	cmp eax, [ebx + 4]
	jne .out
	mov eax, [error]
	cmp eax, [ebx + 8]
	jne .out
	mov edi, [catcher]
	cmp word [edi + LINK], TASK_A
	jne .out
	is_busy TASK_A
	jne .out
	; What the task is interrupted with is what it was given.
	movzx eax, word [ebx]
	mov cx, [ebx + 2]
	cmp cx, [tss_a + eax]
	jne .moved
.same:	cmp dword [tss_a + EIP_32], task_body
	jne .out
	cmp word [seen.tr], 0
.out:	mov esi, [ebx + 12]
	jne .failed
	call print
	add ebx, BAD_SEGMENT
	cmp ebx, bad_segments_end
	jb .next
	jmp catch_none
.failed:
	push esi
	say "FAIL, bad segment:"
	pop esi
	call print
	mov eax, 0x100 + 130
	jmp verdict
	; But for SS.RPL, which VMX does not let be wrong on some processors.
.moved:	xor cx, [tss_a + eax]
	test cx, ~3
	jnz .out
	cmp eax, SS_32
	je .same
	jmp .out

; ---------------------------------------------------------------------------------------------
; A fault in the task that was to handle one.
test_nested_faults:
	call catch_all
	new_task32 tss_a, TASK_A
	mov word [tss_a + DS_32], DATA_ABSENT
	task_gate UD_VECTOR, TASK_A
	mov dword [patch_eip], .first
	ud2
.first:	cmp dword [caught], NP_VECTOR
	check 140, e, "a bad segment in the task for #UD: #NP"
	mov eax, [error]
	sub eax, DATA_ABSENT
	cmp eax, 1
	check 141, e, "from outside the program"
	usual_gate UD_VECTOR
	make_idle TASK_A
	new_task32 tss_a, TASK_A
	mov word [tss_a + DS_32], DATA_ABSENT
	task_gate NP_VECTOR, TASK_A
	mov dword [patch_eip], .third
	mov eax, DATA_ABSENT
	mov fs, eax
.third:	make_idle TASK_A
	mov dword [patch_eip], 0
	call catch_none
	cmp dword [caught], DF_VECTOR
	check 142, e, "in the task for #NP: #DF"
	cmp dword [error], 0
	check 143, e, "with error code 0"
	cmp word [tss_catch8 + LINK], TASK_A
	check 144, e, "in the new task"
	ret

; ---------------------------------------------------------------------------------------------
; Flag T of a TSS.
test_trap:
	new_task32 tss_a, TASK_A
	mov byte [tss_a + T_32], 1
	gate DB_VECTOR, CODE32, 0x8e, .trap
	mov dword [trapped_eip], 0
	xor eax, eax
	mov dr6, eax
	mov dword [seen.tr], 0
	call TASK_A:0
	cmp dword [trapped_eip], task_body
	check 150, e, "flag T: #DB before the first instruction"
	test dword [trapped_dr6], DR6_BT
	check 151, nz, "with DR6.BT"
	cmp word [seen.tr], TASK_A
	check 152, e, "then the task runs"
	usual_gate DB_VECTOR
	ret
.trap:	push eax
	mov eax, [esp + 4]
	mov [trapped_eip], eax
	mov eax, dr6
	mov [trapped_dr6], eax
	pop eax
	iretd

; ---------------------------------------------------------------------------------------------
; What only paging has.
run_paged:
	; An address space of its own.
	mov dword [MARK_TOO], MARK1
	mov dword [MARK_AT], MARK2
	new_task32 tss_a, TASK_A
	mov eax, [other_cr3]
	mov [tss_a + CR3_32], eax
	call TASK_A:0
	mov eax, [other_cr3]
	cmp eax, [seen.cr3]
	check 160, e, "a task's own CR3"
	cmp dword [seen.mark], MARK1
	check 161, e, "and its address space"
	cmp dword [MARK_AT], MARK2
	check 162, e, "after IRET, this task's again"
	mov eax, cr3
	cmp eax, [tss_main + CR3_32]
	check 163, e, "and its CR3"
	; TSSs that cannot be read or written.
	new_task32 tss_far, TASK_FAR
	mov eax, tss_far
	mov edx, PTE_P
	call clear_in_page
	faulting PF_VECTOR, call TASK_FAR:0
	call restore_page
	check 164, e, "the new TSS is not there: #PF"
	mov eax, cr2
	sub eax, tss_far
	cmp eax, TSS32_BYTES
	check 165, b, "its address"
	is_idle TASK_FAR
	check 166, z, "and it is not busy"
	new_task32 tss_cross, TASK_CROSS
	mov eax, tss_cross + TSS32_BYTES - 1
	mov edx, PTE_P
	call clear_in_page
	faulting PF_VECTOR, call TASK_CROSS:0
	call restore_page
	check 167, e, "the new TSS's second page is not there: #PF"
	is_idle TASK_CROSS
	check 168, z, "and it is not busy"
	cmp word [tss_cross + LINK], 0
	check 169, e, "nor linked"
	mov dword [seen.tr], 0
	call TASK_CROSS:0
	cmp word [seen.tr], TASK_CROSS
	check 170, e, "a TSS in two pages"
	new_task32 tss_a, TASK_A
	mov eax, tss_main
	mov edx, PTE_W
	call clear_in_page
	mov dword [patch_eip], 0
	faulting PF_VECTOR, call TASK_A:0
	call restore_page
	check 171, e, "the old TSS may not be written: #PF"
	cmp dword [error], 3
	check 172, e, "by a write of the supervisor's"
	is_idle TASK_A
	check 173, z, "and nobody is busy"
	; The classic: no stack left, and a task for the double fault.
	call catch_all
	mov dword [patch_eip], .alive
	mov [saved_esp], esp
	mov eax, NOWHERE
	mov esp, eax
	push eax
.alive:	mov esp, [saved_esp]
	mov dword [patch_eip], 0
	call catch_none
	cmp dword [caught], DF_VECTOR
	check 174, e, "no stack: a double fault, in a task"
	cmp dword [tss_main + ESP_32], NOWHERE
	check 175, e, "whose TSS says where that was"
	mov eax, cr2
	sub eax, NOWHERE - 16
	cmp eax, 16
	check 176, b, "and so does CR2"
	; #PF through a task gate.
	new_task32 tss_a, TASK_A
	mov dword [with_error], 1
	mov dword [patch_eip], .mended
	task_gate PF_VECTOR, TASK_A
	mov eax, [NOWHERE]
.mended:
	usual_gate PF_VECTOR
	mov dword [with_error], 0
	mov dword [patch_eip], 0
	cmp dword [seen.top], 0
	check 177, e, "#PF through a task gate"
	mov eax, cr2
	cmp eax, NOWHERE
	check 178, e, "CR2"
	ret

NOWHERE		equ 0x60000000		; mapped by no page table here

; Clear the bits EDX of the entry of the page at EAX, in the second 4 MiB.
clear_in_page:
	mov ecx, eax
	sub eax, 0x400000
	shr eax, 12
	imul eax, [entry_size]
	add eax, [page_entries]
	mov [changed_entry], eax
	mov [changed_page], ecx
	push dword [eax]
	pop dword [changed_from]
	not edx
	and [eax], edx
	invlpg [ecx]
	ret

; Keeps the flags.
restore_page:
	pushfd
	push eax
	push ecx
	mov eax, [changed_entry]
	mov ecx, [changed_from]
	mov [eax], ecx
	mov ecx, [changed_page]
	invlpg [ecx]
	pop ecx
	pop eax
	popfd
	ret

; ---------------------------------------------------------------------------------------------
; What a task does: note what it finds, and leave.
task_body:
	mov [seen.gpr], eax
	mov [seen.gpr + 4], ecx
	mov [seen.gpr + 8], edx
	mov [seen.gpr + 12], ebx
	mov [seen.gpr + 16], esp
	mov [seen.gpr + 20], ebp
	mov [seen.gpr + 24], esi
	mov [seen.gpr + 28], edi
	pushfd
	pop dword [seen.eflags]
	mov [seen.es], es
	mov [seen.cs], cs
	mov [seen.ss], ss
	mov [seen.ds], ds
	mov [seen.fs], fs
	mov [seen.gs], gs
	str [seen.tr]
	sldt [seen.ldtr]
	mov eax, cr0
	mov [seen.cr0], eax
	mov eax, cr3
	mov [seen.cr3], eax
	mov eax, dr7
	mov [seen.dr7], eax
	mov eax, [MARK_AT]
	mov [seen.mark], eax
	mov al, [gdt + TASK_MAIN + 5]
	mov [seen.busy_main], al
	movzx eax, word [seen.tr]
	mov al, [gdt + eax + 5]
	mov [seen.busy_self], al
	mov eax, [seen.gpr + 16]
	mov [seen.esp], eax
	cmp dword [with_error], 1
	jb .leave
	je .wide
	o16 pop word [seen.top]
	jmp .popped
.wide:	pop dword [seen.top]
.popped:
	mov eax, [tss_main + EIP_32]
	mov [patched_eip], eax
	mov eax, [tss_main + EFLAGS_32]
	mov [patched_eflags], eax
	mov eax, [patch_eip]
	mov [tss_main + EIP_32], eax
.leave:	cmp dword [leave_by_jmp], 0
	jne .jmp
	iretd
.after_iret:
	jmp task_body
.jmp:	jmp TASK_MAIN:0
	jmp task_body

; For 16-bit TSSs.
call_t:	call TASK_T:0
	iretd
.after_iret:
	jmp call_t
call_a:	call TASK_A:0
	iretd
	jmp call_a

; Tasks that handle exceptions: note which, and have the main task go on. It waits for an IRET that
; never comes: so that it can be jumped to, it must not be busy.
%macro catch 1
catch%1:
	mov dword [caught], %1
	mov dword [catcher], tss_catch%1
	pop dword [error]
	call main_may_go_on
	jmp TASK_MAIN:0
	jmp catch%1
%endmacro
	catch 8
	catch 10
	catch 11
	catch 12
	catch 13

main_may_go_on:
	make_idle TASK_MAIN
	mov eax, [patch_eip]
	test eax, eax
	jz .out
	mov [tss_main + EIP_32], eax
.out:	ret

%macro catch_by_task 1
	new_task32 tss_catch%1, TASK_CATCH%1
	mov dword [tss_catch%1 + EIP_32], catch%1
	mov dword [tss_catch%1 + ESP_32], stack_catch_top
	task_gate %1, TASK_CATCH%1
%endmacro
catch_all:
	catch_by_task 8
	catch_by_task 10
	catch_by_task 11
	catch_by_task 12
	catch_by_task 13
	mov dword [caught], 0
	ret

catch_none:
	usual_gate 8
	usual_gate 10
	usual_gate 11
	usual_gate 12
	usual_gate 13
	ret

; The TSS at EDI, whose selector is EBP: not busy, for task_body.
make_task32:
	push edi
	mov ecx, TSS32_BYTES
	xor eax, eax
	rep stosb
	pop edi
	mov dword [edi + EIP_32], task_body
	mov dword [edi + EFLAGS_32], EFLAGS_FIXED
	mov eax, cr3
	mov [edi + CR3_32], eax
	mov ecx, 7
	mov eax, 0x01020304
.gpr:	mov [edi + EAX_32 + 4 * ecx], eax
	add eax, 0x11111111
	dec ecx
	jns .gpr
	mov dword [edi + ESP_32], stack_a_top
	mov ecx, 5
.segment:
	mov word [edi + ES_32 + 4 * ecx], DATA
	dec ecx
	jns .segment
	mov word [edi + CS_32], CODE32
	mov eax, edi
	mov edx, TSS32_BYTES - 1
	mov ecx, AR_TSS32
	lea edi, [gdt + ebp]
	jmp put_descriptor

STACK16_TOP	equ 0x800
make_task16:
	push edi
	mov ecx, TSS16_BYTES
	xor eax, eax
	rep stosb
	pop edi
	mov word [edi + IP_16], task_body - header
	mov word [edi + FLAGS_16], EFLAGS_FIXED
	mov ecx, 7
	mov eax, 0x0304
.gpr:	mov [edi + AX_16 + 2 * ecx], ax
	add eax, 0x1111
	dec ecx
	jns .gpr
	; A stack of its own for each.
	mov word [edi + SP_16], STACK16_TOP
	mov word [edi + ES_16], DATA
	mov word [edi + CS_16], CODE_LOW
	mov word [edi + SS_16], STACK16
	mov word [edi + DS_16], DATA
	mov eax, edi
	mov edx, TSS16_BYTES - 1
	mov ecx, AR_TSS16
	lea edi, [gdt + ebp]

; The descriptor at EDI: base EAX, limit EDX, access byte CL, flags in bits 7:4 of CH.
put_descriptor:
	mov [edi], dx
	mov [edi + 2], ax
	shr eax, 16
	mov [edi + 4], al
	mov [edi + 5], cl
	shr edx, 16
	or dl, ch
	mov [edi + 6], dl
	mov [edi + 7], ah
	ret

; ZF: what the task found is what is in the TSS at EDI, where it has not changed since.
seen_as_in_tss:
	mov ecx, 7
.gpr:	mov eax, [made_gpr + 4 * ecx]
	cmp eax, [seen.gpr + 4 * ecx]
	jne .out
	dec ecx
	jns .gpr
	mov ecx, 5
.segment:
	mov ax, [edi + ES_32 + 4 * ecx]
	cmp ax, [seen.es + 4 * ecx]
	jne .out
	dec ecx
	jns .segment
	mov eax, [edi + CR3_32]
	cmp eax, [seen.cr3]
	jne .paging
.same:	xor eax, eax
.out:	ret
.paging:				; CR3 is loaded only with paging on
	test dword [seen.cr0], CR0_PG
	jz .same
	ret

seen_as_in_tss16:
	mov ecx, 7
.gpr:	mov ax, [made_gpr16 + 2 * ecx]
	cmp ax, [seen.gpr + 4 * ecx]
	jne .out
	dec ecx
	jns .gpr
	mov ecx, 3
.segment:
	mov ax, [edi + ES_16 + 2 * ecx]
	cmp ax, [seen.es + 4 * ecx]
	jne .out
	dec ecx
	jns .segment
	xor eax, eax
.out:	ret

; ---------------------------------------------------------------------------------------------
paging_on:
	mov cr3, eax
	mov [tss_main + CR3_32], eax
	mov eax, cr0
	or eax, CR0_PG | CR0_WP
	mov cr0, eax
	ret

paging_off:
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax
	ret

; The first 16 MiB as they are, the second 4 MiB of them in small pages; the local APIC; and once more
; with MARK_AT leading to MARK_TOO.
make_page_tables:
	mov edi, table32
	mov ebx, table64
	mov eax, 0x400000 + (PTE_P | PTE_W | PTE_U)
	mov ecx, 1024
.small:	mov [edi], eax
	mov [ebx], eax
	add edi, 4
	add ebx, 8
	add eax, 4096
	loop .small
	mov edi, directory32
	call .wide
	mov edi, directory32_other
	call .wide
	mov dword [directory32_other + 4 * (MARK_AT >> 22)], MARK_TOO | PTE_P | PTE_W | PTE_PS
	mov edi, directory64
	call .pae
	mov edi, directory64_other
	call .pae
	mov dword [directory64_other + 8 * (MARK_AT >> 21)], MARK_TOO | PTE_P | PTE_W | PTE_PS
	mov dword [directory64_apic + 8 * (0x3ee00000 >> 21)], 0xfee00000 | PTE_P | PTE_W | PTE_PS
	mov dword [pointers], directory64 + PTE_P
	mov dword [pointers + 24], directory64_apic + PTE_P
	mov dword [pointers_other], directory64_other + PTE_P
	mov dword [pointers_other + 24], directory64_apic + PTE_P
	ret
.wide:	mov eax, PTE_P | PTE_W | PTE_U | PTE_PS
	mov ecx, 4
	push edi
.wider:	stosd
	add eax, 4 << 20
	loop .wider
	pop edi
	mov dword [edi + 4], table32 + (PTE_P | PTE_W | PTE_U)
	mov dword [edi + 4 * (0xfee00000 >> 22)], 0xfec00000 | PTE_P | PTE_W | PTE_PS
	ret
.pae:	mov eax, PTE_P | PTE_W | PTE_U | PTE_PS
	mov ecx, 8
	push edi
.page:	mov [edi], eax
	add edi, 8
	add eax, 2 << 20
	loop .page
	pop edi
	mov dword [edi + 16], table64 + (PTE_P | PTE_W | PTE_U)
	mov dword [edi + 24], table64 + 4096 + (PTE_P | PTE_W | PTE_U)
	ret

load_tables:
	lgdt [gdtr]
	jmp CODE32:.flat
.flat:	mov eax, DATA
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov ss, eax
	load_exceptions CODE32
	descriptor CODE_LOW, header, 0xffff, 0x9b, 0x40
	descriptor STACK16, stack16, 0xffff, 0x92, 0	; not accessed: a switch writes that
	descriptor LDT, ldt, ldt_end - ldt - 1, 0x82, 0
	descriptor LDT_ABSENT, ldt, ldt_end - ldt - 1, 0x02, 0
	descriptor TASK_SHORT, tss_a, 0x5e, AR_TSS32, 0
	new_task32 tss_main, TASK_MAIN
	mov ax, TASK_MAIN
	ltr ax
	ret

; To this processor.
send_nmi:
	mov eax, [LAPIC_ID]
	mov [LAPIC_ICR2], eax
	mov dword [LAPIC_ICR], ICR_NMI
	ret

; The local APIC lets the 8259s' interrupts through. The 8259s: vectors from TIMER_VECTOR on, all lines masked.
silence_pic:
	mov dword [LAPIC_SVR], 0x1ff
	mov dword [LAPIC_LINT0], 0x700
	mov al, 0x11
	out 0x20, al
	out 0xa0, al
	mov al, TIMER_VECTOR
	out 0x21, al
	mov al, TIMER_VECTOR + 8
	out 0xa1, al
	mov al, 4
	out 0x21, al
	mov al, 2
	out 0xa1, al
	mov al, 1
	out 0x21, al
	out 0xa1, al
	mov al, 0xff
	out 0x21, al
	out 0xa1, al
	ret

; The PIT's interrupt, once, soon.
start_timer:
	mov al, 0x30
	out 0x43, al
	mov al, 0
	out 0x40, al
	mov al, 1
	out 0x40, al
	mov al, 0xfe
	out 0x21, al
	ret

	exception_stubs
; Of the main task: vector, error code perhaps, EIP, CS, EFLAGS.
exception:
	push eax
	mov eax, [esp + 4]
	cmp eax, [expected]
	jne .wrong
	cmp eax, TS_VECTOR
	jb .resume
	mov eax, [esp + 8]
	mov [error], eax
.resume:
	mov dword [expected], -2
	mov esp, [resume_esp]
	jmp [resume]
.wrong:	say "FAIL: an exception"
	pop eax
	pop eax
	add eax, 0x200
	jmp verdict

	common_functions

; ---------------------------------------------------------------------------------------------
	section .data
	align 8
gdt:	dq 0
CODE32		equ 0x08
	dq 0x00cf9b000000ffff
DATA		equ 0x10
	dq 0x00cf93000000ffff
CODE_USER	equ 0x18 | 3
	dq 0x00cffb000000ffff
DATA_USER	equ 0x20 | 3
	dq 0x00cff3000000ffff
CODE_LOW	equ 0x28		; begins with this program; below 64 KiB of it
	dq 0
STACK16		equ 0x30
	dq 0
LDT		equ 0x38
	dq 0
LDT_ABSENT	equ 0x40
	dq 0
CODE_ABSENT	equ 0x48
	dq 0x00cf1b000000ffff
CODE_ONLY	equ 0x50		; may not be read
	dq 0x00cf99000000ffff
CODE_SMALL	equ 0x58
	dq 0x00409b0000000fff
DATA_ABSENT	equ 0x60
	dq 0x00cf13000000ffff
DATA_READ	equ 0x68
	dq 0x00cf91000000ffff
DATA_SMALL	equ 0x70
	dq 0x0040930000000fff
GATE_A		equ 0x78
	dw 0, TASK_A, 0x8500, 0
TASK_MAIN	equ 0x80
	dq 0
TASK_A		equ 0x88
	dq 0
TASK_S		equ 0x90
	dq 0
TASK_T		equ 0x98
	dq 0
TASK_FAR	equ 0xa0
	dq 0
TASK_CROSS	equ 0xa8
	dq 0
TASK_SHORT	equ 0xb0
	dq 0
TASK_CATCH8	equ 0xb8
	dq 0
TASK_CATCH10	equ 0xc0
	dq 0
TASK_CATCH11	equ 0xc8
	dq 0
TASK_CATCH12	equ 0xd0
	dq 0
TASK_CATCH13	equ 0xd8
	dq 0
gdt_end:
BEYOND		equ 0xe0
BAD		equ BEYOND
gdtr:	dw gdt_end - gdt - 1
	dd gdt
idtr:	dw 50 * 8 - 1
	dd idt
	align 8
ldt:	dq 0
LDT_DATA	equ 0x08 | 4
	dq 0x00cf93000000ffff
LDT_GATE_A	equ 0x10 | 4
	dw 0, TASK_A, 0x8500, 0
ldt_end:

; What make_task32 and make_task16 fill general registers with.
made_gpr:
	dd 0x78797a7b, 0x6768696a, 0x56575859, 0x45464748, stack_a_top, 0x23242526, 0x12131415, 0x01020304
made_gpr16:
	dw 0x7a7b, 0x696a, 0x5859, 0x4748, STACK16_TOP, 0x2526, 0x1415, 0x0304

expected:	dd -1		; the vector that is to come; -2: it came
resume:		dd 0
resume_esp:	dd 0
error:		dd 0
caught:		dd 0		; by a task
catcher:	dd 0
patch_eip:	dd 0		; where the main task is to go on
patched_eip:	dd 0
patched_eflags:	dd 0
with_error:	dd 0		; task_body finds an error code: 1 a doubleword, 2 a word
leave_by_jmp:	dd 0
ticks:		dd 0
nmis:		dd 0
nmis_within:	dd 0
trapped_eip:	dd 0
trapped_dr6:	dd 0
entry_size:	dd 0
page_entries:	dd 0
other_cr3:	dd 0
changed_entry:	dd 0
changed_page:	dd 0
changed_from:	dd 0
saved_esp:	dd 0

	section .bss
	alignb 4096
directory32:		resb 4096
directory32_other:	resb 4096
table32:		resb 4096
directory64:		resb 4096
directory64_other:	resb 4096
directory64_apic:	resb 4096
table64:		resb 8192
pointers:		resb 32
pointers_other:		resb 32
; In pages of their own.
	alignb 4096
tss_main:	resb TSS32_BYTES
	alignb 4096
tss_far:	resb TSS32_BYTES
	alignb 4096
		resb 4096 - 50
tss_cross:	resb TSS32_BYTES
	alignb 4096
tss_a:		resb TSS32_BYTES + 4
tss_s:		resb TSS16_BYTES + 4
tss_t:		resb TSS16_BYTES + 4
tss_catch8:	resb TSS32_BYTES
tss_catch10:	resb TSS32_BYTES
tss_catch11:	resb TSS32_BYTES
tss_catch12:	resb TSS32_BYTES
tss_catch13:	resb TSS32_BYTES
idt:		resb 50 * 8
	alignb 16
seen:		; what task_body found
.gpr:		resd 8
.eip:		resd 1
.eflags:	resd 1
.es:		resd 1
.cs:		resd 1
.ss:		resd 1
.ds:		resd 1
.fs:		resd 1
.gs:		resd 1
.tr:		resd 1
.ldtr:		resd 1
.cr0:		resd 1
.cr3:		resd 1
.dr7:		resd 1
.mark:		resd 1
.esp:		resd 1
.top:		resd 1
.busy_main:	resb 1
.busy_self:	resb 1
	alignb 16
stack16:	resb STACK16_TOP
		resb 1024
stack_a_top:
		resb 1024
stack_user_top:
		resb 1024
stack_ring0_top:
		resb 1024
stack_catch_top:
		resb 4096
stack_top:
bss_end:
