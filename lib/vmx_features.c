/* SPDX-License-Identifier: MIT */
/* Names and sets of the optional VMX features. */
#include "vmx_features.h"

#include "lib/fmt.h"
#include "lib/mem.h"

static const struct {
	const char *name, *without;
	u32 needs;
} features[NR_FEATURES] = {
#define FEATURE(id, name, needs, without, ...) [FEATURE_##id] = {name, without, needs},
#include "vmx_features.def"
};

static const struct {
	const char *name, *why;
} required[] = {
#define FEATURE(id, name, needs, without, ...)
#define FEATURE_REQUIRED(name, why) {name, why},
#include "vmx_features.def"
};

const char *feature_name(enum feature f)
{
	return features[f].name;
}

const char *feature_without(enum feature f)
{
	return features[f].without;
}

u32 features_with_dependents(u32 set)
{
	u32 before;

	do {
		before = set;
		for (u32 f = 0; f < NR_FEATURES; f++) {
			if (features[f].needs & set)
				set |= (u32)BIT(f);
		}
	} while (set != before);
	return set;
}

void features_names(u32 set, char out[FEATURES_NAMES_MAX])
{
	size_t n = 0;

	out[0] = '\0';
	for (u32 f = 0; f < NR_FEATURES && n < FEATURES_NAMES_MAX; f++) {
		if (set & BIT(f))
			n += (size_t)fmt_snprintf(out + n, FEATURES_NAMES_MAX - n, " %s",
						  features[f].name);
	}
}

/** Is `name` the `length` characters at `word`? */
static bool is_word(const char *name, const char *word, size_t length)
{
	return strlen(name) == length && !memcmp(name, word, length);
}

/** The feature of that name, or NR_FEATURES. */
static u32 find(const char *word, size_t length)
{
	u32 f = 0;

	while (f < NR_FEATURES && !is_word(features[f].name, word, length))
		f++;
	return f;
}

static void say_why_not(const char *word, size_t length, char *err, size_t size)
{
	char names[FEATURES_NAMES_MAX];
	int shown = (int)MIN(length, 40);

	for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
		if (is_word(required[i].name, word, length)) {
			fmt_snprintf(err, size, "features-=%s is not possible: %s",
				     required[i].name, required[i].why);
			return;
		}
	}
	features_names(~0u, names);
	fmt_snprintf(err, size, "features-=%.*s is not possible: the features are%s", shown, word,
		     names);
}

bool features_parse(u32 *set, const char *list, char *err, size_t size)
{
	for (;; list++) {
		size_t length = 0;
		u32 f;

		while (list[length] && list[length] != ',')
			length++;
		f = find(list, length);
		if (f == NR_FEATURES) {
			say_why_not(list, length, err, size);
			return false;
		}
		*set |= (u32)BIT(f);
		list += length;
		if (!*list)
			return true;
	}
}
