# SPDX-License-Identifier: MIT
"""The command line of tallyvisor-trace."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Callable, TextIO

from . import program, trace, trace_export
from .errors import UsageError

EXIT_TORN = 1


def say(text: str) -> None:
    print(f"tallyvisor-trace: {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    new = argparse.ArgumentParser(
        prog="tallyvisor-trace", description="Show the VM exits that a run wrote with trace=1, or "
        "that its flight recorder held when it crashed (docs/trace.md).",
        epilog="exit status: 0; 1 where exits are missing or torn; 2 bad usage, or no trace in the "
        "log. Without --json and --csv, a summary is printed.")
    add = new.add_argument
    add("log", nargs="?", default="out", metavar="LOG",
        help="the text of a serial line, or the directory of a run with serial.log in it (out)")
    add("--json", metavar="FILE", help="write Chrome's Trace Event Format, for ui.perfetto.dev and "
        "chrome://tracing; - is standard output")
    add("--csv", metavar="FILE", help="write a table; - is standard output")
    add("--summary", action="store_true", help="print a summary even so")
    add("--run", type=int, metavar="N", help="of run N only")
    add("--symbols", metavar="MAP", help="the guest kernel's System.map: names for addresses")
    return new


def find_log(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        path /= "serial.log"
    if not path.is_file():
        raise UsageError(f"{path} is missing: give a serial line's log, or the OUT= of a run")
    return path


def load(path: Path, run: int | None) -> list[trace.Trace]:
    with path.open("rb") as lines:
        found = [one for one in trace.read(lines) if run in (None, one.run)]
    if not found:
        of_run = "" if run is None else f" of run {run}"
        raise UsageError(f"{path} has no trace{of_run}: run with OPTIONS=trace=1, or press "
                         "Ctrl-] T at its console")
    return found


def write(name: str, writer: Callable[[TextIO], None]) -> None:
    if name == "-":
        writer(sys.stdout)
        return
    try:
        with open(name, "w", encoding="ascii", newline="") as out:
            writer(out)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None  # a full disk has no name


def run(args: argparse.Namespace) -> int:
    traces = load(find_log(args.log), args.run)
    symbols = trace_export.Symbols.load(args.symbols)
    if args.json:
        write(args.json, lambda out: trace_export.write_json(traces, symbols, out))
    if args.csv:
        write(args.csv, lambda out: trace_export.write_csv(traces, symbols, out))
    if args.summary or not (args.json or args.csv):
        for one in traces:
            print("\n".join(trace_export.summary(one, symbols)))
    problems = [f"run {one.run}: {text}" for one in traces for text in one.said()]
    for text in problems:
        say(text)
    return EXIT_TORN if problems else 0


def to_a_pipe(args: argparse.Namespace) -> int:
    """run(); whoever read what it prints may have had enough of it, as `head`."""
    try:
        status = run(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Python flushes it once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return program.finish(lambda: to_a_pipe(args), say, "standard output",
                          "make room, or write to another place")
