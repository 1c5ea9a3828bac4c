# SPDX-License-Identifier: MIT
"""make compare: the bench's workloads in every paging mode in one boot, beside the same kernel on
the bare machine; the two machines run side by side. Prints both tables, and writes compare.json."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tallyvisor import comparison, paging, program, stats
from tallyvisor.errors import UsageError

from . import jobs, machines, results, table

COMPARE = "compare"


def say(text: str) -> None:
    print(f"compare: {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    new = argparse.ArgumentParser(prog="compare", description="Run fixed workloads in each of "
                                  "Tallyvisor's paging modes in one boot, and on the bare machine, "
                                  "and compare.")
    machines.add_options(new, "compare")
    return new


def figures_of(log: str, out: Path, mode: str) -> results.Figures:
    try:
        return results.parse(log)
    except results.Incomplete as error:
        raise UsageError(f"{mode}: {error}; see {out}/serial.log") from None


def compare(args: argparse.Namespace) -> int:
    started = time.monotonic()
    paging.check_options(args.options, "make compare runs every mode")
    build = Path(args.build)
    out = machines.out_directory(args, COMPARE)
    image = machines.find_kernel(args.kernel, build, say)
    disk = machines.make_initrd(build, out)
    say(f"bare, and under Tallyvisor with paging={COMPARE}, side by side; kernel {image}")
    both = [jobs.Job(mode, machines.command(args, mode, image, disk, out / mode))
            for mode in (machines.BARE, COMPARE)]
    entries: dict[str, list[dict]] = {}
    figures: dict[str, results.Figures] = {}  # of each mode, and bare

    def judge(job: jobs.Job) -> None:
        where = out / job.name
        entries[job.name] = machines.entries(where, job)
        text = machines.serial(where)
        parts = results.split(text) if job.name == COMPARE else [(job.name, text)]
        figures.update({mode: figures_of(part, where, mode) for mode, part in parts})

    jobs.run(both, jobs.Screen(), judge)
    try:
        whole = comparison.shown(machines.serial(out / COMPARE))
    except comparison.Missing as error:
        raise UsageError(f"{error}; see {out / COMPARE}/serial.log") from None
    bare = figures.pop(machines.BARE)
    runs = {run["paging"]: run for run in entries[COMPARE]}
    everything = {machines.BARE: results.document(bare, entries[machines.BARE][-1]),
                  **{mode: results.document(figures[mode], runs[mode]) for mode in figures}}
    stats.write(out / "compare.json", machines.document(args, image, everything))
    print("\n".join(table.side_by_side(bare, figures)))
    print("\n".join(["", *whole]))
    print(f"\nAll figures: {out}/compare.json; {time.monotonic() - started:.0f} s")
    return 0


def main() -> int:
    args = parser().parse_args()
    return program.finish(lambda: compare(args), say, args.out or args.build)


if __name__ == "__main__":
    sys.exit(main())
