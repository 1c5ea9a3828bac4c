# SPDX-License-Identifier: MIT
"""make test-nested: boots Tallyvisor in QEMU with KVM's nested VMX, in Linux on an emulated
processor, and judges by what all of them say. docs/nested.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tallyvisor import bochs, cli, exit_reasons, kernel, outcome, paging, qemu, stats
from tallyvisor.errors import UsageError

from . import log, outer

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 3600
# Of the outer Linux: the machine inside, the initramfs twice while it is unpacked, and QEMU.
OUTER_MIB = 1700
INNER_MIB = 1024
# The outer Linux wastes no ticks on its own safety.
OUTER_CMDLINE = "nokaslr mitigations=off"
# Bochs 2.7 delivers a pending virtual interrupt in place of a host's one, even where the guest has
# interrupts off. Tallyvisor avoids that where it sees Bochs; inside QEMU it cannot.
OPTIONS = "verbose=1 features-=vid"
# After these nothing else will come, and the machine inside does not end by itself.
HOPELESS = (f"{log.MARK}tallyvisor: PANIC", f"{log.MARK}tallyvisor: refused")
LAST_WORDS_SECONDS = 20
START = "echo 'guest: the command starts'"


def say(text: str) -> None:
    print(f"nested: {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    new = argparse.ArgumentParser(prog="nested", description="Run Tallyvisor under KVM's nested "
                                  "VMX: Bochs, Linux with KVM, QEMU, Tallyvisor, Linux.")
    add = new.add_argument
    add("--build", default="build", metavar="DIR", help="where make puts what it builds")
    add("--out", metavar="DIR", help="gets the logs, stats.json and nested.json (BUILD/nested)")
    add("--paging", default="ept", metavar="WORD", help="Tallyvisor's mode (ept)")
    add("--cpu", default=bochs.DEFAULT_CPU, help=f"Bochs's model ({bochs.DEFAULT_CPU})")
    add("--qemu-cpu", default=qemu.default_cpu(True), metavar="CPU",
        help=f"QEMU's -cpu ({qemu.default_cpu(True)})")
    add("--mem", type=int, default=128, metavar="MIB", help="the innermost guest's memory (128)")
    add("--kernel", metavar="FILE", help="its kernel (the distribution's cloud kernel)")
    add("--guest-run", default="exitstat --verify", metavar="COMMAND",
        help="what it runs (exitstat --verify)")
    add("--options", default=OPTIONS, metavar="WORDS", help=f"for Tallyvisor ({OPTIONS})")
    add("--kvm-options", default="nested=1", metavar="WORDS", help="for kvm_intel (nested=1)")
    add("--timeout", type=float, default=TIMEOUT, metavar="S", help=f"wall seconds ({TIMEOUT})")
    return new


def inner_machine(args: argparse.Namespace, work: Path) -> tuple[Path, list[str]]:
    """The disk that a user's `make run` would make, and the QEMU that it would start."""
    words = ["--build", args.build, "--paging", args.paging, "--mem", str(args.mem),
             "--guest-run", f"{START}; {args.guest_run}", f"--options={args.options}"]
    inner = cli.parser().parse_args(words + (["--kernel", args.kernel] if args.kernel else []))
    cli.check(inner)
    disk = cli.make_disk(inner, paging.find(args.paging), work)
    return disk, outer.command(cli.machine_mib(inner), args.qemu_cpu)


def boot(args: argparse.Namespace, initrd: Path, image: Path, out: Path) -> log.Progress:
    """The emulated machine, from start to end; says which step it is at."""
    command = [ROOT / "tools" / "tallyvisor-run", "--build", args.build, "--engine", bochs.NAME,
               "--paging", "bare", "--cpu", args.cpu, "--mem", str(OUTER_MIB), "--kernel", image,
               "--initrd", initrd, "--cmdline", OUTER_CMDLINE,
               "--guest-run", f"sh {outer.HOME}/outer.sh", "--out", out,
               "--timeout", str(args.timeout)]
    started = time.monotonic()
    progress = log.Progress()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as runner:
        last_words = threading.Timer(LAST_WORDS_SECONDS, runner.terminate)
        for line in runner.stdout:
            step = progress.feed(line)
            if step or line.startswith(("tallyvisor-run:", "qemu-system", *HOPELESS)):
                print(f"  {time.monotonic() - started:5.0f} s  {step or line.rstrip()}",
                      file=sys.stderr, flush=True)
            if line.startswith(HOPELESS) and last_words.ident is None:
                last_words.start()
        last_words.cancel()
    return progress


def engine_choice(chain: log.Chain, mode: paging.Paging) -> str | None:
    """What tallyvisor-run would have said of the outer Linux: None where it takes QEMU with KVM."""
    with tempfile.TemporaryDirectory() as name:
        host = qemu.Host(*(Path(name) / each for each in ("kvm", "cpuinfo", "parameters")))
        host.cpuinfo.write_text(chain.flags + "\n")
        host.parameters.mkdir()
        for parameter, value in chain.parameters.items():
            (host.parameters / parameter).write_text(value + "\n")
        host.kvm.touch()
        return qemu.missing_for_nested_vmx(mode.kvm, host)


