; SPDX-License-Identifier: MIT
; A Multiboot kernel that checks what its loader and its machine promise (Multiboot Specification
; version 0.6.96), says so on COM1, and ends by the debug-exit port 0xf4.
;
; The verdict is the decimal number behind VERDICT= in the first module, or 0 where there is none;
; 0x100 + the number of the first check that failed; or 0x200 + the vector of an exception.
;
; Built twice: as an ELF file, and with AOUT defined as a flat binary that is loaded by the address
; fields of its header.
	bits 32
%include "tests/payload/common.inc"

BSS_BYTES	equ 0x40000

; Fields of the boot information.
INFO_FLAGS	equ 0
INFO_MEM_LOWER	equ 4
INFO_MEM_UPPER	equ 8
INFO_CMDLINE	equ 16
INFO_MODS_COUNT	equ 20
INFO_MODS_ADDR	equ 24
INFO_MMAP_LEN	equ 44
INFO_MMAP_ADDR	equ 48
INFO_LOADER	equ 64
; Memory, command line, modules, memory map, boot loader's name.
INFO_WANTED	equ 1 | 4 | 8 | 0x40 | 0x200

PIC1_DATA	equ 0x21
PIC2_DATA	equ 0xa1

LAPIC		equ 0xfee00000
LAPIC_VERSION	equ LAPIC + 0x030
LAPIC_EOI	equ LAPIC + 0x0b0
LAPIC_SVR	equ LAPIC + 0x0f0
LAPIC_ICR	equ LAPIC + 0x300
LAPIC_LVT_TIMER	equ LAPIC + 0x320
LAPIC_TMICT	equ LAPIC + 0x380
LAPIC_TMCCT	equ LAPIC + 0x390
LAPIC_TDCR	equ LAPIC + 0x3e0
SVR_ENABLE	equ 0x100
ICR_SELF	equ 0x44000		; to myself, fixed, asserted
ICR_NMI		equ 0x4400	; to APIC id 0, asserted
NMI_VECTOR	equ 2
TIMER_VECTOR	equ 0x40
IPI_VECTOR	equ 0x41
SPURIOUS_VECTOR	equ 0xff

IVT_LIMIT	equ 0x3ff
BIOS_TICKS	equ 0x46c
REAL_CODE	equ 0x6000	; below it a stack
CS16		equ 0x18
DS16		equ 0x20

MSR_APIC_BASE	equ 0x1b
APIC_BASE_BSP	equ 0x100
APIC_BASE_EN	equ 0x800
OVER_MEMORY	equ 0x9000
OVER_NOTHING	equ 0xfed40000
TESTDEV_PORT	equ 0xe0
TESTDEV_MEM	equ 0xff000000
TESTDEV_LEN	equ 0x10000
TPR		equ 0x80	; offsets of registers
VERSION		equ 0x30
HYPERVISOR_LEAF	equ 0x40000000

EFLAGS_IF	equ 0x200

	multiboot_header

