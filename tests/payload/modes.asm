; SPDX-License-Identifier: MIT
; A Multiboot kernel that takes the processor through its modes: paging off, 32-bit paging, off, PAE
; paging, off, IA-32e mode, off, and at last real mode. It looks at what each register reads, at
; which memory an address leads to, and at the writes that have to fault.
;
; The verdict is 0; 0x100 + the number of the first check that failed; or 0x200 + the vector of an
; exception that was not expected.
	bits 32
%include "tests/payload/common.inc"

CR0_NW		equ 1 << 29
CR0_WP		equ 1 << 16
CR4_PSE		equ 1 << 4
CR4_PAE		equ 1 << 5
CR4_PGE		equ 1 << 7
CR4_SMEP	equ 1 << 20
CR4_SMAP	equ 1 << 21
EFER		equ 0xc0000080
EFER_LME	equ 1 << 8
EFER_LMA	equ 1 << 10

PTE_P		equ 1
PTE_W		equ 2
PTE_U		equ 4
PTE_A		equ 0x20
PTE_D		equ 0x40
PTE_PS		equ 0x80

BP_VECTOR	equ 3
GP_VECTOR	equ 13
PF_VECTOR	equ 14

CODE32		equ 0x08
DATA		equ 0x10
CODE64		equ 0x18

; Memory of no use to anybody else: with paging on, SECOND leads to FIRST.
FIRST		equ 0x800000
SECOND		equ 0xc00000
NOWHERE		equ 0x60000000		; mapped by no page table here
MARK1		equ 0x11111111
MARK2		equ 0x22222222

; Where the hypervisor may keep the page directory of its identity map.
IDENTITY_MAP	equ 0xfffbc000

; faulting VECTOR, INSTRUCTION: ZF where it raised that exception, and nothing else did.
%macro faulting 2
	mov dword [expected], %1
	mov dword [resume], %%after
	mov [resume_esp], esp
	%2
	mov dword [expected], -1
%%after:
	cmp dword [expected], -2	; as the handler leaves it
%endmacro

	multiboot_header

