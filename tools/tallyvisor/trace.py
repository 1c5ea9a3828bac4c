# SPDX-License-Identifier: MIT
"""Reads the lines "tallyvisor: trace ..." of a serial line: the flight recorder, or every exit of a
run (docs/trace.md). lib/exit_trace.c is the writer."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Iterable, Iterator

from . import exit_reasons

PREFIX = b"tallyvisor: trace "

REASON_OTHER, SAME = 0x7F, 0x80
CR_ACCESS, HLT = 28, 12
ENTRY_FAILURE = 0x80000000  # bit 31 of an exit reason
MASK64 = (1 << 64) - 1

# No more than the hypervisor can write: a guest prints on the same line, whatever it likes.
_NUMBER = r"([0-9]{1,20})"
_RUN = re.compile(rf"run {_NUMBER}: paging ([a-z]{{1,16}}), cr3 (of-exits|of-moves), "
                  r"tsc ([1-9][0-9]{0,19}) Hz, cpu ?([ -~]{0,48})")
_BEGIN = re.compile(rf"begin {_NUMBER} records {_NUMBER} (trace|crash|key|panic)")
_END = re.compile(rf"end {_NUMBER} open ([01]) cr3 ([0-9a-f]{{1,16}})")
_DATA = re.compile(rf"{_NUMBER} ([A-Za-z0-9+/]{{1,200}}) ([0-9a-f]{{4}})")
_TOTALS = re.compile(rf"totals {_NUMBER}:((?: [A-Z0-9_]{{1,40}} [0-9]{{1,20}})+)")
_OVER = re.compile(rf"over {_NUMBER}: records {_NUMBER}")

# Of one trace, so many sentences are kept: a log may be rubbish to its end.
PROBLEMS_MAX = 20


@dataclass
class Record:
    """One exit. Times are ticks of the TSC since the guest began."""

    number: int
    end: int  # when the guest was entered again
    cycles: int  # from the exit to that entry
    reason: int  # all 32 bits
    rip: int
    qualification: int
    cr3: int
    open: bool = False  # it was being handled: its end is not known, and `cycles` is 0

    @property
    def begin(self) -> int:
        return self.end - self.cycles

    @property
    def basic(self) -> int:
        return self.reason & 0xFFFF

    @property
    def name(self) -> str:
        name = exit_reasons.names().get(self.basic, f"reason-{self.basic}")
        return f"{name}-entry-failure" if self.reason & ENTRY_FAILURE else name

    @property
    def idle(self) -> int:
        """Ticks that the processor slept for it before its cycles began."""
        return self.qualification if self.reason == HLT else 0


@dataclass
class Trace:
    """A run of which every exit was written, or what the flight recorder held at one moment."""

    run: int
    paging: str
    tsc_hz: int
    cpu: str
    of_moves: bool  # only exits of MOV to CR3 have a CR3, the one before them
    occasion: str = ""  # "trace", or "crash", "key", "panic"
    records: list[Record] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)  # what the hypervisor counted, by reason
    total: int | None = None
    problems: list[str] = field(default_factory=list)
    unsaid: int = 0  # problems beyond PROBLEMS_MAX

    def problem(self, text: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(text)
        else:
            self.unsaid += 1

    def said(self) -> list[str]:
        """All problems, in so many sentences."""
        more = [f"and {self.unsaid} more problems like these"] if self.unsaid else []
        return self.problems + more

    @property
    def empty(self) -> bool:
        return not self.records and not self.problems and self.total is None

    def counts(self) -> dict[str, int]:
        """Exits by reason. The hypervisor counts an exit when it is over."""
        found: dict[str, int] = {}
        names = exit_reasons.names()
        for one in self.records:
            if one.open:
                continue
            name = names.get(one.basic, str(one.basic))
            found[name] = found.get(name, 0) + 1
        return found


class Torn(Exception):
    """Bytes that are no records."""


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Torn
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value & MASK64, at


def _difference(data: bytes, at: int, before: int) -> tuple[int, int]:
    value, at = _number(data, at)
    return (before + (~(value >> 1) if value & 1 else value >> 1)) & MASK64, at


class Decoder:
    """The opposite of struct trace_coder."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int, int, int]] = {}
        self._time = 0

    def records(self, data: bytes, number: int) -> Iterator[Record]:
        at = 0
        known = max(exit_reasons.names()) + 1
        while at < len(data):
            first = data[at]
            reason, at = first & 0x7F, at + 1
            if reason == REASON_OTHER:
                reason, at = _number(data, at)
            key = min(reason, known)
            rip, qualification, cr3, cycles = self._last.get(key, (0, 0, 0, 0))
            ran, at = _number(data, at)
            cycles, at = _difference(data, at, cycles)
            if not first & SAME:
                rip, at = _difference(data, at, rip)
                qualification, at = _difference(data, at, qualification)
                cr3, at = _difference(data, at, cr3)
            if reason >> 32 or cycles >> 32:
                raise Torn
            self._time = (self._time + ran + cycles) & MASK64
            self._last[key] = rip, qualification, cr3, cycles
            yield Record(number, self._time, cycles, reason, rip, qualification, cr3)
            number += 1


