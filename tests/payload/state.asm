; SPDX-License-Identifier: MIT
; A Multiboot kernel that looks at everything a processor and a PC hold at its first instruction,
; says on COM1 whether that is what a reset leaves, then leaves a pattern of its own in all of it and
; waits for a letter: by which door to reset the machine. Its second life does the same, so what it
; prints must be the same, whoever ran before.
;
;   c  reset control register, port 0xcf9      i  INIT to itself by the local APIC
;   k  keyboard controller, port 0x64          t  triple fault
;   p  system control port A, port 0x92        e  no reset: debug exit with the number of failures
;
; "ok" and "FAIL" lines are judged here. "sum" lines are checksums, to be compared with those of
; another life; "dirt" lines are the same ones after the patterns, to be different.
	bits 32

LOAD_ADDRESS	equ 0x400000
SCAN_FROM	equ 0x1000000		; memory from here on is nobody's at the start
TABLES		equ 0xe0000		; firmware tables, to 1 MiB
TABLES_BYTES	equ 0x20000

HEADER_MAGIC	equ 0x1badb002
LOADER_MAGIC	equ 0x2badb002
HAS_ADDRESSES	equ 0x10000
INFO_MEM_UPPER	equ 8
INFO_MODS_COUNT	equ 20
INFO_MODS_ADDR	equ 24

COM1		equ 0x3f8
COM1_IER	equ 0x3f9
COM1_MCR	equ 0x3fc
COM1_LSR	equ 0x3fd
COM1_SCR	equ 0x3ff
LSR_DR		equ 0x01
LSR_THRE	equ 0x20
DEBUG_EXIT	equ 0xf4
PM_ENABLE	equ 0x602
PM_CONTROL	equ 0x604

LAPIC		equ 0xfee00000
IOAPIC		equ 0xfec00000
IOAPIC_WINDOW	equ IOAPIC + 0x10
TIMER_VECTOR	equ 0x40
IPI_VECTOR	equ 0x41

MSR_TSC		equ 0x10
MSR_APIC_BASE	equ 0x1b
MSR_X2APIC_ICR	equ 0x830
MSR_EFER	equ 0xc0000080
MSR_FS_BASE	equ 0xc0000100
MSR_GS_BASE	equ 0xc0000101
EFER_LME	equ 0x100
EFER_SCE_NXE	equ 0x801

CR0_PG		equ 0x80000000
CR0_DIRT	equ 0x5002a		; MP, TS, NE, WP, AM
CR4_PAE		equ 0x20
CR4_SSE		equ 0x600		; OSFXSR, OSXMMEXCPT
CR4_OSXSAVE	equ 0x40000
CR4_DIRT	equ 0x188		; DE, PGE, PCE

EXITS_LEAF	equ 0x4fffffff
FEW_EXITS	equ 4			; that the guest's first instructions may have had
SOON		equ 1000000		; ticks

FXSAVE_MXCSR	equ 24
FXSAVE_REGS	equ 32			; eight x87 registers and sixteen XMM
FXSAVE_REGS_END	equ 416
XSAVE_HEADER	equ 512
XSAVE_EXTENDED	equ 576
XSAVE_MAX	equ 4096

; say TEXT: one line.
%macro say 1
	section .rodata
%%text:	db %1, 10, 0
	section .text
	mov esi, %%text
	call print
%endmacro

; check CONDITION, TEXT: the condition is a suffix of Jcc.
%macro check 2
	j%+1 %%good
	inc dword [failures]
	say {"FAIL: ", %2}
	jmp %%out
%%good:	say {"ok: ", %2}
%%out:
%endmacro

%ifdef AOUT
	org LOAD_ADDRESS
%else
	global start
%endif

	section .text
	align 4
%ifdef AOUT
header:	dd HEADER_MAGIC, HAS_ADDRESSES, -(HEADER_MAGIC + HAS_ADDRESSES)
	dd header, LOAD_ADDRESS, 0, bss_end, start
%else
header:	dd HEADER_MAGIC, 0, -HEADER_MAGIC
%endif

