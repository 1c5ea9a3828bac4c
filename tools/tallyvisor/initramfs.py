# SPDX-License-Identifier: MIT
"""The guest's initramfs: busybox, our /init, the guest programs, and the command to run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import cpio
from .errors import UsageError

BUSYBOX = Path("/bin/busybox")

INIT = """\
#!/bin/sh
# The guest's first process: a shell on the console, or the command in /guest-run; then power off.
export PATH=/bin HOME=/root TERM=linux PS1='guest# '
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
cd /root
end() {
	# Setting a mode waits until the UART has sent what was written; poweroff does not.
	stty sane < /dev/console
	"$1" -f
	# Without ACPI poweroff halts the CPU; a PID 1 that returned would make the kernel panic.
	while :; do sleep 1000; done
}
# How busybox's poweroff, halt and reboot ask the first process.
trap 'end poweroff' USR1 USR2
trap 'end reboot' TERM
# In the background, because a shell that waits for a program hears no signal.
if [ -f /guest-run ]; then
	sh /guest-run < /dev/console &
	wait $!
	echo "guest: command exited with status $?"
else
	setsid cttyhack sh < /dev/console > /dev/console 2>&1 &
	wait $!
	echo "guest: shell exited"
fi
end poweroff
"""


def _applets(busybox: Path) -> list[str]:
    """The names busybox answers to."""
    listing = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    return sorted(set(listing.stdout.split()) - {"busybox", "["}) + ["["]


def base(guest_programs: list[Path], busybox: Path = BUSYBOX) -> bytes:
    """The compressed archive that every run shares.

    guest_programs  static executables for the guest's /bin
    """
    if not busybox.exists():
        raise UsageError(f"{busybox} is missing: install busybox-static")
    entries = [cpio.directory(path) for path in ("bin", "dev", "proc", "sys")]
    entries.append(cpio.directory("root", 0o700))
    entries.append(cpio.directory("tmp", 0o1777))
    entries.append(cpio.character_device("dev/console", 5, 1, 0o600))
    entries.append(cpio.file("init", INIT.encode(), 0o755))
    entries.append(cpio.file("bin/busybox", busybox.read_bytes(), 0o755))
    own = {program.name for program in guest_programs}
    for applet in _applets(busybox):
        if applet not in own:
            entries.append(cpio.symlink(f"bin/{applet}", "busybox"))
    for program in guest_programs:
        entries.append(cpio.file(f"bin/{program.name}", program.read_bytes(), 0o755))
    return cpio.compress(cpio.archive(entries))


def command(text: str) -> bytes:
    """A second archive, to follow the first: the command for /init to run, as it stands."""
    return cpio.archive([cpio.file("guest-run", text.encode() + b"\n", 0o644)])
