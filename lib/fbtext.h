/* SPDX-License-Identifier: MIT */
/*
 * A text terminal on a linear framebuffer, in two halves. fbtext_put() interprets bytes and changes
 * a grid of character cells, in ordinary memory; fbtext_draw() paints the cells that differ from
 * what is on the screen. So a screenful of output that scrolls by costs one painting, and the
 * framebuffer, from which reading is slow, is never read.
 *
 * The control sequences are those that Linux and busybox print: ECMA-48 cursor movement, erasing,
 * and the eight colours. Others are recognised as far as their end and dropped.
 */
#ifndef TV_FBTEXT_H
#define TV_FBTEXT_H

#include "types.h"

/** What is beyond stays black. The scale of the font keeps real screens below (fbtext_init). */
#define FBTEXT_COLS_MAX 200
#define FBTEXT_ROWS_MAX 160
#define FBTEXT_PARAMS 8

/** Colours: bit 0 red, 1 green, 2 blue (ECMA-48, SGR), 3 bright. */
#define FBTEXT_COLOUR(fg, bg) ((u8)((fg) | (bg) << 4))

struct fbtext_cell {
	u8 ch; /* a character of the font: FONT_FIRST and up */
	u8 colour;
};

/** Where to paint: 32 bits a pixel, blue in the lowest byte or red there. */
struct fbtext_surface {
	volatile u32 *pixels;
	u32 width, height, pitch; /* pixels; pitch from one line to the next */
	bool red_first;
};

enum fbtext_state {
	FBTEXT_GROUND,
	FBTEXT_ESCAPE,	   /* after ESC */
	FBTEXT_DESIGNATE,  /* after ESC and an intermediate byte: one more */
	FBTEXT_CSI,	   /* after ESC [ */
	FBTEXT_CSI_IGNORE, /* in a sequence that means nothing here */
	FBTEXT_STRING,	   /* in a string for the terminal, to BEL or ESC */
};

struct fbtext {
	struct fbtext_surface surface;
	u32 scale; /* of the font, in both directions */
	u32 cols, rows;
	u32 left, top; /* of the grid on the surface, pixels */

	u32 x, y; /* cursor; x == cols: the last column is full, the next character wraps */
	u32 saved_x, saved_y;
	u8 fg, bg;
	bool bright, reverse, cursor_hidden;
	enum fbtext_state state;
	u32 param[FBTEXT_PARAMS], nr_params;
	bool private; /* the sequence began with one of < = > ? */

	u32 first; /* the row of `cell` that is the screen's topmost */
	bool dirty;
	u32 draw_from; /* the row in which the last painting stopped */
	struct fbtext_cell cell[FBTEXT_ROWS_MAX][FBTEXT_COLS_MAX];  /* as it shall be */
	struct fbtext_cell shown[FBTEXT_ROWS_MAX][FBTEXT_COLS_MAX]; /* as it is painted */
};

/**
 * An empty screen: paints the whole surface black. The font is enlarged by the greatest whole
 * number that leaves 100 columns. False, and nothing painted, where the surface is too small for
 * text (20 columns, 5 rows) or a line is longer than the pitch.
 */
bool fbtext_init(struct fbtext *t, const struct fbtext_surface *surface);

/** Interpret one byte of output. Paints nothing. */
void fbtext_put(struct fbtext *t, u8 byte);

/** Paint at most `cells` of the cells that changed; true where some are left. */
bool fbtext_draw(struct fbtext *t, u32 cells);

#endif