start:	mov esp, stack_top
	cld
	call load_tables
	call make_page_tables

	; Paging is off.
	mov eax, cr0
	and eax, CR0_PE | CR0_PG
	cmp eax, CR0_PE
	check 1, e, "it begins with paging off"
	call set_marks
	call marks_apart
	check 2, e, "every address is its own"
	mov eax, 0x12345018
	mov cr3, eax
	mov ebx, cr3
	cmp eax, ebx
	check 3, e, "CR3 keeps what is written"
	mov eax, CR4_PSE | CR4_PGE
	mov cr4, eax
	mov ebx, cr4
	cmp eax, ebx
	check 4, e, "CR4 keeps PSE and PGE"
	xor eax, eax
	mov cr4, eax
	mov ebx, cr4
	test ebx, ebx
	check 5, z, "CR4 reads 0 again"
	call supervisor_protection
	check 6, e, "SMEP and SMAP, where they exist, do nothing yet"
	mov dword [IDENTITY_MAP + (FIRST >> 20)], 0
	mov dword [IDENTITY_MAP + (SECOND >> 20)], 0
	mov eax, cr3
	mov cr3, eax
	call marks_apart
	check 7, e, "a write to the hypervisor's page changes nothing"
	mov dword [breakpoints], 0
	int3
	cmp dword [breakpoints], 1
	check 8, e, "a breakpoint"
	mov eax, cr0
	and eax, ~CR0_PE
	or eax, CR0_PG
	faulting GP_VECTOR, {mov cr0, eax}
	check 9, e, "paging without protection is #GP"
	mov eax, cr0
	or eax, CR0_NW
	faulting GP_VECTOR, {mov cr0, eax}
	check 10, e, "NW without CD is #GP"

	; 32-bit paging.
	mov eax, CR4_PSE
	mov cr4, eax
	mov eax, directory32
	call paging_on
	mov eax, cr0
	test eax, CR0_PG
	check 11, nz, "32-bit paging"
	call marks_together
	check 12, e, "its translation"
	mov eax, cr3
	cmp eax, directory32
	check 13, e, "CR3 as it was set"
	mov eax, [directory32 + 4 * (SECOND >> 22)]
	and eax, PTE_A | PTE_D
	cmp eax, PTE_A | PTE_D
	check 14, e, "accessed and dirty flags"
	faulting PF_VECTOR, {mov eax, [NOWHERE]}
	check 15, e, "#PF where nothing is mapped"
	mov eax, cr2
	cmp eax, NOWHERE
	check 16, e, "its address"

	call paging_off
	call marks_apart
	check 17, e, "paging off again"
	mov eax, cr3
	cmp eax, directory32
	check 18, e, "CR3 is still the guest's"
	mov eax, cr4
	cmp eax, CR4_PSE
	check 19, e, "so is CR4"

	; PAE paging: the processor reads four entries when it begins, and checks them.
	mov eax, CR4_PAE
	mov cr4, eax
	mov dword [pointers], directory64 + (PTE_P | PTE_W)	; W is reserved here
	mov eax, pointers
	mov cr3, eax
	mov eax, cr0
	or eax, CR0_PG
	faulting GP_VECTOR, {mov cr0, eax}
	check 20, e, "a reserved bit in a PDPTE is #GP"
	call marks_apart
	check 21, e, "and paging stayed off"
	and dword [pointers], ~PTE_W
	mov eax, pointers
	call paging_on
	call marks_together
	check 22, e, "PAE paging"
	or dword [pointers], PTE_W
	mov eax, pointers
	faulting GP_VECTOR, {mov cr3, eax}
	check 23, e, "a reserved bit in a PDPTE again, with MOV to CR3"
	call paging_off
	call marks_apart
	check 24, e, "paging off"

	; IA-32e mode.
	mov ecx, EFER
	rdmsr
	or eax, EFER_LME
	wrmsr
	rdmsr
	and eax, EFER_LME | EFER_LMA
	cmp eax, EFER_LME
	check 25, e, "LME alone does not begin IA-32e mode"
	xor eax, eax
	mov cr4, eax
	mov eax, cr0
	or eax, CR0_PG
	faulting GP_VECTOR, {mov cr0, eax}
	check 26, e, "without PAE it is #GP"
	mov eax, CR4_PAE
	mov cr4, eax
	or dword [pointers], PTE_W	; no PDPTE any more, but an entry of a table
	mov eax, top
	call paging_on
	mov ecx, EFER
	rdmsr
	and eax, EFER_LME | EFER_LMA
	cmp eax, EFER_LME | EFER_LMA
	check 27, e, "IA-32e mode"
	call marks_together
	check 28, e, "its translation, from 32-bit code"
	call CODE64:in_64_bits
	cmp eax, 0x2468ace0
	check 29, e, "64-bit code"
	call paging_off
	mov ecx, EFER
	rdmsr
	and eax, EFER_LME | EFER_LMA
	cmp eax, EFER_LME
	check 30, e, "it ends with paging, and LME stays"
	call marks_apart
	check 31, e, "every address is its own again"
	mov ecx, EFER
	rdmsr
	and eax, ~EFER_LME
	wrmsr
	xor eax, eax
	mov cr4, eax

	; Real mode: with the segments that protected mode left, this code goes on.
	say "into real mode"
	mov eax, cr0
	and eax, ~CR0_PE
	mov cr0, eax
	mov ebx, cr0
	xor eax, eax
	test ebx, CR0_PE
	jz .end
	mov eax, 0x1ff
.end:	mov edx, DEBUG_EXIT
	out dx, eax
.stay:	cli
	hlt
	jmp .stay

	common_functions

; Paging on, with EAX for CR3.
paging_on:
	mov cr3, eax
	mov eax, cr0
	or eax, CR0_PG | CR0_WP
	mov cr0, eax
	ret

paging_off:
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax
	ret

set_marks:
	mov dword [FIRST], MARK1
	mov dword [SECOND], MARK2
	ret

