/* SPDX-License-Identifier: MIT */
/* lib/fbtext.c: the screen is read back pixel by pixel, with the font. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/fbtext.h"
#include "lib/font.h"

#define ALL (~0u)
#define GREY 0xaaaaaau
#define PADDING 0xdeadbeefu

struct screen {
	struct fbtext text;
	u32 *pixels;
};

static struct screen *make(u32 width, u32 height, u32 pitch, bool red_first)
{
	struct screen *s = calloc(1, sizeof(*s));

	/* Not a pixel more than the surface has: ASan watches both ends. */
	s->pixels = malloc(((size_t)(height - 1) * pitch + width) * sizeof(u32));
	for (size_t i = 0; i < (size_t)(height - 1) * pitch + width; i++)
		s->pixels[i] = PADDING;
	struct fbtext_surface surface = {s->pixels, width, height, pitch, red_first};
	assert_true(fbtext_init(&s->text, &surface));
	return s;
}

/** 20 columns of 8 pixels, 5 rows of 13, and a border. */
static struct screen *small(void)
{
	return make(165, 70, 171, false);
}

static void drop(struct screen *s)
{
	free(s->pixels);
	free(s);
}

static void put(struct screen *s, const char *bytes)
{
	while (*bytes)
		fbtext_put(&s->text, (u8)*bytes++);
}

static u32 pixel_at(const struct screen *s, u32 column, u32 row, u32 x, u32 y)
{
	const struct fbtext *t = &s->text;

	return s->pixels[(t->top + (row * FONT_HEIGHT + y) * t->scale) * t->surface.pitch +
			 t->left + (column * FONT_WIDTH + x) * t->scale];
}

/** The character whose glyph stands in a cell, whatever its colours; 0: none of them. */
static char char_at(const struct screen *s, u32 column, u32 row)
{
	u32 bg = pixel_at(s, column, row, 0, 0); /* no glyph has a pixel in that corner */

	for (u32 g = 0; g < FONT_GLYPHS; g++) {
		bool same = true;

		for (u32 i = 0; i < FONT_WIDTH * FONT_HEIGHT && same; i++) {
			bool set = font_glyphs[g][i / 8] & 0x80 >> i % 8;

			same = set == (pixel_at(s, column, row, i % 8, i / 8) != bg);
		}
		if (same)
			return (char)(FONT_FIRST + g);
	}
	return 0;
}

static u32 background(const struct screen *s, u32 column, u32 row)
{
	return pixel_at(s, column, row, 0, 0);
}

/** The one colour beside the background, or the background where there is none. */
static u32 foreground(const struct screen *s, u32 column, u32 row)
{
	u32 bg = background(s, column, row);

	for (u32 i = 0; i < FONT_WIDTH * FONT_HEIGHT; i++) {
		if (pixel_at(s, column, row, i % 8, i / 8) != bg)
			return pixel_at(s, column, row, i % 8, i / 8);
	}
	return bg;
}

/** What is painted in a row, without the blanks at its end. */
static const char *line(const struct screen *s, u32 row)
{
	static char text[FBTEXT_COLS_MAX + 1];
	u32 n = 0;

	for (u32 x = 0; x < s->text.cols; x++) {
		text[x] = char_at(s, x, row);
		if (text[x] != ' ')
			n = x + 1;
	}
	text[n] = 0;
	return text;
}

/** After these bytes on a small screen, its rows joined by | are `want`; the cursor is there. */
static void shows(const char *bytes, const char *want, u32 x, u32 y)
{
	struct screen *s = small();
	char got[512] = "";

	put(s, bytes);
	assert_false(fbtext_draw(&s->text, ALL));
	for (u32 row = 0; row < 5; row++) {
		strcat(got, line(s, row));
		strcat(got, "|");
	}
	while (strlen(got) > 1 && got[strlen(got) - 2] == '|')
		got[strlen(got) - 1] = 0;
	assert_string_equal(got, want);
	assert_int_equal(background(s, x, y), GREY); /* the cursor: colours swapped */
	drop(s);
}

