/* SPDX-License-Identifier: MIT */
/*
 * Access to the current VMCS, with the width of each field checked: at compile time where the field
 * is a constant, which it nearly always is. A failing access names the field and panics.
 */
#ifndef TV_VMCS_H
#define TV_VMCS_H

#include "insn.h"
#include "vmx.h"

/** Bits 14:13 of an encoding. */
enum vmcs_width { VMCS_16 = 0, VMCS_64 = 1, VMCS_32 = 2, VMCS_NATURAL = 3 };

_Noreturn void vmcs_access_failed(u32 field, bool write, u64 value);
void vmcs_wrong_width(void) __attribute__((error("VMCS accessor does not fit the field's width")));

#define VMCS_CHECK_WIDTH(field, width)                                                             \
	do {                                                                                       \
		if (__builtin_constant_p(field) && ((field) >> 13 & 3) != (width))                 \
			vmcs_wrong_width();                                                        \
	} while (0)

#define DEFINE_VMCS_ACCESS(suffix, type, width)                                                    \
	static inline __attribute__((always_inline)) type vmcs_read##suffix(u32 field)             \
	{                                                                                          \
		u64 v;                                                                             \
		VMCS_CHECK_WIDTH(field, width);                                                    \
		if (__builtin_expect(!vmread(field, &v), 0))                                       \
			vmcs_access_failed(field, false, 0);                                       \
		return (type)v;                                                                    \
	}                                                                                          \
	static inline __attribute__((always_inline)) void vmcs_write##suffix(u32 field, type v)    \
	{                                                                                          \
		VMCS_CHECK_WIDTH(field, width);                                                    \
		if (__builtin_expect(!vmwrite(field, v), 0))                                       \
			vmcs_access_failed(field, true, v);                                        \
	}
DEFINE_VMCS_ACCESS(16, u16, VMCS_16)
DEFINE_VMCS_ACCESS(32, u32, VMCS_32)
DEFINE_VMCS_ACCESS(64, u64, VMCS_64)
DEFINE_VMCS_ACCESS(l, u64, VMCS_NATURAL)
#undef DEFINE_VMCS_ACCESS

#endif
