; SPDX-License-Identifier: MIT
; A store whose instruction lies in two pages.

	global store_across_pages

	section .text
	bits 64

	align 4096
	times 4094 int3

; void store_across_pages(u64 *entry, u64 value)
store_across_pages:
	mov [rdi], rsi
	ret
