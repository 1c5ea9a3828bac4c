# SPDX-License-Identifier: MIT
"""One machine from start to end: moves bytes between its serial line, the log and the terminal,
and decides when it is over."""

from __future__ import annotations

import os
import selectors
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .machine import Machine
from .outcome import Watch
from .program import Interrupted, interruptible
from .sieve import Sieve
from .terminal import Keys, Plain, Raw

# An announced ending is believed when the line was silent for so long.
SETTLE_SECONDS = 2.0
TICK_SECONDS = 0.2

TIMEOUT, LOST, STOPPED = "timeout", "lost", "stopped"


@dataclass(frozen=True)
class Result:
    outcome: str
    text: str  # what explains it, or ""
    seconds: float


class Session:
    """
    log       file that gets every byte of the serial line
    trace     file that gets the lines of a trace, which nobody is shown; not made without any
    timeout   seconds of wall time after which the machine is ended; None: never
    typing    standard input is a terminal and belongs to the guest
    """

    def __init__(self, machine: Machine, watch: Watch, log: Path, trace: Path,
                 timeout: float | None, typing: bool):
        self._machine = machine
        self._watch = watch
        self._log = log.open("wb")
        self._trace = trace
        self._sieve = Sieve()
        self._timeout = timeout
        self._typing = typing
        self._showing = True
        self._keys = Keys()
        self._plain = Plain()
        self._selector = selectors.DefaultSelector()
        self._quiet_since = time.monotonic()

    def run(self) -> Result:
        """Returns when the machine has ended; the emulator is gone then, however that came."""
        started = time.monotonic()
        with interruptible():
            try:
                if self._typing:
                    with Raw(sys.stdin.fileno()):
                        outcome, text = self._loop(started)
                else:
                    outcome, text = self._loop(started)
            except Interrupted as signal_name:
                outcome, text = STOPPED, f"by {signal_name}"
            finally:
                self._machine.kill()
                self._log.close()
                self._selector.close()
        return Result(outcome, text, time.monotonic() - started)

    def _loop(self, started: float) -> tuple[str, str]:
        if self._typing:
            self._selector.register(sys.stdin, selectors.EVENT_READ, self._read_keys)
        if self._machine.listener:
            self._selector.register(self._machine.listener, selectors.EVENT_READ, self._accept)
        else:
            self._watch_serial()
        while True:
            ended = self._machine.ended()
            self._register_feeds()
            busy = False
            for key, _ in self._selector.select(0 if ended else TICK_SECONDS):
                busy = True
                key.data(key.fd)
            now = time.monotonic()
            if self._keys.quit:
                return STOPPED, "by Ctrl-] q"
            # What the emulator wrote before it ended is read first.
            if ended and not busy:
                self._take(self._sieve.finish())
                self._watch.finish()
                ending = self._watch.ending
                return (ending.outcome, ending.text) if ending else (LOST, "")
            if not busy:
                self._show(self._sieve.early())
            if now - self._quiet_since >= SETTLE_SECONDS:
                ending = self._watch.ending_if_silent()
                if ending:
                    return ending.outcome, ending.text
            if self._timeout is not None and now - started >= self._timeout:
                return TIMEOUT, ""

    def _register_feeds(self) -> None:
        """Feeds come and go while the machine runs."""
        known = self._selector.get_map()
        for descriptor in list(self._machine.feeds):
            if descriptor not in known:
                self._selector.register(descriptor, selectors.EVENT_READ, self._read_feed)

    def _watch_serial(self) -> None:
        self._selector.register(self._machine.serial_in, selectors.EVENT_READ, self._read_serial)

    def _accept(self, _descriptor: int) -> None:
        connection, _ = self._machine.listener.accept()
        self._selector.unregister(self._machine.listener)
        self._machine.serial_in = self._machine.serial_out = connection.detach()
        self._watch_serial()

    def _read(self, descriptor: int) -> bytes:
        """What there is; b"" at the end, after which the descriptor is watched no more."""
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # a pty whose other side was closed
            data = b""
        if not data:
            self._selector.unregister(descriptor)
        return data

    def _read_feed(self, descriptor: int) -> None:
        data = self._read(descriptor)
        if data:
            self._machine.feeds[descriptor](data)
        else:
            del self._machine.feeds[descriptor]

    def _read_serial(self, descriptor: int) -> None:
        data = self._read(descriptor)
        self._quiet_since = time.monotonic()
        self._log.write(data)
        self._log.flush()
        text, trace = self._sieve.feed(data)
        if trace:
            with self._trace.open("ab") as out:
                out.write(trace)
        self._take(text)

    def _take(self, text: bytes) -> None:
        """What the line says, less the lines of a trace."""
        self._watch.feed(text)
        self._show(text[self._sieve.skip:])

    def _read_keys(self, descriptor: int) -> None:
        passed = self._keys.feed(self._read(descriptor))
        if passed:
            self._machine.send(passed)

    def _show(self, data: bytes) -> None:
        if not self._showing:
            return
        data = data if self._typing else self._plain.feed(data)
        try:
            while data:
                data = data[os.write(1, data):]
        except OSError:  # nobody reads it any more; the run goes on for its log
            self._showing = False
