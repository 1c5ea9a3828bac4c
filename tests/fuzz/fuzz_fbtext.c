/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the screen's text: the first four bytes are the size of the surface, the rest is
 * printed, with paintings of a few cells in between. In the end every pixel must be what its cell
 * says, by a second, naive painter.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/fbtext.h"
#include "lib/font.h"

#define PADDING 0xdeadbeefu

static void require(bool holds)
{
	if (!holds)
		abort();
}

static u32 colour(unsigned index)
{
	static const u32 palette[16] = {
		0x000000, 0xaa0000, 0x00aa00, 0xaaaa00, 0x0000aa, 0xaa00aa, 0x00aaaa, 0xaaaaaa,
		0x555555, 0xff5555, 0x55ff55, 0xffff55, 0x5555ff, 0xff55ff, 0x55ffff, 0xffffff,
	};
	return palette[index];
}

/** The pixel that belongs at x, y of the surface. */
static u32 expected(const struct fbtext *t, u32 x, u32 y)
{
	u32 column = (x - t->left) / (FONT_WIDTH * t->scale);
	u32 line = (y - t->top) / (FONT_HEIGHT * t->scale);

	if (x < t->left || y < t->top || column >= t->cols || line >= t->rows)
		return 0;
	const struct fbtext_cell *c = &t->cell[(t->first + line) % t->rows][column];
	u32 bit = (x - t->left) / t->scale % FONT_WIDTH;
	u32 byte = (y - t->top) / t->scale % FONT_HEIGHT;
	bool set = font_glyphs[c->ch - FONT_FIRST][byte] & 0x80 >> bit;

	if (!t->cursor_hidden && line == t->y && column == (t->x < t->cols ? t->x : t->cols - 1))
		set = !set;
	return colour(set ? c->colour & 15 : c->colour >> 4);
}

static void check(const struct fbtext *t)
{
	const struct fbtext_surface *s = &t->surface;

	require(t->x <= t->cols && t->y < t->rows && t->first < t->rows);
	require(t->saved_x < t->cols && t->saved_y < t->rows);
	require(t->nr_params <= FBTEXT_PARAMS);
	for (u32 y = 0; y < s->height; y++) {
		for (u32 x = 0; x < s->pitch; x++) {
			u32 want = x < s->width ? expected(t, x, y) : PADDING;

			require(s->pixels[(size_t)y * s->pitch + x] == want);
		}
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct fbtext t;

	if (size < 4)
		return 0;
	/* Small, for speed; now and then one whose letters are of double size. */
	u32 width = data[0] < 250 ? 150 + data[0] : 1350 + data[0];
	struct fbtext_surface s = {
		.width = width, .height = 60u + data[1] / 2, .pitch = width + data[2] % 4};
	size_t bytes = (size_t)s.height * s.pitch * sizeof(u32);
	u32 *pixels = malloc(bytes);

	for (size_t i = 0; i < bytes / sizeof(u32); i++)
		pixels[i] = PADDING;
	s.pixels = pixels;
	if (fbtext_init(&t, &s)) {
		for (size_t i = 4; i < size; i++) {
			fbtext_put(&t, data[i]);
			if (data[3] && i % data[3] == 0)
				fbtext_draw(&t, 7);
		}
		fbtext_draw(&t, ~0u);
		check(&t);
	}
	free(pixels);
	return 0;
}