; Nothing is on a stack, and no register is changed, before the entry state is noted.
start:	mov [entry_eax], eax
	mov [entry_ebx], ebx
	mov esp, stack_top
	pushfd
	pop dword [entry_eflags]
	mov eax, cr0
	mov [entry_cr0], eax
	cld
	say "multiboot payload"

	cmp dword [entry_eax], LOADER_MAGIC
	check 1, e, "EAX has the loader's magic"
	test dword [entry_cr0], CR0_PG
	check 2, z, "paging is off"
	test dword [entry_cr0], CR0_PE
	check 3, nz, "protected mode"
	test dword [entry_eflags], EFLAGS_IF
	check 4, z, "interrupts are off"
	call check_segments
	check 5, e, "all segments are flat"
	mov dword [0x8000], 1
	mov dword [0x108000], 2
	cmp dword [0x8000], 1
	check 6, e, "A20 is on"
	mov edi, bss_test
	mov ecx, (bss_end - bss_test) / 4
	xor eax, eax
	repe scasd
	check 7, e, "the bss is zero"

	mov ebp, [entry_ebx]
	mov eax, [ebp + INFO_FLAGS]
	and eax, INFO_WANTED
	cmp eax, INFO_WANTED
	check 8, e, "memory, command line, modules, map and loader's name are there"
	mov esi, [ebp + INFO_LOADER]
	call print_line
	mov esi, [ebp + INFO_CMDLINE]
	call print_line
	mov esi, [ebp + INFO_CMDLINE]
	cmp byte [esi], '/'
	check 9, e, "the command line begins with a path"
	mov eax, [ebp + INFO_MEM_LOWER]
	sub eax, 600
	cmp eax, 40
	check 10, be, "600 to 640 KiB of lower memory"
	call check_map
	check 11, e, "the map has page 0, this program and as much memory as mem_upper"
	call check_modules
	check 12, e, "modules begin on pages, above this program"

	call load_tables
	say "ok: descriptor tables of my own"
	call check_real_mode
	check 13, e, "the BIOS's timer ends HLT in real mode, twice"
	call check_apic
	check 14, e, "the local APIC's timer and an IPI to myself interrupt"
	call check_nmi
	check 15, e, "an NMI waits for the IRET of the one before, and does not end HLT"

	; What follows is right by the SDM, but QEMU's own devices do not do it.
	mov eax, HYPERVISOR_LEAF
	cpuid
	cmp ebx, 'Tall'
	jne finish
	call check_apic_moves
	check 16, e, "the local APIC's page moves over memory and back"
	call check_testdev
	check 17, e, "the test device's memory and port keep what is written"
finish:
	call find_verdict
	jmp verdict

	common_functions

; ZF: each segment register reaches one and the same byte high up, and data of ours.
check_segments:
	mov eax, [cs:LAPIC_VERSION]
	mov ebx, [cs:header]
%macro compare 1
	cmp eax, [%1:LAPIC_VERSION]
	jne .out
	cmp ebx, [%1:header]
	jne .out
%endmacro
	compare ds
	compare es
	compare fs
	compare gs
	compare ss
	cmp ebx, HEADER_MAGIC
.out:	ret

; ZF: RAM at page 0 and around this program, and that run from 1 MiB is mem_upper KiB long, but for
; what firmware may have taken off its end.
check_map:
	mov esi, [ebp + INFO_MMAP_ADDR]
	mov edi, esi
	add edi, [ebp + INFO_MMAP_LEN]
	xor ebx, ebx		; bit 0: page 0 is there, bit 1: so is this program
.next:	cmp esi, edi
	jae .done
	cmp dword [esi + 20], 1	; type: RAM
	jne .skip
	cmp dword [esi + 8], 0	; high half of the address
	jne .skip
	cmp dword [esi + 4], 0
	jne .high
	or ebx, 1
.high:	cmp dword [esi + 4], 0x100000
	jne .skip
	cmp dword [esi + 12], LOAD_ADDRESS
	jb .skip
	mov eax, [esi + 12]
	shr eax, 10
	sub eax, [ebp + INFO_MEM_UPPER]
	neg eax
	cmp eax, 1024		; at most 1 MiB less in the map
	jae .skip
	or ebx, 2
.skip:	mov eax, [esi]
	lea esi, [esi + eax + 4]
	jmp .next
.done:	cmp ebx, 3
	ret

; ZF: all is well with them. Prints each one's command line, and the text of the first.
check_modules:
	mov ecx, [ebp + INFO_MODS_COUNT]
	mov ebx, [ebp + INFO_MODS_ADDR]
.next:	jecxz .text
	mov esi, [ebx + 8]
	call print_line
	mov eax, [ebx]
	test eax, 0xfff
	jnz .out
	cmp eax, LOAD_ADDRESS	; QEMU: in the page behind what it loads of the file
	jb .bad
	mov eax, [ebx + 4]
	cmp eax, [ebx]
	jb .bad
	add ebx, 16
	dec ecx
	jmp .next
.text:	cmp dword [ebp + INFO_MODS_COUNT], 0
	je .out
	mov ebx, [ebp + INFO_MODS_ADDR]
	mov esi, [ebx]
	mov ecx, [ebx + 4]
	sub ecx, esi
.char:	jecxz .good
	lodsb
	call put
	dec ecx
	jmp .char
.good:	xor eax, eax
.out:	ret
.bad:	or eax, 1
	ret

