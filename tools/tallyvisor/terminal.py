# SPDX-License-Identifier: MIT
"""The user's terminal: raw while the guest has it, and its own again on every way out."""

from __future__ import annotations

import os
import termios
import tty

from .outcome import ESCAPES

ESCAPE = 0x1D  # Ctrl-]
QUIT = ord("q")


class Keys:
    """What is typed, on its way to the guest. Ctrl-] q ends the machine; Ctrl-] with anything
    else goes through, both bytes, because the hypervisor has keys of its own behind it."""

    def __init__(self) -> None:
        self._escaped = False
        self.quit = False

    def feed(self, data: bytes) -> bytes:
        """The bytes for the guest."""
        passed = bytearray()
        for byte in data:
            if self._escaped:
                self._escaped = False
                if byte == QUIT:
                    self.quit = True
                    break
                passed += bytes((ESCAPE, byte))
            elif byte == ESCAPE:
                self._escaped = True
            else:
                passed.append(byte)
        return bytes(passed)


class Raw:
    """Context: `descriptor` is a terminal in raw mode."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._saved = termios.tcgetattr(descriptor)

    def __enter__(self) -> "Raw":
        tty.setraw(self._descriptor)
        return self

    def __exit__(self, *_) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._saved)
        # The guest may have left colours, a hidden cursor or another screen behind.
        if os.isatty(1):
            os.write(1, b"\x1b[0m\x1b[?25h\r\n")


class Plain:
    """Serial text for eyes and pipes: no control sequences, no carriage returns. Firmware and
    GRUB paint screens that would wipe the user's."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        # A sequence may arrive in pieces: hold back what might be the start of one.
        start = data.rfind(b"\x1b")
        if start >= 0 and len(data) - start < 16 and not ESCAPES.match(data, start):
            data, self._held = data[:start], data[start:]
        else:
            self._held = b""
        text = ESCAPES.sub(b"", data)
        return bytes(byte for byte in text if byte >= 0x20 or byte in b"\n\t")