class Reader:
    """Fed with lines, without clocks or files. What is torn or missing becomes a sentence in
    `problems`; what can be read is read."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self._decoder: Decoder | None = None  # within a block that is whole so far
        self._next: int | None = None  # the number that the next record must have
        self._end = 0  # of the block, by its first line
        self._start = 0  # how many records there were before it
        self._in_block = False
        self._occasion = ""  # of the last block

    def feed(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            line = line.strip(b"\r\n")
            if line.startswith(PREFIX):
                self._line(line[len(PREFIX):].decode("ascii", "replace").rstrip())

    def _line(self, text: str) -> None:
        if match := _RUN.fullmatch(text):
            self.finish()
            if self.traces and self._trace.empty:
                self.traces.pop()
            self.traces.append(Trace(int(match[1]), match[2], int(match[4]), match[5].strip(),
                                     match[3] == "of-moves"))
            self._next = None
        elif not self.traces:
            return  # the beginning was cut off: nothing is known of it
        elif match := _DATA.fullmatch(text):
            self._data(int(match[1]), match[2], match[3])
        elif match := _BEGIN.fullmatch(text):
            self._begin(int(match[1]), int(match[2]), match[3])
        elif match := _END.fullmatch(text):
            self._finish(int(match[1]), match[2] == "1", int(match[3], 16))
        elif match := _TOTALS.fullmatch(text):
            words = match[2].split()
            self._trace.totals.update(zip(words[::2], map(int, words[1::2])))
        elif match := _OVER.fullmatch(text):
            self._trace.total = int(match[2])
            self._compare()
        else:
            self._problem(f"a line that is torn: {text[:40]!r}")

    @property
    def _trace(self) -> Trace:
        return self.traces[-1]

    def _problem(self, text: str) -> None:
        self._trace.problem(text)

    def finish(self) -> None:
        """Nothing more comes of the last trace: is it whole?"""
        if self._in_block:
            self._problem("the log ends in the midst of a block" + (
                f": exits {self._next} to {self._end - 1} are missing"
                if self._decoder is not None and self._next < self._end else ""))
        elif self._occasion == "trace" and self._trace.total is None:
            self._problem(f"the log ends before the run does: the exits from {self._next} on are "
                          "missing")
        self._decoder, self._in_block, self._occasion = None, False, ""

    def _begin(self, first: int, records: int, occasion: str) -> None:
        trace = self._trace
        trace.occasion = trace.occasion or occasion
        self._in_block, self._occasion = True, occasion
        if self._next is not None and first > self._next:
            self._problem(f"exits {self._next} to {first - 1} are missing")
        elif occasion == "panic":  # what a panic interrupts is written again
            while trace.records and trace.records[-1].number >= first:
                trace.records.pop()
        elif self._next is not None and first < self._next:
            self._problem(f"exit {first} comes behind exit {self._next - 1}: lines of another "
                          "run, or a guest's")
        self._decoder, self._next, self._end = Decoder(), first, first + records
        self._start = len(trace.records)

    def _data(self, number: int, data: str, check: str) -> None:
        if self._decoder is None:
            return
        try:
            if int(check, 16) != binascii.crc_hqx(f"{number} {data}".encode(), 0xFFFF):
                raise Torn
            if number != self._next:
                raise Torn
            raw = base64.b64decode(data + "=" * (-len(data) % 4))
            found = list(self._decoder.records(raw, number))
        except (Torn, ValueError):
            self._problem(f"torn: exits {self._next} to {self._end - 1} cannot be read")
            self._decoder, self._next = None, self._end
            return
        self._trace.records += found
        self._next = number + len(found)

    def _finish(self, number: int, is_open: bool, cr3: int) -> None:
        if self._decoder is not None and self._next != self._end:
            self._problem(f"exits {self._next} to {number - 1} are missing")
            self._next = number
        records = self._trace.records
        if is_open and records and self._decoder is not None:
            records[-1].open = True
        if self._trace.of_moves:
            _fill_cr3(records[self._start:], cr3)
        self._decoder, self._in_block = None, False

    def _compare(self) -> None:
        """Whether all exits of the run are there."""
        trace = self._trace
        if trace.total != sum(trace.totals.values()) or trace.totals != trace.counts():
            self._problem(f"{len(trace.records)} records, but the hypervisor counted {trace.total} "
                          f"exits; by reason: {trace.counts()}, and {trace.totals}")


def _fill_cr3(block: list[Record], now: int) -> None:
    """The guest's CR3 at each exit is what the next MOV to CR3 replaced, or what it is at the end."""
    for one in reversed(block):
        if one.reason == CR_ACCESS and one.qualification & 0x3F == 3:
            now = one.cr3
        one.cr3 = now


