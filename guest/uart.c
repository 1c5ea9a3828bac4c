/* SPDX-License-Identifier: MIT */
/*
 * The 16550A. Names of registers and bits are the PC16550D data sheet's, section 8.0 "Registers";
 * the interrupt output is gated by OUT2, as on every PC serial port.
 */
#include "uart.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_ERBFI 0x01 /* received data available, and the character timeout */
#define IER_ETBEI 0x02 /* transmitter holding register empty */
#define IER_ELSI 0x04  /* receiver line status */
#define IER_EDSSI 0x08 /* modem status */

#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_THRE 0x02
#define IIR_DATA 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS 0xc0

#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define FCR_KEPT 0xc9 /* trigger level, DMA mode, enable: the resets clear themselves */

#define LCR_WLS 0x03
#define LCR_DLAB 0x80

#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_VALID 0x1f

#define LSR_DR 0x01
#define LSR_OE 0x02
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define MSR_DELTA 0x0f
#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80

static unsigned capacity(const struct uart *u)
{
	return u->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

static unsigned trigger(const struct uart *u)
{
	static const u8 level[4] = {1, 4, 8, 14};

	return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/** The highest-priority interrupt (data sheet, Table IV "Interrupt Control Functions"). */
static u8 interrupt_id(const struct uart *u)
{
	if (u->ier & IER_ELSI && u->lsr & LSR_OE)
		return IIR_LINE;
	if (u->ier & IER_ERBFI && u->rx_count)
		return u->rx_count >= trigger(u) ? IIR_DATA : IIR_TIMEOUT;
	if (u->ier & IER_ETBEI && u->thri_pending)
		return IIR_THRE;
	if (u->ier & IER_EDSSI && u->msr & MSR_DELTA)
		return IIR_MODEM;
	return IIR_NONE;
}

static void set_line(struct uart *u, bool level)
{
	if (level == u->line)
		return;
	u->line = level;
	u->irq.set(u->irq.ctx, u->gsi, level);
}

/** In loopback the OUT2 pin is inactive, whatever the register says: no interrupt gets out. */
static void update_line(struct uart *u)
{
	bool gate = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	set_line(u, gate && interrupt_id(u) != IIR_NONE);
}

/** The modem inputs: the peer's, or in loopback our own outputs (RTS to CTS, DTR to DSR, OUT1 to
 * RI, OUT2 to DCD). */
static u8 modem_inputs(const struct uart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (u->mcr & 0x02 ? MSR_CTS : 0) | (u->mcr & 0x01 ? MSR_DSR : 0) |
	       (u->mcr & 0x04 ? MSR_RI : 0) | (u->mcr & 0x08 ? MSR_DCD : 0);
}

/** Note changes of the inputs in the delta bits. TERI tells only of the ring's end. */
static void update_modem(struct uart *u)
{
	u8 inputs = modem_inputs(u);
	u8 changed = (inputs ^ u->msr) & ~MSR_DELTA;

	if (inputs & MSR_RI)
		changed &= ~MSR_RI;
	u->msr = inputs | (u->msr & MSR_DELTA) | changed >> 4;
}

static void rx_clear(struct uart *u)
{
	u->rx_head = 0;
	u->rx_count = 0;
}

static void receive(struct uart *u, u8 byte)
{
	if (u->rx_count == capacity(u)) {
		u->lsr |= LSR_OE;
		/* The FIFO keeps what it has; without one the new character takes RBR over. */
		if (!(u->fcr & FCR_ENABLE))
			u->rx[u->rx_head] = byte;
	} else {
		u->rx[(u->rx_head + u->rx_count++) % UART_FIFO] = byte;
	}
	update_line(u);
}

/** The character leaves at once. The line falls with the THRE interrupt in between, so that an
 *  edge-triggered controller sees the transmitter become empty again. */
static void transmit(struct uart *u, u8 byte)
{
	byte &= 0xff >> (3 - (u->lcr & LCR_WLS));
	u->thri_pending = false;
	update_line(u);
	if (u->mcr & MCR_LOOP)
		receive(u, byte);
	else
		u->tx(u->tx_ctx, byte);
	u->thri_pending = true;
	update_line(u);
}

/** RBR; without the FIFO it is one register that keeps its contents. A read that leaves the FIFO
 *  below its trigger ends the data interrupt (or the timeout), and the next timeout is a new edge.
 */
static u8 read_data(struct uart *u)
{
	u8 byte = u->rx[u->rx_head];

	if (u->rx_count) {
		if (u->fcr & FCR_ENABLE)
			u->rx_head = (u->rx_head + 1) % UART_FIFO;
		if (--u->rx_count < trigger(u) && u->ier & IER_ERBFI)
			set_line(u, false);
		update_line(u);
	}
	return byte;
}

static u8 read_iir(struct uart *u)
{
	u8 id = interrupt_id(u);

	if (id == IIR_THRE) {
		u->thri_pending = false;
		update_line(u);
	}
	return id | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static u8 read_lsr(struct uart *u)
{
	u8 v = u->lsr | LSR_THRE | LSR_TEMT | (u->rx_count ? LSR_DR : 0);

	u->lsr = 0;
	update_line(u);
	return v;
}

static u8 read_msr(struct uart *u)
{
	u8 v = u->msr;

	u->msr &= ~MSR_DELTA;
	update_line(u);
	return v;
}

u64 uart_read(void *dev, u64 offset, unsigned size)
{
	struct uart *u = dev;
	bool dlab = u->lcr & LCR_DLAB;

	(void)size;
	switch (offset) {
	case REG_DATA:
		return dlab ? u->divisor & 0xff : read_data(u);
	case REG_IER:
		return dlab ? u->divisor >> 8 : u->ier;
	case REG_IIR_FCR:
		return read_iir(u);
	case REG_LCR:
		return u->lcr;
	case REG_MCR:
		return u->mcr;
	case REG_LSR:
		return read_lsr(u);
	case REG_MSR:
		return read_msr(u);
	case REG_SCR:
		return u->scr;
	default:
		return 0xff;
	}
}

/** Enabling the THRE interrupt while the transmitter is empty raises it at once: drivers count on
 *  that to start sending. */
static void write_ier(struct uart *u, u8 v)
{
	u8 old = u->ier;

	u->ier = v & 0x0f;
	if (u->ier & ~old & IER_ETBEI)
		u->thri_pending = true;
	update_line(u);
}

/** Switching the FIFOs on or off empties them; the other bits only count where FCR0 is written 1.
 */
static void write_fcr(struct uart *u, u8 v)
{
	if ((v ^ u->fcr) & FCR_ENABLE || (v & FCR_ENABLE && v & FCR_CLEAR_RX))
		rx_clear(u);
	u->fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
	update_line(u);
}

static void write_mcr(struct uart *u, u8 v)
{
	u->mcr = v & MCR_VALID;
	update_modem(u);
	update_line(u);
}

void uart_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct uart *u = dev;
	bool dlab = u->lcr & LCR_DLAB;
	u8 v = value;

	(void)size;
	switch (offset) {
	case REG_DATA:
		if (dlab)
			u->divisor = (u->divisor & 0xff00) | v;
		else
			transmit(u, v);
		break;
	case REG_IER:
		if (dlab)
			u->divisor = (u->divisor & 0x00ff) | v << 8;
		else
			write_ier(u, v);
		break;
	case REG_IIR_FCR:
		write_fcr(u, v);
		break;
	case REG_LCR:
		u->lcr = v;
		break;
	case REG_MCR:
		write_mcr(u, v);
		break;
	case REG_SCR:
		u->scr = v;
		break;
	}
}

unsigned uart_rx_room(const struct uart *u)
{
	return u->mcr & MCR_LOOP ? 0 : capacity(u) - u->rx_count;
}

void uart_rx(struct uart *u, u8 byte)
{
	if (!(u->mcr & MCR_LOOP))
		receive(u, byte);
}

void uart_init(struct uart *u, unsigned gsi, const struct irq_sink *irq,
	       void (*tx)(void *ctx, u8 byte), void *tx_ctx)
{
	*u = (struct uart){.gsi = gsi, .irq = *irq, .tx = tx, .tx_ctx = tx_ctx};
	u->msr = modem_inputs(u);
}
