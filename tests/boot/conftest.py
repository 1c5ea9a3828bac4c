# SPDX-License-Identifier: MIT
"""Fixtures of the boot tests. `run` boots a machine in batch and returns how it went; `terminal`
does it as a user at a terminal would. Tests that start an emulator are marked with its name:
`pytest -m "not bochs and not qemu"` runs the quick ones only."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
# Where make put what it built; `make test BUILD=...` hands it down.
BUILD = Path(os.environ.get("BUILD", ROOT / "build"))

sys.dont_write_bytecode = True
sys.path.insert(0, str(TOOLS))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "bochs: starts Bochs (30 to 90 seconds each)")
    config.addinivalue_line("markers", "qemu: starts QEMU without KVM (10 seconds each)")


@dataclass
class Result:
    exit_code: int
    shown: str  # what the user saw on standard output
    messages: str  # standard error: what the runner itself said
    serial: str  # serial.log, without carriage returns
    stats: dict  # stats.json
    out: Path

    @property
    def verdict(self) -> str:
        return self.messages.strip().splitlines()[-1]

    @property
    def last_run(self) -> dict:
        return self.stats["runs"][-1]


def command(out: Path, options: dict[str, object]) -> list[str]:
    argv = [str(TOOLS / "tallyvisor-run"), "--build", str(BUILD), "--out", str(out)]
    for name, value in options.items():
        if value is True:
            argv.append(f"--{name.replace('_', '-')}")
        else:
            argv.append(f"--{name.replace('_', '-')}={value}")
    return argv


def result(exit_code: int, shown: str, messages: str, out: Path) -> Result:
    log, stats = out / "serial.log", out / "stats.json"
    serial = log.read_bytes().decode(errors="replace") if log.exists() else ""
    return Result(exit_code, shown, messages, serial.replace("\r", ""),
                  json.loads(stats.read_text()) if stats.exists() else {}, out)


@pytest.fixture
def run(tmp_path):
    """run(paging="ept", engine="bochs", guest_run="...", ...): the runner's options by name."""
    def call(**options) -> Result:
        out = tmp_path / "out"
        done = subprocess.run(command(out, options), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", cwd=tmp_path)
        got = result(done.returncode, done.stdout, done.stderr, out)
        print(got.shown, got.messages, sep="\n--- messages\n")  # pytest shows it on failure
        return got
    return call


class Terminal:
    """A pseudoterminal with tallyvisor-run in front of it, and somebody who reads and types."""

    def __init__(self, argv: list[str], out: Path):
        self._out = out
        self._master, slave = pty.openpty()
        self.slave_name = os.ttyname(slave)
        self._process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=subprocess.PIPE,
                                         start_new_session=True)
        self._slave = slave  # kept, so that the terminal's modes can be looked at
        self.text = ""
        self._seen = 0

    def read_until(self, pattern: str, seconds: float) -> re.Match:
        """Wait for text that was not waited for before."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.compile(pattern, re.MULTILINE).search(self.text, self._seen)
            if match:
                self._seen = match.end()
                return match
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} within {seconds} s in: {self.text[-2000:]}"
            if select.select([self._master], [], [], min(left, 1))[0]:
                self.text += os.read(self._master, 65536).decode(errors="replace").replace("\r", "")
            else:
                assert self._process.poll() is None, f"ended: {self._process.stderr.read()}"

    def type(self, text: str | bytes) -> None:
        os.write(self._master, text if isinstance(text, bytes) else text.encode())

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def modes(self) -> list:
        import termios
        return termios.tcgetattr(self._slave)

    def finish(self, seconds: float) -> Result:
        """Wait for the runner's end."""
        deadline = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < deadline, f"not ended: {self.text[-2000:]}"
            if select.select([self._master], [], [], 0.2)[0]:
                self.text += os.read(self._master, 65536).decode(errors="replace")
        messages = self._process.stderr.read().decode(errors="replace")
        return result(self._process.returncode, self.text, messages, self._out)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
        self._process.stderr.close()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminal(tmp_path):
    """terminal(paging="bare", ...) starts the runner on a terminal of its own."""
    opened = []

    def call(**options) -> Terminal:
        out = tmp_path / "out"
        opened.append(Terminal(command(out, options), out))
        return opened[-1]
    yield call
    for one in opened:
        one.close()
