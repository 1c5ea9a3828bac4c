# SPDX-License-Identifier: MIT
"""The table that the hypervisor prints at the end of PAGING=compare (docs/compare.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "tallyvisor: "
_BEGIN = "compare: run "
_DONE = "compare: done"
_LACKING = "paging=compare: this processor lacks "
_ROW = re.compile(r" *(\d+|-) (\S+) " + r" +(\S+)" * 8)


class Missing(Exception):
    """There is no comparison, and nobody said why."""


@dataclass(frozen=True)
class Row:
    """One line: what was counted in the first and in the second mode, and its cycles; None where
    there is no such number."""

    nr: int | None  # the basic exit reason; None: the row is another's
    exits: tuple[int, int] | None
    cycles: tuple[int, int] | None


def find(log: str) -> list[str] | None:
    """The lines of the last whole comparison on a serial line, without their prefix."""
    found, lines = None, None
    for line in log.splitlines():
        text = line.removeprefix(PREFIX) if line.startswith(PREFIX) else None
        if text is None:
            lines = None  # something else in its midst
        elif text.startswith(_BEGIN):
            lines = [text]
        elif lines is not None:
            lines.append(text)
            if text == _DONE:
                found, lines = lines, None
    return found


def shown(log: str) -> list[str]:
    """What is to be shown: the comparison, or the hypervisor's words why this processor allows none.
    Raises Missing."""
    said = [line.removeprefix(PREFIX) for line in log.splitlines()
            if line.startswith(PREFIX + _LACKING)]
    lines = find(log) or said[-1:]
    if not lines:
        raise Missing("the hypervisor printed no comparison")
    return lines


def _pair(first: str, second: str) -> tuple[int, int] | None:
    return None if first == "-" else (int(first), int(second))


def rows(lines: list[str]) -> dict[str, Row]:
    """By name, in the order in which they stand."""
    found = {}
    for line in lines:
        if (match := _ROW.fullmatch(line)) and match[2] != "reason":
            nr = None if match[1] == "-" else int(match[1])
            found[match[2]] = Row(nr, _pair(match[3], match[4]), _pair(match[7], match[8]))
    return found