; ---------------------------------------------------------------------------------------------
; Nothing changes before it was noted.
start:	mov [v_eax], eax
	mov [info], ebx
	mov [v_ecx], ecx
	mov [v_edx], edx
	mov [v_esi], esi
	mov [v_edi], edi
	mov [v_ebp], ebp
	mov [v_esp], esp
	mov esp, stack_top
	pushfd
	pop dword [v_eflags]
	mov eax, EXITS_LEAF
	cpuid
	mov [exits], eax
	rdtsc
	mov [ticks], eax
	mov [ticks + 4], edx
%macro note_register 1
	mov eax, %1
	mov [v_%1], eax
%endmacro
	note_register cr0
	note_register cr2
	note_register cr3
	note_register cr4
	note_register dr0
	note_register dr1
	note_register dr2
	note_register dr3
	note_register dr6
	note_register dr7
	sidt [scratch]
	movzx eax, word [scratch]
	mov [v_idt_limit], eax
	mov eax, [scratch + 2]
	mov [v_idt_base], eax
	xor eax, eax
	sldt ax
	mov [v_ldtr], eax
	str ax
	mov [v_tr], eax
%macro note_msr 2
	mov ecx, %2
	rdmsr
	mov [v_%1], eax
	mov [v_%1 + 4], edx
%endmacro
	note_msr efer, MSR_EFER
	note_msr fs_base, MSR_FS_BASE
	note_msr gs_base, MSR_GS_BASE

; 64-bit mode, all of the low 4 GiB mapped one to one.
	cld
	mov dword [pml4], pdpt + 3
	mov edi, pdpt
	mov eax, directories + 3
	mov ecx, 4
.pdpt:	mov [edi], eax
	add edi, 8
	add eax, 4096
	loop .pdpt
	mov edi, directories
	mov eax, 0x83			; present, writable, 2 MiB
	mov ecx, 2048
.pde:	mov [edi], eax
	add edi, 8
	add eax, 0x200000
	loop .pde
	mov eax, CR4_PAE | CR4_SSE
	mov cr4, eax
	mov eax, pml4
	mov cr3, eax
	mov ecx, MSR_EFER
	mov eax, EFER_LME
	xor edx, edx
	wrmsr
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	lgdt [gdtr]
	jmp 0x08:long_mode

	bits 64
long_mode:
%assign i 8
%rep 8
	mov [v_r%+i], r%+i
%assign i i + 1
%endrep
	mov rax, cr8
	mov [v_cr8], rax
	call load_idt
	say "state payload"
	call check_noted
	cmp dword [exits], FEW_EXITS
	check b, "the exit counters began at 0"
	mov rax, SOON
	cmp [ticks], rax
	check b, "the time-stamp counter began at 0"
	call check_fpu
	call check_msrs
	call check_random
	sti
	times 8 nop
	cli
	cmp dword [interrupts], 0
	check e, "no interrupt was pending"
	call check_memory
	call sum_devices

; ---------------------------------------------------------------------------------------------
; And now a pattern in all of it.
	call soil_devices
	mov byte [prefix], 'd'
	call sum_devices
	call soil_msrs
	call soil_memory
	call soil_fpu
	mov ecx, MSR_APIC_BASE		; x2APIC mode
	rdmsr
	or eax, 0x400
	wrmsr
	say "ready"
	call soil_registers

; The letter; I/O is all that is left to do.
wait_key:
	mov edx, COM1_LSR
.poll:	in al, dx
	test al, LSR_DR
	jz .poll
	mov edx, COM1
	in al, dx
	cmp al, 'c'
	je .cf9
	cmp al, 'k'
	je .keyboard
	cmp al, 'p'
	je .port92
	cmp al, 'i'
	je .init
	cmp al, 't'
	je .triple
	cmp al, 'e'
	jne wait_key
	mov eax, [failures]
	out DEBUG_EXIT, eax
.cf9:	mov edx, 0xcf9
	mov al, 0x06
	out dx, al
	jmp stay
.keyboard:
	mov al, 0xfe
	out 0x64, al
	jmp stay