static void plain_text(void **state)
{
	(void)state;
	shows("", "|", 0, 0);
	shows("hello", "hello|", 5, 0);
	shows("one\r\ntwo\r\n", "one|two|", 0, 2);
	shows("one\ntwo", "one|   two|", 6, 1);
	shows("\r\n\r\nx", "||x|", 1, 2);
	shows("abc\rX", "Xbc|", 1, 0);
	shows("abc\b\bX", "aXc|", 2, 0);
	shows("\b\bX", "X|", 1, 0);
	shows("a\tb\tc", "a       b       c|", 17, 0);
	shows("0123456\t8", "0123456 8|", 9, 0);
	shows("01234567\tx", "01234567        x|", 17, 0);
	shows("a\t\t\t\tb", "a                  b|", 19, 0);
	shows("a\x07"
	      "b\x7f"
	      "c\x01"
	      "d\v\fe",
	      "abcd||    e|", 5, 2);
}

static void every_printable_character(void **state)
{
	(void)state;
	struct screen *s = make(800, 200, 800, false);

	for (u8 c = ' '; c <= '~'; c++)
		fbtext_put(&s->text, c);
	fbtext_draw(&s->text, ALL);
	for (u8 c = ' '; c <= '~'; c++)
		assert_int_equal(char_at(s, c - ' ', 0), c);
	drop(s);
}

static void utf8_takes_one_cell(void **state)
{
	(void)state;
	shows("a\xc3\xa4"
	      "b\xe2\x82\xac"
	      "c\xf0\x9f\x98\x80"
	      "d",
	      "a\x7f"
	      "b\x7f"
	      "c\x7f"
	      "d|",
	      7, 0);
}

static void wraps_with_the_character_after_the_last(void **state)
{
	(void)state;
	shows("01234567890123456789", "01234567890123456789|", 19, 0);
	shows("01234567890123456789x", "01234567890123456789|x|", 1, 1);
	shows("01234567890123456789\r\nx", "01234567890123456789|x|", 1, 1);
	shows("01234567890123456789\bx", "012345678901234567x9|", 19, 0);
	shows("01234567890123456789\x1b[Dx", "012345678901234567x9|", 19, 0);
	shows("01234567890123456789\x1b[K", "0123456789012345678|", 19, 0);
}

static void scrolls(void **state)
{
	(void)state;
	shows("1\r\n2\r\n3\r\n4\r\n5", "1|2|3|4|5|", 1, 4);
	shows("1\r\n2\r\n3\r\n4\r\n5\r\n", "2|3|4|5|", 0, 4);
	shows("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n10\r\n11\r\n12", "8|9|10|11|12|", 2, 4);
	/* The rows of a scrolled screen are found by movements, too. */
	shows("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\x1b[H*\x1b[2;3H+\x1b[J", "*|4 +|", 3, 1);
	shows("1\r\n2\x1b[H\x1bM*", "*|1|2|", 1, 0);
	shows("1\r\n2\x1bM*", "1*|2|", 2, 0);
	shows("1\x1b"
	      "D2\x1b"
	      "E3",
	      "1| 2|3|", 1, 2);
}

static void cursor_movements(void **state)
{
	(void)state;
	shows("\x1b[3;5Hx", "||    x|", 5, 2);
	shows("\x1b[3;5fx", "||    x|", 5, 2);
	shows("\x1b[;5Hx", "    x|", 5, 0);
	shows("\x1b[3Hx", "||x|", 1, 2);
	shows("abc\x1b[Hx", "xbc|", 1, 0);
	shows("\x1b[0;0Hx", "x|", 1, 0);
	shows("\x1b[99;99Hx", "||||                   x|", 19, 4);
	shows("\x1b[4294967296;4294967297Hx", "||||                   x|", 19, 4);
	shows("abc\r\ndef\x1b[Ax", "abcx|def|", 4, 0);
	shows("abc\x1b[9Ax", "abcx|", 4, 0);
	shows("a\x1b[2Bx", "a|| x|", 2, 2);
	shows("a\x1b[9Bx", "a|||| x|", 2, 4);
	shows("a\x1b[3Cx", "a   x|", 5, 0);
	shows("a\x1b[Cx", "a x|", 3, 0);
	shows("abc\x1b[2Dx", "axc|", 2, 0);
	shows("abc\x1b[9Dx", "xbc|", 1, 0);
	shows("ab\x1b[2Ex", "ab||x|", 1, 2);
	shows("1\r\n2\r\n3\x1b[2Fx", "x|2|3|", 1, 0);
	shows("abc\x1b[2Gx", "axc|", 2, 0);
	shows("a\x1b[3dx", "a|| x|", 2, 2);
	shows("ab\x1b[s\r\n123\x1b[uc", "abc|123|", 3, 0);
	shows("ab\x1b"
	      "7\r\n123\x1b"
	      "8c",
	      "abc|123|", 3, 0);
}

