/* SPDX-License-Identifier: MIT */
/* The one font of the screen: printable ASCII, 8 x 13 pixels. */
#ifndef TV_FONT_H
#define TV_FONT_H

#include "types.h"

#define FONT_WIDTH 8
#define FONT_HEIGHT 13
#define FONT_FIRST 0x20
#define FONT_GLYPHS 96

/** The glyph that stands for every character that the font does not have: the last one. */
#define FONT_UNKNOWN (FONT_FIRST + FONT_GLYPHS - 1)

/** [character - FONT_FIRST][row from the top]; the leftmost pixel is bit 7. */
extern const u8 font_glyphs[FONT_GLYPHS][FONT_HEIGHT];

#endif
