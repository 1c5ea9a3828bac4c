/* SPDX-License-Identifier: MIT */
/* Console keys. */
#include "keys.h"

#include "core.h"
#include "insn.h"

#define KEY_ESCAPE 0x1d /* Ctrl-] */

/** For the guest; what does not fit is lost, as on any line without flow control. */
static void type(struct machine *m, u8 key)
{
	if (m->typed_head - m->typed_tail < sizeof(m->typed))
		m->typed[m->typed_head++ % sizeof(m->typed)] = key;
}

static void command(struct machine *m, int key)
{
	u64 start = machine_away_begin();

	switch (key) {
	case 's':
		machine_print_stats(m, "key");
		break;
	case 'd':
		vcpu_dump(m->vcpu[0]);
		break;
	case 't':
		vcpu_print_exits(m->vcpu[0], 32);
		break;
	case 'T':
		trace_dump(m->vcpu[0], "key");
		break;
	case 'r':
		klog("reset by the operator");
		machine_end(m, OUTCOME_OPERATOR_RESET);
		break;
	case 'x':
		klog("ended by the operator");
		machine_end(m, OUTCOME_OPERATOR);
		break;
	case KEY_ESCAPE:
		type(m, KEY_ESCAPE);
		break;
	default:
		klog("keys after Ctrl-]: s statistics, d dump of the vcpu, t recent exits, T the "
		     "flight recorder for programs, r reset, x end, Ctrl-] sends Ctrl-], ? this "
		     "list");
		break;
	}
	/* The operator's curiosity is no exit's cost. What the console took of it is in there. */
	machine_away_end(start);
}

void keys_poll(struct machine *m)
{
	int key;

	/* A guest that does not read its UART must not keep the operator's commands away. What is
	 * typed after a command that ends the run is for the next one. */
	while (m->outcome == OUTCOME_NONE && (key = console_get()) >= 0) {
		if (core.console.escape) {
			core.console.escape = false;
			command(m, key);
		} else if (key == KEY_ESCAPE) {
			core.console.escape = true;
		} else {
			type(m, (u8)key);
		}
	}
	while (m->typed_tail != m->typed_head && uart_rx_room(&m->pc.com1))
		uart_rx(&m->pc.com1, m->typed[m->typed_tail++ % sizeof(m->typed)]);
	console_draw();
}
