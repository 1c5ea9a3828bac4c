/* SPDX-License-Identifier: MIT */
/* Decoding of LoadOptions. Who starts an application decides what is in them, so expect anything.
 */
#include "boot/load_options.h"

#include "lib/mem.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/** Length of a file name without ".efi", which the shell lets its user leave out. */
static size_t stem_length(const char *name, size_t n)
{
	static const char suffix[] = ".efi";

	if (n < 4)
		return n;
	for (size_t i = 0; i < 4; i++) {
		if (lower(name[n - 4 + i]) != suffix[i])
			return n;
	}
	return n - 4;
}

/** Is this word the path of the application itself, as the shell has it? */
static bool names_self(const char *word, size_t n, const char *self)
{
	size_t stem, self_stem = stem_length(self, strlen(self));

	for (size_t i = n; i; i--) {
		if (word[i - 1] == '\\' || word[i - 1] == '/' || word[i - 1] == ':') {
			word += i;
			n -= i;
			break;
		}
	}
	stem = stem_length(word, n);
	if (stem < n)
		return true;
	if (stem != self_stem || !stem)
		return false;
	for (size_t i = 0; i < stem; i++) {
		if (lower(word[i]) != lower(self[i]))
			return false;
	}
	return true;
}

/** Leave out the first word if it is our own path; the shell quotes a path with blanks. */
static size_t skip_self(char *text, size_t n, const char *self)
{
	size_t word = 0, end, next;

	while (word < n && is_space(text[word]))
		word++;
	if (word < n && text[word] == '"') {
		word++;
		for (end = word; end < n && text[end] != '"'; end++)
			;
		next = end < n ? end + 1 : n;
	} else {
		for (end = word; end < n && !is_space(text[end]); end++)
			;
		next = end;
	}
	/* An option whose value ends in .efi is no path of ours. */
	for (size_t i = word; i < end; i++) {
		if (text[i] == '=')
			return n;
	}
	if (!names_self(text + word, end - word, self))
		return n;
	memmove(text, text + next, n - next);
	return n - next;
}

size_t load_options_decode(const void *data, size_t bytes, const char *self,
			   char out[LOAD_OPTIONS_MAX])
{
	const u8 *p = data;
	size_t n = 0;

	out[0] = '\0';
	if (!data)
		return 0;
	for (; bytes >= 2; p += 2, bytes -= 2) {
		unsigned c = (unsigned)(p[0] | p[1] << 8);

		if (!c)
			break;
		/* Text begins with text: anything else is some boot manager's own data. */
		if (c > '~' && !n)
			return 0;
		if (c < ' ' && !is_space((char)c))
			return 0;
		/* Far beyond what options and a command line may have: the parser will refuse it.
		 */
		if (n == LOAD_OPTIONS_MAX - 1)
			break;
		out[n++] = c <= '~' ? (char)c : '\xff';
	}
	n = skip_self(out, n, self);
	while (n && is_space(out[n - 1]))
		n--;
	out[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (!is_space(out[i]))
			return n;
	}
	return 0;
}
