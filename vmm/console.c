/* SPDX-License-Identifier: MIT */
/* The console: a ring, read by a polled 16550 and by the screen. */
#include "console.h"

#include "core.h"
#include "insn.h"
#include "lib/fmt.h"
#include "machine.h"

/* PC16550D data sheet, "Registers". */
#define UART_DATA 0
#define UART_IER 1
#define UART_FCR 2
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_SCR 7
#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define LSR_DR 0x01
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define LOG_LINE_MAX 512

/* Painted at a time while a guest waits. By estimate, for letters of 16 x 26 pixels: 2 ms where the
 * framebuffer combines writes, 50 ms where each pixel crosses the bus alone. */
#define DRAW_AT_ONCE 1024

void console_init(u16 port)
{
	struct console *c = &core.console;

	c->port = port;
	outb(port + UART_SCR, 0x5a);
	c->present = inb(port + UART_SCR) == 0x5a;
	if (!c->present)
		return;
	outb(port + UART_IER, 0);
	outb(port + UART_LCR, LCR_DLAB | LCR_8N1);
	outb(port + UART_DATA, 1);
	outb(port + UART_IER, 0);
	outb(port + UART_LCR, LCR_8N1);
	outb(port + UART_FCR, 0x01); /* FIFOs on, nothing cleared: the firmware may be sending */
	outb(port + UART_MCR, 0x03);
}

bool console_pump(void)
{
	struct console *c = &core.console;

	if (c->head == c->tail)
		return false;
	if (!c->present) {
		c->tail = c->head;
		return false;
	}
	if (inb(c->port + UART_LSR) & LSR_THRE) {
		for (unsigned i = 0; i < CONSOLE_FIFO && c->tail != c->head; i++)
			outb(c->port + UART_DATA, c->ring[c->tail++ % CONSOLE_RING]);
	}
	return c->head != c->tail;
}

/** As console_draw(), with the most characters to paint; true where some are left. */
static bool draw(u32 cells)
{
	struct console *c = &core.console;
	u64 start = machine_away_begin();
	bool left;

	if (!c->screen.present)
		return false;
	while (c->shown != c->head)
		fbcon_put(&c->screen, c->ring[c->shown++ % CONSOLE_RING]);
	left = fbcon_draw(&c->screen, cells);
	machine_away_end(start);
	return left;
}

void console_draw(void)
{
	draw(DRAW_AT_ONCE);
}

void console_init_screen(void)
{
	struct console *c = &core.console;
	const struct boot_framebuffer *fb = &core.boot->fb;
	const char *why = fbcon_init(&c->screen, core.boot);

	if (!why)
		klog("screen of %u x %u pixels: %u columns, %u rows", fb->width, fb->height,
		     c->screen.text.cols, c->screen.text.rows);
	else if (*why)
		klog("no text on the screen: %s", why);
}

void console_flush(void)
{
	draw(~0u);
	while (console_pump())
		cpu_pause();
	/* Also what is in the FIFO: the machine may be switched off next. */
	while (core.console.present && !(inb(core.console.port + UART_LSR) & LSR_TEMT))
		cpu_pause();
}

/** Whether the slower of the ring's readers is a whole ring behind. */
static bool full(const struct console *c)
{
	return c->head - c->tail == CONSOLE_RING ||
	       (c->screen.present && c->head - c->shown == CONSOLE_RING);
}

/** The guest prints faster than the line is. The time is the line's, not the exit's. */
static void wait_for_room(struct console *c)
{
	u64 start = machine_away_begin();

	do {
		console_pump();
		console_draw();
		cpu_pause();
	} while (full(c));
	machine_away_end(start);
}

static void put_raw(u8 byte)
{
	struct console *c = &core.console;

	if (full(c))
		wait_for_room(c);
	c->ring[c->head++ % CONSOLE_RING] = byte;
}

void console_put(void *unused, u8 byte)
{
	struct console *c = &core.console;

	(void)unused;
	put_raw(byte);
	if (byte == '\n' || byte == '\r')
		c->column = 0;
	else
		c->column++;
	console_pump();
}

void console_line(void *unused, const char *line)
{
	(void)unused;
	if (core.console.column) {
		put_raw('\r');
		put_raw('\n');
		core.console.column = 0;
	}
	for (; *line; line++) {
		if (*line == '\n')
			put_raw('\r');
		put_raw((u8)*line);
	}
}

/** Send it now, whatever waits in the ring. */
static void send(const char *text)
{
	struct console *c = &core.console;
	unsigned room = 0;

	c->in_wire_line = true;
	for (; c->present && *text; text++, room--) {
		if (!room) {
			while (!(inb(c->port + UART_LSR) & LSR_THRE))
				cpu_pause();
			room = CONSOLE_FIFO;
		}
		outb(c->port + UART_DATA, (u8)*text);
	}
	c->in_wire_line = false;
}

void console_wire_begin(void)
{
	while (console_pump())
		cpu_pause();
	if (core.console.column)
		send("\r\r\n");
}

void console_wire(void *unused, const char *line)
{
	(void)unused;
	send(line);
}

void console_wire_cut(void)
{
	if (core.console.in_wire_line)
		send("\n");
}

const struct text_out console_text = {.prefix = LOG_PREFIX, .puts = console_line};

void klog(const char *f, ...)
{
	char line[LOG_LINE_MAX];
	int n = fmt_snprintf(line, sizeof(line) - 1, "%s", LOG_PREFIX);
	va_list ap;

	va_start(ap, f);
	n += fmt_vsnprintf(line + n, sizeof(line) - 1 - n, f, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n] = '\n';
	line[n + 1] = 0;
	console_line(NULL, line);
	console_pump();
	/* Else whoever polls the console does it. */
	if (!core.machine || core.panicking)
		draw(~0u);
}

int console_get(void)
{
	struct console *c = &core.console;

	if (!c->present || !(inb(c->port + UART_LSR) & LSR_DR))
		return -1;
	return inb(c->port + UART_DATA);
}
