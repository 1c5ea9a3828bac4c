# SPDX-License-Identifier: MIT
"""A trace for other programs and for people: Chrome's Trace Event Format, which Perfetto and
chrome://tracing open, CSV, and a summary. docs/trace.md shows what they look like."""

from __future__ import annotations

import bisect
import csv
import json
from collections import Counter
from pathlib import Path
from typing import Iterable, Iterator, TextIO

from .errors import UsageError
from .trace import Record, Trace, qualification_text

# Tracks of a run: threads of a process.
GUEST, HYPERVISOR = 1, 2


class Symbols:
    """Names of addresses, from a file like Linux's System.map."""

    def __init__(self, lines: Iterable[str] = ()):
        known = set()
        for line in lines:
            words = line.split()
            if len(words) >= 3 and words[1] in "tTwW":
                known.add((int(words[0], 16), words[2]))
        self._entries = sorted(known)
        self._addresses = [address for address, _ in self._entries]

    @classmethod
    def load(cls, path: str | None) -> "Symbols":
        if path is None:
            return cls()
        try:
            new = cls(Path(path).read_text(errors="replace").splitlines())
        except ValueError as error:
            raise UsageError(f"{path} is no list of symbols like System.map: {error}") from None
        if not new._entries:
            raise UsageError(f"{path} has no symbols of code: give a System.map")
        return new

    def name(self, address: int) -> str:
        """ "function+0x12", or "" where nothing is known of it."""
        at = bisect.bisect_right(self._addresses, address) - 1
        if at < 0 or address >> 63 != self._addresses[at] >> 63:
            return ""
        if at == len(self._entries) - 1 and address - self._addresses[at] > 1 << 20:
            return ""  # behind the kernel: modules are not in there
        offset = address - self._addresses[at]
        return self._entries[at][1] + (f"+{offset:#x}" if offset else "")


def _exit_args(one: Record, symbols: Symbols) -> dict:
    args = {"number": one.number, "rip": f"{one.rip:#x}", "cr3": f"{one.cr3:#x}",
            "cycles": one.cycles, "qualification": f"{one.qualification:#x}"}
    if symbol := symbols.name(one.rip):
        args["symbol"] = symbol
    if text := qualification_text(one):
        args["what"] = text
    if one.open:
        args["open"] = "its end is not known"
    return args


def _spans(trace: Trace, pid: int, symbols: Symbols) -> Iterator[dict]:
    """The processor's time, without holes: the guest, asleep, the hypervisor."""
    scale = 1e6 / trace.tsc_hz
    start = trace.records[0].begin - trace.records[0].idle

    def span(name: str, begin: int, end: int, track: int, **more) -> dict:
        # Rounding both ends, not the length, keeps neighbours from overlapping.
        ts = round(begin * scale, 3)
        return {"name": name, "ph": "X", "pid": pid, "tid": track, "ts": ts,
                "dur": round(max(round(end * scale, 3) - ts, 0), 3), **more}

    for one in trace.records:
        asleep = max(one.begin - one.idle, start)
        if asleep > start:
            yield span("guest", start, asleep, GUEST, cat="guest")
        if one.begin > asleep:
            yield span("idle", asleep, one.begin, HYPERVISOR, cat="idle")
        # Where `cycles` was cut off to 32 bits, the exit began before.
        yield span(one.name, max(one.begin, start), max(one.end, start), HYPERVISOR, cat="exit",
                   args=_exit_args(one, symbols))
        start = max(one.end, start)


def _counters(trace: Trace, pid: int) -> Iterator[dict]:
    """Exits per millisecond by reason: a track for each."""
    buckets: dict[int, Counter] = {}
    for one in trace.records:
        buckets.setdefault(one.begin * 1000 // trace.tsc_hz, Counter())[one.name] += 1

    def sample(name: str, ms: int, value: int) -> dict:
        return {"name": f"{name} per ms", "cat": "exits", "ph": "C", "pid": pid, "ts": ms * 1000.0,
                "args": {"exits": value}}

    shown: dict[str, int] = {}
    last = -1
    for ms in sorted(buckets):
        if ms > last + 1:
            for name in [name for name, value in shown.items() if value]:
                yield sample(name, last + 1, 0)
                shown[name] = 0
        for name in sorted(set(shown) | set(buckets[ms])):
            if shown.get(name) != buckets[ms][name]:
                shown[name] = buckets[ms][name]
                yield sample(name, ms, shown[name])
        last = ms


def chrome_events(traces: list[Trace], symbols: Symbols) -> list[dict]:
    """All events, in the order of time. Each trace is a process, whose time begins with its guest's."""
    events, names = [], []
    for pid, trace in enumerate(traces, 1):
        title = f"run {trace.run}, paging {trace.paging}"
        if trace.occasion != "trace":
            title += f", the recorder ({trace.occasion})"
        for kind, track, name in (("process_name", 0, title), ("thread_name", GUEST, "guest"),
                                  ("thread_name", HYPERVISOR, "hypervisor")):
            names.append({"name": kind, "ph": "M", "pid": pid, "tid": track, "ts": 0.0,
                          "args": {"name": name}})
        if trace.records:
            events += _spans(trace, pid, symbols)
            events += _counters(trace, pid)
    # At the same moment, what lasts comes last: a span of nothing lies before it.
    return names + sorted(events, key=lambda event: (event["ts"], event.get("dur", 0)))


def write_json(traces: list[Trace], symbols: Symbols, out: TextIO) -> None:
    """An event a line: the file can be read by people, too."""
    other = [{"run": one.run, "paging": one.paging, "tsc_hz": one.tsc_hz, "cpu": one.cpu,
              "exits": len(one.records)} for one in traces]
    out.write('{"displayTimeUnit":"ns","otherData":%s,"traceEvents":[\n'
              % json.dumps({"runs": other}))
    separator = ""
    for event in chrome_events(traces, symbols):
        out.write(separator + json.dumps(event, separators=(",", ":")))
        separator = ",\n"
    out.write("\n]}\n")


def write_csv(traces: list[Trace], symbols: Symbols, out: TextIO) -> None:
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["run", "paging", "number", "us", "reason", "name", "cycles", "rip", "symbol",
                    "cr3", "qualification", "what"])
    for trace in traces:
        for one in trace.records:
            table.writerow([trace.run, trace.paging, one.number,
                            f"{one.begin * 1e6 / trace.tsc_hz:.3f}", one.basic, one.name,
                            one.cycles, f"{one.rip:#x}", symbols.name(one.rip), f"{one.cr3:#x}",
                            f"{one.qualification:#x}", qualification_text(one)])


def _place(rip: int, symbols: Symbols) -> str:
    name = symbols.name(rip)
    return f"{rip:#x} ({name})" if name else f"{rip:#x}"


def summary(trace: Trace, symbols: Symbols, top: int = 10) -> Iterator[str]:
    """Lines for people: what exits there were, and where."""
    records = trace.records
    yield (f"run {trace.run}, paging {trace.paging}, {trace.cpu}: {len(records)} exits "
           + ("of the run" if trace.occasion == "trace" else
              f"that the recorder held ({trace.occasion})"))
    if not records:
        return
    seconds = (records[-1].end - records[0].begin) / trace.tsc_hz
    cycles, idle = sum(one.cycles for one in records), sum(one.idle for one in records)
    yield (f"  {seconds:.6f} s; {cycles} cycles in the hypervisor, {idle} asleep")
    yield f"  {'reason':<24}{'exits':>9}{'cycles':>13}{'mean':>8}  where most of them are"
    counts = Counter(one.name for one in records)
    spent, places = Counter(), {}
    for one in records:
        spent[one.name] += one.cycles
        places.setdefault(one.name, Counter())[one.rip] += 1
    for name, count in counts.most_common():
        where = ", ".join(f"{_place(rip, symbols)} {n}"
                          for rip, n in places[name].most_common(3))
        yield f"  {name:<24}{count:>9}{spent[name]:>13}{spent[name] // count:>8}  {where}"
    yield f"  the {top} most frequent exits:"
    pairs = Counter((one.name, one.rip, qualification_text(one)) for one in records)
    for (name, rip, what), count in pairs.most_common(top):
        yield f"  {count:>9}  {name} {what}{' ' if what else ''}at {_place(rip, symbols)}"