; EAX: the number behind VERDICT= in the first module, or 0.
find_verdict:
	xor eax, eax
	cmp dword [ebp + INFO_MODS_COUNT], 0
	je .out
	mov ebx, [ebp + INFO_MODS_ADDR]
	mov edx, [ebx + 4]
	mov ebx, [ebx]
.try:	lea ecx, [ebx + name.end - name]
	cmp ecx, edx
	jae .out
	mov esi, name
	mov edi, ebx
	mov ecx, name.end - name
	repe cmpsb
	je .digit
	inc ebx
	jmp .try
.digit:	cmp edi, edx
	jae .out
	movzx ecx, byte [edi]
	sub ecx, '0'
	cmp ecx, 9
	ja .out
	imul eax, 10
	add eax, ecx
	inc edi
	jmp .digit
.out:	ret

; A GDT and an IDT: exceptions end the program, two vectors count.
load_tables:
	lgdt [gdtr]
	jmp 0x08:.flat
.flat:	mov eax, 0x10
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov ss, eax
	mov edi, idt
	mov eax, exceptions
	mov ecx, 32
.gate:	call set_gate
	add edi, 8
	add eax, EXCEPTION_STUB
	loop .gate
	mov edi, idt + TIMER_VECTOR * 8
	mov eax, on_timer
	call set_gate
	mov edi, idt + IPI_VECTOR * 8
	mov eax, on_ipi
	call set_gate
	lidt [idtr]
	ret

; The gate at EDI leads to EAX.
set_gate:
	push eax
	mov [edi], ax
	mov word [edi + 2], 0x08
	mov word [edi + 4], 0x8e00
	shr eax, 16
	mov [edi + 6], ax
	pop eax
	ret

; ZF: went to real mode, where two ticks of the timer arrived, and back.
check_real_mode:
	mov esi, real_mode
	mov edi, REAL_CODE
	mov ecx, real_mode.end - real_mode
	rep movsb
	mov [saved_esp], esp
	lidt [ivtr]
	jmp CS16:REAL_CODE
.back:	mov eax, 0x10
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov esp, [saved_esp]
	lidt [idtr]
	cmp edx, 2
	ret

; Copied to REAL_CODE, from where only at() reaches its labels.
%define at(label) (REAL_CODE + (label) - real_mode)
	bits 16
real_mode:
	mov ax, DS16		; limits of 64 KiB
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, cr0
	and al, ~CR0_PE & 0xff
	mov cr0, eax
	jmp 0:at(.real)
.real:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, REAL_CODE
	xor edx, edx
.tick:	mov eax, [BIOS_TICKS]
.sleep:	sti
	hlt
	cli
	cmp eax, [BIOS_TICKS]
	je .sleep
	inc dx
	cmp dx, 2
	jb .tick
	mov eax, cr0
	or al, CR0_PE
	mov cr0, eax
	jmp dword 0x08:check_real_mode.back
.end:
	bits 32

; ZF: both arrived, each once.
check_apic:
	mov al, 0xff		; nothing from the 8259s
	out PIC1_DATA, al
	out PIC2_DATA, al
	mov dword [LAPIC_SVR], SVR_ENABLE | SPURIOUS_VECTOR
	mov dword [LAPIC_TDCR], 0x0b
	mov dword [LAPIC_LVT_TIMER], TIMER_VECTOR
	mov dword [LAPIC_TMICT], 100000
	sti
.wait:	cli
	cmp dword [timers], 0
	jne .ipi
	sti			; takes effect behind HLT
	hlt
	jmp .wait
.ipi:	mov dword [LAPIC_ICR], ICR_SELF | IPI_VECTOR
	sti
	nop
	nop
	cli
	mov eax, [timers]
	shl eax, 8
	or eax, [ipis]
	or eax, [LAPIC_TMCCT]	; one-shot: it stays at 0
	cmp eax, 0x101
	ret

; ZF: the second of two NMIs waited, while the first one's handler slept until the timer.
check_nmi:
	mov eax, on_nmi
	mov edi, idt + NMI_VECTOR * 8
	call set_gate
	mov dword [timers], 0
	mov dword [LAPIC_ICR], ICR_NMI
	mov ecx, 1000		; what is late is late