.port92:
	in al, 0x92
	or al, 1
	out 0x92, al
	jmp stay
.init:	mov ecx, MSR_X2APIC_ICR
	mov eax, 0x4500			; to APIC 0, which is this one
	xor edx, edx
	wrmsr
	jmp stay
.triple:
	lidt [no_idt]
	ud2
stay:	jmp stay

; ---------------------------------------------------------------------------------------------
; Registers as they were noted, against `noted_rows`.
check_noted:
	mov ebx, noted_rows
	mov ebp, values
.next:	mov rax, [rbp]
	mov rdx, [rbx]
	lea edi, [rbx + 8]
	call judge
	add ebp, 8
	add ebx, NOTED_ROW
	cmp ebx, noted_rows_end
	jb .next
	ret

; RAX should be RDX; its name is at EDI.
judge:	cmp rax, rdx
	je good
	inc dword [failures]
	mov r8, rdx
	mov rdx, rax			; print uses AL
	mov esi, text_fail
	call print
	mov esi, edi
	call print
	mov esi, text_is
	call print
	call print_hex
	mov esi, text_not
	call print
	mov rdx, r8
	call print_hex
	jmp newline
good:	mov esi, text_ok
say_name:
	call print
	mov esi, edi
	call print
newline:
	mov al, 10
	jmp put

; Each row of `msrs`: there, or absent where it may be, and its reset value.
check_msrs:
	mov ebx, msrs
.next:	mov ecx, [rbx]
	lea edi, [rbx + 24]
	call read_msr
	jc .fault
	mov rdx, [rbx + 8]
	test byte [rbx + 4], ANY
	cmovnz rdx, rax
	push rax
	call judge
	pop rdx
	test byte [rbx + 4], ANY
	jz .done
	call print_value
	jmp .done
.fault:	mov esi, text_absent
	test byte [rbx + 4], MAY_BE_ABSENT
	jnz .say
	inc dword [failures]
	mov esi, text_fail
.say:	call say_name
.done:	add ebx, MSR_ROW
	cmp ebx, msrs_end
	jb .next
	ret

; The pattern in each that is there; it has to read back.
soil_msrs:
	mov ebx, msrs
.next:	mov ecx, [rbx]
	call read_msr
	jc .done
	mov rax, [rbx + 16]
	test byte [rbx + 4], READ_ONLY
	jnz .done
	mov rdx, rax
	shr rdx, 32
	wrmsr				; an exception is a failure
	rdmsr
	shl rdx, 32
	or rax, rdx
	mov rdx, [rbx + 16]
	cmp rax, rdx
	je .done
	lea edi, [rbx + 24]
	call judge
.done:	add ebx, MSR_ROW
	cmp ebx, msrs_end
	jb .next
	ret

; RDMSR of ECX into RAX; CF: it faulted.
read_msr:
	mov dword [fixup], .fault
	mov [fixup_rsp], rsp
	rdmsr
	mov dword [fixup], 0
	shl rdx, 32
	or rax, rdx
	clc
	ret
.fault:	mov dword [fixup], 0
	stc
	ret

; x87, SSE and whatever XCR0 has: initial values.
check_fpu:
	mov eax, 1
	cpuid
	bt ecx, 26			; XSAVE
	jnc .legacy
	mov rax, cr4
	or eax, CR4_OSXSAVE
	mov cr4, rax
	xor ecx, ecx
	xgetbv
	shl rdx, 32
	or rax, rdx
	cmp rax, 1
	check e, "XCR0 is 1"
	mov eax, 0xd
	xor ecx, ecx
	cpuid
	mov [components], eax
	mov [components + 4], edx
	xor ecx, ecx
	xsetbv
	xsave64 [fpu]
	jmp .saved
.legacy:
	fxsave64 [fpu]
.saved:	cmp dword [fpu], 0x037f		; control word; status word 0
	check e, "x87 is as FNINIT leaves it"
	cmp dword [fpu + FXSAVE_MXCSR], 0x1f80
	check e, "MXCSR is 0x1f80"
	mov edi, fpu + FXSAVE_REGS
	mov ecx, FXSAVE_REGS_END - FXSAVE_REGS
	call all_zero
	check e, "x87 and XMM registers are 0"
	mov edi, fpu + XSAVE_EXTENDED
	mov ecx, XSAVE_MAX - XSAVE_EXTENDED
	call all_zero
	check e, "the state beyond XMM is 0"
	ret

; ZF: the ECX bytes at EDI are 0.
all_zero:
	xor eax, eax
	repe scasb
	ret

soil_fpu:
	mov edi, fpu + FXSAVE_REGS
	mov ecx, FXSAVE_REGS_END - FXSAVE_REGS
	mov al, 0x5a
	rep stosb
	mov dword [fpu], 0x80810c40	; exceptions unmasked, one pending, round towards zero
	mov byte [fpu + 4], 0xff	; no register is empty
	mov dword [fpu + FXSAVE_MXCSR], 0xe03f ; the same, and flush to zero
	cmp qword [components], 0
	je .legacy
	mov edi, fpu + XSAVE_EXTENDED
	mov ecx, XSAVE_MAX - XSAVE_EXTENDED
	rep stosb
	mov eax, [components]
	mov edx, [components + 4]
	mov [fpu + XSAVE_HEADER], eax
	mov [fpu + XSAVE_HEADER + 4], edx
	xrstor64 [fpu]
	ret
.legacy:
	fxrstor64 [fpu]
	ret

; Random-number instructions: what CPUID says of them, and whether they execute.
check_random:
	mov eax, 1
	cpuid
	bt ecx, 30
	mov edi, text_rdrand
	call .say_shown
	mov dword [fixup], .no_rdrand
	mov [fixup_rsp], rsp
	rdrand eax
	mov esi, text_executes
	jmp .seed
.no_rdrand:
	mov esi, text_ud
.seed:	mov dword [fixup], 0
	call print
	mov eax, 7
	xor ecx, ecx
	cpuid
	bt ebx, 18
	mov edi, text_rdseed
	call .say_shown
	mov dword [fixup], .no_rdseed
	mov [fixup_rsp], rsp
	rdseed eax
	mov esi, text_executes
	jmp .out
.no_rdseed:
	mov esi, text_ud
.out:	mov dword [fixup], 0
	jmp print
.say_shown:
	mov esi, text_shown
	mov eax, text_hidden
	cmovnc esi, eax
	push rsi
	mov esi, edi
	call print
	pop rsi
	jmp print

; ---------------------------------------------------------------------------------------------
; The program and its module as the files have them, tables as ever, and the rest of memory empty.
check_memory:
	mov edi, ballast
	mov ecx, BALLAST_BYTES
	mov al, 0x42
	repe scasb
	check e, "the program was loaded"
	mov edi, bss_test
	mov ecx, bss_end - bss_test
	call all_zero
	check e, "its bss is 0"
	call find_rest
	xor eax, eax
	repe scasq
	check e, "memory is 0"
	mov ebp, [info]
	cmp dword [rbp + INFO_MODS_COUNT], 1
	check e, "there is one module"
	mov ebx, [rbp + INFO_MODS_ADDR]
	mov edi, [rbx]
	mov ecx, [rbx + 4]
	sub ecx, edi
	mov eax, text_module
	call sum_bytes
	mov edi, TABLES
	mov ecx, TABLES_BYTES
	mov eax, text_tables
	call sum_bytes
	mov edi, [info]
	mov ecx, 4096
	mov eax, text_info
	jmp sum_bytes

; RDI and RCX: all from SCAN_FROM to the end, in quadwords.
find_rest:
	mov eax, [info]
	mov ecx, [rax + INFO_MEM_UPPER]
	shl rcx, 10
	sub rcx, SCAN_FROM - 0x100000
	shr rcx, 3
	mov edi, SCAN_FROM
	ret

soil_memory:
	call find_rest
	mov rax, 0x5a5a5a5a5a5a5a5a
	rep stosq
	mov ebp, [info]
	mov ebx, [rbp + INFO_MODS_ADDR]
	mov edi, [rbx]
	mov ecx, [rbx + 4]
	sub ecx, edi
	rep stosb
	mov edi, TABLES
	mov ecx, TABLES_BYTES
	rep stosb
	mov edi, ballast
	mov ecx, BALLAST_BYTES
	rep stosb
	mov edi, bss_test
	mov ecx, bss_end - bss_test
	rep stosb
	mov dword [header], eax
	ret

; ---------------------------------------------------------------------------------------------
; Each device's registers but those that tell the time.
sum_devices:
	mov edi, text_pic
	xor r12, r12
%macro sum_port 1-2 0xff
	mov edx, %1
	in al, dx
	and al, %2
	movzx eax, al
	call mix
%endmacro
	sum_port 0x20
	sum_port 0x21
	sum_port 0xa0
	sum_port 0xa1
	sum_port 0x4d0
	sum_port 0x4d1
	call print_sum

	mov edi, text_pit
	mov al, 0xee			; read-back: the status of all three
	out 0x43, al
	sum_port 0x40, 0x7f
	sum_port 0x41, 0x7f
	sum_port 0x42, 0x7f
	sum_port 0x61, 0x0f
	call print_sum

	mov edi, text_cmos
	mov ebx, 10
.cmos:	mov eax, ebx
	out 0x70, al
	in al, 0x71
	cmp ebx, 12			; flags: reading clears them
	je .flags
	cmp ebx, 10
	jne .whole
	and al, 0x7f			; an update is under way
.whole:	movzx eax, al
	call mix
.flags:	inc ebx
	cmp ebx, 0x80
	jb .cmos
	call print_sum

	mov edi, text_uart
	sum_port 0x3f9
	sum_port 0x3fb
	sum_port 0x3fc
	sum_port 0x3ff
	call print_sum

	mov edi, text_pm
	sum_port 0x600
	sum_port 0x601
	sum_port 0x602
	sum_port 0x603
	sum_port 0x604
	sum_port 0x605
	sum_port 0xcf9
	sum_port 0x92
	call print_sum

	mov edi, text_lapic
	mov ebx, lapic_registers
.lapic:	movzx eax, word [rbx]
	mov edx, LAPIC
	mov eax, [rdx + rax]
	call mix
	add ebx, 2
	cmp ebx, lapic_registers_end
	jb .lapic
	call print_sum

	mov edi, text_ioapic
	xor ebx, ebx
.ioapic:
	mov eax, IOAPIC
	mov [rax], ebx
	mov eax, IOAPIC_WINDOW
	mov eax, [rax]
	call mix
	inc ebx
	cmp ebx, 3
	jne .pins
	mov ebx, 0x10
.pins:	cmp ebx, 0x40
	jb .ioapic
	jmp print_sum

; EAX into the checksum R12.
mix:	rol r12, 7
	xor r12, rax
	imul r12, r12, 0x01000193
	inc r12
	ret

soil_devices:
%macro set_port 2
	mov edx, %1
	mov al, %2
	out dx, al
%endmacro
	set_port 0x20, 0x11
	set_port 0x21, 0x50
	set_port 0x21, 0x04
	set_port 0x21, 0x01
	set_port 0xa0, 0x11
	set_port 0xa1, 0x58
	set_port 0xa1, 0x02
	set_port 0xa1, 0x01
	set_port 0x21, 0xab
	set_port 0xa1, 0xd5
	set_port 0x4d0, 0x20
	set_port 0x4d1, 0x0c
	set_port 0x43, 0x34		; channel 0: mode 2
	set_port 0x40, 0x34
	set_port 0x40, 0x12
	set_port 0x43, 0xb6		; channel 2: mode 3
	set_port 0x42, 0x78
	set_port 0x42, 0x56
	set_port 0x61, 0x03
	set_port 0x70, 0x0a
	set_port 0x71, 0x2a
	set_port 0x70, 0x0b
	set_port 0x71, 0x42		; periodic interrupt
	set_port 0x70, 0x40
	set_port 0x71, 0x5a
	set_port COM1_SCR, 0x77
	set_port COM1_IER, 0x05
	set_port COM1_MCR, 0x0b
	mov edx, PM_ENABLE
	mov eax, 1
	out dx, ax
	mov edx, PM_CONTROL
	mov eax, 0x0400
	out dx, ax
	set_port 0xcf9, 0x02

