/* SPDX-License-Identifier: MIT */
/*
 * One counter of the 8254: its six modes as functions of time. Words (CR, CE, OUT, GATE, null
 * count, trigger) and rules are those of the data sheet's chapter "Operational Description".
 *
 * `t` is the present tick of the input clock, PIT_HZ ticks since guest TSC 0, and does not go back.
 * pit_counter_settle() comes before every other call at a new `t`.
 */
#ifndef TV_PIT_COUNTER_H
#define TV_PIT_COUNTER_H

#include "pit.h"

/** The RW field of the control word. */
enum { PIT_RW_LATCH, PIT_RW_LSB, PIT_RW_MSB, PIT_RW_BOTH };

/** Let what happened on the channel until `t` take effect: loads of a new count. */
void pit_counter_settle(struct pit_channel *c, s64 t);

/** CE as a read sees it: binary or BCD. */
u16 pit_counter_value(const struct pit_channel *c, s64 t);

/** The level of OUT. */
bool pit_counter_out(const struct pit_channel *c, s64 t);

/** The first tick after `t` at which OUT rises, or PIT_NEVER. A count of 1 is illegal in modes 2
 *  and 3, and has no edges. */
s64 pit_counter_next_rise(const struct pit_channel *c, s64 t);

/** A byte for the count register. */
void pit_counter_write(struct pit_channel *c, s64 t, u8 v);

/** A level on GATE: its rise is a trigger in modes 1, 2, 3 and 5. */
void pit_counter_gate(struct pit_channel *c, s64 t, bool gate);

/** No more counting; CE stays as it is, and OUT is `out`. */
void pit_counter_stop(struct pit_channel *c, s64 t, bool out);

#endif
