/* SPDX-License-Identifier: MIT */
/*
 * Coding VM exits: variable-length numbers, differences to the last exit with the same reason, and
 * lines of base64. The same exits happen again and again: most of their fields are as before.
 */
#include "exit_trace.h"

#include "fmt.h"
#include "mem.h"

/** The first byte: the reason, or REASON_OTHER with the reason as a number behind it; SAME:
 * address, qualification and CR3 are those of the last record with this reason, and left out. */
#define REASON_OTHER 0x7f
#define SAME 0x80

#define LINE_TEXT_MAX 192

_Static_assert(NR_EXIT_REASONS < REASON_OTHER, "a reason fits beside SAME");
_Static_assert(TRACE_LINE_BYTES % 3 == 0, "base64 without padding in all lines but the last");

void trace_coder_init(struct trace_coder *c)
{
	memset(c, 0, sizeof(*c));
}

/** LEB128: seven bits a byte, the lowest first, bit 7 where more follow. */
static size_t put_number(u8 *out, u64 v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (u8)(v | 0x80);
	out[n++] = (u8)v;
	return n;
}

/** A difference, modulo 2^64: small ones of either sign are small numbers. */
static size_t put_difference(u8 *out, u64 now, u64 before)
{
	u64 d = now - before;

	return put_number(out, d << 1 ^ (d >> 63 ? ~0ull : 0));
}

size_t trace_encode(struct trace_coder *c, const struct trace_record *r, u8 *out)
{
	bool known = r->reason < NR_EXIT_REASONS;
	struct trace_record *last = &c->last[known ? r->reason : NR_EXIT_REASONS];
	bool same = r->rip == last->rip && r->qual == last->qual && r->cr3 == last->cr3;
	size_t n = 1;

	out[0] = (u8)((known ? r->reason : REASON_OTHER) | (same ? SAME : 0));
	if (!known)
		n += put_number(out + n, r->reason);
	/* How long the guest ran before it. Never less than 0, unless `cycles` was cut off. */
	n += put_number(out + n, r->time - r->cycles - c->time);
	n += put_difference(out + n, r->cycles, last->cycles);
	if (!same) {
		n += put_difference(out + n, r->rip, last->rip);
		n += put_difference(out + n, r->qual, last->qual);
		n += put_difference(out + n, r->cr3, last->cr3);
	}
	c->time = r->time;
	*last = *r;
	return n;
}

void trace_begin(struct trace_writer *w, u64 first, const struct text_out *out)
{
	trace_coder_init(&w->coder);
	w->out = out;
	w->first = first;
	w->records = 0;
	w->used = 0;
}

/** RFC 4648, without padding. Returns the number of characters. */
static size_t put_base64(char *out, const u8 *data, size_t bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";
	size_t n = 0;

	for (size_t i = 0; i < bytes; i += 3) {
		u32 left = (u32)MIN(bytes - i, 3);
		u32 v = (u32)data[i] << 16 | (left > 1 ? (u32)data[i + 1] << 8 : 0) |
			(left > 2 ? data[i + 2] : 0);

		for (u32 k = 0; k <= left; k++)
			out[n++] = digits[v >> (18 - 6 * k) & 63];
	}
	return n;
}

/** CRC-16 with the polynomial 0x1021, from 0xffff, the highest bit first. */
static u16 crc16(const char *text, size_t length)
{
	u32 crc = 0xffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= (u32)(u8)text[i] << 8;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0);
	}
	return (u16)crc;
}

void trace_flush(struct trace_writer *w)
{
	char line[LINE_TEXT_MAX];
	size_t head, n;

	if (!w->records)
		return;
	n = (size_t)fmt_snprintf(line, sizeof(line), "%.20strace ", w->out->prefix);
	head = n;
	n += (size_t)fmt_snprintf(line + n, sizeof(line) - n, "%llu ",
				  (unsigned long long)w->first);
	n += put_base64(line + n, w->data, w->used);
	fmt_snprintf(line + n, sizeof(line) - n, " %04x\n", crc16(line + head, n - head));
	w->out->puts(w->out->ctx, line);
	w->first += w->records;
	w->records = 0;
	w->used = 0;
}

void trace_put(struct trace_writer *w, const struct trace_record *r)
{
	u8 record[TRACE_RECORD_MAX];
	size_t n = trace_encode(&w->coder, r, record);

	if (w->used + n > sizeof(w->data))
		trace_flush(w);
	memcpy(w->data + w->used, record, n);
	w->used += n;
	w->records++;
}
