; SPDX-License-Identifier: MIT
; How a payload in C begins: a Multiboot kernel (Multiboot Specification 0.6.96) that is entered in
; protected mode without paging, and calls payload_start() in 64-bit mode with the first 4 GiB
; mapped one to one. And the 256 entries of its interrupt table: all lead to trap().

HEADER_MAGIC	equ 0x1badb002
WANT_MEMORY	equ 2

INFO_FLAGS	equ 0
INFO_CMDLINE	equ 16
HAS_CMDLINE	equ 4

COM1		equ 0x3f8
COM1_LSR	equ 0x3fd
LSR_THRE	equ 0x20
DEBUG_EXIT	equ 0xf4
NO_LONG_MODE	equ 0xff	; the verdict then

EXT_MAX_LEAF	equ 0x80000000
EXT_FEATURES	equ 0x80000001
EXT_LONG_MODE	equ 1 << 29

CR0_PG		equ 1 << 31
CR4_PAE		equ 1 << 5
MSR_EFER	equ 0xc0000080
EFER_LME	equ 1 << 8

PTE_PRESENT	equ 1
PTE_WRITABLE	equ 2
PTE_UNCACHED	equ 0x18	; PWT and PCD
PTE_LARGE	equ 0x80
DEVICES		equ 0xfec00000 >> 21	; number of the first 2 MiB page that is uncached
PAGES		equ 4 * 512

	global start, trap_stubs, payload_cmdline
	extern payload_start, trap

	section .multiboot
	align 4
	dd HEADER_MAGIC, WANT_MEMORY, -(HEADER_MAGIC + WANT_MEMORY)

	section .text
	bits 32
start:	cld
	mov esp, stack_top
	test dword [ebx + INFO_FLAGS], HAS_CMDLINE
	jz .tables
	mov eax, [ebx + INFO_CMDLINE]
	mov [payload_cmdline], eax
.tables:
	mov eax, EXT_MAX_LEAF
	cpuid
	cmp eax, EXT_FEATURES
	jb refuse
	mov eax, EXT_FEATURES
	cpuid
	test edx, EXT_LONG_MODE
	jz refuse

	mov dword [pml4], pdpt + PTE_PRESENT + PTE_WRITABLE
	xor ecx, ecx
.pdpt:	mov eax, ecx
	shl eax, 12
	add eax, pd + PTE_PRESENT + PTE_WRITABLE
	mov [pdpt + ecx * 8], eax
	inc ecx
	cmp ecx, 4
	jb .pdpt
	xor ecx, ecx
.pd:	mov eax, ecx
	shl eax, 21
	or eax, PTE_PRESENT | PTE_WRITABLE | PTE_LARGE
	cmp ecx, DEVICES
	jb .store
	or eax, PTE_UNCACHED
.store:	mov [pd + ecx * 8], eax
	inc ecx
	cmp ecx, PAGES
	jb .pd

	mov eax, cr4
	or eax, CR4_PAE
	mov cr4, eax
	mov eax, pml4
	mov cr3, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME
	wrmsr
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	lgdt [gdtr]
	jmp 0x08:long_mode

; A message, and the end: no C runs here.
refuse:	mov esi, no_long_mode
.next:	lodsb
	test al, al
	jz .end
	mov ah, al
	mov edx, COM1_LSR
.busy:	in al, dx
	test al, LSR_THRE
	jz .busy
	mov al, ah
	mov edx, COM1
	out dx, al
	jmp .next
.end:	mov eax, NO_LONG_MODE
	mov edx, DEBUG_EXIT
	out dx, eax
.stay:	cli
	hlt
	jmp .stay

	bits 64
long_mode:
	mov eax, 0x10
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov ss, eax
	call payload_start	; does not return

; Vectors for which the processor pushes an error code (SDM volume 3, table 6-1).
%define HAS_ERROR(v) (v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30)

	align 16
trap_stubs:
%assign vector 0
%rep 256
	align 16
%if !HAS_ERROR(vector)
	push 0
%endif
	push strict dword vector
	jmp near trap_common
%assign vector vector + 1
%endrep

; struct trap_frame is what lies on the stack now. The processor aligned it to 16 bytes before it
; pushed 5 words; with these 17 it is aligned again.
trap_common:
	push rax
	push rcx
	push rdx
	push rbx
	push rbp
	push rsi
	push rdi
	push r8
	push r9
	push r10
	push r11
	push r12
	push r13
	push r14
	push r15
	cld
	mov rdi, rsp
	call trap
	pop r15
	pop r14
	pop r13
	pop r12
	pop r11
	pop r10
	pop r9
	pop r8
	pop rdi
	pop rsi
	pop rbp
	pop rbx
	pop rdx
	pop rcx
	pop rax
	add rsp, 16
	iretq

	section .rodata
no_long_mode:
	db "FAIL: this payload needs a processor with 64-bit mode", 10, 0
	align 8
gdt:	dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	dw gdtr - gdt - 1
	dd gdt

	section .data
payload_cmdline:
	dq 0

	section .bss
	alignb 4096
pml4:	resb 4096
pdpt:	resb 4096
pd:	resb 4 * 4096
	resb 32768
stack_top:
