/* SPDX-License-Identifier: MIT */
/*
 * A VMCS as plain data: a value for each row of vmcs_fields.def. It can be copied and compared, and
 * code that only looks at a VMCS can be given one.
 */
#ifndef TV_TESTS_VMCS_IMAGE_H
#define TV_TESTS_VMCS_IMAGE_H

#include "types.h"
#include "vmx.h"
#include "vmx/caps.h"

enum vmcs_row {
#define VMCS_FIELD(encoding, name) VMCS_ROW_##name,
#include "vmcs_fields.def"
#undef VMCS_FIELD
	NR_VMCS_ROWS
};

struct vmcs_image {
	u64 value[NR_VMCS_ROWS];
};

/** The row of a field; -1: there is no field of this encoding. Bit 0 of `field` asks for the upper
 *  half of a field of 64 bits, which 64-bit software never uses: no such field here. */
int vmcs_row(u64 field);

/** The encoding of a row. */
u32 vmcs_row_field(int row);

/** SDM volume 3, appendix B: bits 11:10 of an encoding are the type; 1 is read-only data. */
static inline bool vmcs_field_is_read_only(u32 field)
{
	return (field >> 10 & 3) == 1;
}

/** What is left of a value in a field of that width. */
u64 vmcs_truncate(u32 field, u64 value);

/** Does a processor with these capabilities have the field? (Tables B-1 to B-17: "this field exists
 *  only on processors that support the 1-setting of ...".) */
bool vmcs_field_exists(const struct vmx_caps *caps, u32 field);

static inline u64 vmcs_get(const struct vmcs_image *i, u32 field)
{
	return i->value[vmcs_row(field)];
}

static inline void vmcs_set(struct vmcs_image *i, u32 field, u64 value)
{
	i->value[vmcs_row(field)] = vmcs_truncate(field, value);
}

/** The rule for events at VM entry that the image breaks (SDM volume 3, sections 27.2.1.3 "VM-Entry
 *  Control Fields", 27.3.1.4 and 27.3.1.5 "Checks on Guest Non-Register State"), or NULL. */
const char *vmcs_event_rule_broken(const struct vmcs_image *i);

#endif
