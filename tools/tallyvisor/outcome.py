# SPDX-License-Identifier: MIT
"""How a machine ended, read off its serial line: a state machine fed with bytes, without clocks
or files.

The hypervisor and its guest share the line, and a guest may print whatever it likes. So nothing
is final when it is read: the last word before the machine really falls silent or ends counts.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field

# Outcomes of a run, as stats.json names them. The hypervisor may say others (triple-fault ...);
# these are the ones that mean something here.
POWEROFF, RESET, PANIC, REFUSED = "poweroff", "reset", "panic", "refused"
DEBUG_EXIT = "debug-exit"
HYPERVISOR_PANIC, FIRMWARE_FAULT = "hypervisor-panic", "firmware-fault"

ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-Za-z]|[=>78cDEHM])")

# Of 64 bits: a guest can print longer ones, and Python refuses to make an int of some.
_NUMBER = r"([0-9]{1,20})"
_RUN = re.compile(rf"tallyvisor: run {_NUMBER}: paging (\S+), vcpus {_NUMBER}, "
                  rf"memory {_NUMBER} MiB")
_SWITCHED = re.compile(rf"tallyvisor: run {_NUMBER} exits switched:((?: [+-][a-z0-9=-]+)+)")
_FEATURES = re.compile(rf"tallyvisor: run {_NUMBER} features:((?: [a-z0-9-]+)*)")
_ENDED = re.compile(rf"tallyvisor: run {_NUMBER} ended: (\S+), exit code {_NUMBER}")
_BLOCK = re.compile(rf"tallyvisor: exits end: seq {_NUMBER} ticks {_NUMBER} idle {_NUMBER} "
                    rf"total {_NUMBER} cycles {_NUMBER}")
_ROW = re.compile(rf"tallyvisor: +{_NUMBER} (\S+) +{_NUMBER} +{_NUMBER} +\d+ +\d+\.\d%")
_HEADER = re.compile(r"tallyvisor: +nr reason ")
_PAGES = re.compile(rf"tallyvisor: pages end: written {_NUMBER} ever {_NUMBER}")
# Below the table, a word for what is counted: exceptions, cr, the word of the paging mode, a reason
# (what its exits were for), or a reason and "-cycles" (their histogram).
_COUNTS = re.compile(r"tallyvisor: (\S+) end:((?: \S+ [0-9]{1,20})+)")
_DONE = "tallyvisor: exits end: done"
# The last one follows where no way of switching off worked.
_OFF = ("tallyvisor: machine off",
        "tallyvisor: the machine stays on, as at_end=stay wants: it is safe to switch it off now",
        "tallyvisor: this machine did not switch itself off: it is safe to do so now")
_REFUSED = re.compile(r"tallyvisor: refused: (.*)")
_REASON = re.compile(r"tallyvisor: (?:the guest |watchdog: (?=no ))?(no (?:progress|heartbeat) for .*|"
                     r"cannot go on: .*|halted .*|took a triple fault.*|"
                     r"VM entry failed .*)")
_HV_PANIC = re.compile(r"tallyvisor: PANIC: (.*)")
_VERSION = re.compile(r"(?:tallyvisor: )?Tallyvisor (\d\S*?)(?::| has the machine)")
_FIRMWARE_FAULT = re.compile(r"!!!! X64 Exception Type - (.*?) !!!!")  # EDK II
_STATUS = re.compile(rf"guest: command exited with status {_NUMBER}")
_GUEST_PANIC = re.compile(r"(?:\[[ \d.]+\] )?(?:---\[ end )?Kernel panic - not syncing: (.*)")
# Linux's own last words (kernel/reboot.c). Without ACPI a power-off ends in "System halted".
_LINUX_END = re.compile(r"(?:\[[ \d.]+\] )?reboot: "
                        r"(Power down|System halted|Restarting system|machine restart)")
_LINUX_OUTCOME = {"Power down": POWEROFF, "System halted": POWEROFF,
                  "Restarting system": RESET, "machine restart": RESET}


@dataclass
class Block:
    """The exit statistics as the hypervisor prints them at the end of a run."""

    ticks: int
    idle_cycles: int
    exits_total: int
    cycles_total: int
    reasons: list[dict] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # what stands below the table

    def consistent(self) -> bool:
        """Whether the rows add up to the totals: a torn or forged table does not."""
        return (sum(row["count"] for row in self.reasons) == self.exits_total
                and sum(row["cycles"] for row in self.reasons) == self.cycles_total)

    def detail(self, reason: dict) -> dict:
        """What the lines below the table add to a row; the parts that do not add up to its count are
        left out."""
        found = {}
        buckets = dict(self.counts.get(f"{reason['name']}-cycles", {}))
        extremes = {key: buckets.pop(key, None) for key in ("least", "most")}
        if sum(buckets.values()) == reason["count"] and None not in extremes.values():
            found = extremes | {"histogram": buckets}
        if details := self.breakdown(reason["name"], reason["nr"]):
            found["details"] = details
        return found

    def breakdown(self, word: str, nr: int) -> dict[str, int]:
        """The exits of reason `nr` as the lines `word` name them; {} where they do not add up."""
        total = sum(row["count"] for row in self.reasons if row["nr"] == nr)
        counts = self.counts.get(word, {})
        return counts if sum(counts.values()) == total else {}


@dataclass
class Run:
    paging: str
    vcpus: int
    memory_mib: int
    features: list[str] | None = None  # the optional VMX features it runs with
    exits_switched: list[str] | None = None  # by exit+= and exit-=
    pages_written: int | None = None  # by the guest; None: nobody counted
    outcome: str | None = None
    exit_code: int | None = None
    block: Block | None = None


@dataclass(frozen=True)
class Ending:
    """An ending that the line announced. It becomes true when the line falls silent."""

    outcome: str
    text: str  # the sentence that came with it, or ""
    lasts: bool  # more text does not take it back


class Watch:
    """Reads the serial line of one machine.

    hypervisor  whether the hypervisor is to run in it; else Linux owns the machine
    """

    def __init__(self, hypervisor: bool):
        self._hypervisor = hypervisor
        self._partial = b""
        self._open: Block | None = None  # a table that is being printed
        self._table: Block | None = None  # the last complete one
        self._pages: int | None = None  # what the line below that table said
        self._run = 0  # number of the run that was announced last
        self.runs: dict[int, Run] = {}
        self.version: str | None = None
        self.guest_panic: str | None = None
        self.guest_status: int | None = None
        self.ending: Ending | None = None
        self.last_line = ""
        self.reason = ""  # why the hypervisor ended the guest, in its words

    def feed(self, data: bytes) -> None:
        lines = (self._partial + data).split(b"\n")
        # A line without end is no line; and no memory for a guest that never ends one.
        self._partial = lines.pop()[-65536:]
        for line in lines:
            text = ESCAPES.sub(b"", line).decode("ascii", "replace").replace("\r", "")
            if text.strip():
                self._line(text.rstrip())

    @property
    def unfinished(self) -> bool:
        """Whether the line was left in the middle."""
        return bool(self._partial)

    def finish(self) -> None:
        """The machine has ended: a line that was begun is all there will be of it."""
        if self._partial:
            self.feed(b"\n")

    def ending_if_silent(self) -> Ending | None:
        """The ending, should nothing more come. Linux may halt before the end of its last line
        has left the UART."""
        if not self._partial:
            return self.ending
        last = copy.deepcopy(self)
        last.finish()
        return last.ending

    @property
    def last_exit_code(self) -> int | None:
        """Of the run that was announced last."""
        run = self.runs.get(self._run)
        return run.exit_code if run else None

    def _line(self, text: str) -> None:
        self.last_line = text
        if self.ending and not self.ending.lasts:
            self.ending = None
        if match := _STATUS.fullmatch(text):
            self.guest_status = int(match[1])
        elif match := _GUEST_PANIC.match(text):
            self.guest_panic = self.guest_panic or match[1]
            self.ending = Ending(PANIC, self.guest_panic, lasts=not self._hypervisor)
        elif (match := _FIRMWARE_FAULT.match(text)) and not self.runs:
            self.ending = Ending(FIRMWARE_FAULT, match[1], lasts=True)
        elif not self._hypervisor:
            self._linux_line(text)
        elif not self._table_line(text):
            self._hypervisor_line(text)

    def _linux_line(self, text: str) -> None:
        if match := _LINUX_END.match(text):
            self.ending = Ending(_LINUX_OUTCOME[match[1]], text, lasts=False)

    def _table_line(self, text: str) -> bool:
        """Collects the table; true where the line belongs to it."""
        if match := _BLOCK.fullmatch(text):
            self._open = Block(*(int(match[i]) for i in (2, 3, 4, 5)))
        elif self._open is None:
            return False
        elif text == _DONE:
            self._table = self._open if self._open.consistent() else None
            self._open = None
        elif match := _ROW.fullmatch(text):
            self._open.reasons.append({"nr": int(match[1]), "name": match[2],
                                       "count": int(match[3]), "cycles": int(match[4])})
        elif not _HEADER.match(text):
            self._open = None  # something else in its midst: not a table of the hypervisor's
            return False
        return True

    def _hypervisor_line(self, text: str) -> None:
        if match := _REASON.match(text):
            self.reason = match[1]
        if match := _RUN.fullmatch(text):
            self._run = int(match[1])
            self.runs[self._run] = Run(match[2], int(match[3]), int(match[4]))
            self._table = self._pages = None
            self.guest_panic = self.guest_status = None
            self.reason = ""
        elif (match := _FEATURES.fullmatch(text)) and int(match[1]) in self.runs:
            run = self.runs[int(match[1])]
            if run.features is None:  # the hypervisor speaks first
                run.features = match[2].split()
        elif (match := _SWITCHED.fullmatch(text)) and int(match[1]) in self.runs:
            run = self.runs[int(match[1])]
            if run.features is None:  # that line comes behind it, and before the guest's first
                run.exits_switched = match[2].split()
        elif (match := _PAGES.fullmatch(text)) and self._run in self.runs:
            self._pages = int(match[2])
        elif (match := _COUNTS.fullmatch(text)) and self._table:
            words = match[2].split()
            pairs = dict(zip(words[::2], map(int, words[1::2])))
            self._table.counts.setdefault(match[1], {}).update(pairs)
        elif (match := _ENDED.fullmatch(text)) and int(match[1]) in self.runs:
            self._end_run(int(match[1]), match[2], int(match[3]))
        elif text in _OFF and self.runs.get(self._run, Run("", 0, 0)).outcome:
            run = self.runs[self._run]
            self.ending = Ending(run.outcome, self.guest_panic or "", lasts=False)
        elif (match := _REFUSED.fullmatch(text)) and not self.runs:
            self.ending = Ending(REFUSED, match[1], lasts=True)
        elif match := _HV_PANIC.fullmatch(text):
            self.ending = Ending(HYPERVISOR_PANIC, match[1], lasts=True)
        elif (match := _VERSION.match(text)) and not self.runs:
            self.version = match[1]

    def _end_run(self, number: int, outcome: str, code: int) -> None:
        run = self.runs[number]
        # A guest kernel that panicked resets the machine, or dies on the way.
        if self.guest_panic is not None and outcome != POWEROFF:
            outcome = PANIC
        run.outcome, run.exit_code, run.block = outcome, code, self._table
        run.pages_written = self._pages
        self._run = number
        # What was announced under a higher number was not the hypervisor's.
        for other in [n for n in self.runs if n > number]:
            del self.runs[other]
