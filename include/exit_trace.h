/* SPDX-License-Identifier: MIT */
/*
 * VM exits as text for programs: what the flight recorder is printed as, small enough for a serial
 * line of 115200 baud. docs/trace.md has the format, tools/tallyvisor/trace.py reads it.
 *
 * A record is coded against the last one with the same reason, and comes to 6 to 12 bytes; lines
 * hold some records each, in base64, with the number of the first and a check sum.
 */
#ifndef TV_EXIT_TRACE_H
#define TV_EXIT_TRACE_H

#include "exit_reasons.h"
#include "exit_stats.h"
#include "types.h"

struct trace_record {
	u64 time; /* guest time at the end of the exit, `cycles` after its beginning */
	u64 rip, qual;
	u64 cr3;
	u32 reason; /* all 32 bits */
	u32 cycles;
};

/** The most bytes of a record: one, five of a reason that is none, and ten for each of five
 *  numbers. */
#define TRACE_RECORD_MAX 56

/** Bytes of records in a line: 128 characters. */
#define TRACE_LINE_BYTES 96

struct trace_coder {
	struct trace_record last[NR_EXIT_REASONS + 1]; /* by reason; the last one: all others */
	u64 time;				       /* of the last record */
};

/** Nothing is known of any record before. */
void trace_coder_init(struct trace_coder *c);

/** Code `r` into `out`, at least TRACE_RECORD_MAX bytes; returns how many. */
size_t trace_encode(struct trace_coder *c, const struct trace_record *r, u8 *out);

/** Records on their way into lines "trace N DATA SUM". */
struct trace_writer {
	const struct text_out *out;
	struct trace_coder coder;
	u64 first;   /* number of the first record in `data` */
	u64 records; /* in it */
	size_t used;
	u8 data[TRACE_LINE_BYTES];
};

/** Begin a block of lines to `out`: the next record is number `first`, and what is read needs
 * nothing of the lines before. */
void trace_begin(struct trace_writer *w, u64 first, const struct text_out *out);

/** One record; some of them make a line. */
void trace_put(struct trace_writer *w, const struct trace_record *r);

/** The last line. */
void trace_flush(struct trace_writer *w);

#endif