.late:	cmp dword [nmis], 2
	loopne .late
	cmp dword [nmis], 2
	jne .out
	cmp dword [nmis_at_timer], 1
.out:	ret

on_nmi:	inc dword [nmis]
	cmp dword [nmis], 1
	jne .out
	mov dword [LAPIC_ICR], ICR_NMI
	mov dword [LAPIC_TMICT], 100000
	sti
	hlt
	cli
.out:	iretd

; IA32_APIC_BASE = EAX.
move_apic:
	xor edx, edx
	mov ecx, MSR_APIC_BASE
	wrmsr
	ret

; ZF: the page is where it was put and only there, the registers keep their values on the way, and
; so does the memory that they cover.
check_apic_moves:
	mov esi, 0x12345678
	mov edi, OVER_MEMORY
	mov [edi - 4], esi
	mov [edi + TPR], esi
	mov [edi + 0x1000], esi
	lea eax, [edi + (APIC_BASE_EN | APIC_BASE_BSP)]
	call move_apic
	mov dword [edi + TPR], 0x30
	cmp dword [edi + TPR], 0x30
	jne .out
	cmp dword [edi + VERSION], -1
	je .bad
	cmp [edi - 4], esi	; its neighbours are memory
	jne .out
	cmp [edi + 0x1000], esi
	jne .out
	cmp dword [LAPIC_VERSION], -1
	jne .out
	mov eax, OVER_NOTHING | APIC_BASE_EN | APIC_BASE_BSP
	call move_apic
	cmp [edi + TPR], esi
	jne .out
	cmp dword [OVER_NOTHING + TPR], 0x30
	jne .out
	lea eax, [edi + APIC_BASE_BSP]	; off
	call move_apic
	cmp [edi + TPR], esi
	jne .out
	cmp dword [OVER_NOTHING + VERSION], -1
	jne .out
	mov eax, LAPIC | APIC_BASE_EN | APIC_BASE_BSP
	call move_apic
	cmp dword [LAPIC + TPR], 0	; at power-up again
.out:	ret
.bad:	or eax, 1
	ret

; ZF: so they do, and the memory ends where it should. PUSHA is an instruction that no emulator of
; device accesses knows.
check_testdev:
	mov eax, 0x44332211
	out TESTDEV_PORT, eax
	in al, TESTDEV_PORT + 2
	cmp al, 0x33
	jne .out
	mov edx, esp
	mov esp, TESTDEV_MEM + TESTDEV_LEN
	pushad
	mov esp, edx
	cmp [TESTDEV_MEM + TESTDEV_LEN - 4], eax
	jne .out
	cmp dword [TESTDEV_MEM + TESTDEV_LEN], -1
	jne .out
	cmp dword [TESTDEV_MEM], 0
.out:	ret

on_timer:
	inc dword [timers]
	push dword [nmis]
	pop dword [nmis_at_timer]
	mov dword [LAPIC_EOI], 0
	iretd

on_ipi:	inc dword [ipis]
	mov dword [LAPIC_EOI], 0
	iretd

	exception_stubs
exception:
	say "FAIL: an exception"
	pop eax
	add eax, 0x200
	jmp verdict

; The text at ESI, and a newline.
print_line:
	call print
	mov al, 10
	jmp put

	section .rodata
name:	db "VERDICT="
.end:
	align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
	dq 0x00009b000000ffff, 0x000093000000ffff ; of 64 KiB, for the way to real mode
gdtr:	dw gdtr - gdt - 1
	dd gdt
ivtr:	dw IVT_LIMIT
	dd 0
idtr:	dw idt_end - idt - 1
	dd idt

	section .data
entry_eax:	dd 0
entry_ebx:	dd 0
entry_eflags:	dd 0
entry_cr0:	dd 0
saved_esp:	dd 0
timers:		dd 0
ipis:		dd 0
nmis:		dd 0
nmis_at_timer:	dd 0

	section .bss
	alignb 16
idt:		resb 256 * 8
idt_end:
		resb 4096
stack_top:
bss_test:	resb BSS_BYTES
bss_end:
