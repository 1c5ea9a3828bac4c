# SPDX-License-Identifier: MIT
"""The guest's initramfs: busybox with its init, the guest programs, and the command to run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import cpio
from .errors import UsageError

BUSYBOX = Path("/bin/busybox")

# What busybox's init does: it is the first process, hears poweroff, halt and reboot, and ends the
# machine in good order. `once` is not waited for, so that it can hear them all the time.
INITTAB = """\
::sysinit:/etc/mount
::once:/etc/session
::ctrlaltdel:/bin/reboot
::restart:/init
"""

MOUNT = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
"""

SESSION = """\
#!/bin/sh
# The command in /guest-run, or a shell on the console; then power off.
export PATH=/bin HOME=/root TERM=linux PS1='guest# '
cd /root
if [ -f /guest-run ]; then
	sh /guest-run
	echo "guest: command exited with status $?"
else
	setsid cttyhack sh
	echo "guest: shell exited"
fi
# Setting a mode waits until the UART has sent what was written; poweroff does not.
stty sane
poweroff -f
# Without ACPI poweroff halts the CPU and never returns.
"""


def _applets() -> list[str]:
    """The names busybox answers to: this machine's, for one that is built for another architecture
    may not run here."""
    listing = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    return sorted(set(listing.stdout.split()) - {"busybox", "["}) + ["["]


def base(guest_programs: list[Path], busybox: Path = BUSYBOX) -> bytes:
    """The compressed archive that every run shares.

    guest_programs  static executables for the guest's /bin
    busybox         the same as this machine's, but perhaps of another architecture
    """
    for path in (busybox, BUSYBOX):
        if not path.exists():
            raise UsageError(f"{path} is missing: install busybox-static")
    entries = [cpio.directory(path) for path in ("bin", "dev", "etc", "proc", "sys")]
    entries.append(cpio.directory("root", 0o700))
    entries.append(cpio.directory("tmp", 0o1777))
    entries.append(cpio.character_device("dev/console", 5, 1, 0o600))
    entries.append(cpio.symlink("init", "bin/busybox"))
    entries.append(cpio.file("etc/inittab", INITTAB.encode(), 0o644))
    entries.append(cpio.file("etc/mount", MOUNT.encode(), 0o755))
    entries.append(cpio.file("etc/session", SESSION.encode(), 0o755))
    entries.append(cpio.file("bin/busybox", busybox.read_bytes(), 0o755))
    own = {program.name for program in guest_programs}
    for applet in _applets():
        if applet not in own:
            entries.append(cpio.symlink(f"bin/{applet}", "busybox"))
    for program in guest_programs:
        entries.append(cpio.file(f"bin/{program.name}", program.read_bytes(), 0o755))
    return cpio.compress(cpio.archive(entries))


def command(text: str) -> bytes:
    """A second archive, to follow the first: the command for the session to run, as it stands."""
    return cpio.archive([cpio.file("guest-run", text.encode() + b"\n", 0o644)])
