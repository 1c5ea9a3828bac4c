/* SPDX-License-Identifier: MIT */
/*
 * What a guest can order by VMCALL where the boot line says zoo=1, to see exits that it cannot
 * raise on its own, one at a time. tests/payload/zoo/ is that guest. Without zoo=1, VMCALL is #UD.
 *
 * A call has a ZOO_* number in RAX and arguments in RBX and RCX (outside 64-bit mode: in their
 * lower halves). It returns an enum zoo_answer in RAX and, with ZOO_DONE, results in RBX, RCX and
 * RDX; all other registers keep their values. Any ring may call. The VMCALL itself is an exit like
 * any other, and counted as such. RAX without ZOO_CALL in its upper 56 bits is no call: #UD.
 * docs/zoo-calls.md says more.
 */
#ifndef TV_ZOO_H
#define TV_ZOO_H

#define ZOO_CALL 0x6f6f7a00u /* "\0zoo", and the number of a function in the lowest byte */

enum zoo_call {
	/** RBX := enum paging_mode, RCX := IA32_VMX_EPT_VPID_CAP as it is used. */
	ZOO_HELLO = ZOO_CALL,
	/** RBX: enum vmx_word of a VMCS control word. RBX := the bits that are 1 in it now, RCX :=
	 * the bits that this processor allows to be 1 and features-= left. */
	ZOO_CONTROLS,
	/** RBX: 1: nothing of the hypervisor's own makes an exit (its timers, its look at the
	 * console, the timers of the guest's devices) for the next ZOO_QUIET_TICKS, or until the
	 * next such call; 0: as ever. */
	ZOO_QUIET,
	/** RBX: enum zoo_event, RCX: its argument. It happens at the entry behind this call, or, of
	 *  what lasts "until the next exit", from that entry on. That exit, whatever it is for,
	 * ends it: what did not happen will not. */
	ZOO_ARM,
	/** RBX: enum exit_switch, RCX: 1: exit+=, 0: exit-=; from the entry behind this call on,
	 * until the run ends. */
	ZOO_SWITCH,
	/** RBX: a linear address, RCX: RSP. The next triple fault does not end the run: the guest
	 * goes on there, in the mode and with the registers that it had. */
	ZOO_RESUME,
};

/** A guest that is left alone is left alone for so long: TSC ticks of its own time. */
#define ZOO_QUIET_TICKS (1ull << 31)

enum zoo_answer {
	ZOO_DONE,
	ZOO_UNKNOWN,	  /* no such call, event or switch */
	ZOO_NO_CPU,	  /* this processor cannot, or features-= took it away */
	ZOO_NO_MODE,	  /* not in this paging mode */
	ZOO_NO_EMULATOR,  /* the emulator underneath is known not to raise it (now) */
	ZOO_REFUSED,	  /* the correctness or the safety of the mode needs it as it is */
	ZOO_BAD_ARGUMENT, /* as an address where no page of the guest's memory is */
};

enum zoo_event {
#define ZOO_EVENT(id, name, what) ZOO_EVENT_##id,
#include "zoo_events.def"
	NR_ZOO_EVENTS
};

#endif