; ZF: FIRST and SECOND are two places, and have their marks; which they get again.
marks_apart:
	cmp dword [FIRST], MARK1
	jne .out
	cmp dword [SECOND], MARK2
	jne .out
	call set_marks
	xor eax, eax
.out:	ret

; ZF: SECOND is FIRST, for reading and for writing.
marks_together:
	cmp dword [SECOND], MARK1
	jne .out
	mov dword [SECOND], MARK2
	cmp dword [FIRST], MARK2
	jne .out
	mov dword [FIRST], MARK1
	cmp dword [SECOND], MARK1
.out:	ret

; ZF: with SMEP and SMAP set, as far as there are such, memory is as it was.
supervisor_protection:
	xor eax, eax
	cpuid
	xor ebx, ebx
	cmp eax, 7
	jb .set
	mov eax, 7
	xor ecx, ecx
	cpuid
.set:	xor edx, edx
	bt ebx, 7
	jnc .smap
	or edx, CR4_SMEP
.smap:	bt ebx, 20
	jnc .write
	or edx, CR4_SMAP
.write:	mov cr4, edx
	mov eax, cr4
	cmp eax, edx
	jne .out
	call marks_apart
	jne .out
	xor eax, eax
	mov cr4, eax
	mov eax, cr4
	test eax, eax
.out:	ret

; The first 16 MiB as they are, but for SECOND, which leads to FIRST: in 4 MiB pages for 32-bit
; paging, in 2 MiB pages for the two others.
make_page_tables:
	mov edi, directory32
	mov eax, PTE_P | PTE_W | PTE_U | PTE_PS
	mov ecx, 4
.wide:	mov [edi], eax
	add edi, 4
	add eax, 4 << 20
	loop .wide
	mov dword [directory32 + 4 * (SECOND >> 22)], FIRST | PTE_P | PTE_W | PTE_PS
	mov edi, directory64
	mov eax, PTE_P | PTE_W | PTE_U | PTE_PS
	mov ecx, 8
.page:	mov [edi], eax
	add edi, 8
	add eax, 2 << 20
	loop .page
	mov dword [directory64 + 8 * (SECOND >> 21)], FIRST | PTE_P | PTE_W | PTE_PS
	mov dword [top], pointers + (PTE_P | PTE_W)
	; Once more from 512 GiB on: out of the reach of 32-bit code.
	mov dword [top + 8], pointers + (PTE_P | PTE_W)
	ret

load_tables:
	lgdt [gdtr]
	jmp CODE32:.flat
.flat:	mov eax, DATA
	mov ds, eax
	mov es, eax
	mov ss, eax
	load_exceptions CODE32
	ret

	exception_stubs
exception:
	cmp dword [esp], BP_VECTOR
	je .breakpoint
	push eax
	mov eax, [esp + 4]
	cmp eax, [expected]
	pop eax
	jne .wrong
	mov dword [expected], -2
	mov esp, [resume_esp]
	jmp [resume]
.breakpoint:
	inc dword [breakpoints]
	add esp, 4
	iretd
.wrong:	say "FAIL: an exception"
	pop eax
	add eax, 0x200
	jmp verdict

	bits 64
; EAX: 0x2468ace0, if 64-bit code finds FIRST where 32-bit code cannot look.
in_64_bits:
	mov rbx, (1 << 39) + FIRST
	mov eax, [rbx]
	cmp eax, MARK1
	jne .out
	mov rax, 0x123456701234567
	mov rcx, rax
	shr rcx, 32
	cmp ecx, 0x1234567
	jne .out
	mov eax, 0x2468ace0
.out:	retf
	bits 32

	section .rodata
	align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr:	dw gdtr - gdt - 1
	dd gdt
idtr:	dw 32 * 8 - 1
	dd idt

	section .data
expected:	dd -1		; the vector that is to come; -2: it came
resume:		dd 0
resume_esp:	dd 0
breakpoints:	dd 0

	section .bss
	alignb 4096
directory32:	resb 4096
directory64:	resb 4096
pointers:	resb 4096
top:		resb 4096
idt:		resb 32 * 8
		resb 4096
stack_top:
bss_end:
