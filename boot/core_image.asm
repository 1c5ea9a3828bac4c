; SPDX-License-Identifier: MIT
; The core's ELF file, carried inside the UEFI application. CORE_ELF comes from the build.
section .rodata align=16

global core_elf_start:data hidden
global core_elf_end:data hidden
core_elf_start:
	incbin	CORE_ELF
core_elf_end:

section .note.GNU-stack noalloc noexec nowrite progbits
