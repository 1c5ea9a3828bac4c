/* SPDX-License-Identifier: MIT */
/*
 * The PIO and MMIO bus: ranges sorted by address, found by binary search. Each access that leaves
 * the guest comes through here, so the common case (one range, one device access) is one search
 * and one call.
 */
#include "device.h"

/** Index of the first range whose base is above `addr`. */
static unsigned upper_bound(const struct bus *bus, u64 addr)
{
	unsigned lo = 0, hi = bus->nr;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (bus->range[mid].base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool bus_claim(struct bus *bus, const struct bus_range *r)
{
	unsigned at;

	if (bus->nr == BUS_MAX_RANGES || !r->len || r->base > ~0ull - (r->len - 1))
		return false;
	at = upper_bound(bus, r->base);
	if (at && r->base - bus->range[at - 1].base < bus->range[at - 1].len)
		return false;
	if (at < bus->nr && bus->range[at].base - r->base < r->len)
		return false;
	for (unsigned i = bus->nr; i > at; i--)
		bus->range[i] = bus->range[i - 1];
	bus->range[at] = *r;
	bus->nr++;
	return true;
}

const struct bus_range *bus_find(const struct bus *bus, u64 addr, unsigned size)
{
	unsigned at = upper_bound(bus, addr);
	const struct bus_range *r;

	if (!at)
		return NULL;
	r = &bus->range[at - 1];
	return addr - r->base < r->len && size <= r->len - (addr - r->base) ? r : NULL;
}

static bool size_valid(unsigned size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static bool fits(const struct bus_range *r, unsigned size)
{
	return r && (!r->width || size <= r->width);
}

static u64 ones(unsigned size)
{
	return size < 8 ? BIT(size * 8) - 1 : ~0ull;
}

/** The size of the pieces an access is split into: the device's width where one range holds the
 *  whole access, else single bytes. */
static unsigned piece(const struct bus_range *r)
{
	return r && r->width ? r->width : 1;
}

bool bus_read(const struct bus *bus, u64 addr, unsigned size, u64 *value)
{
	const struct bus_range *r;
	bool claimed = false;

	*value = ~0ull;
	if (!size_valid(size))
		return false;
	*value = ones(size);
	r = bus_find(bus, addr, size);
	if (fits(r, size)) {
		*value = r->read(r->dev, addr - r->base, size) & ones(size);
		return true;
	}
	for (unsigned i = 0, step = piece(r); i < size; i += step) {
		const struct bus_range *p = bus_find(bus, addr + i, step);
		u64 mask = ones(step) << (i * 8);

		if (!p)
			continue;
		claimed = true;
		*value = (*value & ~mask) |
			 (p->read(p->dev, addr + i - p->base, step) << (i * 8) & mask);
	}
	return claimed;
}

bool bus_write(const struct bus *bus, u64 addr, unsigned size, u64 value)
{
	const struct bus_range *r;
	bool claimed = false;

	if (!size_valid(size))
		return false;
	r = bus_find(bus, addr, size);
	if (fits(r, size)) {
		r->write(r->dev, addr - r->base, size, value & ones(size));
		return true;
	}
	for (unsigned i = 0, step = piece(r); i < size; i += step) {
		const struct bus_range *p = bus_find(bus, addr + i, step);

		if (!p)
			continue;
		claimed = true;
		p->write(p->dev, addr + i - p->base, step, value >> (i * 8) & ones(step));
	}
	return claimed;
}
