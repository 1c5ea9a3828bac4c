/* SPDX-License-Identifier: MIT */
/* What tests of memory operands share: the instruction information, and the faults of operands. */
#ifndef TV_TESTS_OPERAND_H
#define TV_TESTS_OPERAND_H

#include "exits.h"

/* VM-exit instruction information, tables 28-8 to 28-11: segment, address size, operand. */
#define SEGMENT(seg) ((u32)(seg) << 15)
#define NO_INDEX BIT(22)
#define NO_BASE BIT(27)
#define ADDRESS_16 0u
#define ADDRESS_32 (1u << 7)
#define ADDRESS_64 (2u << 7)
#define REGISTER_2(reg) ((u32)(reg) << 28)
#define REGISTER_OPERAND BIT(10)
#define ABSOLUTE(size) ((u32)((size) | NO_INDEX | NO_BASE))

/** A page fault of an operand: CR2, error code, and the processor forgets the address. */
static inline void expect_page_fault(u64 address, u32 error)
{
	EXPECT(.inject = INJECT_ERROR(PF_VECTOR), .error = error, .live = true,
	       .rflags_on = X86_EFLAGS_RF);
	assert_int_equal(cpu.live.cr2, address);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
}

static inline void expect_fault(u8 vector, u32 error)
{
	EXPECT(.inject = INJECT_ERROR(vector), .error = error, .rflags_on = X86_EFLAGS_RF);
	set_field(GUEST_RFLAGS, X86_EFLAGS_FIXED);
}

#endif