static void erasing(void **state)
{
	(void)state;
	shows("abcdef\x1b[3D\x1b[K", "abc|", 3, 0);
	shows("abcdef\x1b[3D\x1b[1K", "    ef|", 3, 0);
	shows("abcdef\x1b[3D\x1b[2K", "|", 3, 0);
	shows("abcdef\x1b[3D\x1b[7K", "abcdef|", 3, 0);
	shows("111\r\n222\r\n333\x1b[2;2H\x1b[J", "111|2|", 1, 1);
	shows("111\r\n222\r\n333\x1b[2;2H\x1b[1J", "|  2|333|", 1, 1);
	shows("111\r\n222\r\n333\x1b[2;2H\x1b[2Jx", "| x|", 2, 1);
	shows("111\r\n222\x1b[3J", "|", 3, 1);
	shows("111\r\n222\x1b"
	      "cx",
	      "x|", 1, 0);
}

static void what_it_does_not_know_is_swallowed(void **state)
{
	(void)state;
	shows("a\x1b[6nb", "ab|", 2, 0);
	shows("a\x1b[?1049hb", "ab|", 2, 0);
	shows("a\x1b[=3hb", "ab|", 2, 0);
	shows("a\x1b[1;2;3;4;5;6;7;8;9;10;11Hb", "ab|", 2, 0);
	shows("a\x1b[1:2Hb", "ab|", 2, 0);
	shows("a\x1b[2 qb", "ab|", 2, 0);
	shows("a\x1b[?2Jb", "ab|", 2, 0);
	shows("a\x1b(Bb\x1b)0c\x1b#8d\x1b=e\x1b>f", "abcdef|", 6, 0);
	shows("a\x1b$(Cb\x1b F", "ab|", 2, 0);
	shows("a\x1b]0;title\x07"
	      "b\x1b]2;x[Hy\x1b\\c",
	      "abc|", 3, 0);
	shows("a\x1bPq#0\x1b\\b\x1b_x\x1b\\c", "abc|", 3, 0);
	shows("a\x1b]never ended\x18"
	      "b",
	      "ab|", 2, 0);
	shows("a\x1b]never ended\x1b[Hb", "b|", 1, 0);
	shows("a\x1b[12\x1a"
	      "b",
	      "ab|", 2, 0);
	shows("abc\x1b[2\x1b[2Gx", "axc|", 2, 0);
	/* Control characters work in the midst of a sequence (as on a VT100). */
	shows("abc\x1b[\r2Cx", "abx|", 3, 0);
	shows("a\x1b", "a|", 1, 0);
}

static void colours(void **state)
{
	static const struct {
		const char *sequence;
		u32 fg, bg;
	} cases[] = {
		{"", 0xaaaaaa, 0x000000},
		{"\x1b[31m", 0xaa0000, 0x000000},
		{"\x1b[32m", 0x00aa00, 0x000000},
		{"\x1b[34;43m", 0x0000aa, 0xaaaa00},
		{"\x1b[1m", 0xffffff, 0x000000},
		{"\x1b[1;31m", 0xff5555, 0x000000},
		{"\x1b[1;31;22m", 0xaa0000, 0x000000},
		{"\x1b[94;101m", 0x5555ff, 0xff5555},
		{"\x1b[7m", 0x000000, 0xaaaaaa},
		{"\x1b[31;7m", 0x000000, 0xaa0000},
		{"\x1b[31;7;27m", 0xaa0000, 0x000000},
		{"\x1b[31;44;1;7m\x1b[m", 0xaaaaaa, 0x000000},
		{"\x1b[31;44;1;7m\x1b[0m", 0xaaaaaa, 0x000000},
		{"\x1b[31;44m\x1b[39;49m", 0xaaaaaa, 0x000000},
		{"\x1b[31;38;5;1;44m", 0xaa0000, 0x000000},
		{"\x1b[31;4;5;58m", 0xaa0000, 0x000000},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct screen *s = small();

		put(s, cases[i].sequence);
		put(s, "# ");
		fbtext_draw(&s->text, ALL);
		assert_int_equal(foreground(s, 0, 0), cases[i].fg);
		assert_int_equal(background(s, 0, 0), cases[i].bg);
		drop(s);
	}
}

static void erased_cells_take_the_background(void **state)
{
	(void)state;
	struct screen *s = small();

	put(s, "abc\x1b[44m\x1b[2J\x1b[m\x1b[2;2H ");
	fbtext_draw(&s->text, ALL);
	assert_int_equal(background(s, 0, 0), 0x0000aa);
	assert_int_equal(background(s, 19, 4), 0x0000aa);
	assert_int_equal(background(s, 1, 1), 0x000000);
	drop(s);
}

