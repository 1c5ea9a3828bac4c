# SPDX-License-Identifier: MIT
"""make bench: builds what is missing, runs the workloads bare and in each hypervisor mode, prints
the comparison and writes bench.json."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from tallyvisor import bochs, kernel, paging, stats
from tallyvisor.errors import UsageError

from . import initrd, results, smallkernel, table

ROOT = Path(__file__).resolve().parents[2]
KVM = Path(__file__).with_name("kvm.json")

# The same for every mode. Reproducible: no hardware random numbers, no random addresses. The same
# machine for all: no deadline timer (a bare kernel switches it off by the microcode's version),
# clocks that need no calibration, and string instructions as on the bare emulator (docs/bench.md,
# "What makes them comparable").
CMDLINE = ("norandmaps nokaslr clearcpuid=rdrand,rdseed,erms,rep_good lapic=notscdeadline "
           f"clocksource=tsc tsc=reliable tsc_early_khz={bochs.IPS // 1000} mitigations=off")
# The emulator's firmware has no ACPI tables, and Tallyvisor's guest no PCI. The small kernel does
# without both in all modes; a stock one would leave its local APIC alone without ACPI.
SMALL_CMDLINE = f"{CMDLINE} acpi=off pci=off"
BARE = "bare"
HALTED = "halted"  # without ACPI a power-off ends in a processor that halts for good
TIMEOUT = 900


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    modes = [mode.word for mode in paging.single()]
    new = argparse.ArgumentParser(prog="bench", description="Run fixed workloads on the bare "
                                  "emulated machine and under Tallyvisor, and compare.")
    add = new.add_argument
    add("--build", default="build", metavar="DIR", help="where make puts what it builds")
    add("--out", metavar="DIR", help="gets bench.json and a directory for each mode (BUILD/bench)")
    add("--modes", default=" ".join(modes), metavar="WORDS",
        help=f"hypervisor modes to compare with bare ({' '.join(modes)})")
    add("--kernel", default="small", metavar="K",
        help="small, stock, or a bzImage of your own (small)")
    add("--cmdline", default="", metavar="WORDS",
        help=f"for the kernel, after {CMDLINE!r}; the small one gets acpi=off pci=off, too")
    add("--cpu", default=bochs.DEFAULT_CPU, help=f"Bochs's name for it ({bochs.DEFAULT_CPU})")
    add("--options", default="", metavar="WORDS", help="more options for the hypervisor")
    return new


def find_kernel(word: str, build: Path) -> Path:
    cache = build / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    if word == "small":
        return smallkernel.build(cache, say)
    if word == "stock":
        return kernel.stock(cache, say)
    kernel.check(word)
    return Path(word)


def command_line(args: argparse.Namespace) -> str:
    base = SMALL_CMDLINE if args.kernel == "small" else CMDLINE
    return f"{base} {args.cmdline}".strip()


def show(line: str, started: float) -> None:
    """Progress: the bench program's lines without their details, and what the runner says."""
    if line.startswith(("bench: phase ", "bench: failed", "tallyvisor-run:", "tallyvisor: PANIC",
                        "tallyvisor: refused")):
        print(f"  {time.monotonic() - started:4.0f} s  {line.split(' idle ')[0]}",
              file=sys.stderr, flush=True)


def run_mode(args: argparse.Namespace, mode: str, image: Path, disk: Path,
             out: Path) -> tuple[results.Figures, dict]:
    """One machine from start to end: its figures, and its entry in stats.json."""
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    command = [ROOT / "tools" / "tallyvisor-run", "--build", args.build, "--engine", bochs.NAME,
               "--paging", mode, "--cpu", args.cpu, "--kernel", image, "--initrd", disk,
               "--cmdline", command_line(args), "--options", args.options,
               "--out", out, "--timeout", str(TIMEOUT)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as runner:
        for line in runner.stdout:
            show(line.rstrip(), started)
    if not (out / "stats.json").exists():
        raise UsageError(f"{mode}: the machine could not be started")
    entry = json.loads((out / "stats.json").read_text())["runs"][-1]
    if runner.returncode != 0 and entry["outcome"] != HALTED:
        raise UsageError(f"{mode}: the guest ended by {entry['outcome']}; see {out}/serial.log")
    try:
        log = (out / "serial.log").read_bytes().decode(errors="replace")
        return results.parse(log), entry
    except results.Incomplete as error:
        raise UsageError(f"{mode}: {error}; see {out}/serial.log") from None


def compare(args: argparse.Namespace) -> None:
    build = Path(args.build)
    out = Path(args.out) if args.out else build / "bench"
    modes = [BARE] + [paging.find(word).word for word in args.modes.split() if word != BARE]
    image = find_kernel(args.kernel, build)
    out.mkdir(parents=True, exist_ok=True)
    program = build / "bench" / "guest" / "bench"
    if not program.exists():
        raise UsageError(f"{program} is missing: run make bench")
    disk = out / "initrd.img"
    disk.write_bytes(initrd.build(program))
    figures, entries = {}, {}
    for number, mode in enumerate(modes, start=1):
        say(f"run {number} of {len(modes)}: {mode}, kernel {image}")
        figures[mode], entries[mode] = run_mode(args, mode, image, disk, out / mode)
    stats.write(out / "bench.json", {
        "schema": 1, "engine": bochs.NAME, "cpu": args.cpu, "kernel": image.parent.name,
        "cmdline": command_line(args), "options": args.options,
        "runs": {mode: results.document(figures[mode], entries[mode]) for mode in modes}})
    # KVM was measured with a kernel like the small one, on the default CPU.
    kvm = (json.loads(KVM.read_text())
           if args.kernel == "small" and args.cpu == bochs.DEFAULT_CPU else None)
    for mode in modes[1:]:
        print("\n".join(table.report(figures[BARE], figures[mode], mode, entries[mode], kvm)))
    if kvm:
        print(f"\nKVM: {kvm['source']}.")
    print(f"\nAll figures: {out}/bench.json")


def main() -> int:
    try:
        compare(parser().parse_args())
    except UsageError as error:
        say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
