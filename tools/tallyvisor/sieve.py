# SPDX-License-Identifier: MIT
"""Takes the lines of a trace out of a serial line: they are for a file, not for eyes.

The hypervisor writes them between any two characters of its guest's. Where that is in the midst of a
line, it ends the line with CUT first; taken out again, the line is whole."""

from __future__ import annotations

from .trace import PREFIX

CUT = b"\r\r\n"

# The hypervisor's lines are shorter (vmm/trace.c, lib/exit_trace.c). A guest may begin one and never
# end it.
LINE_MAX = 512


class Sieve:
    """Fed with pieces of the serial line, as they come.

    skip  of what feed() returned last, so many bytes were handed out by early() before
    """

    def __init__(self) -> None:
        self._held = b""  # might become a line of a trace
        self._early = 0  # of it, these were handed out
        self._fresh = True  # it is at the beginning of a line
        self.skip = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What is the guest's and the hypervisor's, and the lines of a trace."""
        data = self._held + data
        rest, trace = bytearray(), bytearray()
        self.skip, at = self._early, 0
        while at < len(data):
            end = self._trace_line(data, at)
            if end is None:
                break
            if end > at:
                trace += data[at:end]
                self.skip = self.skip if at else 0
                at = end
            elif data.startswith(CUT + PREFIX, at):
                self.skip = self.skip if at else 0
                at += len(CUT)
                self._fresh = True
            elif self._undecided(data[at:at + len(CUT + PREFIX)]):
                break
            else:
                end = self._next_break(data, at)
                rest += data[at:end]
                self._fresh = data[end - 1] == ord("\n")
                at = end
        self._held = data[at:]
        self._early = max(self._early - at, 0) if at else self._early
        self.skip = min(self.skip, len(rest))
        return bytes(rest), bytes(trace)

    def early(self) -> bytes:
        """Nothing came for a while: what is held back may be all there is, a prompt. It is for
        showing only; feed() still decides what it was."""
        shown, self._early = self._held[self._early:], len(self._held)
        return shown

    def finish(self) -> bytes:
        """The line has ended: what was held back is no trace's."""
        held, self._held = self._held, b""
        self.skip, self._early = self._early, 0
        return held

    def _trace_line(self, data: bytes, at: int) -> int | None:
        """The end of the trace's line that begins here; `at`: none does; None: not all of it came."""
        if not (self._fresh and data.startswith(PREFIX, at)):
            return at
        end = data.find(b"\n", at, at + LINE_MAX) + 1
        return end or (None if len(data) - at < LINE_MAX else at)

    def _undecided(self, text: bytes) -> bool:
        return ((self._fresh and PREFIX.startswith(text)) or (CUT + PREFIX).startswith(text))

    @staticmethod
    def _next_break(data: bytes, at: int) -> int:
        """Up to where nothing of a trace can begin; at least a byte."""
        newline = data.find(b"\n", at) + 1 or len(data)
        cut = data.find(b"\r", at + 1)
        return min(newline, cut) if cut >= 0 else newline