static void cursor_can_be_hidden(void **state)
{
	(void)state;
	struct screen *s = small();

	put(s, "ab\x1b[?25l");
	fbtext_draw(&s->text, ALL);
	assert_int_equal(background(s, 2, 0), 0);
	put(s, "\x1b[?25h");
	fbtext_draw(&s->text, ALL);
	assert_int_equal(background(s, 2, 0), GREY);
	put(s, "c");
	fbtext_draw(&s->text, ALL);
	assert_int_equal(background(s, 2, 0), 0);
	assert_int_equal(background(s, 3, 0), GREY);
	drop(s);
}

static void the_order_of_the_colours_is_the_surface_s(void **state)
{
	(void)state;
	struct screen *s = make(165, 70, 165, true);

	put(s, "\x1b[31;44m#");
	fbtext_draw(&s->text, ALL);
	assert_int_equal(foreground(s, 0, 0), 0x0000aa);
	assert_int_equal(background(s, 0, 0), 0xaa0000);
	drop(s);
}

static void writes_nothing_beside_the_lines(void **state)
{
	(void)state;
	struct screen *s = small();

	for (u32 i = 0; i < 400; i++)
		put(s, "The quick brown fox \x1b[41m jumps\t\x1b[m\r\n");
	fbtext_draw(&s->text, ALL);
	for (u32 y = 0; y < 69; y++) {
		for (u32 x = 165; x < 171; x++)
			assert_int_equal(s->pixels[y * 171 + x], PADDING);
	}
	/* The border is black and stays so: 2 pixels of the 5, and 2 lines of the 5. */
	assert_int_equal(s->text.left, 2);
	assert_int_equal(s->text.top, 2);
	for (u32 x = 0; x < 165; x++)
		assert_int_equal(s->pixels[x] | s->pixels[171 + x] | s->pixels[69 * 171 + x], 0);
	for (u32 y = 0; y < 70; y++)
		assert_int_equal(s->pixels[y * 171] | s->pixels[y * 171 + 164], 0);
	drop(s);
}

static void large_screens_get_large_letters(void **state)
{
	static const struct {
		u32 width, height, scale, cols, rows;
	} cases[] = {
		{160, 65, 1, 20, 5},	  {640, 480, 1, 80, 36},     {800, 600, 1, 100, 46},
		{1024, 768, 1, 128, 59},  {1366, 768, 1, 170, 59},   {1599, 900, 1, 199, 69},
		{1600, 900, 2, 100, 34},  {1920, 1080, 2, 120, 41},  {2560, 1600, 3, 106, 41},
		{3840, 2160, 4, 120, 41}, {1200, 2300, 1, 150, 160},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct screen *s = make(cases[i].width, cases[i].height, cases[i].width, false);

		assert_int_equal(s->text.scale, cases[i].scale);
		assert_int_equal(s->text.cols, cases[i].cols);
		assert_int_equal(s->text.rows, cases[i].rows);
		put(s, "Large \x1b[99;999H?");
		fbtext_draw(&s->text, ALL);
		assert_int_equal(char_at(s, 0, 0), 'L');
		assert_int_equal(char_at(s, s->text.cols - 1, MIN(s->text.rows, 99u) - 1), '?');
		drop(s);
	}
}

static void every_pixel_of_a_large_letter(void **state)
{
	(void)state;
	struct screen *s = make(2400, 200, 2400, false);

	assert_int_equal(s->text.scale, 3);
	put(s, "R");
	fbtext_draw(&s->text, ALL);
	for (u32 y = 0; y < FONT_HEIGHT * 3; y++) {
		for (u32 x = 0; x < FONT_WIDTH * 3; x++) {
			bool set = font_glyphs['R' - FONT_FIRST][y / 3] & 0x80 >> x / 3;
			u32 got = s->pixels[(s->text.top + y) * 2400 + s->text.left + x];

			assert_int_equal(got, set ? GREY : 0);
		}
	}
	drop(s);
}

