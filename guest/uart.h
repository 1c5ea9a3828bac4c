/* SPDX-License-Identifier: MIT */
/*
 * A 16550A UART (National Semiconductor PC16550D data sheet). What the guest sends goes to `tx`
 * at once, so the transmitter is always empty; what the operator types waits in the receive FIFO.
 *
 * Time does not pass between characters here. The character timeout (four character times without
 * a read) is therefore reported as soon as the FIFO holds something below its trigger level.
 */
#ifndef TV_UART_H
#define TV_UART_H

#include "device.h"
#include "types.h"

#define UART_FIFO 16

struct uart {
	u8 ier, lcr, mcr, scr, fcr;
	u8 lsr; /* the bits that reading clears: overrun */
	u8 msr; /* as last seen, with its delta bits */
	u16 divisor;
	u8 rx[UART_FIFO];
	unsigned rx_head, rx_count;
	bool thri_pending; /* transmitter-empty interrupt not yet acknowledged */
	unsigned gsi;
	bool line;
	struct irq_sink irq;
	void (*tx)(void *ctx, u8 byte);
	void *tx_ctx;
};

/** Reset state, with a peer that holds CTS, DSR and DCD active. `irq` is copied. */
void uart_init(struct uart *u, unsigned gsi, const struct irq_sink *irq,
	       void (*tx)(void *ctx, u8 byte), void *tx_ctx);

/** The eight registers (data sheet, section 8.0 "Registers"). They are a byte wide: `size` must be
 *  1, as the bus sees to for a range of width 1. */
u64 uart_read(void *u, u64 offset, unsigned size);
void uart_write(void *u, u64 offset, unsigned size, u64 value);

/** How many more bytes the receiver can take now; 0 in loopback, where it is off the line. */
unsigned uart_rx_room(const struct uart *u);

/** A byte from the line. With no room, sets the overrun error and loses a byte, as hardware does;
 *  in loopback the line is not connected and the byte is gone. */
void uart_rx(struct uart *u, u8 byte);

#endif
