/* SPDX-License-Identifier: MIT */
/* The I/O APIC: see the header for the data sheet and the policies. */
#include "guest/ioapic.h"

#define IOREGSEL 0x00
#define IOWIN 0x10
#define EOI 0x40

#define REG_ID 0x00
#define REG_VERSION 0x01
#define REG_ARBITRATION 0x02
#define REG_REDIR 0x10

#define VERSION 0x20u

#define REDIR_LOGICAL BIT(11)
#define REDIR_STATUS BIT(12)
#define REDIR_REMOTE_IRR BIT(14)
#define REDIR_LEVEL BIT(15)
#define REDIR_MASKED BIT(16)
#define REDIR_LOW_WRITABLE (0x1ffffull & ~(REDIR_STATUS | REDIR_REMOTE_IRR))
#define REDIR_HIGH_WRITABLE 0xff000000ull

static u8 redir_mode(u64 redir)
{
	return redir >> 8 & 7;
}

static bool level_triggered(u64 redir)
{
	u8 mode = redir_mode(redir);

	return (redir & REDIR_LEVEL) && (mode == APIC_FIXED || mode == APIC_LOWEST);
}

void ioapic_init(struct ioapic *io, u32 id, void (*deliver)(void *ctx, const struct apic_msg *),
		 void *ctx)
{
	*io = (struct ioapic){.id = id & 15, .deliver = deliver, .ctx = ctx};
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->redir[pin] = REDIR_MASKED;
}

static void send(struct ioapic *io, unsigned pin)
{
	u64 redir = io->redir[pin];
	struct apic_msg msg = {
		.dest = redir >> 56,
		.logical = redir & REDIR_LOGICAL,
		.mode = redir_mode(redir),
		.vector = (u8)redir,
		.level = level_triggered(redir),
		.assert = true,
	};

	io->deliver(io->ctx, &msg);
}

/* A level-triggered pin delivers whenever nothing holds it back. */
static void service_level(struct ioapic *io, unsigned pin)
{
	u64 redir = io->redir[pin];

	if (!level_triggered(redir) || (redir & (REDIR_MASKED | REDIR_REMOTE_IRR)) ||
	    !(io->level >> pin & 1))
		return;
	io->redir[pin] |= REDIR_REMOTE_IRR;
	send(io, pin);
}

void ioapic_set(struct ioapic *io, unsigned pin, bool level)
{
	bool rise;

	if (pin >= IOAPIC_PINS)
		return;
	rise = level && !(io->level >> pin & 1);
	io->level = level ? io->level | 1u << pin : io->level & ~(1u << pin);
	if (level_triggered(io->redir[pin]))
		service_level(io, pin);
	else if (rise && !(io->redir[pin] & REDIR_MASKED))
		send(io, pin);
}

bool ioapic_sends_nmi(const struct ioapic *io)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (redir_mode(io->redir[pin]) == APIC_NMI && !(io->redir[pin] & REDIR_MASKED))
			return true;
	}
	return false;
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (!(io->redir[pin] & REDIR_REMOTE_IRR) || (u8)io->redir[pin] != vector)
			continue;
		io->redir[pin] &= ~REDIR_REMOTE_IRR;
		service_level(io, pin);
	}
}

/* Redirection entry n is registers REG_REDIR + 2n and + 2n + 1. */
static bool redir_pin(u8 index, unsigned *pin)
{
	*pin = (index - REG_REDIR) / 2u;
	return index >= REG_REDIR && *pin < IOAPIC_PINS;
}

static u32 read_register(const struct ioapic *io)
{
	unsigned pin;

	if (redir_pin(io->index, &pin))
		return (u32)(io->redir[pin] >> (io->index & 1 ? 32 : 0));
	switch (io->index) {
	case REG_ID:
	case REG_ARBITRATION: /* loaded from the id whenever that is written */
		return io->id << 24;
	case REG_VERSION:
		return VERSION | (IOAPIC_PINS - 1) << 16;
	default:
		return 0;
	}
}

static void write_redir(struct ioapic *io, unsigned pin, bool high, u32 value)
{
	u64 redir = io->redir[pin];

	if (high)
		redir = (u32)redir | (value & REDIR_HIGH_WRITABLE) << 32;
	else
		redir = (redir & ~REDIR_LOW_WRITABLE) | (value & REDIR_LOW_WRITABLE);
	if (!level_triggered(redir))
		redir &= ~REDIR_REMOTE_IRR;
	io->redir[pin] = redir;
	service_level(io, pin);
}

static void write_register(struct ioapic *io, u32 value)
{
	unsigned pin;

	if (redir_pin(io->index, &pin))
		write_redir(io, pin, io->index & 1, value);
	else if (io->index == REG_ID)
		io->id = value >> 24 & 15;
}

u64 ioapic_mmio_read(void *dev, u64 offset, unsigned size)
{
	const struct ioapic *io = dev;
	u64 value = 0;

	if (offset == IOREGSEL)
		value = io->index;
	else if (offset == IOWIN)
		value = read_register(io);
	return size < 4 ? value & (BIT(8 * size) - 1) : value;
}

void ioapic_mmio_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct ioapic *io = dev;

	if (offset == IOREGSEL)
		io->index = (u8)value;
	else if (offset == IOWIN && size >= 4)
		write_register(io, (u32)value);
	else if (offset == EOI)
		ioapic_eoi(io, (u8)value);
}
