# SPDX-License-Identifier: MIT
"""What every measurement starts: the kernel and its command line, the initramfs, and a machine that
runs them; and what such a machine leaves."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tallyvisor import bochs, i386, kernel, outcome, program
from tallyvisor.errors import UsageError

from . import initrd, jobs, smallkernel

ROOT = Path(__file__).resolve().parents[2]

# The same for every mode. Reproducible: no hardware random numbers, no random addresses. The same
# machine for all: no deadline timer (a bare kernel switches it off by the microcode's version),
# clocks that need no calibration, and string instructions as on the bare emulator (docs/bench.md,
# "What makes them comparable").
CMDLINE = ("norandmaps nokaslr clearcpuid=rdrand,rdseed,erms,fsrm,rep_good lapic=notscdeadline "
           f"clocksource=tsc tsc=reliable tsc_early_khz={bochs.IPS // 1000} mitigations=off")
# The emulator's firmware has no ACPI tables, and Tallyvisor's guest no PCI. The small kernel does
# without both in all modes; a stock one would leave its local APIC alone without ACPI.
SMALL_CMDLINE = f"{CMDLINE} acpi=off pci=off"
BARE = "bare"
HALTED = "halted"  # without ACPI a power-off ends in a processor that halts for good
TIMEOUT = 900


def add_options(parser: argparse.ArgumentParser, out: str) -> None:
    """Those that say what runs.

    out  the name of the directory, within the build directory, that gets the figures
    """
    add = parser.add_argument
    add("--build", default="build", metavar="DIR", help="where make puts what it builds")
    add("--out", metavar="DIR", help="gets the figures and a directory for each machine "
        f"(BUILD/{out})")
    add("--kernel", default="small", metavar="K",
        help="small, stock, or a bzImage of your own (small)")
    add("--cmdline", default="", metavar="WORDS",
        help=f"for the kernel, after {CMDLINE!r}; the small one gets acpi=off pci=off, too")
    add("--cpu", default=bochs.DEFAULT_CPU, help=f"Bochs's name for it ({bochs.DEFAULT_CPU})")
    add("--options", default="", metavar="WORDS", help="more options for the hypervisor")


def find_kernel(word: str, build: Path, say: smallkernel.Say) -> Path:
    cache = build / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    if word == "small":
        return smallkernel.build(cache, say)
    if word == "stock":
        return kernel.stock(cache, say)
    if word in i386.KERNELS:  # the workloads are programs of 64 bits
        raise UsageError(f"KERNEL={word} is for make run: here small, stock, or the file of a "
                         "bzImage")
    kernel.check(word)
    return Path(word)


def out_directory(args: argparse.Namespace, name: str) -> Path:
    """Where the figures go: made before anything else is done, for it may not be possible.

    name  within the build directory, unless the user chose another
    """
    out = Path(args.out) if args.out else Path(args.build) / name
    out.mkdir(parents=True, exist_ok=True)
    return out


def command_line(args: argparse.Namespace) -> str:
    base = SMALL_CMDLINE if args.kernel == "small" else CMDLINE
    return f"{base} {args.cmdline}".strip()


def make_initrd(build: Path, out: Path) -> Path:
    """The initramfs with the workloads, in `out`."""
    workloads = build / "bench" / "guest" / "bench"
    if not workloads.exists():
        raise UsageError(f"{workloads} is missing: run make bench")
    disk = out / "initrd.img"
    disk.write_bytes(initrd.build(workloads))
    return disk


def command(args: argparse.Namespace, mode: str, image: Path, disk: Path, out: Path) -> list:
    """The runner's words for one machine."""
    out.mkdir(parents=True, exist_ok=True)
    return [ROOT / "tools" / "tallyvisor-run", "--build", args.build, "--engine", bochs.NAME,
            "--paging", mode, "--cpu", args.cpu, "--kernel", image, "--initrd", disk,
            "--cmdline", command_line(args), "--options", args.options,
            "--out", out, "--timeout", str(TIMEOUT)]


def entries(out: Path, job: jobs.Job) -> list[dict]:
    """The runs of a machine that has ended, as stats.json has them; each must have ended well.
    Where one has not, the runner's last line says why, in the hypervisor's words if it had any."""
    why = job.last.removeprefix("tallyvisor-run: ") or "the machine could not be started"
    if job.status == program.EXIT_USAGE or not (out / "stats.json").exists():
        raise UsageError(f"machine {job.name}: {why}")
    runs = json.loads((out / "stats.json").read_text())["runs"]
    for run in runs:
        if run["outcome"] in (outcome.POWEROFF, HALTED):
            continue
        if run is not runs[-1]:
            why = f"the guest ended by {run['outcome']}"
        under = "" if run["paging"] == job.name else f"under {run['paging']}: "
        raise UsageError(f"machine {job.name}: {under}{why}; see {out}/serial.log")
    return runs


def serial(out: Path) -> str:
    return (out / "serial.log").read_bytes().decode(errors="replace").replace("\r", "")


def document(args: argparse.Namespace, image: Path, runs: dict[str, dict]) -> dict:
    """What is written as JSON.

    runs  results.document() by mode
    """
    return {"schema": 1, "engine": bochs.NAME, "cpu": args.cpu, "kernel": image.parent.name,
            "cmdline": command_line(args), "options": args.options, "runs": runs}
