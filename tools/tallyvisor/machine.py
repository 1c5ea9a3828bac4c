# SPDX-License-Identifier: MIT
"""A running emulator: its process group, its serial line, and the descriptors that somebody must
read all the time lest it stop. Engines differ in how they fill one of these."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For preexec_fn: the child does not outlive this tool, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(frozen=True)
class Spec:
    """What to run, in terms every engine understands."""

    disk: Path
    work: Path  # directory for the engine's own files
    log: Path  # where the engine's log goes
    mem_mib: int  # of the whole machine
    cpu: str  # the engine's name for the CPU
    realtime: bool  # the guest's clock keeps pace with the wall's; else it runs as fast as it can
    screen: bool = False  # a graphics card that the firmware has a driver for (Bochs: else none)


@dataclass
class Machine:
    process: subprocess.Popen
    serial_in: int = -1  # descriptor to read the guest's output from; -1: not connected yet
    serial_out: int = -1  # descriptor to write the guest's input to
    # Other descriptors to read, and where to put what was read. They stay open to the end.
    feeds: dict[int, Callable[[bytes], None]] = field(default_factory=dict)
    listener: socket.socket | None = None  # where the serial line will connect, until it has
    on_kill: Callable[[], None] = lambda: None  # closes what the engine opened

    def send(self, data: bytes) -> None:
        """Type at the guest's serial line."""
        try:
            os.write(self.serial_out, data)
        except OSError:
            pass  # the emulator is gone; its end is seen elsewhere

    def ended(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> None:
        """End the emulator and all it started; harmless where it has ended."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.on_kill()


class BoundedLog:
    """A log file that keeps the beginning and the end of what is written and drops the middle."""

    def __init__(self, path: Path, head: int = 8 << 20, tail: int = 2 << 20):
        self._file = path.open("wb")
        self._head_left = head
        self._tail_max = tail
        self._tail = bytearray()
        self._dropped = 0

    def write(self, data: bytes) -> None:
        now, later = data[:self._head_left], data[self._head_left:]
        if now:
            self._file.write(now)
            self._file.flush()
            self._head_left -= len(now)
        self._tail += later
        excess = len(self._tail) - self._tail_max
        if excess > 0:
            del self._tail[:excess]
            self._dropped += excess

    def close(self) -> None:
        if self._dropped:
            self._file.write(b"\n[... %d bytes left out ...]\n" % self._dropped)
        self._file.write(self._tail)
        self._file.close()