def faults(args: argparse.Namespace, chain: log.Chain, progress: log.Progress) -> list[str]:
    """What is not as it should be."""
    found = []
    if progress.missing:
        found.append(f"it did not come to: {progress.missing}; "
                     f"the inner machine's last line: {chain.inner.last_line!r}")
    if hindrance := engine_choice(chain, paging.find(args.paging)):
        found.append(f"ENGINE=auto would not have taken QEMU there: {hindrance}")
    run = chain.inner.runs.get(1)
    if not run or run.block is None:
        return found + ["there are no statistics of Tallyvisor's that add up"]
    if (run.paging, run.outcome) != (args.paging, outcome.POWEROFF):
        found.append(f"paging {run.paging}, ended by {run.outcome}")
    seen = {row["nr"]: row["count"] for row in run.block.reasons}
    injected = chain.counts.get("kvm_nested_vmexit_inject", {})
    # KVM's tracepoint goes on counting after Tallyvisor's last look, and is told of no exit that
    # Tallyvisor did not get.
    for nr, count in seen.items():
        if count > injected.get(nr, 0):
            found.append(f"Tallyvisor counted {count} exits for reason {nr}, of which KVM "
                         f"delivered {injected.get(nr, 0)}")
    return found


def table(chain: log.Chain) -> list[str]:
    """Exits, layer by layer."""
    columns = [chain.counts.get(event, {}) for event in
               ("kvm_exit", "kvm_nested_vmexit", "kvm_nested_vmexit_inject")]
    run = chain.inner.runs.get(1)
    columns.append({row["nr"]: row["count"] for row in run.block.reasons}
                   if run and run.block else {})
    name = exit_reasons.names()
    lines = [f"{'reason':24} {'KVM: all':>10} {'of L2':>10} {'to L1':>10} {'Tallyvisor':>10}"]
    order = sorted({nr for column in columns for nr in column},
                   key=lambda nr: -max(column.get(nr, 0) for column in columns))
    for nr in order:
        counts = " ".join(f"{column.get(nr, 0):10}" for column in columns)
        lines.append(f"{nr:3} {name.get(nr, '?'):20} {counts}")
    sums = " ".join(f"{sum(column.values()):10}" for column in columns)
    return lines + [f"{'all':24} {sums}"]


def check(args: argparse.Namespace) -> None:
    """What would be noticed minutes later, or not at all."""
    if not paging.find(args.paging).hypervisor:
        raise UsageError(f"PAGING={args.paging} has no hypervisor to test")
    if paging.find(args.paging).compared:
        raise UsageError(f"PAGING={args.paging}: the chain carries one mode at a time, "
                         f"{' or '.join(mode.word for mode in paging.single())}")
    if cli.machine_mib(args) > INNER_MIB:
        raise UsageError(f"MEM={args.mem} needs a machine of {cli.machine_mib(args)} MiB inside one "
                         f"of {OUTER_MIB}; there is room for {INNER_MIB}")
    if args.timeout <= 0:
        raise UsageError(f"TIMEOUT={args.timeout:g} is no time: the chain takes some minutes")


def test(args: argparse.Namespace) -> int:
    check(args)
    build, out = Path(args.build), Path(args.out or Path(args.build) / "nested")
    cli.ensure("image", bochs.PACKAGES, qemu.PACKAGES)
    image, modules = kernel.stock_modules(build / "cache", outer.MODULES, say)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as name:
        disk, argv = inner_machine(args, Path(name))
        initrd = Path(name) / "outer.img"
        initrd.write_bytes(outer.build(disk, argv, modules, args.kvm_options))
        say("inside: " + " ".join(argv))
        progress = boot(args, initrd, image, out)
    serial = out / "serial.log"
    if not serial.exists():
        raise UsageError("the emulated machine could not be started: see above")
    chain = log.parse(serial.read_bytes().decode(errors="replace"))
    runs = [chain.inner.runs[number] for number in sorted(chain.inner.runs)]
    contents = stats.document(chain.inner.version, qemu.NAME, args.qemu_cpu, runs)
    (out / "nested.json").write_text(json.dumps(
        {**contents, "kvm": {"parameters": chain.parameters, "seconds": chain.seconds,
                             "exits": chain.counts}}, indent=1) + "\n")
    print("\n".join(table(chain)))
    wrong = faults(args, chain, progress)
    for fault in wrong:
        say(f"FAILED: {fault}")
    if wrong:
        say(f"see {serial}, {out}/{bochs.NAME}.log and docs/nested.md")
        return 1
    ticks = chain.seconds * bochs.IPS / 1e9
    say(f"passed: Tallyvisor under KVM's nested VMX, {ticks:.1f} G ticks in QEMU; "
        f"all figures: {out}/nested.json")
    return 0


def main() -> int:
    try:
        return test(parser().parse_args())
    except UsageError as error:
        say(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main())
