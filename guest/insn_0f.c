/* SPDX-License-Identifier: MIT */
/* Prefixes, opcode and ModRM. */
#include "guest/insn_0f.h"

#define IS_REX(b) (((b)&0xf0) == 0x40)
#define REX_W BIT(3)
#define REX_B BIT(0)

static bool is_legacy_prefix(u8 b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return false;
	}
}

bool insn_0f_decode(struct insn_0f *in, const u8 *bytes, unsigned len, unsigned bits)
{
	bool other_size = false;
	u8 rex = 0, modrm;
	unsigned at = 0;

	for (; at < len && is_legacy_prefix(bytes[at]); at++)
		other_size = other_size || bytes[at] == 0x66;
	/* REX counts right before the opcode only; a processor takes several prefixes in any order
	 * and forgets a REX that another one follows. */
	for (; bits == 64 && at < len && (IS_REX(bytes[at]) || is_legacy_prefix(bytes[at])); at++) {
		rex = IS_REX(bytes[at]) ? bytes[at] : 0;
		other_size = other_size || bytes[at] == 0x66;
	}
	if (len < at + 3 || bytes[at] != 0x0f)
		return false;
	modrm = bytes[at + 2];
	*in = (struct insn_0f){
		.opcode = bytes[at + 1],
		.group = modrm >> 3 & 7,
		.memory = modrm >> 6 != 3,
		.reg = (modrm & 7u) | (rex & REX_B ? 8 : 0),
		.operand_bits = (bits == 16) == other_size ? 32 : 16,
	};
	if (rex & REX_W)
		in->operand_bits = 64;
	return true;
}

bool insn_0f_is_table(const struct insn_0f *in, bool selector, unsigned cpl)
{
	if (in->opcode != (selector ? 0x00 : 0x01) || in->group > 3)
		return false;
	return (selector || in->memory) && (cpl == 0 || !TABLE_IS_LOAD(in->group));
}

bool insn_0f_is_random(const struct insn_0f *in, bool seed)
{
	return in->opcode == 0xc7 && !in->memory && in->group == (seed ? 7 : 6);
}

u64 insn_0f_merge(u64 old, u64 value, unsigned bits)
{
	if (bits == 16)
		return (old & ~0xffffull) | (u16)value;
	return bits == 32 ? (u32)value : value;
}
