/* SPDX-License-Identifier: MIT */
/* Names of VMCS fields and VM-instruction errors, for diagnoses. */
#include "vmx.h"

const char *vmcs_field_name(u32 field)
{
	switch (field) {
#define VMCS_FIELD(encoding, name)                                                                 \
	case encoding:                                                                             \
		return #name;
#include "vmcs_fields.def"
#undef VMCS_FIELD
	}
	return "?";
}

const char *vmx_error_name(u32 nr)
{
	switch (nr) {
#define VMX_ERROR(n, text)                                                                         \
	case n:                                                                                    \
		return text;
#include "vmx_instruction_errors.def"
#undef VMX_ERROR
	}
	return "?";
}
