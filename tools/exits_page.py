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

from zoo import results  # noqa: E402, found by the line above

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
            return "-"
        if self.word == "NEVER":
            return "only in SMM"
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
    match = re.search(r"/\*\*((?:(?!\*/).)*)\*/\n\Z", text[:where], re.DOTALL)
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
            found.setdefault(match[1], (comment, str(path.relative_to(ROOT))))
    return found


def the_one(found: dict[str, tuple[str, str]], key: str, name: str) -> tuple[str, str]:
    """What is needed of it: that it is there, and has a comment."""
    if key not in found:
        raise PageError(f"there is no {name}")
    if not found[key][0]:
        raise PageError(f"{found[key][1]}: {name} has no comment, which would be its text in "
                        "docs/exits.md")
    return found[key]


def markdown(text: str) -> str:
    """A C comment's text in Markdown: names of functions, fields and options as code."""
    text = re.sub(r"\b((?:\w+/)+[\w.-]+\.md)\b", lambda m: f"[{m[1]}]({Path(m[1]).name})", text)
    text = re.sub(r"(?<![\w/`\[(])(exit[+-]=[\w-]+|\w+=[\w|]+|\w+\(\)|(?:vmm|guest|vmx|lib)/\w+\.\w+)",
                  r"`\1`", text)
    return text.replace("|", "\\|")


# {CPU model: paging modes}
Places = dict[str, list[str]]


@dataclass
class Case:
    """What the zoo does about a reason, and what came of it."""

    text: str
    file: str
    raised: Places  # where
    absent: dict[str, Places]  # why not: where
    simulated: list[str]  # the files with tests on a simulated processor


def simulated(rows: list[Reason]) -> dict[int, list[str]]:
    """For each reason, the files with tests of its handler on a simulated processor."""
    numbers = {f"EXIT_REASON_{reason.name}": reason.nr for reason in rows}
    found: dict[int, list[str]] = {reason.nr: [] for reason in rows}
    for path in sorted((ROOT / "tests" / "host" / "exits").glob("*.c")):
        listed = re.findall(r"^\tEXIT_TEST\((.*?)\),$", path.read_text(), re.MULTILINE | re.DOTALL)
        words = re.sub(r'"[^"]*"', "", " ".join(listed))
        for word in set(re.findall(r"\b(EXIT_REASON_\w+|\d+)\b", words)):
            files = found.get(int(word) if word.isdecimal() else numbers.get(word))
            if files is not None:  # else it is none that the SDM defines
                files.append(str(path.relative_to(ROOT)))
    return found


def zoo_cases(rows: list[Reason]) -> dict[int, Case]:
    # A function, or a macro that makes one.
    texts = described(ROOT / "tests" / "payload" / "zoo",
                      r"^(?:void zoo_|(?!EXIT_)[A-Z_]+\()([A-Z][A-Z0-9_]+)(?=\(void\)|,)")
    whole, on_host = results.expected(), simulated(rows)
    cases = {}
    for reason in rows:
        text, file = the_one(texts, reason.name, f"case zoo_{reason.name}()")
        case = cases[reason.nr] = Case(text, file, {}, {}, on_host[reason.nr])
        for model, modes in whole.items():
            for mode, outcomes in modes.items():
                word, _, why = outcomes[str(reason.nr)].partition(" ")
                places = case.raised if word == results.PASS else case.absent.setdefault(why, {})
                places.setdefault(model, []).append(mode)
    return cases


def short(model: str) -> str:
    """A model's name as people say it."""
    return re.sub(r"^core[a-z0-9]+_|_[a-z]?\d+$|_u$", "", model).replace("_", "-")


def where(found: Places) -> str:
    """In words; what holds in each mode of each model needs no list."""
    whole = {model: list(modes) for model, modes in results.expected().items()}
    if found == whole:
        return "all models, in all modes"
    parts = []
    for mode in ("ept", "shadow"):
        able = [model for model, modes in whole.items() if mode in modes]
        there = [model for model in able if mode in found.get(model, [])]
        if there:
            names = "all models" if there == able else ", ".join(map(short, there))
            parts.append(f"{names} with paging={mode}")
    whole_models = [model for model in found if found[model] == whole[model]]
    if len(whole_models) == len(found):
        return f"{', '.join(map(short, found))}, in all modes"
    return "; ".join(parts)


def seen(case: Case) -> str:
    """For the table: on how many models, and in which modes."""
    modes = {mode for modes in case.raised.values() for mode in modes}
    return f"{len(case.raised)}: {', '.join(sorted(modes))}" if modes else "-"


def table(rows: list[Reason], cases: dict[int, Case]) -> list[str]:
    lines = ["| nr | name | cause | control | seen on models |", "| ---: | --- | --- | --- | --- |"]
    for reason in rows:
        lines.append(f"| {reason.nr} | [{reason.name}](#{reason.anchor}) | {markdown(reason.cause)} "
                     f"| {reason.control} | {seen(cases[reason.nr])} |")
    return lines


def zoo_lines(case: Case) -> list[str]:
    lines = [f"* seen: {where(case.raised)}"] if case.raised else []
    lines += [f"* not raised: {why} ({where(found)})" for why, found in case.absent.items()]
    tests = ", ".join(f"[{Path(file).name}](../{file})" for file in case.simulated)
    if not tests:
        raise PageError(f"no test in tests/host/exits/ raises it: {case.file}: {case.text}")
    return lines + [f"* tests on a simulated processor ([testing.md](testing.md)): {tests}"]


def controlled(reason: Reason) -> str:
    if reason.word == "ALWAYS":
        return "No control is needed for it."
    if reason.word == "NEVER":
        return "It cannot come outside SMM."
    return f"Control: {reason.control}."


def section(reason: Reason, handlers: dict, case: Case, first: dict[str, Reason]) -> list[str]:
    text, file = the_one(handlers, reason.handler, f"handle_{reason.handler}()")
    code = f"[`handle_{reason.handler}()`](../{file})"
    same = first.setdefault(reason.handler, reason)
    if same is reason:
        does = f"{code}: {markdown(text)}"
    else:
        does = f"{code}, as for [{same.nr} {same.name}](#{same.anchor})."
    return [f"### {reason.nr} {reason.name}", "",
            f"{markdown(reason.cause[0].upper() + reason.cause[1:])}. {controlled(reason)}", "",
            does, "",
            f"In the zoo ([{Path(case.file).name}](../{case.file})): {markdown(case.text)}", "",
            *zoo_lines(case), ""]


def page() -> str:
    rows = reasons()
    handlers = described(ROOT / "vmm", r"^enum exit_action handle_(\w+)\(struct vcpu \*v\)\n\{")
    cases = zoo_cases(rows)
    first: dict[str, Reason] = {}
    sections = [line for reason in rows
                for line in section(reason, handlers, cases[reason.nr], first)]
    frame = FRAME.read_text()
    return (frame.replace("@TABLE@", "\n".join(table(rows, cases)))
            .replace("@REASONS@", "\n".join(sections).rstrip()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true",
                        help="write nothing; fail if the page is not what it would be")
    args = parser.parse_args()
    try:
        text = page()
    except PageError as error:
        print(f"exits_page: {error}", file=sys.stderr)
        return 1
    if not args.check:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        print("docs/exits.md is not what the sources say: run make docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
