# SPDX-License-Identifier: MIT
"""Several machines at a time, and a user who wants to see that they live."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Callable, TextIO

# Where nothing overwrites a line: how long nothing may have been said.
PATIENCE_SECONDS = 15

FIRMWARE = "firmware"

_RUN = re.compile(r"tallyvisor: run (\d+): paging (\S+), ")
# What is worth a line of its own.
_EVENTS = ("bench: phase ", "bench: failed", "tallyvisor-run:", "tallyvisor: PANIC",
           "tallyvisor: refused", "tallyvisor: paging=compare:")
# Without ACPI a power-off is a halt: no failure, as the runner must think it.
_HALTED = re.compile(r"tallyvisor-run: .*\bguest ended by halted\b")


@dataclass
class Job:
    """One machine."""

    name: str
    command: list
    stage: str = FIRMWARE  # what runs in it
    last: str = ""  # its last line
    status: int | None = None  # the runner's exit status, once it has ended
    _partial: str = field(default="", repr=False)

    def feed(self, text: str) -> list[str]:
        """What is to be told of it."""
        lines = (self._partial + text).split("\n")
        self._partial = lines.pop()
        return [event for line in lines if line.strip() for event in self._line(line.rstrip())]

    def _line(self, line: str) -> list[str]:
        self.last = line
        if match := _RUN.match(line):
            self.stage = match[2]
            return [f"{self.name}: run {match[1]} begins, paging {match[2]}"]
        if line.startswith("bench: begin") and self.stage == FIRMWARE:
            self.stage = "Linux"
        if line.startswith(_EVENTS) and not _HALTED.match(line):
            return [f"{self.title()}: {line.split(' idle ')[0]}"]
        return []

    def title(self) -> str:
        return f"{self.name}, {self.stage}"


def status(jobs: list[Job], seconds: float) -> list[str]:
    """One line for each that still runs."""
    return [f"{seconds:6.0f} s  {job.title()}: {job.last}" for job in jobs if job.status is None]


class Screen:
    """What has happened, line by line, and on a terminal, below it and written over again and again,
    what runs now."""

    def __init__(self, out: TextIO | None = None):
        self._out = out or sys.stderr
        self._terminal = self._out.isatty()
        self._below = 0  # lines to go up before the next word
        self._said = time.monotonic()

    def say(self, text: str) -> None:
        self._wipe()
        print(text, file=self._out, flush=True)
        self._said = time.monotonic()

    def show(self, lines: list[str]) -> None:
        if self._terminal:
            width = shutil.get_terminal_size().columns
            self._wipe()
            for line in lines:
                print(line[:width - 1], file=self._out)
            self._out.flush()
            self._below = len(lines)
        elif time.monotonic() - self._said >= PATIENCE_SECONDS:
            for line in lines:
                self.say(line)

    def _wipe(self) -> None:
        if self._below:
            print(f"\x1b[{self._below}A\x1b[J", end="", file=self._out)
            self._below = 0


def run(jobs: list[Job], screen: Screen,
        judge: Callable[[Job], None] = lambda job: None) -> None:
    """Start them all, and return when the last one has ended. However this ends, none is left.

    judge  is called for each that has ended; what it raises ends the others
    """
    started = time.monotonic()
    selector = selectors.DefaultSelector()
    processes = []
    try:
        for job in jobs:
            process = subprocess.Popen(job.command, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            processes.append(process)
            selector.register(process.stdout, selectors.EVENT_READ, (job, process))
        while selector.get_map():
            for key, _ in selector.select(1):
                job, process = key.data
                data = os.read(key.fd, 65536)
                for event in job.feed(data.decode(errors="replace")):
                    screen.say(f"{time.monotonic() - started:6.0f} s  {event}")
                if not data:
                    selector.unregister(process.stdout)
                    job.status = process.wait()
                    judge(job)
            screen.show(status(jobs, time.monotonic() - started))
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
            process.wait()
            process.stdout.close()
        selector.close()
        screen.show([])
