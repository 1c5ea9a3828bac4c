# SPDX-License-Identifier: MIT
"""What the emulated machine's serial line says of the machines in it: how far they came, what each
hypervisor counted, and how Tallyvisor's guest ended."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tallyvisor import outcome

# How the outer Linux marks a line of the machine inside (outer.sh).
MARK = "| "

# In this order; a later pattern is not looked for before the earlier ones were seen.
STEPS = (
    ("firmware and GRUB of the emulated machine", r"Welcome to GRUB!"),
    ("Linux on the emulated processor", r"^nested: linux \S+ up"),
    ("KVM with nested VMX", r"^nested: device /dev/kvm"),
    ("QEMU", r"^nested: qemu starts"),
    ("OVMF in KVM's guest", r"^\| .*BdsDxe: starting"),
    ("GRUB in KVM's guest", r"^\| .*Welcome to GRUB!"),
    ("Tallyvisor in VMX operation under KVM", r"^\| tallyvisor: run 1: paging"),
    ("Linux under Tallyvisor", r"^\| guest: the command starts"),
    ("its end", r"^\| guest: command exited with status 0"),
    ("Tallyvisor's statistics", r"^\| tallyvisor: exits end: done"),
    ("QEMU's end", r"^nested: qemu ended at \S+ with 0"),
    ("the emulated machine's end", r"^guest: command exited with status 0"),
)

# The outer Linux counts seconds of a clock that Bochs drives at so many ticks.
_STARTED = re.compile(r"^nested: qemu starts at ([\d.]+)$", re.MULTILINE)
_ENDED = re.compile(r"^nested: qemu ended at ([\d.]+) with (\d+)$", re.MULTILINE)
_PARAMETER = re.compile(r"^nested: parameter (\w+) (\S*)$", re.MULTILINE)
_COUNT = re.compile(r"^nested: (kvm_\w+) (\d+) (\d+)$", re.MULTILINE)
_FLAGS = re.compile(r"^flags\s*:.*$", re.MULTILINE)


class Progress:
    """Which steps were seen; fed with lines as they come."""

    def __init__(self) -> None:
        self.reached = 0

    def feed(self, line: str) -> str | None:
        """The step that this line completes."""
        if self.reached < len(STEPS) and re.search(STEPS[self.reached][1], line):
            self.reached += 1
            return STEPS[self.reached - 1][0]
        return None

    @property
    def missing(self) -> str | None:
        """The first step that was not seen."""
        return STEPS[self.reached][0] if self.reached < len(STEPS) else None


@dataclass
class Chain:
    """The finished log, taken apart."""

    flags: str = ""  # line of the outer Linux's /proc/cpuinfo
    parameters: dict[str, str] = field(default_factory=dict)  # of kvm_intel
    # Tracepoint of KVM's -> exit reason -> count: all exits to the outer Linux, those of them that
    # came from Tallyvisor's guest, and those of these that Tallyvisor got to see.
    counts: dict[str, dict[int, int]] = field(default_factory=dict)
    seconds: float | None = None  # emulated time that QEMU ran
    status: int | None = None  # QEMU's exit status
    inner: outcome.Watch = field(default_factory=lambda: outcome.Watch(hypervisor=True))
    inner_text: str = ""  # the inner machine's serial line


def parse(text: str) -> Chain:
    """
    text  serial.log
    """
    text = text.replace("\r", "")
    chain = Chain()
    if flags := _FLAGS.search(text):
        chain.flags = flags[0]
    chain.parameters = dict(_PARAMETER.findall(text))
    started = _STARTED.search(text)
    if not started:
        return chain
    ended = _ENDED.search(text, started.end())
    marked = [line for line in text.split("\n") if line.startswith(MARK)]
    chain.inner_text = "\n".join(line.removeprefix(MARK) for line in marked) + "\n"
    chain.inner.feed(chain.inner_text.encode())
    if ended:
        chain.seconds = float(ended[1]) - float(started[1])
        chain.status = int(ended[2])
        for event, reason, count in _COUNT.findall(text, ended.end()):
            chain.counts.setdefault(event, {})[int(reason)] = int(count)
    return chain
