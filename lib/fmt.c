/* SPDX-License-Identifier: MIT */
/* Text formatting for a freestanding program: the integer and string part of ISO C's vsnprintf. */
#include "fmt.h"

#include "mem.h"

/** Where the text goes. `len` runs on past `size`, so that the caller learns the length wanted. */
struct sink {
	char *buf;
	size_t size, len;
};

/** One conversion specification, %[-0][width][.precision][length]conversion. */
struct spec {
	bool left, zero;
	size_t width;
	bool has_precision;
	size_t precision;
	unsigned bytes; /* size of the integer argument as the length modifier says */
	char conv;
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->size)
		s->buf[s->len] = c;
	s->len++;
}

static void put_many(struct sink *s, char c, size_t n)
{
	while (n--)
		put(s, c);
}

/** `prefix` (sign or 0x), then `zeros` zeros, then `body`, padded to the field's width. */
static void put_field(struct sink *s, const struct spec *sp, const char *prefix, size_t zeros,
		      const char *body, size_t n)
{
	size_t used = strlen(prefix) + zeros + n;
	size_t pad = sp->width > used ? sp->width - used : 0;

	if (!sp->left)
		put_many(s, ' ', pad);
	while (*prefix)
		put(s, *prefix++);
	put_many(s, '0', zeros);
	while (n--)
		put(s, *body++);
	if (sp->left)
		put_many(s, ' ', pad);
}

static void put_number(struct sink *s, const struct spec *sp, const char *prefix, u64 v,
		       unsigned base)
{
	const char *digits = sp->conv == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char buf[20];				       /* 2^64 has 20 decimal digits */
	size_t n = 0, sign = strlen(prefix), want = 1; /* zero has one digit */

	for (; v; v /= base)
		buf[sizeof(buf) - ++n] = digits[v % base];
	if (sp->has_precision)
		want = sp->precision;
	else if (sp->zero && !sp->left && sp->width > sign)
		want = sp->width - sign;
	put_field(s, sp, prefix, want > n ? want - n : 0, buf + sizeof(buf) - n, n);
}

/* va_list may be an array type: behind a struct it can be handed on and stays advanced. */
struct args {
	va_list ap;
};

static u64 arg_unsigned(struct args *a, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return (unsigned char)va_arg(a->ap, unsigned int);
	case 2:
		return (unsigned short)va_arg(a->ap, unsigned int);
	case 4:
		return va_arg(a->ap, unsigned int);
	default:
		return va_arg(a->ap, u64);
	}
}

static s64 arg_signed(struct args *a, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return (signed char)va_arg(a->ap, int);
	case 2:
		return (short)va_arg(a->ap, int);
	case 4:
		return va_arg(a->ap, int);
	default:
		return va_arg(a->ap, s64);
	}
}

static void put_signed(struct sink *s, const struct spec *sp, s64 v)
{
	/* Negated as unsigned, where the most negative number has an opposite. */
	put_number(s, sp, v < 0 ? "-" : "", v < 0 ? -(u64)v : (u64)v, 10);
}

static void put_string(struct sink *s, const struct spec *sp, const char *str)
{
	size_t n = 0;

	if (!str)
		str = "(null)";
	/* Not strlen(): with a precision the string need not be terminated. */
	while ((!sp->has_precision || n < sp->precision) && str[n])
		n++;
	put_field(s, sp, "", 0, str, n);
}

/** A decimal number or `*`. A negative `*` reads as a huge value with *negative set. */
static const char *parse_count(const char *f, struct args *a, size_t *out, bool *negative)
{
	unsigned v = 0;
	int n;

	*negative = false;
	if (*f == '*') {
		n = va_arg(a->ap, int);
		*negative = n < 0;
		*out = n < 0 ? -(unsigned)n : (unsigned)n;
		return f + 1;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		v = v * 10 + (unsigned)(*f - '0');
	*out = v;
	return f;
}

/** Everything from after the % to the conversion character, which sp->conv gets. */
static const char *parse_spec(const char *f, struct args *a, struct spec *sp)
{
	bool negative;

	*sp = (struct spec){.bytes = 4};
	for (; *f == '-' || *f == '0'; f++) {
		if (*f == '-')
			sp->left = true;
		else
			sp->zero = true;
	}
	f = parse_count(f, a, &sp->width, &negative);
	sp->left |= negative;
	if (*f == '.') {
		f = parse_count(f + 1, a, &sp->precision, &negative);
		sp->has_precision = !negative;
	}
	for (;; f++) {
		if (*f == 'h')
			sp->bytes /= 2;
		else if (*f == 'l') /* in a 32-bit program only `ll` is 8 bytes */
			sp->bytes = f[1] == 'l' ? 8 : MAX(sp->bytes, sizeof(long));
		else if (*f == 'z')
			sp->bytes = sizeof(size_t);
		else
			break;
	}
	sp->conv = *f;
	return f;
}

/** False where the conversion is unknown: no argument was taken and nothing was written. */
static bool convert(struct sink *s, const struct spec *sp, struct args *a)
{
	struct spec ptr = *sp;
	char c;

	switch (sp->conv) {
	case 'd':
	case 'i':
		put_signed(s, sp, arg_signed(a, sp->bytes));
		return true;
	case 'u':
		put_number(s, sp, "", arg_unsigned(a, sp->bytes), 10);
		return true;
	case 'x':
	case 'X':
		put_number(s, sp, "", arg_unsigned(a, sp->bytes), 16);
		return true;
	case 'p':
		ptr.zero = false;
		put_number(s, &ptr, "0x", (uintptr_t)va_arg(a->ap, void *), 16);
		return true;
	case 'c':
		c = (char)va_arg(a->ap, int);
		put_field(s, sp, "", 0, &c, 1);
		return true;
	case 's':
		put_string(s, sp, va_arg(a->ap, const char *));
		return true;
	case '%':
		put(s, '%');
		return true;
	default:
		return false;
	}
}

int fmt_vsnprintf(char *buf, size_t size, const char *f, va_list ap)
{
	struct sink s = {buf, size, 0};
	struct spec sp;
	struct args a;
	const char *start;

	va_copy(a.ap, ap);
	while (*f) {
		if (*f != '%') {
			put(&s, *f++);
			continue;
		}
		start = f;
		f = parse_spec(f + 1, &a, &sp);
		if (*f && convert(&s, &sp, &a)) {
			f++;
			continue;
		}
		/* Not a conversion: show the text as it stands rather than lose it. */
		while (start < f)
			put(&s, *start++);
	}
	va_end(a.ap);
	if (size)
		buf[s.len < size ? s.len : size - 1] = 0;
	return (int)s.len;
}

int fmt_snprintf(char *buf, size_t size, const char *f, ...)
{
	va_list ap;
	int n;

	va_start(ap, f);
	n = fmt_vsnprintf(buf, size, f, ap);
	va_end(ap);
	return n;
}
