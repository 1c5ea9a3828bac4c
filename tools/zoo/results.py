# SPDX-License-Identifier: MIT
"""What the exit zoo prints, as data: the outcome of each reason in each paging mode."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = ROOT / "tests" / "boot" / "zoo_expected.json"

PASS, ABSENT = "PASS", "n/a"

# A line of the zoo's, and its first and last ones.
LINE = re.compile(r"^(PASS|n/a |FAIL|DEPARTS) +(\d+) (\w+)(?::| +)(.*)$")
BEGIN = re.compile(r"^zoo: every basic exit reason, with paging=(\w+), on (.*)$")
END = re.compile(r"^zoo: (\d+) PASS, (\d+) FAIL, (\d+) n/a ")


@dataclass
class Table:
    """One run of the zoo."""

    mode: str
    processor: str
    lines: dict[int, str] = field(default_factory=dict)  # as they were printed
    outcomes: dict[int, str] = field(default_factory=dict)  # "PASS", or "n/a " and why
    failures: list[str] = field(default_factory=list)
    departures: list[str] = field(default_factory=list)
    sum: tuple[int, int, int] | None = None  # PASS, FAIL, n/a; None: it came to no end


def ours(line: str) -> bool:
    """Is it a line of the zoo's?"""
    return bool(LINE.match(line) or BEGIN.match(line) or END.match(line)
                or line.startswith(("FAIL ", "zoo: ")))


def parse(serial: str) -> list[Table]:
    """The runs in a serial log, in their order."""
    tables: list[Table] = []
    for line in serial.splitlines():
        if match := BEGIN.match(line):
            tables.append(Table(match[1], match[2]))
        elif not tables:
            continue
        elif match := END.match(line):
            tables[-1].sum = (int(match[1]), int(match[2]), int(match[3]))
        elif line.startswith("FAIL "):
            tables[-1].failures.append(line)
        elif match := LINE.match(line):
            word, nr, text = match[1].strip(), int(match[2]), match[4].strip()
            if word == "DEPARTS":
                tables[-1].departures.append(f"{nr} {match[3]}: {text}")
                continue
            tables[-1].lines[nr] = line
            tables[-1].outcomes[nr] = PASS if word == PASS else f"{ABSENT} {text}"
    return tables


def expected() -> dict[str, dict[str, dict[str, str]]]:
    """{CPU model: {paging mode: {reason's number: "PASS", or "n/a " and why}}}"""
    return json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}


def remember(model: str, tables: list[Table]) -> None:
    """Make them what is expected of this model from now on."""
    whole = expected()
    whole[model] = {one.mode: {str(nr): one.outcomes[nr] for nr in sorted(one.outcomes)}
                    for one in tables}
    EXPECTED.write_text(json.dumps(whole, indent=1, sort_keys=False) + "\n")
