# SPDX-License-Identifier: MIT
"""make bench: builds what is missing, runs the workloads bare and in each hypervisor mode, prints
the comparison and writes bench.json."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tallyvisor import bochs, paging, program, stats
from tallyvisor.errors import UsageError

from . import jobs, machines, results, table

KVM = Path(__file__).with_name("kvm.json")


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    modes = [mode.word for mode in paging.single()]
    new = argparse.ArgumentParser(prog="bench", description="Run fixed workloads on the bare "
                                  "emulated machine and under Tallyvisor, and compare.")
    machines.add_options(new, "bench")
    new.add_argument("--modes", default=" ".join(modes), metavar="WORDS",
                     help=f"hypervisor modes to compare with bare ({' '.join(modes)})")
    return new


def run_mode(args: argparse.Namespace, mode: str, image: Path, disk: Path,
             out: Path) -> tuple[results.Figures, dict]:
    """One machine from start to end: its figures, and its entry in stats.json."""
    job = jobs.Job(mode, machines.command(args, mode, image, disk, out))
    jobs.run([job], jobs.Screen())
    entry = machines.entries(out, job)[-1]
    try:
        return results.parse(machines.serial(out)), entry
    except results.Incomplete as error:
        raise UsageError(f"{mode}: {error}; see {out}/serial.log") from None


def compare(args: argparse.Namespace) -> int:
    build = Path(args.build)
    modes = [machines.BARE] + [paging.find(word).word for word in args.modes.split()
                               if word != machines.BARE]
    paging.check_options(args.options,
                         f"the modes are for MODES= to say (here {' '.join(modes[1:])})")
    out = machines.out_directory(args, "bench")
    image = machines.find_kernel(args.kernel, build, say)
    disk = machines.make_initrd(build, out)
    figures, entries = {}, {}
    for number, mode in enumerate(modes, start=1):
        say(f"run {number} of {len(modes)}: {mode}, kernel {image}")
        figures[mode], entries[mode] = run_mode(args, mode, image, disk, out / mode)
    stats.write(out / "bench.json", machines.document(
        args, image, {mode: results.document(figures[mode], entries[mode]) for mode in modes}))
    # KVM was measured with a kernel like the small one, on the default CPU.
    kvm = (json.loads(KVM.read_text())
           if args.kernel == "small" and args.cpu == bochs.DEFAULT_CPU else None)
    for mode in modes[1:]:
        print("\n".join(table.report(figures[machines.BARE], figures[mode], mode, entries[mode],
                                     kvm)))
    if kvm:
        print(f"\nKVM: {kvm['source']}.")
    print(f"\nAll figures: {out}/bench.json")
    return 0


def main() -> int:
    args = parser().parse_args()
    return program.finish(lambda: compare(args), say, args.out or args.build)


if __name__ == "__main__":
    sys.exit(main())
