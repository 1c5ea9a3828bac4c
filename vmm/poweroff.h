/* SPDX-License-Identifier: MIT */
/* The end of the physical machine. */
#ifndef TV_POWEROFF_H
#define TV_POWEROFF_H

/** Switch off: the firmware's ResetSystem, then what emulators understand, then a message. */
_Noreturn void machine_off(void);

/** After a panic: real machines stay on, so that the screen can be read; Bochs ends. */
_Noreturn void machine_off_after_panic(void);

/** Is this machine Bochs, with the debug port enabled (port_e9_hack)? */
_Bool detect_bochs(void);

#endif
