/* SPDX-License-Identifier: MIT */
/* Segment descriptors. */
#include "descriptor.h"

struct segment_reg segment_from_descriptor(u16 selector, u64 descriptor)
{
	struct segment_reg s = {.selector = selector};

	s.base = (u32)(descriptor >> 16 & 0xffffff) | (u32)(descriptor >> 56) << 24;
	s.limit = (u32)(descriptor & 0xffff) | (u32)(descriptor >> 32 & 0xf0000);
	s.ar = (u32)(descriptor >> 40) & 0xf0ff;
	if (s.ar & SEGMENT_G)
		s.limit = s.limit << 12 | 0xfff;
	return s;
}

struct segment_reg segment_v86(u16 selector)
{
	return (struct segment_reg){
		.selector = selector,
		.base = (u32)selector << 4,
		.limit = 0xffff,
		.ar = SEGMENT_P | SEGMENT_DPL | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED,
	};
}
