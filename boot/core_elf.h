/* SPDX-License-Identifier: MIT */
/* The core as an ELF file: what of it is to be loaded, where, and with which permissions. */
#ifndef TV_BOOT_CORE_ELF_H
#define TV_BOOT_CORE_ELF_H

#include "types.h"

/** The core lies in [CORE_BASE, CORE_BASE + CORE_SPAN_MAX). */
#define CORE_SPAN_MAX MIB(64)
#define CORE_MAX_SEGMENTS 16
#define CORE_ERROR_MAX 160

struct core_segment {
	u64 offset; /* from CORE_BASE, page-aligned */
	u64 memsz;  /* bytes in memory; what the file does not fill is zero */
	u64 filesz;
	const u8 *bytes; /* filesz of them, in the ELF file */
	bool writable, executable;
};

struct core_elf {
	u64 entry; /* virtual address */
	u64 span;  /* bytes from CORE_BASE to the end of the last segment, whole pages */
	unsigned nr_segments;
	struct core_segment segment[CORE_MAX_SEGMENTS]; /* ascending, each on pages of its own */
};

/**
 * Read the headers of an ELF64 executable for x86-64. Pure.
 *
 * Refused, with one sentence in `err` (CORE_ERROR_MAX bytes): what is truncated or no such file, a
 * segment outside the core's range, off a page boundary, out of order, sharing a page with another,
 * or both writable and executable; and an entry point in no executable segment.
 */
bool core_elf_parse(const u8 *file, u64 size, struct core_elf *out, char *err);

#endif
