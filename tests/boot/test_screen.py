# SPDX-License-Identifier: MIT
"""The console on the screen: Bochs with a graphics card that OVMF has a driver for. Its debugger
writes the framebuffer to a file, and the font reads the text in it, which must be the serial
line's."""

import argparse
import os
import re
import select
import signal
import subprocess
import time

import pytest

from conftest import BUILD, ROOT
from tallyvisor import bochs, cli, paging
from tallyvisor.machine import Spec

WIDTH, HEIGHT, COLUMNS, ROWS, TOP = 800, 600, 100, 46, 1
DIRECT_MAP = 0xffff800000000000
READY = "READY-TO-LOOK"
# More than a screen, a line that wraps, tabs, colours, erasing, and characters in UTF-8.
GUEST_RUN = r"""
seq 1 60
printf 'wraps:%0150d\n' 7
printf 'a\tb\n\033[31mred\033[0m \033[7mreverse\033[0m\n12345\b\b\033[K<\n\303\244\n'
exitstat
echo READY-TO-LOOK
sleep 100000
"""
ESCAPES = re.compile(rb"\x1b\[[0-9;=?]*[A-Za-z]")


def font():
    text = (ROOT / "lib" / "font.c").read_text()
    rows = re.findall(r"\{((?:0x[0-9a-f]{2}(?:, )?){13})\}", text)
    glyphs = [bytes(int(word, 16) for word in row.split(", ")) for row in rows]
    assert len(glyphs) == 96
    return {glyph: chr(0x20 + i) for i, glyph in enumerate(glyphs)}


def read_screen(pixels):
    """The rows of text on it, and the colours of the first cell of each."""
    names, rows = font(), []
    for row in range(ROWS):
        line = ""
        for column in range(COLUMNS):
            glyph, corner = bytearray(), None
            for y in range(13):
                at = ((TOP + row * 13 + y) * WIDTH + column * 8) * 4
                cell = [pixels[at + 4 * x:at + 4 * x + 4] for x in range(8)]
                corner = corner or cell[0]  # no glyph has a pixel there
                glyph.append(sum(0x80 >> x for x in range(8) if cell[x] != corner))
            line += names.get(bytes(glyph), "\0")
        rows.append(line.rstrip())
    return rows


def expected(serial):
    """What the serial line's text, from the core's first word on, looks like on the screen."""
    text = serial[serial.index(b"tallyvisor: Tallyvisor"):]
    text = text.replace(b"12345\b\b\x1b[K<", b"123<").replace(b"a\tb", b"a       b")
    text = ESCAPES.sub(b"", text).replace(b"\xc3\xa4", b"\x7f").decode().replace("\r", "")
    lines = []
    for line in text.split("\n"):
        lines += [line[i:i + COLUMNS].rstrip() for i in range(0, max(len(line), 1), COLUMNS)]
    return lines[-ROWS:]


class Screen:
    def __init__(self, disk, work):
        self._work = work
        self._machine = bochs.start(Spec(disk, work, work / "bochs.log", 1024, bochs.DEFAULT_CPU,
                                         realtime=False, screen=True), print)
        self._debugger = next(iter(self._machine.feeds))
        self._line = None
        self.serial = b""

    def _step(self):
        """What every descriptor has to say; they stop the machine when nobody listens."""
        line = self._line or self._machine.listener
        for ready in select.select([*self._machine.feeds, line], [], [], 0.2)[0]:
            if ready is self._machine.listener:
                self._line = ready.accept()[0]
            elif ready is self._line:
                self.serial += ready.recv(65536)
            else:
                self._machine.feeds[ready](os.read(ready, 65536))

    def run(self, seconds, until):
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline and not self._machine.ended(), self.serial[-2000:]
            self._step()

    def pixels(self):
        """The framebuffer, when the core has just painted: the debugger reads linear addresses,
        and only the core has one for it."""
        log = (self._work / "bochs.log").read_text(errors="replace")
        base = int(re.findall(r"CIRRUS\] BAR #0: mem base address = (0x[0-9a-f]+)", log)[-1], 16)
        symbols = subprocess.run(["nm", BUILD / "core.elf"], capture_output=True, text=True,
                                 check=True).stdout
        draw = re.search(r"^([0-9a-f]+) T console_draw$", symbols, re.MULTILINE)[1]
        target, size = self._work / "pixels", WIDTH * HEIGHT * 4
        os.kill(self._machine.process.pid, signal.SIGINT)
        # Twice: what changed before the first is painted by then.
        os.write(self._debugger, f'lb 0x{draw}\nc\nc\n'
                 f'writemem "{target}" {DIRECT_MAP + base:#x} {size}\n'.encode())
        self.run(60, lambda: target.exists() and target.stat().st_size == size)
        return target.read_bytes()

    def close(self):
        if self._line:
            self._line.close()
        self._machine.kill()


@pytest.fixture
def boot(tmp_path):
    opened = []

    def call(**options):
        args = cli.parser().parse_args(["--build", str(BUILD), "--guest-run", GUEST_RUN])
        args = argparse.Namespace(**{**vars(args), **options})
        disk = cli.make_disk(args, paging.find("ept"), tmp_path)
        opened.append(Screen(disk, tmp_path))
        return opened[-1]
    yield call
    for screen in opened:
        screen.close()


@pytest.mark.bochs
def test_screen_shows_the_serial_line_s_text(boot):
    screen = boot()
    screen.run(180, lambda: READY.encode() + b"\r\n" in screen.serial)
    pixels = screen.pixels()
    got = read_screen(pixels)
    assert got == expected(screen.serial)
    assert f"tallyvisor: screen of {WIDTH} x {HEIGHT} pixels: 100 columns, 46 rows" in (
        screen.serial.decode(errors="replace"))
    # Blue, green, red, and a byte without meaning.
    cells = {got[row]: pixels[((TOP + row * 13) * WIDTH) * 4:][:WIDTH * 13 * 4]
             for row in range(ROWS)}
    assert b"\x00\x00\xaa" in cells["red reverse"]
    assert b"\xaa\xaa\xaa" in cells["red reverse"]


@pytest.mark.bochs
def test_screen_can_be_left_alone(boot):
    screen = boot(options="screen=0", guest_run=f"echo {READY}; sleep 100000")
    screen.run(180, lambda: READY.encode() + b"\r\n" in screen.serial)
    assert b"tallyvisor: screen of" not in screen.serial