; The local APIC: one interrupt in service, another waiting behind it.
	mov ebx, LAPIC
	mov dword [rbx + 0x0f0], 0x1ff
	mov dword [rbx + 0x0d0], 0x5a000000
	mov dword [rbx + 0x3e0], 0x0b
	mov dword [rbx + 0x340], 0x10045
	mov dword [rbx + 0x360], 0x10400
	mov dword [rbx + 0x320], TIMER_VECTOR
	mov dword [rbx + 0x300], 0x44000 | IPI_VECTOR
	sti
	times 4 nop
	cli
	cmp dword [interrupts], 1
	check e, "my own interrupt came"
	mov dword [rbx + 0x380], 1000
.timer:	test dword [rbx + 0x220], 1 << (TIMER_VECTOR & 31)
	jz .timer
	mov dword [rbx + 0x080], 0x50

	mov ebx, 0x10
	mov edx, IOAPIC
	mov ecx, IOAPIC_WINDOW
.pin:	mov [rdx], ebx
	lea eax, [rbx + 0x1a050]
	mov [rcx], eax
	inc ebx
	cmp ebx, 0x40
	jb .pin
	mov dword [rdx], 0
	mov dword [rcx], 0x05000000
	ret

; What the program itself can do without.
soil_registers:
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_SCE_NXE
	wrmsr
	mov ecx, MSR_FS_BASE
	mov eax, 0x5a5a1000
	mov edx, 0x5a5a
	wrmsr
	mov ecx, MSR_GS_BASE
	wrmsr
	mov ecx, MSR_TSC
	wrmsr
	mov rax, 0x00005a5a5a5a5a58
	mov cr2, rax
	mov dr0, rax
	mov dr1, rax
	mov dr2, rax
	mov dr3, rax
	mov eax, 0xffffeff5
	mov dr6, rax
	mov eax, 0x7ff			; four breakpoints, armed
	mov dr7, rax
	mov rax, cr4
	or eax, CR4_DIRT
	mov cr4, rax
	mov eax, 9
	mov cr8, rax
	mov rax, cr0
	or eax, CR0_DIRT
	mov cr0, rax
	mov rax, 0x5a5a5a5a5a5a5a5a
%macro soil 1-*
%rep %0
	mov %1, rax
%rotate 1
%endrep
%endmacro
	soil rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	ret

; ---------------------------------------------------------------------------------------------
; Exceptions go to [fixup], or end the program; other vectors are counted, without an EOI.
load_idt:
	mov edi, idt
	mov eax, stubs
	xor ecx, ecx
.gate:	mov [rdi], ax
	mov dword [rdi + 2], 0x8e000008 & 0xffff
	mov word [rdi + 4], 0x8e00
	mov edx, eax
	shr edx, 16
	mov [rdi + 6], dx
	mov qword [rdi + 8], 0
	add edi, 16
	inc ecx
	mov eax, on_interrupt
	cmp ecx, 256
	je .done
	cmp ecx, 32
	jae .gate
	imul eax, ecx, STUB
	add eax, stubs
	jmp .gate
.done:	lidt [idtr]
	ret

on_interrupt:
	inc dword [interrupts]
	iretq

STUB	equ 8
	align STUB
stubs:
%assign vector 0
%rep 32
	align STUB
	push vector
	jmp near exception
%assign vector vector + 1
%endrep
	align STUB
exception:
	cmp dword [fixup], 0
	je .end
	mov rsp, [fixup_rsp]
	mov eax, [fixup]
	jmp rax
.end:	pop rdx
	mov esi, text_exception
	call print
	call print_hex
	call newline
	mov eax, 0x200
	out DEBUG_EXIT, eax
	jmp stay

