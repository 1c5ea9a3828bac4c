# SPDX-License-Identifier: MIT
"""What the bench program says on the serial line (docs/bench.md), as objects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tallyvisor import exit_reasons

FORMAT = 2  # of the lines; the bench program says which it writes


class Incomplete(Exception):
    """The workloads did not run to their end."""


@dataclass(frozen=True)
class Reason:
    count: int
    cycles: int  # ticks from the exit to the next entry


@dataclass
class Phase:
    ticks: int
    idle: int | None = None  # of these four nothing is known on the bare machine
    exits: int | None = None
    cycles: int | None = None
    reasons: dict[str, Reason] = field(default_factory=dict)


@dataclass
class Figures:
    hypervisor: bool
    tsc_khz: int
    # TSC at the zero of the kernel's clock: under the hypervisor, the time its decompression took
    zero: int
    phases: dict[str, Phase] = field(default_factory=dict)
    cpuid_least: int | None = None  # ticks, instruction to instruction
    cpuid_mean: int | None = None


_BEGIN = re.compile(r"bench: begin (\d+) (tallyvisor|bare) khz (\d+) zero (\d+)")
_PHASE = re.compile(r"bench: phase (\S+) ticks (\d+)(?: idle (\d+) exits (\d+) cycles (\d+)(.*))?")
_REASON = re.compile(r" (\d+)=(\d+)/(\d+)")
_CPUID = re.compile(r"bench: cpuid least (\d+) mean (\d+)")
_FAILED = re.compile(r"bench: failed: (.*)")
_END = "bench: end"


def _phase(match: re.Match, line: str) -> Phase:
    if match[3] is None:
        return Phase(int(match[2]))
    name = exit_reasons.names()
    reasons = {name.get(int(nr), nr): Reason(int(count), int(cycles))
               for nr, count, cycles in _REASON.findall(match[6])}
    phase = Phase(int(match[2]), int(match[3]), int(match[4]), int(match[5]), reasons)
    if (_REASON.sub("", match[6]) or sum(r.count for r in reasons.values()) != phase.exits
            or sum(r.cycles for r in reasons.values()) != phase.cycles):
        raise Incomplete(f"a damaged line: {line}")
    return phase


def parse(text: str) -> Figures:
    """
    text  the serial line's log; what else is on it does not matter
    """
    figures = None
    for line in text.splitlines():
        if match := _FAILED.fullmatch(line):
            raise Incomplete(f"the bench program failed: {match[1]}")
        if match := _BEGIN.fullmatch(line):
            if int(match[1]) != FORMAT:
                raise Incomplete(f"the bench program writes format {match[1]}, not {FORMAT}")
            figures = Figures(match[2] == "tallyvisor", int(match[3]), int(match[4]))
        elif figures is None:
            continue
        elif match := _PHASE.fullmatch(line):
            figures.phases[match[1]] = _phase(match, line)
        elif match := _CPUID.fullmatch(line):
            figures.cpuid_least, figures.cpuid_mean = int(match[1]), int(match[2])
        elif line == _END:
            return figures
    raise Incomplete("the bench program did not begin" if figures is None else
                     f"the bench program did not end; done: {', '.join(figures.phases) or 'none'}")


_RUN = re.compile(r"^tallyvisor: run (\d+): paging (\S+), .*$", re.MULTILINE)


def split(text: str) -> list[tuple[str, str]]:
    """The parts of a log that belong to the runs of the hypervisor, each with its paging mode."""
    starts = list(_RUN.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return [(match[2], text[match.start():end]) for match, end in zip(starts, ends)]


def document(figures: Figures, stats_run: dict) -> dict:
    """A run for bench.json.

    stats_run  the run's entry in stats.json
    """
    phases = {}
    for name, phase in figures.phases.items():
        phases[name] = {"ticks": phase.ticks, "idle_cycles": phase.idle, "exits": phase.exits,
                        "cycles": phase.cycles,
                        "reasons": {key: {"count": reason.count, "cycles": reason.cycles}
                                    for key, reason in phase.reasons.items()}}
    return {"hypervisor": figures.hypervisor, "tsc_khz": figures.tsc_khz, "zero": figures.zero,
            "cpuid": {"least": figures.cpuid_least, "mean": figures.cpuid_mean},
            "phases": phases, "whole_run": stats_run}