def read(lines: Iterable[bytes]) -> list[Trace]:
    reader = Reader()
    reader.feed(lines)
    reader.finish()
    return [one for one in reader.traces if not one.empty]


def qualification_text(record: Record) -> str:
    """What the exit qualification says, in a few words; "" where it says nothing (SDM volume 3,
    section 28.2.1, "Basic VM-Exit Information")."""
    decode = _QUALIFICATIONS.get(record.basic)
    return decode(record.qualification) if decode else ""


def _cr_access(q: int) -> str:
    return (f"MOV to CR{q & 15}", f"MOV from CR{q & 15}", "CLTS", "LMSW")[q >> 4 & 3]


def _io(q: int) -> str:
    words = ["rep" if q & 0x20 else "", "in" if q & 8 else "out", f"{q >> 16 & 0xffff:#x}",
             f"{(q & 7) + 1} bytes" if q & 7 else "1 byte"]
    return " ".join(word for word in words if word)


def _ept(q: int) -> str:
    access = "+".join(word for bit, word in ((1, "read"), (2, "write"), (4, "fetch")) if q & bit)
    why = "forbidden" if q & 0x38 else "unmapped"
    walk = "" if not q & 0x80 or q & 0x100 else "walk-"
    return f"{walk}{access}-{why}"


def _task(q: int) -> str:
    return f"{('CALL', 'IRET', 'JMP', 'gate')[q >> 30 & 3]} to {q & 0xffff:#x}"


_QUALIFICATIONS = {
    0: lambda q: f"address {q:#x}" if q else "",
    9: _task,
    HLT: lambda q: f"slept {q} ticks",
    14: lambda q: f"address {q:#x}",
    CR_ACCESS: _cr_access,
    29: lambda q: f"MOV {'from' if q & 0x10 else 'to'} DR{q & 7}",
    30: _io,
    44: lambda q: f"{'write' if q >> 12 & 15 == 1 else 'read'} register {q & 0xfff:#x}",
    45: lambda q: f"vector {q & 0xff:#x}",
    48: _ept,
    56: lambda q: f"register {q & 0xfff:#x}",
}