; ---------------------------------------------------------------------------------------------
; "sum" or "dirt", the name at EDI, and R12, which starts again.
print_sum:
	mov rdx, r12
	xor r12, r12
print_value:
	mov esi, text_sum
	cmp byte [prefix], 'd'
	jne .name
	mov esi, text_dirt
.name:	call print
	mov esi, edi
	call print
	mov esi, text_is
	call print
	call print_hex
	jmp newline

; The ECX bytes at EDI; EAX is their name.
sum_bytes:
	mov ebx, eax
	xor r12, r12
	xor eax, eax
.next:	jrcxz .done
	mov al, [rdi]
	call mix
	inc rdi
	dec rcx
	jmp .next
.done:	mov edi, ebx
	jmp print_sum

; RDX in sixteen digits.
print_hex:
	mov r9d, 16
.digit:	rol rdx, 4
	mov eax, edx
	and eax, 15
	mov al, [digits + rax]
	call put
	dec r9d
	jnz .digit
	ret

; The text at ESI.
print:	lodsb
	test al, al
	jz .out
	call put
	jmp print
.out:	ret

; The character AL; keeps all registers but the flags.
put:	push rdx
	push rax
	mov edx, COM1_LSR
.busy:	in al, dx
	test al, LSR_THRE
	jz .busy
	mov edx, COM1
	pop rax
	out dx, al
	pop rdx
	ret

; ---------------------------------------------------------------------------------------------
	section .rodata
text_ok:	db "ok: ", 0
text_fail:	db "FAIL: ", 0
text_absent:	db "absent: ", 0
text_sum:	db "sum ", 0
text_dirt:	db "dirt ", 0
text_is:	db " ", 0
text_not:	db ", not ", 0
text_exception:	db "FAIL: exception ", 0
text_rdrand:	db "RDRAND is ", 0
text_rdseed:	db "RDSEED is ", 0
text_shown:	db "shown, and ", 0
text_hidden:	db "hidden, and ", 0
text_executes:	db "executes", 10, 0
text_ud:	db "is #UD", 10, 0
text_pic:	db "pic", 0
text_pit:	db "pit", 0
text_cmos:	db "cmos", 0
text_uart:	db "uart", 0
text_pm:	db "pm", 0
text_lapic:	db "lapic", 0
text_ioapic:	db "ioapic", 0
text_module:	db "module", 0
text_tables:	db "tables", 0
text_info:	db "information", 0
digits:		db "0123456789abcdef"

	align 8
gdt:	dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	dw gdtr - gdt - 1
	dd gdt
	align 8
idtr:	dw idt_end - idt - 1
	dd idt, 0
no_idt:	dw 0
	dq 0

; Those that are registers with a value, and not read-only identity or time.
lapic_registers:
	dw 0x020, 0x080, 0x0a0, 0x0d0, 0x0e0, 0x0f0
%assign reg 0x100
%rep 24					; ISR, TMR, IRR
	dw reg
%assign reg reg + 0x10
%endrep
	dw 0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x390, 0x3e0
lapic_registers_end:

; noted NAME, RESET VALUE: a row, and the place of its value.
NOTED_ROW	equ 24
%assign nr_noted 0
%macro noted 2
v_%1	equ values + 8 * nr_noted
	dq %2
%%name:	db %str(%1), 0
	times 16 - ($ - %%name) db 0
%assign nr_noted nr_noted + 1
%endmacro
	align 8
noted_rows:
	noted eax, LOADER_MAGIC
	noted ecx, 0
	noted edx, 0
	noted esi, 0
	noted edi, 0
	noted ebp, 0
	noted esp, 0
	noted r8, 0
	noted r9, 0
	noted r10, 0
	noted r11, 0
	noted r12, 0
	noted r13, 0
	noted r14, 0
	noted r15, 0
	noted eflags, 2
	noted cr0, 0x11			; ET, PE
	noted cr2, 0
	noted cr3, 0
	noted cr4, 0
	noted cr8, 0
	noted dr0, 0
	noted dr1, 0
	noted dr2, 0
	noted dr3, 0
	noted dr6, 0xffff0ff0
	noted dr7, 0x400
	noted idt_base, 0
	noted idt_limit, 0
	noted ldtr, 0
	noted tr, 0
	noted efer, 0
	noted fs_base, 0
	noted gs_base, 0
