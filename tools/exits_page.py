#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes docs/exits.md, the page about all VM-exit reasons.

It has no list of its own: the reasons come from include/exit_reasons.def, what the hypervisor does
from the comments of its handlers in vmm/, how an exit is raised from the comments of the zoo's cases
in tests/payload/zoo/, on which processors it was seen from the zoo's results. docs/exits.in.md is the
frame. A reason without a handler, a comment or a case is an error.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

PAGE, FRAME = ROOT / "docs" / "exits.md", ROOT / "docs" / "exits.in.md"

# The SDM's names of the controls (volume 3, tables 25-5 to 25-8).
CONTROLS = {
    ("PIN", 0): "external-interrupt exiting",
    ("PIN", 6): "activate VMX-preemption timer",
    ("CPU1", 2): "interrupt-window exiting",
    ("CPU1", 7): "HLT exiting",
    ("CPU1", 9): "INVLPG exiting",
    ("CPU1", 10): "MWAIT exiting",
    ("CPU1", 11): "RDPMC exiting",
    ("CPU1", 12): "RDTSC exiting",
    ("CPU1", 21): "use TPR shadow",
    ("CPU1", 22): "NMI-window exiting",
    ("CPU1", 23): "MOV-DR exiting",
    ("CPU1", 25): "use I/O bitmaps",
    ("CPU1", 27): "monitor trap flag",
    ("CPU1", 29): "MONITOR exiting",
    ("CPU1", 30): "PAUSE exiting",
    ("CPU2", 0): "virtualize APIC accesses",
    ("CPU2", 1): "enable EPT",
    ("CPU2", 2): "descriptor-table exiting",
    ("CPU2", 6): "WBINVD exiting",
    ("CPU2", 8): "APIC-register virtualization",
    ("CPU2", 9): "virtual-interrupt delivery",
    ("CPU2", 11): "RDRAND exiting",
    ("CPU2", 13): "enable VM functions",
    ("CPU2", 15): "enable ENCLS exiting",
    ("CPU2", 16): "RDSEED exiting",
    ("CPU2", 17): "enable PML",
    ("CPU2", 20): "enable XSAVES/XRSTORS",
    ("CPU2", 21): "PASID translation",
    ("CPU2", 23): "sub-page write permissions for EPT",
    ("CPU2", 26): "enable user wait and pause",
    ("CPU2", 27): "enable PCONFIG",
    ("CPU2", 28): "enable ENCLV exiting",
    ("CPU2", 30): "VMM bus-lock detection",
    ("CPU2", 31): "instruction timeout",
    ("CPU3", 0): "LOADIWKEY exiting",
    ("CPU3", 6): "enable MSR-list instructions",
    ("CPU3", 9): "enable user-MSR instructions",
}

WORDS = {"PIN": "pin-based", "CPU1": "primary", "CPU2": "secondary", "CPU3": "tertiary"}

ROW = re.compile(r"^EXIT_REASON\((\d+), (\w+), (\w+), (\w+), (\d+), \"([^\"]*)\"\)", re.MULTILINE)


class PageError(Exception):
    """Something that the page needs is not there."""


@dataclass
class Reason:
    """A row of exit_reasons.def."""

    nr: int
    name: str
    handler: str
    word: str
    bit: int
    cause: str

    @property
    def anchor(self) -> str:
        return f"{self.nr}-{self.name.lower()}"

    @property
    def control(self) -> str:
        if self.word == "ALWAYS":
            return "none: always"
        if self.word == "NEVER":
            return "none: never outside SMM"
        return f"“{CONTROLS[self.word, self.bit]}” ({WORDS[self.word]}, bit {self.bit})"


def reasons() -> list[Reason]:
    rows = ROW.findall((ROOT / "include" / "exit_reasons.def").read_text())
    found = [Reason(int(nr), name, handler, word, int(bit), cause)
             for nr, name, handler, word, bit, cause in rows]
    for reason in found:
        if reason.word in WORDS and (reason.word, reason.bit) not in CONTROLS:
            raise PageError(f"bit {reason.bit} of {reason.word} has no name in {__file__}")
    return found


def comment_before(text: str, where: int) -> str:
    """The comment that ends right before this place, as one line; empty if there is none."""
    match = re.search(r"/\*\*((?:(?!\*/).)*)\*/\n$", text[:where], re.DOTALL)
    if not match:
        return ""
    return " ".join(line.strip().removeprefix("*").strip()
                    for line in match[1].splitlines()).strip()


def described(directory: Path, signature: str) -> dict[str, tuple[str, str]]:
    """The functions with such a signature (a regular expression; group 1 is the key) in the C files
    of a directory: their comment, and the file."""
    found = {}
    for path in sorted(directory.glob("*.c")):
        text = path.read_text()
        for match in re.finditer(signature, text, re.MULTILINE):
            comment = comment_before(text, match.start())
            if not comment:
                raise PageError(f"{path.relative_to(ROOT)}: {match[1]}() has no comment, which "
                                "would be its text in docs/exits.md")
            found[match[1]] = (comment, str(path.relative_to(ROOT)))
    return found


def markdown(text: str) -> str:
    """A C comment's text in Markdown: names of functions, fields and options as code."""
    text = re.sub(r"\b((?:\w+/)+[\w.]+\.md)\b", lambda m: f"[{m[1]}]({Path(m[1]).name})", text)
    text = re.sub(r"(?<![\w/`\[(])(exit[+-]=[\w-]+|\w+=[\w|]+|\w+\(\)|(?:vmm|guest|vmx|lib)/[\w.]+)",
                  r"`\1`", text)
    return text.replace("|", "\\|")
