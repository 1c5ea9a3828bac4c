# SPDX-License-Identifier: MIT
"""make zoo: boots the exit zoo in one paging mode, or in each of them, shows its lines as they come, and
ends with a verdict."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tallyvisor import bochs, paging, program
from tallyvisor.errors import UsageError, need_file

from . import results

ROOT = results.ROOT
MEM_MIB = 64
TIMEOUT = 300
# Nothing but what the zoo orders is to happen.
OPTIONS = "zoo=1 poll_ms=0"
NEEDED = ("zoo", "poll_ms", "leaves")
EXIT_FAILED = 1


def say(text: str) -> None:
    print(f"zoo: {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    new = argparse.ArgumentParser(prog="zoo", description="Raise every basic exit reason that the "
                                  "processor has, one at a time, and check what comes of it.")
    add = new.add_argument
    add("--build", default="build", metavar="DIR", help="where make puts what it builds")
    add("--out", metavar="DIR", help="gets serial.log and stats.json (BUILD/zoo)")
    add("--paging", default="compare", metavar="WORD",
        help="ept, shadow, or compare: both, one after the other (compare)")
    add("--engine", default="auto", help="as for make run (auto)")
    add("--cpu", metavar="MODEL", help=f"the engine's name for it (Bochs: {bochs.DEFAULT_CPU})")
    add("--options", default="", metavar="WORDS", help="more options for the hypervisor")
    return new


def command(args: argparse.Namespace, kernel: Path, out: Path) -> list[str]:
    argv = [str(ROOT / "tools" / "tallyvisor-run"), f"--build={args.build}", f"--out={out}",
            f"--paging={args.paging}", f"--engine={args.engine}", f"--kernel={kernel}",
            f"--mem={MEM_MIB}", f"--timeout={TIMEOUT}",
            f"--options={OPTIONS} {args.options}".strip()]
    return argv + ([f"--cpu={args.cpu}"] if args.cpu else [])


def watch(argv: list[str]) -> tuple[int, str]:
    """Show what is the zoo's of the serial line; returns the runner's exit status and all of it."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as runner:
        try:
            lines = []
            for raw in runner.stdout:
                line = raw.decode(errors="replace").rstrip("\r\n")
                lines.append(line)
                if results.ours(line):
                    print(line, flush=True)
            return runner.wait(), "\n".join(lines)
        except program.Interrupted:
            runner.terminate()
            runner.wait()
            raise


def judge(status: int, mode: paging.Paging, tables: list[results.Table], out: Path) -> int:
    """Say how it went; the exit status."""
    whole = [one for one in tables if one.sum]
    failed = [line for one in tables for line in one.failures]
    if not whole or len(whole) != len(tables) or (status and not failed):
        raise UsageError(f"it did not come to its end: {out}/serial.log has what there was")
    for one in whole:
        say(f"paging={one.mode}: {one.sum[0]} reasons raised and as they should be, "
            f"{one.sum[1]} not, {one.sum[2]} cannot be raised here")
    for word in mode.compared:
        if word not in [one.mode for one in whole]:
            say(f"paging={word}: not on this processor")
    return EXIT_FAILED if failed else 0


def run(args: argparse.Namespace) -> int:
    started = time.monotonic()
    mode = paging.find(args.paging)
    if not mode.hypervisor:
        raise UsageError(f"PAGING={args.paging}: without Tallyvisor nothing exits: ept, shadow or "
                         "compare")
    paging.check_options(args.options, "the mode is for PAGING= to say")
    for word in args.options.replace('"', "").split():
        if word.partition("=")[0] in NEEDED:
            raise UsageError(f"OPTIONS={word}: the zoo needs {OPTIONS} and the counters as they "
                             f"are: leave {word} out")
    kernel = Path(args.build) / "payload" / "zoo.elf"
    need_file("the payload: run make zoo", str(kernel))
    out = Path(args.out or Path(args.build) / "zoo")
    status, text = watch(command(args, kernel, out))
    if status == program.EXIT_USAGE:
        return status  # nothing was started, and the runner has said why
    status = judge(status, mode, results.parse(text), out)
    say(f"{'passed' if status == 0 else 'FAILED: see the lines above'}; "
        f"{time.monotonic() - started:.0f} s; {out}/serial.log has it all; docs/zoo.md explains it")
    return status


def main() -> int:
    args = parser().parse_args()
    return program.finish(lambda: run(args), say, args.out or args.build)


if __name__ == "__main__":
    sys.exit(main())