static void what_is_no_screen_is_refused(void **state)
{
	static u32 pixels[200 * 100];
	static struct fbtext t;
	static const struct fbtext_surface bad[] = {
		{pixels, 159, 100, 200, false}, {pixels, 200, 64, 200, false},
		{pixels, 200, 100, 199, false}, {pixels, 0, 0, 0, false},
		{pixels, 0, 100, 200, false},	{pixels, 200, 0, 200, false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		pixels[0] = PADDING;
		assert_false(fbtext_init(&t, &bad[i]));
		assert_int_equal(pixels[0], PADDING);
	}
}

static void draws_only_what_changed(void **state)
{
	(void)state;
	struct screen *s = small();

	put(s, "same\r\nsame\r\n");
	fbtext_draw(&s->text, ALL);
	for (u32 i = 0; i < 171 * 69; i++)
		s->pixels[i] = PADDING;
	assert_false(fbtext_draw(&s->text, 0));
	put(s, "\x1b[HsaMe");
	fbtext_draw(&s->text, ALL);
	/* The M, the cell the cursor left, and the one it is in now. */
	for (u32 y = 0; y < 5; y++) {
		for (u32 x = 0; x < 20; x++) {
			bool painted = (y == 0 && (x == 2 || x == 4)) || (y == 2 && x == 0);

			assert_int_equal(background(s, x, y) != PADDING, painted);
		}
	}
	drop(s);
}

static void draws_in_portions(void **state)
{
	(void)state;
	struct screen *s = small();

	put(s, "\x1b[?25l0123456789\r\nabcdefghij\r\nABCDEFGHIJ");
	assert_true(fbtext_draw(&s->text, 15));
	assert_string_equal(line(s, 0), "0123456789");
	assert_string_equal(line(s, 1), "abcde");
	assert_string_equal(line(s, 2), "");
	/* What changes above where it stopped waits for its turn: no row starves. */
	put(s, "\x1b[H##########");
	assert_true(fbtext_draw(&s->text, 15));
	assert_string_equal(line(s, 0), "0123456789");
	assert_string_equal(line(s, 1), "abcdefghij");
	assert_string_equal(line(s, 2), "ABCDEFGHIJ");
	assert_false(fbtext_draw(&s->text, 15));
	assert_string_equal(line(s, 0), "##########");
	/* Exactly as many as there are is not one too few. */
	put(s, "\x1b[5H12345");
	assert_false(fbtext_draw(&s->text, 5));
	drop(s);
}

/** A screen scrolled by many lines between two paintings shows the last ones. */
static void scrolling_costs_one_painting(void **state)
{
	(void)state;
	struct screen *s = small();
	char text[32];

	for (unsigned i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "\r\nline %u", i);
		put(s, text);
	}
	assert_false(fbtext_draw(&s->text, 5 * 20));
	for (u32 y = 0; y < 5; y++) {
		snprintf(text, sizeof(text), "line %u", 9995 + y);
		assert_string_equal(line(s, y), text);
	}
	drop(s);
}

/** Every glyph can be told from every other: the table was not cut or shifted. */
static void font_is_whole(void **state)
{
	static const u8 a[FONT_HEIGHT] = {0,	0,    0x18, 0x24, 0x42, 0x42,
					  0x42, 0x7e, 0x42, 0x42, 0x42};

	(void)state;
	assert_memory_equal(font_glyphs['A' - FONT_FIRST], a, FONT_HEIGHT);
	for (u32 i = 0; i < FONT_GLYPHS; i++) {
		assert_false(font_glyphs[i][0] & 0x80);
		for (u32 j = 0; j < i; j++)
			assert_memory_not_equal(font_glyphs[i], font_glyphs[j], FONT_HEIGHT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text),
		cmocka_unit_test(every_printable_character),
		cmocka_unit_test(utf8_takes_one_cell),
		cmocka_unit_test(wraps_with_the_character_after_the_last),
		cmocka_unit_test(scrolls),
		cmocka_unit_test(cursor_movements),
		cmocka_unit_test(erasing),
		cmocka_unit_test(what_it_does_not_know_is_swallowed),
		cmocka_unit_test(colours),
		cmocka_unit_test(erased_cells_take_the_background),
		cmocka_unit_test(cursor_can_be_hidden),
		cmocka_unit_test(the_order_of_the_colours_is_the_surface_s),
		cmocka_unit_test(writes_nothing_beside_the_lines),
		cmocka_unit_test(large_screens_get_large_letters),
		cmocka_unit_test(every_pixel_of_a_large_letter),
		cmocka_unit_test(what_is_no_screen_is_refused),
		cmocka_unit_test(draws_only_what_changed),
		cmocka_unit_test(draws_in_portions),
		cmocka_unit_test(scrolling_costs_one_painting),
		cmocka_unit_test(font_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