noted_rows_end:

; msr NUMBER, FLAGS, RESET VALUE, PATTERN, NAME
MSR_ROW		equ 48
MAY_BE_ABSENT	equ 1			; #GP is right, too
ANY		equ 2			; any value, as long as it is the same in each life
READ_ONLY	equ 4			; or not to be written here
%macro msr 5
	dd %1, %2
	dq %3, %4
%%name:	db %5, 0
	times 24 - ($ - %%name) db 0
%endmacro
msrs:
	msr 0x1b, READ_ONLY, 0xfee00900, 0, "IA32_APIC_BASE"
	msr 0x3b, MAY_BE_ABSENT, 0, 0x123456789abc, "IA32_TSC_ADJUST"
	msr 0x48, MAY_BE_ABSENT, 0, 1, "IA32_SPEC_CTRL"
	msr 0x8b, 0, 0, 0x5a5a5a5a00000000, "IA32_BIOS_SIGN_ID"
	msr 0x174, 0, 0, 0x5a58, "IA32_SYSENTER_CS"
	msr 0x175, 0, 0, 0x00005a5a5a5a5a58, "IA32_SYSENTER_ESP"
	msr 0x176, 0, 0, 0xffffa5a5a5a5a5a0, "IA32_SYSENTER_EIP"
	msr 0x17a, 0, 0, 4, "IA32_MCG_STATUS"
	msr 0x1a0, ANY | READ_ONLY, 0, 0, "IA32_MISC_ENABLE"
	msr 0x1d9, 0, 0, 2, "IA32_DEBUGCTL"
	msr 0x200, ANY, 0, 0x10000006, "IA32_MTRR_PHYSBASE0"
	msr 0x201, ANY, 0, 0x800, "IA32_MTRR_PHYSMASK0"
	msr 0x250, ANY, 0, 0, "IA32_MTRR_FIX64K"
	msr 0x277, MAY_BE_ABSENT, 0x0007040600070406, 0x0605040100000706, "IA32_PAT"
	msr 0x2ff, ANY, 0, 0xc05, "IA32_MTRR_DEF_TYPE"
	msr 0x6a2, MAY_BE_ABSENT, 0, 1, "IA32_S_CET"
	msr 0xd90, MAY_BE_ABSENT, 0, 1, "IA32_BNDCFGS"
	msr 0xda0, MAY_BE_ABSENT, 0, 0, "IA32_XSS"
	msr 0xc0000081, 0, 0, 0x5a585a58a5a5a5a5, "IA32_STAR"
	msr 0xc0000082, 0, 0, 0xffffa5a5a5a5a5a0, "IA32_LSTAR"
	msr 0xc0000083, 0, 0, 0xffff85a5a5a5a5a0, "IA32_CSTAR"
	msr 0xc0000084, 0, 0, 0x47700, "IA32_FMASK"
	msr 0xc0000102, 0, 0, 0xffffb5a5a5a5a5a0, "IA32_KERNEL_GS_BASE"
	msr 0xc0000103, MAY_BE_ABSENT, 0, 0x5aa5, "IA32_TSC_AUX"
msrs_end:

BALLAST_BYTES	equ 4096
	section .data
	align 8
values:		times nr_noted dq 0
ticks:		dq 0
components:	dq 0
fixup_rsp:	dq 0
fixup:		dd 0
exits:		dd 0
info:		dd 0
failures:	dd 0
interrupts:	dd 0
scratch:	times 16 db 0
prefix:		db 's'
ballast:	times BALLAST_BYTES db 0x42

	section .bss
	alignb 4096
pml4:		resb 4096
pdpt:		resb 4096
directories:	resb 4 * 4096
fpu:		resb XSAVE_MAX
idt:		resb 256 * 16
idt_end:
		resb 8192
stack_top:
bss_test:	resb 0x10000
bss_end:
