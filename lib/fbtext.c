/* SPDX-License-Identifier: MIT */
/* A text terminal on a linear framebuffer. */
#include "fbtext.h"

#include "font.h"

#define COLS_WANTED 100
#define COLS_LEAST 20
#define ROWS_LEAST 5
#define TAB_STOP 8
#define PARAM_MAX 9999 /* more than any screen has cells in a line */

#define WHITE 7
#define BLACK 0
#define BRIGHT 8

static struct fbtext_cell *row(struct fbtext *t, u32 y)
{
	return t->cell[(t->first + y) % t->rows];
}

static u8 colour(const struct fbtext *t)
{
	u8 fg = t->fg | (t->bright ? BRIGHT : 0);

	return t->reverse ? FBTEXT_COLOUR(t->bg, fg) : FBTEXT_COLOUR(fg, t->bg);
}

/** Columns [from, to) of a line; what is erased takes the background of the moment. */
static void erase(struct fbtext *t, u32 y, u32 from, u32 to)
{
	struct fbtext_cell blank = {' ', FBTEXT_COLOUR(WHITE, t->bg)};
	struct fbtext_cell *cells = row(t, y);

	for (u32 x = from; x < to; x++)
		cells[x] = blank;
}

static void erase_rows(struct fbtext *t, u32 from, u32 to)
{
	for (u32 y = from; y < to; y++)
		erase(t, y, 0, t->cols);
}

static void line_feed(struct fbtext *t)
{
	if (t->y + 1 < t->rows) {
		t->y++;
		return;
	}
	t->first = (t->first + 1) % t->rows;
	erase(t, t->rows - 1, 0, t->cols);
}

static void reverse_line_feed(struct fbtext *t)
{
	if (t->y) {
		t->y--;
		return;
	}
	t->first = (t->first + t->rows - 1) % t->rows;
	erase(t, 0, 0, t->cols);
}

static void print(struct fbtext *t, u8 ch)
{
	if (t->x == t->cols) {
		t->x = 0;
		line_feed(t);
	}
	row(t, t->y)[t->x++] = (struct fbtext_cell){ch, colour(t)};
}

/** The column for movements: a full line's cursor stands on its last character. */
static u32 column(const struct fbtext *t)
{
	return MIN(t->x, t->cols - 1);
}

static void move_to(struct fbtext *t, u32 x, u32 y)
{
	t->x = MIN(x, t->cols - 1);
	t->y = MIN(y, t->rows - 1);
}

static void default_colours(struct fbtext *t)
{
	t->fg = WHITE;
	t->bg = BLACK;
	t->bright = t->reverse = false;
}

static void reset(struct fbtext *t)
{
	default_colours(t);
	t->x = t->y = t->saved_x = t->saved_y = 0;
	t->cursor_hidden = false;
	t->state = FBTEXT_GROUND;
	erase_rows(t, 0, t->rows);
}

/** Parameter n; one that is missing or 0 means `otherwise`. */
static u32 param(const struct fbtext *t, u32 n, u32 otherwise)
{
	return n < t->nr_params && t->param[n] ? t->param[n] : otherwise;
}

static void erase_in_display(struct fbtext *t)
{
	switch (param(t, 0, 0)) {
	case 0:
		erase(t, t->y, column(t), t->cols);
		erase_rows(t, t->y + 1, t->rows);
		break;
	case 1:
		erase_rows(t, 0, t->y);
		erase(t, t->y, 0, column(t) + 1);
		break;
	case 2:
	case 3: /* with the scrollback, of which there is none */
		erase_rows(t, 0, t->rows);
		break;
	}
}

static void erase_in_line(struct fbtext *t)
{
	switch (param(t, 0, 0)) {
	case 0:
		erase(t, t->y, column(t), t->cols);
		break;
	case 1:
		erase(t, t->y, 0, column(t) + 1);
		break;
	case 2:
		erase(t, t->y, 0, t->cols);
		break;
	}
}

static void select_graphic_rendition(struct fbtext *t)
{
	for (u32 i = 0; i < MAX(t->nr_params, 1u); i++) {
		u32 p = param(t, i, 0);

		if (p == 0)
			default_colours(t);
		else if (p == 1)
			t->bright = true;
		else if (p == 22)
			t->bright = false;
		else if (p == 7)
			t->reverse = true;
		else if (p == 27)
			t->reverse = false;
		else if (p >= 30 && p <= 37)
			t->fg = (u8)(p - 30);
		else if (p == 39)
			t->fg = WHITE;
		else if (p >= 40 && p <= 47)
			t->bg = (u8)(p - 40);
		else if (p == 49)
			t->bg = BLACK;
		else if (p >= 90 && p <= 97)
			t->fg = (u8)(p - 90 + BRIGHT);
		else if (p >= 100 && p <= 107)
			t->bg = (u8)(p - 100 + BRIGHT);
		else if (p == 38 || p == 48)
			return; /* a colour of another palette: the numbers that follow are its */
	}
}

static void save_cursor(struct fbtext *t)
{
	t->saved_x = column(t);
	t->saved_y = t->y;
}

static void private_mode(struct fbtext *t, bool on)
{
	for (u32 i = 0; i < t->nr_params; i++) {
		if (t->param[i] == 25)
			t->cursor_hidden = !on;
	}
}

/** ECMA-48, section 8.3, by final byte. */
static void control_sequence(struct fbtext *t, u8 final)
{
	u32 n = param(t, 0, 1);

	if (t->private) {
		if (final == 'h' || final == 'l')
			private_mode(t, final == 'h');
		return;
	}
	switch (final) {
	case 'A': /* up */
		move_to(t, column(t), t->y - MIN(n, t->y));
		break;
	case 'B': /* down */
	case 'e':
		move_to(t, column(t), t->y + n);
		break;
	case 'C': /* right */
	case 'a':
		move_to(t, column(t) + n, t->y);
		break;
	case 'D': /* left */
		move_to(t, column(t) - MIN(n, column(t)), t->y);
		break;
	case 'E': /* next line */
		move_to(t, 0, t->y + n);
		break;
	case 'F': /* preceding line */
		move_to(t, 0, t->y - MIN(n, t->y));
		break;
	case 'G': /* column */
	case '`':
		move_to(t, n - 1, t->y);
		break;
	case 'd': /* line */
		move_to(t, column(t), n - 1);
		break;
	case 'H': /* line; column */
	case 'f':
		move_to(t, param(t, 1, 1) - 1, n - 1);
		break;
	case 'J':
		erase_in_display(t);
		break;
	case 'K':
		erase_in_line(t);
		break;
	case 'm':
		select_graphic_rendition(t);
		break;
	case 's':
		save_cursor(t);
		break;
	case 'u':
		move_to(t, t->saved_x, t->saved_y);
		break;
	}
}

/** Within ESC [: parameters, then a final byte. */
static void csi_byte(struct fbtext *t, u8 byte)
{
	if (byte >= '0' && byte <= '9') {
		if (!t->nr_params)
			t->nr_params = 1;
		u32 *p = &t->param[t->nr_params - 1];

		*p = MIN(*p * 10 + (byte - '0'), (u32)PARAM_MAX);
	} else if (byte == ';') {
		if (!t->nr_params)
			t->nr_params = 1;
		if (t->nr_params == FBTEXT_PARAMS)
			t->state = FBTEXT_CSI_IGNORE;
		else
			t->param[t->nr_params++] = 0;
	} else if (byte >= '<' && byte <= '?') {
		t->private = true;
	} else if (byte >= 0x40 && byte <= 0x7e) {
		t->state = FBTEXT_GROUND;
		control_sequence(t, byte);
	} else {
		t->state = FBTEXT_CSI_IGNORE;
	}
}

/** After ESC. */
static void escape_byte(struct fbtext *t, u8 byte)
{
	t->state = FBTEXT_GROUND;
	switch (byte) {
	case '[':
		t->state = FBTEXT_CSI;
		t->nr_params = 0;
		t->param[0] = 0;
		t->private = false;
		break;
	case ']': /* operating system command, and the other strings */
	case 'P':
	case 'X':
	case '^':
	case '_':
		t->state = FBTEXT_STRING;
		break;
	case '7':
		save_cursor(t);
		break;
	case '8':
		move_to(t, t->saved_x, t->saved_y);
		break;
	case 'D':
		line_feed(t);
		break;
	case 'E':
		t->x = 0;
		line_feed(t);
		break;
	case 'M':
		reverse_line_feed(t);
		break;
	case 'c':
		reset(t);
		break;
	default:
		if (byte >= 0x20 && byte <= 0x2f)
			t->state = FBTEXT_DESIGNATE;
	}
}

/** C0; they work within a control sequence, too. True where `byte` was one. */
static bool control_byte(struct fbtext *t, u8 byte)
{
	switch (byte) {
	case '\b':
		t->x = column(t) - (column(t) ? 1 : 0);
		break;
	case '\t':
		move_to(t, ALIGN_DOWN(t->x, TAB_STOP) + TAB_STOP, t->y);
		break;
	case '\n':
	case '\v':
	case '\f':
		line_feed(t);
		break;
	case '\r':
		t->x = 0;
		break;
	case 0x18: /* CAN and SUB end what was begun */
	case 0x1a:
		t->state = FBTEXT_GROUND;
		break;
	case 0x1b:
		t->state = FBTEXT_ESCAPE;
		break;
	default:
		return byte < 0x20 || byte == 0x7f;
	}
	return true;
}

/** A character of several bytes (UTF-8) takes one cell: that of its first byte. */
static void text_byte(struct fbtext *t, u8 byte)
{
	if (byte < 0x80)
		print(t, byte);
	else if (byte >= 0xc0)
		print(t, FONT_UNKNOWN);
}

/** In a string; its contents may be any bytes but these. Its end, ESC \, is an escape sequence that
 *  does nothing else. */
static void string_byte(struct fbtext *t, u8 byte)
{
	if (byte == '\a' || byte == 0x18 || byte == 0x1a)
		t->state = FBTEXT_GROUND;
	else if (byte == 0x1b)
		t->state = FBTEXT_ESCAPE;
}

void fbtext_put(struct fbtext *t, u8 byte)
{
	t->dirty = true;
	if (t->state == FBTEXT_STRING) {
		string_byte(t, byte);
		return;
	}
	if (control_byte(t, byte))
		return;
	switch (t->state) {
	case FBTEXT_ESCAPE:
		escape_byte(t, byte);
		break;
	case FBTEXT_DESIGNATE:
		if (byte >= 0x30)
			t->state = FBTEXT_GROUND;
		break;
	case FBTEXT_CSI:
		csi_byte(t, byte);
		break;
	case FBTEXT_CSI_IGNORE:
		if (byte >= 0x40 && byte <= 0x7e)
			t->state = FBTEXT_GROUND;
		break;
	default:
		text_byte(t, byte);
	}
}

static u32 pixel(const struct fbtext *t, u8 index)
{
	u32 level = index & BRIGHT ? 0xff : 0xaa;
	u32 dim = index & BRIGHT ? 0x55 : 0x00;
	u32 red = index & 1 ? level : dim, green = index & 2 ? level : dim;
	u32 blue = index & 4 ? level : dim;

	return t->surface.red_first ? red | green << 8 | blue << 16 : blue | green << 8 | red << 16;
}

static void paint(struct fbtext *t, u32 x, u32 y, struct fbtext_cell c)
{
	const u8 *glyph = font_glyphs[(c.ch - FONT_FIRST) % FONT_GLYPHS];
	u32 fg = pixel(t, c.colour & 15), bg = pixel(t, c.colour >> 4), scale = t->scale;
	volatile u32 *line = t->surface.pixels +
			     (u64)(t->top + y * FONT_HEIGHT * scale) * t->surface.pitch + t->left +
			     x * FONT_WIDTH * scale;

	for (u32 i = 0; i < FONT_HEIGHT * scale; i++, line += t->surface.pitch) {
		volatile u32 *p = line;

		for (u8 bit = 0x80; bit; bit >>= 1) {
			for (u32 j = 0; j < scale; j++)
				*p++ = glyph[i / scale] & bit ? fg : bg;
		}
	}
}

/** Paint what changed in a row, at most *cells of it; false where some is left. */
static bool draw_row(struct fbtext *t, u32 y, u32 *cells)
{
	const struct fbtext_cell *line = row(t, y);
	u32 cursor = y == t->y && !t->cursor_hidden ? column(t) : t->cols;

	for (u32 x = 0; x < t->cols; x++) {
		struct fbtext_cell c = line[x], *shown = &t->shown[y][x];

		if (x == cursor)
			c.colour = (u8)(c.colour >> 4 | c.colour << 4);
		if (c.ch == shown->ch && c.colour == shown->colour)
			continue;
		if (!*cells)
			return false;
		--*cells;
		paint(t, x, y, c);
		*shown = c;
	}
	return true;
}

bool fbtext_draw(struct fbtext *t, u32 cells)
{
	if (!t->dirty)
		return false;
	for (u32 n = 0; n < t->rows; n++) {
		u32 y = (t->draw_from + n) % t->rows;

		if (!draw_row(t, y, &cells)) {
			t->draw_from = y;
			return true;
		}
	}
	t->dirty = false;
	return false;
}

bool fbtext_init(struct fbtext *t, const struct fbtext_surface *surface)
{
	u32 width = surface->width, height = surface->height;
	u32 scale = MAX(width / (COLS_WANTED * FONT_WIDTH), 1u);
	u32 cols = MIN(width / (FONT_WIDTH * scale), (u32)FBTEXT_COLS_MAX);
	u32 rows = MIN(height / (FONT_HEIGHT * scale), (u32)FBTEXT_ROWS_MAX);

	if (cols < COLS_LEAST || rows < ROWS_LEAST || surface->pitch < width)
		return false;
	t->surface = *surface;
	t->scale = scale;
	t->cols = cols;
	t->rows = rows;
	t->left = (width - cols * FONT_WIDTH * scale) / 2;
	t->top = (height - rows * FONT_HEIGHT * scale) / 2;
	t->first = t->draw_from = 0;
	reset(t);
	for (u32 y = 0; y < height; y++) {
		for (u32 x = 0; x < width; x++)
			surface->pixels[(u64)y * surface->pitch + x] = 0;
	}
	/* Black space on black is what was painted. */
	for (u32 y = 0; y < rows; y++) {
		for (u32 x = 0; x < cols; x++)
			t->shown[y][x] = (struct fbtext_cell){' ', FBTEXT_COLOUR(WHITE, BLACK)};
	}
	t->dirty = true;
	return true;
}
